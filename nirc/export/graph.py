"""A whole program as NIR nodes and edges: plain data, no file yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from nirc.diagnostics.log import Log
from nirc.export.neurons import Fields, Written, per_step, physical
from nirc.export.operators import Chain
from nirc.ir.arrays import Float
from nirc.ir.populations import Continuous, Discrete, Population, Projection, Sink, Source
from nirc.ir.program import Form, Program


@dataclass(frozen=True)
class Graph:
    """Nodes by name and edges, as a NIR file holds them."""

    nodes: Mapping[str, Fields]
    edges: tuple[tuple[str, str], ...]


def to_graph(program: Program, log: Log) -> Graph:
    """``program`` in any executable form; an integer neuron says by ``as_discrete()`` what it does in a step.

    Raises ``CompileError``: P314 for what NIR has no words for, P307 for a matrix that is too large. Warns (P315) of
    what is left out: the reset rule, onsets of biases, several spikes in a step.
    """
    nodes: dict[str, Fields] = {}
    neurons: dict[str, Written] = {}
    for name, payload in program.graph.nodes(data="payload"):
        if isinstance(payload, Population):
            neurons[name] = _neuron(name, payload, program.dt_s, log)
            nodes[name] = _shaped(neurons[name].fields, payload.shape)
        else:
            assert isinstance(payload, Source | Sink)
            nodes[name] = {
                "type": "Input" if isinstance(payload, Source) else "Output",
                "shape": np.array(payload.shape),
            }
    edges: list[tuple[str, str]] = []
    constants = {name: made.constant for name, made in neurons.items() if made.constant is not None}
    for source, target, projection in program.edges():
        chain = Chain(source, target, program[source].shape, log)
        delay_s, early, late = _constants(projection, program, log)
        chain.apply(projection.ops, early)
        if delay_s:
            chain.delay(delay_s)
        if late.any():
            chain.add(late)
        if target in neurons and (gain := neurons[target].gain) is not None:
            chain.scale(gain)
        if target in constants:
            chain.add(constants.pop(target))  # on one of the projections only
        chain.into(program[target].shape)
        chain.write(nodes, edges)
    log.raise_if_errors()
    return Graph(nodes, tuple(dict.fromkeys(edges)))


def _constants(projection: Projection, program: Program, log: Log) -> tuple[float, Float, Float]:
    """The delay in seconds, and the biases (n,) before and behind it: one that begins with the signal is before it."""
    discrete = program.form is not Form.CONTINUOUS
    dt_s = program.dt_s or 0.0
    delay_s = projection.delay_steps * dt_s if discrete else projection.delay_s
    early, late = np.zeros(1), np.zeros(1)
    for bias in projection.biases:
        onset_s = bias.onset_steps * dt_s if discrete else bias.onset_s
        if onset_s == delay_s:
            early = early + bias.value
        else:
            late = late + bias.value
            if onset_s:
                _left_out(log, f"that a constant input begins after {onset_s:g} s")
    return delay_s, early, late


def _neuron(name: str, population: Population, dt_s: float | None, log: Log) -> Written:
    dynamics = population.dynamics
    if hasattr(dynamics, "as_discrete"):
        dynamics = dynamics.as_discrete()
    if isinstance(dynamics, Continuous):
        return physical(dynamics, dt_s)
    if not isinstance(dynamics, Discrete) or dynamics.gain_syn_2 is not None:
        log.error(
            "P314",
            f"the neurons of `{name}` have no form in NIR",
            where=population.origins[0],
            found="two receptors" if isinstance(dynamics, Discrete) else type(dynamics).__name__,
            limit="a membrane and at most one synaptic filter",
            help="export an earlier stage",
        )
        return Written({"type": "Threshold", "threshold": np.ones(population.n)})
    for what, help_ in _unsaid(dynamics):
        _left_out(log, f"that `{name}` {what}", help=help_ or "a simulator that reads the file will differ by this")
    return per_step(dynamics, dt_s)


def _unsaid(d: Discrete) -> list[tuple[str, str]]:
    """What NIR's letter does not say of these neurons, and the option of nirc that does."""
    rule, fires = d.rule, d.rule.fires
    if fires is None:
        return []
    found = []
    if rule.reset == "subtract":
        found.append(("subtracts the threshold at a spike", "read the file with --reset subtract"))
    if rule.reset == "none":
        found.append(("is not reset by a spike", ""))
    if rule.reset_is_late:
        found.append(("is reset a step after a spike", ""))
    if fires.most != 1:
        found.append((f"fires {'any number of' if fires.most is None else f'up to {fires.most}'} times in a step", ""))
    if fires.at == ">=":
        found.append(("fires at its threshold, not above it only", ""))
    if d.v_least is not None:
        found.append(("has a lower bound of the membrane", ""))
    if d.v_start is not None:
        found.append(("does not start at 0", ""))
    return found


def _shaped(fields: Fields, shape: tuple[int, ...]) -> Fields:
    """Arrays (n,), or (1,) for a whole population, in the population's shape."""
    return {
        k: np.broadcast_to(v if v.size == 1 else v.reshape(shape), shape) if isinstance(v, np.ndarray) else v
        for k, v in fields.items()
    }


def _left_out(log: Log, what: str, help: str = "a simulator that reads the file will differ by this") -> None:
    log.warning("P315", f"NIR cannot say {what}", help=help)
