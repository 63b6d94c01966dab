"""A stage written as NIR and read again computes the same. The `nir` package reads it too."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

from nirc.api import Options, compile_model, lower
from nirc.diagnostics.errors import NircError
from nirc.diagnostics.log import Log
from nirc.exporting.export import exported
from nirc.ir.populations import Population
from nirc.ir.rules import LETTER
from nirc.nirfile.graph import to_graph
from nirc.semantics.run import run
from tests.commands import nirc
from tests.models import DATA, DT, chain, cuba, li

ZOO = ["basicmotions_lif_ff", "japanesevowels_rsnn", "digits_lif_mlp", "digits_if_cnn"]
RNG = np.random.default_rng(0)


def written(
    model: object, stage: str, path: Path, target: str | None = None, **options: Any
) -> tuple[Path, Log]:
    log = Log()
    path.write_bytes(exported(model, stage, target, Options(**options), log=log).data)
    return path, log


def spikes(model: object, inputs: np.ndarray, **options: Any) -> np.ndarray:
    return run(lower(model, Options(**options), log=Log()).discrete, inputs).outputs


@pytest.mark.parametrize("stage", ["float", "discrete"])
@pytest.mark.parametrize("name", ZOO)
def test_a_stage_that_is_read_again_answers_as_the_model(
    name: str, stage: str, tmp_path: Path
) -> None:
    """The file records by whose rule it is read, so that no option is needed."""
    model = DATA / f"zoo/{name}.nir"
    inputs = np.load(model.with_suffix(".npz"))["inputs"][:20]
    inputs = inputs.reshape(*inputs.shape[:2], -1)
    reading = {"writer": "nir,reset=subtract" if "cnn" in name else "nir,reset=zero"}
    path, _ = written(model, stage, tmp_path / "x.nir", **reading)
    nir.read(path)
    assert (spikes(path, inputs) == spikes(model, inputs, **reading)).all()
    assert spikes(path, inputs).any()


def test_physical_parameters_are_read_by_the_writer_of_the_model(tmp_path: Path) -> None:
    model = DATA / "zoo/basicmotions_lif_ff.nir"
    inputs = np.load(model.with_suffix(".npz"))["inputs"][:20]
    path, _ = written(model, "float", tmp_path / "x.nir", writer="snntorch,reset=none")
    reading = lower(path, Options(), log=Log()).reading
    assert (reading.text, reading.confidence) == ("snntorch,reset=none", "recorded")
    assert (spikes(path, inputs) == spikes(model, inputs, writer="snntorch,reset=none")).all()


@pytest.mark.parametrize(
    ("writer", "reading", "left_out"),
    [
        ("snntorch,reset=zero,reset_delay=no", "nir", 0),
        ("snntorch,reset_delay=no", "nir,reset=subtract", 3),  # subtracts twice in a step
    ],
)
def test_a_reader_that_orders_maps_is_not_named_and_its_other_steps_are_reported(
    writer: str, reading: str, left_out: int, tmp_path: Path
) -> None:
    model = DATA / "zoo/digits_if_cnn.nir"
    asked = {"writer": writer, "dt_s": 1e-4}
    path, log = written(model, "float", tmp_path / "x.nir", **asked)
    assert lower(path, Options(dt_s=1e-4), log=Log()).reading.text == reading
    assert [d.code for d in log.diagnostics].count("P315") == left_out
    inputs = np.load(model.with_suffix(".npz"))["inputs"][:20].reshape(20, 12, -1)
    equal = (spikes(path, inputs, dt_s=1e-4) == spikes(model, inputs, **asked)).all()
    assert equal == (left_out == 0)


@pytest.mark.parametrize(
    ("name", "target", "least"),
    [
        ("japanesevowels_rsnn", "xylo", 0.9),
        ("basicmotions_lif_ff", "xylo", 0.8),
        ("digits_if_cnn", "speck", 1.0),
        ("japanesevowels_rsnn", "loihi2", 0.9),
        ("digits_lif_mlp", "spinnaker2", 0.95),
    ],
)
def test_the_integer_stage_holds_what_the_chip_uses(
    name: str, target: str, least: float, tmp_path: Path
) -> None:
    """The chip's rule, which NIR cannot say, is put back here. Rounding of states is left."""
    model = DATA / f"zoo/{name}.nir"
    inputs = np.load(model.with_suffix(".npz"))["inputs"][:40]
    inputs = inputs.reshape(*inputs.shape[:2], -1)
    path, log = written(model, "integer", tmp_path / "x.nir", target, reset="subtract")
    nir.read(path)
    made = compile_model(model, target, Options(reset="subtract"))
    rules = {n: p.dynamics.as_discrete().rule for n, p in _populations(made.integer).items()}
    other = any(rule.without_synapse() != LETTER for rule in rules.values())
    assert ("P315" in {d.code for d in log.diagnostics}) == other
    read = lower(path, Options(), log=Log()).discrete
    again = {
        n: replace(p, dynamics=_stepping(p.dynamics, rules[n]))
        for n, p in _populations(read).items()
    }
    got, chip = run(read.mapped(again), inputs).outputs, run(made.integer, inputs).outputs
    agreeing = (got.sum(axis=1).argmax(axis=1) == chip.sum(axis=1).argmax(axis=1)).mean()
    assert agreeing >= least
    assert chip.any()


def _populations(program: Any) -> dict[str, Any]:
    return program.nodes(Population)


