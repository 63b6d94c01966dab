"""Advice in the simulator's own words: whoever follows it has what was advised."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nirc.api import Options, compile_model
from nirc.diagnostics.errors import Diagnostic
from nirc.diagnostics.log import Log
from nirc.ir.populations import Continuous
from nirc.ir.program import Training
from nirc.writers.importer import loaded
from nirc.writers.reading import parse_from
from nirc.writers.writer import Setting, installed_writers
from tests.models import chain, linear
from tests.writers.cases import DATA

DT_S = 1e-3
HALVES = [0.5, 0.75, 0.875, 0.9375, 0.96875]


@pytest.mark.parametrize("name", installed_writers())
@pytest.mark.parametrize("kind", ["CubaLIF", "CubaLI"])
def test_a_time_constant_that_is_advised_gives_the_decay(name: str, kind: str) -> None:
    writer = installed_writers()[name]
    setting = Setting(DT_S, writer.defaults())
    one = np.ones(1)
    c = Continuous(kind, one, one, one, one, 0 * one, one if kind == "CubaLIF" else None, 0 * one)  # type: ignore[arg-type]
    advice = writer.training(c, setting)
    for decay in HALVES:
        tau = float(advice.time_constant(decay).split()[0])
        r = decay if name == "spyx" else 1.0  # Spyx's file holds beta there
        d = writer.step(replace(c, tau_mem_s=one * tau, tau_syn_s=one * tau, r=one * r), 1, setting)
        assert d.decay_mem.item() == pytest.approx(decay, abs=1e-4)
        if d.decay_syn is not None:  # Sinabs writes no synapse
            assert d.decay_syn.item() == pytest.approx(decay, abs=1e-4)


@pytest.mark.parametrize(
    "name", [name for name, w in installed_writers().items() if w.importer is not None]
)
def test_a_file_for_an_importer_has_advice_in_steps(name: str) -> None:
    reader = loaded(installed_writers()[name])
    assert (
        reader.training(Continuous("LIF"), Setting(None, reader.defaults())).time_constant(0.75)
        == "4 steps"
    )


def test_norse_s_time_constants_are_those_of_the_file() -> None:
    writer, given = parse_from("norse,dt=1e-2", Log())
    advice = writer.training(Continuous("LIF"), Setting(1e-2, writer.defaults() | given))
    assert advice.time_constant(0.75) == "0.0004 s"


def test_counted_in_steps_or_unknown_a_time_constant_is_in_steps() -> None:
    assert Training(step=1.0, exact=True).time_constant(0.9) == "9.491 steps"
    assert Training().time_constant(0.9) == "10 steps"
    assert Training(step=1e-3, exact=True).time_constant(0.0) == "0 s"


def test_a_readout_that_nirc_added_is_changed_by_its_option() -> None:
    assert Training(added=True).with_decay("tau_mem", 0.875) == "--readout li:8"
    network = chain(2, linear(np.random.default_rng(0), 3, 2), n_out=3)
    assert [d.help.split(";")[0] for d in said(network, "xylo", "D402", readout="li:10")] == [
        "--readout li:8"
    ]


def test_the_advice_on_decays_is_the_same_network_s_own() -> None:
    """Rockpool decays exponentially: a decay of 15/16 has 15.49 steps, not 16."""
    found = {d.where: d for d in said(DATA / "rockpool/lif_default.nir", "xylo", "D402")}
    (mem, *_) = [d for where, d in found.items() if where.endswith("/tau_mem")]
    decay, tau_s = (
        float(text.split()[i])
        for text, i in zip(mem.help.split(": tau_mem = "), (5, 0), strict=True)
    )
    assert tau_s == pytest.approx(-1e-3 / np.log(decay), rel=1e-3) and mem.found.endswith(
        f"becomes {tau_s:.4g} s"
    )


def said(network: object, target: str, code: str, **options: object) -> list[Diagnostic]:
    log = Log()
    compile_model(network, target, Options(**options), log=log)  # type: ignore[arg-type]
    return [d for d in log.diagnostics if d.code == code]
