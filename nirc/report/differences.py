"""Differences between the model and the chip: update rules, decays, and weights before and after.

They are read from the two programs, not from the warnings.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, Protocol, runtime_checkable

import numpy as np

from nirc.analysis.relays import origin, repeated
from nirc.ir.arrays import Float, Int
from nirc.ir.linear import Conv, Dense, LinearOp, Sparse, Weighted, weights_of
from nirc.ir.populations import Discrete, Population, Projection
from nirc.ir.program import Program


@runtime_checkable
class _InUnits(Protocol):
    """An integer payload that can be read as a discrete neuron in units of the chip."""

    def as_discrete(self) -> Discrete:
        """Return the neuron without the rounding of its states."""


Edges = dict[tuple[str, str], list[Projection]]
Differences = dict[str, list[dict[str, Any]]]
Weights = tuple[Float, Float, Int]  # before, after, and the row of each
NEARLY_FULL = 4  # a matrix with an entry in so many places is compared place by place
MOST_DRAWN = 1 << 16  # weights of a projection in a picture
BLOCK = 1 << 16  # places that are compared together


def differences(model: Program, chip: Program) -> Differences:
    """Return ``rules``, ``decays`` and ``weights`` that differ between two executable programs.

    Populations are compared by name. A rule is given as its text. ``rebuilt``: populations that get
    other projections on the chip, where a relay counts as what it repeats. Their rules and decays
    have no counterpart. ``change`` of a decay: the largest, in a step. ``change`` of weights: root
    mean square as a share of the weights, after each neuron's weights are scaled as the chip scales
    them.
    """
    ours = model.nodes(Population)
    theirs = chip.nodes(Population)
    pairs = {name: (ours[name], theirs[name]) for name in ours if name in theirs}
    read = {name: (_discrete(a), _discrete(b)) for name, (a, b) in pairs.items()}
    dynamics = {name: (a, b) for name, (a, b) in read.items() if a is not None and b is not None}
    relays = repeated(model, chip)
    rebuilt = {n for n in dynamics if _inputs(model, n, {}) != _inputs(chip, n, relays)}
    return {
        "rules": [
            {"population": name, "model": a.rule.text, "chip": b.rule.text}
            for name, (a, b) in dynamics.items()
            if a.rule != b.rule and name not in rebuilt
        ],
        "rebuilt": [{"population": name} for name in sorted(rebuilt)],
        "decays": [
            *chain.from_iterable(
                _decays(name, a, b) for name, (a, b) in dynamics.items() if name not in rebuilt
            )
        ],
        "weights": list(_weights(_edges(model, {}), _edges(chip, relays))),
    }


def _discrete(population: Population[Any]) -> Discrete | None:
    dynamics = population.dynamics
    if isinstance(dynamics, Discrete):
        return dynamics
    return dynamics.as_discrete() if isinstance(dynamics, _InUnits) else None


def _inputs(program: Program, name: str, relays: Mapping[str, str]) -> list[str]:
    return sorted(origin(source, relays) for source, _ in program.into(name))


def _decays(name: str, model: Discrete, chip: Discrete) -> Iterator[dict[str, Any]]:
    """Yield the largest change of a decay. Two filters in a row may change places."""
    none = np.zeros(model.decay_mem.size)  # without a synapse the current is gone after a step
    before, after = (
        np.sort([each.decay_mem, none if each.decay_syn is None else each.decay_syn], axis=0)
        for each in (model, chip)
    )
    change = float(np.abs(before - after).max(initial=0))
    if change > 0:
        yield {"population": name, "change": _short(change)}


def _edges(program: Program, relays: Mapping[str, str]) -> Edges:
    """Return the projections between populations. Those of a relay are its origin's."""
    found: Edges = {}
    for source, target, projection in program.edges():
        found.setdefault((origin(source, relays), target), []).append(projection)
    return found


def _weights(model: Edges, chip: Edges) -> Iterator[dict[str, Any]]:
    """Yield projections whose weights were rounded. Those that were split or fused are left out."""
    for ends, projections in model.items():
        others = chip.get(ends, [])
        if len(projections) != 1 or len(others) != 1:
            continue
        before = _only_weights(projections[0].ops)
        after = _only_weights(others[0].ops)
        change = 0.0 if before is None or after is None else _change_of(before, after)
        if change > 0:
            yield {"from": ends[0], "to": ends[1], "change": _short(change)}


@dataclass(frozen=True)
class RoundedWeights:
    """Weights before and after rounding, in units of the model.

    ``share``: of the projection's weights. Of a large projection some rows are kept.
    """

    source: str
    target: str
    before: Float
    after: Float
    share: float


