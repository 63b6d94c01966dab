"""Parts of the way to stock neurons, each at its edge: filters, constants, kernels, lists."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from nirc.backends.loihi2 import emulate as emulator
from nirc.backends.loihi2 import legalise
from nirc.backends.loihi2.emulate import _Convolution
from nirc.backends.loihi2.kernels import geometry_of, one_operator
from nirc.backends.loihi2.legalise import _constants, _one_filter, _one_operator_each, _taps
from nirc.backends.loihi2.tables import Geometry
from nirc.diagnostics.errors import CompileError
from nirc.diagnostics.log import Log
from nirc.ir.linear import Conv, Dense
from nirc.ir.populations import Discrete, Population, Projection, Source
from nirc.ir.program import Form, Program

ONE = np.ones(2)


def both(value: float | list[float]) -> Any:
    return np.broadcast_to(np.asarray(value, float), 2).copy()


def receptors(first: Any, second: Any, gains: tuple[Any, Any] = (1.0, 1.0)) -> Discrete:
    return Discrete(
        both(0.5),
        both(3.0),
        both(0.0),
        threshold=ONE,
        decay_syn=None if first is None else both(first),
        gain_syn=None if first is None else both(gains[0]),
        decay_syn_2=None if second is None else both(second),
        gain_syn_2=None if second is None else both(gains[1]),
    )


def filtered(d: Discrete) -> tuple[Discrete, list[Any]]:
    return _one_filter("p", Population((2,), d, ("nodes/p",)), Log())


def test_the_slower_of_two_filters_stays() -> None:
    """What of a spike goes through the faster one arrives as 1, then as its echo's difference."""
    for first, second, main in ((0.75, 0.25, 0), (0.25, 0.75, 1)):
        kept, both_ = filtered(receptors(first, second, (2.0, 5.0)))
        assert kept.decay_syn is not None and kept.decay_syn.tolist() == [0.75, 0.75]
        assert kept.decay_syn_2 is None and kept.gain_syn_2 is None
        assert kept.gain_mem.tolist() == [1, 1]
        assert [r.gain.tolist() for r in both_] == [[6, 6], [15, 15]]
        assert both_[main].taps == (1.0,)
        taps = both_[1 - main].taps
        assert taps[:3] == (1.0, 0.25 - 0.75, 0.25 * (0.25 - 0.75))
        assert len(taps) == 8 and not any(r.unfiltered for r in both_)


def test_filters_that_are_equal_need_no_delays_though_neurons_differ() -> None:
    kept, both_ = filtered(receptors([0.75, 0.5], [0.75, 0.5]))
    assert kept.decay_syn is not None and kept.decay_syn.tolist() == [0.75, 0.5]
    assert [r.taps for r in both_] == [(1.0,), (1.0,)]


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        ([0.75, 0.5], 0.25, "which differ from neuron to neuron"),
        (0.75, [0.25, 0.5], "which differ from neuron to neuron"),
        (0.99, 0.98, "the faster of which is too slow"),
    ],
)
def test_two_filters_that_delays_cannot_join_are_refused(
    first: Any, second: Any, reason: str
) -> None:
    with pytest.raises(CompileError) as refusal:
        filtered(receptors(first, second))
    (error,) = refusal.value.diagnostics
    assert (error.code, error.where) == ("L812", "nodes/p")
    assert error.message == f"`p` has two synaptic filters, {reason}"


def test_a_receptor_without_memory_is_one_of_two_or_all_there_is() -> None:
    kept, both_ = filtered(receptors(0.0, 0.5))
    assert [r.unfiltered for r in both_] == [True, False] and kept.decay_syn is not None
    kept, both_ = filtered(receptors(0.0, None))
    assert both_[0].unfiltered and kept.decay_syn is not None and not kept.decay_syn.any()
    kept, both_ = filtered(receptors(None, None))
    assert kept.decay_syn is None and kept.gain_syn is None
    assert [r.gain.tolist() for r in both_] == [[3, 3], [3, 3]]
    kept, _ = filtered(receptors(0.0, 0.0))
    assert kept.decay_syn is None


