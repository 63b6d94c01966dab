"""Models in, Xylo configurations out: they fit or say why not, and the vendor's simulator runs them
identically.
"""

from __future__ import annotations

import json
from pathlib import Path

import nir
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import nirc
from nirc.analysis import operators
from nirc.api import Options, compile_model
from nirc.backends.xylo import BACKEND
from nirc.backends.xylo.config import read_config
from nirc.backends.xylo.fit import fit
from nirc.backends.xylo.legalise import XyloLegalise
from nirc.backends.xylo.limits import AUDIO2, FIRST, LAST
from nirc.backends.xylo.quantise import XyloQuantise
from nirc.chip.backend import Search
from nirc.diagnostics.log import Log
from nirc.semantics.run import run
from tests.build import graph as raw_graph
from tests.build import if_, inp, lowered, out
from tests.build import linear as dense
from tests.models import DATA, DT, chain, cuba, graph, lif, linear, raster, recurrent, relayed
from tests.xylo.oracle import Oracle, require_xylosim

NETWORKS = [
    ("paper/braille_noDelay_noBias_subtract.nir", "subtract", "xylo:audio2"),
    ("paper/braille_noDelay_bias_zero.nir", "zero", "xylo:audio2"),
    ("zoo/basicmotions_lif_ff.nir", "zero", "xylo:audio2"),
    ("zoo/japanesevowels_rsnn.nir", "zero", "xylo:audio3"),
    ("paper/lif_norse.nir", "model", "xylo:audio2"),
]

HIDDEN = AUDIO2.max("hidden neurons")


def inputs_for(file: str, channels: int) -> np.ndarray:
    recorded = DATA / file.replace(".nir", ".npz")
    if recorded.exists():
        return np.load(recorded)["inputs"][:20]
    return raster(np.random.default_rng(1), 8, 80, channels)


def codes(log_or_bundle: Log | nirc.Bundle) -> set[str]:
    return {d.code for d in log_or_bundle.diagnostics}


def refused(model: object, target: str = "xylo", **options: object) -> list[tuple[str, str, str]]:
    with pytest.raises(nirc.CompileError) as refusal:
        nirc.compile(model, target, **options)  # type: ignore[arg-type]
    return [(d.code, d.found, d.limit) for d in refusal.value.diagnostics if d.severity == "error"]


@pytest.mark.oracle
@pytest.mark.parametrize(("file", "reset", "expected"), NETWORKS)
def test_the_emitted_configuration_runs_in_xylosim_as_nirc_runs_it(
    file: str, reset: str, expected: str
) -> None:
    v2 = require_xylosim()
    bundle = nirc.compile(DATA / file, "xylo", reset=reset, dt=DT)
    assert bundle.manifest["target"] == expected
    inputs = inputs_for(file, len(bundle.manifest["input_map"]))
    ours = bundle.run(inputs)
    oracle = Oracle(v2, read_config(bundle.files["config.json"]))
    late = bundle.manifest["latency_steps"]
    padded = np.concatenate([inputs, np.zeros((len(inputs), late, inputs.shape[2]), int)], axis=1)
    theirs = np.stack([np.asarray(oracle.run_sample(sample.tolist())) for sample in padded])
    assert ours.outputs.sum() > 0
    np.testing.assert_array_equal(ours.outputs, theirs[:, late:])


def test_fan_out_of_80_is_too_much_for_audio2_and_the_finding_says_so() -> None:
    model = DATA / "zoo/japanesevowels_rsnn.nir"
    found = refused(model, "xylo:audio2", reset="zero")
    assert found == [("X504", "80 (79 more above it)", "64 (SYNS61201)")]
    bundle = nirc.compile(model, "xylo", reset="zero")
    assert bundle.manifest["target"] == "xylo:audio3"
    (said,) = [d for d in bundle.diagnostics if d.code == "X504"]
    assert said.found == "80 (79 more above it)"
    assert said.help.endswith(", or compile for xylo:audio3 (limit 1024)")


