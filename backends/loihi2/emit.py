"""The files of a bundle: network.npz, network.net for a chain, mapping.json, deploy.py.

mapping.json has the cores of the neurons and the targets of their spikes. Public Lava takes no
placement: Intel's compiler places anew.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import numpy as np

from nirc.backends.loihi2.checks import check_mapping
from nirc.backends.loihi2.cores import Chip
from nirc.backends.loihi2.findings import ValueOutsideRange
from nirc.backends.loihi2.limits import LOGS, WRAP
from nirc.backends.loihi2.lower import largest_u, wraps_after
from nirc.backends.loihi2.netx import network_net
from nirc.backends.loihi2.tables import FILE, NETWORK, to_npz
from nirc.files.description import File
from nirc.files.kinds import (
    Const,
    Integer,
    Integers,
    Kind,
    Many,
    Map,
    Maybe,
    Number,
    Object,
    Size,
    Text,
)
from nirc.files.scripts import deploy_script
from nirc.mapping.floorplan import FLOORPLAN, KEY, LARGEST, MOST_CELLS, MOST_NEURONS, MOST_TEXT

MAPPING_FILE = "mapping.json"
FORMAT = "nirc-loihi2-mapping/1"
MAX_BYTES = 1 << 30
MAX_STEPS = 1 << 30


def emit(chip: Chip, *, dt_s: float | None) -> dict[str, bytes]:
    """Return the chip's files by name."""
    files = {
        FILE: to_npz(chip.tables),
        MAPPING_FILE: mapping_json(chip, dt_s),
        "deploy.py": deploy_py(),
    }
    chain = network_net(chip.tables)
    return files if chain is None else {**files, "network.net": chain}


@cache  # it is the same for every network
def deploy_py() -> bytes:
    """Return a script that checks the bundle, builds Lava's processes and runs a raster.

    It needs numpy and Lava, not nirc. It reads network.npz, mapping.json and manifest.json.
    """
    return deploy_script(
        "nirc.backends.loihi2",
        files=[NETWORK, MAPPING],
        modules=["nirc.files.members", "nirc.backends.loihi2.checks"],
    )


def mapping_file() -> File:
    """Describe mapping.json."""
    core = Integer(0, MOST_CELLS, doc="its number in `floorplan.cores`")
    part: dict[str, Kind] = {
        "population": Text(MOST_TEXT),
        "box": Integers(
            (Size("axes", 3), 2), 0, MOST_NEURONS, doc="from, up to and without, for each axis"
        ),
        "core": core,
        "targets": Integers(("targets",), 0, MOST_CELLS, doc="cores that its spikes go to, rising"),
    }
    routing: dict[str, Kind] = {
        "order": Text(
            MOST_TEXT,
            doc="how routes are chosen, and why they cannot wait for one another in a circle",
        ),
        "parts": Many(Object(part), "parts"),
        "spikes_a_step_between_cores": Number(
            0, LARGEST, doc="each spike once for every other core that it goes to"
        ),
    }
    steps, u = Map(Integer(0, MAX_STEPS)), Map(Integer(0, MOST_NEURONS))
    fields: dict[str, Kind] = {
        "format": Const(FORMAT),
        KEY: FLOORPLAN,
        "routing": Object(routing),
        "cores": Object(
            {
                "used": Integer(1, MOST_CELLS),
                "bound": Integer(0, MOST_CELLS, doc="no partition has fewer"),
            }
        ),
        "latency_steps": Map(
            Integer(0, MAX_STEPS, doc="steps by which the population is later than in the model")
        ),
        "largest_u": Object(
            {
                "proven": u,
                "goes_round_after": steps,
                "limit": Const(WRAP, doc="where u wraps around"),
            }
        ),
        "dt": Maybe(Number(0, LARGEST), doc="seconds of a step"),
        "note": Text(MOST_TEXT),
    }
    return File(
        MAPPING_FILE,
        Object(fields),
        check_mapping,
        {},
        MAX_BYTES,
        finding=ValueOutsideRange,
        source=LOGS,
    )


MAPPING = mapping_file()


def mapping_json(chip: Chip, dt_s: float | None) -> bytes:
    """Return the floorplan, and for every part the cores that its spikes go to.

    A core is a number in ``floorplan.cores`` in the file's order: along x, then y, then z.
    """
    placed = chip.placed
    partition = placed.partition
    populations = partition.problem.populations
    plan = placed.floorplan
    order = sorted(range(len(plan.cores)), key=lambda i: plan.cores[i].at[::-1])
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    parts = zip(
        partition.population.tolist(),
        partition.boxes.tolist(),
        partition.core.tolist(),
        placed.targets,
        strict=True,
    )
    routing = [
        {
            "population": populations[population].name,
            "box": box[: len(populations[population].shape)],
            "core": int(rank[core]),
            "targets": np.sort(rank[targets]),
        }
        for population, box, core, targets in parts
    ]
    tree: dict[str, Any] = {
        "format": FORMAT,
        KEY: plan.to_tree(),
        "routing": {
            "order": placed.deadlock,
            "parts": routing,
            "spikes_a_step_between_cores": round(partition.traffic, 6),
        },
        "cores": {"used": partition.count, "bound": partition.bound},
        "latency_steps": chip.latency_steps,
        "largest_u": _largest_u(chip),
        "dt": dt_s,
        "note": "public Lava takes no placement: this one tells fit, split, chips and cost; see "
        "deploy.py --help",
    }
    return _text(tree).encode()


def _largest_u(chip: Chip) -> dict[str, Any]:
    after = wraps_after(chip.tables)
    proven = {name: u for name, u in largest_u(chip.tables).items() if name not in after}
    return {"proven": proven, "goes_round_after": after, "limit": WRAP}


def _text(tree: dict[str, Any]) -> str:
    """Return JSON with a line for each entry of the lists and objects below the root.

    Large systems have some 100,000 cores.
    """
    lines = []
    for key, value in sorted(tree.items()):
        if isinstance(value, dict):
            inner = ",\n".join(
                f"  {json.dumps(name)}: {_rows(value[name])}" for name in sorted(value)
            )
            lines.append(f" {json.dumps(key)}: {{\n{inner}\n }}")
        else:
            lines.append(f" {json.dumps(key)}: {_line(value)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _rows(value: Any) -> str:
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return "[\n" + ",\n".join("   " + _line(row) for row in value) + "\n  ]"
    return _line(value)


def _line(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=np.ndarray.tolist)