def test_an_echo_is_followed_until_little_is_left_of_it() -> None:
    assert _taps(0.5, 0.0) == (1.0, -0.5)
    assert _taps(0.5, 0.5) == (1.0,)
    taps = _taps(0.75, 0.5)
    assert taps == (1.0, *(-0.25 * 0.5**k for k in range(13)))  # the last is 2^-14
    assert len(_taps(0.99, 0.98)) == legalise.MOST_TAPS


def of_one_spike(ops: tuple[Any, ...]) -> np.ndarray:
    """Return what operators make of a spike of the clock."""
    signal = np.ones((1, 1))
    for op in ops:
        signal = op.apply(signal)
    return signal.ravel()


def behind(d: Discrete, before: int = 1) -> Program:
    """A population behind others, which make it late."""
    nodes: dict[str, Any] = {"in": Source((2,), ("nodes/in",))}
    edges, last = [], "in"
    plain = Discrete(both(0.5), both(1.0), both(0.0), threshold=ONE)
    for i in range(before):
        nodes[f"b{i}"] = Population((2,), plain, (f"nodes/b{i}",))
        edges.append((last, f"b{i}", Projection(ops=(Dense(np.eye(2)),))))
        last = f"b{i}"
    nodes["p"] = Population((2,), d, ("nodes/p",))
    edges.append((last, "p", Projection(ops=(Dense(np.eye(2)),))))
    return Program.of(Form.DISCRETE, nodes, edges)


@pytest.mark.parametrize(
    ("decay", "reset", "filter_", "shift", "delays"),
    [
        (0.5, [0.0, 0.0], None, [0, 0], [0]),
        (0.5, [0.25, -0.5], None, [0.125, -0.25], [0]),
        (1.0, [0.25, -0.5], None, [0, 0], [0]),
        (0.5, [0.25, -0.5], 0.75, [0.125, -0.25], [0, 1]),
    ],
)
def test_a_constant_that_no_start_makes_up_for_comes_from_the_clock(
    decay: float, reset: list[float], filter_: float | None, shift: list[float], delays: list[int]
) -> None:
    """What holds the membrane at its reset stays. Behind a filter, the filter's part is undone."""
    drift = both([90.0, 0.5])
    d = Discrete(both(decay), both(1.0), drift, threshold=ONE, v_reset=both(reset))
    if filter_ is not None:
        d = replace(d, decay_syn=both(filter_), gain_syn=ONE, rule=d.rule.with_synapse())
    made = _constants(behind(d))
    assert made["p"].dynamics.drift.tolist() == shift
    arcs = [(p.ops, p.delay_steps) for s, p in made.into("p") if s == "always"]
    assert [delay for _, delay in arcs] == delays
    weights = [of_one_spike(ops) for ops, _ in arcs]
    assert weights[0].tolist() == (drift - shift).tolist()
    if filter_ is not None:
        assert weights[1].tolist() == (-filter_ * (drift - shift)).tolist()
    for harmless in (replace(d, drift=both(0.01)), replace(d, threshold=both(1e6))):
        kept = _constants(behind(harmless))
        assert "always" not in kept.graph and kept["p"].dynamics.drift is harmless.drift


def test_a_list_that_would_be_too_long_is_refused_at_its_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(legalise, "one_operator", lambda ops, n: None)
    program = behind(Discrete(both(0.5), both(1.0), both(0.0), threshold=ONE))
    edges = [(s, t, replace(p, origins=("nodes/w", "nodes/x"))) for s, t, p in program.edges()]
    placed = program.rebuilt(dict(program.graph.nodes(data="payload")), edges)
    for each, where in ((program, ["nodes/b0", "nodes/p"]), (placed, ["nodes/w"])):
        with pytest.raises(CompileError) as refusal:
            _one_operator_each(each, Log())
        found = refusal.value.diagnostics
        assert [d.where for d in found] == where and {d.code for d in found} == {"P307"}
        assert "120 million synapses" in found[0].help


