"""A whole network on the chip's tables: what the tables hold and what is reported about them."""

from __future__ import annotations

from dataclasses import replace

import nir
import numpy as np
import pytest

from nirc.api import Options, lower
from nirc.backends.speck.fit import fit
from nirc.backends.speck.legalise import SpeckLegalise
from nirc.backends.speck.limits import VARIANTS
from nirc.backends.speck.quantise import SpeckQuantise
from nirc.chip.backend import Mapped, Search
from nirc.diagnostics.log import Log
from nirc.ir.populations import populations_of
from nirc.ir.program import Program
from tests.models import DT, graph
from tests.speck.networks import along, conv, fire, line, pool

LARGE = conv(np.random.default_rng(0), 1, 2, 1)


def stages(model: nir.NIRGraph, *, camera: bool = False) -> tuple[Program, Program]:
    """The legal program and its integers."""
    discrete = lower(model, Options(dt_s=DT, reset="subtract"), log=Log()).discrete
    legal = SpeckLegalise(camera=camera).run(discrete, Log())
    return legal, SpeckQuantise().run(legal, Log())


def fitted(
    model: nir.NIRGraph, *, camera: bool = False, readout: bool = False
) -> tuple[Mapped | None, list[str]]:
    """The tables, and the codes of all that was reported."""
    legal, integer = stages(model, camera=camera)
    log = Log()
    made = fit(integer, legal, VARIANTS[0], Search(), log, from_camera=camera, readout=readout)
    return made, sorted({d.code for d in log.diagnostics})


def late(*, bias: float = 0.0) -> nir.NIRGraph:
    """Two layers with a delay of 3 steps between, and an output of the first besides."""
    nodes = {
        "in": nir.Input(np.array([2])),
        "w1": nir.Linear(np.ones((3, 2))),
        "first": fire(3),
        "late": nir.Delay(np.ones(3) * 3 * DT),
        "w2": nir.Affine(np.ones((2, 3)), np.ones(2) * bias),
        "last": fire(2),
        "out": nir.Output(np.array([2])),
        "side": nir.Output(np.array([3])),
    }
    return graph(nodes, along("in w1 first late w2 last out", "first side"))


def test_each_output_is_found_among_the_monitored_neurons_with_its_lead() -> None:
    made, codes = fitted(late(bias=-0.25))
    assert made is not None
    assert made.target is VARIANTS[0]
    assert [c.core for c in made.chip.layers] == [0, 2] and all(c.monitor for c in made.chip.layers)
    by_output = {-3: [3, 4], 0: [0, 1, 2]}
    for neuron, latency in zip(made.output_map, made.latency_steps, strict=True):
        assert neuron in by_output[latency]
    assert sorted(made.output_map) == [0, 1, 2, 3, 4]
    assert made.input_map == (0, 1)
    assert {n: (b.index, b.latency_steps) for n, b in made.blocks.items()} == {
        **{"first": ((0, 1, 2), 0), "last": ((3, 4), -3)}
    }
    assert made.utilisation["cores"] == (2, 9)
    assert made.floorplan is not None and len(made.floorplan.cores) == 2
    assert made.chip.slow_clock_hz == 10_000
    assert {"D415", "D416"} <= {*codes}


def test_neurons_that_no_output_shows_are_counted_only_where_all_are_recorded() -> None:
    model = line((2,), nir.Linear(np.ones((3, 2))), fire(3), fire(3), out=(3,))
    made, _ = fitted(model)
    assert made is not None
    assert made.output_map == (0, 1, 2)
    assert [b.index for b in made.blocks.values()] == [(0, 1, 2), (3, 4, 5)]


@pytest.mark.parametrize("many", [0, 1, 2])
def test_every_population_must_fire_many_times_in_the_model_to_do_so_as_on_the_chip(
    many: int,
) -> None:
    """The report names the first layer, and says if that is a difference."""
    legal, integer = stages(late())
    nodes = dict(legal.graph.nodes(data="payload"))
    for name in list(populations_of(legal, object))[:many]:
        d = nodes[name].dynamics
        rule = d.rule.with_fire(replace(d.rule.fires, most=None))
        nodes[name] = replace(nodes[name], dynamics=replace(d, rule=rule))
    legal = legal.rebuilt(nodes, legal.edges())
    log = Log()
    assert fit(integer, legal, VARIANTS[0], Search(), log, from_camera=False, readout=False)
    (found,) = [d for d in log.diagnostics if d.code == "D416"]
    assert found.where == "nodes/first"
    assert found.severity == ("note" if many == 2 else "warning")


def test_the_readout_layer_takes_the_last_core() -> None:
    model = line((2,), nir.Linear(np.ones((3, 2))), fire(3), out=(3,))
    made, _ = fitted(model, readout=True)
    assert made is not None
    (core,) = made.chip.layers
    assert core.shape_out == (9, 1, 1) and made.chip.readout == core.core
    assert made.output_map == (0, 4, 8)
    assert fitted(model)[0].chip.readout is None  # type: ignore[union-attr]


def test_a_readout_of_16_classes_is_refused() -> None:
    model = line((2,), nir.Linear(np.ones((16, 2))), fire(16), out=(16,))
    assert fitted(model, readout=True) == (None, ["S719"])
    assert fitted(model)[0] is not None


def test_the_camera_is_a_window_and_reaches_two_cores() -> None:
    rng = np.random.default_rng(0)
    model = line((2, 8, 8), pool(), conv(rng, 2, 2), fire(2, 2, 2), out=(2, 2, 2))
    made, _ = fitted(model, camera=True)
    assert made is not None and made.chip.dvs is not None and made.chip.dvs.pooling == 2
    made, _ = fitted(model)
    assert made is not None and made.chip.dvs is None
    large = conv(rng, 2, 40, padding=1)
    split = line((2, 64, 64), large, fire(40, 64, 64), out=(40, 64, 64))
    made, codes = fitted(split)
    assert made is not None and "S722" in codes  # three cores
    assert fitted(split, camera=True) == (None, ["S710"])


@pytest.mark.parametrize(
    ("model", "codes"),
    [
        (line((1, 99, 99), LARGE, fire(2, 99, 99), out=(2, 99, 99)), ["S704"]),
        (line((2,), nir.Linear(np.ones((9300, 2))), fire(9300), out=(9300,)), ["S711"]),
    ],
    ids=["a limit of a core", "the cores together"],
)
def test_what_does_not_fit_has_no_tables(model: nir.NIRGraph, codes: list[str]) -> None:
    assert fitted(model) == (None, codes)


def test_a_clock_that_is_too_fast_has_no_tables() -> None:
    legal, integer = stages(late(bias=-0.25))
    fast = replace(integer, dt_s=1e-5)
    log = Log()
    assert fit(fast, legal, VARIANTS[0], Search(), log, from_camera=False, readout=False) is None
    assert [d.code for d in log.diagnostics] == ["S718"]


def test_differences_of_the_rules_are_reported() -> None:
    """A neuron by the letter of NIR fires above its threshold, the chip at it."""
    _, codes = fitted(late())
    assert [c for c in codes if c.startswith("D4")] == codes
    assert len(codes) > 1
