"""``mapping.json``: which PE holds which neurons, under which keys they send, and the routing tables of every chip.

Written for the user, for ``nirc mapping`` and for the emulator, whose spikes travel through these keys and tables. The
vendor's tools map anew: of this file they are told only how many neurons of a population a PE takes.
``mapping.schema.json`` describes the file; what a schema cannot say is looked at here.
"""

from __future__ import annotations

from collections.abc import Mapping as Sizes
from dataclasses import dataclass
from typing import Any

import numpy as np

from nirc.backends.spinnaker2.geometry import BOARD_SIDE, CORES, LINKS
from nirc.backends.spinnaker2.limits import MAX_PIXELS, ROUTER_ENTRIES, SCRIPTS
from nirc.files.bundle import to_json
from nirc.files.json import JsonReader, Range
from nirc.mapping.floorplan import KEY, LARGEST, MOST_NEURONS, MOST_TEXT, Floorplan
from nirc.mapping.tables.entries import Tables

FILE = "mapping.json"
FORMAT = "nirc-spinnaker2-mapping/1"
FIELDS = ("format", KEY, "slices", "routers", "routes", "tick", "steps")
SLICE_FIELDS = ("population", "from", "to", "chip", "core", "key", "mask")
WORD = (1 << 32) - 1
MOST_BYTES = 1 << 28
MOST_STEPS = 1 << 30


