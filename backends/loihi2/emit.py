"""The files of a bundle: network.npz, network.net for a chain, mapping.json and more.

mapping.json has the cores of the neurons and the targets of their spikes. floorplan.json has the
places of the cores. Public Lava takes no placement: Intel's compiler places anew.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache

import numpy as np

from nirc.backends.loihi2.checks import check_mapping
from nirc.backends.loihi2.cores import Chip
from nirc.backends.loihi2.findings import ValueOutsideRange
from nirc.backends.loihi2.limits import LOGS, WRAP
from nirc.backends.loihi2.lower import largest_u, wraps_after
from nirc.backends.loihi2.netx import network_net
from nirc.backends.loihi2.tables import FILE, NETWORK, to_npz
from nirc.files.bundle import in_rows
from nirc.files.description import File
from nirc.files.kinds import Const, Integer, Integers, Kind, Many, Object, Size, Text
from nirc.files.scripts import deploy_script
from nirc.mapping.floorplan import MOST_CELLS, MOST_NEURONS, MOST_TEXT, Part, written

MAPPING_FILE = "mapping.json"
FORMAT = "nirc-loihi2-mapping/2"
MAX_BYTES = 1 << 30


def emit(chip: Chip) -> dict[str, bytes]:
    """Return the chip's files by name."""
    files = {
        FILE: to_npz(chip.tables),
        MAPPING_FILE: mapping_json(chip),
        **_floorplan(chip),
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
    part: dict[str, Kind] = {
        "population": Text(MOST_TEXT),
        "box": Integers(
            (Size("axes", 3), 2), 0, MOST_NEURONS, doc="from, up to and without, for each axis"
        ),
        "core": Integer(0, MOST_CELLS, doc="its number in `floorplan.cores` of floorplan.json"),
        "targets": Integers(("targets",), 0, MOST_CELLS, doc="cores that its spikes go to, rising"),
    }
    fields: dict[str, Kind] = {"format": Const(FORMAT), "parts": Many(Object(part), "parts")}
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


def mapping_json(chip: Chip) -> bytes:
    """Return the core of each part of a population, and the cores that its spikes go to."""
    placed = chip.placed
    partition = placed.partition
    populations = partition.problem.populations
    cores = placed.floorplan.cores
    order = sorted(range(len(cores)), key=lambda i: cores[i].at[::-1])
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    rows = zip(
        partition.population.tolist(),
        partition.boxes.tolist(),
        partition.core.tolist(),
        placed.targets,
        strict=True,
    )
    parts = [
        {
            "population": populations[population].name,
            "box": box[: len(populations[population].shape)],
            "core": int(rank[core]),
            "targets": np.sort(rank[targets]).tolist(),
        }
        for population, box, core, targets in rows
    ]
    return in_rows({"format": FORMAT, "parts": parts})


def parts_in(files: Mapping[str, bytes]) -> list[tuple[int, Part]]:
    """Return core and neurons of each part in a checked mapping.json."""
    rows = json.loads(files[MAPPING_FILE])["parts"]
    return [
        (row["core"], Part(row["population"], tuple((a, b) for a, b in row["box"]))) for row in rows
    ]


def _floorplan(chip: Chip) -> dict[str, bytes]:
    """Return floorplan.json, with the bounds of the partition and of u."""
    partition = chip.placed.partition
    after = wraps_after(chip.tables)
    proven = {name: u for name, u in largest_u(chip.tables).items() if name not in after}
    return written(
        chip.placed.floorplan,
        cores={"used": partition.count, "bound": partition.bound},
        largest_u={"proven": proven, "goes_round_after": after, "limit": WRAP},
        routing={
            "order": chip.placed.deadlock,
            "spikes_a_step_between_cores": round(partition.traffic, 6),
        },
    )
