"""What drives a population: kernels or lists, receptors, delays and relays, each rule alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from nirc.backends.spinnaker2.drives import (
    Drive,
    _convolves,
    _has_entries,
    drives,
    is_filtered,
    merged,
    needs_clock,
    per_channel,
    receptors,
    timed,
)
from nirc.diagnostics.log import Log
from nirc.ir.linear import Conv, Dense, Diagonal, LinearOp, Pool, Sparse, sparse
from nirc.ir.populations import Bias, Discrete, Population, Projection, Role, Sink, Source
from nirc.ir.program import Form, Program
from tests.reports import Reports

NOTHING = ((0, 0), (0, 0))


def dynamics(n: int = 1, **fields: Any) -> Discrete:
    one = np.ones(n)
    given = {name: one * value for name, value in fields.items()}
    base = {"decay_mem": one / 2, "gain_mem": one, "drift": 0 * one, "threshold": one}
    return Discrete(**(base | {"v_reset": 0 * one} | given))


def conv(**fields: Any) -> Conv:
    """A kernel of 2 x 2 on 1 x 4 x 4."""
    weight = np.arange(1.0, 9).reshape(2, 1, 2, 2)
    return replace(Conv(weight, (1, 4, 4), (2, 3, 3), (1, 1), NOTHING, (1, 1), 1), **fields)


def pool(kernel: int = 2, **fields: Any) -> Pool:
    side = 4 * kernel
    made = Pool((1, side, side), (1, 4, 4), (kernel, kernel), (kernel, kernel), NOTHING)
    return replace(made, **fields)


def synapse(weight: float = 1.0) -> Sparse:
    at = np.zeros(1, np.int64)
    return Sparse(at, at, np.array([weight]), 1, 1)


def weights(weight: float = 1.0, *, receptor: int = 0, **fields: Any) -> Projection:
    return Projection((synapse(weight),), synapse=receptor, origins=("nodes/w",), **fields)


# A kernel or a list.


@pytest.mark.parametrize(
    ("ops", "convolves"),
    [
        ((conv(),), True),
        ((pool(), conv()), True),
        ((pool(3), conv()), True),
        ((Dense(np.ones((1, 1))),), False),
        ((conv(stride=(2, 1)),), False),
        ((conv(stride=(2, 2)),), True),
        ((conv(dilation=(1, 2)),), False),
        ((conv(groups=2),), False),
        ((pool(stride=(1, 1)), conv()), False),
        ((pool(kernel=2, stride=(2, 1)), conv()), False),
        ((pool(padding=((1, 0), (0, 0))), conv()), False),
        ((pool(padding=((0, 0), (0, 1))), conv()), False),
        ((pool(shape_in=(1, 8, 9)), conv()), False),
        ((pool(shape_in=(1, 9, 8)), conv()), False),
        ((pool(shape_out=(1, 4, 3)), conv()), False),
        ((pool(kernel=2), conv(weight=np.ones((2, 1, 2)))), False),
    ],
)
def test_the_chip_s_kernel_is_square_and_pools_in_tiles(
    ops: tuple[LinearOp, ...], convolves: bool
) -> None:
    assert _convolves(ops, dynamics(18)) == convolves


def test_a_kernel_goes_to_neurons_without_filter_that_are_alike_in_a_channel() -> None:
    assert not _convolves((conv(),), dynamics(18, decay_syn=0.5, gain_syn=1))
    assert not _convolves((conv(),), dynamics(18, decay_syn_2=0.5, gain_syn_2=1))
    by_channel = np.repeat([1.0, 2.0], 9)
    assert _convolves((conv(),), dynamics(18, gain_mem=by_channel))
    other = by_channel.copy()
    other[17] = 3
    assert not _convolves((conv(),), dynamics(18, gain_mem=other))
    found = per_channel(by_channel, conv())
    assert found is not None and found.tolist() == [1, 2]
    assert per_channel(other, conv()) is None


@pytest.mark.parametrize(
    ("op", "entries"),
    [
        (synapse(), True),
        (synapse(0.0), False),
        (Diagonal(np.array([0.0, 1.0])), True),
        (Diagonal(np.zeros(2)), False),
        (pool(), True),
        (pool(factor=0.0), False),
        (conv(), True),
        (conv(weight=np.zeros((2, 1, 2, 2))), False),
    ],
)
def test_an_operator_of_zeros_connects_nothing(op: LinearOp, entries: bool) -> None:
    assert _has_entries(op) == entries


def program(
    edges: list[tuple[str, str, Projection]], **populations: Discrete | Population[Discrete]
) -> Program:
    """Inputs ``in`` and ``in2``, populations, and an output behind the last."""
    nodes: dict[str, object] = {n: Source((1,), (f"nodes/{n}",)) for n in ("in", "in2")}
    for name, d in populations.items():
        n = d.decay_mem.size if isinstance(d, Discrete) else d.n
        nodes[name] = Population((n,), d, (f"nodes/{name}",)) if isinstance(d, Discrete) else d
    last = list(nodes)[-1]
    nodes["out"] = Sink((1,), ("nodes/out",))
    return Program.of(Form.DISCRETE, nodes, [*edges, (last, "out", Projection())])


def test_a_population_has_its_kernel_alone_or_lists() -> None:
    """A second input, an order to list, or a filter make lists of both."""
    kernel = Projection((conv(weight=np.ones((2, 1, 2, 2))),))
    matrix = Projection((Dense(np.ones((18, 1))),))
    picture = Source((1, 4, 4), ("nodes/in",))
    one = program([("in", "a", kernel)], a=dynamics(18)).mapped({"in": picture})
    both = program([("in", "a", kernel), ("in2", "a", matrix)], a=dynamics(18))
    both = both.mapped({"in": picture})
    zero = program([("in", "a", kernel), ("in2", "a", Projection((Dense(np.zeros((18, 1))),)))],
                   a=dynamics(18)).mapped({"in": picture})  # fmt: skip

    def kinds(model: Program, **how: Any) -> list[str]:
        return [type(d.ops[0]).__name__ for d in drives(model, Log(), **how)]

    assert kinds(one) == ["Conv"] and kinds(one, unroll={"a"}) == ["Sparse"]
    assert kinds(one, unroll={"b"}) == ["Conv"]
    assert kinds(both) == ["Sparse", "Sparse"]
    assert kinds(zero) == ["Conv"]
    (drive,) = drives(one, Log())
    assert (drive.source, drive.target, drive.extra) == ("in", "a", 0)
    with pytest.raises(TypeError, match="no list of synapses"):
        _ = drive.entries


def test_drives_of_one_pair_delay_and_receptor_are_added() -> None:
    def drive(value: float, *, source: str = "in", receptor: int = 0, extra: int = 0) -> Drive:
        p = replace(weights(value, receptor=receptor), origins=(f"nodes/w{value:g}", "nodes/x"))
        return Drive(source, "a", p, p.ops, extra)

    found = merged([drive(1), drive(2), drive(4, receptor=1), drive(8, extra=1), drive(16),
                    drive(32, source="in2")])  # fmt: skip
    keys = [(d.source, d.projection.synapse, d.extra, d.entries.value.tolist()) for d in found]
    assert keys == [("in", 0, 0, [19]), ("in", 1, 0, [4]), ("in", 0, 1, [8]), ("in2", 0, 0, [32])]
    assert found[0].projection.origins == ("nodes/w1", "nodes/x", "nodes/w2", "nodes/w16")


# Receptors.


def into(*signed: tuple[int, float]) -> list[Drive]:
    return [Drive("in", "a", p, p.ops) for p in (weights(w, receptor=r) for r, w in signed)]


FIRST, SECOND = {"decay_syn": 0.25, "gain_syn": 2}, {"decay_syn_2": 0.75, "gain_syn_2": 3}


@pytest.mark.parametrize(
    ("fields", "signed", "gains", "decays", "signs"),
    [
        ({}, [(0, 1)], (5, 5), None, ()),
        (FIRST, [(0, 1), (0, -1)], (10, 5), (0.25, 0.25), ()),
        (FIRST | SECOND, [(0, 1), (1, -1)], (10, 15), (0.25, 0.75), (1, -1)),
        (FIRST | SECOND, [(0, -1), (1, 1)], (10, 15), (0.75, 0.25), (-1, 1)),
        (FIRST | SECOND, [(0, 1)], (10, 15), (0.25, 0.75), (1, -1)),
        (FIRST | SECOND, [(0, -1)], (10, 15), (0.75, 0.25), (-1, 1)),
        (SECOND, [(0, 1), (1, -1)], (5, 15), (0, 0.75), (1, -1)),
    ],
)
def test_currents_are_those_of_the_signs(
    fields: dict[str, Any],
    signed: list[tuple[int, float]],
    gains: tuple[float, float],
    decays: tuple[float, float] | None,
    signs: tuple[int, ...],
) -> None:
    reports: Any = Reports()
    population = Population((1,), dynamics(gain_mem=5, **fields), ("nodes/a",))
    assert is_filtered(population.dynamics) == bool(fields)
    found = receptors("a", population, into(*signed), reports)
    assert tuple(g.item() for g in found.gains) == gains and found.signs == signs
    assert (None if found.decays is None else tuple(d.item() for d in found.decays)) == decays
    assert not reports.found
    (first, *_) = into((1, 1.0))
    assert found.gain(first).item() == gains[1]


@pytest.mark.parametrize(
    "signed", [[(0, 1), (1, 1)], [(0, -1), (1, -1)], [(0, 1), (0, -1), (1, 1)]]
)
def test_filters_that_get_one_sign_both_are_refused(signed: list[tuple[int, float]]) -> None:
    reports: Any = Reports()
    population = Population((1,), dynamics(**(FIRST | SECOND)), ("nodes/a",))
    receptors("a", population, into(*signed), reports)
    assert [vars(f) for f in reports.found] == [{"where": "nodes/a", "population": "a"}]


def test_a_negative_gain_turns_the_sign_of_the_weights() -> None:
    population = Population((1,), dynamics(gain_mem=-1, **FIRST, **SECOND), ("nodes/a",))
    found = receptors("a", population, into((0, 1), (1, -1)), Log())
    assert found.signs == (-1, 1)


# Clocks and delays.


@pytest.mark.parametrize(
    ("fields", "bias", "needed"),
    [
        ({}, Bias(np.ones(1)), False),
        (FIRST, Bias(np.ones(1)), True),
        (SECOND, Bias(np.ones(1)), True),
        (FIRST, Bias(np.zeros(1)), False),
        ({}, Bias(np.ones(1), onset_steps=2), True),
        ({}, Bias(np.zeros(1), onset_steps=2), False),
        (FIRST, None, False),
    ],
)
def test_constants_through_a_filter_or_from_a_later_step_come_from_a_clock(
    fields: dict[str, Any], bias: Bias | None, needed: bool
) -> None:
    p = weights(biases=() if bias is None else (bias,))
    model = program([("in", "a", p)], a=dynamics(**fields))
    assert needs_clock("a", model["a"], model) == needed


def test_the_shorter_path_waits_in_its_synapse() -> None:
    """The path through a takes two steps, the delayed one its four besides."""
    edges = [("in", "a", weights()), ("in", "b", weights(delay_steps=4)), ("a", "b", weights())]
    model = program(edges, a=dynamics(), b=dynamics())
    made = timed(model, drives(model, Log()), Log(), relays=False)
    assert made.latency_steps["a"] == 1 and made.latency_steps["b"] == 2
    assert {(d.source, d.target): d.extra for d in made.drives} == {
        **{("in", "a"): 0, ("in", "b"): 5, ("a", "b"): 0}
    }


@pytest.mark.parametrize(
    ("delay", "relays", "expected", "steps"),
    [
        (7, False, {("in", "a"): 7}, 0),
        (8, False, {("in", "in.relay"): 7, ("in.relay", "a"): 0}, 8),
        (9, False, {("in", "in.relay"): 7, ("in.relay", "a"): 1}, 9),
        (16, False, {("in", "in.relay"): 7, ("in.relay", "in.relay2"): 7,
                     ("in.relay2", "a"): 0}, 16),
        (3, True, {("in", "in.relay"): 2, ("in.relay", "a"): 0}, 3),
        (0, True, {("in", "a"): 0}, 0),
    ],
)  # fmt: skip
def test_longer_delays_go_through_relays(
    delay: int, relays: bool, expected: dict[tuple[str, str], int], steps: int
) -> None:
    """The other input keeps the latency of a at 1."""
    edges = [("in", "a", weights(delay_steps=delay)), ("in2", "a", weights())]
    model = program(edges, a=dynamics())
    reports: Any = Reports()
    made = timed(model, drives(model, Log()), reports, relays=relays)
    found = {(d.source, d.target): d.extra for d in made.drives}
    assert found == expected | {("in2", "a"): 0}
    relay_names = [name for name in made.populations if name != "a"]
    late = {name: made.latency_steps[name] for name in relay_names}
    assert late == dict(zip(relay_names, np.cumsum([min(steps, 8)] * len(late)), strict=True))
    assert all(made.populations[name].role is Role.RELAY for name in relay_names)
    assert [(f.neurons, f.steps) for f in reports.found] == ([(len(late), steps)] if steps else [])
    assert [d.source for d in made.into["a"]] == [d.source for d in made.drives if d.target == "a"]


def test_targets_share_a_relay_of_their_source() -> None:
    edges = [(s, t, weights(delay_steps=9 * (s == "in"))) for s in ("in", "in2") for t in "ab"]
    model = program(edges, a=dynamics(), b=dynamics())
    made = timed(model, drives(model, Log()), Log(), relays=False)
    assert sorted(made.populations) == ["a", "b", "in.relay"]
    assert [d.source for d in made.into["b"]] == ["in.relay", "in2"]


def test_a_loop_that_is_too_short_is_reported() -> None:
    loop = [("a", "b", weights()), ("b", "a", weights(feedback=True)), ("in", "a", weights())]
    model = program(loop, a=dynamics(), b=dynamics())
    reports: Any = Reports()
    timed(model, drives(model, Log()), reports, relays=False)
    (slow,) = reports.found
    assert (type(slow).code, slow.where, slow.source, slow.target, slow.steps) == (
        *("D406", "nodes/a", "b", "a", 1),
    )
    assert slow.rule.startswith("every synapse takes a step")


def test_a_population_with_a_clock_is_as_late_as_a_spike_of_the_first_step() -> None:
    p = Projection((sparse(*([np.zeros(0, np.int64)] * 2), np.zeros(0), 1, 1),),
                   biases=(Bias(np.ones(1), onset_steps=1),))  # fmt: skip
    for bias in (p.biases, ()):
        model = program([("in", "a", replace(p, biases=bias))], a=dynamics())
        made = timed(model, drives(model, Log()), Log(), relays=False)
        assert made.latency_steps["a"] == len(bias)
