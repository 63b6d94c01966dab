"""Cycles of a step by rockpool's model, counted by hand on a small chip."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import nir
import numpy as np
import pytest

import nirc
from nirc.api import Options, compile_model
from nirc.backends.xylo.config import Specification
from nirc.backends.xylo.estimate import cycles, estimate, report_slow_clock, worst_case
from nirc.backends.xylo.limits import AUDIO2
from nirc.chip.estimate import Activity
from nirc.diagnostics.log import Log
from tests.models import DT, chain, cuba


def spec() -> Specification:
    """2 inputs reach 3 of 4 hidden neurons, which have 2, 1 and 0 targets; 3 are read by 2."""
    n = 4
    w_in, w_rec, w_out = np.zeros((2, n, 2)), np.zeros((n, n, 2)), np.zeros((n, 2))
    w_in[0, :2, 0] = w_in[1, 2, 1] = 5
    w_rec[0, 1] = w_rec[0, 2, 1] = w_rec[1, 3, 0] = -2
    w_out[:3, 1] = 7
    ones: Any = np.ones(n, np.int64)
    two: Any = np.ones(2, np.int64)
    return Specification(
        *(w.astype(np.int64) for w in (w_in, w_rec, w_out)),
        dash_mem=ones, dash_mem_out=two, dash_syn=ones, dash_syn_2=ones, dash_syn_out=two,
        threshold=ones, threshold_out=two, bias_hidden=0 * ones, bias_out=0 * two,
        weight_shift_in=0, weight_shift_rec=0, weight_shift_out=0,
        aliases=np.array([-1, 0, 0, -1]),
    )  # fmt: skip


def test_cycles_follow_the_spikes() -> None:
    inputs = 2 * (1 + 3.5 * 0.5 * 3)
    recurrent = 4 * (3 + 7 * 1.5 * 0.25)
    neurons = 4 * (19 + 3 * 0.25)
    read = 3 * 0.25 * (1 + 8 * 2) + 12 * 2
    aliases = 4 * 0.25 * 2
    found = cycles(spec(), input_rate=0.5, hidden_rate=0.25)
    assert found == pytest.approx(inputs + recurrent + neurons + read + aliases)
    alone = replace(spec(), weights_rec=np.zeros((4, 4, 2), np.int64))
    assert cycles(alone, 0.0, 0.25) == pytest.approx(2 + 4 * 3 + neurons + read + aliases)


def test_in_the_worst_case_everything_is_active() -> None:
    assert worst_case(spec(), AUDIO2) == 2 * (1 + 14) + 25 * 4 + 7 * 3 + 4 * (1 + 16) + 24
    log = Log()
    clock_hz = AUDIO2.max("clock")
    report_slow_clock(spec(), AUDIO2, 243 / clock_hz * (1 + 1e-9), log)
    report_slow_clock(spec(), AUDIO2, None, log)
    assert log.diagnostics == []
    report_slow_clock(spec(), AUDIO2, 242 / clock_hz, log)
    assert [d.code for d in log.diagnostics] == ["X511"]


def test_the_figures_are_cycles_time_and_the_slowest_clock() -> None:
    net = chain(
        1, nir.Linear(np.ones((2, 1))), cuba(2), nir.Linear(np.ones((1, 2))), cuba(1), n_out=1
    )
    mapped = compile_model(net, "xylo:audio2", Options(reset="subtract", allow_silent=True)).mapped
    activity = Activity({"in": 0.5, "cubalif1": 1.0}, {}, {"cubalif1": 2}, "counted")
    needed = cycles(mapped.chip, 0.5, 0.5)
    figures = {f.name: (f.value, f.unit) for f in estimate(mapped, activity, DT)}
    assert figures == {
        "cycles per step": (needed, "cycles"),
        "time per step": (needed / AUDIO2.max("clock"), "s"),
        "slowest clock": (1.2 * needed / DT, "Hz"),
    }
    assert [f.name for f in estimate(mapped, activity, None)] == [*figures][:2]


def test_a_step_that_is_too_short_for_the_clock_is_reported() -> None:
    net = chain(
        1, nir.Linear(np.ones((2, 1))), cuba(2), nir.Linear(np.ones((1, 2))), cuba(1), n_out=1
    )
    found = {
        d.code
        for d in nirc.compile(net, "xylo", dt=1e-7, reset="subtract", allow_silent=True).diagnostics
    }
    assert "X511" in found
