"""Which neurons the chip has: integrate-and-fire with one threshold a core; LIF with a constant
leak.
"""

from __future__ import annotations

import numpy as np

from nirc.backends.speck.limits import DATASHEET
from nirc.diagnostics.log import Log
from nirc.ir.arrays import Float, frozen
from nirc.ir.populations import Discrete, Population


def refuse_foreign(name: str, population: Population[Discrete], log: Log) -> None:
    """Report (S712, S716) what no core can compute."""
    d = population.dynamics
    where = population.origins[0]

    def refuse(what: str, field: str, found: str, advice: str) -> None:
        log.error(
            "S712",
            f"`{name}` {what}",
            where=f"{where}/{field}" if field else where,
            found=found,
            limit="integrate-and-fire neurons, or LIF with a constant leak",
            source=DATASHEET,
            help=advice,
        )

    if d.decay_syn is not None:
        refuse("has a synaptic filter", "tau_syn", "CubaLIF or CubaLI", "train with IF neurons")
    if d.threshold is None:
        refuse(
            "has no threshold: it never fires",
            "",
            "I, LI or CubaLI",
            "end the network with IF neurons",
        )
        return
    if (d.decay_mem <= 0).any():
        refuse(
            "keeps nothing from one step to the next",
            "",
            f"decay {d.decay_mem.min():g}",
            "use IF neurons",
        )
    if (d.drift != 0).any():
        refuse(
            "is drawn to a v_leak that is not 0", "v_leak", _range(d.drift), "train with v_leak = 0"
        )
    if (reset := d.resets_to) is not None:
        refuse(
            "is reset to a v_reset that is not 0",
            "v_reset",
            _range(reset),
            "train with v_reset = 0",
        )
    if (d.threshold <= 0).any():
        log.error(
            "S716",
            f"{int((d.threshold <= 0).sum())} of {d.threshold.size} neurons of `{name}` have a "
            "threshold "
            "that is not positive",
            where=f"{where}/v_threshold",
            found=_range(d.threshold),
            limit="> 0",
            source=DATASHEET,
            help="check the training run or the export",
        )


def to_one_threshold(d: Discrete) -> tuple[Discrete, Float]:
    """All thresholds equal and no gain; and the factor (n,) on everything that comes in that makes
    up for both.

    Exact: the membrane of an integrate-and-fire neuron, and of a leaky one, scales with its input
    and threshold.
    """
    assert d.threshold is not None
    common = float(d.threshold.max())
    ones = np.ones(d.threshold.size)
    least = None if d.v_least is None else frozen(d.v_least * (common / d.threshold))
    same = Discrete(
        d.decay_mem,
        frozen(ones),
        d.drift,
        threshold=frozen(ones * common),
        v_reset=frozen(ones * 0),
        rule=d.rule,
        v_least=least,
    )
    return same, d.gain_mem * (common / d.threshold)


def _range(values: Float) -> str:
    low, high = float(values.min()), float(values.max())
    return f"{low:g}" if low == high else f"{low:g}..{high:g}"
