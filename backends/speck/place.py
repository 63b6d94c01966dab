"""Layers on the nine cores: exact, by CP-SAT. A layer may be split over cores by output channel.

A core's memories hold a number of channels of a layer that has a closed form (``most_channels``),
since every memory grows with the channels. The search then chooses disjoint sets of cores: as few
as possible, with an even load, and with readable numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from nirc.backends.speck.demand import (
    DESTINATIONS,
    MEMORIES,
    ONE_CORE,
    PLACED,
    Conflict,
    Demand,
    Member,
    PlaceProblem,
    capacity,
    fewest_cores,
)
from nirc.backends.speck.limits import CHANNELS, CORES, Core
from nirc.diagnostics.usage import OptionMakesNoSense

if TYPE_CHECKING:
    from ortools.sat.python.cp_model import IntVar, LinearExpr

    from nirc.mapping.cp_sat import CpModel
    from nirc.mapping.solver import Solution

LOAD_STEPS = 1 << 20  # the largest possible load as an integer


@dataclass(frozen=True)
class Part:
    """Output channels ``first`` to ``stop`` of a layer on a core."""

    name: str
    core: int
    first: int
    stop: int


@dataclass(frozen=True)
class Placement:
    """Parts by layer in the problem's order, then by first channel."""

    parts: tuple[Part, ...]


def place(
    problem: PlaceProblem,
    *,
    cores: Sequence[Core] = CORES,
    seed: int = 0,
    work: float = 10.0,
    seconds: float | None = None,
) -> Placement | list[Conflict]:
    """Return cores for every layer, or all disjoint irreducible conflicts.

    Raises ``UsageError`` (U607) if the work is too little for either.
    """
    search = _Search(problem, cores, seed, work, seconds)
    if len(problem.demands) <= len(cores):
        fewest = search.known(search.solve(search.model.parts))
        if fewest.found:
            return search.best(fewest)
    conflicts = search.conflicts()
    # Several sets of ten layers have one cause: there are nine cores.
    too_many = [c for c in conflicts if all(limit == PLACED for _, limit in c)]
    return [c for c in conflicts if c not in too_many[1:]]


def holds_together(
    members: Iterable[Member] | None, problem: PlaceProblem, cores: Sequence[Core]
) -> bool:
    """Return True if ``problem`` can be placed under these rules, or under all of them for None.

    Rules that the problem does not have do not count.
    """
    if members is None and len(problem.demands) > len(cores):
        return False
    search = _Search(problem, cores, 0, 10.0, None)
    rules = None if members is None else [m for m in members if m in search.model.rules]
    return search.solve(None, rules).found


