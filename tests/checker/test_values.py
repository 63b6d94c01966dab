"""The checker reads values, lists and nodes with suspicion. Its kernels are those of the field."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nirc.checker import network, values
from nirc.checker.compare import joined
from nirc.checker.kernels import conv2d, windows
from nirc.checker.network import OPERATORS, linear
from nirc.checker.pools import pooled, sum_pool2d
from nirc.checker.values import Finding, demand, fit, in_full, parsed

FITS: list[tuple[Any, Any]] = [
    ((0, 3), 0),
    ((0, 3), 3),
    ((-2, 3, 1), [-2, 3]),
    ((0, 3, 2), [[1, 2], [3, 0]]),
    ((0, 3, 1), []),
    ([int, ...], [1, 2, 3]),
    ([int, ...], []),
    ([1, "a"], [1, "a"]),
    ({"a": int}, {"a": 1}),
    ({"a": int, ...: str}, {"a": 1, "b": "x"}),
    ({"a": int, ...: str}, {"a": 1}),
    ({1, 2}, 2),
    ({"a", 3}, "a"),
    (object, None),
    (None, None),
    (False, False),
    (1.0, 1.0),
    (str, "x"),
]
MISFITS: list[tuple[Any, Any]] = [
    ((0, 3), -1),
    ((0, 3), 4),
    ((0, 3), True),
    ((0, 3), 1.0),
    ((0, 3), [1]),
    ((0, 3, 1), 1),
    ((0, 3, 1), [4]),
    ((0, 3, 1), [-1, 0]),
    ((0, 3, 1), [True]),
    ((0, 3, 2), [[1], [2, 3]]),
    ((0, 3, 2), [1, 2]),
    ((0, 3, 2), [[1], 2]),
    ([int, ...], [1, "a"]),
    ([int, ...], {"a": 1}),
    ([1, 2], [1]),
    ([1, 2], [1, 2, 3]),
    ([1, 2], [2, 1]),
    ({"a": int}, {"a": "x"}),
    ({"a": int}, {}),
    ({"a": int}, {"a": 1, "b": 1}),
    ({"a": int, ...: str}, {"b": "x"}),
    ({"a": int, ...: str}, {"a": 1, "b": 1}),
    ({1, 2}, 3),
    ({1, 2}, 1.0),
    ({1, 2}, True),
    (str, 1),
    (1, True),
    (1, 1.0),
    (True, 1),
    (None, 0),
]


@pytest.mark.parametrize(("pattern", "value"), FITS)
def test_a_value_fits_its_pattern(pattern: Any, value: Any) -> None:
    found = fit("f", value, pattern)
    assert np.array_equal(found, value)
    assert isinstance(found, np.ndarray) == (type(pattern) is tuple and len(pattern) == 3)


@pytest.mark.parametrize(("pattern", "value"), MISFITS)
def test_a_value_that_does_not_fit_is_named(pattern: Any, value: Any) -> None:
    with pytest.raises(Finding) as found:
        fit("f", {"a": [value]}, {"a": [pattern]})
    assert (found.value.kind, found.value.file) == ("unreadable", "f")
    assert found.value.place.startswith("a[0]")


def test_a_finding_is_a_line_of_printable_text() -> None:
    named = Finding("network", "f", "a\x1b", "it differs", "\u202e", 2)
    assert str(named) == r"f: a\x1b: it differs, found \u202e, expected 2"
    assert (
        Finding("network", "f", "a", "it differs", ["it's", 'a "b"']).found
        == """["it's", 'a "b"']"""
    )
    assert str(Finding("network", "f", "a", "it differs", 1)) == "f: a: it differs, found 1"
    assert str(Finding("network", "f", "a", "it differs")) == "f: a: it differs"
    assert len(Finding("network", "f", "a" * 500, "it differs").place) == 400
    demand(1, "f", "a", "never")
    with pytest.raises(Finding) as found:
        demand(np.bool_(False), "f", "a", "it differs", kind="route")
    assert found.value.kind == "route"


@given(st.lists(st.integers(-5, 5)), st.integers(-3, 3), st.integers(1, 9), st.integers(-4, 4))
def test_runs_are_lists_in_full(before: list[int], first: int, count: int, step: int) -> None:
    found = in_full("f", [*before, [first, count, step], None], "p")
    assert found == [*before, *(first + i * step for i in range(count)), None]


@pytest.mark.parametrize("run", [[0, 0, 1], [0, 1], [0, 2.0, 1], [None, 2, 1], [0, 2, True]])
def test_odd_runs_are_refused(run: list[Any]) -> None:
    with pytest.raises(Finding):
        in_full("f", [run], "p")


def test_a_list_in_full_has_a_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(values, "MOST", 10)
    assert in_full("f", [[None, 4, 0], [1, 6, 1]], "p")[-1] == 6
    for row in ([[None, 4, 0], [1, 7, 1]], [[11, 2, 1]], [[-11, 2, 1]], [[0, 2, 11]]):
        with pytest.raises(Finding):
            in_full("f", row, "p")


def test_json_has_each_name_once() -> None:
    assert parsed("f", b'{"a": 1}', object) == {"a": 1}
    for text in (b'{"a": 1, "a": 1}', b"{", b"\xff", b"[" * 100_000):
        with pytest.raises(Finding):
            parsed("f", text, object)


def test_integers_keep_the_lengths_of_their_lists() -> None:
    assert fit("f", [[], []], (0, 1, 2)).shape == (2, 0)
    assert fit("f", [], (0, 1, 2)).shape == (0,)
    assert fit("f", [[1, 0]], (0, 1, 2)).dtype == np.int64


def matrix(synapses: Any, n_out: int, n_in: int) -> Any:
    """Return the synapses as a matrix."""
    to, frm, weight = synapses
    dense = np.zeros((n_out, n_in))
    np.add.at(dense, (to, frm), weight)
    return dense


@given(st.integers(0, 2**32 - 1))
def test_windows_are_those_of_a_convolution(seed: int) -> None:
    """Every pixel of the output, every tap, one by one."""
    rng = np.random.default_rng(seed)
    out, into, ky, kx, sy, sx, dy, dx = rng.integers(1, 4, 8).tolist()
    high, wide = rng.integers(3, 8, 2).tolist()
    pads = rng.integers(0, 3, 4).tolist()  # above, left, below, right
    weight = rng.integers(-1, 2, (out, into, ky, kx))
    found = windows(weight != 0, (into, high, wide), [sy, sx], pads, [dy, dx])
    sides = [
        max(0, (high + pads[0] + pads[2] - dy * (ky - 1) - 1) // sy + 1),
        max(0, (wide + pads[1] + pads[3] - dx * (kx - 1) - 1) // sx + 1),
    ]
    wanted = np.zeros((out, *sides, into, high, wide))
    for o, y, x, i, a, b in np.ndindex(out, *sides, into, ky, kx):
        at = y * sy - pads[0] + a * dy, x * sx - pads[1] + b * dx
        if 0 <= at[0] < high and 0 <= at[1] < wide:
            wanted[o, y, x, i, at[0], at[1]] += weight[o, i, a, b]
    shape, to, frm, tap = found
    assert shape == (out, *sides)
    dense = matrix(
        (to, frm, weight[weight != 0][tap]), wanted[..., 0, 0, 0].size, into * high * wide
    )
    assert np.array_equal(dense, wanted.reshape(dense.shape))


TWO, ONE = np.full(2, 2), np.ones(2, int)
KERNEL = np.ones((3, 2, 2, 2))
CONV: dict[str, Any] = {
    "weight": KERNEL,
    "bias": np.zeros(3),
    "stride": TWO,
    "padding": ONE,
    "dilation": ONE,
    "groups": np.array(1),
    "input_shape": np.array([4, 6]),
}


def flattened(start: int, end: int, shape: list[int]) -> Any:
    """Return what is behind a Flatten of 2 x 3 values."""
    fields = {"start_dim": np.array(start), "end_dim": np.array(end), "input_type": np.array(shape)}
    return OPERATORS["Flatten"]((2, 3), **fields)


def test_nodes_of_a_network_have_the_shapes_that_arrive() -> None:
    fits, behind, _, to, weight = conv2d((2, 4, 6), **CONV)
    assert fits and behind == (3, 3, 4) and set(weight) == {1.0} and to.max() == 35
    fits, behind, rows = sum_pool2d((2, 4, 6), TWO, TWO, 0 * ONE)
    assert fits and behind == (2, 2, 3)
    assert rows[0].tolist() == [0, 1, 6, 7] and rows[11].tolist() == [40, 41, 46, 47]
    _, _, source, to, weight = OPERATORS["Scale"]((2,), np.array([2, -3]))
    assert matrix((to, source, weight), 2, 2).tolist() == [[2, 0], [0, -3]]
    assert flattened(-2, -1, [2, 3]) == (True, (6,), ...)
    assert OPERATORS["Delay"]((2,), np.ones(2)) == (True, (2,), ...)


def test_windows_side_by_side_leave_out_what_is_left_over() -> None:
    rows = pooled(np.arange(2 * 3 * 5).reshape(2, 3, 5), 3, 2)
    assert rows.shape == (2, 1, 2, 6)
    assert rows[1, 0, 1].tolist() == [17, 18, 22, 23, 27, 28]


@pytest.mark.parametrize(
    "change",
    [
        {"stride": ONE},
        {"padding": ONE},
        {"kernel_size": np.array([2, 1])},
    ],
)
def test_odd_pools_are_refused(change: dict[str, Any]) -> None:
    plain = {"kernel_size": TWO, "stride": TWO, "padding": 0 * ONE}
    assert sum_pool2d((2, 4, 6), **plain)[0]
    assert not sum_pool2d((2, 4, 6), **{**plain, **change})[0]


@pytest.mark.parametrize(
    "change",
    [
        {"bias": np.ones(3)},
        {"bias": np.zeros(2)},
        {"groups": np.array(2)},
        {"input_shape": np.array([4, 5])},
        {"stride": 0 * ONE},
        {"dilation": 0 * ONE},
        {"padding": -ONE},
        {"stride": np.ones(3, int)},
        {"padding": np.ones(3, int)},
        {"dilation": np.ones(3, int)},
        {"weight": np.ones((3, 1, 2, 2))},
        {"weight": np.ones((3, 2, 2))},
        {"weight": np.ones((3, 2, 0, 2))},
    ],
)
def test_odd_convolutions_are_refused(change: dict[str, Any]) -> None:
    assert not conv2d((2, 4, 6), **{**CONV, **change})[0]


def test_nodes_that_do_not_fit_are_refused() -> None:
    odd = [
        linear((3,), np.ones((2, 4))),
        OPERATORS["Scale"]((3,), np.ones(2)),
        flattened(-1, -1, [2, 3]),
        flattened(-2, 0, [2, 3]),
        flattened(-2, -1, [3, 2]),
        OPERATORS["Delay"]((2,), np.array([1.0, 2.0])),
        OPERATORS["Delay"]((2,), np.ones(3)),
    ]
    assert not any(fits for fits, *_ in odd)


LIF = {"type": "LIF", "tau": TWO, "r": ONE, "v_leak": ONE, "v_threshold": ONE, "v_reset": ONE}


def test_a_population_has_the_fields_of_its_type() -> None:
    notes = {"metadata/rule": np.array("fire"), "metadata/scale": np.array([4]), "metadata/x": ONE}
    found = network.population("n", {**LIF, **notes})
    assert set(found) == {*LIF, "rule", "scale", "x"} - {"type"}
    assert found["rule"].tolist() == ["fire"] * 2 and found["scale"].tolist() == [4, 4]
    assert found["tau"].tolist() == [2, 2]
    one = {"v_reset": np.ones(3)}, {"more": ONE}, {"metadata/x": np.ones(3)}, {"tau": np.ones(1)}
    for change in one:
        with pytest.raises(Finding):
            network.population("n", {**LIF, **notes, **change})
    with pytest.raises(Finding):
        network.population("n", {**{k: v for k, v in LIF.items() if k != "tau"}, **notes})


def whole(**change: Any) -> dict[str, Any]:
    """Return the datasets of a network of two inputs and two neurons, by path."""
    w = {"type": np.array("Linear"), "weight": np.eye(2), "metadata/receptor": 0}
    nodes = {
        "in": {"type": np.array("Input"), "shape": np.array([2])},
        "w": {**w, "metadata/feedback": 1},
        "d": {"type": np.array("Delay"), "delay": np.full(2, 3.0)},
        "n": {**LIF, "type": np.array("LIF"), "metadata/rule": np.array("fire")},
        "late": {"type": np.array("Delay"), "delay": np.full(2, 2.0)},
        "out": {"type": np.array("Output"), "shape": np.array([2])},
    }
    paths = {f"node/nodes/{n}/{key}": v for n, node in nodes.items() for key, v in node.items()}
    edges = [("in", "w"), ("w", "d"), ("d", "n"), ("n", "late"), ("late", "out")]
    head = {"node/type": "NIRGraph", "version": "1.0.8", "node/metadata/nirc_units": "chip"}
    made = {**paths, **head, "node/edges": np.array(edges)}
    return {path: value for path, value in {**made, **change}.items() if value is not None}


def read(**change: Any) -> network.Network:
    """Return the network of these datasets, with a step of 1."""
    return network.Network(whole(**change), ["in"], 1.0)


def test_a_network_is_read_with_its_delays() -> None:
    found = read()
    assert (found.inputs, found.ends) == ({"in": (2,)}, {"out": ("n", 2)})
    assert found.first == {"in": 0, "n": 2}
    source, target, receptor, lag, weight = found.synapses[0]
    assert (receptor, lag) == (0, 4)
    assert [source.tolist(), target.tolist(), weight.tolist()] == [[0, 1], [2, 3], [1, 1]]


def test_pixels_of_a_pool_share_the_weights_behind_it() -> None:
    """A map of 2 x 2 pixels, whose sum goes through a matrix."""
    pool = {"type": np.array("SumPool2d"), "kernel_size": TWO, "stride": TWO, "padding": 0 * ONE}
    axes = {"start_dim": np.array(-3), "end_dim": np.array(-1), "input_type": np.ones(3, int)}
    nodes = {"p": pool, "f": {"type": np.array("Flatten"), **axes}}
    paths = {f"node/nodes/{n}/{key}": v for n, node in nodes.items() for key, v in node.items()}
    edges = [("in", "p"), ("p", "f"), ("f", "w"), ("w", "n"), ("n", "late"), ("late", "out")]
    change = {"node/nodes/in/shape": np.array([1, 2, 2]), "node/nodes/w/weight": np.ones((2, 1))}
    change |= {"node/nodes/d/type": None, "node/nodes/d/delay": None}
    found = read(**paths, **change, **{"node/edges": np.array(edges)})
    source, target, *_ = joined(found.synapses)
    assert sorted(zip(source.tolist(), target.tolist(), strict=True)) == [
        (pixel, neuron) for pixel in range(4) for neuron in (4, 5)
    ]
    edges[:4] = [("in", "w"), ("w", "p"), ("p", "f"), ("f", "n")]  # no pool behind weights
    with pytest.raises(Finding):
        read(**paths, **change, **{"node/edges": np.array(edges)})


COLUMNS = {"target": [2, 3], "source": [0, 3], "weight": [5, 6], "receptor": [0, 1], "lag": [4, 1]}


def test_a_list_numbers_the_neurons_of_all_nodes() -> None:
    """Neurons 0 and 1 are the inputs, 2 and 3 the population."""
    lists = {f"node/metadata/synapses_{k}": np.array(v) for k, v in COLUMNS.items()}
    columns = [column.tolist() for column in read(**lists).synapses[1]]
    assert columns == [[0, 3], [2, 3], [0, 1], [4, 1], [5, 6]]


def test_a_list_has_all_of_its_columns() -> None:
    for missing in COLUMNS:
        rest = {k: v for k, v in COLUMNS.items() if k != missing}
        lists = {f"node/metadata/synapses_{k}": np.array(v) for k, v in rest.items()}
        with pytest.raises(Finding, match="a list lacks a column"):
            read(**lists)


def test_inputs_are_those_that_the_certificate_names() -> None:
    for inputs in ([], ["in", "in"], ["out"], ["n"]):
        with pytest.raises(Finding, match="inputs: other names"):
            network.Network(whole(), inputs, 1.0)


@pytest.mark.parametrize("shape", [(1 << 44,), (1 << 40, 1 << 40)])
def test_a_shape_alone_takes_no_memory(shape: tuple[int, ...]) -> None:
    """An Input has no arrays: a file of a few bytes may say that it has any number of neurons."""
    with pytest.raises(Finding, match="more neurons than fit"):
        read(**{"node/nodes/in/shape": np.array(shape)})


@pytest.mark.parametrize(
    "change",
    [
        {"version": "1.0.7"},
        {"node/type": "LIF"},
        {"node/metadata/nirc_units": "volt"},
        {"node/nodes/w/metadata/feedback": 2},
        {"node/nodes/w/metadata/receptor": None},
        {"node/nodes/w/type": np.array("Affine")},
        {"node/nodes/d/delay": np.full(2, 2.5)},
        {"node/nodes/w/weight": np.ones((3, 2))},
        {"node/nodes/in/more": np.ones(1)},
        {"node/nodes/late/metadata/receptor": 0},
        {"node/nodes/lost/type": np.array("Delay"), "node/nodes/lost/delay": np.ones(2)},
        {"node/edges": np.array([("in", "w"), ("w", "n"), ("n", "d"), ("d", "out")])},
    ],
)
def test_a_network_with_odd_nodes_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises((Finding, LookupError)):
        read(**change)


def test_a_step_of_a_network_is_named_unless_it_is_one() -> None:
    half, one = ({"node/metadata/dt": step} for step in (0.5, 1.0))
    assert network.Network(whole(**half), ["in"], 0.5).synapses[0][3] == 7
    with pytest.raises(Finding):
        network.Network(whole(), ["in"], 0.5)
    with pytest.raises(Finding):
        read(**half)
    assert read(**one).first == read().first
