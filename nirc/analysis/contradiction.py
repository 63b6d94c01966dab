"""Contradictions between shapes. Each cause is one finding, at the node at fault.

At every signal the majority of nodes is believed, see `claims`. Without a majority, the finding
names all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import chain

import networkx as nx

from nirc.analysis.claims import TAKES, Claim, Signals, Vote, claims, vote
from nirc.analysis.shapes import Fit
from nirc.diagnostics.shapes import (
    MOST_NAMES,
    BiasOfOtherSize,
    ShapeContradiction,
    ShapeFinding,
    listed,
    named,
)
from nirc.ir.arrays import Shape, size
from nirc.ir.layers import Input, Layer, Linear, Output
from nirc.ir.program import Program

MOST_FINDINGS = 20  # of one graph: a hostile graph may have thousands
EXPORT = "export the model again"

Misfit = tuple[str, ShapeFinding]  # a node, and a finding about the signal that arrives
Cause = Callable[[str, ShapeFinding], Misfit]
Witnesses = Callable[[str, Shape], Sequence[str]]


class Contradictions:
    """Turns the misfits of a reading into findings, one for each disputed signal."""

    def __init__(
        self,
        program: Program,
        layers: Mapping[str, Layer],
        signals: Signals,
        fits: Mapping[str, Fit],
    ):
        self.program = program
        self.layers = layers
        self.signals = signals
        self.fits = fits
        self.claims = claims(layers, signals, fits)
        self._meetings: dict[int, list[str]] = {}  # nodes that several signals enter
        for node in layers:
            if program.graph.in_degree(node) > 1:
                self._meetings.setdefault(signals.of(node, TAKES), []).append(node)

    def of(self, misfits: Sequence[Misfit], cause: Cause, witnesses: Witnesses) -> list[Misfit]:
        """Return findings with help in the order of ``misfits``, one for each signal.

        There are at most `MOST_FINDINGS`. ``cause`` leads from a misfit to its cause. ``witnesses``
        gives the nodes behind a node that agree with a shape, if only that shape enters the node.
        """
        findings: list[Misfit] = []
        seen: set[int] = set()
        for misfit in misfits:
            if len(findings) >= MOST_FINDINGS:
                break
            if self.signals.of(misfit[0], TAKES) in seen:
                continue
            node, finding = cause(*misfit)
            signal = self.signals.of(node, TAKES)
            if finding.is_internal or not isinstance(finding, ShapeContradiction):
                findings.append((node, finding.with_fields(help=_internal_help(finding))))
            elif signal not in seen:
                seen.add(signal)
                findings.append(self._at(signal, node, finding, witnesses))
        return findings

    def is_outvoted(self, node: str, shape: Shape) -> bool:
        """Return True if a majority at the signal into ``node`` agrees on another shape."""
        return self._support(self.signals.of(node, TAKES), shape) == 0

    def is_doubtful(self, node: str, shape: Shape) -> bool:
        """Return True unless a majority at the signal into ``node`` agrees on ``shape``."""
        return self._support(self.signals.of(node, TAKES), shape) != 1

    @cache  # noqa: B019 - lives as long as one inference
    def _support(self, signal: int, shape: Shape) -> float | None:
        """Return the share of the majority's claims that support ``shape``, None without one."""
        decided = vote(self.claims.get(signal, []))
        if decided is None:
            return None
        return sum(claim.supports(shape) for claim in decided.supporters) / len(decided.supporters)

    def _at(
        self, signal: int, node: str, finding: ShapeContradiction, witnesses: Witnesses
    ) -> Misfit:
        at_signal = self.claims.get(signal, [])
        certain = self._concatenated(signal, at_signal) or self._shared_out(signal)
        decided = vote(at_signal)
        if certain is not None:
            return certain
        disputing = {claim.node for claim in decided.dissenters} if decided is not None else set()
        meeting = self._meeting(signal) if decided is None or len(disputing) > 1 else None
        if meeting is not None:
            return meeting
        if decided is None:
            return _seconded(node, at_signal, witnesses) or _undecided(node, finding, at_signal)
        if decided.dissenters:
            return _decided(decided)
        return node, finding.with_fields(help=f"correct `{node}` and {EXPORT}")

    def _concatenated(self, signal: int, at_signal: Sequence[Claim]) -> Misfit | None:
        """Find signals that meet, and a node that expects their total number of values."""
        for node in self._meetings.get(signal, [])[:MOST_FINDINGS]:
            arriving = self._arriving(node)
            joined = _joined(list(arriving.values()))
            asking = [
                c
                for c in at_signal
                if joined is not None and c.node not in arriving and c.supports(joined)
            ]
            if joined is not None and asking:
                return self._add_up(node, arriving, joined, asking[0])
        return None

    def _meeting(self, signal: int) -> Misfit | None:
        """Find signals of different sizes that meet at a node, with no single deviation."""
        for node in self._meetings.get(signal, [])[:MOST_FINDINGS]:
            arriving = self._arriving(node)
            if len({size(shape) for shape in arriving.values()}) > 1:
                return node, ShapeContradiction(
                    problem=f"{_sized(arriving)} meet here, where NIR adds signals up: they must "
                    "be of the same shape",
                    found=listed([f"shape {shape}" for shape in arriving.values()]),
                    help="let each go through a Linear whose outputs are of the same shape, or "
                    "correct one of them",
                )
        return None

    def _arriving(self, node: str) -> dict[str, Shape]:
        """Return shapes that reach ``node``, by source, except signals that the node feeds itself.

        Inputs without a declared shape are left out, since their shape is a guess.
        """
        back = nx.descendants(self.program.graph, node) | {node}
        sources = dict.fromkeys(
            s for s, _ in self.program.into(node) if s in self.fits and s not in back
        )
        guessed = {
            s for s in sources if isinstance(port := self.layers[s], Input) and port.shape is None
        }
        sources = {s: None for s in sources if s not in guessed}
        return {source: self.fits[source].shape_out for source in sources}

    def _add_up(
        self, node: str, arriving: Mapping[str, Shape], joined: Shape, asking: Claim
    ) -> Misfit:
        instead = "one Linear for each signal"
        asker = self.layers[asking.node]
        if isinstance(asker, Linear):
            rows = asker.weight.shape[-2]
            weights = listed([f"({rows}, {size(shape)})" for shape in arriving.values()])
            instead = f"split `{asking.node}` into Linear nodes with weights of shape {weights}"
        return node, ShapeContradiction(
            problem=f"{_sized(arriving)} meet here: NIR adds such signals, it does not join them "
            f"into {_short(joined)}",
            field=asking.field if asking.node == node else "",
            found=listed([f"shape {shape}" for shape in arriving.values()]),
            limit=f"shape {asking.shape}",
            help=f"use one Input or layer of {_short(joined)}, or {instead}, whose outputs add up",
        )

    def _shared_out(self, signal: int) -> Misfit | None:
        """Find several Outputs that together declare as many values as their common signal."""
        ports = [c for c in self.claims.get(signal, []) if isinstance(self.layers[c.node], Output)]
        here = {claim.node: claim.shape for claim in ports}
        sources = [
            edge[0]
            for edge in chain.from_iterable(map(self.program.into, here))
            if edge[0] in self.fits
        ]
        if len(here) < 2 or not sources:
            return None
        shape = self.fits[sources[0]].shape_out
        if sum(map(size, here.values())) != size(shape):
            return None
        node = next(iter(here))
        return node, ShapeContradiction(
            problem=f"{_sized(here)} share the {_short(shape)} of `{sources[0]}`, but an Output "
            "takes a whole signal",
            field="shape",
            found=str(here[node]),
            limit=str(shape),
            help=f"use one Output of {_short(shape)}, or split `{sources[0]}` into one layer for "
            "each Output",
        )