class _Model:
    """Variables and rules of the search.

    ``on``: layer i has a part on core k. ``channels``: number of its channels there. ``rules``:
    literals by member.
    """

    def __init__(self, problem: PlaceProblem, cores: Sequence[Core]) -> None:
        from nirc.mapping.cp_sat import CpModel

        self.problem = problem
        self.cores = cores
        self.cp: CpModel = CpModel()
        self.rules: dict[Member, IntVar] = {}
        self.on: list[list[IntVar]] = []
        self.channels: list[list[IntVar]] = []
        for demand in problem.demands:
            self._layer(demand)
        for k in range(len(cores)):
            self.cp.add_at_most_one(row[k] for row in self.on)
        reached: dict[str, list[IntVar]] = {source: [] for source in problem.destinations}
        for demand, row in zip(problem.demands, self.on, strict=True):
            for source in filter(reached.__contains__, demand.sources):
                reached[source] += row
        for source, most in problem.destinations.items():
            if reached[source]:
                self._rule((source, DESTINATIONS), sum(reached[source]) <= most)
        self.parts: LinearExpr = sum(self._every_use())  # type: ignore[assignment]
        # These two follow from the rules above, but slowly: ten layers on nine cores are a
        # pigeonhole problem.
        placed = [self.rules[d.name, PLACED] for d in problem.demands]
        self.cp.add(self.parts <= len(cores))
        self.cp.add(sum(placed) <= len(cores))

    def _every_use(self) -> Iterator[IntVar]:
        for row in self.on:
            yield from row

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
                bounds = [n <= cap for n, cap in zip(channels, caps, strict=True)]
                self._rule((demand.name, memory), *bounds)
        if demand.one_core:
            self._rule((demand.name, ONE_CORE), sum(on) <= 1)

    def _rule(self, member: Member, *constraints: object) -> None:
        literal = self.rules[member] = self.cp.new_bool_var(f"{member[1]} of {member[0]}")
        for constraint in constraints:
            self.cp.add(constraint).only_enforce_if(literal)  # type: ignore[arg-type]

    def loads(self) -> list[LinearExpr]:
        """Return operations in a step by core, in ``LOAD_STEPS`` of the largest possible load."""
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
        """Count parts of later layers on cores that compute in parallel.

        The order of events may vary there.
        """
        names = {d.name for d in self.problem.demands}
        uses: list[IntVar] = []
        for demand, row in zip(self.problem.demands, self.on, strict=True):
            if names & {*demand.sources}:
                uses += [use for core, use in zip(self.cores, row, strict=True) if core.speed > 1]
        return sum(uses)  # type: ignore[return-value]

    def disorder(self) -> LinearExpr:
        """Return a number that is small if layers lie in order on rising cores."""
        last = len(self.problem.demands)
        terms: list[LinearExpr] = []
        for i, row in enumerate(self.on):
            terms += [k * (last - i) * use for k, use in enumerate(row)]
        return sum(terms)  # type: ignore[return-value]


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
        self.problem = problem
        self.cores = cores
        self.seed = seed
        self.work = work
        self.seconds = seconds
        self.model = _Model(problem, cores)

    def solve(
        self, objective: LinearExpr | None = None, members: Iterable[Member] | None = None
    ) -> Solution:
        """Solve under all rules, or under those of ``members`` alone."""
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

    def known(self, solution: Solution) -> Solution:
        """Return ``solution``, a placement or a proof that there is none.

        Raises ``UsageError`` (U607) if it is neither.
        """
        if solution.status == "unknown":
            bound = f"{self.work} units of work" if self.seconds is None else f"{self.seconds} s"
            problem = "the search for cores was given too little work to find anything"
            raise OptionMakesNoSense(problem=problem, found=bound).refusal()
        return solution

    def best(self, fewest: Solution) -> Placement:
        """Return the best placement with as few parts.

        By falling importance: a certain order of events, an even load, readable numbers.
        """
        model = self.model
        cp = model.cp
        # A core holds one part, but loads are rounded for each channel. So a load may be a little
        # above LOAD_STEPS.
        largest = cp.new_int_var(0, 2 * LOAD_STEPS, "largest load")
        for load in model.loads():
            cp.add(load <= largest)
        chosen = fewest
        cp.add(model.parts <= round(fewest.objective or 0))
        for objective in (model.reordered(), largest, model.disorder()):
            better = self.solve(objective)
            if not better.found:  # the work ran out: the last solution is still a placement
                break
            chosen = better
            cp.add(objective <= round(chosen.objective or 0))
        parts: list[Part] = []
        for i in range(len(model.on)):
            parts += self._parts(i, chosen)
        return Placement(tuple(parts))

    def _parts(self, i: int, chosen: Solution) -> list[Part]:
        """Return the parts of layer i.

        Its channels are as even over the speeds of its cores as their memories allow.
        """
        demand = self.problem.demands[i]
        uses = zip(self.cores, self.model.on[i], strict=True)
        cores = [core for core, use in uses if chosen.value(use)]
        sizes: dict[int, int] = {}
        left = demand.channels
        speed = sum(core.speed for core in cores)
        # The fullest core first. The others take what it cannot hold.
        for core in sorted(cores, key=lambda c: (capacity(demand, c) / c.speed, c.number)):
            sizes[core.number] = min(capacity(demand, core), -(-left * core.speed // speed))
            left -= sizes[core.number]
            speed -= core.speed
        parts: list[Part] = []
        first = 0
        for core in cores:
            parts.append(Part(demand.name, core.number, first, first + sizes[core.number]))
            first = parts[-1].stop
        return parts

    def conflicts(self) -> list[Conflict]:
        """Return disjoint irreducible sets of rules.

        Those of one layer alone come first, then those around one source.
        """
        rules = dict(self.model.rules)
        conflicts: list[Conflict] = []
        for group in (*self._groups(), None):
            members = [m for m in rules if group is None or m in group]
            if (counted := self._by_count(members, around_source=group is not None)) is not None:
                conflicts.append(counted)  # what else conflicts among so many helps nobody
                members = []
            while members and (conflict := self._conflict(members)) is not None:
                conflicts.append(conflict)
                members = [m for m in members if m not in conflict]
            found = {*chain.from_iterable(conflicts)}
            rules = {m: r for m, r in rules.items() if m not in found}
        return conflicts

    def _by_count(self, members: list[Member], *, around_source: bool) -> Conflict | None:
        """Return a conflict of more layers than cores, as each takes one, without a search."""
        placed = [m for m in members if m[1] == PLACED]
        if len(placed) <= len(self.cores):
            return None
        limits = [m for m in members if m[1] == DESTINATIONS] if around_source else []
        most = min((self.problem.destinations[m[0]] for m in limits), default=len(self.cores))
        return (*placed[: most + 1], *limits)

    def _groups(self) -> Iterator[set[Member]]:
        """Yield the rules of each layer, and those around each source, if they may conflict."""
        rules: dict[str, set[Member]] = {d.name: set() for d in self.problem.demands}
        for member in self.model.rules:
            if member[1] != DESTINATIONS:
                rules[member[0]].add(member)
        alone = {}
        fed: dict[str, list[str]] = {source: [] for source in self.problem.destinations}
        for demand in self.problem.demands:
            cores = fewest_cores(demand, self.cores)
            alone[demand.name] = None if demand.one_core and cores != 1 else cores
            for source in fed.keys() & {*demand.sources}:
                fed[source] += [demand.name] * demand.sources.count(source)
        yield from (rules[name] for name, cores in alone.items() if cores is None)
        for source, names in fed.items():
            least = alone[names[0]] if len(names) == 1 else None
            if names and (least is None or least > self.problem.destinations[source]):
                yield {(source, DESTINATIONS)}.union(*(rules[name] for name in names))

    def _conflict(self, members: list[Member]) -> Conflict | None:
        solution = self.known(self.solve(None, members))
        if solution.found:
            return None
        return tuple(members[int(i)] for i in solution.conflict)
