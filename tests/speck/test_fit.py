"""The parts of fitting, each alone: limits, the camera's window, the clock, what is reported."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nirc.backends.speck import fit
from nirc.backends.speck.config import MAX_RASTER
from nirc.backends.speck.configuration import Dvs
from nirc.backends.speck.demand import Demand, PlaceProblem
from nirc.backends.speck.limits import VARIANTS
from nirc.backends.speck.network import Arrow, Layer, Network
from nirc.backends.speck.place import Part, Placement
from nirc.chip.backend import Search
from nirc.diagnostics.log import Log
from nirc.ir.linear import Dense, LinearOp, sparse
from nirc.ir.populations import Discrete, Population, Projection, Sink, Source
from nirc.ir.program import Form, Program
from nirc.mapping import floorplan

TARGET = VARIANTS[0]
Map = tuple[int, int, int]


def layer(
    name: str,
    *sources: str,
    shape_in: Map = (1, 4, 4),
    shape_out: Map = (2, 4, 4),
    bias: int = 0,
    **fields: Any,
) -> Layer:
    """A layer with a kernel of one entry, and sources that are not pooled."""
    arrows = tuple(Arrow(source, shape_in, (1, 1), 0) for source in sources)
    kernel = np.ones((shape_out[0], shape_in[0], 1, 1), np.int64)
    biases = np.array([0] * (shape_out[0] - 1) + [bias])
    made = Layer(
        *(name, f"nodes/{name}", shape_in, shape_out, kernel, (1, 1), (0, 0), biases, arrows, 8.0)
    )
    return replace(made, **fields)


def network(*layers: Layer, inputs: dict[str, int] | None = None) -> Network:
    return Network(inputs or {"in": 16}, layers, (layers[-1].name,))


def sources(**shapes: tuple[int, ...]) -> Program:
    nodes = {name: Source(shape, (f"nodes/{name}",)) for name, shape in shapes.items()}
    return Program.of(Form.DISCRETE, nodes, ())


# A matrix alone.


def matrix(shape: tuple[int, ...], n_out: int, *ops: LinearOp, sink: bool = False) -> Program:
    """One weight from a source to a population, or ``ops`` instead."""
    one = np.ones(n_out)
    n_in = int(np.prod(shape))
    zero = np.zeros(1, np.int64)
    weight = sparse(zero, zero, np.ones(1), n_in, n_out)
    target: Any = Population((n_out,), Discrete(one, one, 0 * one, threshold=one), ("nodes/a",))
    if sink:
        target = Sink((n_out,), ("nodes/a",))
    nodes = {"in": Source(shape, ("nodes/in",)), "a": target}
    arriving = Projection(ops or (weight,), origins=("nodes/w",))
    return Program.of(Form.DISCRETE, nodes, [("in", "a", arriving)])


@pytest.mark.parametrize(
    ("program", "codes"),
    [
        (matrix((1024,), 272), []),
        (matrix((1024,), 273), ["S707"]),  # the cores hold 16 * 5 + 32 * 2 + 64 * 2 channels
        (matrix((1025,), 1), ["S705"]),
        (matrix((1025,), 273), ["S705", "S707"]),
        (matrix((2, 16, 32), 272), []),
        (matrix((2, 16, 32), 273), ["S707"]),
        (matrix((2, 1, 600), 1), []),  # a map: its pixels are entries of the kernel
        (matrix((2, 600, 1), 1), []),
        (matrix((1025,), 273, sink=True), []),
        (matrix((1025,), 273, Dense(np.ones((273, 1025)))), []),
    ],
)
def test_a_matrix_that_no_core_holds_is_refused_before_its_weights_are_read(
    program: Program, codes: list[str]
) -> None:
    log = Log()
    fit.report_matrices(program, TARGET, log)
    assert [(d.code, d.where) for d in log.diagnostics] == [(code, "nodes/a") for code in codes]
    for found in log.diagnostics:
        assert found.code != "S705" or (found.found, found.limit) == ("1025", "1024")
        held = "272" if program["in"].n == 1024 else "136"  # 1025 words: half as many channels fit
        assert found.code != "S707" or f"{held} of the 273" in found.message


def test_two_operators_are_no_matrix_alone() -> None:
    one = matrix((1025,), 273).into("a")[0][1].ops[0]
    log = Log()
    fit.report_matrices(matrix((1025,), 273, Dense(np.ones((1025, 1025))), one), TARGET, log)
    assert not log.diagnostics


# Limits.


def codes(log: Log) -> list[str]:
    return [d.code for d in log.diagnostics]


@pytest.mark.parametrize("stride", [(1, 2), (4, 8), (3, 1), (8, 5)])
def test_each_stride_must_be_one_of_the_chips(stride: tuple[int, int]) -> None:
    log = Log()
    fit._report_limits(network(layer("a", "in", stride=stride)), TARGET, log)
    assert codes(log) == (["S702"] if {3, 5} & {*stride} else [])
    assert all(d.where == "nodes/a" and d.found == str(stride) for d in log.diagnostics)


def test_a_raster_has_so_many_channels_at_most() -> None:
    for more, expected in ((0, []), (1, [("S704", str(MAX_RASTER + 1), str(MAX_RASTER))])):
        inputs = {"in": MAX_RASTER - 5, "other": 5 + more}
        log = Log()
        fit._report_limits(network(layer("a", "in"), inputs=inputs), TARGET, log)
        assert [(d.code, d.found, d.limit) for d in log.diagnostics] == expected


def test_each_limit_names_its_worst_layer_and_counts_the_others() -> None:
    wide = [layer(name, "in", shape_out=(1, 4, side)) for name, side in (("a", 65), ("b", 70))]
    log = Log()
    fit._report_limits(network(*wide, layer("c", "a")), TARGET, log)
    (found,) = log.diagnostics
    assert (found.code, found.where, found.found) == ("S704", "nodes/b", "70 (1 more above it)")


@pytest.mark.parametrize(
    ("shape_out", "refused"),
    [((57, 1, 1), False), ((61, 1, 1), True), ((1, 2, 1), True), ((1, 1, 2), True)],
)
def test_a_readout_is_one_pixel_of_15_classes_four_channels_apart(
    shape_out: Map, refused: bool
) -> None:
    program = Program.of(Form.DISCRETE, {"out": Sink((1,), ("nodes/out",))}, ())
    log = Log()
    fit._refuse_readout(network(layer("a", "in", shape_out=shape_out)), program, log)
    assert [(d.code, d.where) for d in log.diagnostics] == [("S719", "nodes/out")] * refused


def test_a_readout_of_two_outputs_is_refused() -> None:
    sinks = {name: Sink((1,), (f"nodes/{name}",)) for name in ("out", "other")}
    log = Log()
    net = network(layer("a", "in", shape_out=(1, 1, 1)))
    fit._refuse_readout(net, Program.of(Form.DISCRETE, sinks, ()), log)
    assert codes(log) == ["S719"]


# The camera.


def seen(shape: Map, *poolings: tuple[int, int], arrow_shape: Map | None = None) -> Network:
    arrows = tuple(Arrow("in", arrow_shape or shape, pooling, 0) for pooling in poolings)
    return network(layer("a", arrows=arrows))


@pytest.mark.parametrize(
    ("shape", "pool", "window"),
    [
        ((2, 128, 128), 1, Dvs((0, 0), (127, 127), 1, merge=False)),
        ((1, 20, 8), 2, Dvs((27, 30), (36, 33), 2, merge=True)),
        ((2, 30, 7), 4, Dvs((12, 15), (18, 15), 4, merge=False)),  # 7 x 1 of 32 x 32 pooled pixels
    ],
)
def test_the_window_lies_in_the_middle_of_the_camera(shape: Map, pool: int, window: Dvs) -> None:
    log = Log()
    one = seen(shape, (pool, pool), (pool, pool))
    assert fit._window(sources(**{"in": shape}), one, log) == window
    assert not log.diagnostics


@pytest.mark.parametrize(
    ("shape", "net"),
    [
        ((3, 8, 8), seen((3, 8, 8), (1, 1))),
        ((2, 129, 8), seen((2, 129, 8), (1, 1))),
        ((2, 8, 129), seen((2, 8, 129), (1, 1))),
        ((2, 8, 8), seen((2, 8, 8), (2, 1))),
        ((2, 8, 8), seen((2, 8, 8), (1, 1), arrow_shape=(128, 1, 1))),
        ((2, 8, 8), seen((2, 8, 8), (1, 1), (2, 2))),
        ((2, 8, 8), seen((2, 8, 8))),
    ],
)
def test_an_input_that_is_no_window_of_the_camera_is_refused(shape: Map, net: Network) -> None:
    log = Log()
    assert fit._window(sources(**{"in": shape}), net, log) is None
    assert [(d.code, d.where) for d in log.diagnostics] == [("S720", "nodes/in")]


def test_there_is_one_camera() -> None:
    log = Log()
    shape = (2, 8, 8)
    both = sources(**{"in": shape}, other=shape)
    assert fit._window(both, seen(shape, (1, 1)), log) is None
    assert [(d.code, d.where, d.found) for d in log.diagnostics] == [("S720", "inputs", "2 inputs")]


# The slow clock.


@pytest.mark.parametrize(
    ("dt_s", "clock_hz"),
    [(1e-3, 1000.0), (3e-3, 333.333), (1e-4, 10_000.0), (0.1, 10.0), (None, None)],
)
def test_the_clock_ticks_once_a_step(dt_s: float | None, clock_hz: float | None) -> None:
    log = Log()
    net = network(layer("a", "in"), layer("b", "a", bias=-3), layer("c", "a", bias=7))
    assert fit._clock_hz(net, dt_s, log, as_in_model=True) == clock_hz
    (found,) = log.diagnostics
    assert (found.code, found.where) == ("D415", "nodes/b")


@pytest.mark.parametrize("dt_s", [0.99e-4, 0.101])
def test_a_clock_beside_the_chips_range_is_refused(dt_s: float) -> None:
    log = Log()
    assert fit._clock_hz(network(layer("a", "in", bias=1)), dt_s, log, as_in_model=True) is None
    assert [(d.code, d.where) for d in log.diagnostics] == [("S718", "nodes/a")]


def test_without_biases_no_clock_ticks() -> None:
    log = Log()
    assert fit._clock_hz(network(layer("a", "in")), 1e-3, log, as_in_model=False) is None
    assert not log.diagnostics


# Placement.


def asked(
    monkeypatch: pytest.MonkeyPatch, net: Network, *, from_camera: bool, readout: bool
) -> PlaceProblem:
    """Return the problem that the placer gets, and see that the search's bounds reach it."""
    problems: list[PlaceProblem] = []

    def place(problem: PlaceProblem, **bounds: Any) -> Placement:
        assert bounds == {"seed": 3, "work": search.work, "seconds": 7.0}
        problems.append(problem)
        return Placement(())

    monkeypatch.setattr(fit, "place", place)
    search = Search(seed=3, effort="thorough", seconds=7.0)
    placed = fit._placed(net, TARGET, search, Log(), from_camera=from_camera, readout=readout)
    assert placed == Placement(())
    return problems[0]