def test_no_other_variant_is_advised_that_another_limit_refuses() -> None:
    """Ten outputs fit Audio 3, but no variant has 64 inputs."""
    with pytest.raises(nirc.CompileError) as refusal:
        nirc.compile(DATA / "zoo/digits_lif_mlp.nir", "xylo:audio2", reset="zero")
    advice = {d.code: d.help for d in refusal.value.diagnostics if d.severity == "error"}
    assert advice["X503"] == "make the output layer smaller" and "X501" in advice


def test_64_inputs_are_refused_with_the_number_beside_each_limit() -> None:
    found = refused(DATA / "zoo/digits_lif_mlp.nir", reset="zero")
    assert ("X501", "64", "16 (SYNS61201)") in found
    assert ("X503", "10", "8 (SYNS61201)") in found


def test_inputs_from_which_no_weight_leads_on_are_not_counted_and_the_finding_says_so() -> None:
    weight = np.zeros((3, 20))
    weight[:, :17] = 1
    found = refused(chain(20, nir.Linear(weight), lif(3), n_out=3), "xylo:audio2")
    assert found == [("X501", "17 of 20 (no weight leads on from the other 3)", "16 (SYNS61201)")]


def test_every_limit_of_the_spiking_cnn_is_named() -> None:
    found = refused(DATA / "paper/cnn_sinabs.nir", reset="subtract")
    assert {code for code, _, _ in found} == {"X501", "X502", "X503", "X504", "X505"}
    assert ("X502", "8960", f"{HIDDEN} (SYNS61201)") in found


@pytest.mark.parametrize("n", [HIDDEN, HIDDEN + 1])
def test_at_the_limit_of_hidden_neurons_it_fits_and_one_above_it_does_not(n: int) -> None:
    weight = np.zeros((n, 2))
    weight[:, 0] = 1
    model = chain(2, nir.Linear(weight), lif(n), nir.Linear(np.ones((3, n)) / n), lif(3), n_out=3)
    if n > HIDDEN:
        assert [code for code, _, _ in refused(model, "xylo:audio2")] == ["X502"]
    else:
        assert nirc.compile(model, "xylo:audio2").manifest["target"] == "xylo:audio2"


def test_a_single_population_gets_relay_neurons_for_its_outputs() -> None:
    rng = np.random.default_rng(0)
    bundle = nirc.compile(
        chain(3, nir.Linear(rng.uniform(0.1, 0.5, (4, 3))), lif(4), n_out=4), "xylo"
    )
    assert "D408" in codes(bundle)
    assert bundle.manifest["latency_steps"] == 1
    inputs = np.zeros((1, 80, 3), int)
    inputs[0, ::5] = 1
    result = bundle.run(inputs, record=["lif1"])
    assert result.outputs.sum() > 4 and result.spikes["lif1"].max() == 1
    np.testing.assert_array_equal(
        result.outputs, result.spikes["lif1"]
    )  # isolated spikes pass one to one


def test_each_layer_adds_one_step_of_latency() -> None:
    rng = np.random.default_rng(0)
    model = chain(
        3, linear(rng, 5, 3), lif(5), linear(rng, 6, 5), lif(6), linear(rng, 4, 6), lif(4), n_out=4
    )
    assert nirc.compile(model, "xylo").manifest["latency_steps"] == 2


def test_more_than_128_neurons_with_inputs_and_outputs_are_relayed_by_aliases_exactly() -> None:
    model = relayed()
    free, ruled = nirc.compile(model, "xylo:audio2"), nirc.compile(model, "xylo:audio3")
    assert "X515" in codes(ruled)
    inputs = raster(np.random.default_rng(3), 4, 50, 6)
    np.testing.assert_array_equal(free.run(inputs).outputs, ruled.run(inputs).outputs)


def test_129_neurons_that_inputs_reach_do_not_fit_audio3() -> None:
    model = chain(
        2, nir.Linear(np.ones((129, 2))), lif(129), nir.Linear(np.ones((2, 129))), lif(2), n_out=2
    )
    found = refused(model, "xylo:audio3")
    assert {code for code, _, _ in found} == {"X506", "X507"}


