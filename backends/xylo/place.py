"""The order of the hidden neurons, and relays where no order is enough.

On Audio 3 and IMU input weights reach only the first 128 hidden neurons and readout weights leave
only from the last 128. A neuron that needs both must stand in both windows, and from 256 hidden
neurons on no place does. The remedy is a *relay*: one more hidden neuron in the last window, with
threshold 32767 and no synapses. It is the alias target of the neuron, and the readout weights leave
from the relay. The chip copies the count in the same step, so the copy is exact. Source: rockpool
``devices/xylo/*/xylo_mapper.py``. Aliases are measured on xylosim 0.1.3.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nirc.backends.xylo.findings import (
    InputPlacesTaken,
    NoOrder,
    OutputPlacesTaken,
    TooManyHidden,
)
from nirc.backends.xylo.limits import FIRST, LAST, VARIANTS
from nirc.chip.backend import Search
from nirc.chip.target import Excess, Target
from nirc.diagnostics.finding import Finding
from nirc.diagnostics.usage import OptionMakesNoSense

if TYPE_CHECKING:
    from ortools.sat.python.cp_model import IntVar, LinearExpr

    from nirc.mapping.cp_sat import CpModel

Index = NDArray[np.int64]

HIDDEN = "hidden neurons"


@dataclass(frozen=True, eq=False)
class PlaceProblem:
    """The needs of each hidden neuron, in natural order.

    Raises ``ValueError`` if the lengths differ.
    """

    receives: NDArray[np.bool_]  # (n,) has a non-zero weight from an input channel
    read_out: NDArray[np.bool_]  # (n,) has a non-zero readout weight

    def __post_init__(self) -> None:
        if self.receives.ndim != 1 or self.receives.shape != self.read_out.shape:
            raise ValueError(
                f"receives {self.receives.shape} and read_out {self.read_out.shape} must be (n,)"
            )

    @property
    def neurons(self) -> int:
        """The number of hidden neurons without relays."""
        return len(self.receives)

    @property
    def both(self) -> int:
        """The number of neurons that receive input and are read out."""
        return int((self.receives & self.read_out).sum())


@dataclass(frozen=True, eq=False)
class Placement:
    """A place on the chip for every neuron and relay. Together they fill 0..hidden-1."""

    index: Index  # (n,) chip index of each neuron
    relay_of: Index  # (relays,) neuron copied by each relay
    relay_index: Index  # (relays,) chip index of each relay
    hidden: int  # n + relays


def place(
    problem: PlaceProblem,
    target: Target,
    search: Search,
    variants: Iterable[Target] = VARIANTS,
) -> Placement | list[Finding]:
    """Return the natural order if the chip takes it, else the order with fewest relays.

    Exact: a placement is found whenever there is one (see ``_model`` and ``_order``). Otherwise
    return a finding for each set of limits that cannot hold together. It advises those of
    ``variants`` that have an order. ``search.work`` is CP-SAT's
    deterministic time. The model has the same few variables for every network, far below the
    default. Raises ``UsageError`` (U607) if ``work`` is too little to find anything.
    """
    if _natural_order_is_legal(problem, target):
        return _placement(np.arange(problem.neurons), relay_of=np.arange(0))
    answer = _fewest_relays(problem, target, search)
    if isinstance(answer, int):
        relay_of = np.flatnonzero(problem.receives & problem.read_out)[:answer]
        return _placement(_order(problem, target, relay_of), relay_of)
    others = [v for v in variants if v.name != target.name]
    roomier = tuple(v for v in others if can_place(problem, v, search))
    return [_conflict(problem, target, names, roomier) for names in answer]


def check(problem: PlaceProblem, placement: Placement, target: Target) -> list[str]:
    """Return the rules of the chip that ``placement`` breaks as texts, none if it is legal.

    Written from the rules, not from the solver's model, to test ``place``.
    """
    n = problem.neurons
    hidden = placement.hidden
    relay_of = placement.relay_of
    relay_index = placement.relay_index
    places = np.concatenate([placement.index, relay_index])
    if len(placement.index) != n or len(relay_of) != len(relay_index):
        return ["a neuron or relay has no place"]
    if not np.array_equal(np.sort(places), np.arange(hidden)):
        return [f"the places are not each of 0..{hidden - 1} once"]
    if not np.isin(relay_of, np.arange(n)).all():
        return ["a relay copies a neuron that does not exist"]
    leaves_from = placement.index.copy()
    leaves_from[relay_of] = relay_index
    broken = {
        f"more than {target.max(HIDDEN)} hidden neurons": hidden > target.max(HIDDEN),
        "a neuron has several relays": len(np.unique(relay_of)) < len(relay_of),
        "a relay copies a neuron that is not read out": not problem.read_out[relay_of].all(),
        "a relay stands below its neuron": (placement.index[relay_of] > relay_index).any(),
        f"an input reaches beyond the first {target.max(FIRST)}": (
            placement.index[problem.receives] >= target.max(FIRST)
        ).any(),
        f"an output leaves from before the last {target.max(LAST)}": (
            leaves_from[problem.read_out] < hidden - target.max(LAST)
        ).any(),
    }
    return [rule for rule, is_broken in broken.items() if is_broken]


def _natural_order_is_legal(problem: PlaceProblem, target: Target) -> bool:
    n = problem.neurons
    return bool(
        n <= target.max(HIDDEN)
        and not problem.receives[target.max(FIRST) :].any()
        and not problem.read_out[: max(0, n - target.max(LAST))].any()
    )


def can_place(problem: PlaceProblem, target: Target, search: Search) -> bool:
    """Return True if the neurons have an order on ``target``. Raises as ``place`` does."""
    return _natural_order_is_legal(problem, target) or isinstance(
        _fewest_relays(problem, target, search), int
    )


def _fewest_relays(
    problem: PlaceProblem, target: Target, search: Search
) -> int | list[tuple[str, ...]]:
    """Return the number of relays, or all disjoint irreducible sets of limits in conflict."""
    from nirc.mapping.solver import solve

    model, relays, rules = _model(problem, target)
    conflicts: list[tuple[str, ...]] = []
    while True:
        solution = solve(
            model,
            seed=search.seed,
            work=search.work,
            seconds=search.seconds,
            assumptions=rules,
        )
        if solution.found:
            return conflicts or solution.value(relays)
        if solution.status == "unknown":
            raise OptionMakesNoSense(
                problem="the search for an order of the neurons was given too little work to find "
                "anything",
                found=f"{search.work} units of work",
            ).refusal()
        conflicts.append(solution.conflict)
        rules = {name: rule for name, rule in rules.items() if name not in solution.conflict}


def _model(problem: PlaceProblem, target: Target) -> tuple[CpModel, IntVar, dict[str, IntVar]]:
    """Return the model, the number of relays, and a literal for each limit.

    The variables are the numbers of neurons of each kind in each zone. Counting is exact. A rule of
    the chip depends on a neuron's kind and a place's zone only, so neurons of a kind and places of
    a zone can be exchanged. An order exists if and only if such counts do. A neuron that is only
    read out never needs a relay: it can take the relay's place itself. A window as large as the
    chip is no rule and gets no literal.

    In fact either no neuron needs a relay, or all that need both windows do: a relay enlarges the
    network, and takes from the overlap the place that it saves. The model does not rely on it.
    """
    from nirc.mapping.cp_sat import CpModel

    n, both = problem.neurons, problem.both
    model = CpModel()

    def count(name: str) -> IntVar:
        return model.new_int_var(0, n + both, name)

    relays, reach, leave, overlap = map(count, ("relays", "reach", "leave", "overlap"))
    hidden = n + relays
    model.add_min_equality(reach, [hidden, target.max(FIRST)])
    model.add_min_equality(leave, [hidden, target.max(LAST)])
    model.add_max_equality(overlap, [0, reach + leave - hidden])
    zones = {
        "first": reach - overlap,
        "overlap": overlap,
        "last": leave - overlap,
        "middle": hidden - reach - leave + overlap,
    }
    kinds = {
        "receives": int(problem.receives.sum()) - both,
        "read out": int(problem.read_out.sum()) - both,
        "neither": int((~problem.receives & ~problem.read_out).sum()),
        "both": both - relays,
        "relayed": relays,
        "relay": relays,
    }
    at = {pair: count(" in ".join(pair)) for pair in product(kinds, zones)}
    for kind, number in kinds.items():
        model.add(sum(at[kind, zone] for zone in zones) == number)
    for zone, size in zones.items():
        model.add(sum(at[kind, zone] for kind in kinds) == size)

    def rule(limit: str, amount: LinearExpr | int, most: int) -> IntVar:
        literal = model.new_bool_var(limit)
        model.add(amount <= most).only_enforce_if(literal)
        return literal

    rules = {HIDDEN: rule(HIDDEN, hidden, target.max(HIDDEN))}
    outside = {
        FIRST: product(("receives", "both", "relayed"), ("last", "middle")),
        LAST: product(("read out", "both", "relay"), ("first", "middle")),
    }
    for limit, pairs in outside.items():
        if target.max(limit) < target.max(HIDDEN):
            rules[limit] = rule(limit, sum(at[pair] for pair in pairs), 0)
    model.minimize(relays)
    return model, relays, rules


def _order(problem: PlaceProblem, target: Target, relay_of: Index) -> Index:
    """Return (n + relays,) the place of each neuron and then of each relay.

    Earliest deadline first. Each item has a range of places, from ``opens`` to before ``closes``.
    Every place takes, of the items whose range has opened, the item whose range closes first, then
    the lowest natural index. This finds an order whenever there is one: in any legal order, the
    item that a place takes by this rule can be exchanged with the item that stood there. The rule
    keeps the natural order inside a zone, and puts relays above their neurons. Only the number of
    relays is read from the solver, so any of several equally good solutions will do.
    """
    hidden = problem.neurons + len(relay_of)
    last_window = max(0, hidden - target.max(LAST))
    relayed = np.zeros(problem.neurons, dtype=bool)
    relayed[relay_of] = True
    opens = np.full(hidden, last_window)
    opens[: problem.neurons][~problem.read_out | relayed] = 0
    closes = np.full(hidden, hidden)
    closes[: problem.neurons][problem.receives] = target.max(FIRST)
    opening = {place: np.flatnonzero(opens == place).tolist() for place in (0, last_window)}
    waiting: list[tuple[int, int]] = []
    index = np.empty(hidden, dtype=np.int64)
    for place in range(hidden):
        for item in opening.get(place, ()):
            heapq.heappush(waiting, (int(closes[item]), item))
        index[heapq.heappop(waiting)[1]] = place
    return index


def _placement(index: Index, relay_of: Index) -> Placement:
    neurons = len(index) - len(relay_of)
    for array in (index, relay_of):
        array.setflags(write=False)
    return Placement(index[:neurons], relay_of, index[neurons:], hidden=len(index))


def _conflict(
    problem: PlaceProblem, target: Target, names: tuple[str, ...], roomier: tuple[Target, ...]
) -> Finding:
    """Return the finding of limits that cannot hold together, all called by ``names``."""
    limits = tuple(limit for limit in target.limits if limit.name in names)
    if names == (HIDDEN,):
        excess = Excess(target, limits[0], "", problem.neurons)
        return TooManyHidden(excess=excess, roomier=next(iter(roomier), None))
    if names == (FIRST,):
        n = int(problem.receives.sum())
        return InputPlacesTaken(target=target, limits=limits, roomier=roomier, receiving=n)
    if names == (LAST,):
        n = int(problem.read_out.sum())
        return OutputPlacesTaken(target=target, limits=limits, roomier=roomier, read_out=n)
    return NoOrder(
        target=target,
        limits=limits,
        roomier=roomier,
        neurons=problem.neurons,
        both=problem.both,
    )
