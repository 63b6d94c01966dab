"""The parts of fitting, each alone: arrays in the chip's order, places, and what is reported."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import nir
import numpy as np
import pytest

from nirc.api import Options, compile_model
from nirc.backends.xylo import fit
from nirc.backends.xylo.findings import InputPlacesTaken, NoOrder, OutputPlacesTaken, TooManyHidden
from nirc.backends.xylo.limits import AUDIO2, AUDIO3
from nirc.backends.xylo.lower import Block, Reservoir, Synapses
from nirc.backends.xylo.neuron import XyloNeuron
from nirc.backends.xylo.place import Placement, PlaceProblem, _conflict
from nirc.chip.backend import Search
from nirc.diagnostics.log import Log
from nirc.ir.linear import Dense
from nirc.ir.populations import Discrete, Population, Projection, Sink, Source
from nirc.ir.program import Form, Program
from tests.models import DT, cuba, graph, li
from tests.reports import Reports


def neuron(*, first: int, n: int = 1, **fields: Any) -> XyloNeuron:
    """Neurons whose parameters are all different, from ``first`` on."""
    at = np.arange(first, first + n)
    made = XyloNeuron(at, at + 1, at + 100, at + 40, at / 2, 31, 2, 1)
    return replace(made, **fields)


def synapses(*rows: tuple[int, int, float, float]) -> Synapses:
    target, source, first, second = np.array(rows, float).reshape(-1, 4).T
    return Synapses(target.astype(int), source.astype(int), np.stack([first, second], axis=1))


def reservoir(**changes: Any) -> Reservoir:
    """3 inputs, 2 + 1 hidden neurons and a readout neuron."""
    dynamics = {
        "a": neuron(first=2, n=2),
        "b": neuron(first=7, dash_syn_2=np.array([9])),
        "r": neuron(first=11, max_spikes=1, shift_rec=3),
    }
    program: Any = {
        name: SimpleNamespace(dynamics=d, origins=(f"nodes/{name}",))
        for name, d in dynamics.items()
    }
    made = Reservoir(
        program,
        (Block("x", 0, 3),),
        (Block("a", 0, 2), Block("b", 2, 3)),
        (Block("r", 0, 1),),
        ("out",),
        synapses((0, 2, 8, 0), (2, 1, 0, -4)),
        synapses((1, 0, 6, 2), (2, 1, -8, 0)),
        synapses((0, 1, 40, 0), (0, 2, -16, 0)),
    )
    return replace(made, **changes)


# Neuron 1 is copied by a relay on the last place.
PLACED = Placement(np.array([2, 0, 1]), np.array([1]), np.array([3]), 4)
CHANNELS = fit.Channels(np.array([-1, 0, 1]), 2)


def test_weights_stand_at_the_places_of_their_neurons() -> None:
    chip = fit.assemble(reservoir(), PLACED, CHANNELS)

    def entries(weights: Any) -> dict[tuple[int, ...], int]:
        return {tuple(at): int(weights[tuple(at)]) for at in np.argwhere(weights).tolist()}

    assert (chip.weights_in.shape, chip.weights_rec.shape) == ((2, 4, 2), (4, 4, 2))
    assert entries(chip.weights_in) == {(1, 2, 0): 2, (0, 1, 1): -1}
    assert entries(chip.weights_rec) == {(2, 0, 0): 3, (2, 0, 1): 1, (0, 1, 0): -4}
    assert chip.weights_out.shape == (4, 1)
    assert entries(chip.weights_out) == {(3, 0): 5, (1, 0): -2}  # the relay's, not neuron 1's
    assert chip.aliases.tolist() == [3, -1, -1, -1]
    shifts = (chip.weight_shift_in, chip.weight_shift_rec, chip.weight_shift_out)
    assert shifts == (2, 1, 3)


def test_parameters_stand_at_the_places_of_their_neurons_and_a_relay_never_fires() -> None:
    chip = fit.assemble(reservoir(), PLACED, CHANNELS)
    assert chip.dash_mem.tolist() == [3, 7, 2, 0]
    assert chip.dash_syn.tolist() == [4, 8, 3, 1]
    assert chip.dash_syn_2.tolist() == [1, 9, 1, 1]
    assert chip.threshold.tolist() == [103, 107, 102, 32767]
    assert chip.bias_hidden.tolist() == [43, 47, 42, 0]
    readout = (chip.dash_mem_out, chip.dash_syn_out, chip.threshold_out, chip.bias_out)
    assert [each.tolist() for each in readout] == [[11], [12], [111], [51]]


def test_a_bias_that_is_no_byte_stops_the_compiler() -> None:
    for name in ("a", "r"):
        made = reservoir()
        large = neuron(first=90, n=made.program[name].dynamics.bias.size)
        made.program[name].dynamics = large  # type: ignore[misc]
        with pytest.raises(AssertionError, match="outside"):
            fit.assemble(made, PLACED, CHANNELS)


def test_a_chip_without_hidden_or_readout_neurons_shifts_nothing() -> None:
    empty = reservoir(hidden=(), readout=())
    for part in ("hidden", "readout"):
        joined = fit._joined(empty, part)
        assert (joined.shift_in, joined.shift_rec, joined.bias.size) == (0, 0, 0)


def test_blocks_name_the_places_and_scales_of_populations() -> None:
    made = reservoir()
    nodes = {
        name: Population((p.dynamics.bias.size,), p.dynamics, p.origins)  # type: ignore[attr-defined]
        for name, p in made.program.items()  # type: ignore[attr-defined]
    }
    made = replace(made, program=Program.of(Form.INTEGER, nodes, ()))
    found = fit._placed_blocks(made, PLACED, {"a": 0, "b": 1, "r": 2})
    assert {n: (b.part, b.index, b.scale, b.latency_steps) for n, b in found.items()} == {
        "a": ("hidden", (2, 0), (1.0, 1.5), 0),
        "b": ("hidden", (1,), (3.5,), 1),
        "r": ("readout", (0,), (5.5,), 2),
    }


def test_what_is_used_is_counted_beside_what_there_is() -> None:
    made = reservoir(from_input=synapses((0, 2, 8, 0), (0, 1, 4, 0), (2, 1, 0, -4)))
    chip = fit.assemble(made, PLACED, CHANNELS)
    assert fit._utilisation(made, PLACED, CHANNELS, chip, AUDIO3) == {
        "input channels": (2, 16),
        "hidden neurons": (4, 992),
        "output neurons": (1, 32),
        "fan-out of one neuron": (1, AUDIO3.max("fan-out of one neuron")),
        "recurrent entries": (2, AUDIO3.max("recurrent entries")),
        "neurons that inputs reach": (2, 128),
        "neurons that outputs leave from": (2, 128),
    }


def test_outputs_are_all_spikes_or_all_membranes() -> None:
    made = reservoir(readout=(Block("a", 0, 2), Block("b", 2, 3), Block("r", 3, 4)))
    reports: Any = Reports()
    assert not fit._has_mixed_outputs(made, reports)
    made.program["b"].dynamics = neuron(first=1, silent=True)  # type: ignore[misc]
    assert fit._has_mixed_outputs(made, reports)
    (found,) = reports.found
    assert vars(found) == {
        **{"where": "nodes/a", "spiking": ("nodes/a", "nodes/r"), "membranes": ("nodes/b",)}
    }
    silent = reservoir(readout=(Block("b", 0, 1),))
    silent.program["b"].dynamics = neuron(first=1, silent=True)  # type: ignore[misc]
    assert not fit._has_mixed_outputs(silent, reports) and len(reports.found) == 1


@pytest.mark.parametrize(
    ("names", "kind", "fields"),
    [
        (("neurons that inputs reach",), InputPlacesTaken, {"receiving": 3}),
        (("neurons that outputs leave from",), OutputPlacesTaken, {"read_out": 2}),
        (
            ("hidden neurons", "neurons that inputs reach"),
            *(NoOrder, {"neurons": 5, "both": 1}),
        ),
    ],
)
def test_limits_that_cannot_hold_together_are_told_with_the_network_s_numbers(
    names: tuple[str, ...], kind: type, fields: dict[str, int]
) -> None:
    needs = PlaceProblem(np.array([1, 1, 1, 0, 0]) > 0, np.array([0, 0, 1, 1, 0]) > 0)
    found = _conflict(needs, AUDIO3, names, (AUDIO2,))
    assert type(found) is kind
    limits = tuple(limit for limit in AUDIO3.limits if limit.name in names)
    assert vars(found) == {"target": AUDIO3, "limits": limits, "roomier": (AUDIO2,), **fields}
    many = _conflict(needs, AUDIO3, ("hidden neurons",), ())
    assert isinstance(many, TooManyHidden)
    assert (many.excess.found, many.excess.limit.name) == (5, "hidden neurons")


def test_the_order_is_asked_for_by_the_synapses() -> None:
    """129 neurons behind inputs have no order on Audio 3, however few are read out."""
    for n, codes in ((128, []), (129, ["X506"])):
        into = synapses(*((i, 0, 1, 0) for i in range(n)))
        out = synapses((0, 2, 1, 0))
        made = reservoir(hidden=(Block("a", 0, n),), from_input=into, to_readout=out)
        log = Log()
        placed = fit._ordered(fit._problem(made), AUDIO3, [AUDIO2], Search(), log)
        assert (placed is None) == bool(codes)
        assert [d.code for d in log.diagnostics] == codes
        assert all("or compile for xylo:audio2" in d.help for d in log.diagnostics)


# A whole network.


def two_layers(*, read: bool = False) -> nir.NIRGraph:
    """Two inputs, two layers, and outputs of both of them, or of membranes."""
    nodes = {
        "in": nir.Input(np.array([2])),
        "v": nir.Linear(np.ones((3, 2))),
        "a": cuba(3),
        "w": nir.Linear(np.ones((2, 3))),
        "b": li(2) if read else cuba(2),
        "out": nir.Output(np.array([2])),
    }
    return graph(nodes, list(pairwise(nodes)))


@pytest.mark.parametrize("read", [False, True])
def test_a_network_has_its_outputs_a_step_later(read: bool) -> None:
    made = compile_model(two_layers(read=read), "xylo:audio3", Options(dt_s=DT, reset="subtract"))
    mapped = made.mapped
    assert mapped.target is AUDIO3 or mapped.target.name == AUDIO3.name
    assert (mapped.input_map, mapped.output_map) == ((0, 1), (0, 1))
    assert mapped.latency_steps == (1, 1) and mapped.retimed == ()
    assert mapped.silent_outputs == read
    assert {n: (b.part, b.index) for n, b in mapped.blocks.items()} == {
        "a": ("hidden", (0, 1, 2)),
        "b": ("readout", (0, 1)),
    }


def test_a_network_is_refused_early_if_no_variant_has_the_neurons() -> None:
    """Audio 2 has 1,000 hidden neurons, Audio 3 has 992."""

    def network(n: int) -> Program:
        one = np.ones(n)
        d = Discrete(one / 2, one, 0 * one, threshold=one, v_reset=0 * one)
        nodes = {
            "in": Source((1,), ("nodes/in",)),
            "a": Population((n,), d, ("nodes/a",)),
            "b": Population((1,), neuron_of_one(), ("nodes/b",)),
            "out": Sink((1,), ("nodes/out",)),
        }
        into, out = np.zeros((n, 1)), np.zeros((1, n))
        into[0] = out[0, 0] = 1
        edges = [("in", "a", Projection((Dense(into),))), ("a", "b", Projection((Dense(out),)))]
        return Program.of(Form.DISCRETE, nodes, [*edges, ("b", "out", Projection())])

    for n, targets, codes in (
        (992, [AUDIO3], []),
        (993, [AUDIO3], ["X502"]),
        (993, [AUDIO2, AUDIO3], []),
        (1001, [AUDIO2, AUDIO3], ["X502", "X502"]),
    ):
        log = Log()
        assert fit.cannot_fit(network(n), targets, log) == bool(codes)
        assert [d.code for d in log.diagnostics] == codes


def neuron_of_one() -> Discrete:
    one = np.ones(1)
    return Discrete(one / 2, one, 0 * one, threshold=one, v_reset=0 * one)
