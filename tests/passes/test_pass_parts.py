"""The parts of passes, each rule alone: orders of axes, readings, delays, resets, numbers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nirc.diagnostics.file import ValueOutsideDomain
from nirc.diagnostics.log import Log
from nirc.ir.layers import Conv, Input, LayerNode, Linear, Pool, Scale, Subgraph
from nirc.ir.linear import Dense
from nirc.ir.populations import Bias, Continuous, Discrete, Population, Projection, Source
from nirc.ir.program import Form, Program
from nirc.ir.rules import BOUND, SUBTRACT, Add, Decay, Fire, Operation
from nirc.passes.discretise import MAX_VALUE, _largest, _refuse_overflow, _steps
from nirc.passes.flatten_nesting import FlattenNesting
from nirc.passes.infer_dt import _delays, _is_timed, _needs_dt
from nirc.passes.infer_shapes import (
    LAYOUTS,
    Layout,
    _are_alike,
    _bias_for,
    _conv_in_order,
    _laid_out,
    _linear_in_order,
    _readings,
    _report_strides,
    _weight_shape,
    _with_pool_strides,
)
from nirc.passes.legality import refuse_without_neurons
from nirc.passes.normalise_rules import _fires_at_start, _resets_at_once
from tests.reports import Reports

NOTHING = ((0, 0), (0, 0))


def program(**layers: Any) -> Program:
    nodes = {name: LayerNode(layer, (f"nodes/{name}",)) for name, layer in layers.items()}
    return Program.of(Form.LAYERS, nodes, ())


def conv(*shape: int, bias: Any = None, input_shape: tuple[int, ...] | None = None) -> Conv:
    weight = np.arange(np.prod(shape)).reshape(shape).astype(float)
    axes = len(shape) - 2
    one = (1,) * axes
    return Conv(weight, bias, one, NOTHING[:axes], one, 1, input_shape)


def pool(kernel: tuple[int, int], stride: tuple[int, int]) -> Pool:
    return Pool("sum", kernel, stride, NOTHING)


# Orders of axes.


def test_weights_of_many_blocks_are_turned_block_by_block() -> None:
    weight = np.arange(24.0).reshape(2, 3, 4)
    turned = _linear_in_order(Linear(weight, np.full((2, 3), 5.0)))
    np.testing.assert_array_equal(turned.weight, np.stack([block.T for block in weight]))
    assert turned.bias is not None and turned.bias.tolist() == [[5.0] * 4] * 2


@pytest.mark.parametrize(
    ("order", "stored", "axes"),
    [
        ("io", (2, 3, 4, 5), "iokl"),
        ("kio", (4, 5, 2, 3), "klio"),
        ("oki", (3, 4, 5, 2), "okli"),
        ("io", (2, 3, 4), "iok"),
        ("kio", (4, 2, 3), "kio"),
        ("oki", (3, 4, 2), "oki"),
    ],
)
def test_a_kernel_of_another_order_becomes_one_of_nir_s(
    order: str, stored: tuple[int, ...], axes: str
) -> None:
    layer = conv(*stored, bias=np.full(stored[0], 0.5))
    turned = _conv_in_order(layer, order)
    wanted = np.einsum(f"{axes}->oi{''.join(sorted(set(axes) - set('io')))}", layer.weight)
    np.testing.assert_array_equal(turned.weight, wanted)
    assert turned.weight.shape[:2] == (3, 2)
    assert turned.bias is not None and turned.bias.tolist() == [0.5] * 3


def test_a_bias_follows_if_all_its_numbers_are_equal() -> None:
    assert _bias_for(None, (3,)) is None
    same, other = np.array([2.0, 2.0]), np.array([2.0, 3.0])
    assert _bias_for(same, (2,)) is same and _bias_for(other, (3,)) is other
    turned = _bias_for(same, (3,))
    assert turned is not None and turned.tolist() == [2, 2, 2]


def test_a_layout_says_in_words_what_it_turns() -> None:
    kernels = {"io": "(in, out, kernel)", "kio": "(kernel, in, out)", "oki": "(out, kernel, in)"}
    turns = {
        "io": "weight.swapaxes(0, 1)",
        "kio": "numpy.moveaxis(weight, (-1, -2), (0, 1))",
        "oki": "numpy.moveaxis(weight, -1, 1)",
    }
    linear, kernel = Linear(np.ones((2, 3))), conv(2, 3, 4, 5)
    for name, words in kernels.items():
        layout = Layout(linear=False, conv=name)
        assert (layout.order(kernel), layout.turned(kernel)) == (words, turns[name])
        assert (layout.order(linear), layout.turned(linear)) == ("(in, out)", "weight.T")
        assert layout.read(linear) is linear and layout.read(kernel) is not kernel
    alone = Layout(linear=True)
    assert alone.read(kernel) is kernel and alone.read(linear) is not linear
    scale = Scale(np.ones(2))
    assert Layout(linear=True, conv="io").read(scale) is scale
    assert [(each.linear, each.conv) for each in LAYOUTS] == [
        *((True, ""), (True, "kio"), (True, "io")),
        *((False, "io"), (False, "kio"), (False, "oki")),
    ]


def test_only_weights_whose_shape_changes_are_laid_out() -> None:
    def found(layer: Any, layout: Layout) -> LayerNode | None:
        return _laid_out(LayerNode(layer, ("nodes/a",)), layout)

    linear = Layout(linear=True)
    turned = found(Linear(np.ones((2, 3))), linear)
    assert turned is not None and _weight_shape(turned) == (3, 2)
    assert turned.origins == ("nodes/a",)
    assert found(Linear(np.ones((2, 2))), linear) is None
    assert found(Scale(np.ones(2)), linear) is None
    assert found(conv(2, 3, 1, 1), linear) is None
    assert found(conv(2, 2, 1, 1), Layout(linear=True, conv="io")) is None
    assert found(conv(2, 3, 1, 1), Layout(linear=True, conv="io")) is not None
    assert _weight_shape(LayerNode(Scale(np.ones(2)), ())) == ()


def test_two_ways_to_turn_are_alike_if_their_shapes_are() -> None:
    def nodes(**shapes: tuple[int, ...]) -> dict[str, LayerNode]:
        return {name: LayerNode(Linear(np.ones(shape)), ()) for name, shape in shapes.items()}

    one = nodes(a=(2, 3), b=(4, 5))
    assert _are_alike(one, nodes(b=(4, 5), a=(2, 3)))
    assert not _are_alike(one, nodes(a=(2, 3))) and not _are_alike(nodes(a=(2, 3)), one)
    assert not _are_alike(one, nodes(a=(2, 3), b=(5, 4)))


# Readings.


@pytest.mark.parametrize(
    ("shape", "leads"),
    [(None, []), ((7,), []), ((7, 3), [1]), ((1, 7, 3), [1, 2]), ((1, 7, 3, 3), [1, 2])],
)
def test_an_input_may_have_axes_of_a_batch_and_of_time(
    shape: tuple[int, ...] | None, leads: list[int]
) -> None:
    several = program(a=Input(shape), b=Input((7,)), c=Scale(np.ones(3)))
    found = list(_readings(several))
    assert [r.lead for r in found] == [0, *leads]
    assert not any(r.changes or r.needs_first for r in found)
    assert all(r.program is several for r in found)


def test_declared_maps_and_strides_of_pools_give_other_readings() -> None:
    found = list(_readings(program(a=Input((2, 4)), b=conv(2, 1, 3, input_shape=(9,)))))
    assert [(r.lead, r.changes, r.needs_first) for r in found] == [
        *((0, 0, False), (0, 0, True), (1, 0, False))
    ]
    found = list(_readings(program(a=Input(None), b=conv(2, 1, 3), p=pool((2, 2), (1, 1)))))
    assert [(r.lead, r.changes, r.needs_first) for r in found] == [(0, 0, False), (0, 1, False)]
    assert found[1].program["p"].layer.stride == (2, 2)


@pytest.mark.parametrize(
    ("kernel", "stride", "changed"),
    [
        ((2, 2), (1, 1), True),
        ((1, 3), (1, 1), True),
        ((2, 2), (2, 2), False),
        ((2, 2), (1, 2), False),
        ((1, 1), (1, 1), False),
    ],
)
def test_a_stride_of_one_may_stand_for_the_usual_one(
    kernel: tuple[int, int], stride: tuple[int, int], changed: bool
) -> None:
    before = program(p=pool(kernel, stride), q=pool((2, 2), (2, 2)), s=Scale(np.ones(1)))
    after = _with_pool_strides(before)
    assert (after is not None) == changed
    reports: Any = Reports()
    _report_strides(before, after or before, reports)
    found = [(f.where, f.stride, f.usual) for f in reports.found]
    assert found == ([("nodes/p/stride", (1, 1), kernel)] if changed else [])


# Subgraphs, delays and steps.


def test_a_subgraph_without_a_clear_port_is_named_by_its_path() -> None:
    inner = program(one=Input((1,)), two=Input((1,)))
    middle = program(deep=Subgraph(inner))
    nodes = {
        "in": LayerNode(Input((1,)), ("nodes/in",)),
        "sub": LayerNode(Subgraph(middle), ("nodes/sub",)),
    }
    outer = Program.of(Form.LAYERS, nodes, [("in", "sub", ((), ("deep",)))])
    log = Log()
    with pytest.raises(Exception, match=r"sub\.deep"):
        FlattenNesting().run(outer, log)


def one_edge(delay_s: float = 0.0, onset_s: float | None = None) -> Program:
    biases = () if onset_s is None else (Bias(np.ones(1), onset_s),)
    p = Projection((Dense(np.ones((1, 1))),), delay_s=delay_s, biases=biases, origins=("nodes/w",))
    lif = Continuous("LIF", tau_mem_s=np.ones(1), r=np.ones(1))
    nodes = {
        "in": Source((1,), ("nodes/in",)),
        "a": Population((1,), lif, ("nodes/a",)),
        "t": Population((1,), Continuous("Threshold"), ("nodes/t",)),
    }
    return Program.of(Form.CONTINUOUS, nodes, [("in", "a", p)])


@pytest.mark.parametrize(
    ("delay_s", "onset_s", "found"),
    [(0.0, None, False), (1e-3, None, True), (0.0, 0.0, False), (0.0, 1e-3, True)],
)
def test_delays_of_signals_and_of_constants_need_a_time_step(
    delay_s: float, onset_s: float | None, found: bool
) -> None:
    model = one_edge(delay_s, onset_s)
    assert _delays(model) == (["nodes/w"] if found else [])
    assert _needs_dt(model) == ["nodes/a", *_delays(model)]


@pytest.mark.parametrize(
    ("kind", "fields", "timed"),
    [
        ("LIF", {"tau_mem_s": 1.0, "r": 1.0}, True),
        ("CubaLIF", {"tau_mem_s": 1.0, "tau_syn_s": 1.0}, True),
        ("CubaLI", {"tau_syn_s": 1.0}, True),
        ("Threshold", {}, False),
        ("IF", {"r": 1.0}, False),
        ("IF", {"r": 1e4}, True),
        ("I", {"r": 1.0}, False),
    ],
)
def test_time_constants_and_gains_per_second_need_a_time_step(
    kind: Any, fields: dict[str, float], timed: bool
) -> None:
    assert _is_timed(Continuous(kind, **{k: np.full(1, v) for k, v in fields.items()})) == timed


@pytest.mark.parametrize(
    ("exact", "steps", "reported"),
    [(0.0, 0, False), (3.0, 3, False), (3.0009, 3, False), (3.0011, 3, True), (2.9989, 3, True)],
)
def test_a_delay_is_the_nearest_number_of_steps(exact: float, steps: int, reported: bool) -> None:
    reports: Any = Reports()
    assert _steps(exact * 1e-4, 1e-4, "nodes/d", reports) == steps
    assert len(reports.found) == reported
    for found in reports.found:
        assert (found.where, found.steps) == ("nodes/d", steps)
        assert found.exact_steps == pytest.approx(exact)
        assert found.delay_s == pytest.approx(exact * 1e-4)


def test_the_largest_magnitude_of_numbers_and_arrays_is_found() -> None:
    assert _largest([np.array([1.0, -7.0]), 3.0, "name", None, np.zeros(0), 9]) == 7
    assert _largest([]) == 0 and _largest([np.zeros((0, 3))]) == 0
    assert np.isnan(_largest([np.array([1.0, np.nan]), 3.0])) and _largest([-np.inf]) == np.inf


def test_numbers_that_are_too_large_are_reported_where_they_are_written() -> None:
    one = np.ones(1)

    def found(*weights: float, bias: float = 0.0, decay: float = 1.0, origin: bool = True) -> Any:
        ops = tuple(Dense(np.full((1, 1), w)) for w in weights)
        origins = ("nodes/w",) if origin else ()
        p = Projection(ops, biases=(Bias(bias * one),), origins=origins)
        a = Population((1,), Discrete(decay * one, one, one), ("nodes/a",))
        reports: Any = Reports()
        _refuse_overflow({"in": Source((1,), ("in",)), "a": a}, [("in", "a", p)], reports)
        return reports.found

    assert not found(MAX_VALUE) and not found(1e50, 9e49) and not found(1.0, bias=MAX_VALUE)
    (product,) = found(1e50, 1.1e50)
    problem = "parameters, or their product along linear layers, are too large to compute with"
    assert isinstance(product, ValueOutsideDomain)
    assert vars(product) == {
        "where": "nodes/w",
        "problem": problem,
        **{"found": "1.1e+100", "limit": "1e+100", "help": "check the training run or the export"},
    }
    assert [f.where for f in found(2.0, bias=1.1e100, origin=False)] == ["edges/in/a"]
    assert [f.where for f in found(1.0, decay=1.1e100)] == ["nodes/a"]
    assert [f.found for f in found(np.nan)] == ["nan"]


# Rules.

FIRE = Fire(">")


@pytest.mark.parametrize(
    ("rest", "at_once"),
    [
        ([SUBTRACT, Decay("v"), Add("x", "v")], True),
        ([Decay("i"), SUBTRACT, Decay("v"), Add("i", "v")], True),
        ([SUBTRACT, BOUND], True),
        ([Decay("v"), SUBTRACT, Add("x", "v")], False),
        ([Add("x", "v"), SUBTRACT], False),
        ([Add("i", "v"), SUBTRACT], False),
        ([BOUND, SUBTRACT], False),
        ([SUBTRACT, SUBTRACT, Decay("v")], False),
        ([Decay("v"), Add("x", "v")], False),
        ([SUBTRACT, Decay("v"), FIRE], False),
        ([Add("x", "i"), SUBTRACT, Add("i", "v")], True),
    ],
)
def test_a_subtraction_acts_at_once_before_the_membrane_changes(
    rest: list[Operation], at_once: bool
) -> None:
    assert _resets_at_once(rest) == at_once


@pytest.mark.parametrize(
    ("start", "threshold", "fires"),
    [
        (None, [1.0, 2.0], False),
        (None, [1.0, 0.0], True),
        ([0.5, 2.0], [1.0, 2.0], True),
        ([0.5, 1.9], [1.0, 2.0], False),
        ([9.0, 9.0], None, False),
    ],
)
def test_a_neuron_may_be_at_its_threshold_before_the_first_step(
    start: Any, threshold: Any, fires: bool
) -> None:
    arrays = [None if each is None else np.array(each) for each in (start, threshold)]
    d: Any = SimpleNamespace(decay_mem=np.ones(2), v_start=arrays[0], threshold=arrays[1])
    assert _fires_at_start(d) == fires


def test_a_program_without_neurons_has_no_place_of_its_own() -> None:
    log = Log()
    refuse_without_neurons(one_edge(), log)
    assert not log.diagnostics
    refuse_without_neurons(Program.of(Form.DISCRETE, {"in": Source((1,), ("in",))}, ()), log)
    assert [(d.code, d.where) for d in log.diagnostics] == [("P311", "nodes")]
