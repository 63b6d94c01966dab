"""From NIR files to bundles that answer: the recorded runs, the paper's networks, and whatever else
there may be.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import nir
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import nirc
from nirc.api import Compiled, Options, compile_model
from nirc.backends.loihi2 import BACKEND
from nirc.backends.loihi2.emit import MAPPING
from nirc.backends.loihi2.lower import largest_u
from nirc.backends.loihi2.plan import ROOMS
from nirc.backends.loihi2.tables import from_npz, to_npz
from nirc.chip.backend import Emulation
from nirc.diagnostics.errors import CompileError
from nirc.diagnostics.log import Log
from nirc.files.schema import json_schema
from nirc.semantics.run import run
from tests.loihi2.graphs import random_graph
from tests.models import DATA, DT, chain, lif, linear, raster, recurrent

PAPER = DATA / "paper"
RESETS = ("model", "zero", "subtract")


def assert_answers_as_integers(made: Compiled, inputs: np.ndarray) -> np.ndarray:
    """The bundle's answer, once it is the integer form's."""
    device = made.bundle.run(inputs).outputs
    np.testing.assert_array_equal(device, run(made.integer, inputs).outputs)
    return device


@pytest.mark.parametrize("file", ["cpu", "loihi"])
def test_the_recorded_runs_come_from_the_compiled_file(file: str) -> None:
    """On the chip the voltage word holds a refractory counter in the step of a spike."""
    made = nirc.compile(PAPER / "lif_norse.nir", "loihi2", dt=DT, chip={"constants": "paper"})
    given_, voltage, spikes = np.loadtxt(PAPER / f"lif_lava_{file}_fixed.csv", delimiter=",").T
    answer = BACKEND.emulate(
        made.files,
        given_[None, :, None].astype(np.int64),
        Emulation("synchronous", record=True),
        Log(),
    )
    np.testing.assert_array_equal(answer.outputs.ravel(), spikes)
    np.testing.assert_array_equal(answer.v["neurons"].ravel(), np.where(spikes > 0, 0, voltage))


@pytest.mark.parametrize("name", ["braille_noDelay_bias_zero", "braille_noDelay_noBias_subtract"])
def test_the_papers_recurrent_networks_fit_a_core_and_agree_with_float(name: str) -> None:
    made = compile_model(PAPER / f"{name}.nir", "loihi2", Options(writer="nir"))
    assert (
        made.mapped.utilisation["cores"] == (1, 120) and made.mapped.target.variant == "oheogulch"
    )
    rng = np.random.default_rng(0)
    inputs = (rng.random((60, 256, 12)) < rng.uniform(0, 0.3, (60, 1, 12))).astype(np.uint8)
    device, exact = (
        assert_answers_as_integers(made, inputs),
        run(made.stages.discrete, inputs).outputs,
    )
    agree = device.sum(axis=1).argmax(axis=1) == exact.sum(axis=1).argmax(axis=1)
    assert agree.mean() >= 0.8  # of rasters that mean nothing; figures in docs/reference/loihi2.md


def test_the_papers_convolutional_network_fits_a_chip_and_agrees_with_float() -> None:
    made = compile_model(PAPER / "cnn_sinabs.nir", "loihi2", Options(dt_s=1e-3, writer="nir"))
    assert made.mapped.target.variant == "oheogulch" and made.mapped.utilisation["cores"][0] <= 8
    kinds = [p.kind for p in made.mapped.chip.tables.projections]
    assert kinds.count("conv") == 3  # the pools went into the matrix and the kernels behind them
    rng = np.random.default_rng(0)
    patches = np.kron(rng.random((8, 1, 2, 6, 6)), np.ones((6, 6)))[..., :34, :34] ** 4 * 0.4
    inputs = (rng.random((8, 30, 2, 34, 34)) < patches).astype(np.uint8).reshape(8, 30, -1)
    device, exact = (
        assert_answers_as_integers(made, inputs),
        run(made.stages.discrete, inputs).outputs,
    )
    assert (device.sum(axis=1).argmax(axis=1) == exact.sum(axis=1).argmax(axis=1)).mean() >= 0.7


def behind(model: nir.NIRGraph, first: str, shape: tuple[int, ...]) -> nir.NIRGraph:
    """The part of a chain from node ``first`` on."""
    follows = dict(model.edges)
    nodes, name = {"input": nir.Input(np.array(shape))}, first
    while name in model.nodes:
        nodes[name] = model.nodes[name]
        name = follows.get(name, "")
    edges = [
        ("input", first),
        *((s, t) for s, t in model.edges if s in nodes and t in nodes and s != "input"),
    ]
    return nir.NIRGraph(nodes, edges, type_check=False)


def test_the_ten_digits_that_a_speck_saw_are_read_as_what_they_are() -> None:
    """The recorded activity of the first layer, spread over 60 steps, through the rest of the
    network.
    """
    counts = np.load(PAPER / "speck_activity.npy")[0].astype(int).reshape(10, 1, -1)
    step = np.arange(60)[None, :, None]
    inputs = (step * counts // 60 != (step - 1) * counts // 60).astype(np.uint8)
    rest = behind(nir.read(PAPER / "cnn_sinabs.nir"), "2", (16, 16, 16))
    made = compile_model(rest, "loihi2", Options(dt_s=1e-3, writer="nir"))
    device = made.bundle.run(inputs).outputs.sum(axis=1).argmax(axis=1)
    assert (
        device.tolist()
        == run(made.stages.discrete, inputs).outputs.sum(axis=1).argmax(axis=1).tolist()
    )
    assert device.tolist() == list(range(10))


def test_what_a_xylo_recorded_of_a_braille_letter_is_read_as_float_reads_it() -> None:
    name = "braille_noDelay_noBias_subtract"
    inputs = np.minimum(np.load(PAPER / f"xylo_activity_{name.removeprefix('braille_')}.npy"), 1)[
        None
    ]
    options = Options(dt_s=DT, writer="nir")
    made = compile_model(behind(nir.read(PAPER / f"{name}.nir"), "fc2", (40,)), "loihi2", options)
    device, exact = (
        made.bundle.run(inputs).outputs.sum(axis=1),
        run(made.stages.discrete, inputs).outputs.sum(axis=1),
    )
    assert (
        device.argmax() == exact.argmax() and np.abs(device - exact).max() <= 2 and exact.min() > 0
    )


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32))
@example(seed=536870912)  # lists of synapses into a map
def test_any_network(seed: int) -> None:
    """Its bundle answers as its integers do, and no state wraps around soon."""
    made = compile_model(
        random_graph(seed), "loihi2", Options(dt_s=DT, reset=RESETS[seed % 3], allow_silent=True)
    )
    inputs = np.random.default_rng(seed).poisson(
        0.3, (2, 80, len(made.bundle.manifest["input_map"]))
    )
    assert_answers_as_integers(made, inputs)
    tables = made.mapped.chip.tables
    assert max(largest_u(tables, ROOMS[-1][0]).values()) < 2**23
    assert to_npz(from_npz(made.bundle.files["network.npz"])) == made.bundle.files["network.npz"]
    jsonschema.validate(json.loads(made.bundle.files["mapping.json"]), json_schema(MAPPING))


def test_the_random_networks_fire_and_agree_with_float() -> None:
    """So that the test above compares something."""
    fired, agreements = 0, []
    for seed in range(0, 36, 3):
        made = compile_model(random_graph(seed), "loihi2", Options(dt_s=DT, allow_silent=True))
        inputs = np.random.default_rng(seed).poisson(
            0.3, (2, 60, len(made.bundle.manifest["input_map"]))
        )
        device = made.bundle.run(inputs).outputs
        fired += bool(device.any())
        if made.bundle.manifest["output_kind"] == "spikes":
            agreements.append(
                (run(made.stages.discrete, np.minimum(inputs, 1)).outputs == device).mean()
            )
    assert fired >= 8 and np.mean(agreements) > 0.95


def test_populations_are_recorded_under_their_names_and_units() -> None:
    """Split, merged and late: rows and neurons are the model's."""
    rng = np.random.default_rng(0)
    neurons = lif(5)
    neurons.tau = np.array([4, 4, 9, 4, 9]) * DT
    made = compile_model(
        chain(3, linear(rng, 5, 3), neurons, linear(rng, 2, 5), lif(2), n_out=2),
        "loihi2",
        Options(dt_s=DT),
    )
    inputs = np.minimum(raster(rng, 2, 50, 3), 1)
    got = made.bundle.run(inputs, record=["lif1", "lif3"])
    exact = run(made.integer, inputs, record=["lif1", "lif3"])
    for name in ("lif1", "lif3"):
        assert exact.spikes[name].any()
        np.testing.assert_array_equal(got.spikes[name], exact.spikes[name])
        np.testing.assert_array_equal(got.v[name], exact.v[name])


