"""``mapping.json``: the neurons of each PE, their keys, and the routing tables of every chip.

The readers are the user, ``nirc mapping`` and the emulator, whose spikes travel through these keys
and tables. The vendor's tools map anew. They get only the number of neurons of a population on a
PE.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain, pairwise

import numpy as np

from nirc.backends.spinnaker2 import tables as network
from nirc.backends.spinnaker2.checks import WORD, check_mapping
from nirc.backends.spinnaker2.findings import MappingOutsideRange
from nirc.backends.spinnaker2.limits import MACHINE, MAX_PIXELS, ROUTER_ENTRIES, SCRIPTS
from nirc.backends.spinnaker2.system import BOARD_SIDE, CORES, LINKS
from nirc.files.bounds import MAX_NAME
from nirc.files.bundle import to_json
from nirc.files.chipfiles import raise_faults, read
from nirc.files.description import File, Tree
from nirc.files.faults import Faults
from nirc.files.kinds import Const, Integer, Integers, Kind, Many, Number, Object, Size, Text
from nirc.mapping.floorplan import (
    FLOORPLAN,
    KEY,
    LARGEST,
    MOST_NEURONS,
    MOST_TEXT,
    Floorplan,
    floorplan_of,
)
from nirc.mapping.tables import Tables

FILE = "mapping.json"
FORMAT = "nirc-spinnaker2-mapping/1"
SLICE_FIELDS = ("population", "from", "to", "chip", "core", "key", "mask")
MOST_BYTES = 1 << 28
MOST_STEPS = 1 << 30
SHORTEST = 1e-300  # seconds


def mapping_file() -> File:
    """Describe mapping.json."""
    chip = Integer(0, BOARD_SIDE**2 - 1, doc=f"0 on a single chip, x + {BOARD_SIDE} y on the board")
    core = Integer(1, CORES, doc="a PE; 0 is the management core")
    part: dict[str, Kind] = {
        "population": Text(MAX_NAME),
        "from": Integer(0, MOST_NEURONS, doc="the first neuron, which sends the key `key`"),
        "to": Integer(1, MOST_NEURONS, doc="up to and without this neuron"),
        "chip": chip,
        "core": core,
        "key": Integer(0, WORD),
        "mask": Integer(0, WORD, doc="selects the keys of the slice"),
    }
    entries = Size("entries", ROUTER_ENTRIES, source=MACHINE)
    router: dict[str, Kind] = {
        "chip": chip,
        "entries": Integers(
            (entries, 3), 0, WORD, doc="key, mask, index in `routes`; the first that matches counts"
        ),
    }
    route: dict[str, Kind] = {
        "links": Integers(("links",), 0, LINKS - 1, doc="E, NE, N, W, SW, S"),
        "cores": Integers(("cores",), 1, CORES, doc="local cores"),
    }
    tick: dict[str, Kind] = {
        "seconds": Number(SHORTEST, LARGEST, doc="the system tick to run with"),
        "reason": Text(MOST_TEXT),
        "late_cores": Integer(0, WORD, doc="PEs that are expected not to finish within it"),
    }
    fields: dict[str, Kind] = {
        "format": Const(FORMAT),
        KEY: FLOORPLAN,
        "slices": Many(Object(part), "slices", doc="in the order of their keys"),
        "routers": Many(Object(router), "routers", doc="tables that are not empty"),
        "routes": Many(Object(route), "routes", doc="each different route once"),
        "tick": Object(tick),
        "steps": Integer(0, MOST_STEPS, doc="steps of recording that the PEs have room for"),
    }
    return File(
        FILE,
        Object(fields),
        check_mapping,
        {"neurons": MAX_PIXELS},
        MOST_BYTES,
        finding=MappingOutsideRange,
        source=SCRIPTS,
    )


MAPPING = mapping_file()


@dataclass(frozen=True)
class Slice:
    """Places ``begin`` up to (and without) ``end`` of an input or population, on a PE.

    manifest.json holds the place of each neuron.

    ``begin`` is a multiple of the population's ``atoms``, as the vendor's tools cut it. ``chip``:
    the number of its router, 0 on a single chip, x + 8 y on the board, as in the floorplan.
    ``core``: 1..152, see ``system.quad_of``. Neuron ``begin + a`` sends the key ``key + a``.
    ``mask`` selects the slice.
    """

    population: str
    begin: int
    end: int
    chip: int
    core: int
    key: int
    mask: int

    def to_tree(self) -> Tree:
        """Return data for JSON."""
        numbers = (self.begin, self.end, self.chip, self.core, self.key, self.mask)
        return dict(zip(SLICE_FIELDS, (self.population, *map(int, numbers)), strict=True))


@dataclass(frozen=True)
class Tick:
    """The system tick to run with, and the reason.

    ``late_cores``: PEs that probably do not finish within it.
    """

    seconds: float
    reason: str
    late_cores: int = 0


@dataclass(frozen=True, eq=False)
class Mapping:
    """All of the file.

    ``slices`` are in the order of keys. ``steps``: of recording that the PEs have room for.
    """

    floorplan: Floorplan
    slices: tuple[Slice, ...]
    tables: Tables
    tick: Tick
    steps: int

    def to_json(self) -> bytes:
        """Return the bytes of ``mapping.json``, the same for the same mapping."""
        tables = self.tables
        entries = np.stack([tables.key, tables.mask, tables.route], axis=1, dtype=np.int64)
        routers = []
        for chip, (begin, end) in enumerate(pairwise(tables.first.tolist())):
            if end > begin:
                routers.append({"chip": chip, "entries": entries[begin:end].tolist()})
        routes = map(tables.links_and_cores, range(len(tables.routes)))
        tree = {
            "format": FORMAT,
            KEY: self.floorplan.to_tree(),
            "slices": [s.to_tree() for s in sorted(self.slices, key=lambda s: s.key)],
            "routers": routers,
            "routes": [{"links": links, "cores": cores} for links, cores in routes],
            "tick": {
                "seconds": float(self.tick.seconds),
                "reason": self.tick.reason,
                "late_cores": int(self.tick.late_cores),
            },
            "steps": int(self.steps),
        }
        return to_json(tree)


def from_json(data: bytes, tables: network.Tables) -> Mapping:
    """Return the mapping in the bytes of a ``mapping.json`` that may hold anything.

    ``tables``: of the bundle. Raises ``InputError`` (U605) if the file is damaged, contradicts
    itself or does not hold each neuron once, ``CompileError`` (N904) for values that the chip does
    not take.
    """
    file, tree = read(data, MAPPING, trees={network.FILE: network.tree_of(tables)})
    plan = floorplan_of(tree, file)
    try:
        routers = _tables(tree, 1 if plan.size == plan.chip else BOARD_SIDE**2)
    except (ValueError, IndexError) as error:
        faults = Faults()
        faults.damaged(
            "routers",
            f"the routing tables contradict themselves: {error}",
            None,
            "tables that can be",
        )
        raise_faults(file, faults)
        raise
    tick = tree["tick"]
    return Mapping(
        plan,
        tuple(Slice(*(row[name] for name in SLICE_FIELDS)) for row in tree["slices"]),
        routers,
        Tick(tick["seconds"], tick["reason"], tick["late_cores"]),
        tree["steps"],
    )


def _tables(tree: Tree, chips: int) -> Tables:
    """Return the tables of all chips. Chips that are not listed have empty tables."""
    bits = [
        [*route["links"], *(LINKS + core for core in route["cores"])] for route in tree["routes"]
    ]
    words = max(chain.from_iterable(bits), default=0) // 64 + 1
    packed = np.zeros((len(bits), words), np.uint64)
    for i, row in enumerate(bits):
        for bit in row:
            packed[i, bit // 64] |= np.uint64(1) << np.uint64(bit % 64)
    sizes = np.zeros(chips, np.int64)
    entries: list[list[int]] = []
    for router in tree["routers"]:
        sizes[router["chip"]] = len(router["entries"])
        entries += router["entries"]
    values = np.array(entries, np.int64).reshape(-1, 3)
    key, mask = values[:, :2].astype(np.uint32).T
    first = np.concatenate([[0], np.cumsum(sizes)])
    return Tables(first, key, mask, values[:, 2].astype(np.int32), packed, LINKS)
