"""Checks of the fields of config.json against each other. deploy.py holds this module's text."""

from __future__ import annotations

from collections.abc import Mapping
from operator import or_
from typing import Any

from nirc.files.description import File, Tree, check_shapes
from nirc.files.faults import Faults


def check_config(tree: Tree, file: File, trees: Mapping[str, Tree], faults: Faults) -> None:
    """Check that matrices fit the neurons, and check targets and aliases."""
    numbers = file.numbers
    fields = file.root.fields
    block, sizes = numbers["block"], sizes_of(tree, numbers)
    for part in ("input", block, "readout"):
        check_shapes(fields[part], tree[part], part, sizes, faults)
    if not faults:
        check_targets(tree[block], block, numbers, faults)
        check_aliases(tree[block], f"{block}.neurons", faults)


def sizes_of(tree: Tree, numbers: Mapping[str, Any]) -> dict[str, int]:
    """Return the lengths of the matrices' axes by name."""
    hidden = len(tree[numbers["block"]]["neurons"])
    return {
        "input channels": len(tree["input"]["weights"]),
        "hidden neurons": hidden,
        "output neurons": len(tree["readout"]["neurons"]),
        "neurons that inputs reach": min(hidden, numbers["first"]),
        "neurons that outputs leave from": min(hidden, numbers["last"]),
    }


def check_targets(hidden: Tree, block: str, numbers: Mapping[str, Any], faults: Faults) -> None:
    """Check the numbers of targets. A pair of neurons with both synapses is one target."""
    total = 0
    second = hidden.get("syn2_weights", hidden["weights"])
    for i, row in enumerate(hidden["weights"]):
        targets = sum(map(bool, map(or_, row, second[i])))
        total += targets
        if targets > numbers["fan-out"]:
            path, allowed = f"{block}.weights[{i}]", (0, numbers["fan-out"])
            faults.outside(path, targets, allowed, "a neuron has too many targets")
    if total > numbers["entries"]:
        faults.outside(
            f"{block}.weights",
            total,
            (0, numbers["entries"]),
            "there are too many recurrent entries",
        )


def check_aliases(hidden: Tree, path: str, faults: Faults) -> None:
    """Check that a neuron's alias is another hidden neuron."""
    neurons = hidden["neurons"]
    for i, neuron in enumerate(neurons):
        alias, at = neuron["alias_target"], f"{path}[{i}].alias_target"
        if alias is not None and not hidden["aliasing"]:
            faults.damaged(at, "a neuron has an alias, but aliasing is off", alias, "null")
        elif alias is not None and alias >= len(neurons):
            faults.outside(at, alias, (0, len(neurons) - 1))
        elif alias == i:
            faults.outside(at, alias, "another neuron", "a neuron is its own alias")


def ends(trees: Mapping[str, Tree]) -> dict[str, Any]:
    """Return the channels that manifest.json may name."""
    tree = trees["config.json"]
    hidden = tree["reservoir"] if "reservoir" in tree else tree["hidden"]
    outputs = len(tree["readout"]["neurons"])
    return {
        "inputs": len(tree["input"]["weights"]),
        "outputs": outputs,
        "kinds": ["spikes", "membrane"],
        "parts": {"hidden": len(hidden["neurons"]), "readout": outputs},
    }
