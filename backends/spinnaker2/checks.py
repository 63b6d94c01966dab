"""Checks of the fields of network.npz and mapping.json against each other.

deploy.py holds this module's text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nirc.files.description import File, Tree, check_shapes
from nirc.files.faults import Faults
from nirc.files.members import check_known, check_names, check_outputs, check_pointers

CONVOLVED = "lif_conv2d"
WORD = (1 << 32) - 1


def check_network(tree: Tree, file: File, trees: Mapping[str, Tree], faults: Faults) -> None:
    """Check names, shapes, the order of synapses and the ranges of the target's model."""
    for i, source in enumerate(tree["inputs"]):
        check_pointers(f"inputs[{i}].channels", source["channels"], tree["channels"], faults)
    for i, population in enumerate(tree["populations"]):
        check_parameters(population, f"populations[{i}]", faults)
    check_names([*tree["inputs"], *tree["populations"]], "the inputs and populations", faults)
    check_names([*tree["projections"], *tree["convolutions"]], "the projections", faults)
    if faults:
        return  # sizes are multiplied from here on
    models = {population["name"]: population["model"] for population in tree["populations"]}
    senders = senders_of(tree)
    neurons = neurons_of(tree)
    for kind, check in (("projections", check_projection), ("convolutions", check_convolution)):
        for i, block in enumerate(tree[kind]):
            path = f"{kind}[{i}]"
            sources = check_known(f"{path}.source", block["source"], senders, faults)
            targets = check_known(f"{path}.target", block["target"], neurons, faults)
            if sources and targets:
                check(block, path, file, sources, targets, models[block["target"]], faults)
    into = dict.fromkeys(models, 0)
    for convolution in tree["convolutions"]:
        into[convolution["target"]] = into.get(convolution["target"], 0) + 1
    for i, population in enumerate(tree["populations"]):
        count = into[population["name"]]
        if population["model"] == CONVOLVED and count != 1:
            faults.damaged(f"populations[{i}]", "the model takes one convolution", count, 1)
    check_outputs(tree, neurons, faults)


def neurons_of(tree: Tree) -> dict[str, int]:
    """Return the number of neurons of each population, by name."""
    return {population["name"]: population["n"] for population in tree["populations"]}


def senders_of(tree: Tree) -> dict[str, int]:
    """Return the number of neurons of each input and each spiking population, by name."""
    sizes = {source["name"]: source["channels"].size for source in tree["inputs"]}
    return {**sizes, **{p["name"]: p["n"] for p in tree["populations"] if p["spikes"]}}


def check_parameters(population: Tree, path: str, faults: Faults) -> None:
    """Check that parameters have one value for all neurons, or one for each."""
    for name in population["arrays"]:
        if population[name].shape not in ((1,), (population["n"],)):
            shape, allowed = population[name].shape, f"(1,) or ({population['n']},)"
            faults.damaged(f"{path}.{name}", "an array has another shape", shape, allowed)


def check_projection(
    block: Tree, path: str, file: File, sources: int, targets: int, model: str, faults: Faults
) -> None:
    """Check the ranges and the order of synapses."""
    if model == CONVOLVED:
        message = "the model takes no list of synapses"
        faults.damaged(f"{path}.target", message, model, "a convolution")
    pre, post, delay = block["pre"], block["post"], block["delay"]
    check_shapes(file.item("projections"), block, path, {"synapses": pre.size}, faults)
    if faults or not pre.size:
        return
    check_pointers(f"{path}.pre", pre, sources, faults)
    check_pointers(f"{path}.post", post, targets, faults)
    delayed = model in file.numbers["delayed"]
    weights, delays = file.numbers["weights"][delayed], file.numbers["delays"][delayed]
    check_range(f"{path}.weight", block["weight"], weights, model, faults)
    check_range(f"{path}.delay", delay, delays, model, faults)
    key = (pre.astype(np.int64) * targets + post) * (file.numbers["delays"][True][1] + 1) + delay
    if (np.diff(key) <= 0).any():
        message = "synapses are out of order or double"
        faults.damaged(path, message, "pre, post, delay", "by pre, then post, delay")


def check_range(
    path: str, values: Any, allowed: tuple[int, int], model: str, faults: Faults
) -> None:
    """Check values against the range of the target's model."""
    bad = values[(values < allowed[0]) | (values > allowed[1])]
    if bad.size:
        message = f"a value is outside the range of {model}"
        faults.outside(path, bad[0].item(), tuple(allowed), message, others=len(bad) - 1)