def test_membranes_come_in_volts_beside_spikes() -> None:
    rng = np.random.default_rng(0)
    nodes = {
        "in": nir.Input(np.array([3])),
        "w": linear(rng, 4, 3),
        "p": lif(4),
        "v": linear(rng, 2, 4),
    }
    nodes["read"] = nir.LI(tau=np.full(2, 5 * DT), r=np.full(2, 5.0), v_leak=np.zeros(2))
    nodes |= {"a": nir.Output(np.array([2])), "b": nir.Output(np.array([4]))}
    edges = [("in", "w"), ("w", "p"), ("p", "v"), ("v", "read"), ("read", "a"), ("p", "b")]
    made = compile_model(nir.NIRGraph(nodes, edges, type_check=False), "loihi2", Options(dt_s=DT))
    inputs = np.minimum(raster(rng, 2, 60, 3), 1)
    device, exact = (
        assert_answers_as_integers(made, inputs),
        run(made.stages.discrete, inputs).outputs,
    )
    assert exact[..., :2].any() and set(np.unique(device[..., 2:])) == {0, 1}
    assert np.abs(device[..., :2] - exact[..., :2]).mean() < 0.1 * np.abs(exact[..., :2]).max()


def test_counts_above_one_are_one_spike_and_told() -> None:
    made = nirc.compile(recurrent(np.random.default_rng(0), 3, 8, 2), "loihi2", dt=DT)
    inputs = np.random.default_rng(0).integers(0, 4, (1, 30, 3))
    log = Log()
    many = made.run(inputs, log=log)
    assert {d.code for d in log.diagnostics} == {"L811"}
    np.testing.assert_array_equal(many.outputs, made.run(np.minimum(inputs, 1)).outputs)


