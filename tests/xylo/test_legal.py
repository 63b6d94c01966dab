"""Parts of populations on the chip, sums of projections, and differences in kind and timing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from nirc.backends.xylo.approximations import _floored, _leak, _timed
from nirc.backends.xylo.differences import report, report_timing, retimed
from nirc.backends.xylo.legalise import XyloLegalise, _shows_alone, readouts
from nirc.backends.xylo.lower import lower
from nirc.backends.xylo.quantise import _connections, planned
from nirc.diagnostics.log import Log
from nirc.ir.linear import Dense, LinearOp
from nirc.ir.populations import Bias, Discrete, Population, Projection, Role, Sink, Source
from nirc.ir.program import Form, Program
from nirc.ir.rules import parse, plain
from tests.reports import Reports

ONE = np.ones(2)
FIRES = plain("subtract", synapse=True, at=">=", most=31)


def dynamics(*, decay: float = 0.875, synapse: float | None = 0.75, fires: bool = True) -> Discrete:
    """Two neurons, with a synapse unless it is None."""
    return Discrete(
        *(ONE * decay, ONE, 0 * ONE),
        decay_syn=None if synapse is None else ONE * synapse,
        gain_syn=None if synapse is None else ONE,
        threshold=ONE if fires else None,
        v_reset=0 * ONE if fires else None,
        rule=FIRES if fires else parse("decay i, add x->i, decay v, add i->v"),
    )


def weights(factor: float = 1.0, **fields: Any) -> Projection:
    matrix: LinearOp = Dense(factor * np.array([[1.0, 0.5], [0.25, 2.0]]))
    return Projection((matrix,), origins=("nodes/w",), **fields)


WIRE = Projection(origins=("nodes/out",))


def program(edges: list[tuple[str, str, Projection]], **populations: Discrete) -> Program:
    """Inputs ``in``, outputs ``out`` and ``out2`` as edges name them, and populations between."""
    used = {end for source, target, _ in edges for end in (source, target)}
    nodes: dict[str, object] = {"in": Source((2,), ("nodes/in",))}
    nodes |= {n: Population((2,), d, (f"nodes/{n}",)) for n, d in populations.items()}
    nodes |= {n: Sink((2,), (f"nodes/{n}",)) for n in ("out", "out2") if n in used}
    return Program.of(Form.DISCRETE, nodes, edges)


def chain(*, between: Projection | None = None, last: Discrete | None = None) -> Program:
    """Population a behind the input, b behind a, and the output behind b."""
    edges = [("in", "a", weights()), ("a", "b", between or weights()), ("b", "out", WIRE)]
    return program(edges, a=dynamics(), b=last or dynamics())


# Which populations are readout neurons.


def test_the_last_population_is_a_readout() -> None:
    assert readouts(chain()) == {"b": "out"}


@pytest.mark.parametrize(
    "edges",
    [
        [("in", "a", weights()), ("in", "b", weights()), ("a", "b", weights()), ("b", "out", WIRE)],
        [("in", "a", weights()), ("a", "b", weights(synapse=1)), ("b", "out", WIRE)],
        [("in", "a", weights()), ("a", "b", weights()), ("b", "out", weights())],
        [
            *(("in", "a", weights()), ("a", "b", weights())),
            *(("b", "out", WIRE), ("b", "out2", WIRE)),
        ],
        [("in", "a", weights()), ("a", "b", weights()), ("b", "a", weights()), ("b", "out", WIRE)],
        [("in", "a", weights()), ("a", "b", weights()), ("a", "out", WIRE), ("b", "out", WIRE)],
    ],
    ids=["input", "second synapse", "weights", "two outputs", "it feeds others", "sum"],
)
def test_other_populations_are_hidden(edges: list[tuple[str, str, Projection]]) -> None:
    assert readouts(program(edges, a=dynamics(), b=dynamics())) == {}


def test_a_readout_has_no_path_back_so_its_sources_are_hidden() -> None:
    """Both could be readouts: a feeds its output alone, and is fed by neurons."""
    edges = [
        *(("in", "h", weights()), ("h", "a", weights()), ("a", "out", WIRE)),
        *(("h", "b", weights()), ("b", "out2", WIRE)),
    ]
    both = program(edges, h=dynamics(), a=dynamics(), b=dynamics())
    assert readouts(both) == {"a": "out", "b": "out2"}
    assert _shows_alone(both, "a") and not _shows_alone(both, "h")


@pytest.mark.parametrize("fires", [True, False])
def test_outputs_that_no_readout_shows_get_relays(fires: bool) -> None:
    """A population behind the input spikes through a relay. Membranes need their input relayed."""
    edges = [("in", "a", weights()), ("a", "out", WIRE)]
    log = Log()
    made = XyloLegalise().run(program(edges, a=dynamics(fires=fires)), log)
    kind = "out" if fires else "in"
    (relay,) = [n for n, p in made.nodes(Population).items() if p.role is Role.RELAY]
    assert relay == f"{kind}.relay" and made[relay].n == 2
    way = [("in", "a"), ("a", relay), (relay, "out")] if fires else []
    way = way or [("in", relay), (relay, "a"), ("a", "out")]
    assert sorted((s, t) for s, t, _ in made.edges()) == sorted(way)
    assert made.into("a")[0][1].ops == edges[0][2].ops
    (found,) = [d for d in log.diagnostics if d.where == f"nodes/{kind}"]
    assert ("2" in found.message) and kind in found.message


def test_two_inputs_of_one_membrane_share_a_relay_each() -> None:
    edges = [("in", "a", weights()), ("in", "b", weights())]
    edges += [("a", "out", WIRE), ("b", "out2", WIRE)]
    both = program(edges, a=dynamics(fires=False), b=dynamics(fires=False))
    made = XyloLegalise().run(both, Log())
    assert [n for n in made.nodes(Population) if n not in ("a", "b")] == ["in.relay"]
    assert [s for s, _ in made.into("b")] == [s for s, _ in made.into("a")] == ["in.relay"]
    assert len(made.into("in.relay")) == 1


# Sums of projections.


def test_parallel_projections_are_added_and_the_shorter_delay_counts() -> None:
    late = weights(2.0, delay_steps=3, biases=(Bias(ONE),))
    soon = weights(1.0, delay_steps=1, biases=(Bias(2 * ONE),))
    for pair in ([late, soon], [soon, late]):
        edges = [("in", "a", each) for each in pair] + [("a", "out", WIRE)]
        model = program(edges, a=dynamics())
        (one,) = _connections(model, Log())
        assert (one.source, one.target, one.from_input) == ("in", "a", True)
        assert one.projection.delay_steps == 1
        assert [b.value[0] for b in one.projection.biases] == [b.value[0] for b in
            (*pair[0].biases, *pair[1].biases)]  # fmt: skip
        assert one.projection.origins == ("nodes/w", "nodes/w")
        expected = 3 * np.array([[1.0, 0.5], [0.25, 2.0]])
        np.testing.assert_array_equal(one.op.apply(np.eye(2)).T, expected)


def test_projections_to_two_receptors_or_from_neurons_stay_apart() -> None:
    edges = [("in", "a", weights()), ("in", "a", weights(synapse=1)), ("a", "a", weights())]
    found = _connections(program([*edges, ("a", "out", WIRE)], a=dynamics()), Log())
    assert [(c.source, c.projection.synapse, c.from_input) for c in found] == [
        *(("in", 0, True), ("in", 1, True), ("a", 0, False))
    ]


# Timing.


def test_a_hop_that_no_latency_accounts_for_is_reported_by_its_sign() -> None:
    edges = [("in", "a", weights()), ("a", "b", weights()), ("b", "a", weights(feedback=True))]
    edges += [("a", "c", weights()), ("c", "b", weights(delay_steps=2)), ("b", "out", WIRE)]
    model = program(edges, a=dynamics(), b=dynamics(), c=dynamics())
    late = {"in": 0, "a": 0, "b": 2, "c": 1, "out": 2}
    reports: Any = Reports()
    report_timing(model, late, reports)
    longer, shorter, path = sorted(reports.found, key=lambda f: f.steps, reverse=True)
    assert (type(longer).code, vars(longer)) == (
        "D406",
        {
            **{"where": "nodes/w", "source": "b", "target": "a", "steps": 3 - edges[2][2].lag},
            "rule": "one step for every hop between hidden neurons",
        },
    )
    assert {(type(f).code, f.source, f.target, f.steps, f.by_delay) for f in (shorter, path)} == {
        *(("D407", "a", "b", 1, False), ("D407", "c", "b", 2, True))
    }
    assert retimed(model, late) == (
        *(("a", "b", -1), ("b", "a", 3 - edges[2][2].lag), ("c", "b", -2)),
    )


def test_a_wire_from_input_to_output_is_no_difference() -> None:
    model = program([("in", "out", WIRE)])
    reports: Any = Reports()
    report_timing(model, {"in": 0, "out": 4}, reports)
    assert not reports.found and retimed(model, {"in": 0, "out": 4}) == ()


def test_timing_is_studied_where_it_is_no_mere_shift() -> None:
    assert _timed(chain()) is None
    edges = [("in", "a", weights()), ("in", "b", weights()), ("a", "b", weights())]
    made = _timed(program([*edges, ("b", "out", WIRE)], a=dynamics(), b=dynamics()))
    assert made is not None
    lags = {(s, t): (p.delay_steps, p.feedback) for s, t, p in made.edges()}
    assert lags == {
        **{("in", "a"): (0, False), ("in", "b"): (0, False), ("a", "b"): (1, False)},
        ("b", "out"): (0, False),
    }


# Differences in kind.


@pytest.mark.parametrize(
    ("fields", "bias", "codes"),
    [
        ({}, None, []),
        ({}, Bias(0.1 * ONE), ["D409"]),
        ({}, Bias(0 * ONE), []),
        ({"synapse": None}, None, ["D403"]),
        ({"synapse": None}, Bias(0.1 * ONE), ["D403"]),
        ({"synapse": None}, Bias(0.1 * ONE, onset_steps=1), ["D403", "D409"]),
        ({"synapse": None, "decay": 0.0}, None, ["D413"]),
        ({"decay": 0.0}, None, []),
        ({"decay": 1.0}, None, ["D405"]),
        ({"decay": 0.86}, None, ["D402"]),
        ({"synapse": 0.7}, None, ["D402"]),
    ],
)
def test_each_difference_in_kind_has_its_code(
    fields: dict[str, Any], bias: Bias | None, codes: list[str]
) -> None:
    """Besides, a readout neuron fires once a step (D441)."""
    biases = () if bias is None else (bias,)
    model = chain(between=weights(biases=biases), last=dynamics(**fields))
    log = Log()
    report(model, log)
    assert sorted({d.code for d in log.diagnostics}) == sorted([*codes, "D441"])
    assert all(d.where.startswith("nodes/b") for d in log.diagnostics)


def test_a_relay_is_the_chips_own() -> None:
    edges = [("in", "a", weights()), ("a", "out", WIRE)]
    log = Log()
    report(program(edges, a=dynamics(decay=1.0)), log)
    assert log.diagnostics
    model = program(edges, a=dynamics(decay=1.0))
    own = replace(model["a"], role=Role.RELAY)
    log = Log()
    report(model.mapped({"a": own}), log)
    assert not log.diagnostics


# Leaks of integer units.


def test_a_leak_in_volts_is_an_integer_of_units_and_one_at_least() -> None:
    unit, kept = np.array([0.5]), np.array([0.75])
    for v, left in ((8.0, 6.0), (7.0, 5.5), (1.5, 1.0), (0.25, 0.0), (-1.0, -0.5), (-8.0, -6.0)):
        assert _leak(np.array([v]), kept, unit).tolist() == [left]
    assert _leak(np.array([8.0, -8.0]), np.zeros(2), np.ones(2)).tolist() == [0, 0]


def test_integer_leaks_are_made_up_for_by_the_bias() -> None:
    plan, shifts = planned(chain(), Log())["a"]
    d = dynamics()
    fixed = _floored(d, plan, shifts)
    scale = plan.scale(shifts)
    np.testing.assert_allclose(fixed.neuron.drift, -plan.kept(scale) / scale)
    np.testing.assert_allclose(fixed.unit, 1 / scale)


# One reservoir.


def test_a_program_is_inputs_hidden_and_readout_neurons_with_their_synapses() -> None:
    """The readout neurons lie in the order of the outputs."""
    edges = [
        *(("in", "a", weights()), ("in", "a", weights(synapse=1)), ("a", "h", weights(2.0))),
        *(("a", "b", weights(3.0)), ("h", "c", weights(4.0)), ("h", "c", weights(1.0))),
        *(("c", "out", WIRE), ("b", "out2", WIRE)),
    ]
    model = program(edges, a=dynamics(), b=dynamics(), c=dynamics(), h=dynamics())
    made = lower(model, Log())
    blocks = [[(b.name, b.start, b.stop) for b in part] for part in
              (made.inputs, made.hidden, made.readout)]  # fmt: skip
    assert blocks == [
        [("in", 0, 2)],
        [("a", 0, 2), ("h", 2, 4)],
        [("c", 0, 2), ("b", 2, 4)],
    ]
    assert made.sinks == ("out", "out2")

    def entries(synapses: Any) -> dict[tuple[int, int], list[float]]:
        pairs = zip(synapses.target.tolist(), synapses.source.tolist(), strict=True)
        return dict(zip(pairs, synapses.value.tolist(), strict=True))

    assert entries(made.from_input) == {
        **{(0, 0): [1, 1], (0, 1): [0.5, 0.5], (1, 0): [0.25, 0.25], (1, 1): [2, 2]}
    }
    assert entries(made.recurrent) == {
        **{(2, 0): [2, 0], (2, 1): [1, 0], (3, 0): [0.5, 0], (3, 1): [4, 0]}
    }
    assert entries(made.to_readout) == {
        **{(0, 2): [5, 0], (0, 3): [2.5, 0], (1, 2): [1.25, 0], (1, 3): [10, 0]},
        **{(2, 0): [3, 0], (2, 1): [1.5, 0], (3, 0): [0.75, 0], (3, 1): [6, 0]},
    }
    without = lower(model, Log(), synapses=False)
    assert without.hidden == made.hidden and not without.recurrent.target.size
