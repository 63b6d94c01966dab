"""What-if programs: each difference between NIR's dynamics and Xylo's alone, still in floating point."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from nirc.backends.xylo import dash
from nirc.backends.xylo.legalise import readouts
from nirc.backends.xylo.limits import MAX_HIDDEN_SPIKES
from nirc.ir.arrays import frozen
from nirc.ir.populations import Discrete, Population
from nirc.ir.program import Program

Change = Callable[[Discrete], Discrete]


def approximations(discrete: Program) -> list[tuple[str, Program]]:
    """Programs by name, each with one approximation of the chip turned on."""
    hidden = [n for n in discrete.nodes(Population) if n not in readouts(discrete)]
    subtract = discrete.having(reset="subtract")
    return [
        ("reset: subtract the threshold", subtract),
        ("reset and up to 31 spikes a step", _changed(subtract, _several_spikes, hidden)),
        ("membrane decay: power of two", _changed(discrete, _membrane_decay)),
        ("synapse: power of two, at least one step", _changed(discrete, _synapse)),
    ]


def _changed(program: Program, change: Change, names: list[str] | None = None) -> Program:
    nodes = {
        n: replace(p, dynamics=change(p.dynamics))
        for n, p in program.nodes(Population).items()
        if isinstance(p.dynamics, Discrete) and (names is None or n in names)
    }
    return program.mapped(nodes)


def _several_spikes(d: Discrete) -> Discrete:
    fires = d.threshold is not None and bool((d.threshold > 0).all())
    return replace(d, max_spikes=MAX_HIDDEN_SPIKES) if fires else d


def _membrane_decay(d: Discrete) -> Discrete:
    shift = dash.nearest_dash(d.decay_mem, least=0)
    decay = np.where(d.decay_mem >= 1, 1.0, 1.0 - 2.0**-shift)
    gain = dash.membrane_gain(d.decay_mem, d.gain_mem, shift)
    drift = dash.membrane_gain(d.decay_mem, np.ones_like(d.gain_mem), shift) * d.drift
    return replace(d, decay_mem=frozen(decay), gain_mem=frozen(gain), drift=frozen(drift))


def _synapse(d: Discrete) -> Discrete:
    shift = dash.nearest_dash(np.zeros_like(d.decay_mem) if d.decay_syn is None else d.decay_syn, least=1)
    decay = 1.0 - 2.0**-shift
    # The chip decays after adding: of a weight w, w * decay arrives in the first step.
    gain = dash.synapse_gain(d.decay_syn, d.gain_syn, shift) * decay
    return replace(d, decay_syn=frozen(decay), gain_syn=frozen(gain))
