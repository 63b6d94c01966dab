"""Differences between the model and the chip: update rules, decays, and weights before and after.

They are read from the two programs, not from the warnings.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Protocol, runtime_checkable

import numpy as np

from nirc.analysis.relays import origin, repeated
from nirc.ir.arrays import Float, Int
from nirc.ir.linear import Conv, Dense, LinearOp, Sparse, Weighted, sparse, weights_of
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
        "weights": list(_weights(model, chip)),
    }


def _discrete(population: Population[Any]) -> Discrete | None:
    dynamics = population.dynamics
    if isinstance(dynamics, Discrete):
        return dynamics
    return dynamics.as_discrete() if isinstance(dynamics, _InUnits) else None


def _inputs(program: Program, name: str, relays: Mapping[str, str]) -> list[str]:
    """Return the source of each projection. One lag's two receptors are one projection."""
    found: Counter[tuple[str, int, int]] = Counter()
    for source, p in program.into(name):
        found[origin(source, relays), p.lag, p.synapse] += 1
    most: Counter[tuple[str, int]] = Counter()
    for (source, lag, _), number in found.items():
        most[source, lag] = max(most[source, lag], number)
    return sorted(chain.from_iterable([source] * n for (source, _), n in most.items()))


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


Pair = tuple[Weighted, Weighted]  # weights of the same synapses, in the model and on the chip


def _pairs(model: Program, chip: Program) -> Iterator[tuple[tuple[str, str], list[Pair]]]:
    """Yield the ends of each projection, and its weights in the model and on the chip.

    The synapses of a lag are paired with those of the chip's lag, of the shortest first: a chip may
    take more steps for all of them. Excitatory and inhibitory ones are added. Projections that have
    no such counterpart are left out.
    """
    theirs = _edges(chip, repeated(model, chip))
    for ends, projections in _edges(model, {}).items():
        ours = _by_lag(projections)
        others = _by_lag(theirs.get(ends, []))
        if ours is not None and others is not None and len(ours) == len(others):
            yield ends, list(zip(ours, others, strict=True))


def _by_lag(projections: Iterable[Projection]) -> list[Weighted] | None:
    """Return the weights of each lag, the shortest first. None: they are not to be compared."""
    found: dict[int, list[Weighted]] = {}
    for projection in projections:
        op = _only_weights(projection.ops)
        if op is None:
            return None
        found.setdefault(projection.lag, []).append(op)
    sums = [_sum(found[lag]) for lag in sorted(found)]
    return None if None in sums else [op for op in sums if op is not None]


def _sum(ops: Sequence[Weighted]) -> Weighted | None:
    """Return the sum of operators, None if there are kernels among several."""
    first = ops[0]
    if len(ops) == 1:
        return first
    if any(isinstance(op, Conv) or (op.n_out, op.n_in) != (first.n_out, first.n_in) for op in ops):
        return None
    target, source, value = map(np.concatenate, zip(*(op.coo() for op in ops), strict=True))
    return sparse(target, source, value, first.n_in, first.n_out)