def _stepping(d: Any, rule: Any) -> Any:
    least = -np.inf * np.ones(d.decay_mem.size) if rule.bounded else None
    return replace(d, rule=rule, v_least=least)


def test_a_bias_a_delay_and_a_leak_survive(tmp_path: Path) -> None:
    one = np.ones(3)
    model = chain(
        2,
        nir.Affine(RNG.normal(0.5, 0.3, (3, 2)), RNG.normal(0, 0.1, 3)),
        nir.Delay(one * 3e-4),
        nir.LIF(tau=one * 8e-4, r=one * 8, v_leak=one * 0.3, v_threshold=one, v_reset=one * 0.1),
        nir.Linear(RNG.normal(0.5, 0.3, (2, 3))),
        cuba(2),
        n_out=2,
    )
    inputs = RNG.poisson(0.5, (4, 50, 2))
    for stage in ("float", "discrete"):
        path, _ = written(model, stage, tmp_path / f"{stage}.nir")
        got, expected = (
            run(lower(m, Options(), log=Log()).discrete, inputs).outputs for m in (path, model)
        )
        assert expected.any() and (got == expected).all()


def leaking(n: int) -> nir.LI:
    return nir.LI(tau=np.full(n, 8 * DT), r=np.full(n, 8.0), v_leak=np.full(n, 0.1))


@pytest.mark.parametrize(
    ("writer", "neurons", "what"),
    [
        ("lava", cuba(2), "cuts its states to multiples of 0.000244141 V"),
        ("lava", li(2), "cuts its states to multiples of 0.000244141 V"),
        ("snntorch", cuba(2), "does a step in another order (fire > 1, decay i, add x->i"),
        ("norse,dt=0.001", leaking(2), "does not start at 0"),
        ("nengo,dt=0.001", leaking(2), ""),
        ("norse,dt=0.001", cuba(2), ""),
        ("nir", cuba(2), ""),
    ],
)
def test_an_exported_step_gives_the_same_answer_or_a_warning_says_what_is_left_out(
    writer: str, neurons: nir.NIRNode, what: str, tmp_path: Path
) -> None:
    """Nengo's filters answer a step late, which a delay before the Output keeps."""
    model, log = chain(2, nir.Linear(np.eye(2)), neurons, n_out=2), Log()
    options = Options(writer=writer, dt_s=DT)
    made = exported(model, "discrete", None, options, log=log)
    said = [d.message for d in log.diagnostics if d.code == "P315"]
    assert any(what in message for message in said) if what else said == []
    path, inputs = tmp_path / "x.nir", RNG.poisson(0.5, (2, 40, 2))
    path.write_bytes(made.data)
    discrete = lower(model, options, log=Log()).discrete
    again = lower(path, Options(dt_s=discrete.dt_s), log=Log()).discrete
    asked, got = run(discrete, inputs).outputs, run(again, inputs).outputs
    assert asked.any() and (what or np.allclose(asked, got, rtol=1e-6, atol=1e-9))


def test_same_model_same_bytes(tmp_path: Path) -> None:
    first, second = (
        exported(DATA / "zoo/digits_if_cnn.nir", "float", None, Options(), log=Log())
        for _ in range(2)
    )
    assert first == second


def test_an_integrator_with_a_constant_input_gets_a_matrix_for_it(tmp_path: Path) -> None:
    one = np.ones(2)
    weight = np.array([[0.5, 0.1], [0.2, 0.4]])
    model = chain(
        2, nir.Affine(weight, one * 0.25), nir.Scale(one * 2), nir.IF(one, one, one * 0), n_out=2
    )
    inputs = RNG.poisson(0.3, (2, 30, 2))
    path, _ = written(model, "discrete", tmp_path / "x.nir")
    assert (spikes(path, inputs) == spikes(model, inputs)).all()


def test_what_depends_on_the_chip_asks_for_it(tmp_path: Path) -> None:
    with pytest.raises(NircError) as refusal:
        exported(DATA / "zoo/digits_if_cnn.nir", "integer", None, Options(), log=Log())
    assert refusal.value.diagnostics[-1].code == "U607"


def test_the_command_writes_the_file(tmp_path: Path) -> None:
    model = DATA / "zoo/japanesevowels_rsnn.nir"
    done = nirc("export", model, "--target", "xylo", "-o", "chip.nir", cwd=tmp_path)
    assert done.returncode == 0 and "P315" in done.stderr, done.stderr
    assert nirc("inspect", "chip.nir", cwd=tmp_path).returncode == 0
    assert nirc("export", model, "-o", "x/y.nir", "--stage", "float", cwd=tmp_path).returncode == 2
    assert (
        nirc("export", "none.nir", "--stage", "float", "-o", "y.nir", cwd=tmp_path).returncode == 3
    )


def test_two_receptors_are_refused_with_the_way_out() -> None:
    program = lower(
        chain(2, nir.Linear(np.eye(2)), cuba(2), n_out=2), Options(), log=Log()
    ).discrete
    name, population = next(iter(_populations(program).items()))
    both = replace(population.dynamics, decay_syn_2=np.ones(2) / 2, gain_syn_2=np.ones(2))
    log = Log()
    with pytest.raises(NircError):
        to_graph(program.mapped({name: replace(population, dynamics=both)}), log)
    assert [d.code for d in log.errors] == ["P314"] and "earlier stage" in log.errors[0].help