# Kernels.


def kernel(
    shape: tuple[int, int, int] = (1, 200, 200),
    size: tuple[int, int] = (1, 1),
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int] = (0, 0),
    dilation: tuple[int, int] = (1, 1),
    groups: int = 1,
) -> Conv:
    channels, *sides = shape
    out = [
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(sides, size, stride, padding, dilation, strict=True)
    ]
    weight = np.ones((groups, channels // groups, *size))
    pads = tuple((p, p) for p in padding)
    return Conv(weight, shape, (groups, *out), stride, pads, dilation, groups)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize(
    ("field", "most"), [("size", 127), ("stride", 127), ("dilation", 127), ("padding", 28)]
)
def test_a_geometry_is_held_in_bytes_and_maps_of_256(field: str, most: int, axis: int) -> None:
    """Padding by 28 makes a map of 200 to one of 256, which is the most."""
    for value in (most, most + 1):
        numbers = [0, 0] if field == "padding" else [1, 1]
        numbers[axis] = value
        given: dict[str, Any] = {field: tuple(numbers)}
        assert (geometry_of(kernel(**given)) is not None) == (value == most)


def test_a_padding_of_127_is_the_most() -> None:
    for axis in (0, 1):
        for value in (127, 128):
            padding, size, shape = [0, 0], [1, 1], [1, 50, 50]
            padding[axis], size[axis], shape[1 + axis] = value, 127, 100
            found = geometry_of(kernel(tuple(shape), tuple(size), padding=tuple(padding)))
            assert (found is not None) == (value == 127)


def test_maps_and_groups_have_a_most() -> None:
    for shape, sound in (((1, 256, 1), True), ((1, 257, 1), False), ((1, 1, 257), False)):
        assert (geometry_of(kernel(shape)) is not None) == sound
    for groups, sound in ((127, True), (128, False)):
        assert (geometry_of(kernel((groups, 2, 2), groups=groups)) is not None) == sound
    uneven = replace(kernel((1, 4, 4), (2, 2), padding=(1, 1)), padding=((1, 1), (1, 0)))
    assert geometry_of(uneven) is None


def test_a_padding_on_one_side_keeps_groups_and_becomes_zeros_of_the_kernel() -> None:
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(4, 1, 2, 2))
    op = Conv(weight, (2, 4, 4), (4, 4, 4), (1, 1), ((1, 0), (0, 1)), (1, 1), 2)
    made = one_operator((op,), 32)
    assert isinstance(made, Conv) and made.groups == 2
    assert made.padding == ((1, 1), (1, 1)) and made.weight.shape == (4, 1, 3, 3)
    x = rng.normal(size=(3, 32))
    np.testing.assert_allclose(made.apply(x), op.apply(x))


def test_windows_of_many_samples_are_taken_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many samples at once as an eighth of the values has room for."""
    geometry = Geometry((2, 4, 3), (2, 3, 2), groups=2)
    weights = np.arange(8).reshape(2, 1, 2, 2) * 2 - 6
    spikes = np.random.default_rng(0).random((7, 24)) < 0.5
    whole = _Convolution(weights, geometry).sums(spikes)
    seen: list[int] = []
    windows = emulator.windows
    monkeypatch.setattr(
        emulator, "windows", lambda x, *rest: seen.append(len(x)) or windows(x, *rest)
    )
    values = 6 * 8  # six places, four taps of each group
    room = 8 * 3 * values
    for most, parts in ((room, [3, 3, 1]), (room - 8, [2, 2, 2, 1]), (1, [1] * 7)):
        monkeypatch.setattr(emulator, "MAX_VALUES", most)
        seen.clear()
        assert _Convolution(weights, geometry).sums(spikes).tolist() == whole.tolist()
        assert seen == parts
