"""Layers to the nine cores: exact, by CP-SAT. A layer may be split by output channel over several
cores.

How many channels of a layer a core holds has a closed form (``demands.most_channels``), as every
memory grows with them; what is left is to choose disjoint sets of cores: few of them, an even load,
readable numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nirc.backends.speck.conflict import Conflict, conflict
from nirc.backends.speck.demands import (
    DESTINATIONS,
    MEMORIES,
    ONE_CORE,
    PLACED,
    Demand,
    Member,
    PlaceProblem,
    capacity,
)
from nirc.backends.speck.limits import CHANNELS, CORES, Core
from nirc.diagnostics.errors import Diagnostic, UsageError

if TYPE_CHECKING:
    from ortools.sat.python.cp_model import CpModel, IntVar, LinearExpr

    from nirc.mapping.solver import Solution

LOAD_STEPS = 1 << 20  # the largest possible load as a whole number


@dataclass(frozen=True)
class Part:
    """Output channels ``first`` to ``stop`` of a layer on a core."""

    name: str
    core: int
    first: int
    stop: int


@dataclass(frozen=True)
class Placement:
    """By layer in the problem's order, then by first channel."""

    parts: tuple[Part, ...]


def place(
    problem: PlaceProblem,
    *,
    cores: Sequence[Core] = CORES,
    seed: int = 0,
    work: float = 10.0,
    seconds: float | None = None,
) -> Placement | list[Conflict]:
    """Cores for every layer, or all disjoint irreducible conflicts between layers and limits.

    Raises ``UsageError`` (U607) if the search was given too little work to tell.
    """
    search = _Search(problem, cores, seed, work, seconds)
    fewest = search.known(search.solve(search.model.parts))
    if fewest.found:
        return search.best(fewest)
    clashes = search.conflicts()
    # Several sets of ten layers say the same: there are nine cores.
    too_many = [c for c in clashes if all(limit == PLACED for _, limit in c)]
    return [conflict(c, problem, cores) for c in clashes if c not in too_many[1:]]


def holds_together(
    members: Iterable[Member] | None, problem: PlaceProblem, cores: Sequence[Core]
) -> bool:
    """Whether ``problem`` can be placed under these rules (those that it still has), or under all
    of them.
    """
    search = _Search(problem, cores, 0, 10.0, None)
    rules = None if members is None else [m for m in members if m in search.model.rules]
    return search.solve(None, rules).found


class _Model:
    """``on``: layer i has a part on core k; ``channels``: how many of its channels; ``rules``:
    literals by member.
    """

    def __init__(self, problem: PlaceProblem, cores: Sequence[Core]) -> None:
        from ortools.sat.python.cp_model import CpModel

        self.problem, self.cores = problem, cores
        self.cp: CpModel = CpModel()
        self.rules: dict[Member, IntVar] = {}
        self.on: list[list[IntVar]] = []
        self.channels: list[list[IntVar]] = []
        for demand in problem.demands:
            self._layer(demand)
        for k in range(len(cores)):
            self.cp.add_at_most_one(row[k] for row in self.on)
        for source, most in problem.destinations.items():
            reached = [
                use
                for demand, row in zip(problem.demands, self.on, strict=True)
                for use in row * demand.sources.count(source)
            ]
            if reached:
                self._rule((source, DESTINATIONS), sum(reached) <= most)
        self.parts: LinearExpr = sum(use for row in self.on for use in row)  # type: ignore[assignment]
        # Follows from the above, but not quickly: without it ten layers on nine cores are a
        # pigeonhole problem.
        placed = [self.rules[d.name, PLACED] for d in problem.demands]
        self.cp.add(self.parts <= len(cores))
        self.cp.add(sum(placed) <= len(cores))

    def _layer(self, demand: Demand) -> None:
        on = [self.cp.new_bool_var(f"{demand.name} on {core.number}") for core in self.cores]
        channels = [
            self.cp.new_int_var(0, demand.channels, f"{demand.name} at {core.number}")
            for core in self.cores
        ]
        self.on.append(on)
        self.channels.append(channels)
        for use, n in zip(on, channels, strict=True):
            self.cp.add(n <= min(demand.channels, CHANNELS)).only_enforce_if(use)
            self.cp.add(n >= 1).only_enforce_if(use)
            self.cp.add(n == 0).only_enforce_if(~use)
        self._rule((demand.name, PLACED), sum(channels) == demand.channels, sum(on) >= 1)
        for memory in MEMORIES:
            caps = [capacity(demand, core, (memory,)) for core in self.cores]
            if min(caps) < min(demand.channels, CHANNELS):
                self._rule(
                    (demand.name, memory),
                    *(n <= cap for n, cap in zip(channels, caps, strict=True)),
                )
        if demand.whole:
            self._rule((demand.name, ONE_CORE), sum(on) <= 1)

    def _rule(self, member: Member, *constraints: object) -> None:
        literal = self.rules[member] = self.cp.new_bool_var(f"{member[1]} of {member[0]}")
        for constraint in constraints:
            self.cp.add(constraint).only_enforce_if(literal)  # type: ignore[arg-type]

    def loads(self) -> list[LinearExpr]:
        """For each core the operations per step, in whole steps of the largest load that there
        could be.
        """
        demands = self.problem.demands
        most = max((d.operations for d in demands), default=0.0) or 1.0
        return [
            sum(
                (round(LOAD_STEPS * d.operations / most / d.channels / core.speed) * row[k])
                for d, row in zip(demands, self.channels, strict=True)
            )  # type: ignore[misc]
            for k, core in enumerate(self.cores)
        ]

    def reordered(self) -> LinearExpr:
        """Parts of later layers on cores that compute in parallel: the order of their events may
        vary there.
        """
        names = {d.name for d in self.problem.demands}
        return sum(
            use
            for demand, row in zip(self.problem.demands, self.on, strict=True)
            for core, use in zip(self.cores, row, strict=True)
            if core.speed > 1 and names & {*demand.sources}
        )  # type: ignore[return-value]

    def disorder(self) -> LinearExpr:
        """Small if layers lie in order on rising cores."""
        last = len(self.problem.demands)
        return sum(
            k * (last - i) * use for i, row in enumerate(self.on) for k, use in enumerate(row)
        )  # type: ignore[return-value]


