"""``mapping.json``: which PE holds which neurons, under which keys they send, and the routing
tables of every chip.

Written for the user, for ``nirc mapping`` and for the emulator, whose spikes travel through these
keys and tables. The vendor's tools map anew: of this file they are told only how many neurons of a
population a PE takes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nirc.backends.spinnaker2 import tables as network
from nirc.backends.spinnaker2.checks import WORD, check_mapping
from nirc.backends.spinnaker2.findings import MappingOutsideRange
from nirc.backends.spinnaker2.geometry import BOARD_SIDE, CORES, LINKS
from nirc.backends.spinnaker2.limits import MACHINE, MAX_PIXELS, ROUTER_ENTRIES, SCRIPTS
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
from nirc.mapping.tables.entries import Tables

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
    """Neurons ``begin`` up to (and without) ``end`` of an input or population, on one PE of its
    own.

    ``begin`` is a multiple of the population's ``atoms``: so the vendor's tools cut it, too.
    ``chip``: the number of its router, 0 on a single chip, x + 8 y on the board; the same in the
    floorplan. ``core``: 1..152 (``geometry.quad_of`` tells where that is). Neuron ``begin + a``
    sends the key ``key + a``; ``mask`` selects the slice.
    """

    population: str
    begin: int
    end: int
    chip: int
    core: int
    key: int
    mask: int


@dataclass(frozen=True)
class Tick:
    """The system tick to run with and why.

    ``late_cores``: PEs that are expected not to finish within it.
    """

    seconds: float
    reason: str
    late_cores: int = 0


@dataclass(frozen=True, eq=False)
class Mapping:
    """All of the file.

    ``steps``: how many steps of recording the PEs have room for. Slices in the order of keys.
    """

    floorplan: Floorplan
    slices: tuple[Slice, ...]
    tables: Tables
    tick: Tick
    steps: int

    def to_json(self) -> bytes:
        """The bytes of ``mapping.json``: the same for the same mapping."""
        entries = list(
            zip(
                *(a.tolist() for a in (self.tables.key, self.tables.mask, self.tables.route)),
                strict=True,
            )
        )
        spans = list(
            zip(self.tables.first[:-1].tolist(), self.tables.first[1:].tolist(), strict=True)
        )
        routes = [self.tables.links_and_cores(route) for route in range(len(self.tables.routes))]
        tree = {
            "format": FORMAT,
            KEY: self.floorplan.to_tree(),
            "slices": [
                dict(zip(SLICE_FIELDS, (s.population, *_numbers(s)), strict=True))
                for s in sorted(self.slices, key=lambda s: s.key)
            ],
            "routers": [
                {"chip": chip, "entries": [list(entry) for entry in entries[begin:end]]}
                for chip, (begin, end) in enumerate(spans)
                if end > begin
            ],
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
    """The mapping in the bytes of a ``mapping.json`` that may hold anything. ``tables``: those of
    its bundle.

    Raises ``InputError`` (U605) if the file is damaged, contradicts itself or does not hold each
    neuron once, ``CompileError`` (N904) for values that the chip does not take.
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
    """The tables of all chips; those that are not listed are empty."""
    bits = [
        [*route["links"], *(LINKS + core for core in route["cores"])] for route in tree["routes"]
    ]
    words = max([bit // 64 + 1 for row in bits for bit in row], default=1)
    packed = np.zeros((len(bits), words), np.uint64)
    for i, row in enumerate(bits):
        for bit in row:
            packed[i, bit // 64] |= np.uint64(1) << np.uint64(bit % 64)
    sizes = np.zeros(chips, np.int64)
    for router in tree["routers"]:
        sizes[router["chip"]] = len(router["entries"])
    entries = [entry for router in tree["routers"] for entry in router["entries"]]
    values = np.array(entries, np.int64).reshape(-1, 3)
    key, mask = values[:, :2].astype(np.uint32).T
    first = np.concatenate([[0], np.cumsum(sizes)])
    return Tables(first, key, mask, values[:, 2].astype(np.int32), packed, LINKS)


def _numbers(s: Slice) -> tuple[int, ...]:
    return tuple(int(n) for n in (s.begin, s.end, s.chip, s.core, s.key, s.mask))
