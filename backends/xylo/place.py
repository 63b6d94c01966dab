"""The order of the hidden neurons, and relays where no order will do.

On Audio 3 and IMU input weights reach only the first 128 hidden neurons and readout weights leave
only from the last 128. A neuron that needs both must stand in both windows, and from 256 hidden
neurons on no place does. The remedy is a *relay*: one more hidden neuron in the last window, with
threshold 32767 and no synapses, that is the alias target of the neuron; the readout weights leave
from the relay. The chip copies the count in the same step, so the copy is exact. Sources: rockpool
``devices/xylo/*/xylo_mapper.py``; aliases measured on xylosim 0.1.3.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nirc.backends.xylo.limits import VARIANTS
from nirc.chip.target import Target
from nirc.diagnostics.errors import Diagnostic, UsageError
from nirc.diagnostics.log import Log

if TYPE_CHECKING:
    from ortools.sat.python.cp_model import CpModel, IntVar, LinearExpr

Index = NDArray[np.int64]

HIDDEN = "hidden neurons"
REACH = "neurons that inputs reach"
LEAVE = "neurons that outputs leave from"


@dataclass(frozen=True, eq=False)
class PlaceProblem:
    """What each hidden neuron needs, in natural order.

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
        """Hidden neurons without relays."""
        return len(self.receives)

    @property
    def both(self) -> int:
        """Neurons that receive input and are read out."""
        return int((self.receives & self.read_out).sum())


@dataclass(frozen=True, eq=False)
class Placement:
    """A place on the chip for every neuron and relay; together they fill 0..hidden-1."""

    index: Index  # (n,) chip index of each neuron
    relay_of: Index  # (relays,) neuron copied by each relay
    relay_index: Index  # (relays,) chip index of each relay
    hidden: int  # n + relays


@dataclass(frozen=True)
class Conflict:
    """Limits that cannot hold together: without any one of them the rest can.

    ``also``: further such sets.
    """

    limits: tuple[str, ...]
    code: str  # X502, X506, X507 for one limit; X508 for several
    message: str
    found: str
    limit: str
    source: str
    help: str
    also: tuple[Conflict, ...] = ()

    def report(self, log: Log, where: str = "") -> None:
        """Write this conflict and all further ones to ``log`` as errors."""
        log.error(
            self.code,
            self.message,
            where=where,
            found=self.found,
            limit=self.limit,
            source=self.source,
            help=self.help,
        )
        for other in self.also:
            other.report(log, where)


def place(
    problem: PlaceProblem,
    target: Target,
    *,
    seed: int = 0,
    work: float = 10.0,
    seconds: float | None = None,
) -> Placement | Conflict:
    """The natural order if the chip takes it; else the order with fewest relays, or why there is
    none.

    Exact: a placement is found whenever there is one (see ``_model`` and ``_order``). ``work``:
    CP-SAT's deterministic time; the model has the same few variables for every network, far below
    the default. ``seconds``: wall time instead, if the user asks for it. Raises ``UsageError``
    (U607) if ``work`` is too little to find anything.
    """
    if _natural_order_is_legal(problem, target):
        return _placement(np.arange(problem.neurons), relay_of=np.arange(0))
    answer = _fewest_relays(problem, target, seed=seed, work=work, seconds=seconds)
    if isinstance(answer, int):
        relay_of = np.flatnonzero(problem.receives & problem.read_out)[:answer]
        return _placement(_order(problem, target, relay_of), relay_of)
    roomier = [
        v
        for v in VARIANTS
        if v.name != target.name and _fits(problem, v, seed=seed, work=work, seconds=seconds)
    ]
    first, *others = (_conflict(problem, target, limits, roomier) for limits in answer)
    return replace(first, also=tuple(others))


def check(problem: PlaceProblem, placement: Placement, target: Target) -> list[str]:
    """Every rule of the chip that ``placement`` breaks, in words; empty if it is legal.

    Written from the rules, not from the model: tests and verifiers ask it about what ``place``
    found.
    """
    n, hidden = problem.neurons, placement.hidden
    relay_of, relay_index = placement.relay_of, placement.relay_index
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
        f"an input reaches beyond the first {target.max(REACH)}": (
            placement.index[problem.receives] >= target.max(REACH)
        ).any(),
        f"an output leaves from before the last {target.max(LEAVE)}": (
            leaves_from[problem.read_out] < hidden - target.max(LEAVE)
        ).any(),
    }
    return [rule for rule, is_broken in broken.items() if is_broken]