@dataclass(frozen=True)
class Slice:
    """Neurons ``begin`` up to (and without) ``end`` of an input or population, on one PE of its own.

    ``begin`` is a multiple of the population's ``atoms``: so the vendor's tools cut it, too. ``chip``: the number of
    its router, 0 on a single chip, x + 8 y on the board; the same in the floorplan. ``core``: 1..152
    (``geometry.quad_of`` tells where that is). Neuron ``begin + a`` sends the key ``key + a``; ``mask`` selects the
    slice.
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
    """The system tick to run with and why. ``late_cores``: PEs that are expected not to finish within it."""

    seconds: float
    reason: str
    late_cores: int = 0


@dataclass(frozen=True, eq=False)
class Mapping:
    """All of the file. ``steps``: how many steps of recording the PEs have room for. Slices in the order of keys."""

    floorplan: Floorplan
    slices: tuple[Slice, ...]
    tables: Tables
    tick: Tick
    steps: int

    def to_json(self) -> bytes:
        """The bytes of ``mapping.json``: the same for the same mapping."""
        entries = list(zip(*(a.tolist() for a in (self.tables.key, self.tables.mask, self.tables.route)), strict=True))
        spans = list(zip(self.tables.first[:-1].tolist(), self.tables.first[1:].tolist(), strict=True))
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


def from_json(data: bytes, sizes: Sizes[str, int]) -> Mapping:
    """The mapping in the bytes of a ``mapping.json`` that may hold anything. ``sizes``: neurons by name (``Tables``).

    Raises ``InputError`` (U605) if the file is damaged, contradicts itself or does not hold each neuron once,
    ``CompileError`` (N904) for values that the chip does not take.
    """
    return _Reader(sizes).mapping(data)


def _numbers(s: Slice) -> tuple[int, ...]:
    return tuple(int(n) for n in (s.begin, s.end, s.chip, s.core, s.key, s.mask))


class _Reader(JsonReader):
    def __init__(self, sizes: Sizes[str, int]) -> None:
        super().__init__(FILE, code="N904", source=SCRIPTS, max_bytes=MOST_BYTES)
        self.sizes = sizes

    def mapping(self, data: bytes) -> Mapping:
        tree = self.parse(data)
        if tree.get("format") != FORMAT:
            self.damaged("the format is unknown", "format", tree.get("format"), FORMAT)
        self.keys(tree, "", FIELDS)
        plan = Floorplan.from_tree(tree[KEY], self)
        made = Mapping(
            plan,
            self.slices(self.as_list(tree["slices"], "slices")),
            self.tables(tree["routers"], tree["routes"], 1 if plan.size == plan.chip else BOARD_SIDE**2),
            self.tick(tree["tick"]),
            self.integer(tree["steps"], (0, MOST_STEPS), "steps"),
        )
        self.log.raise_if_errors()
        self.agree(made)
        return made

    def slices(self, rows: list[Any]) -> tuple[Slice, ...]:
        """Slices with aligned keys of their own, which are all neurons and none twice."""
        for i, row in enumerate(rows):
            self.as_object(row, f"slices[{i}]", SLICE_FIELDS)
            if not isinstance(row["population"], str) or row["population"] not in self.sizes:
                self.damaged("a population is unknown", f"slices[{i}].population", row["population"], "one of the file")
        ranges = ((0, MOST_NEURONS), (1, MOST_NEURONS), (0, BOARD_SIDE**2 - 1), (1, CORES), (0, WORD), (0, WORD))
        columns = [self.column(rows, name, allowed) for name, allowed in zip(SLICE_FIELDS[1:], ranges, strict=True)]
        self.log.raise_if_errors()
        made = tuple(Slice(row["population"], *n) for row, *n in zip(rows, *columns, strict=True))
        self.keys_apart(made)
        self.whole(made)
        return made

    def column(self, rows: list[Any], name: str, allowed: Range) -> list[int]:
        """A field of all slices."""
        values: list[int] = self.integers(
            [row[name] for row in rows], allowed, lambda i: f"slices[{i}].{name}"
        ).tolist()
        return values

    def keys_apart(self, slices: tuple[Slice, ...]) -> None:
        """Blocks of 2^n keys, aligned, in rising order and without overlap, with a key for each neuron."""
        last = -1
        for i, s in enumerate(slices):
            room = WORD - s.mask + 1
            if room & (room - 1) or s.key & ~s.mask or not 0 < s.end - s.begin <= min(room, MAX_PIXELS):
                expected = f"a block of 2^n keys for 1..{MAX_PIXELS} neurons"
                self.damaged("the keys of a slice are no block", f"slices[{i}]", f"{s.key:#x}/{s.mask:#x}", expected)
            if s.key <= last:
                self.damaged("keys overlap or are out of order", f"slices[{i}].key", s.key, f"above {last}")
            last = s.key + room - 1

    def whole(self, slices: tuple[Slice, ...]) -> None:
        """Each neuron once, each core once."""
        if len({(s.chip, s.core) for s in slices}) < len(slices):
            self.damaged("a core has two slices", "slices", len(slices), "one program, and so one slice, a core")
        reached = dict.fromkeys(self.sizes, 0)
        for s in sorted(slices, key=lambda s: (s.population, s.begin)):
            if s.begin != reached[s.population]:
                self.damaged("neurons are missing or double", "slices", s.population, f"neuron {reached[s.population]}")
            reached[s.population] = s.end
        for name, n in self.sizes.items():
            if reached[name] != n:
                self.damaged("neurons are missing or too many", "slices", f"{reached[name]} of `{name}`"[:60], n)

    def tables(self, routers: Any, routes: Any, chips: int) -> Tables:
        """The tables of all chips; those that are not listed are empty."""
        bits = [self.route(row, f"routes[{i}]") for i, row in enumerate(self.as_list(routes, "routes"))]
        words = max([bit // 64 + 1 for row in bits for bit in row], default=1)
        packed = np.zeros((len(bits), words), np.uint64)
        for i, row in enumerate(bits):
            for bit in row:
                packed[i, bit // 64] |= np.uint64(1) << np.uint64(bit % 64)
        sizes = np.zeros(chips, np.int64)
        flat: list[int] = []
        last = -1
        for i, row in enumerate(self.as_list(routers, "routers")):
            block = self.as_object(row, f"routers[{i}]", ("chip", "entries"))
            chip = self.integer(block["chip"], (last + 1, chips - 1), f"routers[{i}].chip")
            self.log.raise_if_errors()
            entries = self.as_list(block["entries"], f"routers[{i}].entries")
            self.integer(len(entries), (1, ROUTER_ENTRIES), f"routers[{i}].entries")
            for j, entry in enumerate(entries):
                flat += self.as_list(entry, f"routers[{i}].entries[{j}]", 3)
            sizes[chip], last = len(entries), chip
        values = self.integers(flat, (0, WORD), lambda i: f"routers: entry {i // 3}").reshape(-1, 3)
        self.log.raise_if_errors()
        try:
            first = np.concatenate([[0], np.cumsum(sizes)])
            key, mask = values[:, :2].astype(np.uint32).T
            return Tables(first, key, mask, values[:, 2].astype(np.int32), packed, LINKS)
        except ValueError as error:
            self.damaged(f"the routing tables contradict themselves: {error}", "routers", None, "whole")

    def route(self, row: Any, path: str) -> list[int]:
        """Bits of a route: its links, then its cores."""
        block = self.as_object(row, path, ("links", "cores"))
        links, cores = self.as_list(block["links"], f"{path}.links"), self.as_list(block["cores"], f"{path}.cores")
        self.integers(links, (0, LINKS - 1), lambda i: f"{path}.links[{i}]")
        self.integers(cores, (1, CORES), lambda i: f"{path}.cores[{i}]")
        self.log.raise_if_errors()
        return links + [LINKS + core for core in cores]

    def tick(self, value: Any) -> Tick:
        block = self.as_object(value, "tick", ("seconds", "reason", "late_cores"))
        seconds, reason = block["seconds"], block["reason"]
        if type(seconds) not in (int, float) or not 0 < seconds < LARGEST:
            self.damaged("the tick is not a time", "tick.seconds", seconds, "seconds above 0")
        if type(reason) is not str or not 0 < len(reason) <= MOST_TEXT or not reason.isprintable():
            self.damaged("the reason is no printable text", "tick.reason", reason, f"1..{MOST_TEXT} characters")
        return Tick(seconds, reason, self.integer(block["late_cores"], (0, WORD), "tick.late_cores"))

    def agree(self, made: Mapping) -> None:
        """The floorplan has the same slices on the same chips."""
        placed = sorted(
            (part.population, *(end for span in part.box for end in span), core.chip)
            for core in made.floorplan.cores
            for part in core.parts
        )
        if placed != sorted((s.population, s.begin, s.end, s.chip) for s in made.slices):
            self.damaged("slices and floorplan differ", KEY, len(placed), f"the {len(made.slices)} slices")
