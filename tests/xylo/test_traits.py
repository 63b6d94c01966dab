"""Traits of Xylo that a network rarely shows: each alone, against a definition spelt out."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nirc.backends.xylo import checks, differences, fit, lower
from nirc.backends.xylo.approximations import approximations
from nirc.backends.xylo.findings import AboveLimit
from nirc.backends.xylo.legalise import XyloLegalise
from nirc.backends.xylo.limits import AUDIO2
from nirc.backends.xylo.lower import Block, Synapses
from nirc.backends.xylo.neuron import HIDDEN, READ, XyloNeuron, _peak, chip_decay
from nirc.chip.target import excesses
from nirc.diagnostics.errors import CompileError
from nirc.diagnostics.log import Log
from nirc.files.faults import Faults
from nirc.ir.populations import Discrete, populations_of
from nirc.ir.program import Program, Training
from nirc.ir.rules import Fire
from tests.build import cuba, delay, graph, inp, lif, linear, lowered, out

N = 4


def neuron(**fields: Any) -> XyloNeuron:
    """Four neurons, no two alike."""
    values = {"dash_mem": [2, 3, 4, 5], "dash_syn": [1, 2, 3, 4], "threshold": [60, 70, 80, 90]}
    arrays = {name: np.array(value) for name, value in {**values, "bias": [0, 3, -2, 1]}.items()}
    given = {"scale": np.array([2.0, 4, 8, 16]), "max_spikes": 31, "shift_in": 0, "shift_rec": 1}
    return XyloNeuron(**{**arrays, **given, **fields})


def lost(x: int, dash: int) -> int:
    return max(x >> dash, min(x, 1))


@pytest.mark.parametrize("two", [False, True])
@pytest.mark.parametrize("silent", [False, True])
def test_a_step_adds_both_synapses_to_the_membrane(two: bool, silent: bool) -> None:
    n = neuron(dash_syn_2=np.array([2, 1, 5, 3]) if two else None, silent=silent)
    n = dataclasses.replace(n, start=tuple(np.full(N, k) for k in (7, 11, 13)))
    rng = np.random.default_rng(0)
    stepper = n.stepper(1)
    states = [[7, 11, 13] for _ in range(N)]
    for _ in range(20):
        drive = rng.integers(-40, 90, (2, N))
        found = stepper.step(drive[:1].astype(float), drive[1:].astype(float))[0]
        for i, state in enumerate(states):
            for k, dash in enumerate((n.dash_syn, n.dash_syn_2)):
                if dash is not None:
                    state[k] += int(drive[k, i])
                    state[k] -= lost(state[k], int(dash[i]))
            current = state[0] + state[1] - lost(state[2], int(n.dash_mem[i]))
            state[2] += current + int(n.bias[i])
            spikes = min(max(state[2], 0) // int(n.threshold[i]), 31)
            state[2] -= spikes * int(n.threshold[i])
            assert found[i] == (state[2] / n.scale[i] if silent else spikes)


@pytest.mark.parametrize("two", [False, True])
@pytest.mark.parametrize("silent", [False, True])
def test_a_neuron_without_rounding_has_the_same_numbers(two: bool, silent: bool) -> None:
    n = neuron(dash_syn_2=np.array([2, 1, 5, 3]) if two else None, silent=silent, max_spikes=9)
    d = n.as_discrete()
    ones = [1.0] * N
    assert d.decay_mem.tolist() == chip_decay(n.dash_mem).tolist() == (1 - 0.5**n.dash_mem).tolist()
    assert d.decay_syn is not None and d.decay_syn.tolist() == (1 - 0.5**n.dash_syn).tolist()
    assert d.gain_syn is not None and d.gain_mem.tolist() == d.gain_syn.tolist() == ones
    assert d.drift.tolist() == n.bias.tolist()
    assert (d.threshold is None) == silent
    assert silent or d.threshold.tolist() == n.threshold.tolist()  # type: ignore[union-attr]
    assert (d.decay_syn_2 is None, d.gain_syn_2 is None) == (not two, not two)
    if d.decay_syn_2 is not None and d.gain_syn_2 is not None and n.dash_syn_2 is not None:
        assert d.decay_syn_2.tolist() == (1 - 0.5**n.dash_syn_2).tolist()
        assert d.gain_syn_2.tolist() == ones
    assert d.rule == (READ if silent else HIDDEN.with_fire(Fire(">=", 9)))


@pytest.mark.parametrize("older", [False, True])
def test_a_manifest_may_name_the_channels_and_neurons_of_the_chip(older: bool) -> None:
    hidden = {"neurons": [{}] * 5}
    tree = {"input": {"weights": [[0]] * 3}, "readout": {"neurons": [{}] * 2}}
    tree["reservoir" if older else "hidden"] = hidden
    assert checks.ends({"config.json": tree}) == {
        "inputs": 3,
        "outputs": 2,
        "kinds": ["spikes", "membrane"],
        "parts": {"hidden": 5, "readout": 2},
    }


def test_the_decay_that_is_rounded_most_is_named() -> None:
    """By ratio of time constants: 16 steps are exact, 11 become 8, and 3.1 become 4."""
    found: list[Any] = []
    log: Any = SimpleNamespace(add=found.append)
    decay = 1 - 1 / np.array([16, 3.1, 11, 4.0001, 11])
    training = Training(step=1e-3)
    differences._report_rounding("p", "tau_mem", decay, 0, "nodes/p", training, log)
    (named,) = found
    assert (named.where, named.population, named.parameter) == ("nodes/p/tau_mem", "p", "tau_mem")
    assert (named.rounded, named.neurons) == (3, 5)
    assert (named.exact, named.chip) == ("0.011 s", "0.008 s")
    assert named.training == training.with_decay("tau_mem", 7 / 8)
    found.clear()
    differences._report_rounding("p", "tau_mem", decay[[0, 3]], 0, "nodes/p", training, log)
    assert not found


def network(*, wait: float = 0.0, both: bool = False) -> Program:
    """Two populations, of which the second or both are outputs, at times delayed."""
    weights = np.array([[1.0, 0.3], [0.2, 0.7]])
    nodes = {"in": inp(2), "w": linear(weights), "a": cuba(2, 5.0), "v": linear(weights / 2)}
    nodes |= {"b": lif(2, 11.0), "wait": delay([wait] * 2), "out": out(2)}
    edges = ["in w a v b wait out", *(["a out"] if both else [])]
    return lowered(graph(nodes, *edges), reset="zero").discrete


def test_an_output_may_be_a_sum_of_populations_but_not_late() -> None:
    assert "out" in XyloLegalise().run(network(both=True), Log()).graph
    with pytest.raises(CompileError) as refused:
        XyloLegalise().run(network(wait=3e-4), Log())
    assert {d.code for d in refused.value.diagnostics if d.severity == "error"} == {"P308"}


def test_each_what_if_of_the_rule_has_the_parts_that_its_name_says() -> None:
    model = network()
    what_ifs = dict(approximations(model))

    def rules(program: Program) -> set[tuple[str | None, int | None]]:
        every = [p.dynamics.rule for p in populations_of(program, Discrete).values()]
        return {(rule.reset, rule.fires.most if rule.fires else None) for rule in every}

    assert rules(model) == {("set", 1)}
    subtract = "reset: subtract the threshold"
    assert rules(what_ifs[subtract]) == {("subtract", 1)}
    assert rules(what_ifs["saturation: up to 31 spikes a step"]) == {("set", 31), ("set", 1)}
    both = "reset: subtract, up to 31 times a step"
    assert rules(what_ifs[both]) == {("subtract", 31), ("subtract", 1)}


def test_the_what_if_of_weights_is_as_near_as_the_grid_of_the_chip() -> None:
    model = network()
    legal = XyloLegalise().run(model, Log())
    rounded = dict(approximations(model))["weights: 8 bits, common bit shifts"]
    for source, target in (("in", "a"), ("a", "b")):
        ends = [dict(program.out_of(source))[target].ops for program in (legal, rounded)]
        exact, stored = (np.asarray(ops[-1].apply(np.eye(2))) for ops in ends)
        assert np.abs(stored - exact).max() <= np.abs(exact).max() / 127 / 2 * 1.01


def synapses(*rows: tuple[int, int, float, float]) -> Synapses:
    target, source, first, second = np.array(rows, float).reshape(-1, 4).T
    return Synapses(target.astype(int), source.astype(int), np.stack([first, second], axis=1))


def test_parallel_synapses_add_up_and_those_that_cancel_are_none() -> None:
    merged = lower._merged([
        synapses((2, 1, 5, 0), (0, 3, 1, 0)), synapses((2, 1, 2, 7), (1, 0, 4, 0)),
        synapses((1, 0, -4, 0)),
    ])  # fmt: skip
    assert merged.target.tolist() == [0, 2] and merged.source.tolist() == [3, 1]
    assert merged.value.tolist() == [[1, 0], [7, 7]]
    assert lower._merged([]).target.size == 0


def reservoir(inputs: int) -> lower.Reservoir:
    """Two hidden populations of 3 and 2 neurons, 1 readout neuron, and inputs 1 and 4 in use."""
    return lower.Reservoir(
        Program.__new__(Program),
        (Block("x", 0, 2), Block("y", 2, inputs)),
        (Block("a", 0, 3), Block("b", 3, 5)),
        (Block("r", 0, 1),),
        ("out",),
        synapses((0, 1, 1, 0), (3, 4, 0, 2)),
        synapses((0, 4, 1, 0), (1, 4, 1, 0), (2, 3, 1, 0), (3, 4, 1, 0), (4, 0, 1, 0)),
        synapses((0, 2, 1, 0)),
    )


def test_a_reservoir_is_measured_for_each_limit() -> None:
    r = reservoir(9)
    assert (r.channels, r.n_hidden, r.n_readout, r.name(4)) == (9, 5, 1, "neuron 1 of `b`")
    assert r.name(2) == "neuron 2 of `a`" and r.name(3) == "neuron 0 of `b`"
    assert lower.input_channels(r) == [("`x`, `y`", 2)]
    assert lower.hidden_neurons(r) == [("`a`, `b`", 5)]
    assert lower.output_neurons(r) == [("`r`", 1)]
    most = [("neuron 1 of `b`", 3), ("neuron 0 of `a`", 1), ("neuron 0 of `b`", 1)]
    assert lower.fan_out(r) == most and lower.entries(r) == [("all recurrent synapses", 5)]
    assert lower.synaptic_states(r) == [("`a`", 1), ("`b`", 2)]
    many = tuple(Block(f"p{i}", i, i + 1) for i in range(7))
    assert lower._named(many) == "`p0`, `p1`, `p2`, `p3`, `p4`, `p5`, ..."
    assert lower._named(many[:6]) == "`p0`, `p1`, `p2`, `p3`, `p4`, `p5`"
    assert lower._named(()) == "" and lower._end(()) == 0


def test_inputs_have_a_channel_each_or_those_alone_that_a_synapse_leaves() -> None:
    for inputs, most, wanted in (
        (6, 6, [0, 1, 2, 3, 4, 5]),
        (6, 5, [-1, 0, -1, -1, 1, -1]),
    ):
        found = fit.channels(reservoir(inputs), most)
        assert found.of_input.tolist() == wanted and found.used == max(wanted) + 1
    silent = dataclasses.replace(reservoir(6), from_input=synapses())
    found = fit.channels(silent, 5)
    assert (found.of_input.tolist(), found.used) == ([0, -1, -1, -1, -1, -1], 1)
    assert lower.input_channels(silent) == [("`x`, `y`", 1)]


def test_a_word_that_would_wrap_around_is_a_bug_that_stops() -> None:
    for values in ([-128, 127], []):
        assert fit._within(np.array(values, int), (-128, 127)).tolist() == values
    for values in ([0, 128], [-129, 0]):
        with pytest.raises(AssertionError, match="outside"):
            fit._within(np.array(values), (-128, 127))
    assert fit._mantissa(np.array([10.0, -6.0, 3.0]), 1).tolist() == [5, -3, 2]


def test_each_limit_that_is_exceeded_is_reported_with_its_place() -> None:
    r = dataclasses.replace(reservoir(9), hidden=(Block("a", 0, 3), Block("b", 3, 1001)))
    over = excesses(r, AUDIO2)
    log = Log()
    fit._report(over, r, [], log)
    assert [d.code for d in log.errors] == ["X502"]
    assert all(issubclass(each.limit.finding, AboveLimit) for each in over)
    assert log.errors[0].where == over[0].where


@pytest.mark.parametrize(
    ("fan_out", "entries", "found"),
    [(2, 4, []), (1, 4, ["hidden.weights[0]"]), (2, 3, ["hidden.weights"])],
)
def test_targets_are_counted_for_each_neuron_and_in_all(
    fan_out: int, entries: int, found: Any
) -> None:
    """A pair of neurons with both synapses is one target."""
    hidden = {"weights": [[5, 0, -1], [0, 2, 0], [0, 0, 0]]}
    hidden["syn2_weights"] = [[1, 0, 0], [0, 0, 0], [0, 7, 0]]
    faults = Faults()
    checks.check_targets(hidden, "hidden", {"fan-out": fan_out, "entries": entries}, faults)
    assert [fault.path for fault in faults.all] == found


def test_the_slowest_decay_is_that_of_an_integrator() -> None:
    """A membrane that keeps all is taken to lose one part in 2^15 of it."""
    fast, slow = np.array([0.5]), np.array([1 - 2.0**-15])
    assert _peak(fast, np.ones(1)) == _peak(fast, slow)
    assert _peak(np.ones(1), fast) == _peak(slow, fast)


@pytest.mark.parametrize(
    ("alias", "on", "found"),
    [
        (None, False, []),
        (None, True, []),
        (0, True, []),
        (2, True, []),
        (0, False, ["hidden.neurons[1].alias_target"]),
        (1, True, ["hidden.neurons[1].alias_target"]),
        (3, True, ["hidden.neurons[1].alias_target"]),
    ],
)
def test_an_alias_is_another_hidden_neuron(alias: int | None, on: bool, found: list[str]) -> None:
    neurons = [{"alias_target": None}, {"alias_target": alias}, {"alias_target": None}]
    faults = Faults()
    checks.check_aliases({"neurons": neurons, "aliasing": on}, "hidden.neurons", faults)
    assert [fault.path for fault in faults.all] == found


@pytest.mark.parametrize(("first", "last"), [(4, 6), (6, 4)])
def test_windows_are_no_wider_than_the_network(first: int, last: int) -> None:
    tree = {"hidden": {"neurons": [{}] * 5}, "input": {"weights": [[0]] * 3}}
    tree["readout"] = {"neurons": [{}] * 2}
    assert checks.sizes_of(tree, {"block": "hidden", "first": first, "last": last}) == {
        "input channels": 3,
        "hidden neurons": 5,
        "output neurons": 2,
        "neurons that inputs reach": min(5, first),
        "neurons that outputs leave from": min(5, last),
    }
