"""The reader of network.npz, the network file of chips with many cores."""

from __future__ import annotations

from typing import Any

import numpy as np

from nirc.checker.bundle import Bundle
from nirc.checker.compare import Chip
from nirc.checker.network import windows
from nirc.checker.values import Array, Refused, fit, parsed

NETWORK = "network.npz"
# fmt: off
# What the search says of its placement. No chip reads it, and nothing proves cost, bound and loads.
FLOORPLAN = {"format": "nirc-floorplan/1", "cost": object, "bound": object, "links": [
    {"from": [(0, 1023)] * 3, "to": [(0, 1023)] * 3, "load": object, "capacity": object}, ...]}


class Block:
    """A block of network.npz: fields of its JSON, and arrays."""

    def __init__(self, place: str, fields: dict[str, Any], arrays: dict[str, Array]) -> None:
        self.place, self.fields = place, fields
        self.arrays = {name: arrays.pop(f"{place}/{name}", None) for name in fields["arrays"]}

    def __getitem__(self, key: str) -> Any:
        return self.fields[key]

    def refused(self, problem: str, *values: object) -> Refused:
        """Return the refusal of this block."""
        return Refused(NETWORK, self.place, problem, *values)

    def array(self, name: str, dtype: str, shape: tuple[int | None, ...], low: float, high: float) -> Array:
        """Return an array of this type, shape (None: any length) and range, without -0."""
        array = self.arrays.get(name)
        if array is None or array.dtype.str != dtype or len(shape) != array.ndim:
            raise self.refused(f"{name} is missing, or of another type", "", dtype)
        odd = array[~((low <= array) & (array <= high)) | (array == 0) & np.signbit(array)]
        if odd.size or any(k not in (None, n) for k, n in zip(shape, array.shape)):
            raise self.refused(f"{name} has another shape or value", odd[:1], f"{shape} of {low}..{high}")
        return array.astype(np.float64 if array.dtype.kind == "f" else np.int64)


def network_file(bundle: Bundle, name: str, kinds: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the blocks of network.npz by kind. ``kinds``: patterns of fields that are no arrays."""
    arrays = bundle.npz(NETWORK)
    pattern = {kind: [{**fields, "arrays": [str, ...]}, ...] for kind, fields in kinds.items()}
    text = arrays.pop("network", np.zeros(0)).tobytes()
    tree: dict[str, Any] = parsed(NETWORK, text, {"format": name, "channels": (0, 2**31 - 1), **pattern})
    for kind in kinds:
        tree[kind] = [Block(f"{kind}/{i}", row, arrays) for i, row in enumerate(tree[kind])]
    tree["nodes"] = [*tree["inputs"], *tree["populations"]]
    names = [block["name"] for block in tree["nodes"]]
    if arrays or len(set(names)) < len(names):
        raise Refused(NETWORK, "the file", "an array of no block, or a name twice", *arrays)
    return tree


def numbered(tree: dict[str, Any], ids: dict[str, Array], parts: dict[str, int], spikes: Array) -> tuple[Chip, Array]:
    """Return a chip without synapses, and neurons' numbers. A readout is counted by its columns."""
    column = np.zeros(0, int)
    for block in tree["outputs"]:
        at = ids[fit(NETWORK, block["population"], ids.keys(), block.place)]
        column = np.append(column, at[block.array("neurons", "<i4", (None,), 0, len(at) - 1)])
    n = tree["channels"] + len(spikes)
    silent, number = np.flatnonzero(~spikes[column - tree["channels"]]), np.arange(n + len(column))
    number[column[silent]] = n + silent
    idle = ~np.isin(np.arange(len(number)), number[:n])
    parts = {**parts, "readout": len(column)}
    return Chip(tree["channels"], parts, {}, {}, np.full(len(number), "", object), [], number[column], idle), number


def joined(rows: list[Any]) -> list[Array]:
    """Return synapses that stand in several rows of columns."""
    spread = [np.broadcast_arrays(*row) for row in [[np.zeros(0, int)] * 5, *rows]]
    return [np.concatenate(column) for column in zip(*spread)]


def kernel(block: Block, w: Array, before: list[int], behind: list[int], pads: list[int],
           stride: list[int], dilation: list[int], groups: int) -> tuple[Array, ...]:
    """Return target, source and weight of each synapse of a kernel, of weight 0, too.

    ``w``: (channels out, channels in of a group, y, x). ``pads``: above, left, below, right.
    """
    if w.shape[1] * groups != before[0] or len(w) % groups:
        raise block.refused("the kernel does not fit its maps")
    own = np.arange(len(w))[:, None] // (len(w) // groups) == np.arange(before[0]) // w.shape[1]
    full = np.zeros((len(w), before[0], *w.shape[2:]))
    full[own] = w.reshape(-1, *w.shape[2:])
    there = np.broadcast_to(own[:, :, None, None], full.shape)
    shape, to, frm, tap = windows(there, before, stride, pads, dilation)
    if list(shape) != behind:
        raise block.refused("the kernel does not fit its maps", shape, behind)
    return to, frm, full.ravel()[tap]


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
