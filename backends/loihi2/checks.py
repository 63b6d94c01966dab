"""Check fields of network.npz and mapping.json against each other.

deploy.py holds the text of this module.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from nirc.files.description import File, Tree, check_shapes
from nirc.files.faults import Faults, join
from nirc.files.members import check_known, check_names, check_outputs, check_pointers


def check_network(tree: Tree, file: File, trees: Mapping[str, Tree], faults: Faults) -> None:
    """Note names that do not exist, and arrays that do not fit the blocks that they connect."""
    for i, source in enumerate(tree["inputs"]):
        check_pointers(f"inputs[{i}].channels", source["channels"], tree["channels"], faults)
    for i, population in enumerate(tree["populations"]):
        path, n = f"populations[{i}]", population["bias_mant"].size
        check_shapes(file.item("populations"), population, path, {"n": max(1, n)}, faults)
    check_names([*tree["inputs"], *tree["populations"]], "the inputs and populations", faults)
    check_names(tree["projections"], "the projections", faults)
    if faults:
        return
    neurons = neurons_of(tree)
    senders = senders_of(tree)
    for i, block in enumerate(tree["projections"]):
        path = f"projections[{i}]"
        sources = check_known(f"{path}.source", block["source"], senders, faults)
        targets = check_known(f"{path}.target", block["target"], neurons, faults)
        if block["source"] in senders and block["target"] in neurons:
            check_projection(block, path, file, sources, targets, faults)
    check_outputs(tree, neurons, faults)


def neurons_of(tree: Tree) -> dict[str, int]:
    """Return the neurons of each population, by name."""
    return {population["name"]: population["bias_mant"].size for population in tree["populations"]}


def senders_of(tree: Tree) -> dict[str, int]:
    """Return the lines of each input and the neurons of each spiking population, by name."""
    sizes = {source["name"]: source["channels"].size for source in tree["inputs"]}
    return {**sizes, **{p["name"]: p["bias_mant"].size for p in tree["populations"] if p["spikes"]}}


def check_projection(
    block: Tree, path: str, file: File, sources: int, targets: int, faults: Faults
) -> None:
    """Note arrays of a projection that do not fit its ends."""
    if block["kind"] == "conv":
        check_convolution(block, path, file, sources, targets, faults)
        return
    sizes = {"targets": targets, "sources": sources, "synapses": block["weights"].size}
    check_shapes(file.item("projections"), block, path, sizes, faults)
    if block["kind"] == "sparse" and not faults:
        rows, cols = block["rows"], block["cols"]
        if rows.size:
            check_pointers(f"{path}.rows", rows, targets, faults)
            check_pointers(f"{path}.cols", cols, sources, faults)
        if (np.diff(rows.astype(np.int64) * sources + cols) <= 0).any():
            faults.damaged(
                path, "synapses are out of order or double", "rows, cols", "by row, then column"
            )


def output_side(n: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    """Return the outputs of a kernel along an axis of ``n`` inputs.

    They are below 1 if the kernel does not fit into the padded map.
    """
    return (n + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def check_convolution(
    block: Tree, path: str, file: File, sources: int, targets: int, faults: Faults
) -> None:
    """Note a kernel that does not fit its geometry, and a geometry that does not fit its ends."""
    g, numbers, at = block["geometry"], file.numbers, f"{path}.geometry"
    _, _, *kernel = block["weights"].shape
    low, high = numbers["map"]
    for name in ("shape_in", "shape_out"):
        if not low <= min(g[name][1:]) <= max(g[name][1:]) <= high:
            faults.outside(f"{at}.{name}", max(g[name][1:]), (low, high), "a map is too large")
    low, high = numbers["kernel"]
    for side in kernel:
        if not low <= side <= high:
            faults.outside(f"{path}.weights", side, (low, high), "a kernel is too large")
    if faults:
        return
    for name, n in (("shape_in", sources), ("shape_out", targets)):
        if math.prod(g[name]) != n:
            faults.damaged(f"{at}.{name}", "a map has another size than its neurons", g[name], n)
    if g["shape_in"][0] % g["groups"] or g["shape_out"][0] % g["groups"]:
        faults.damaged(
            f"{at}.groups", "groups do not divide the channels", g["groups"], "equal groups"
        )
    wanted = (g["shape_out"][0], g["shape_in"][0] // g["groups"], *kernel)
    if block["weights"].shape != wanted:
        faults.damaged(
            f"{path}.weights", "an array has another shape", block["weights"].shape, wanted
        )
    sides = [
        output_side(
            g["shape_in"][1 + axis],
            kernel[axis],
            g["stride"][axis],
            g["padding"][axis],
            g["dilation"][axis],
        )
        for axis in (0, 1)
    ]
    if sides != list(g["shape_out"][1:]):
        faults.damaged(
            f"{at}.shape_out", "the kernel gives another output", g["shape_out"][1:], tuple(sides)
        )
    if not faults:
        check_work(block, path, numbers, faults)
    odd = block["weights"][(block["weights"] & 1) != 0]
    if odd.size:
        faults.outside(
            f"{path}.weights", odd[0].item(), numbers["weight"], "a weight of a convolution is odd"
        )


def check_work(block: Tree, path: str, numbers: Mapping[str, Any], faults: Faults) -> None:
    """Note a convolution for which the emulator has no time or memory."""
    g, kernel = block["geometry"], block["weights"].shape[2:]
    channels, y, x = g["shape_in"]
    positions = g["shape_out"][1] * g["shape_out"][2]
    padded = channels * (y + 2 * g["padding"][0]) * (x + 2 * g["padding"][1])
    seen = max(padded, channels * positions * kernel[0] * kernel[1])
    for size, most in (
        (block["weights"].size * positions, numbers["products"]),
        (seen, numbers["seen"]),
    ):
        if size > most:
            faults.damaged(f"{path}.geometry", "the convolution is too large", size, most)


# mapping.json.


def check_mapping(tree: Tree, file: File, trees: Mapping[str, Tree], faults: Faults) -> None:
    """Note populations whose parts are not all of their neurons, each once."""
    neurons = neurons_of(trees["network.npz"])
    boxes: dict[str, list[Any]] = {name: [] for name in neurons}
    for i, part in enumerate(tree["parts"]):
        name = part["population"]
        if name in boxes:
            boxes[name].append(part["box"])
        else:
            path = f"parts[{i}].population"
            faults.damaged(path, "a population is unknown", name, "of network.npz")
    for name, parts in boxes.items():
        if part_indices(parts, neurons[name]) is None:
            path = join("parts of", name)
            faults.damaged(
                path,
                "neurons are missing, double or too many",
                f"{len(parts)} parts",
                neurons[name],
            )


def part_indices(boxes: list[Any], n: int) -> list[Any] | None:
    """Return the neurons of each box of a population with ``n`` neurons.

    Return None if they are not all neurons, each once.
    """
    axes = {len(box) for box in boxes}
    if len(axes) != 1:
        return None
    shape = [max(box[axis][1] for box in boxes) for axis in range(axes.pop())]
    if math.prod(shape) != n:
        return None
    grid = np.arange(n).reshape(shape)
    index = [grid[tuple(slice(begin, end) for begin, end in box)].ravel() for box in boxes]
    every = np.sort(np.concatenate(index))
    return index if every.size == n and bool((every == np.arange(n)).all()) else None


def ends(trees: Mapping[str, Tree]) -> dict[str, Any]:
    """Return the channels that manifest.json may name."""
    tree = trees["network.npz"]
    spiking = {population["name"]: population["spikes"] for population in tree["populations"]}
    fires: list[bool] = []
    for output in tree["outputs"]:
        fires += [spiking[output["population"]]] * output["neurons"].size
    return {
        "inputs": tree["channels"],
        "outputs": len(fires),
        "kinds": ["spikes", "membrane"],
        "silent": [column for column, spikes in enumerate(fires) if not spikes],
        "parts": {"neurons": sum(neurons_of(tree).values()), "readout": len(fires)},
    }
