"""Parts on their cores: kernels cut by channel, routes, destinations and beginning membranes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nirc.backends.speck.assemble import _core, _routes, assemble
from nirc.backends.speck.configuration import Destination, Dvs, InputRoute
from nirc.backends.speck.limits import VARIANTS
from nirc.backends.speck.network import Arrow, Layer, Network
from nirc.backends.speck.neuron import SpeckNeuron
from nirc.backends.speck.place import Part, Placement
from nirc.ir.linear import Dense
from nirc.ir.populations import Population, Projection, Source
from nirc.ir.program import Form, Program

Map = tuple[int, int, int]


def layer(name: str, shape_in: Map, shape_out: Map, *arrows: Arrow, bias: int = 0) -> Layer:
    """A layer whose kernel entries are all different."""
    kernel = np.arange(shape_out[0] * shape_in[0]).reshape(shape_out[0], shape_in[0], 1, 1)
    biases = bias * np.arange(shape_out[0])
    return Layer(
        *(name, f"nodes/{name}", shape_in, shape_out, kernel, (2, 1), (1, 0), biases, arrows, 8.0)
    )


def neuron(n: int, *, initial: int = 0, low: int = -50) -> SpeckNeuron:
    return SpeckNeuron((n, 1, 1), 20, low, False, initial, np.zeros(n, int), np.ones(n), 0.0)


@pytest.mark.parametrize(
    ("lead", "initial", "low", "begins"),
    [
        (0, 0, -50, [0, 0]),
        (0, -1, -50, [-1, -1]),
        (3, 0, -50, [-15, -30]),
        (3, -1, -50, [-16, -31]),
        (3, 0, -20, [-15, -20]),
    ],
)
def test_a_core_begins_as_the_model_does_after_its_lead(
    lead: int, initial: int, low: int, begins: list[int]
) -> None:
    """Channels 1 and 2 of three, with biases of -5 and -10 a step."""
    whole = layer("a", (2, 4, 4), (3, 2, 3), bias=-5)
    core = _core(whole, Part("a", 7, 1, 3), neuron(3, initial=initial, low=low), lead)
    assert (core.core, core.shape_in, core.shape_out) == (7, (2, 4, 4), (2, 2, 3))
    assert core.kernel.ravel().tolist() == [2, 3, 4, 5] and core.bias.tolist() == [-5, -10]
    assert (core.stride, core.padding) == ((2, 1), (1, 0))
    assert (core.threshold_high, core.threshold_low, core.return_to_zero) == (20, low, False)
    assert core.initial.shape == (2, 2, 3)
    assert [np.unique(channel).tolist() for channel in core.initial] == [[v] for v in begins]
    assert core.initial.flags.writeable and not core.destinations and not core.monitor


IN = Arrow("in", (2, 4, 4), (1, 1), 0)
SIDE = Arrow("side", (1, 4, 4), (2, 2), 2)
NET = Network(
    {"in": 32, "side": 16},
    (
        layer("a", (3, 4, 4), (3, 2, 3), IN, SIDE, bias=-5),
        layer("b", (4, 2, 3), (2, 1, 1), Arrow("a", (3, 2, 3), (2, 2), 1), IN),
    ),
    ("b",),
)
PARTS = (Part("a", 3, 0, 2), Part("a", 1, 2, 3), Part("b", 0, 0, 1), Part("b", 8, 1, 2))


def test_routes_lead_each_input_to_all_parts_of_its_layers() -> None:
    parts = {"a": [*PARTS[:2]], "b": [*PARTS[2:]]}
    assert _routes(NET, parts) == [
        *(InputRoute(0, (2, 4, 4), core, (1, 1), 0) for core in (3, 1, 0, 8)),
        *(InputRoute(32, (1, 4, 4), core, (2, 2), 2) for core in (3, 1)),
    ]


def program() -> Program:
    """The second layer is two steps early."""
    nodes = {
        "in": Source((2, 4, 4), ("nodes/in",)),
        "a": Population((3,), neuron(3), ("nodes/a",)),
        "b": Population((2,), neuron(2), ("nodes/b",)),
    }
    first = Projection((Dense(np.ones((3, 32))),))
    second = Projection((Dense(np.ones((2, 3))),), delay_steps=2)
    return Program.of(Form.INTEGER, nodes, [("in", "a", first), ("a", "b", second)])


def test_each_part_sends_to_all_parts_behind_with_its_channels_moved_up() -> None:
    made = assemble(NET, program(), Placement(PARTS), VARIANTS[1], slow_clock_hz=100.0)
    assert [core.core for core in made.layers] == [0, 1, 3, 8]
    assert [core.monitor for core in made.layers] == [True, False, False, True]
    assert [core.destinations for core in made.layers] == [
        (),
        (Destination(0, 2, 3), Destination(8, 2, 3)),
        (Destination(0, 2, 1), Destination(8, 2, 1)),
        (),
    ]
    assert (made.variant, made.slow_clock_hz, made.dvs, made.readout) == ("2e", 100.0, None, None)
    assert len(made.inputs) == 6


def test_a_clock_ticks_only_for_biases() -> None:
    still = replace(NET, layers=tuple(replace(x, bias=0 * x.bias) for x in NET.layers))
    made = assemble(still, program(), Placement(PARTS), VARIANTS[0], slow_clock_hz=100.0)
    assert made.slow_clock_hz is None


def test_the_readout_is_one_more_destination_of_its_core() -> None:
    window = Dvs((0, 0), (3, 3), 1, merge=False)
    parts = (*PARTS[:2], Part("b", 5, 0, 2))
    made = assemble(NET, program(), Placement(parts), VARIANTS[0], dvs=window, readout=True)
    (read,) = [core for core in made.layers if core.core == 5]
    assert read.destinations == (Destination(12),) and made.readout == 5 and made.dvs is window
    assert all(Destination(12) not in c.destinations for c in made.layers if c.core != 5)


def test_a_layer_that_is_early_begins_with_its_biases_of_that_time() -> None:
    second = replace(NET.layers[1], bias=np.array([0, -4]))
    made = assemble(replace(NET, layers=(NET.layers[0], second)), program(), Placement(PARTS),
                    VARIANTS[0])  # fmt: skip
    begins = {core.core: np.unique(core.initial).tolist() for core in made.layers}
    assert begins == {0: [0], 1: [0], 3: [0], 8: [-8]}