def test_strict_refuses_what_the_chip_does_otherwise() -> None:
    model = recurrent(np.random.default_rng(0), 3, 8, 2)
    model.nodes["pop"].tau_syn = np.full(8, 40 * DT)  # too slow a filter to be made of delays
    with pytest.raises(CompileError) as refusal:
        nirc.compile(model, "loihi2", dt=DT, reset="subtract", strict=True)
    assert "D401" in {d.code for d in refusal.value.diagnostics if d.severity == "error"}
    nirc.compile(model, "loihi2", dt=DT, reset="zero", strict=True)


def test_names_of_any_kind() -> None:
    long = "b" * 255
    neurons = lif(2)
    neurons.tau = np.array([2, 9]) * DT
    nodes = {
        "in": nir.Input(np.array([2])),
        "a": linear(np.random.default_rng(0), 2, 2),
        long: neurons,
    }
    nodes["out"] = nir.Output(np.array([2]))
    made = nirc.compile(
        nir.NIRGraph(nodes, [("in", "a"), ("a", long), (long, "out")], type_check=False),
        "loihi2",
        dt=DT,
    )
    assert made.run(np.ones((1, 30, 2), int)).outputs.shape == (1, 30, 2)
    names = [p.name for p in from_npz(made.files["network.npz"]).populations]
    assert len(set(names)) == 2 and max(map(len, names)) <= 255


def test_a_small_network_compiles_in_a_moment(tmp_path: Path) -> None:
    """Without CP-SAT or anything else that takes longer to load than to compile."""
    model = PAPER / "lif_norse.nir"
    arguments = ["-q", str(model), "--target", "loihi2", "--dt", "1e-4", "-o", str(tmp_path / "b")]
    code = f"""import sys
from nirc.cli.main import main
try: main({arguments!r})
finally: print(sorted({{"ortools.sat", "matplotlib"}} & set(sys.modules)))"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "[]" in done.stdout, done.stdout + done.stderr
    assert (tmp_path / "b" / "mapping.json").exists()
