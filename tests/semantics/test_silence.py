"""Networks of which no output can ever fire are not written, and the message says why."""

from __future__ import annotations

import contextlib
from typing import Any

import nir
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nirc.api import Options, compile_model, lower
from nirc.diagnostics.errors import Diagnostic, NircError
from nirc.diagnostics.log import Log
from nirc.ir.populations import Discrete, Population
from nirc.ir.program import Program
from nirc.ir.rules import parse
from nirc.semantics import silence
from nirc.semantics.run import run, stepper_of
from nirc.semantics.silence import reach
from tests.commands import nirc as command
from tests.models import DATA, DT, chain, cuba, graph, lif

CHIPS = ("loihi2", "spinnaker2", "speck", "xylo")


def findings(model: object, chip: str = "loihi2", **options: Any) -> list[Diagnostic]:
    """What a compilation says of outputs that never fire."""
    log = Log()
    with contextlib.suppress(NircError):
        compile_model(model, chip, Options(**options), log=log)
    return [d for d in log.diagnostics if d.code in ("P325", "P326")]


def silent_outputs(program: Program, most_input: int = 1) -> list[int]:
    populations = program.nodes(Population)
    membranes = [name for name, p in populations.items() if not p.dynamics.fires]
    alive = reach(program, membranes, most_input).outputs(program)
    return np.flatnonzero(~alive).tolist()


@pytest.mark.parametrize("chip", CHIPS)
def test_weights_of_zero_let_nothing_through(chip: str) -> None:
    dead = chain(3, nir.Linear(np.zeros((2, 3))), nir.IF(np.ones(2), np.ones(2)), n_out=2)
    (said,) = findings(dead, chip)
    assert (said.code, said.severity) == ("P325", "error")
    assert said.found == "0 of 2 output(s) within reach, in the model neither"


def test_the_cause_is_the_first_population_that_lets_nothing_through() -> None:
    one = nir.Linear(np.ones((2, 2)))
    inhibited = chain(2, one, lif(2), nir.Linear(-np.ones((2, 2))), lif(2), one, lif(2), n_out=2)
    (said,) = findings(inhibited)
    assert (
        said.where == "nodes/lif3"
        and "nothing that fires has a positive weight into `lif3`" in said.message
    )


def test_a_threshold_that_a_leak_keeps_out_of_reach() -> None:
    """Two inputs of 1 in each step bring a membrane that keeps 7/8 of itself to 16."""
    weight = nir.Linear(np.ones((1, 2)))
    assert not findings(chain(2, weight, lif(1, threshold=15.0), n_out=1))
    (said,) = findings(chain(2, weight, lif(1, threshold=17.0), n_out=1))
    assert "all weights into `lif1` together never reach its threshold" in said.message


def test_rounding_alone_may_silence_a_network() -> None:
    """The second output lives on weights that are nothing beside those of the first."""
    weight = np.array([[9000.0], [0.4]])
    last = nir.Linear(np.array([[0.0, 2.0]]))
    (said,) = findings(chain(1, nir.Linear(weight), lif(2), last, lif(1), n_out=1))
    assert said.code == "P325" and "in the model some are" in said.found
    assert "1 of 2 neuron(s) of `lif1` can never fire" in said.message
    assert "--calibrate" in said.help


def test_some_silent_outputs_are_a_warning_only_where_the_chip_made_them() -> None:
    def severity(small: float) -> str:
        weight = nir.Linear(np.array([[3.0], [small]]))
        (said,) = findings(chain(1, weight, lif(2), n_out=2))
        assert said.code == "P326" and said.message.endswith(": 1")
        return said.severity

    assert severity(0.0) == "note"
    assert findings(chain(1, nir.Linear(np.array([[3.0], [0.4]])), lif(2), n_out=2)) == []


def test_a_loop_that_nothing_starts_is_silent() -> None:
    """Neurons that excite each other fire only if something else makes one of them fire."""

    def loop(first: float) -> nir.NIRGraph:
        nodes = {
            "in": nir.Input(np.array([1])),
            "w": nir.Linear(np.array([[first], [0.0]])),
            "pop": cuba(2),
            "rec": nir.Linear(np.array([[0.0, 9.0], [9.0, 0.0]])),
            "out": nir.Output(np.array([2])),
        }
        edges = [("in", "w"), ("w", "pop"), ("pop", "rec"), ("rec", "pop"), ("pop", "out")]
        return graph(nodes, edges)

    assert findings(loop(0.0))[0].code == "P325"
    assert findings(loop(9.0)) == []


def test_neurons_that_fire_by_themselves_are_not_silent() -> None:
    biased = nir.Affine(np.zeros((2, 1)), np.full(2, 0.5))
    assert findings(chain(1, biased, lif(2), n_out=2)) == []


def test_a_membrane_that_wraps_around_under_full_input_is_not_silent() -> None:
    """4,000 large weights overflow the 24 bits of a state. A few of them fire the neuron."""
    weight = nir.Linear(np.full((1, 4000), 1.0))
    assert findings(chain(4000, weight, lif(1, threshold=2.0), n_out=1)) == []


def test_an_output_that_is_read_as_a_membrane_is_silent_if_no_input_moves_it() -> None:
    one = np.ones(2)
    readout = nir.LI(tau=one * 1e-3, r=one * 10, v_leak=one * 0)
    still = chain(2, nir.Linear(np.zeros((2, 2))), readout, n_out=2)
    moved = chain(2, nir.Linear(-np.eye(2)), readout, n_out=2)
    assert findings(still)[0].code == "P325"
    assert findings(moved) == []


