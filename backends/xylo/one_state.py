"""Hidden neurons whose synaptic state is their membrane potential, as a start for learning.

A spike of a model without synaptic filters acts at once. On Xylo it passes the synaptic state,
whose shortest decay spreads it over some steps. A membrane of dash 0 forgets all in each step, so
it shows the synaptic state, and that decays and adds as the model's membrane does. A synapse of
each neuron to itself replaces the reset: it subtracts a fixed amount in the next step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from nirc.backends.xylo.legalise import readouts
from nirc.backends.xylo.quantise import XyloQuantise
from nirc.chip.training import Fits
from nirc.diagnostics.log import Log
from nirc.ir.arrays import Float, frozen
from nirc.ir.linear import Sparse
from nirc.ir.populations import Discrete, Population, Projection, Role, populations_of
from nirc.ir.program import Program
from nirc.ir.rules import plain

# Thresholds that a spike subtracts. A reset to 0 takes what is above the threshold, too.
RESETS = tuple(eighths / 8 for eighths in range(8, 19))
# A state has room for every eighth source in one step only: it is reset before it grows.
STEPS_ROOM = 1
SLOWEST = 2.0**-4  # share that a membrane loses in a step, of those whose constants count in full
Hidden = dict[str, Population[Discrete]]


def with_one_state(integer: Program, model: Program, bits: int, fits: Fits) -> list[Program]:
    """Return ``integer`` with neurons of one state, by what a spike subtracts.

    ``integer``: calibrated. Its readout neurons stay. ``model``: legal and discrete. Empty if a
    hidden population has a synaptic filter, keeps nothing from step to step, or never fires, and
    if synapses of neurons to themselves do not fit.
    """
    outputs = readouts(model)
    hidden = {
        name: p
        for name, p in populations_of(model, Discrete).items()
        if name not in outputs and p.role is not Role.RELAY
    }
    if not hidden or not all(_has_one_state(p.dynamics) for p in hidden.values()):
        return []
    subtracts = all(p.dynamics.rule.reset == "subtract" for p in hidden.values())
    resets = (1.0,) if subtracts else RESETS
    # Through both receptors a neuron inhibits itself twice as much, so weights have a bit more.
    for receptors in ((0, 1), (0,)):
        models = [_inhibited(model, hidden, reset, receptors) for reset in resets]
        made = [_quantised(each, integer, bits) for each in models]
        if fits(made[0]):
            return made
    return []


def _has_one_state(d: Discrete) -> bool:
    if d.threshold is None or d.decay_syn is not None or d.decay_syn_2 is not None:
        return False
    return bool((d.threshold > 0).all() and d.decay_mem.all())


def _inhibited(model: Program, hidden: Hidden, reset: float, receptors: Sequence[int]) -> Program:
    """Return the model with neurons of one state that inhibit themselves."""
    nodes = dict(model.graph.nodes(data="payload"))
    edges = list(model.edges())
    for name, population in hidden.items():
        nodes[name] = population.with_dynamics(_shown(population.dynamics))
        loops = [p for source, p in model.into(name) if source == name and p.lag == 1]
        part = _self_inhibition(population.dynamics, reset / len(receptors))
        if loops:  # a file of fitted integers has one timing for each pair of populations
            delay, feedback = loops[0].delay_steps, loops[0].feedback
            part = replace(part, delay_steps=delay, feedback=feedback)
        edges += [(name, name, replace(part, synapse=receptor)) for receptor in receptors]
    return model.rebuilt(nodes, edges)


def _quantised(model: Program, integer: Program, bits: int) -> Program:
    """Return the integer form of ``model``, with the readout neurons of ``integer``."""
    made = XyloQuantise(bits=bits, steps_room=STEPS_ROOM).run(model, Log())
    kept = set(readouts(integer))
    nodes = dict(made.graph.nodes(data="payload")) | {name: integer[name] for name in kept}
    edges = [edge for edge in made.edges() if edge[1] not in kept]
    return made.rebuilt(nodes, edges + [edge for edge in integer.edges() if edge[1] in kept])


def _shown(d: Discrete) -> Discrete:
    """Return neurons whose current is the model's membrane, shown by a membrane without memory."""
    none = np.zeros(d.decay_mem.size)
    return replace(
        d,
        decay_mem=frozen(none),
        gain_mem=frozen(none + 1.0),
        # A constant current adds up in the model's membrane. Here it is added to what is shown.
        drift=frozen(d.drift / np.maximum(1.0 - d.decay_mem, SLOWEST)),
        decay_syn=d.decay_mem,
        gain_syn=d.gain_mem,
        decay_syn_2=d.decay_mem,
        gain_syn_2=d.gain_mem,
        rule=plain("subtract", synapse=True, most=None),
    )


def _self_inhibition(d: Discrete, reset: float) -> Projection:
    """Return synapses of each neuron to itself, which subtract ``reset`` thresholds."""
    assert d.threshold is not None
    each = np.arange(d.threshold.size)
    amount: Float = -reset * d.threshold * d.decay_mem / d.gain_mem
    synapses = Sparse(each, each, frozen(amount), each.size, each.size)
    return Projection((synapses,), delay_steps=1)
