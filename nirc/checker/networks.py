"""The reader of network.npz, the network file of chips with many cores."""

from __future__ import annotations

from typing import Any

import numpy as np

from nirc.checker.bundle import Bundle, parsed
from nirc.checker.compare import Chip
from nirc.checker.network import unrolled
from nirc.checker.values import Array, Node, Refused

NETWORK = "network.npz"
# fmt: off


class Block:
    """A block of network.npz: fields of its JSON, and arrays."""

    def __init__(self, node: Node, words: str, arrays: dict[str, Array], place: str) -> None:
        self.node = node.has(f"{words} arrays")
        names = [each.of(str) for each in node["arrays"].list()]
        self.arrays = {name: arrays.pop(f"{place}/{name}", None) for name in names}

    def __getitem__(self, key: str) -> Any:
        return self.node[key].value

    def array(self, name: str, dtype: str, shape: tuple[int | None, ...], low: float, high: float) -> Array:
        """Return an array of this type, shape (None: any length) and range, without -0."""
        array, place = self.arrays.get(name), f"{self.node.path}.{name}"
        if not isinstance(array, np.ndarray) or array.dtype.str != dtype or len(shape) != array.ndim:
            raise Refused(NETWORK, place, "an array is missing, or of another type", dtype)
        odd = array[~((low <= array) & (array <= high)) | (array == 0) & np.signbit(array)]
        if odd.size or any(k not in (None, n) for k, n in zip(shape, array.shape)):
            raise Refused(NETWORK, place, "another shape or value", odd[:1], f"{shape} of {low}..{high}")
        return array.astype(np.float64 if array.dtype.kind == "f" else np.int64)


def network_file(bundle: Bundle, name: str, kinds: dict[str, str]) -> dict[str, Any]:
    """Return the blocks of network.npz by kind. ``kinds``: fields of each that are no arrays."""
    arrays = bundle.npz(NETWORK)
    root = parsed(NETWORK, arrays.pop("network", np.zeros(0)).tobytes())
    root.has(" ".join(["channels format", *kinds]))["format"].one_of(name)
    tree: dict[str, Any] = {"channels": root["channels"].integer(0, 2**31 - 1)}
    for kind, words in kinds.items():
        rows = enumerate(root[kind].list())
        tree[kind] = [Block(row, words, arrays, f"{kind}/{i}") for i, row in rows]
    tree["nodes"] = [*tree["inputs"], *tree["populations"]]
    names = [block.node["name"].of(str) for block in tree["nodes"]]
    if arrays or len(set(names)) < len(names):
        raise Refused(NETWORK, "the file", "an array of no block, or a name twice", *arrays)
    return tree


def numbered(tree: dict[str, Any], ids: dict[str, Array], parts: dict[str, int], spikes: Array) -> tuple[Chip, Array]:
    """Return a chip without synapses, and neurons' numbers. A readout is counted by its columns."""
    ends = [(ids[b.node["population"].name_in(ids)], b) for b in tree["outputs"]]
    column = np.concatenate([np.zeros(0, int), *(
        at[b.array("neurons", "<i4", (None,), 0, len(at) - 1)] for at, b in ends)])
    n = tree["channels"] + len(spikes)
    silent, number = np.flatnonzero(~spikes[column - tree["channels"]]), np.arange(n + len(column))
    number[column[silent]] = n + silent
    idle = ~np.isin(np.arange(len(number)), number[:n])
    rules = np.full(len(number), "", object)
    parts = {**parts, "readout": len(column)}
    return Chip(tree["channels"], parts, {}, {}, rules, [], number[column], idle), number


def kernel(node: Node, w: Array, before: list[int], behind: list[int], pads: list[int],
           stride: list[int], dilation: list[int], groups: int) -> tuple[Array, ...]:
    """Return target, source and weight of each synapse of a kernel, of weight 0, too.

    ``w``: (channels out, channels in of a group, y, x). ``pads``: above, left, below, right.
    """
    sides = [(n + a + b - d * (k - 1) - 1) // s + 1 for n, k, s, d, a, b in zip(
        before[1:], w.shape[2:], stride, dilation, pads, pads[2:])]
    if [len(w), w.shape[1] * groups, *sides] != [behind[0], before[0], *behind[1:]] or len(w) % groups:
        raise node.refused("a kernel that fits its maps")
    own = np.arange(len(w))[:, None] // (len(w) // groups) == np.arange(before[0]) // w.shape[1]
    full = np.zeros((len(w), before[0], *w.shape[2:]))
    full[own] = w.reshape(-1, *w.shape[2:]) + 1000  # zeros, too, are synapses
    to, frm, weight = unrolled({"type": "Conv2d", "weight": full, "shape_in": before, "shape": behind,
                                "stride": stride, "padding": pads[:2], "dilation": dilation})
    return to, frm, weight - 1000


def add_neurons(chip: Chip, ids: Array, dt: float, decay: Array, drift: Array, syn: list[Array],
                gain: float, fire: str, others: dict[str, Array]) -> None:
    """Add the update rule and NIR's fields of neurons by the coefficients of their step."""
    lost = np.maximum(1 - decay, 2.0**-40)
    fields = {**others, "v_leak": np.where(decay < 1, drift / lost, 0)}
    fields |= {"tau_mem" if syn else "tau": dt / lost, "r": (1.0 if syn else gain) / lost}
    fields |= {"drift": drift} if (decay >= 1).any() else {}
    if (decay >= 1).all() and not syn:
        fields = {**others, "drift": drift, "r": np.full(len(decay), gain / dt)}
    for kept, end in zip(syn, ("", "_2")):
        lost = np.maximum(1 - kept, 2.0**-40)
        fields |= {f"tau_syn{end}": dt / lost, f"w_in{end}": gain / lost}
    chip.rules[ids] = ("decay i, add x->i, decay v, add i->v" if syn else "decay v, add x->v") + fire
    for key, value in fields.items():
        chip.fields.setdefault(key, np.full(len(chip.rules), np.nan))[ids] = value