def _natural_order_is_legal(problem: PlaceProblem, target: Target) -> bool:
    n = problem.neurons
    return bool(
        n <= target.max(HIDDEN)
        and not problem.receives[target.max(REACH) :].any()
        and not problem.read_out[: max(0, n - target.max(LEAVE))].any()
    )


def _fits(
    problem: PlaceProblem, target: Target, *, seed: int, work: float, seconds: float | None
) -> bool:
    return _natural_order_is_legal(problem, target) or isinstance(
        _fewest_relays(problem, target, seed=seed, work=work, seconds=seconds), int
    )


def _fewest_relays(
    problem: PlaceProblem, target: Target, *, seed: int, work: float, seconds: float | None
) -> int | list[tuple[str, ...]]:
    """How many relays are needed, or all disjoint irreducible sets of limits in conflict."""
    from nirc.mapping.solver import solve

    model, relays, rules = _model(problem, target)
    conflicts: list[tuple[str, ...]] = []
    while not (
        solution := solve(model, seed=seed, work=work, seconds=seconds, assumptions=rules)
    ).found:
        if solution.status == "unknown":
            message = (
                "the search for an order of the neurons was given too little work to find anything"
            )
            raise UsageError([Diagnostic("U607", "error", message, found=f"{work} units of work")])
        conflicts.append(solution.conflict)
        rules = {name: rule for name, rule in rules.items() if name not in solution.conflict}
    return conflicts or solution.value(relays)


def _model(problem: PlaceProblem, target: Target) -> tuple[CpModel, IntVar, dict[str, IntVar]]:
    """How many neurons of each kind stand in each zone; the number of relays; a literal for each
    limit.

    Exact, although it only counts: a rule of the chip asks for a neuron's kind and a place's zone,
    nothing else, so neurons of a kind, and places of a zone, can be exchanged: an order exists if
    and only if such counts do. A neuron that is only read out never needs a relay: it can take the
    relay's place itself. A window as large as the chip is no rule and gets no literal: "hidden
    neurons" says the same.

    By counting one finds that either no neuron needs a relay or all that need both windows do: a
    relay enlarges the network, so takes from the overlap the very place that it saves. The model
    does not rely on it.
    """
    from ortools.sat.python.cp_model import CpModel

    n, both = problem.neurons, problem.both
    model = CpModel()

    def count(name: str) -> IntVar:
        return model.new_int_var(0, n + both, name)

    relays, reach, leave, overlap = (
        count(name) for name in ("relays", "reach", "leave", "overlap")
    )
    hidden = n + relays
    model.add_min_equality(reach, [hidden, target.max(REACH)])
    model.add_min_equality(leave, [hidden, target.max(LEAVE)])
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
    at = {(kind, zone): count(f"{kind} in {zone}") for kind in kinds for zone in zones}
    for kind, number in kinds.items():
        model.add(sum(at[kind, zone] for zone in zones) == number)
    for zone, size in zones.items():
        model.add(sum(at[kind, zone] for kind in kinds) == size)

    def rule(limit: str, amount: LinearExpr | int, most: int) -> IntVar:
        literal = model.new_bool_var(limit)
        model.add(amount <= most).only_enforce_if(literal)
        return literal

    rules = {HIDDEN: rule(HIDDEN, hidden, target.max(HIDDEN))}
    if target.max(REACH) < target.max(HIDDEN):
        outside = sum(
            at[kind, zone]
            for kind in ("receives", "both", "relayed")
            for zone in ("last", "middle")
        )
        rules[REACH] = rule(REACH, outside, 0)
    if target.max(LEAVE) < target.max(HIDDEN):
        outside = sum(
            at[kind, zone] for kind in ("read out", "both", "relay") for zone in ("first", "middle")
        )
        rules[LEAVE] = rule(LEAVE, outside, 0)
    model.minimize(relays)
    return model, relays, rules