class _Search:
    """Questions to the model."""

    def __init__(
        self,
        problem: PlaceProblem,
        cores: Sequence[Core],
        seed: int,
        work: float,
        seconds: float | None,
    ) -> None:
        self.problem, self.cores = problem, cores
        self.seed, self.work, self.seconds = seed, work, seconds
        self.model = _Model(problem, cores)

    def solve(
        self, objective: LinearExpr | None = None, members: Iterable[Member] | None = None
    ) -> Solution:
        """Under all rules, or those of ``members`` alone."""
        from nirc.mapping.solver import solve

        rules = self.model.rules if members is None else {m: self.model.rules[m] for m in members}
        if objective is None:
            self.model.cp.proto.clear_objective()
        else:
            self.model.cp.minimize(objective)
        return solve(
            self.model.cp,
            seed=self.seed,
            work=self.work,
            seconds=self.seconds,
            assumptions={str(i): rule for i, rule in enumerate(rules.values())},
        )

    def known(self, found: Solution) -> Solution:
        """``found``; raises ``UsageError`` (U607) if it neither is a placement nor proves that
        there is none.
        """
        if found.status == "unknown":
            message = "the search for cores was given too little work to find anything"
            bound = f"{self.work} units of work" if self.seconds is None else f"{self.seconds} s"
            raise UsageError([Diagnostic("U607", "error", message, found=bound)])
        return found

    def best(self, fewest: Solution) -> Placement:
        """Of all placements with as few parts, by falling importance: certain order, even load,
        readable numbers.
        """
        model, cp = self.model, self.model.cp
        # A core holds one part, but loads are rounded channel by channel: a little above LOAD_STEPS
        # is possible.
        largest = cp.new_int_var(0, 2 * LOAD_STEPS, "largest load")
        for load in model.loads():
            cp.add(load <= largest)
        chosen = fewest
        cp.add(model.parts <= round(fewest.objective or 0))
        for objective in (model.reordered(), largest, model.disorder()):
            better = self.solve(objective)
            if not better.found:  # the work ran out: what is known is still a placement
                break
            chosen = better
            cp.add(objective <= round(chosen.objective or 0))
        return Placement(
            tuple(part for i in range(len(model.on)) for part in self._parts(i, chosen))
        )

    def _parts(self, i: int, chosen: Solution) -> list[Part]:
        """Layer i, its channels as even over the speeds of its cores as their memories allow."""
        demand = self.problem.demands[i]
        mine = [
            core
            for core, use in zip(self.cores, self.model.on[i], strict=True)
            if chosen.value(use)
        ]
        sizes: dict[int, int] = {}
        left, speed = demand.channels, sum(core.speed for core in mine)
        # The fullest first: what it cannot hold is left to the others.
        for core in sorted(mine, key=lambda c: (capacity(demand, c) / c.speed, c.number)):
            sizes[core.number] = min(capacity(demand, core), -(-left * core.speed // speed))
            left, speed = left - sizes[core.number], speed - core.speed
        parts, first = [], 0
        for core in mine:
            parts.append(Part(demand.name, core.number, first, first + sizes[core.number]))
            first = parts[-1].stop
        return parts

    def conflicts(self) -> list[tuple[Member, ...]]:
        """Disjoint irreducible sets of rules; those of one layer alone first, then those around one
        source.
        """
        rules = dict(self.model.rules)
        found: list[tuple[Member, ...]] = []
        for group in (*self._groups(), None):
            members = [m for m in rules if group is None or m in group]
            while (clash := self._clash(members)) is not None:
                found.append(clash)
                members = [m for m in members if m not in clash]
                rules = {m: r for m, r in rules.items() if m not in clash}
        return found

    def _groups(self) -> list[set[Member]]:
        rules = self.model.rules
        alone = [
            {m for m in rules if m[0] == d.name and m[1] != DESTINATIONS}
            for d in self.problem.demands
        ]
        around = []
        for source in self.problem.destinations:
            fed = {d.name for d in self.problem.demands if source in d.sources}
            around.append(
                {
                    m
                    for m in rules
                    if m == (source, DESTINATIONS) or (m[0] in fed and m[1] != DESTINATIONS)
                }
            )
        return [*alone, *around]

    def _clash(self, members: list[Member]) -> tuple[Member, ...] | None:
        solution = self.known(self.solve(None, members))
        if solution.found:
            return None
        return tuple(members[int(i)] for i in solution.conflict)
