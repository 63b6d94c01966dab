"""Checks of the fields of network.npz against each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nirc.files.description import File, Tree
from nirc.files.faults import Faults
from nirc.files.members import check_known, check_names, check_outputs, check_pointers
from nirc.ir.rules import EMIT, Fire, Rule, parse
from nirc.ir.rules import faults as faults_of
from nirc_target_c.bounds import COUNT


def check_network(tree: Tree, file: File, trees: Mapping[str, Tree], faults: Faults) -> None:
    """Check names, shapes, rules and the order of populations."""
    first = 0
    for i, source in enumerate(tree["inputs"]):
        channels = source["channels"]
        check_pointers(f"inputs[{i}].channels", channels, tree["channels"], faults)
        _in_a_row(f"inputs[{i}].channels", channels, first, faults)
        first += channels.size
    for i, population in enumerate(tree["populations"]):
        _population(population, f"populations[{i}]", faults)
    check_names([*tree["inputs"], *tree["populations"]], "the inputs and populations", faults)
    neurons = {block["name"]: block["n"] for block in tree["populations"]}
    check_outputs(tree, neurons, faults)
    if faults:
        return  # sizes are multiplied from here on
    for i, output in enumerate(tree["outputs"]):
        _in_a_row(f"outputs[{i}].neurons", output["neurons"], 0, faults)
        if output["neurons"].size != neurons[output["population"]]:
            faults.damaged(f"outputs[{i}].neurons", "neurons are left out", None, "all neurons")
    senders = {block["name"]: block["channels"].size for block in tree["inputs"]}
    senders |= {block["name"]: block["n"] for block in tree["populations"] if _fires(block)}
    for i, block in enumerate(tree["projections"]):
        path = f"projections[{i}]"
        n_in = check_known(f"{path}.source", block["source"], senders, faults)
        n_out = check_known(f"{path}.target", block["target"], neurons, faults)
        if n_in and n_out:
            _PARTS[block["kind"]](block, path, n_in, n_out, faults)
    if not faults:
        _receptors(tree, neurons, faults)
        _order(tree, faults)


def _in_a_row(path: str, numbers: Any, first: int, faults: Faults) -> None:
    if not np.array_equal(numbers, np.arange(first, first + numbers.size)):
        faults.damaged(path, "numbers are out of order", None, f"from {first} on, in order")


def _fires(block: Tree) -> bool:
    return "threshold" in block


def _population(block: Tree, path: str, faults: Faults) -> None:
    """Check the shapes of the parameters, and the rule against them."""
    for name in block["arrays"]:
        if block[name].shape not in ((1,), (block["n"],)):
            allowed = f"(1,) or ({block['n']},)"
            message = "an array has another shape"
            faults.damaged(f"{path}.{name}", message, block[name].shape, allowed)
    try:
        rule = parse(block["rule"])
    except ValueError as error:
        faults.damaged(f"{path}.rule", str(error), block["rule"], "operations of a rule")
        return
    wrong = [*faults_of(rule, synapse=rule.has_synapse, fires=_fires(block))]
    fires = rule.fires
    if fires is not None and (fires.most is None or fires.most > COUNT):
        wrong.append(f"neurons fire more than {COUNT} times in a step")
    if _fires(block) and not compares_first(rule):
        wrong.append("spikes leave before a comparison")
    if not rule.has_synapse and ("decay_syn" in block or "decay_syn_2" in block):
        wrong.append("there is a decay of a current, and no current")
    for message in wrong[:1]:
        faults.damaged(f"{path}.rule", message, block["rule"], "a rule that fits the parameters")


def compares_first(rule: Rule) -> bool:
    """Return True if a comparison stands before the spikes leave."""
    ops = rule.operations
    return EMIT in ops and any(isinstance(op, Fire) for op in ops[: ops.index(EMIT)])


def _dense(block: Tree, path: str, n_in: int, n_out: int, faults: Faults) -> None:
    if block["weight"].shape != (n_out, n_in):
        message = "an array has another shape"
        faults.damaged(f"{path}.weight", message, block["weight"].shape, (n_out, n_in))


def _list(block: Tree, path: str, n_in: int, n_out: int, faults: Faults) -> None:
    sizes = {block[name].shape for name in ("weight", "pre", "post")}
    if len(sizes) != 1:
        faults.damaged(path, "arrays have different lengths", sizes, "one length")
        return
    if not block["weight"].size:
        return
    check_pointers(f"{path}.pre", block["pre"], n_in, faults)
    check_pointers(f"{path}.post", block["post"], n_out, faults)
    key = block["post"].astype(np.int64) * n_in + block["pre"]
    if (np.diff(key) <= 0).any():
        faults.damaged(path, "synapses are out of order or double", None, "by post, then pre")


def _kernel(block: Tree, path: str, n_in: int, n_out: int, faults: Faults) -> None:
    maps, inner, *window = block["weight"].shape
    groups = block["groups"]
    fits = (
        block["maps"] == inner * groups
        and maps > 0
        and maps % groups == 0
        and min(window) > 0
        and block["maps"] * block["height"] * block["width"] == n_in
    )
    rows = shape_out(block) if fits else (0, 0, 0)
    if not fits or min(rows) < 1 or rows[0] * rows[1] * rows[2] != n_out:
        found = f"{n_in} -> {rows}"
        faults.damaged(path, "the kernel does not fit its maps", found, f"{n_out} neurons")


_PARTS = {"dense": _dense, "list": _list, "kernel": _kernel}


def shape_out(kernel: Mapping[str, Any]) -> tuple[int, int, int]:
    """Return maps, rows and columns behind a kernel."""
    maps, _, *window = kernel["weight"].shape
    sides = []
    for axis, size, before, after, extent in (
        ("y", "height", "pad_top", "pad_bottom", window[0]),
        ("x", "width", "pad_left", "pad_right", window[1]),
    ):
        padded = kernel[size] // kernel[f"pool_{axis}"] + kernel[before] + kernel[after]
        span = kernel[f"dilation_{axis}"] * (extent - 1) + 1
        sides.append((padded - span) // kernel[f"stride_{axis}"] + 1)
    return maps, sides[0], sides[1]


def _receptors(tree: Tree, neurons: Mapping[str, int], faults: Faults) -> None:
    """Check that second receptors exist, and that constants come with a projection."""
    second = {block["name"] for block in tree["populations"] if "decay_syn_2" in block}
    reached = {(block["target"], block["receptor"]) for block in tree["projections"]}
    for target, receptor in sorted(reached):
        if receptor and target not in second:
            faults.damaged("projections", "a second receptor is missing", target, "receptor 0")
    for i, block in enumerate(tree["constants"]):
        if (block["target"], block["receptor"]) not in reached:
            message = "no projection reaches this receptor"
            faults.damaged(f"constants[{i}]", message, block["target"], "a receptor in use")
        elif block["value"].size != neurons[block["target"]]:
            message = "an array has another shape"
            faults.damaged(f"constants[{i}].value", message, block["value"].shape, "(n,)")


def _order(tree: Tree, faults: Faults) -> None:
    """Check that each population stands behind those whose spikes it takes in the same step."""
    place = {block["name"]: i for i, block in enumerate(tree["populations"])}
    for i, block in enumerate(tree["projections"]):
        late = place.get(block["source"], -1) >= place.get(block["target"], 0)
        if late and not block["lag"]:
            message = "a projection without delay leads back"
            faults.damaged(f"projections[{i}].lag", message, block["lag"], "1 or more")
