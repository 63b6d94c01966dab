"""The shape of every signal under one reading of a graph, and the failures of that reading."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import product

import networkx as nx

from nirc.analysis.claims import TAKES, Claim, Signals, claims, source_shape
from nirc.analysis.contradiction import Contradictions, Misfit
from nirc.analysis.parameters import MisfitError
from nirc.analysis.shapes import Fit, fit, lacks_channels, leading_axes, literal_shape, requirement
from nirc.diagnostics.shapes import (
    DeclaredInputShape,
    EqualParameters,
    ParameterPerChannel,
    ShapeContradiction,
    ShapeFinding,
    UnknownShape,
)
from nirc.ir.arrays import Shape
from nirc.ir.layers import Conv, Input, LayerNode, Linear, Output, Pool
from nirc.ir.program import Program

MOST_ASKED = 4  # further inferences to find the node at fault
# Readings against a node's claim that may hide an earlier fault.
DOUBTFUL = DeclaredInputShape | EqualParameters


@dataclass(frozen=True)
class Reading:
    """A reading of a graph.

    ``lead``: leading axes that Inputs lose. ``needs_first``: Inputs give way before a layer's
    declaration does. ``changes``: 1 if the reading changes a field, else 0. ``given``: a node, and
    the assumed shape of its input.
    """

    program: Program
    lead: int = 0
    needs_first: bool = False
    changes: int = 0
    given: tuple[str, Shape] | None = None


class Inference:
    """An inference over the full graph: propagate shapes first, then check every edge."""

    def __init__(self, reading: Reading, signals: Signals) -> None:
        self.reading = reading
        self.program = reading.program
        self.signals = signals
        self.layers = {n: p.layer for n, p in self.program.nodes(LayerNode).items()}
        self.demands = {n: requirement(layer) for n, layer in self.layers.items()}
        self.fits: dict[str, Fit] = {}
        self.readings: list[Misfit] = []
        self.misfits: list[Misfit] = []
        self.failed: set[str] = set()
        self.dropped: dict[str, Shape] = {}  # leading axes that Inputs declare, by node
        self.shortened: set[int] = set()  # their signals
        self.sole = _sole_ports(self.program)
        fixing = [n for n, layer in self.layers.items() if isinstance(layer, Linear | Conv | Pool)]
        # Signals with a known number of axes.
        self.ranked = {signals.of(node, TAKES) for node in fixing}
        self.claims = claims(self.layers, signals, {})
        self.asked = 0
        self._sources()
        self._propagate()
        self._check()
        self._look_for_outvoted()

    @property
    def cost(self) -> int:
        """A measure of the overruled claims. Parameters count most: they are seldom wrong."""
        overruled = {node: finding for node, finding in self.readings if finding.overrules}
        return 2 * self.reading.changes + sum(
            3 if isinstance(finding, EqualParameters) else 2 for finding in overruled.values()
        )

    @property
    def is_clean(self) -> bool:
        """True if every claim of a node holds."""
        return not self.misfits and not self.cost

    def contradictions(self) -> list[Misfit]:
        """Return a finding for each cause: the first node before a misfit without a majority."""
        if not self.misfits:
            return []
        judge = Contradictions(self.program, self.layers, self.signals, self.fits)
        doubts = {
            node: finding
            for node, finding in self.readings
            if isinstance(finding, DOUBTFUL) and judge.is_doubtful(node, self.fits[node].shape_in)
        }

        def cause(node: str, finding: ShapeFinding) -> Misfit:
            return self._cause(node, finding, doubts)

        return judge.of(self.misfits, cause, self._witnesses)

    def _witnesses(self, node: str, shape: Shape) -> list[str]:
        """Return nodes behind ``node`` that agree with ``shape``, if that shape alone fits all."""
        if self.asked >= MOST_ASKED:
            return []
        self.asked += 1
        other = Inference(replace(self.reading, given=(node, shape)), self.signals)
        if other.misfits:
            return []
        # A Linear fixes the shape behind it. All others take what arrives.
        shaped = {n for n, layer in self.layers.items() if not isinstance(layer, Linear)}
        return [n for n in reached(self.program, [node], only=shaped) if other.confirms(n, node)]

    def confirms(self, node: str, source: str) -> bool:
        """Return True if ``node`` rightly claims the size of a signal other than ``source``'s."""
        signal = self.signals.of(node, TAKES)
        if signal == self.signals.of(source, TAKES) or node not in self.fits:
            return False
        return any(
            claim.supports(self.fits[node].shape_in)
            for claim in self.claims.get(signal, [])
            if claim.node == node and not claim.channels
        )

    def _cause(
        self, node: str, finding: ShapeFinding, doubts: Mapping[str, ShapeFinding]
    ) -> Misfit:
        """Return the first of ``doubts`` before a misfit, as a misfit, else the misfit itself."""
        if not doubts:
            return node, finding
        before = nx.ancestors(self.program.graph, node) | {node}
        for other in reached(self.program, self._starts()):
            if other in doubts and other in before:
                doubt = doubts[other]
                found, limit = doubt.compared()
                problem = f"it is made for {found}, {limit} arrives"
                return other, _contradiction(doubt, problem)
        return node, finding

    def _starts(self) -> list[str]:
        return [node for node in self.program.graph if not self.program.into(node)]

    def shaped(self) -> Program:
        """Return the program with all shapes."""
        return self.program.mapped(
            {
                n: replace(p, shape_in=self.fits[n].shape_in, shape_out=self.fits[n].shape_out)
                for n, p in self.program.nodes(LayerNode).items()
            }
        )

    def _successors(self, node: str) -> list[str]:
        return [t for t, _ in self.program.out_of(node)]

    def _wanted(self, node: str) -> set[Shape]:
        behind = {self.demands[t] for t in self.program.graph.succ[node]}
        return {demand for demand in behind if demand is not None}

    def _fit(self, node: str, arriving: Shape | None) -> Fit:
        """Return ``fit``. Only a sole port with one incoming signal may be overruled."""
        layer = self.layers[node]
        if self.reading.given is not None and self.reading.given[0] == node:
            arriving = self.reading.given[1]
        result = fit(layer, arriving, self._wanted(node))
        if self.dropped and arriving is not None and self._is_guess(node, arriving, result):
            problem = "without leading axes, the signal that arrives has too few"
            raise MisfitError(ShapeContradiction(problem=problem, found=f"shape {arriving}"))
        may_give_way = node in self.sole and len({s for s, _ in self.program.into(node)}) <= 1
        if isinstance(layer, Input | Output) and not may_give_way:
            for finding in result.findings:
                if finding.overrules:
                    problem = f"it declares shape {layer.shape}, shape {arriving} arrives"
                    raise MisfitError(_contradiction(finding, problem))
        return result

    def _is_guess(self, node: str, arriving: Shape, result: Fit) -> bool:
        """Return True if a node takes a shortened signal whose number of axes is unknown."""
        if lacks_channels(self.layers[node], arriving):
            return True
        signal = self.signals.of(node, TAKES)
        shortened = signal in self.shortened and signal not in self.ranked
        return shortened and any(
            isinstance(finding, ParameterPerChannel) for finding in result.findings
        )

    def _sources(self) -> None:
        for node, layer in self.layers.items():
            if not isinstance(layer, Input) or self.program.into(node):
                continue
            consumers = [self.layers[t] for t in self._successors(node)]
            others: list[Claim] = []
            if layer.shape is None or node in self.sole:
                signal = self.signals.of(node, TAKES)
                others = [c for c in self.claims.get(signal, []) if c.node != node]
            shape, finding = source_shape(
                layer.shape,
                consumers,
                others,
                sole=node in self.sole,
                needs_first=self.reading.needs_first,
            )
            if shape is None:
                problem = "the Input declares no shape and nothing behind it tells"
                self.misfits.append((node, UnknownShape(problem=problem)))
                continue
            if self.reading.lead and len(shape) > self.reading.lead:
                shape = shape[self.reading.lead :]
                finding = next(iter(fit(layer, shape).findings), None)
            self._note_leading_axes(node, layer.shape, shape)
            if finding is not None:
                self.readings.append((node, finding))
            self.fits[node] = Fit(shape, shape)

    def _note_leading_axes(self, node: str, declared: Shape | None, shape: Shape) -> None:
        """Record the leading axes. A batch has one length, so other leading axes are a misfit."""
        lead = None if declared is None else leading_axes(declared, shape)
        lead = lead if lead is None else tuple(n for n in lead if n != 1)
        if (
            lead
            and (other := next(iter(self.dropped), None)) is not None
            and self.dropped[other] != lead
        ):
            contradiction = ShapeContradiction(
                problem=f"it declares leading axes {lead}, `{other}` declares "
                f"{self.dropped[other]}: no batch has both",
                field="shape",
                found=str(declared),
                limit=str(shape),
                is_internal=True,
            )
            self.misfits.append((node, contradiction))
        if lead:
            self.dropped[node] = lead
            self.shortened.add(self.signals.of(node, TAKES))

    def _propagate(self) -> None:
        """Go breadth first from the Inputs, then from nodes with fixed shapes (loops)."""
        queue = deque(self.fits)
        pending = deque(n for n in self.layers if n not in self.fits)
        while queue or pending:
            while queue:
                for target in self._successors(node := queue.popleft()):
                    if target not in self.fits and self._try(target, self.fits[node].shape_out):
                        queue.append(target)
            stopped = self._stopped()
            pending = deque(n for n in pending if n not in self.fits and n not in stopped)
            pairs = product((requirement, literal_shape), pending)
            seed = next((n for shape, n in pairs if shape(self.layers[n]) is not None), None)
            pending = deque(n for n in pending if n != seed)
            if seed is None:
                break
            if self._try(seed, None):
                queue.append(seed)

    def _stopped(self) -> dict[str, None]:
        """Return nodes with a contradiction, and all nodes behind them."""
        return reached(self.program, [node for node, _ in self.misfits])

    def _try(self, node: str, arriving: Shape | None) -> bool:
        if node in self.failed:
            return False
        try:
            self.fits[node] = self._fit(node, arriving)
        except MisfitError as misfit:
            self.failed.add(node)
            self.misfits.append((node, misfit.finding))
            return False
        return True

    def _check(self) -> None:
        seen = dict.fromkeys(self.readings)
        stopped = self._stopped()
        for node in self.layers:
            if node not in self.fits:
                if node not in stopped:
                    problem = "its shape cannot be inferred: no signal reaches it"
                    self.misfits.append((node, UnknownShape(problem=problem)))
                continue
            arrivals = [
                self.fits[s].shape_out for s, _ in self.program.into(node) if s in self.fits
            ]
            for arriving in dict.fromkeys(arrivals):
                try:
                    fitted = self._fit(node, arriving)
                except MisfitError as misfit:
                    self.misfits.append((node, misfit.finding))
                    continue
                if fitted.shape_out != self.fits[node].shape_out:
                    contradiction = ShapeContradiction(
                        problem="signals of different shape arrive",
                        found=str(arriving),
                        limit=str(self.fits[node].shape_in),
                    )
                    self.misfits.append((node, contradiction))
                readings = [(node, finding) for finding in fitted.findings]
                self.readings += [reading for reading in readings if reading not in seen]
                seen |= dict.fromkeys(readings)

    def _look_for_outvoted(self) -> None:
        """Reject a reading against a node's claim that most other nodes at the signal share."""
        overruled = {node: finding for node, finding in self.readings if finding.overrules}
        if self.misfits or not overruled:
            return
        judge = Contradictions(self.program, self.layers, self.signals, self.fits)
        for node, finding in overruled.items():
            if judge.is_outvoted(node, self.fits[node].shape_in):
                self.misfits.append((node, _contradiction(finding, finding.message())))


