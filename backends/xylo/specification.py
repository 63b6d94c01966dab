"""A placed network in Xylo's integers, under the argument names of the vendor's
``config_from_specification``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Specification:
    """Everything the chip needs, in the chip's order of neurons. All arrays int64 (values in the
    chip's ranges).

    ``weights_in`` (Nin, Nhid, 2), ``weights_rec`` (Nhid, Nhid, 2), ``weights_out`` (Nhid, Nout):
    [source, target] and, last, the synapse. ``aliases`` (Nhid,): target of each hidden neuron, -1
    for none. Source: rockpool, ``devices/xylo/*/xylo_samna.py``; targets sheet section 3.
    """

    weights_in: IntArray
    weights_rec: IntArray
    weights_out: IntArray
    dash_mem: IntArray
    dash_mem_out: IntArray
    dash_syn: IntArray
    dash_syn_2: IntArray
    dash_syn_out: IntArray
    threshold: IntArray
    threshold_out: IntArray
    bias_hidden: IntArray
    bias_out: IntArray
    weight_shift_in: int
    weight_shift_rec: int
    weight_shift_out: int
    aliases: IntArray

    @property
    def uses_synapse_2(self) -> bool:
        """Whether any weight goes to the second synapse."""
        return bool(self.weights_in[..., 1].any() or self.weights_rec[..., 1].any())

    @property
    def uses_bias(self) -> bool:
        """Whether any neuron has a bias."""
        return bool(self.bias_hidden.any() or self.bias_out.any())
