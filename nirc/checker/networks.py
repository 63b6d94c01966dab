"""The reader of network.npz, the network file of chips with many cores."""

from __future__ import annotations

from typing import Any

import numpy as np

from nirc.checker.bundle import Bundle
from nirc.checker.compare import Chip
from nirc.checker.values import Array, demand, fit, parsed

# fmt: off
NETWORK, MAPPING = "network.npz", "mapping.json"
Block = dict[str, Any]  # fields and arrays by name, its "place" in the file, "n": its neurons


def network_file(bundle: Bundle, name: str, kinds: dict[str, Any]) -> dict[str, Any]:
    """Return the blocks of network.npz by kind.

    ``kinds``: of each kind the pattern of its fields, and type, axes, least and most of its arrays.
    """
    arrays = bundle.npz(NETWORK)
    text = arrays.pop("network", np.zeros(0)).tobytes()
    pattern: dict[str, Any] = {"format": name, "channels": (0, 2**31 - 1)}
    for kind, (fields, columns) in kinds.items():
        pattern[kind] = [{"arrays": [*columns], **fields}, ...]
    tree: dict[str, Any] = parsed(NETWORK, text, pattern)
    for kind, (_, columns) in kinds.items():
        for i, block in enumerate(tree[kind]):
            block["place"] = f"{kind}/{i}"
            for key in block["arrays"]:
                place = f"{kind}/{i}/{key}"
                array, (dtype, axes, low, high) = arrays.pop(place, None), columns.get(key, "????")
                sound = array is not None and array.dtype.str == dtype and array.ndim in axes
                demand(sound, NETWORK, place, "it is missing, or of another type", "", dtype)
                odd = array[~((array >= low) & (array <= high)) | (array == 0) & np.signbit(array)]
                demand(not odd.size, NETWORK, place, "odd value", odd[:1], (low, high))
                block[key] = array.astype(float if array.dtype.kind == "f" else int)
                block.setdefault("n", len(array))
    nodes = tree["nodes"] = [*tree["inputs"], *tree["populations"]]
    unique = len({block["name"] for block in nodes}) == len(nodes)
    demand(unique and not arrays, NETWORK, "the file", "an array of no block, or a name twice")
    return tree


def numbered(tree: Any) -> tuple[dict[str, Array], Array, Chip]:
    """Return the positions of each node's neurons in one row, the numbers of all, and the chip.

    The chip has no parts and no synapses yet.
    """
    ends = np.cumsum([0, *(block["n"] for block in tree["nodes"])])
    ids = {b["name"]: np.arange(*pair) for b, *pair in zip(tree["nodes"], ends, ends[1:])}
    first, n = tree["channels"], tree["channels"] + sum(b["n"] for b in tree["populations"])
    inputs = [block["channels"] for block in tree["inputs"]]
    number, column = np.concatenate([*inputs, np.arange(first, n)]), np.zeros(0, int)
    for block in tree["outputs"]:
        at = ids[fit(NETWORK, block["population"], {*ids}, block["place"])]
        inside = block["neurons"].max(initial=0) < len(at)
        demand(inside, NETWORK, block["place"], "a neuron is not there")
        column = np.append(column, number[at[block["neurons"]]])
    fields, idle = {"rule": np.full(n, "", "U100")}, np.zeros(n, bool)
    return ids, number, Chip(first, {}, fields, {}, [], column, idle)


def add_neurons(chip: Chip, at: Array, dt: float, decay: Array, drift: Array, syn: list[Array],
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
    rule = ("decay i, add x->i, decay v, add i->v" if syn else "decay v, add x->v") + fire
    for key, value in {**fields, "rule": rule}.items():
        chip.fields.setdefault(key, np.zeros(len(chip.idle)))[at] = value