def test_a_leaky_integrator_is_read_as_a_membrane_in_the_models_volts() -> None:
    rng = np.random.default_rng(0)
    one = np.ones(3)
    readout = nir.LI(tau=one * 8 * DT, r=one * 8, v_leak=one * 0)
    model = chain(4, linear(rng, 20, 4), cuba(20), linear(rng, 3, 20, 0.1), readout, n_out=3)
    log = Log()
    made = compile_model(model, "xylo", Options(reset="subtract"), log=log)
    assert made.bundle.manifest["output_kind"] == "membrane"
    inputs = raster(rng, 4, 60, 4, rate=0.05)
    chip, model_v = made.bundle.run(inputs).outputs, run(made.stages.reference, inputs).outputs
    # The chip's shortest synapse delays by about a step, so traces agree in their mean rather than
    # step by step.
    assert np.corrcoef(chip.mean(axis=1).ravel(), model_v.mean(axis=1).ravel())[0, 1] > 0.95
    np.testing.assert_allclose(chip.mean(), model_v.mean(), rtol=0.25)


def test_membranes_and_spikes_are_not_read_at_once() -> None:
    """Spikes once came out as membranes."""
    rng, one = np.random.default_rng(0), np.ones(2)
    nodes = {"in": nir.Input(np.array([3])), "w": linear(rng, 4, 3), "pop": cuba(4)}
    nodes |= {"v": linear(rng, 2, 4), "read": nir.LI(tau=one * DT * 8, r=one * 8, v_leak=one * 0)}
    nodes |= {"a": nir.Output(np.array([2])), "b": nir.Output(np.array([4]))}
    edges = [("in", "w"), ("w", "pop"), ("pop", "v"), ("v", "read"), ("read", "a")]
    compile_model(graph(nodes, edges), "xylo", Options(reset="subtract"))
    found = refused(graph(nodes, [*edges, ("pop", "b")]), "xylo:audio3")
    assert found[0][:2] == ("X516", "spikes of nodes/b, membranes of nodes/read")


def test_loops_over_two_populations_and_shortcuts_are_named() -> None:
    rng = np.random.default_rng(0)
    nodes = {
        "in": nir.Input(np.array([3])),
        "w": linear(rng, 5, 3),
        "a": cuba(5),
        "ab": linear(rng, 4, 5),
        "b": cuba(4),
        "ba": linear(rng, 5, 4),
        "ac": linear(rng, 2, 5),
        "bc": linear(rng, 2, 4),
        "c": cuba(2),
        "out": nir.Output(np.array([2])),
    }
    edges = [("in", "w"), ("w", "a"), ("a", "ab"), ("ab", "b"), ("b", "ba"), ("ba", "a")]
    edges += [("a", "ac"), ("ac", "c"), ("b", "bc"), ("bc", "c"), ("c", "out")]
    found = codes(nirc.compile(graph(nodes, edges), "xylo", reset="subtract"))
    assert {"D406", "D407"} <= found


def test_strict_turns_every_difference_in_kind_into_an_error() -> None:
    found = {
        code
        for code, _, _ in refused(DATA / "zoo/basicmotions_lif_ff.nir", writer="nir", strict=True)
    }
    assert {"D401", "D403", "D404"} <= found
    assert "D402" not in found  # a time constant is rounded, not another kind of decay


@pytest.mark.parametrize("kind", ["lif_default", "lif_dt1e-4"])
def test_strict_accepts_a_network_of_rockpool_and_names_what_is_rounded(kind: str) -> None:
    bundle = nirc.compile(
        DATA / f"simulators/rockpool/{kind}.nir", "xylo", writer="rockpool,spikes=many", strict=True
    )
    assert {d.code for d in bundle.diagnostics if d.severity == "warning"} == {"D402"}
    assert ("D441", "note") in {
        (d.code, d.severity) for d in bundle.diagnostics
    }  # a readout fires once a step


