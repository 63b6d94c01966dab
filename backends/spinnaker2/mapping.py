"""``mapping.json``: the neurons of each PE, their keys, and the routing tables of every chip.

The readers are the user and the emulator, whose spikes travel through these keys
and tables. The vendor's tools map anew. They get only the number of neurons of a population on a
PE.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain

import numpy as np

from nirc.backends.spinnaker2 import tables as network
from nirc.backends.spinnaker2.checks import WORD, check_mapping, cuts_of
from nirc.backends.spinnaker2.findings import MappingOutsideRange
from nirc.backends.spinnaker2.limits import MACHINE, MAX_PIXELS, ROUTER_ENTRIES, SCRIPTS
from nirc.backends.spinnaker2.system import BOARD_SIDE, CORES, LINKS
from nirc.files.bundle import to_json
from nirc.files.chipfiles import raise_faults, read
from nirc.files.description import File, Tree
from nirc.files.faults import Faults
from nirc.files.kinds import Const, Integer, Integers, Kind, Many, Number, Object
from nirc.mapping.floorplan import LARGEST
from nirc.mapping.tables import Tables

FILE = "mapping.json"
FORMAT = "nirc-spinnaker2-mapping/2"
COLUMNS = ("chip", "core", "key", "mask")  # of a slice
MOST_BYTES = 1 << 28
MOST_STEPS = 1 << 30
SHORTEST = 1e-300  # seconds


def mapping_file() -> File:
    """Describe mapping.json."""
    slices = Integers(
        ("slices", len(COLUMNS)),
        0,
        WORD,
        doc=f"chip (0, or x + {BOARD_SIDE} y on the board), PE (1..{CORES}), first key, mask: for "
        "each `atoms` neurons of network.npz's inputs and populations, in order",
    )
    entries = Integers(
        ("entries", len(COLUMNS)),
        0,
        WORD,
        doc="chip, key, mask, number in `routes`: the tables of all routers, chip by chip; the "
        "first entry of a chip that matches counts",
        source=MACHINE,
    )
    route: dict[str, Kind] = {
        "links": Integers(("links",), 0, LINKS - 1, doc="E, NE, N, W, SW, S"),
        "cores": Integers(("cores",), 1, CORES, doc="local cores"),
    }
    tick: dict[str, Kind] = {
        "seconds": Number(SHORTEST, LARGEST, doc="the system tick to run with"),
        "late_cores": Integer(0, WORD, doc="PEs that are expected not to finish within it"),
    }
    fields: dict[str, Kind] = {
        "format": Const(FORMAT),
        "slices": slices,
        "entries": entries,
        "routes": Many(Object(route), "routes", doc="each different route once"),
        "tick": Object(tick),
        "steps": Integer(0, MOST_STEPS, doc="steps of recording that the PEs have room for"),
    }
    return File(
        FILE,
        Object(fields),
        check_mapping,
        {"neurons": MAX_PIXELS, "entries": ROUTER_ENTRIES, "chips": BOARD_SIDE**2, "cores": CORES},
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
    the number of its router, 0 on a single chip, x + 8 y on the board.
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


@dataclass(frozen=True)
class Tick:
    """The system tick to run with, and the reason, which stands in floorplan.json.

    ``late_cores``: PEs that probably do not finish within it.
    """

    seconds: float
    reason: str = ""
    late_cores: int = 0


@dataclass(frozen=True, eq=False)
class Mapping:
    """All of the file.

    ``slices`` are in the order of the inputs and populations and of their neurons. ``steps``: of
    recording that the PEs have room for.
    """

    slices: tuple[Slice, ...]
    tables: Tables
    tick: Tick
    steps: int

    def to_json(self) -> bytes:
        """Return the bytes of ``mapping.json``, the same for the same mapping."""
        tables = self.tables
        chips = np.repeat(np.arange(tables.routers), tables.sizes)
        entries = np.stack([chips, tables.key, tables.mask, tables.route], axis=1, dtype=np.int64)
        routes = map(tables.links_and_cores, range(len(tables.routes)))
        tree = {
            "format": FORMAT,
            "slices": [[int(getattr(s, name)) for name in COLUMNS] for s in self.slices],
            "entries": entries.tolist(),
            "routes": [{"links": links, "cores": cores} for links, cores in routes],
            "tick": {
                "seconds": float(self.tick.seconds),
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
    of_network = network.tree_of(tables)
    file, tree = read(data, MAPPING, trees={network.FILE: of_network})
    try:
        routers = _tables(tree)
    except (ValueError, IndexError) as error:
        faults = Faults()
        faults.damaged(
            "entries",
            f"the routing tables contradict themselves: {error}",
            None,
            "tables that can be",
        )
        raise_faults(file, faults)
        raise
    tick = tree["tick"]
    return Mapping(
        tuple(Slice(*c, *row) for c, row in zip(cuts_of(of_network), tree["slices"], strict=True)),
        routers,
        Tick(tick["seconds"], late_cores=tick["late_cores"]),
        tree["steps"],
    )


def _tables(tree: Tree) -> Tables:
    """Return the tables of all chips. Chips that are not listed have empty tables.

    Chip 0 alone is a system by itself. The board has other chips, too.
    """
    entries = np.array(tree["entries"], np.int64).reshape(-1, len(COLUMNS))
    chip, key, mask, route = entries.T
    alone = not chip.any() and not any(row[0] for row in tree["slices"])
    sizes = np.bincount(chip, minlength=1 if alone else BOARD_SIDE**2)
    bits = [
        [*route["links"], *(LINKS + core for core in route["cores"])] for route in tree["routes"]
    ]
    words = max(chain.from_iterable(bits), default=0) // 64 + 1
    packed = np.zeros((len(bits), words), np.uint64)
    for i, row in enumerate(bits):
        for bit in row:
            packed[i, bit // 64] |= np.uint64(1) << np.uint64(bit % 64)
    first = np.concatenate([[0], np.cumsum(sizes)])
    keys, masks = key.astype(np.uint32), mask.astype(np.uint32)
    return Tables(first, keys, masks, route.astype(np.int32), packed, LINKS)