def _order(problem: PlaceProblem, target: Target, relay_of: Index) -> Index:
    """(n + relays,) the place of each neuron and then of each relay: earliest deadline first.

    Each has a range of places, from ``opens`` to before ``closes``. Every place takes, of those
    whose range has opened, the one whose range closes first, then the lowest natural index. This
    finds an order whenever there is one: in any legal order, what a place takes by this rule can
    change places with what stood there and stay in its range. It keeps the natural order inside a
    zone, and puts relays, which wait longest, above their neurons. Only the number of relays is
    read from the solver, so it does not matter which of several equally good solutions CP-SAT
    returns.
    """
    hidden = problem.neurons + len(relay_of)
    last_window = max(0, hidden - target.max(LEAVE))
    relayed = np.zeros(problem.neurons, dtype=bool)
    relayed[relay_of] = True
    opens = np.full(hidden, last_window)
    opens[: problem.neurons][~problem.read_out | relayed] = 0
    closes = np.full(hidden, hidden)
    closes[: problem.neurons][problem.receives] = target.max(REACH)
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
    problem: PlaceProblem, target: Target, limits: tuple[str, ...], roomier: Iterable[Target]
) -> Conflict:
    """``limits`` in words, with the numbers of the model."""
    declared = [limit for limit in target.limits if limit.name in limits]
    code = declared[0].code if len(declared) == 1 else "X508"
    describe = {
        "X502": _too_many,
        "X506": _too_many_receive,
        "X507": _too_many_are_read,
        "X508": _no_order,
    }[code]
    message, found, limit, remedy = describe(problem, target)
    others = [
        f"{v.name} (up to {v.max('fan-out of one neuron')} targets of a neuron)" for v in roomier
    ]
    elsewhere = f"; or compile for {' or '.join(others)}, which can place this" if others else ""
    source = "; ".join(dict.fromkeys(limit.source for limit in declared))
    return Conflict(limits, code, message, found, limit, source, remedy + elsewhere)


def _neurons(number: int) -> str:
    return f"{number} neuron{'' if number == 1 else 's'}"


def _too_many(problem: PlaceProblem, target: Target) -> tuple[str, str, str, str]:
    n, most = problem.neurons, target.max(HIDDEN)
    return (
        f"the network has more hidden neurons than {target.name}",
        f"{n} hidden neurons",
        f"{most}",
        f"remove {_neurons(n - most)}",
    )


def _too_many_receive(problem: PlaceProblem, target: Target) -> tuple[str, str, str, str]:
    n, most = int(problem.receives.sum()), target.max(REACH)
    return (
        f"more neurons receive input than inputs can reach on {target.name}",
        f"{n} hidden neurons with input weights",
        f"{most}, the first {most} hidden neurons",
        f"prune all input weights of {_neurons(n - most)}",
    )


def _too_many_are_read(problem: PlaceProblem, target: Target) -> tuple[str, str, str, str]:
    n, most = int(problem.read_out.sum()), target.max(LEAVE)
    return (
        f"more neurons are read out than outputs can leave from on {target.name}",
        f"{n} hidden neurons with readout weights",
        f"{most}, the last {most} hidden neurons",
        f"prune all readout weights of {_neurons(n - most)}",
    )


def _no_order(problem: PlaceProblem, target: Target) -> tuple[str, str, str, str]:
    n, both = problem.neurons, problem.both
    first, last = target.max(REACH), target.max(LEAVE)
    shared = max(0, first + last - n)
    excess = n + both - target.max(HIDDEN)
    return (
        f"no order of the neurons satisfies the rules of {target.name}, and there is no room for "
        "relays",
        f"{n} hidden neurons, {both} of them both receive input and are read out; with relays "
        f"{n + both}",
        f"{target.max(HIDDEN)} hidden neurons; {shared} places are in the first {first} and the "
        f"last {last}",
        f"let {_neurons(min(excess, both - shared))} fewer both receive input and be read out, "
        f"or remove {_neurons(excess)}",
    )