def test_strict_refuses_a_file_whose_simulator_s_choices_are_open() -> None:
    found = {code for code, _, _ in refused(DATA / "zoo/basicmotions_lif_ff.nir", strict=True)}
    assert found == {"W202"}


def test_time_constants_of_powers_of_two_with_subtraction_leave_only_several_spikes_a_step() -> (
    None
):
    model = recurrent(np.random.default_rng(0), 4, 12, 3)
    assert {
        c for c in codes(nirc.compile(model, "xylo", reset="subtract")) if c.startswith("D")
    } <= {"D404", "D410"}


def test_integrators_and_neurons_without_memory_are_named_each_by_its_code() -> None:
    ones = np.ones(2)
    for neurons, code, said in (
        (nir.IF(r=ones, v_threshold=ones), "D405", "loses 1 unit a step"),
        (nir.Threshold(ones), "D413", "has no memory, the chip's synapse has"),
        (cuba(2), "", ""),
    ):
        log = Log()
        compile_model(
            chain(2, nir.Linear(np.eye(2)), neurons, n_out=2), "xylo", Options(dt_s=DT), log=log
        )
        found = [d for d in log.diagnostics if d.code in ("D405", "D413")]
        assert [d.code for d in found] == [code] * bool(code)
        assert all(said in d.message and d.severity == "warning" for d in found)


def test_biases_reach_the_hidden_neurons() -> None:
    rng = np.random.default_rng(0)
    affine = nir.Affine(weight=rng.normal(0, 1, (5, 3)), bias=np.linspace(-0.5, 0.5, 5))
    bundle = nirc.compile(chain(3, affine, lif(5), linear(rng, 2, 5), lif(2), n_out=2), "xylo")
    config = json.loads(bundle.files["config.json"])
    biases = [n["v_mem_bias"] for n in config["reservoir"]["neurons"]]
    assert config["bias_enable"] is True
    assert biases[0] < biases[2] < biases[4]
    assert (
        biases[2] == -1
    )  # of a bias of 0 there is left what rounding the states down adds in each step


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 10**6), st.integers(1, 6), st.integers(1, 20), st.integers(1, 6), st.booleans()
)
def test_the_device_is_the_integer_form_shifted_by_the_latency(
    seed: int, n_in: int, n: int, n_out: int, deep: bool
) -> None:
    """Biases too, which act on a deep layer before its first step, and may make it fire then."""
    rng = np.random.default_rng(seed)
    model = recurrent(rng, n_in, n, n_out)
    if deep:
        biased = [
            nir.Affine(rng.normal(0, 0.5, (out, n)), rng.normal(0, 0.5, out)) for out in (n, n_out)
        ]
        first = linear(rng, n, n_in)
        model = chain(n_in, first, lif(n), biased[0], cuba(n), biased[1], lif(n_out), n_out=n_out)
    made = compile_model(model, "xylo", Options(reset="subtract", allow_silent=True))
    inputs = raster(rng, 2, 30, n_in)
    names = list(made.bundle.manifest["populations"])
    device = made.bundle.run(inputs, record=names)
    assume(
        max(s.max() for s in device.spikes.values()) <= 8
    )  # beyond, synapses may saturate within a step
    integer = run(made.integer, inputs, record=names)
    np.testing.assert_array_equal(device.outputs, integer.outputs)
    for name in names:
        np.testing.assert_array_equal(device.spikes[name], integer.spikes[name])
        np.testing.assert_array_equal(device.v[name], integer.v[name])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_no_value_of_any_configuration_leaves_its_range(seed: int) -> None:
    """Extreme parameters: the compiler scales them into range or refuses them, it never wraps."""
    rng = np.random.default_rng(seed)
    scale = 10.0 ** rng.integers(-6, 7)
    n = int(rng.integers(1, 8))
    neuron = lif(
        n, steps=float(rng.uniform(1, 1e4)), threshold=float(scale * rng.uniform(0.01, 100))
    )
    affine = nir.Affine(weight=rng.normal(0, scale, (n, 3)), bias=rng.normal(0, scale, n))
    model = chain(3, affine, neuron, linear(rng, 2, n, scale), lif(2), n_out=2)
    config = json.loads(nirc.compile(model, "xylo", allow_silent=True).files["config.json"])
    for part in ("input", "reservoir", "readout"):
        weights = np.array(config[part]["weights"])
        assert weights.min() >= -127 and weights.max() <= 127
        for neuron_ in config[part].get("neurons", []):
            assert 1 <= neuron_["threshold"] <= 32767 and -128 <= neuron_["v_mem_bias"] <= 127


