"""Reads config.json, the chip's file: the only thing the emulator sees. The file is hostile.

Field tree: targets sheet, section 3 (samna's names). Damage to the structure (U605) stops the reading, values
outside the chip's ranges (X510) are all collected first. Fields that do not change what the neurons compute
(clocks, operation mode, debug) are not looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np

from nirc.backends.xylo.limits import (
    BIAS,
    DASH,
    OVERVIEW,
    SIM,
    THRESHOLD,
    VARIANTS,
    WEIGHT_SHIFT,
    WEIGHT_WORD,
)
from nirc.backends.xylo.specification import IntArray, Specification
from nirc.chip.target import Target
from nirc.files.json import JsonReader, Tree, join

FORMAT = "nirc-xylo-config/1"
MAX_BYTES = 32 << 20  # the largest network (1000 x 1000 x 2 weights) takes 12 MB in one line


def read_config(text: bytes) -> Specification:
    """The network in the bytes of a config.json, of any variant.

    ``bias_enable`` and ``synapse2_enable`` false leave out biases and second synapses, as on the chip.
    Raises ``InputError`` (U605) if the file is damaged, ``CompileError`` (X510) if a value is outside the
    chip's range; the diagnostics name JSON path, value and allowed range.
    """
    reader = _Reader()
    specification = reader.specification(reader.parse(text))
    reader.log.raise_if_errors()
    return specification


class _Reader(JsonReader):
    """The tree as a ``Specification``."""

    def __init__(self) -> None:
        super().__init__("config.json", code="X510", source=SIM, max_bytes=MAX_BYTES)

    def specification(self, tree: Tree) -> Specification:
        """Everything the neurons need."""
        if tree.get("format") != FORMAT:
            self.damaged("the format is unknown", "format", tree.get("format"), FORMAT)
        target = self.target(tree)
        block = "reservoir" if target.variant == "audio2" else "hidden"
        two = target.max("synaptic states per neuron") == 2
        inputs, hidden, readout = (self.as_object(tree.get(key), key) for key in ("input", block, "readout"))
        neurons = self.neurons(hidden, block, target.max("hidden neurons"))
        outputs = self.neurons(readout, "readout", target.max("output neurons"))
        n, m = len(neurons), len(outputs)
        first = min(n, target.max("neurons that inputs reach"))
        last = min(n, target.max("neurons that outputs leave from"))
        n_in = self.input_channels(inputs, target)

        use_2 = two and self.flag(tree.get("synapse2_enable"), "synapse2_enable")
        weights_in = np.zeros((n_in, n, 2), np.int64)
        weights_rec = np.zeros((n, n, 2), np.int64)
        weights_out = np.zeros((n, m), np.int64)
        weights_in[:, :first, 0] = self.matrix(inputs, "weights", "input", (n_in, first))
        weights_rec[..., 0] = self.matrix(hidden, "weights", block, (n, n))
        weights_out[n - last :] = self.matrix(readout, "weights", "readout", (last, m))
        if two:
            weights_in[:, :first, 1] = self.matrix(inputs, "syn2_weights", "input", (n_in, first)) * use_2
            weights_rec[..., 1] = self.matrix(hidden, "syn2_weights", block, (n, n)) * use_2
        use_bias = self.flag(tree.get("bias_enable"), "bias_enable")

        def column(name: str, allowed: tuple[int, int]) -> IntArray:
            return self.column(neurons, f"{block}.neurons", name, allowed)

        def column_out(name: str, allowed: tuple[int, int]) -> IntArray:
            return self.column(outputs, "readout.neurons", name, allowed)

        return Specification(
            weights_in=weights_in,
            weights_rec=weights_rec,
            weights_out=weights_out,
            dash_mem=column("v_mem_decay", DASH),
            dash_mem_out=column_out("v_mem_decay", DASH),
            dash_syn=column("i_syn_decay", DASH),
            dash_syn_2=column("i_syn2_decay", DASH) if two else np.zeros(n, np.int64),
            dash_syn_out=column_out("i_syn_decay", DASH),
            threshold=column("threshold", THRESHOLD),
            threshold_out=column_out("threshold", THRESHOLD),
            bias_hidden=column("v_mem_bias", BIAS) * use_bias,
            bias_out=column_out("v_mem_bias", BIAS) * use_bias,
            weight_shift_in=self.shift(inputs, "input"),
            weight_shift_rec=self.shift(hidden, block),
            weight_shift_out=self.shift(readout, "readout"),
            aliases=self.aliases(neurons, block, self.flag(hidden.get("aliasing"), f"{block}.aliasing")),
        )

    def target(self, tree: Tree) -> Target:
        """The variant that the file is for."""
        for target in VARIANTS:
            if target.variant == tree.get("variant"):
                return target
        known = ", ".join(target.variant for target in VARIANTS)
        self.damaged("the variant is unknown", "variant", tree.get("variant"), known)

    def neurons(self, block: Tree, path: str, limit: int) -> list[Tree]:
        """The objects of a block's neurons: 1 to ``limit``."""
        path = join(path, "neurons")
        entries = self.as_list(block.get("neurons"), path)
        self.count(len(entries), path, limit)
        return [self.as_object(entry, f"{path}[{i}]") for i, entry in enumerate(entries)]

    def input_channels(self, inputs: Tree, target: Target) -> int:
        """The number of rows of the input matrix: 1 to 16."""
        rows = self.as_list(inputs.get("weights"), "input.weights")
        self.count(len(rows), "input.weights", target.max("input channels"))
        return len(rows)

    def count(self, n: int, path: str, limit: int) -> None:
        """A size within 1 to ``limit``; else reading stops, before arrays of that size are made."""
        if not 1 <= n <= limit:
            self.outside(path, n, (1, limit), "the number of entries is outside the chip's range", OVERVIEW)
            self.log.raise_if_errors()

    def matrix(self, block: Tree, key: str, path: str, shape: tuple[int, int]) -> IntArray:
        """A weight matrix of exactly ``shape``, as int64."""
        path = join(path, key)
        rows = self.as_list(block.get(key), path)
        if len(rows) != shape[0]:
            self.damaged("the matrix has the wrong number of rows", path, len(rows), shape[0])
        for i, row in enumerate(rows):
            if len(self.as_list(row, f"{path}[{i}]")) != shape[1]:
                self.damaged("a row has the wrong number of weights", f"{path}[{i}]", len(row), shape[1])
        flat = list(chain.from_iterable(rows))
        return self.integers(flat, WEIGHT_WORD, lambda i: f"{path}[{i // shape[1]}][{i % shape[1]}]").reshape(shape)

    def column(self, neurons: Sequence[Tree], path: str, name: str, allowed: tuple[int, int]) -> IntArray:
        """One field of every neuron."""
        values = [neuron.get(name) for neuron in neurons]
        return self.integers(values, allowed, lambda i: f"{path}[{i}].{name}")

    def shift(self, block: Tree, path: str) -> int:
        """A block's weight_bit_shift."""
        return self.integer(block.get("weight_bit_shift"), WEIGHT_SHIFT, join(path, "weight_bit_shift"))

    def aliases(self, neurons: Sequence[Tree], path: str, enabled: bool) -> IntArray:
        """Target of each hidden neuron, -1 for none (null in the file)."""
        ids = [neuron.get("alias_target") for neuron in neurons]
        given = [i for i, target in enumerate(ids) if target is not None]

        def where(i: int) -> str:
            return f"{path}.neurons[{given[i]}].alias_target"

        targets = self.integers([ids[i] for i in given], (0, len(neurons) - 1), where)
        if given and not enabled:
            self.damaged("a neuron has an alias, but aliasing is off", where(0), targets[0], "null")
        for i, source in enumerate(given):
            if ids[source] == source:
                self.log.error(
                    "X510", "a neuron is its own alias", where=where(i), found=source, limit="another neuron"
                )
        aliases = np.full(len(neurons), -1)
        aliases[given] = targets
        return aliases