def rounded_weights(model: Program, chip: Program) -> Iterator[RoundedWeights]:
    """Yield the weights of each projection before and after rounding.

    The chip's weights are scaled as in ``differences``. Projections that were split or fused, or
    are stored in another form, are left out.
    """
    others = _edges(chip, repeated(model, chip))
    for ends, projections in _edges(model, {}).items():
        theirs = others.get(ends, [])
        if len(projections) != 1 or len(theirs) != 1:
            continue
        before, after = _only_weights(projections[0].ops), _only_weights(theirs[0].ops)
        if before is None or after is None:
            continue
        (rows, share), (values, _) = _some_rows(before), _some_rows(after)
        if rows.size and rows.shape == values.shape:
            square = (values * values).sum(axis=1)
            product = (rows * values).sum(axis=1)
            scale = np.divide(product, square, out=np.zeros(len(square)), where=square > 0)
            both = (rows != 0) | (values != 0)
            scaled = (values * scale[:, None])[both]
            yield RoundedWeights(*ends, rows[both], scaled, share)


def _some_rows(op: Weighted) -> tuple[Float, float]:
    """Return rows of weights, each of a target or of a map of a kernel, and their share of all."""
    if isinstance(op, Conv):
        rows = op.weight.reshape(len(op.weight), -1)
        every = _every(*rows.shape)
        return rows[::every], 1 / every
    every = _every(op.n_out, op.n_in)
    chosen = range(0, op.n_out, every)
    if isinstance(op, Dense):
        return op.weight[::every], len(chosen) / max(1, op.n_out)
    blocks = [_block(op, slice(row, row + 1)) for row in chosen]
    return np.array(blocks).reshape(len(blocks), op.n_in), len(chosen) / max(1, op.n_out)


def _every(rows: int, columns: int) -> int:
    """Return n so that each n-th row is drawn."""
    return max(1, -(-rows * columns // MOST_DRAWN))


def _only_weights(ops: tuple[LinearOp, ...]) -> Weighted | None:
    """Return the only operator with weights."""
    weighted = [op for op in ops if isinstance(op, Weighted)]
    return weighted[0] if len(weighted) == 1 else None


def _change_of(before: Weighted, after: Weighted) -> float:
    first, second = weights_of(before), weights_of(after)
    if isinstance(before, Conv) or isinstance(after, Conv):
        maps = len(first)
        if maps != len(second) or first.size != second.size or not maps:
            return 0.0
        row = np.repeat(np.arange(maps), first[0].size)
        return _change([(first.ravel(), second.ravel(), row)])
    if before.n_in != after.n_in or before.n_out != after.n_out:
        return 0.0
    if before.n_in * before.n_out <= NEARLY_FULL * before.entries:
        return _change(_by_rows(before, after))
    entries = [op.coo() for op in (before, after)]
    keys = [target * before.n_in + source for target, source, _ in entries]
    both = np.union1d(*keys)
    values: list[Float] = []
    for key, (_, _, value) in zip(keys, entries, strict=True):
        place = np.searchsorted(both, key)
        values.append(np.bincount(place, value, minlength=both.size).astype(np.float64))
    return _change([(values[0], values[1], both // max(1, before.n_in))])


def _by_rows(before: Dense | Sparse, after: Dense | Sparse) -> Iterator[Weights]:
    """Yield full blocks of rows of both matrices, which take little memory."""
    together = max(1, BLOCK // max(1, before.n_in))
    for first in range(0, before.n_out, together):
        rows = slice(first, min(first + together, before.n_out))
        row = np.repeat(np.arange(rows.stop - first), before.n_in)
        yield _block(before, rows), _block(after, rows), row


def _block(op: Dense | Sparse, rows: slice) -> Float:
    """Return the weights of ``rows``, one after the other. ``op``'s entries are sorted."""
    if isinstance(op, Dense):
        return op.weight[rows].ravel()
    here = slice(*np.searchsorted(op.target, [rows.start, rows.stop]))
    full = np.zeros((rows.stop - rows.start, op.n_in))
    full[op.target[here] - rows.start, op.source[here]] = op.value[here]
    return full.ravel()


def _change(parts: Iterable[Weights]) -> float:
    """Return the root mean square of the change, as a share of the weights before.

    ``parts``: weights before and after, with the row of each. No row is in two parts.
    """
    total = lost = 0.0
    for before, after, row in parts:
        product = np.bincount(row, before * after)
        square = np.bincount(row, after * after)
        scale = np.divide(product, square, out=np.zeros(product.size), where=square > 0)
        total += float((before * before).sum())
        lost += float(((before - scale[row] * after) ** 2).sum())
    return float(np.sqrt(lost / total)) if total and lost > 1e-18 * total else 0.0


def _short(change: float) -> float:
    return float(f"{change:.2g}")
