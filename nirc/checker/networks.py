"""The reader of network.npz, the network file of chips with many cores."""

from __future__ import annotations

from typing import Any

import numpy as np

from nirc.checker.bundle import Bundle
from nirc.checker.compare import Chip
from nirc.checker.values import Array, demand, fit, parsed

# fmt: off
NETWORK, MAPPING = "network.npz", "mapping.json"
Block = dict[str, Any]  # fields and arrays by name


def array(dtype: str, axes: tuple[int, ...], low: float, high: float) -> Any:
    """Return the pattern of an array of integers, or of float32."""
    def pattern(file: str, value: Any, place: str) -> Any:
        sound = type(value) is np.ndarray and value.dtype.str == dtype and value.ndim in axes
        demand(sound, file, place, "it is missing, or of another type", "", dtype)
        odd = value[~((value >= low) & (value <= high)) | (value == 0) & np.signbit(value)]
        demand(not odd.size, file, place, "odd value", odd[:1], (low, high))
        return value.astype(float if value.dtype.kind == "f" else int)
    return pattern


COUNT = array("<i4", (1,), 0, 2**31 - 1)


def either(key: str, patterns: dict[str, Any], more: dict[str, Any]) -> Any:
    """Return the pattern of a block: its field ``key`` names one, and it may have ``more``."""
    return lambda file, value, place: fit(file, value, {
        key: str, **patterns[fit(file, value.get(key), {*patterns}, f"{place}.{key}")],
        **{name: pattern for name, pattern in more.items() if name in value}}, place)


def network_file(bundle: Bundle, name: str, kinds: Block) -> tuple[Any, Block, Array, Chip]:
    """Return network.npz: blocks, positions of nodes' neurons in one row, numbers, and the chip.

    ``kinds``: the pattern of each kind of blocks. The chip has no parts and no synapses yet.
    """
    arrays = bundle.npz(NETWORK)
    tree = parsed(NETWORK, arrays.pop("network").tobytes(), object)
    for kind in kinds:
        for i, block in enumerate(tree[kind]):
            block |= {key: arrays.pop(f"{kind}/{i}/{key}") for key in block.pop("arrays")}
    lists = {kind: [pattern, ...] for kind, pattern in kinds.items()}
    tree = fit(NETWORK, tree, {"format": name, "channels": (0, 2**31 - 1), **lists})
    first, nodes = tree["channels"], [*tree["inputs"], *tree["populations"]]
    inputs = [block["channels"] for block in tree["inputs"]]
    sizes = [*map(len, inputs)]
    sizes += [block.get("n", len(block["v_init"])) for block in tree["populations"]]
    names = [block["name"] for block in nodes]
    ids = dict(zip(names, np.split(np.arange(sum(sizes)), np.cumsum(sizes))))
    sound = len(ids) == len(names) and not arrays
    demand(sound, NETWORK, "the file", "an array of no block, or a name twice")
    n = first + sum(sizes[len(inputs):])
    number = np.concatenate([*inputs, np.arange(first, n)])
    read = [number[ids[block["population"]][block["neurons"]]] for block in tree["outputs"]]
    columns = np.concatenate([number[:0], *read])
    fields, idle = {"rule": np.full(n, "", "U100")}, np.zeros(n, bool)
    return {**tree, "nodes": nodes}, ids, number, Chip(first, {}, fields, {}, [], columns, idle)


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