def test_same_input_same_bytes(tmp_path: Path) -> None:
    model = DATA / "zoo/japanesevowels_rsnn.nir"
    one, two = (nirc.compile(model, "xylo", reset="zero") for _ in range(2))
    assert one.files == two.files and one.manifest == two.manifest


def test_unused_inputs_need_no_channel_and_even_none_at_all_runs() -> None:
    weight = np.zeros((4, 20))
    model = chain(20, nir.Linear(weight), lif(4), nir.Linear(np.ones((2, 4))), lif(2), n_out=2)
    silent = nirc.compile(model, "xylo", allow_silent=True)
    assert silent.run(np.ones((1, 5, 20), int)).outputs.sum() == 0
    weight[:, [3, 19]] = 1
    bundle = nirc.compile(model, "xylo")
    assert [i for i, c in enumerate(bundle.manifest["input_map"]) if c is not None] == [3, 19]
    assert bundle.run(np.ones((1, 20, 20), int)).outputs.sum() > 0


def test_too_many_neurons_are_named_although_their_synapses_are_too_many_to_list(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(operators, "MAX_ENTRIES", 1000)
    n = 1100
    nodes = {"in": inp(4), "w": dense(np.ones((n, 4))), "pop": if_(n)}
    nodes |= {"last": dense(np.ones((2, n))), "end": if_(2), "out": out(2)}
    log = Log()
    discrete = lowered(raw_graph(nodes, "in w pop last end out")).discrete
    assert BACKEND.cannot_fit(discrete, (AUDIO2,), log)
    assert [(d.code, d.found) for d in log.errors] == [("X502", str(n))]


def test_the_report_counts_what_is_used() -> None:
    nodes = {"in": inp(3), "w": dense([[1.0, 0, 0], [0, 0, 2.0], [0, 0, 0], [1.0, 0, 0]])}
    nodes |= {"pop": if_(4), "rec": dense(np.eye(4)[[1, 1, 1, 0]]), "last": dense([[1.0, 1, 0, 0]])}
    nodes |= {"end": if_(1), "out": out(1)}
    net = raw_graph(nodes, "in w pop last end out", "pop rec pop")
    discrete = lowered(net).discrete
    legal = XyloLegalise().run(discrete, Log())
    mapped = fit(XyloQuantise().run(legal, Log()), legal, AUDIO2, Search(), Log())
    assert mapped is not None and {k: used for k, (used, _) in mapped.utilisation.items()} == {
        "input channels": 3,  # one each, since they fit
        "hidden neurons": 4,
        "output neurons": 1,
        "fan-out of one neuron": 3,
        "recurrent entries": 4,
        FIRST: 3,
        LAST: 2,
    }
    assert mapped.utilisation["hidden neurons"][1] == HIDDEN


@pytest.mark.parametrize(("bias", "synapse", "said"), [(0.5, 4.0, True), (0.0, 4.0, False)])
def test_a_constant_that_skips_the_synapse_is_reported(
    bias: float, synapse: float, said: bool
) -> None:
    affine = nir.Affine(weight=np.ones((2, 1)), bias=np.array([0.0, bias]))
    model = chain(
        1, affine, cuba(2, synapse=synapse), linear(np.random.default_rng(0), 1, 2), lif(1), n_out=1
    )
    found = codes(nirc.compile(model, "xylo", reset="subtract"))
    assert ("D409" in found) == said