def _weights(model: Program, chip: Program) -> Iterator[dict[str, Any]]:
    """Yield projections whose weights were rounded."""
    for ends, pairs in _pairs(model, chip):
        change = _change_of(pairs)
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

    The chip's weights are scaled as in ``differences``. Projections that were fused, or are stored
    in another form, are left out.
    """
    for ends, pairs in _pairs(model, chip):
        if not all(_are_alike(*pair) for pair in pairs):
            continue
        every = _every(sum(weights_of(before).size for before, _ in pairs))
        rows, values = (
            np.concatenate([_some_rows(op, every) for op in side], axis=1)
            for side in zip(*pairs, strict=True)
        )
        if rows.size:
            share = len(rows) / _rows(pairs[0][0])
            square = (values * values).sum(axis=1)
            product = (rows * values).sum(axis=1)
            scale = np.divide(product, square, out=np.zeros(len(square)), where=square > 0)
            both = (rows != 0) | (values != 0)
            scaled = (values * scale[:, None])[both]
            yield RoundedWeights(*ends, rows[both], scaled, share)


def _some_rows(op: Weighted, every: int) -> Float:
    """Return each n-th row of weights, of a target or of a map of a kernel. n is ``every``."""
    if isinstance(op, Conv):
        return op.weight.reshape(len(op.weight), -1)[::every]
    if isinstance(op, Dense):
        return op.weight[::every]
    blocks = [_block(op, slice(row, row + 1)) for row in range(0, op.n_out, every)]
    return np.array(blocks).reshape(len(blocks), op.n_in)


def _rows(op: Weighted) -> int:
    """Return the number of targets, or of maps of a kernel."""
    return len(op.weight) if isinstance(op, Conv) else op.n_out


def _every(weights: int) -> int:
    """Return n so that each n-th row is drawn."""
    return max(1, -(-weights // MOST_DRAWN))


def _only_weights(ops: tuple[LinearOp, ...]) -> Weighted | None:
    """Return the only operator with weights."""
    weighted = [op for op in ops if isinstance(op, Weighted)]
    return weighted[0] if len(weighted) == 1 else None


def _are_alike(before: Weighted, after: Weighted) -> bool:
    """Return True if each weight has its counterpart."""
    if isinstance(before, Conv) and isinstance(after, Conv):
        return _rows(before) == _rows(after) > 0 and before.weight.size == after.weight.size
    if isinstance(before, Conv) or isinstance(after, Conv):
        return False
    return (before.n_in, before.n_out) == (after.n_in, after.n_out)


def _change_of(pairs: Sequence[Pair]) -> float:
    """Return the change of all weights together. Each neuron has one scale in all pairs."""
    if not all(_are_alike(*pair) for pair in pairs):
        return 0.0
    if all(isinstance(before, Conv) or _is_full(before) for before, _ in pairs):
        return _change(_by_rows(pairs))
    return _change([_together([_entries(*pair) for pair in pairs])])


def _is_full(op: Dense | Sparse) -> bool:
    return op.n_in * op.n_out <= NEARLY_FULL * op.entries


def _entries(before: Weighted, after: Weighted) -> Weights:
    """Return the weights of every synapse of either matrix."""
    entries = [op.coo() for op in (before, after)]
    keys = [target * before.n_in + source for target, source, _ in entries]
    both = np.union1d(*keys)
    values: list[Float] = []
    for key, (_, _, value) in zip(keys, entries, strict=True):
        place = np.searchsorted(both, key)
        values.append(np.bincount(place, value, minlength=both.size).astype(np.float64))
    return values[0], values[1], both // max(1, before.n_in)


def _by_rows(pairs: Sequence[Pair]) -> Iterator[Weights]:
    """Yield full blocks of rows of both matrices, which take little memory."""
    first = pairs[0][0]
    columns = sum(weights_of(before).size for before, _ in pairs) // max(1, _rows(first))
    height = max(1, BLOCK // max(1, columns))
    for start in range(0, _rows(first), height):
        rows = slice(start, min(start + height, _rows(first)))
        yield _together([_full(*pair, rows) for pair in pairs])


def _full(before: Weighted, after: Weighted, rows: slice) -> Weights:
    """Return all weights of ``rows``."""
    values = _block(before, rows), _block(after, rows)
    width = values[0].size // max(1, rows.stop - rows.start)
    return *values, np.repeat(np.arange(rows.stop - rows.start), width)


def _together(parts: Sequence[Weights]) -> Weights:
    before, after, row = map(np.concatenate, zip(*parts, strict=True))
    return before, after, row


def _block(op: Weighted, rows: slice) -> Float:
    """Return the weights of ``rows``, one after the other. ``op``'s entries are sorted."""
    if isinstance(op, Conv | Dense):
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
