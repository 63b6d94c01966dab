"""Leaky integrators in front of neurons are synapses, and the answer stays the same."""

from __future__ import annotations

from dataclasses import replace

import nir
import numpy as np
import pytest

import nirc
from nirc.api import Options, compile_model, lower
from nirc.diagnostics.log import Log
from nirc.ir.linear import Dense
from nirc.ir.populations import Bias, Discrete, Population, Projection
from nirc.passes.fold_synapses import _joined
from nirc.semantics.run import run
from tests.models import DT, chain, graph, lif, linear, raster


def li(n: int, steps: float) -> nir.LI:
    one = np.ones(n)
    return nir.LI(tau=one * steps * DT, r=one * steps, v_leak=one * 0)


def two_synapses(rng: np.random.Generator, *steps: float) -> nir.NIRGraph:
    """One population of LIF neurons with an LI in each of several input branches, and one branch
    without.
    """
    nodes = {"in": nir.Input(np.array([4])), "direct": linear(rng, 6, 4), "pop": lif(6)}
    edges = [("in", "direct"), ("direct", "pop")]
    for i, tau in enumerate(steps):
        nodes |= {f"s{i}": li(4, tau), f"w{i}": linear(rng, 6, 4, 0.1)}
        edges += [("in", f"s{i}"), (f"s{i}", f"w{i}"), (f"w{i}", "pop")]
    nodes |= {"read": linear(rng, 3, 6), "last": lif(3), "out": nir.Output(np.array([3]))}
    return graph(nodes, [*edges, ("pop", "read"), ("read", "last"), ("last", "out")])


def test_li_before_weights_and_lif_becomes_a_synapse() -> None:
    rng = np.random.default_rng(0)
    model = chain(4, li(4, 4), linear(rng, 6, 4), lif(6), n_out=6)
    stages = lower(model, Options(), log=Log())
    assert list(stages.discrete.nodes(Population)) == ["lif2"]
    assert stages.discrete["lif2"].dynamics.decay_syn[0] == pytest.approx(0.75)
    inputs = raster(rng, 3, 40, 4)
    np.testing.assert_array_equal(
        run(stages.reference, inputs).outputs, run(stages.discrete, inputs).outputs
    )


def test_two_filters_use_two_receptors_and_keep_the_spikes() -> None:
    rng = np.random.default_rng(1)
    stages = lower(two_synapses(rng, 4), Options(), log=Log())
    pop = stages.discrete["pop"].dynamics
    assert isinstance(pop, Discrete) and pop.decay_syn is None and pop.decay_syn_2 is not None
    inputs = raster(rng, 3, 40, 4)
    np.testing.assert_array_equal(
        run(stages.reference, inputs).outputs, run(stages.discrete, inputs).outputs
    )


def test_the_second_receptor_has_the_filter_s_decay_and_gain() -> None:
    d = lower(two_synapses(np.random.default_rng(1), 4), Options(), log=Log()).discrete["pop"]
    assert d.dynamics.gain_syn is None and d.dynamics.rule.has_synapse
    assert d.dynamics.decay_syn_2 == pytest.approx([0.75] * 6)
    assert d.dynamics.gain_syn_2 == pytest.approx([1.0] * 6)


def test_a_constant_in_front_of_a_filter_begins_when_it_arrives() -> None:
    op = Dense(np.array([[2.0, 1.0]]))
    before = Projection(
        (), delay_s=1.0, delay_steps=1, biases=(Bias(np.ones(2), onset_steps=3),), origins=("a",)
    )
    after = Projection((op,), delay_s=2.0, delay_steps=2, feedback=True, origins=("b",))
    both = _joined(before, after, 1)
    assert (both.delay_s, both.delay_steps, both.lag, both.synapse) == (3.0, 3, 4, 1)
    (bias,) = both.biases
    assert (bias.onset_steps, bias.value.tolist()) == (6, [3.0])
    assert both.ops == (op,) and both.origins == ("a", "b")
    twice = _joined(replace(before, feedback=True), after, 0)
    assert (twice.delay_steps, twice.feedback, twice.lag) == (4, True, 5)


def test_three_filters_are_too_many_and_stay_populations() -> None:
    stages = lower(two_synapses(np.random.default_rng(1), 4, 8), Options(), log=Log())
    assert {"s0", "s1"} <= set(stages.discrete.nodes(Population))


def test_the_second_synapse_reaches_xylo_but_not_imu() -> None:
    rng = np.random.default_rng(1)
    model = two_synapses(rng, 4)
    made = compile_model(model, "xylo", Options(reset="subtract"))
    assert made.mapped.chip.uses_synapse_2
    inputs = raster(rng, 3, 40, 4, rate=0.05)
    np.testing.assert_array_equal(
        made.bundle.run(inputs).outputs, run(made.integer, inputs).outputs
    )
    with pytest.raises(nirc.CompileError, match="X509"):
        nirc.compile(model, "xylo:imu")


@pytest.mark.parametrize("recurrent", [False, True])
def test_a_constant_behind_the_filter_goes_into_the_neurons_leak(recurrent: bool) -> None:
    """LI -> Affine with a bias -> LIF: the bias reaches the membrane unfiltered, in every step."""
    rng = np.random.default_rng(3)
    nodes = {"in": nir.Input(np.array([4])), "s": li(4, 5.0)}
    nodes |= {
        "w": nir.Affine(rng.normal(0.3, 0.5, (6, 4)), rng.normal(0.05, 0.05, 6)),
        "pop": lif(6),
    }
    nodes["out"] = nir.Output(np.array([6]))
    edges = [("in", "s"), ("s", "w"), ("w", "pop"), ("pop", "out")]
    if recurrent:
        nodes |= {"back": li(6, 5.0), "r": nir.Affine(rng.normal(0, 0.2, (6, 6)), np.full(6, 0.02))}
        edges += [("pop", "back"), ("back", "r"), ("r", "pop")]
    stages = lower(graph(nodes, edges), Options(), log=Log())
    assert list(stages.discrete.nodes(Population)) == ["pop"]
    inputs = raster(rng, 3, 40, 4)
    before, after = run(stages.reference, inputs).outputs, run(stages.discrete, inputs).outputs
    np.testing.assert_array_equal(before, after)
    assert before.any()
    compile_model(graph(nodes, edges), "loihi2")
