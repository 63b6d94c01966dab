"""A placed network as files: network.npz, network.net if it is a chain, deploy.py, mapping.json. Pure functions."""

from __future__ import annotations

import json
from typing import Any

from nirc.backends.loihi2.chip import Chip
from nirc.backends.loihi2.deploy import deploy_py
from nirc.backends.loihi2.limits import WRAP
from nirc.backends.loihi2.netx import network_net
from nirc.backends.loihi2.ranges import goes_round_after, largest_u
from nirc.backends.loihi2.tables import FILE, to_npz
from nirc.mapping.floorplan import KEY

FORMAT = "nirc-loihi2-mapping/1"


def emit(chip: Chip, *, dt_s: float | None) -> dict[str, bytes]:
    """The chip's files by name."""
    files = {FILE: to_npz(chip.tables), "mapping.json": mapping_json(chip, dt_s), "deploy.py": deploy_py()}
    chain = network_net(chip.tables)
    return files if chain is None else {**files, "network.net": chain}


def mapping_json(chip: Chip, dt_s: float | None) -> bytes:
    """The floorplan, and for every part the cores that its spikes go to. A core is a number in ``floorplan.cores``
    as they stand in the file (along x, then y, then z)."""
    placed = chip.placed
    found = placed.partition
    plan = placed.floorplan
    order = sorted(range(len(plan.cores)), key=lambda i: plan.cores[i].at[::-1])
    rank = {core: i for i, core in enumerate(order)}
    routing = [
        {
            "population": found.problem.populations[population].name,
            "box": [[int(a), int(b)] for a, b in box[: len(found.problem.populations[population].shape)]],
            "core": rank[core],
            "targets": sorted(rank[target] for target in targets),
        }
        for population, box, core, targets in zip(
            found.population.tolist(), found.boxes.tolist(), found.core.tolist(), placed.targets, strict=True
        )
    ]
    tree: dict[str, Any] = {
        "format": FORMAT,
        KEY: plan.to_tree(),
        "routing": {
            "order": placed.deadlock,
            "parts": routing,
            "spikes_a_step_between_cores": round(found.traffic, 6),
        },
        "cores": {"used": found.count, "bound": found.bound},
        "latency_steps": chip.late,
        "largest_u": _largest_u(chip),
        "dt": dt_s,
        "note": "public Lava takes no placement: this one tells fit, split, chips and cost; see deploy.py --help",
    }
    return _text(tree).encode()


def _largest_u(chip: Chip) -> dict[str, Any]:
    after = goes_round_after(chip.tables)
    proven = {name: u for name, u in largest_u(chip.tables).items() if name not in after}
    return {"proven": proven, "goes_round_after": after, "limit": WRAP}


def _text(tree: dict[str, Any]) -> str:
    """JSON, a line for each entry of the lists and objects below: large systems have some 100,000 cores."""
    lines = []
    for key, value in sorted(tree.items()):
        if isinstance(value, dict):
            inner = ",\n".join(f"  {json.dumps(name)}: {_rows(value[name])}" for name in sorted(value))
            lines.append(f" {json.dumps(key)}: {{\n{inner}\n }}")
        else:
            lines.append(f" {json.dumps(key)}: {_line(value)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _rows(value: Any) -> str:
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return "[\n" + ",\n".join("   " + _line(row) for row in value) + "\n  ]"
    return _line(value)


def _line(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