def check_convolution(
    block: Tree, path: str, file: File, sources: int, targets: int, model: str, faults: Faults
) -> None:
    """Check that the maps have as many pixels as there are neurons."""
    if model != CONVOLVED:
        faults.damaged(f"{path}.target", "the model takes no convolution", model, CONVOLVED)
    maps, features, *kernel = block["weight"].shape
    if not block["weight"].size:
        shape = block["weight"].shape
        faults.damaged(f"{path}.weight", "an array is empty", shape, "1 or more on each axis")
        return
    pads = (block["pad_top"] + block["pad_bottom"], block["pad_left"] + block["pad_right"])
    rows = (block["in_height"] // block["pool_y"] + pads[0] - kernel[0]) // block["stride_y"] + 1
    columns = (block["in_width"] // block["pool_x"] + pads[1] - kernel[1]) // block["stride_x"] + 1
    shape = (maps, block["in_height"], block["in_width"])
    for end, (channels, y, x), n in (
        ("source", shape, sources),
        ("target", (features, rows, columns), targets),
    ):
        if min(y, x) < 1 or channels * y * x != n:
            message = "a map does not fit the population"
            faults.damaged(f"{path}.{end}", message, (channels, y, x), f"{n} neurons")


# mapping.json.


def check_mapping(tree: Tree, file: File, trees: Mapping[str, Tree], faults: Faults) -> None:
    """Check slices, keys and routing tables."""
    network, slices = trees["network.npz"], tree["slices"]
    check_slices(slices, network, file.numbers, faults)
    if not faults:
        check_keys(slices, cuts_of(network), file.numbers["neurons"], faults)
        check_entries(tree, file.numbers, faults)


def cuts_of(network: Tree) -> list[tuple[str, int, int]]:
    """Return the slices of a network, as py-spinnaker2 cuts it: population, first and last + 1."""
    cuts: list[tuple[str, int, int]] = []
    for name, n, atoms in atoms_of(network):
        cuts += [(name, k, min(k + atoms, n)) for k in range(0, n, atoms)]
    return cuts


def atoms_of(network: Tree) -> list[tuple[str, int, int]]:
    """Return the name of each input and population, its neurons, and those that a PE takes."""
    inputs = [(p["name"], p["channels"].size, p["atoms"]) for p in network["inputs"]]
    return inputs + [(p["name"], p["n"], p["atoms"]) for p in network["populations"]]


def check_slices(
    slices: list[list[int]], network: Tree, numbers: Mapping[str, Any], faults: Faults
) -> None:
    """Check that each slice of the network has a PE of its own."""
    wanted = sum(-(-n // atoms) for _, n, atoms in atoms_of(network))
    if len(slices) != wanted:
        faults.damaged("slices", "there is not one for all neurons of a PE", len(slices), wanted)
    for i, (chip, core, _, _) in enumerate(slices):
        if chip >= numbers["chips"]:
            faults.outside(f"slices[{i}][0]", chip, (0, numbers["chips"] - 1))
        if not 1 <= core <= numbers["cores"]:
            faults.outside(f"slices[{i}][1]", core, (1, numbers["cores"]))
    if len({(chip, core) for chip, core, _, _ in slices}) < len(slices):
        faults.damaged(
            "slices", "a core has two slices", len(slices), "one program, and so one slice, a core"
        )


def check_keys(
    slices: list[list[int]], cuts: list[tuple[str, int, int]], most: int, faults: Faults
) -> None:
    """Check that keys are aligned blocks of 2^n that do not overlap, with a key for each neuron."""
    for i, (_, begin, end) in enumerate(cuts):
        _, _, key, mask = slices[i]
        room, n = WORD - mask + 1, end - begin
        if room & (room - 1) or key & ~mask or not 0 < n <= min(room, most):
            allowed = f"a block of 2^n keys for 1..{most} neurons"
            keys = f"{key:#x}/{mask:#x}"
            faults.damaged(f"slices[{i}]", "the keys of a slice are no block", keys, allowed)
    last = -1
    for _, _, key, mask in sorted(slices, key=lambda row: row[2]):
        if key <= last:
            faults.damaged("slices", "keys overlap", key, f"above {last}")
        last = key + WORD - mask


def check_entries(tree: Tree, numbers: Mapping[str, Any], faults: Faults) -> None:
    """Check that entries select keys, lead to a route, and are in order and not too many."""
    routes, last, count = len(tree["routes"]), 0, 0
    for i, (chip, key, mask, route) in enumerate(tree["entries"]):
        path = f"entries[{i}]"
        if not last <= chip < numbers["chips"]:
            allowed = f"{last}..{numbers['chips'] - 1}"
            faults.damaged(path, "chips are out of order, or do not exist", chip, allowed)
        if key & ~mask or route >= routes:
            message = "an entry selects nothing or leads nowhere"
            faults.damaged(path, message, (key, mask), f"key, mask, one of {routes} routes")
        last, count = chip, count + 1 if chip == last else 1
        if count == numbers["entries"] + 1:
            faults.outside(path, count, (0, count - 1), "a router has too many entries")


def ends(trees: Mapping[str, Tree]) -> dict[str, Any]:
    """Return the channels and parts that manifest.json may name."""
    tree = trees["network.npz"]
    spiking = {population["name"]: population["spikes"] for population in tree["populations"]}
    fires: list[bool] = []
    for output in tree["outputs"]:
        fires += [spiking[output["population"]]] * output["neurons"].size
    return {
        "inputs": tree["channels"],
        "outputs": len(fires),
        "kinds": ["spikes" if all(fires) else "membrane"],
        "silent": [column for column, spikes in enumerate(fires) if not spikes],
        "parts": {**neurons_of(tree), "readout": len(fires)},
    }