def test_the_placer_gets_each_layer_with_its_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    net = network(layer("a", "in", bias=2), layer("b", "a", "in", shape_in=(2, 4, 4)))
    found = asked(monkeypatch, net, from_camera=False, readout=False)
    assert found.destinations == {"a": 2, "b": 2}
    assert found.demands == (
        Demand("a", 1, (1, 1), (2, 4, 4), True, ("in",), 16.0),
        Demand("b", 2, (1, 1), (2, 4, 4), False, ("a", "in"), 16.0),
    )


def test_the_camera_has_destinations_and_the_readout_takes_one_and_a_core(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    net = network(layer("a", "in"), layer("b", "a"))
    found = asked(monkeypatch, net, from_camera=True, readout=True)
    assert found.destinations == {"a": 2, "b": 1, "in": 2}
    assert [d.one_core for d in found.demands] == [False, True]


def test_layers_that_cannot_be_placed_are_explained_at_their_place() -> None:
    net = network(layer("a", "in", shape_out=(200, 64, 64)), layer("b", "a"))
    log = Log()
    assert fit._placed(net, TARGET, Search(), log, from_camera=False, readout=False) is None
    assert [(d.code, d.where) for d in log.diagnostics] == [("S708", "nodes/a")]


# What is reported of a placement.

SPLIT = Placement((Part("a", 0, 0, 3), Part("a", 4, 3, 5), Part("b", 2, 0, 2)))
NET = network(
    layer("a", "in", shape_in=(3, 8, 8), shape_out=(5, 5, 8)),
    layer("b", "a", shape_in=(5, 5, 8), shape_out=(2, 3, 3)),
)


def test_a_layer_on_two_cores_is_reported_with_them() -> None:
    log = Log()
    fit._report_split(SPLIT, log)
    (found,) = log.diagnostics
    assert found.code == "S722"
    assert found.message == "`a` is split by output channel over cores 0, 4"


def test_the_words_of_each_part_are_padded_as_the_chip_pads_them() -> None:
    """Kernels: inputs times channels as a power of two. Neurons: 5 x 8 as 8 x 8, 3 x 3 as 4 x 4."""
    used = fit._utilisation(NET, SPLIT)
    assert list(used.items()) == [
        ("cores", (3, 9)),
        ("core 0 kernel words (a)", (12, 16384)),
        ("core 0 neuron words (a)", (192, 65536)),
        ("core 2 kernel words (b)", (10, 16384)),
        ("core 2 neuron words (b)", (32, 65536)),
        ("core 4 kernel words (a)", (6, 32768)),
        ("core 4 neuron words (a)", (128, 32768)),
    ]


def test_the_floorplan_is_a_row_of_nine_cores_in_percent() -> None:
    plan = fit._floorplan(NET, SPLIT)
    assert plan.size == plan.chip == plan.router == (9, 1, 1)
    assert plan.limits == {"kernel memory": (100.0, "%"), "neuron memory": (100.0, "%")}
    part = floorplan.Part("a", ((3, 5), (0, 5), (0, 8)))
    assert [core.at for core in plan.cores] == [(0, 0, 0), (4, 0, 0), (2, 0, 0)]
    assert [core.chip for core in plan.cores] == [0, 0, 0]
    use = {"kernel memory": 0.02, "neuron memory": 0.39}  # 6 and 128 of 32768 words
    assert (plan.cores[1].parts, plan.cores[1].usage) == ((part,), use)


def core(number: int, shape_out: Map, *, monitor: bool) -> SimpleNamespace:
    size = int(np.prod(shape_out))
    return SimpleNamespace(core=number, shape_out=shape_out, neurons=size, monitor=monitor)


def test_neurons_of_a_population_are_counted_over_the_cores_by_their_numbers() -> None:
    """Of a readout layer every fourth channel is the model's."""
    layers = [core(0, (3, 1, 2), monitor=False), core(2, (5, 1, 1), monitor=True)]
    layers.append(core(4, (2, 1, 2), monitor=True))
    chip: Any = SimpleNamespace(layers=layers, readout=2)
    found = fit._neurons(chip, SPLIT, sources(), monitored=False)
    assert {name: index.tolist() for name, index in found.items()} == {
        **{"a": [0, 1, 2, 3, 4, 5, 11, 12, 13, 14], "b": [6, 10]}
    }
    found = fit._neurons(chip, SPLIT, sources(), monitored=True)
    assert {name: index.tolist() for name, index in found.items()} == {
        **{"a": [5, 6, 7, 8], "b": [0, 4]}
    }


def test_inputs_that_no_route_takes_to_a_core_have_no_channel() -> None:
    routes = [SimpleNamespace(first=1, shape=(1, 1, 2)), SimpleNamespace(first=4, shape=(1, 2, 1))]
    chip: Any = SimpleNamespace(inputs=routes)
    assert fit._input_map(chip, 7) == (None, 1, 2, None, 4, 5, None)


@pytest.mark.parametrize(
    ("code", "fields", "others"),
    [
        ("S701", {"kernel": np.ones((2, 1, 17, 3), np.int64)}, {"kernel": np.ones((2, 1, 16, 16))}),
        ("S701", {"kernel": np.ones((2, 1, 3, 17), np.int64)}, {}),
        ("S703", {"padding": (8, 0)}, {"padding": (7, 7)}),
        ("S703", {"padding": (0, 8)}, {}),
        ("S704", {"shape_in": (1, 129, 4)}, {"shape_in": (1, 128, 128)}),
        ("S704", {"shape_in": (1, 4, 129)}, {}),
        ("S704", {"shape_out": (2, 65, 4)}, {"shape_out": (2, 64, 64)}),
        ("S704", {"shape_out": (2, 4, 65)}, {}),
        ("S705", {"shape_in": (1025, 4, 4)}, {"shape_in": (1024, 4, 4)}),
    ],
)
def test_each_side_of_a_layer_is_measured(
    code: str, fields: dict[str, Any], others: dict[str, Any]
) -> None:
    """The last number is one above the limit. ``others`` are at the limit."""
    log = Log()
    fit._report_limits(network(layer("a", "in"), replace(layer("b", "a"), **fields)), TARGET, log)
    assert [(d.code, d.where) for d in log.diagnostics] == [(code, "nodes/b")]
    log = Log()
    fit._report_limits(network(replace(layer("b", "in"), **others)), TARGET, log)
    assert not log.diagnostics
