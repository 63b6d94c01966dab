"""The recorded networks of seven simulators: nirc names the writer, and its rule gives all."""

from __future__ import annotations

import numpy as np
import pytest

from nirc.api import Options, lower
from nirc.diagnostics.errors import NircError
from nirc.diagnostics.log import Log
from nirc.files.data import read_data
from nirc.semantics.run import run
from nirc.verification.recorded import recording
from tests.writers.cases import SIMULATORS, Case, cases

EVERY = [case for simulator in SIMULATORS for case in cases(simulator)]
OPEN = {"W202", "W203", "W206", "P301"}
WITHIN_A_STEP = "nengo"  # times spikes between the steps


def share(case: Case, options: Options, log: Log) -> float:
    """The share of entries that the float stage has in common with the recording."""
    stages = lower(case.model, options, log=log)
    data = read_data(case.recorded, Log())
    kept = recording(data, stages.reference, Log())
    assert kept is not None
    return kept.share(
        run(stages.reference, data.inputs.reshape(*data.inputs.shape[:2], -1)).outputs
    )


def name(case: Case) -> str:
    return f"{case.simulator}-{case.kind}"


@pytest.mark.parametrize(
    "case", [c for c in EVERY if not c.lost and c.simulator != WITHIN_A_STEP], ids=name
)
def test_a_file_that_holds_everything_is_equal_in_every_step(case: Case) -> None:
    assert share(case, Options(writer=case.read), Log()) == 1


@pytest.mark.parametrize("case", EVERY, ids=name)
def test_a_default_run_is_equal_or_names_what_is_open(case: Case) -> None:
    log = Log()
    try:
        equal = share(case, Options(), log) == 1
    except NircError as error:
        equal, log.diagnostics = False, list(error.diagnostics)
    assert equal or OPEN & {d.code for d in log.diagnostics if d.severity != "note"}


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_no_file_is_taken_for_another_simulator_s(simulator: str) -> None:
    for case in cases(simulator):
        try:
            found = lower(case.model, Options(), log=Log()).reading.writer.name
        except NircError:
            continue  # P301: the letter, which asks for the time step
        assert found in (simulator, "nir"), case.kind


def test_nengo_comes_near() -> None:
    shares = [
        share(case, Options(writer=case.read), Log())
        for case in cases(WITHIN_A_STEP)
        if not case.lost
    ]
    assert shares and np.mean(shares) > 0.95
