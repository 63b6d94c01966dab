"""A program through all steps: forwards it is the interpreter, backwards it is the slope of what it
computes.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nirc.calibration.unrolled import Unrolled, components
from nirc.ir.arrays import Float, frozen, on_grid
from nirc.ir.linear import Dense, with_weights
from nirc.ir.populations import Bias, Discrete, Population, Projection, Sink, Source
from nirc.ir.program import Form, Program
from nirc.ir.rules import MEMBRANE, Fire, Reset, plain
from nirc.ir.verify import verify
from nirc.semantics.run import run
from nirc.semantics.variations import ruled

N_IN, N, N_OUT, STEPS = 4, 6, 3, 9


def neurons(n: int, rng: np.random.Generator, *, synapse: bool, fires: bool = True) -> Population:
    def values(low: float, high: float) -> Float:
        return frozen(rng.uniform(low, high, n))

    syn = (values(0.3, 0.8), values(0.5, 1.0)) if synapse else (None, None)
    threshold = values(0.8, 1.2) if fires else None
    silent = MEMBRANE.with_synapse() if synapse else MEMBRANE
    rule = plain("subtract", synapse=synapse) if fires else silent
    d = Discrete(
        values(0.5, 1.0), values(0.5, 1.0), values(-0.1, 0.1), *syn, threshold=threshold, rule=rule
    )
    return Population((n,), d, ("n",))


def network(*, loop: bool, synapse: bool = True, fires: bool = True, seed: int = 0) -> Program:
    rng = np.random.default_rng(seed)

    def dense(n_out: int, n_in: int) -> tuple[Dense]:
        return (Dense(frozen(rng.normal(0.2, 0.6, (n_out, n_in)))),)

    nodes = {
        "in": Source((N_IN,), ("in",)),
        "a": neurons(N, rng, synapse=synapse),
        "b": neurons(N_OUT, rng, synapse=False, fires=fires),
        "out": Sink((N_OUT,), ("out",)),
    }
    edges: list[tuple[str, str, Projection]] = [
        (
            "in",
            "a",
            Projection(dense(N, N_IN), biases=(Bias(frozen(np.full(N, 0.05)), onset_steps=2),)),
        ),
        ("a", "b", Projection(dense(N_OUT, N))),
        ("in", "b", Projection(dense(N_OUT, N_IN), delay_steps=2)),
        ("b", "out", Projection()),
    ]
    if loop:
        edges.append(("a", "a", Projection(dense(N, N), feedback=True)))
        edges.append(("b", "a", Projection(dense(N, N_OUT), feedback=True, delay_steps=1)))
    program = Program.of(Form.DISCRETE, nodes, edges)
    verify(program)
    return program


def resetting(program: Program, reset: Reset) -> Program:
    """``program`` with another reset of all its populations that fire."""
    return ruled(program, lambda rule: rule.with_reset(reset))


def inputs(samples: int = 5) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 3, (samples, STEPS, N_IN))


@pytest.mark.parametrize("loop", [False, True])
@pytest.mark.parametrize("reset", ["subtract", "set"])
@pytest.mark.parametrize("several", [False, True])
def test_forwards_it_is_the_interpreter(*, loop: bool, reset: Reset, several: bool) -> None:
    program = resetting(network(loop=loop), reset)
    if several and reset == "subtract":
        program = ruled(program, lambda rule: rule.with_fire(Fire(">", 31)), ["a"])
    expected = run(program, inputs(), record=["a", "b"])
    assert expected.spikes["a"].sum() > 0
    found = Unrolled(program).forward(inputs())
    assert np.array_equal(found["a"], expected.spikes["a"]) and np.array_equal(
        found["b"], expected.spikes["b"]
    )


def test_populations_of_a_loop_go_together() -> None:
    assert components(network(loop=True)) == [["a", "b"]]
    assert components(network(loop=False)) == [["a"], ["b"]]


def test_forced_populations_hear_what_they_are_told() -> None:
    program = network(loop=True)
    told = {"a": np.ones((5, STEPS, N)), "b": np.zeros((5, STEPS, N_OUT))}
    found = Unrolled(program, told).forward(inputs())
    # Fed with the same signals by hand: an input instead of the loop.
    rec = next(p for s, t, p in program.edges() if s == t == "a")
    drive = np.concatenate([np.zeros((5, 1, N)), told["a"][:, :-1]], axis=1) @ rec.ops[0].weight.T
    alone = Unrolled(network(loop=False))
    alone.feed(inputs())
    usual = alone.drive
    alone.drive = lambda name: (usual(name)[0] + drive, None) if name == "a" else usual(name)  # type: ignore[method-assign]
    alone.run(["a"])
    assert np.array_equal(found["a"], alone.signal["a"])


@pytest.mark.parametrize("loop", [False, True])
def test_backwards_it_is_the_slope(*, loop: bool) -> None:
    """Without thresholds nothing is approximate: gradients are difference quotients, through
    synapses and delays.
    """
    program = network(loop=loop, fires=False)
    for name in ("a", "b"):
        p = program[name]
        silent = MEMBRANE.with_synapse() if p.dynamics.rule.has_synapse else MEMBRANE
        program = program.mapped(
            {name: replace(p, dynamics=replace(p.dynamics, threshold=None, rule=silent))}
        )
    x = inputs()
    rng = np.random.default_rng(3)
    slopes = {"a": rng.normal(size=(5, STEPS, N)), "b": rng.normal(size=(5, STEPS, N_OUT))}
    unrolled = Unrolled(program)
    unrolled.forward(x)
    edges = list(program.edges())
    weights = [(i, k) for i, (_, _, p) in enumerate(edges) for k in range(len(p.ops))]
    given = {name: slope.copy() for name, slope in slopes.items()}
    gradients = unrolled.backward(given, weights, ("a", "b"))

    def loss(p: Program) -> float:
        found = Unrolled(p).forward(x)
        return float(sum((found[n] * s).sum() for n, s in slopes.items()))

    nodes = dict(program.graph.nodes(data="payload"))
    step = 1e-6
    for (number, k), gradient in gradients.weights.items():
        s, t, p = edges[number]
        change = rng.normal(size=gradient.shape)
        both = []
        for sign in (1, -1):
            ops = tuple(
                with_weights(op, op.weight + sign * step * change) if i == k else op
                for i, op in enumerate(p.ops)
            )
            changed = [*edges]
            changed[number] = (s, t, replace(p, ops=ops))
            both.append(loss(program.rebuilt(nodes, changed)))
        quotient = (both[0] - both[1]) / (2 * step)
        size = float(np.abs(gradient * change).sum())  # what is added up is rounded, and may cancel
        assert abs(quotient - float((gradient * change).sum())) < 1e-3 * size
    for name, gradient in gradients.drift.items():
        p = program[name]
        moved = replace(p, dynamics=replace(p.dynamics, drift=frozen(p.dynamics.drift + step)))
        quotient = (loss(program.mapped({name: moved})) - loss(program)) / step
        assert quotient == pytest.approx(float(gradient.sum()), rel=1e-3, abs=1e-3)


def test_products_are_exact_in_any_order() -> None:
    rng = np.random.default_rng(0)
    a, b = on_grid(rng.normal(size=4096)), on_grid(rng.normal(size=4096))
    order = rng.permutation(4096)
    assert float((a * b).sum()) == float((a[order] * b[order]).cumsum()[-1])
    assert np.abs(a - on_grid(a)).max() == 0 and np.abs(on_grid(np.zeros(3))).max() == 0