def test_a_membrane_that_its_leak_alone_moves_is_not_silent() -> None:
    one = np.ones(1)
    readout = nir.LI(tau=one * 1e-3, r=one * 10, v_leak=one)
    assert findings(chain(1, nir.Linear(np.zeros((1, 1))), readout, n_out=1)) == []


def test_a_membrane_may_sink_for_long_before_a_slow_synapse_lifts_it() -> None:
    """Both have 1,000 steps of time, and the leak draws the membrane to -5 thresholds."""
    one = np.ones(1)
    tau = one * 1000 * DT
    slow = nir.CubaLIF(tau_syn=tau, tau_mem=tau, r=one, w_in=one, v_leak=-5 * one, v_threshold=one)
    assert findings(chain(1, nir.Linear(np.array([[10.0]])), slow, n_out=1)) == []


def test_a_neuron_may_fire_more_often_in_a_step_than_when_it_fires_first() -> None:
    """1.9 thresholds a step: one spike, then two. One alone would not reach the last neuron."""

    def fires(threshold: float) -> nir.IF:
        return nir.IF(r=np.full(1, 1 / DT), v_threshold=np.full(1, threshold))

    driven = nir.Affine(np.zeros((1, 1)), np.array([1.9]))
    two = nir.Affine(np.ones((1, 1)), np.array([-1.5]))
    model = chain(1, driven, fires(1.0), two, fires(0.4), n_out=1)
    assert findings(model, "speck", writer="sinabs", dt_s=DT) == []


def test_silence_can_be_allowed(tmp_path: Any) -> None:
    dead = tmp_path / "dead.nir"
    nir.write(dead, chain(3, nir.Linear(np.zeros((2, 3))), lif(2), n_out=2))
    bundle = tmp_path / "bundle"
    refused = command(dead, "--target", "loihi2", "-o", bundle, cwd=tmp_path)
    assert refused.returncode == 1 and "error[P325]" in refused.stderr and not bundle.exists()
    allowed = command(dead, "--target", "loihi2", "-o", bundle, "--allow-silent", cwd=tmp_path)
    assert allowed.returncode == 0 and "warning[P325]" in allowed.stderr and bundle.exists()


@given(st.integers(0, 1 << 31), st.floats(0.2, 30.0), st.floats(0.1, 3.0))
def test_no_input_fires_a_neuron_that_is_called_silent(
    seed: int, threshold: float, scale: float
) -> None:
    """The other way round, the largest input fires each neuron that is not."""
    rng = np.random.default_rng(seed)
    first, second = (nir.Linear(rng.normal(0, scale, (4, 4))) for _ in range(2))
    model = chain(4, first, lif(4, threshold=threshold), second, lif(4), n_out=4)
    program = lower(model, Options(), log=Log()).reference
    silent = silent_outputs(program)
    rasters = (rng.random((8, 30, 4)) < rng.random((8, 1, 4))).astype(int)
    fired = run(program, rasters).outputs.any(axis=(0, 1))
    assert not fired[silent].any()


def test_a_layer_alone_is_silent_exactly_where_full_input_does_not_fire_it() -> None:
    rng = np.random.default_rng(3)
    weight = rng.normal(-0.05, 0.1, (200, 5))
    program = lower(
        chain(5, nir.Linear(weight), lif(200), n_out=200), Options(), log=Log()
    ).reference
    most = np.maximum(weight, 0).sum(axis=1) * 8  # a membrane that keeps 7/8
    silent = np.zeros(200, bool)
    silent[silent_outputs(program)] = True
    near = abs(most - 1) < 1e-6
    assert 20 < silent.sum() < 180
    np.testing.assert_array_equal(silent[~near], (most <= 1)[~near])


def test_the_zoo_is_not_silent() -> None:
    for path in sorted((DATA / "zoo").glob("*.nir")):
        program = lower(path, Options(), log=Log()).reference
        assert isinstance(next(iter(program.nodes(Population).values())).dynamics, Discrete)
        assert silent_outputs(program) == []


@given(
    drift=st.sampled_from([-0.1, 0.0, 0.1]),
    threshold=st.sampled_from([-1.0, 0.0, 1.0]),
    v_start=st.sampled_from([None, 0.0, 2.0]),
    v_least=st.sampled_from([None, -1.0, 1.5]),
)
def test_neurons_at_rest_are_those_that_no_step_moves(
    drift: float, threshold: float, v_start: float | None, v_least: float | None
) -> None:
    def value(number: float | None) -> Any:
        return None if number is None else np.full(2, number)

    dynamics = Discrete(
        *(np.full(2, each) for each in (0.9, 1.0, drift)),
        threshold=value(threshold),
        rule=parse("decay v, add x->v, bound, fire >= 1, set, emit"),
        v_least=value(v_least),
        v_start=value(v_start),
    )
    population = Population((2,), dynamics, ("nodes/lif",))
    stepper = stepper_of(population, 1)
    still = all(not stepper.step(np.zeros((1, 2))).any() and not stepper.v.any() for _ in range(40))
    assert silence.at_rest(population, dynamics) == still


def test_layers_behind_a_silent_layer_are_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """A chain of thousands of them would cost more than all of its compilation."""
    tried: list[str] = []
    try_drive = silence.try_drive

    def noted(population: Population[Any], *drive: Any) -> Any:
        tried.append(population.origins[0])
        return try_drive(population, *drive)

    monkeypatch.setattr(silence, "try_drive", noted)
    layers = [layer for _ in range(6) for layer in (nir.Linear(-np.eye(2)), lif(2))]
    assert findings(chain(2, *layers, n_out=2))[0].code == "P325"
    assert set(tried) == {"nodes/in"}