def _decided(decided: Vote) -> Misfit:
    """Return the finding with a majority: at the first node with another claim."""
    wrong = decided.dissenters[0]
    agreeing = named(claim.node for claim in decided.supporters)
    others = dict.fromkeys(claim.node for claim in decided.dissenters if claim.node != wrong.node)
    problem = f"{wrong.text}, but {agreeing} agree on {_short(decided.shape)}"
    if others:
        problem += f"; {named(others)} differ{'s' if len(others) == 1 else ''}, too"
    return _against(wrong, decided.shape, problem)


def _seconded(node: str, at_signal: Sequence[Claim], witnesses: Witnesses) -> Misfit | None:
    """If nodes behind ``node`` agree with it, return the finding at the first contradiction."""
    at_signal = [claim for claim in at_signal if not claim.channels]
    claimed = next((claim for claim in at_signal if claim.node == node), None)
    if claimed is None:
        return None
    wrong = next((claim for claim in at_signal if not claim.supports(claimed.shape)), None)
    agreeing = witnesses(node, claimed.shape) if wrong is not None else []
    if wrong is None or not agreeing:
        return None
    verb = "agrees" if len(agreeing) == 1 else "agree"
    problem = (
        f"{wrong.text}, but `{node}` is made for {_short(claimed.shape)}, and "
        f"{named(agreeing)} behind it {verb}"
    )
    return _against(wrong, claimed.shape, problem)


def _against(wrong: Claim, shape: Shape, problem: str) -> Misfit:
    """Return the finding that a claim is wrong and ``shape`` is right."""
    before = " or what comes before it" if wrong.by_arrival else ""
    return wrong.node, ShapeContradiction(
        problem=problem,
        field=wrong.field_against(shape),
        found=f"shape {wrong.shape}",
        limit=f"shape {shape}",
        help=f"correct `{wrong.node}`{before} and {EXPORT}",
    )


def _undecided(node: str, finding: ShapeContradiction, at_signal: Sequence[Claim]) -> Misfit:
    """Return the finding without a majority: at the node that cannot take the signal."""
    others = [f"`{claim.node}`: {claim.text}" for claim in at_signal if claim.node != node]
    more = f" ({', '.join(others[:MOST_NAMES])})" if others else ""
    help_ = f"nothing around it tells which is right: correct one of them and {EXPORT}"
    return node, finding.with_fields(problem=finding.problem + more, help=help_)


def _internal_help(finding: ShapeFinding) -> str:
    if isinstance(finding, BiasOfOtherSize):
        return "if the weight is stored as (in, out), export weight.T; otherwise correct the bias"
    return f"the shapes have no single reading: correct the model and {EXPORT}"


def _joined(shapes: Sequence[Shape]) -> Shape | None:
    """Return the shape of several concatenated signals.

    They are joined along the first axis if the other axes agree, else value by value.
    """
    if len(shapes) < 2:
        return None
    if len({shape[1:] for shape in shapes}) == 1:
        return (sum(shape[0] for shape in shapes), *shapes[0][1:])
    return (sum(map(size, shapes)),)


def _short(shape: Shape) -> str:
    values = f"{size(shape)} value{'' if size(shape) == 1 else 's'}"
    return values if len(shape) == 1 else f"shape {shape}"


def _sized(shapes: Mapping[str, Shape]) -> str:
    """Return names of nodes with their sizes, for a message."""
    return listed([f"`{node}` ({_short(shape)})" for node, shape in shapes.items()])
