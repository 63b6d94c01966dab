"""What a hostile and an unlucky user found: each story failed once."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import warnings
from collections.abc import Callable
from pathlib import Path

import nir
import numpy as np
import pytest

import nirc
from nirc.api import Compiled, Options, compile_model
from nirc.diagnostics.log import Log
from nirc.files import bundle, commit
from nirc.files.bundle import save_json
from nirc.files.data import Data
from nirc.files.manifest import SCHEMA, sha256
from nirc.semantics.run import run
from nirc.verification.inspection import inspection
from nirc.verification.verify import verify
from tests.commands import HEARS_CTRL_C, NIRC, process
from tests.commands import nirc as command
from tests.models import DATA, DT, chain, cuba, lif, linear, raster

BRAILLE = DATA / "paper/braille_noDelay_noBias_subtract.nir"
XYLO = ("--target", "xylo")
FILES = {"a": b"first", bundle.MANIFEST: b"{}"}


def files(text: bytes) -> dict[str, bytes]:
    """A bundle of one file that may be replaced by another."""
    manifest: dict[str, object] = {"schema": SCHEMA, "files": {"a": sha256(text)}, "target": "x"}
    manifest |= {"output_kind": "spikes", "latency_steps": 0, "populations": {}}
    manifest |= {"input_map": [], "output_map": [], "output_latency_steps": []}
    return {"a": text, bundle.MANIFEST: bundle.to_json(bundle.signed(manifest))}


def compiled(
    *layers: nir.NIRNode, n_out: int, dt: float = DT
) -> tuple[Compiled, list[tuple[str, str]]]:
    """The network of three inputs on Audio 2, and what was said."""
    log = Log()
    made = compile_model(
        chain(3, *layers, n_out=n_out), "xylo:audio2", Options(dt_s=dt, reset="subtract"), log=log
    )
    return made, [(d.code, d.severity) for d in log.diagnostics]


# --- where results go ---


def test_a_device_is_written_into_and_never_replaced_by_a_file(tmp_path: Path) -> None:
    device = tmp_path / "full"  # a link: if this breaks again, no real device is lost
    device.symlink_to("/dev/full")
    with pytest.raises(nirc.NircError, match="No space left"):
        save_json(device, {}, Log())
    assert device.is_symlink()


def test_a_link_to_a_result_file_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link.json").symlink_to("real.json")
    save_json(tmp_path / "link.json", {"a": 1}, Log())
    assert (tmp_path / "link.json").is_symlink() and json.loads(
        (tmp_path / "real.json").read_text()
    ) == {"a": 1}


def test_the_current_directory_is_not_renamed_away_but_can_be_filled(tmp_path: Path) -> None:
    refused = command(BRAILLE, *XYLO, "-o", ".", cwd=tmp_path)
    assert refused.returncode == 2 and "U602" in refused.stderr and not list(tmp_path.iterdir())
    assert command(BRAILLE, *XYLO, "-o", ".", "--force", cwd=tmp_path).returncode == 0
    assert (tmp_path / "manifest.json").exists()


@pytest.mark.parametrize("place", ["n" * 300, "file/inside"])
def test_an_impossible_place_is_refused_before_the_work(place: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(nirc.NircError) as refusal:
        bundle.refuse_unusable(tmp_path / place, force=False, log=Log())
    assert (refusal.value.exit_code, refusal.value.diagnostics[0].code) == (2, "U608")


def test_a_name_as_long_as_the_file_system_takes_is_no_trouble(tmp_path: Path) -> None:
    bundle.write(tmp_path / ("n" * 255), FILES, force=False, log=Log())
    assert [p.name for p in tmp_path.iterdir()] == ["n" * 255]


def test_what_only_looks_like_the_rest_of_a_killed_run_is_not_removed(tmp_path: Path) -> None:
    """A process id says nothing about another machine that shares the folder."""
    dead = subprocess.Popen(["true"])
    dead.wait()
    names = {".out.partial-thesis", f".out.partial-0badcafe-{dead.pid}-01234567"}
    ours = f".out.partial-{commit._machine()}-{dead.pid}-01234567"
    for name in (*names, ours):
        (tmp_path / name).mkdir()
    bundle.write(tmp_path / "out", FILES, force=False, log=Log())
    assert {path.name for path in tmp_path.iterdir()} == {*names, "out"}


def test_interrupted_between_the_two_renames_the_older_bundle_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle.write(tmp_path / "out", files(b"older"), force=False, log=Log())

    def interrupted(new: Path, directory: Path, old: Path) -> None:
        directory.rename(old)
        raise KeyboardInterrupt

    monkeypatch.setattr(commit, "_swap", interrupted)
    with pytest.raises(KeyboardInterrupt):
        bundle.write(tmp_path / "out", files(b"newer"), force=False, log=Log())
    assert (tmp_path / "out/a").read_bytes() == b"older" and len(list(tmp_path.iterdir())) == 1


def _write_often(directory: Path, number: int) -> None:
    for _ in range(10):
        bundle.write(directory, files(b"%d" % number * 1000), force=False, log=Log())


def test_commands_that_write_one_bundle_at_the_same_time_all_succeed(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        pool.starmap(_write_often, [(tmp_path / "out", n) for n in range(3)])
    assert bundle.read(tmp_path / "out", Log())[1] and [p.name for p in tmp_path.iterdir()] == [
        "out"
    ]


# --- streams and names ---


def test_nobody_reads_the_answer_any_more(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [*NIRC, "inspect", str(BRAILLE)], cwd=tmp_path, stdout=writing, stderr=writing, check=False
    )
    os.close(writing)
    assert done.returncode == 141


def test_closed_streams_are_as_good_as_dev_null(tmp_path: Path) -> None:
    shell = ["sh", "-c", 'exec "$@" >&- 2>&-', "sh", *NIRC, str(BRAILLE), *XYLO, "-o", "out"]
    assert subprocess.run(shell, cwd=tmp_path, check=False).returncode == 0
    assert (tmp_path / "out/manifest.json").exists()


@pytest.mark.parametrize("args", [("--help",), ("inspect", str(BRAILLE))])
def test_a_full_disk_behind_stdout_is_no_bug_of_nirc(args: tuple[str, ...], tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        every = [*NIRC, *args]
        done = subprocess.run(
            every, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 2 and "U608" in done.stderr
    assert "B901" not in done.stderr and "Traceback" not in done.stderr


def test_a_bundle_has_the_same_bytes_in_every_locale_and_for_every_name(tmp_path: Path) -> None:
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    (tmp_path / "mödel.nir").write_bytes(BRAILLE.read_bytes())
    for out, env in (("a", {}), ("b", ascii_only)):
        done = process("mödel.nir", *XYLO, "-o", out, cwd=tmp_path, **env)
        assert done.returncode == 0, done.stderr
    texts = [(tmp_path / out / "manifest.json").read_text() for out in "ab"]
    assert texts[0] == texts[1] and "mödel" in texts[0]


def test_a_name_that_is_no_text_and_would_drive_the_terminal_is_spelt_out(tmp_path: Path) -> None:
    name = os.fsdecode(b"\xff\x1b[31m.nir")
    (tmp_path / name).write_bytes(BRAILLE.read_bytes())
    done = command(name, *XYLO, cwd=tmp_path)
    assert done.returncode == 0 and "\x1b" not in done.stdout + done.stderr


# --- the command line ---


@pytest.mark.parametrize("args", [(), ("--bogus",), (*XYLO, "--dt", "soon")])
def test_a_wrong_command_line_is_json_too(args: tuple[str, ...], tmp_path: Path) -> None:
    done = command(BRAILLE, *args, "--format", "json", cwd=tmp_path)
    answer = json.loads(done.stdout)
    assert (
        done.returncode == answer["exit_status"] == 2
        and answer["diagnostics"][0]["severity"] == "error"
    )


def test_a_mistyped_command_is_not_taken_for_a_model(tmp_path: Path) -> None:
    assert "did you mean `nirc inspect`?" in command("inspct", BRAILLE, cwd=tmp_path).stderr


@pytest.mark.parametrize("dt", [0.0, -1.0, float("nan")])
def test_inspect_takes_no_impossible_time_step(dt: float) -> None:
    with pytest.raises(nirc.NircError) as refusal:
        inspection(BRAILLE, Options(dt_s=dt), Log())
    assert [d.code for d in refusal.value.diagnostics] == ["U607"]


def test_findings_about_data_name_the_data_and_labels_from_1_are_noticed(tmp_path: Path) -> None:
    inputs = np.zeros((2, 5, 12), int)
    np.savez(tmp_path / "bad.npz", inputs=inputs, labels=[1])
    np.savez(tmp_path / "one.npz", inputs=inputs, labels=[1, 7])
    command(BRAILLE, *XYLO, "-o", "out", cwd=tmp_path)
    assert (
        "--> bad.npz: labels"
        in command("run", "out", "--data", "bad.npz", "--out", "o", cwd=tmp_path).stderr
    )
    said = command("run", "out", "--data", "one.npz", "--out", "o", cwd=tmp_path).stderr
    assert "U604" in said and "found 7, expected 0 to 6" in said


@pytest.mark.usefixtures("small_calibration")
def test_events_to_calibrate_with_are_counted_in_the_given_time_step(tmp_path: Path) -> None:
    events = nir.EventData(
        idx=np.array([[0, 3, 5]]), time=np.array([[0, 1e-4, 5e-4]]), n_neurons=12, t_max=3e-3
    )
    node = nir.NIRNodeData(observables={"spikes": events})
    nir.write_data(tmp_path / "events.nir", nir.NIRGraphData(nodes={"input": node}))
    done = command(BRAILLE, *XYLO, "--dt", "1e-4", "--calibrate", "events.nir", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_inputs_to_calibrate_with_are_named_by_their_file_where_they_do_not_fit(
    tmp_path: Path,
) -> None:
    np.savez(tmp_path / "other.npz", inputs=np.ones((4, 5, 7), np.int64))
    for asked in ((*XYLO, "-o", "b"), ("--target", "all"), ("verify",), ("export",)):
        before, rest = (asked[:1], ()) if asked[0] in {"verify", "export"} else ((), asked)
        rest = {"verify": (*XYLO, "--data", "other.npz"), "export": (*XYLO, "-o", "x.nir")}.get(
            asked[0], rest
        )
        done = command(*before, BRAILLE, *rest, "--calibrate", "other.npz", cwd=tmp_path)
        assert (
            done.returncode == 3
            and "U604" in done.stderr
            and "--> other.npz: inputs" in done.stderr
        ), done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["other.npz"]


def test_inputs_to_calibrate_with_that_are_silent_are_warned_of() -> None:
    """Rates cast to integers are a common mistake; a calibration on made-up inputs alone went
    through unsaid.
    """
    model = chain(3, linear(np.random.default_rng(0), 4, 3), lif(4), n_out=4)
    log = Log()
    compile_model(
        model, "spinnaker2", Options(dt_s=DT), log=log, calibration=np.zeros((4, 5, 3), np.int64)
    )
    assert [d.found for d in log.diagnostics if d.code == "U612"] == ["4 silent sample(s)"]


def test_an_interrupted_calibration_leaves_nothing(tmp_path: Path) -> None:
    data = DATA / "zoo/japanesevowels_rsnn"
    every = [
        *HEARS_CTRL_C,
        *NIRC,
        data.with_suffix(".nir"),
        *XYLO,
        "--calibrate",
        data.with_suffix(".npz"),
        "-o",
        "b",
        "-v",
    ]
    with subprocess.Popen(
        list(map(str, every)), cwd=tmp_path, stderr=subprocess.PIPE, text=True
    ) as run_:
        assert run_.stderr is not None
        for line in run_.stderr:  # -v: the calibration is what comes after this pass
            if line.startswith("xylo-legalise"):
                break
        run_.send_signal(signal.SIGINT)
        said = run_.stderr.read()
        status = run_.wait(timeout=600)
    assert (
        status == 130
        and said == "interrupted; nothing was written\n"
        and not list(tmp_path.iterdir())
    )


# --- wrong answers ---


def integrator(n: int) -> nir.I:
    return nir.I(r=np.ones(n))


def slow_readout(n: int) -> nir.LI:
    one = np.ones(n)
    return nir.LI(tau=one * 1e9 * DT, r=one * 1e9, v_leak=one * 0)


@pytest.mark.parametrize("readout", [integrator, slow_readout])
def test_an_output_that_forgets_nothing_is_not_always_zero(
    readout: Callable[[int], nir.NIRNode],
) -> None:
    rng = np.random.default_rng(0)
    made, _ = compiled(linear(rng, 5, 3), cuba(5), linear(rng, 2, 5), readout(2), n_out=2)
    inputs = raster(rng, 2, 60, 3)
    model, chip = run(made.stages.reference, inputs).outputs, made.bundle.run(inputs).outputs
    assert np.corrcoef(model.ravel(), chip.ravel())[0, 1] > 0.95


def test_slow_synapses_keep_their_weights() -> None:
    rng = np.random.default_rng(0)
    weights = nir.Linear(rng.normal(0.1, 0.02, (20, 3)))
    made, _ = compiled(weights, cuba(20, synapse=256), linear(rng, 2, 20), cuba(2), n_out=2)
    inputs = raster(rng, 10, 100, 3)
    model, chip = (
        x.outputs.sum(axis=1) for x in (run(made.stages.reference, inputs), made.bundle.run(inputs))
    )
    # Of the second layer, whose weights are normal around 0, one of .7 units becomes 0 so that the
    # sum is kept.
    lost = [
        d.message
        for d in made.bundle.diagnostics
        if d.code == "D410" and "to `cubalif1`" in d.message
    ]
    assert not lost and np.abs(model - chip).mean() < 0.2 * model.mean()


def test_losing_most_of_a_layer_to_rounding_is_a_warning() -> None:
    weights = np.full((2, 3), 1e-6)
    weights[:, 0] = 1.0
    rng = np.random.default_rng(0)
    _, said = compiled(nir.Linear(weights), cuba(2), linear(rng, 2, 2), cuba(2), n_out=2)
    assert ("D410", "warning") in said


def test_time_constants_far_below_the_step_do_not_make_the_model_explode() -> None:
    rng = np.random.default_rng(0)
    one = np.ones(2)
    readout = nir.LI(tau=one * 0.01 * DT, r=one, v_leak=one * 0)
    model = chain(3, linear(rng, 4, 3), lif(4, steps=0.5), linear(rng, 2, 4), readout, n_out=2)
    inputs = raster(rng, 2, 400, 3)
    result = verify(
        model, "xylo", Data(inputs), Options(dt_s=DT, discretise="exponential"), log=Log()
    )
    json.dumps(result, allow_nan=False)
    assert result["stages"][1]["count_error"] < 1e-6


def test_an_endless_synapse_is_told_without_a_warning_of_numpy() -> None:
    rng = np.random.default_rng(0)
    endless = cuba(4)
    endless.tau_syn, endless.w_in = np.full(4, np.inf), np.ones(4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, said = compiled(linear(rng, 4, 3), endless, linear(rng, 2, 4), cuba(2), n_out=2)
    assert ("D402", "warning") in said


def without_config(manifest: dict[str, object]) -> dict[str, object]:
    return manifest | {"files": {}}


def without_an_output(manifest: dict[str, object]) -> dict[str, object]:
    return manifest | {"output_map": [None, *range(1, 7)]}


@pytest.mark.parametrize("change", [without_config, without_an_output])
def test_a_forged_manifest_is_damage_not_a_bug(
    change: Callable[[dict[str, object]], dict[str, object]], tmp_path: Path
) -> None:
    saved = nirc.compile(BRAILLE, "xylo").save(tmp_path / "out")
    manifest = saved / "manifest.json"
    changed = change(json.loads(manifest.read_text()))
    manifest.write_bytes(bundle.to_json(bundle.signed(changed)))
    with pytest.raises(nirc.NircError) as refusal:
        nirc.Bundle.open(saved).run(np.zeros((1, 5, 12), int))
    assert refusal.value.diagnostics[0].code == "U605"
