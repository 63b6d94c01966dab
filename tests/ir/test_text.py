"""A program as text: what a person reads, and what the digest stands on."""

from __future__ import annotations

from dataclasses import replace
from types import FunctionType

import numpy as np
import pytest

from nirc.backends.spinnaker2.approximations import in_single_precision
from nirc.chip import registry
from nirc.diagnostics.log import Log
from nirc.frontend.load import to_layers
from nirc.ir.populations import Role, populations_of
from nirc.ir.program import Program
from nirc.ir.text import digest, text
from nirc.semantics.variations import Decayed, FixedPoint, altered, exactly
from tests.build import affine, delay, graph, if_, inp, lif, linear, lowered, nested, out

NET = graph(
    {
        "in": inp(3),
        "w": affine([[0.5, 0, 0], [0, 0, -0.25]], [0.0, 1.0]),
        "pop": lif(2),
        "rec": linear([[0.0, 1.0], [1.0, 0.0]]),
        "wait": delay(3e-4),
        "out": out(2),
    },
    "in w pop wait out",
    "pop rec pop",
)


def test_layers() -> None:
    assert text(lowered(NET).layers) == (
        "layers model\n"
        "  in: [3] -> [3] Input(shape=(3,))\n"
        "  out: [2] -> [2] Output(shape=(2,))\n"
        "  pop: [2] -> [2] Neuron(kind=LIF, tau_mem_s=f64[2] 0.0008, r=f64[2] 8, v_leak=f64[2] 0,"
        " v_threshold=f64[2] 1, v_reset=f64[2] 0)\n"
        "  rec: [2] -> [2] Linear(weight=f64[2,2] 0..1 #d35c)\n"
        "  w: [3] -> [2] Linear(weight=f64[2,3] -0.25..0.5 #1e9b, bias=f64[2] 0..1 #2891)\n"
        "  wait: [2] -> [2] Delay(delay_s=f64[2] 0.0003)\n"
        "  in -> w\n  pop -> rec\n  pop -> wait\n  rec -> pop\n  w -> pop\n  wait -> out\n"
    )


def test_a_population_that_was_added_says_what_for_and_counts_for_the_digest() -> None:
    program = lowered(NET).discrete
    relay = program.mapped({"pop": replace(program["pop"], role=Role.RELAY)})
    assert "  pop: relay[2] Discrete(" in text(relay)
    assert digest(relay) != digest(program)


def test_populations() -> None:
    assert text(lowered(NET).discrete) == (
        "discrete model  dt=0.0001 s\n"
        "  in: source[3]\n"
        "  out: sink[2]\n"
        "  pop: population[2] Discrete(decay_mem=f64[2] 0.875, gain_mem=f64[2] 1, drift=f64[2] 0,"
        " threshold=f64[2] 1, v_reset=f64[2] 0, rule=[decay v, add x->v, fire > 1, set, emit])\n"
        "  in -> pop  via dense f64[2,3] -0.25..0.5 #1e9b, bias f64[2] 0..1 #2891\n"
        "  pop -> pop  via dense f64[2,2] 0..1 #d35c, feedback (+1 step)\n"
        "  pop -> out  via one to one, delay 0.0003 s (3 steps)\n"
    )


def test_origins_end_the_line() -> None:
    lines = text(lowered(NET).layers, origins=True).splitlines()
    assert lines[1].endswith("# nodes/in") and lines[2].endswith("# nodes/out")


def test_a_nested_graph_is_indented() -> None:
    inner = nested(graph({"input": inp(1), "lif": if_(), "output": out(1)}, "input lif output"))
    shown = text(to_layers(graph({"sub": inner, "out": out(1)}, "sub out"), Log()))
    assert "  sub: Subgraph\n    input: Input" in shown and "\n    input -> lif\n" in shown


@pytest.mark.parametrize("entries", [2, 1], ids=["some weights", "one weight for all"])
def test_the_digest_tells_programs_apart_by_the_last_digit_of_a_weight(entries: int) -> None:
    def net(weight: float) -> str:
        w = np.eye(3)[:entries] * weight
        nodes = {"in": inp(3), "w": linear(w[:, :entries]), "pop": if_(entries), "out": out()}
        return digest(lowered(graph(nodes | {"in": inp(entries)}, "in w pop out")).discrete)

    assert net(0.5) == net(0.5) != net(np.nextafter(0.5, 1))


def test_a_function_of_a_what_if_counts_by_its_name_not_by_its_place_in_memory() -> None:
    model = lowered(NET).discrete

    def rounding(decayed: Decayed) -> Program:
        return altered(model, lambda _, d: FixedPoint(d, np.ones(2), decayed))

    moved = FunctionType(exactly.__code__, exactly.__globals__)
    moved.__qualname__, moved.__module__ = exactly.__qualname__, exactly.__module__
    assert digest(rounding(exactly)) == digest(rounding(moved))
    assert digest(rounding(exactly)) != digest(rounding(in_single_precision))
    assert ", decayed=exactly)" in text(rounding(moved))


@pytest.mark.parametrize("chip", ["loihi2", "speck", "spinnaker2", "xylo"])
def test_functions_of_what_ifs_hold_nothing_that_their_names_do_not_tell(chip: str) -> None:
    nodes = {"in": inp(3), "w": linear(np.eye(2, 3)), "pop": lif(2), "out": out(2)}
    model = lowered(graph(nodes, "in w pop out")).discrete
    programs = registry.backend(chip).approximations(model)
    found = [
        p.dynamics.decayed
        for _, program in programs
        for p in populations_of(program, FixedPoint).values()
    ]
    assert found and not any(f.__closure__ or "<" in f.__qualname__ for f in found)


def test_a_name_that_is_no_unicode_text_has_a_digest_too() -> None:
    """Half a surrogate pair:

    Python holds it, no encoding does. A file cannot bring it, an object can.
    """
    one, other = (digest(lowered(graph({"in": inp(1), name: if_(), "out": out(1)}, ("in", name),
    (name, "out"))).layers)
                  for name in ("\ud800", "\ud801"))  # fmt: skip
    assert one != other
