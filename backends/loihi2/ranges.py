"""How large u can get, whatever the input: proven from the tables, since the chip's u goes round
beyond 24 bits.

In the worst case every source of one sign fires in every step for ever. u then rises to the sum of
the weights, shifted by 6, times 4096 / (du + 1), the sum of a decaying unit; rounding towards zero
only makes it smaller.

Where v equals u (dv 4096) and neurons inhibit themselves, u gets smaller with each step in which it
is above the threshold. Let d be the decay, w the brake, p what else arrives: below the threshold u
reaches at most d theta + p; each step above it adds p - w, if that is positive, to what is left of
it. Below zero the brake leads only by what it takes too much, since it acts on what was above the
threshold.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nirc.backends.loihi2 import rule
from nirc.backends.loihi2.limits import STATE_SHIFT, WRAP
from nirc.backends.loihi2.rule import Ints
from nirc.backends.loihi2.tables import Population, Projection, Tables
from nirc.ir.arrays import Float


def largest_state(
    positive: Float,
    negative: Float,
    du: Ints,
    steps: float,
    *,
    brake: Float | float = 0.0,
    threshold: float = 0.0,
) -> Float:
    """The largest magnitude of u within ``steps`` steps in each of which ``positive`` or
    ``negative`` arrives.

    ``brake``: what neurons with u above ``threshold`` take off themselves. All (n,) magnitudes in
    one unit; ``du`` too.
    """
    kept, held = 1 - (du + 1) / rule.DECAY_UNITY, within(du, steps)
    above = np.minimum(
        positive * held, kept * threshold + positive + np.maximum(positive - brake, 0) * held
    )
    below = negative * held + np.where(brake > 0, np.maximum(brake - kept * threshold, 0), 0)
    largest: Float = np.maximum(np.where(brake > 0, above, positive * held), below)
    return largest


def within(du: Ints, steps: float) -> Float:
    """How many steps of input u holds after ``steps``: the sum of a decaying unit.

    What decays sooner counts whole.
    """
    whole = rule.DECAY_UNITY / (np.asarray(du) + 1.0)
    return np.where(whole <= steps, whole, whole * (1 - (1 - 1 / whole) ** steps))


def largest_u(tables: Tables, steps: float = np.inf) -> dict[str, int]:
    """For each population the largest magnitude of u that any input brings about in ``steps``, a
    whole number.
    """
    return {name: int(np.floor(found.after(steps))) for name, found in _inputs(tables).items()}


def goes_round_after(tables: Tables) -> dict[str, int]:
    """For each population whose u may go round: the steps of full input, all of one sign, that it
    has room for.
    """
    found = {}
    for name, into in _inputs(tables).items():
        if into.after(np.inf) >= WRAP:
            most = 1
            while into.after(2 * most) < WRAP:
                most *= 2
            low, high = most, 2 * most  # the bound rises with the steps
            while low + 1 < high:
                middle = (low + high) // 2
                low, high = (middle, high) if into.after(middle) < WRAP else (low, middle)
            found[name] = low
    return found


@dataclass(frozen=True)
class _Inputs:
    """What reaches u of a population in a step at most, in its units, each (n,)."""

    of: Population
    positive: Float
    negative: Float
    brake: Float

    def after(self, steps: float) -> float:
        du, threshold = np.full(self.of.n, self.of.du), float(self.of.vth << STATE_SHIFT)
        reach = largest_state(
            self.positive, self.negative, du, steps, brake=self.brake, threshold=threshold
        )
        return float(reach.max(initial=0.0))


def _inputs(tables: Tables) -> dict[str, _Inputs]:
    kinds = {p.name: p for p in tables.populations}
    sums = {name: np.zeros((3, p.n)) for name, p in kinds.items()}  # positive, negative, brakes
    for projection in tables.projections:
        into = kinds[projection.target]
        both = _sums(projection, into.n) * (1 << STATE_SHIFT)
        if into.spikes and into.dv == rule.DECAY_UNITY and _is_brake(projection):
            sums[into.name][2] += both[1]
        else:
            sums[into.name][:2] += both
    return {name: _Inputs(p, *sums[name]) for name, p in kinds.items()}


def _is_brake(p: Projection) -> bool:
    """Whether neurons inhibit themselves by it, and no others, in the next step."""
    if p.source != p.target or p.geometry is not None or (p.weights > 0).any():
        return False
    delayed = p.delays is not None and bool(p.delays.any())
    rows, cols = np.nonzero(p.weights) if p.rows is None or p.cols is None else (p.rows, p.cols)
    return not delayed and bool((rows == cols).all())


def _sums(p: Projection, n: int) -> Float:
    """(2, n) what all sources together bring each neuron by weights of either sign, as
    magnitudes.
    """
    weights = rule.effective_weights(p.weights, p.sign_mode, p.num_weight_bits) * 2.0**p.weight_exp
    signed = np.stack([np.maximum(weights, 0), np.maximum(-weights, 0)])
    if p.geometry is not None:
        totals: Float = np.repeat(signed.sum(axis=(2, 3, 4)), p.geometry.positions, axis=1)
        return totals
    if p.rows is None:
        return np.asarray(signed.sum(axis=2))
    return np.stack([np.bincount(p.rows, part, minlength=n) for part in signed]).astype(np.float64)