def _contradiction(finding: ShapeFinding, problem: str) -> ShapeContradiction:
    """Return a reading as a contradiction about the same field."""
    found, limit = finding.compared()
    return ShapeContradiction(problem=problem, field=finding.field, found=found, limit=limit)


def reached(
    program: Program, roots: Iterable[str], *, only: Collection[str] | None = None
) -> dict[str, None]:
    """Return ``roots`` and nodes behind, nearest first. ``only``: nodes that lead further."""
    reachable = dict.fromkeys(roots)
    queue = deque(reachable)
    while queue:
        node = queue.popleft()
        if only is not None and node not in only:
            continue
        new = [n for n in program.graph.successors(node) if n not in reachable]
        reachable |= dict.fromkeys(new)
        queue.extend(new)
    return reachable


def _sole_ports(program: Program) -> set[str]:
    """Return Inputs and Outputs that are the only port of their kind in their graph.

    Graphs may be nested, or flattened into names. Ports without edges do not count.
    """
    keys: dict[str, tuple[object, ...]] = {}
    for node, payload in program.nodes(LayerNode).items():
        if isinstance(payload.layer, Input | Output):
            keys[node] = _port_key(program, node, payload)
    number = Counter(keys.values())
    return {node for node, key in keys.items() if number[key] == 1}


def _port_key(program: Program, node: str, payload: LayerNode) -> tuple[object, ...]:
    kind = type(payload.layer).__name__
    enters, leaves = bool(program.into(node)), bool(program.out_of(node))
    if enters and leaves:
        outer, _, name = payload.origins[0].rpartition("nodes/")
        return kind, outer, name.rpartition(".")[0]
    return (kind,) if enters or leaves else (kind, node)
