"""The outer contract: commands, files, exit statuses, and what goes to which stream."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import chdir
from pathlib import Path

import numpy as np
import pytest

from nirc import api
from nirc.api import Bundle
from nirc.cli.main import main
from nirc.cli.output import Output
from nirc.frontend import hdf5
from nirc.report.verify import _HEAD
from tests.commands import NIRC, nirc, process
from tests.models import DATA

BRAILLE = DATA / "paper/braille_noDelay_noBias_subtract.nir"
VOWELS = DATA / "zoo/japanesevowels_rsnn.nir"


def bundle_bytes(directory: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(directory.iterdir())}


def test_compile_writes_a_bundle_beside_the_current_directory_and_says_what_it_made(
    tmp_path: Path,
) -> None:
    done = nirc(VOWELS, "--target", "xylo", "--reset", "zero", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    names = {
        "certificate.json",
        "check.py",
        "config.json",
        "deploy.py",
        "manifest.json",
        "network.nir",
        "report.html",
        "report.json",
        "specification.npz",
    }
    assert {p.name for p in (tmp_path / "japanesevowels_rsnn.xylo").iterdir()} == names
    assert "xylo:audio3 (SYNS65302) is the first variant that fits" in done.stdout
    assert "80" in done.stdout and "64" in done.stdout
    assert "D401" in done.stderr and "Traceback" not in done.stderr


def test_compile_as_a_command_and_without_it_write_the_same_bytes(tmp_path: Path) -> None:
    for out, command in (("a", ()), ("b", ("compile",))):
        seed = str(1 + len(command))
        done = process(
            *command, BRAILLE, "--target", "xylo", "-o", out, cwd=tmp_path, PYTHONHASHSEED=seed
        )
        assert done.returncode == 0, done.stderr
    assert bundle_bytes(tmp_path / "a") == bundle_bytes(tmp_path / "b")


def test_manifest_holds_what_the_contract_promises(tmp_path: Path) -> None:
    nirc(BRAILLE, "--target", "xylo", "-o", "out", "--seed", "3", cwd=tmp_path)
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())
    assert manifest["target"] == "xylo:audio2" and manifest["dt"] == 1e-4 and manifest["seed"] == 3
    assert manifest["input_map"] == [*range(12)] and manifest["output_map"] == [*range(7)]
    assert manifest["latency_steps"] == 1
    assert set(manifest["files"]) == {
        "certificate.json",
        "check.py",
        "config.json",
        "deploy.py",
        "network.nir",
        "report.html",
        "report.json",
        "specification.npz",
    }


def test_run_writes_totals_spikes_and_recordings(tmp_path: Path) -> None:
    nirc(VOWELS, "--target", "xylo", "--reset", "zero", "-o", "out", cwd=tmp_path)
    data = VOWELS.with_suffix(".npz")
    done = nirc("run", "out", "--data", data, "--out", "o.npz", "--record", "all", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    result = np.load(tmp_path / "o.npz")
    assert result["output"].shape == (341, 8) and result["spikes"].shape == (341, 60, 8)
    assert result["spikes/1.lif"].shape == result["v/1.lif"].shape == (341, 60, 80)
    np.testing.assert_array_equal(result["output"], result["spikes"].sum(axis=1))


def test_verify_names_the_stage_and_the_reset_rule(tmp_path: Path) -> None:
    done = nirc(
        "verify",
        VOWELS,
        "--target",
        "xylo",
        "--from",
        "snntorch,reset=zero,reset_delay=no",
        "--data",
        VOWELS.with_suffix(".npz"),
        "--json",
        "v.json",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "v.json").read_text())
    stages = {s["name"]: s for s in result["stages"]}
    assert list(stages) == ["recorded", "float", "discrete", "integer", "device"]
    assert result["recorded"]["equal"]["float"] == 1
    assert (
        stages["float"]["accuracy"] == pytest.approx(0.8504, abs=1e-4)
        and stages["float"]["agreement"] == 1
    )
    assert result["target"] == "xylo:audio3" and result["samples"] == 341
    assert result["lost_at"] == "integer" and result["first_divergence"]["population"] in (
        "1.lif",
        "3",
    )
    assert stages["device"]["accuracy"] < 0.7
    assert "Agreement is lost at stage `integer`" in done.stdout and "reset" in done.stdout


def test_a_mistyped_name_gets_the_nearest_that_exists(tmp_path: Path) -> None:
    def help_of(*args: object) -> str:
        return nirc(*args, cwd=tmp_path).stderr.partition("help: ")[2]

    assert help_of(BRAILLE, "--target", "Xilo").startswith("did you mean `xylo`?")
    assert help_of(BRAILLE, "--target", "xylo:audo3").startswith("did you mean `xylo:audio3`?")
    assert help_of("targets", "xylo:audo3").startswith("did you mean `xylo:audio3`?")
    assert help_of(BRAILLE, "--target", "speck", "--set", "flor=none").startswith(
        "did you mean `floor`?"
    )
    assert help_of(BRAILLE, "--target", "xylo", "--print-ir-after", "fuze-linear").startswith(
        "did you mean `fuse-"
    )


def test_a_wrong_command_line_is_told_what_there_is_and_blames_no_file(tmp_path: Path) -> None:
    def refused(*args: object) -> str:
        return nirc(BRAILLE, *args, cwd=tmp_path).stderr

    assert "missing option '--target'" in refused() and "loihi2, speck" in refused()
    assert "no such option '--tagret'" in refused("--tagret", "xylo")
    assert "did you mean `--target`?" in refused("--tagret", "xylo")
    both = refused("--target", "all", "--out", "x")
    assert both.startswith("error[U607]") and "-->" not in both


@pytest.mark.parametrize(
    ("args", "status", "code"),
    [
        (("nosuch.nir", "--target", "xylo"), 3, "F101"),
        ((__file__, "--target", "xylo"), 3, "F102"),
        ((BRAILLE, "--target", "xilo"), 2, "U601"),
        ((BRAILLE, "--target", "xylo:audio9"), 2, "U601"),
        ((BRAILLE, "--target", "xylo", "--dt", "-1"), 2, "U607"),
        ((BRAILLE, "--target", "xylo", "--dt", "nan"), 2, "U607"),
        ((BRAILLE, "--target", "xylo", "--print-ir-after", "fuze"), 2, "U606"),
        ((BRAILLE, "--target", "xylo", "--strict", "--from", "nir"), 1, "D404"),
        ((BRAILLE, "--target", "xylo", "--strict"), 1, "W202"),
        ((DATA / "paper/lif_norse.nir", "--target", "xylo"), 1, "P301"),
        ((DATA / "zoo/digits_lif_mlp.nir", "--target", "xylo"), 1, "X501"),
        (("inspect", "nosuch.nir"), 3, "F101"),
        (("explain", "X999"), 2, "U606"),
        (("targets", "tpu"), 2, "U601"),
        (("run", "nosuch", "--data", BRAILLE, "--out", "o.npz"), 3, "U605"),
        ((BRAILLE,), 2, "--target"),
        (("--nonsense",), 2, "nonsense"),
    ],
)
def test_what_cannot_be_done_has_a_status_and_a_code_and_leaves_nothing(
    args: tuple[object, ...], status: int, code: str, tmp_path: Path
) -> None:
    done = nirc(*args, cwd=tmp_path)
    assert done.returncode == status, done.stderr
    assert code in done.stderr and "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_json_output_is_one_object_with_results_and_diagnostics(tmp_path: Path) -> None:
    done = nirc(BRAILLE, "--target", "xylo", "--format", "json", cwd=tmp_path)
    result = json.loads(done.stdout)
    assert result["exit_status"] == 0 and result["bundle"] == "braille_noDelay_noBias_subtract.xylo"
    assert {d["code"] for d in result["diagnostics"]} >= {"D402", "D404"}
    refused = json.loads(
        nirc("nosuch.nir", "--target", "xylo", "--format", "json", cwd=tmp_path).stdout
    )
    assert refused["exit_status"] == 3 and refused["diagnostics"][0]["code"] == "F101"


def test_help_teaches_and_loads_no_numpy(tmp_path: Path) -> None:
    done = nirc("--help", cwd=tmp_path)
    assert done.returncode == 0 and "nirc model.nir --target xylo" in done.stdout
    check = (
        "import sys; from nirc.cli.main import cli\n"
        "cli(['--help'], standalone_mode=False)\nprint('numpy' in sys.modules)"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert loaded.stdout.splitlines()[-1] == "False"


def test_options_for_ci_are_explained_once_and_known_everywhere(tmp_path: Path) -> None:
    ci = nirc("help", "ci", cwd=tmp_path).stdout
    assert all(each in ci for each in ("--sarif FILE", "--allow CODE", "--write-baseline FILE"))
    one = nirc("explain", "--help", cwd=tmp_path).stdout
    assert one == nirc("help", "explain", cwd=tmp_path).stdout
    assert "nirc help ci" in one and "SARIF" not in one
    assert nirc("explain", "X504", "--sarif", "s.json", cwd=tmp_path).returncode == 0
    wrong = nirc("help", "explian", cwd=tmp_path)
    assert wrong.returncode == 2 and "did you mean `explain`?" in wrong.stderr


def test_the_help_of_verify_names_every_column_that_it_prints(tmp_path: Path) -> None:
    shown = nirc("verify", "--help", cwd=tmp_path).stdout
    for column in (*_HEAD[:2], "count error", "rate error", "distance", "on chip"):
        assert f" {column} " in shown


def test_inspect_targets_passes_and_explain_answer(tmp_path: Path) -> None:
    inspected = nirc("inspect", DATA / "history/braille_v2-50b2fc.nir", cwd=tmp_path)
    assert (
        "45 neurons" in inspected.stdout
        and "G202" in inspected.stderr
        and "G207" in inspected.stderr
    )
    limits = nirc("targets", "xylo:audio3", cwd=tmp_path).stdout
    assert "31744" in limits and "rockpool" in limits and "audio2" not in limits
    passes = nirc("passes", cwd=tmp_path).stdout
    assert (
        passes.index("flatten-nesting") < passes.index("discretise") < passes.index("xylo-quantise")
    )
    assert "fan-out" in nirc("explain", "x504", cwd=tmp_path).stdout


def test_ir_can_be_printed_after_any_pass(tmp_path: Path) -> None:
    done = nirc(BRAILLE, "--target", "xylo", "--print-ir-after", "fuse-linear", cwd=tmp_path)
    assert "// after fuse-linear" in done.stdout and "feedback (+1 step)" in done.stdout


@pytest.mark.parametrize("chip", ["loihi2", "speck", "spinnaker2", "xylo"])
def test_the_pass_that_calibrates_is_listed_for_every_chip(chip: str, tmp_path: Path) -> None:
    listed = [line.split()[:2] for line in nirc("passes", cwd=tmp_path).stdout.splitlines()]
    assert listed.count([f"{chip}-calibrate", chip]) == 1


@pytest.mark.usefixtures("small_calibration")
def test_ir_can_be_printed_after_the_pass_that_calibrates(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", inputs=np.ones((1, 2, 12), np.int64))
    asked = (
        "--target",
        "spinnaker2",
        "--calibrate",
        "d.npz",
        "--print-ir-after",
        "spinnaker2-calibrate",
    )
    done = nirc(BRAILLE, *asked, cwd=tmp_path)
    assert done.returncode == 0 and "// after spinnaker2-calibrate" in done.stdout, done.stderr


def test_a_directory_with_other_things_is_left_alone_unless_forced(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.tex").write_text("years of work")
    done = nirc(BRAILLE, "--target", "xylo", "-o", "mine", cwd=tmp_path)
    assert done.returncode == 2 and "U602" in done.stderr
    assert nirc(BRAILLE, "--target", "xylo", "-o", "mine", "--force", cwd=tmp_path).returncode == 0
    assert (tmp_path / "mine/thesis.tex").read_text() == "years of work"
    assert (tmp_path / "mine/manifest.json").exists()


def test_an_older_bundle_is_replaced(tmp_path: Path) -> None:
    for target in ("xylo:audio2", "xylo:imu"):
        assert nirc(BRAILLE, "--target", target, "-o", "out", cwd=tmp_path).returncode == 0
    assert json.loads((tmp_path / "out/manifest.json").read_text())["target"] == "xylo:imu"
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("delay", [0.05, 0.15, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6])
def test_killed_at_any_moment_there_is_no_half_bundle(delay: float, tmp_path: Path) -> None:
    command = [*NIRC, str(VOWELS), "--target", "xylo", "-o", "out", "-q"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL)
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    process.wait()
    if (tmp_path / "out").exists():  # it was fast enough: then the bundle is whole
        assert (
            nirc(
                "run", "out", "--data", VOWELS.with_suffix(".npz"), "--out", "o.npz", cwd=tmp_path
            ).returncode
            == 0
        )
    assert nirc(VOWELS, "--target", "xylo", "-o", "out", "-q", cwd=tmp_path).returncode == 0
    assert {p.name for p in tmp_path.iterdir()} <= {"out", "o.npz"}


SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
INTERRUPTED = """
import os, signal
from pathlib import Path
import nirc.files.commit as commit
from nirc.cli.main import main

signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it

def interrupt():
    os.kill(os.getpid(), signal.{name})

{plan}
main()
"""
WHILE_WRITING = """
commit.os.fsync = lambda descriptor: interrupt()
"""
WHILE_CLEANING_UP = """
def remove(path, ignore_errors, remove=commit.shutil.rmtree):
    interrupt()
    remove(path, ignore_errors=ignore_errors)
commit.shutil.rmtree = remove
commit.os.fsync = lambda descriptor: interrupt()
"""
DURING_THE_RENAMES = """
def rename(self, other, rename=Path.rename):
    rename(self, other)
    interrupt()
Path.rename = rename
"""
AFTER_THE_RENAMES = """
def remove(path, ignore_errors, remove=commit.shutil.rmtree):
    interrupt()
    remove(path, ignore_errors=ignore_errors)
commit.shutil.rmtree = remove
"""
WHILE_PYTHON_ENDS = """
import atexit
atexit.register(interrupt)
"""


def interrupted(name: str, plan: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    code = INTERRUPTED.format(name=name, plan=plan)
    command = [sys.executable, "-c", code, str(BRAILLE), "--target", "xylo", "-o", "out"]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("name", "plan"),
    [*((name, WHILE_WRITING) for name in SIGNALS), ("SIGTERM", WHILE_CLEANING_UP)],
)
def test_an_interrupted_run_cleans_up(name: str, plan: str, tmp_path: Path) -> None:
    """All signals have one handler: each is sent once, and one of them at every moment."""
    done = interrupted(name, plan, tmp_path)
    assert (done.returncode, done.stderr) == (130, "interrupted; nothing was written\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "plan"),
    [
        ("SIGINT", DURING_THE_RENAMES),
        ("SIGHUP", AFTER_THE_RENAMES),
        *((name, WHILE_PYTHON_ENDS) for name in SIGNALS),
    ],
)
def test_an_interruption_after_the_commit_is_a_success(
    name: str, plan: str, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    done = interrupted(name, plan, tmp_path)
    assert done.returncode == 0 and "interrupted" not in done.stderr
    assert "wrote out/" in done.stdout and "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert Bundle.open(tmp_path / "out").manifest["target"] == "xylo:audio2"


def test_a_signal_that_nohup_ignores_stays_ignored(tmp_path: Path) -> None:
    plan = "signal.signal(signal.SIGHUP, signal.SIG_IGN)" + WHILE_WRITING
    assert interrupted("SIGHUP", plan, tmp_path).returncode == 0


def test_the_module_runs_and_needs_no_docstrings_for_its_descriptions(tmp_path: Path) -> None:
    command = [sys.executable, "-OO", "-m", "nirc", "passes"]
    bare = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert bare.stdout == nirc("passes", cwd=tmp_path).stdout and "Dissolve nested" in bare.stdout


def test_a_command_in_a_process_gives_the_signals_back(tmp_path: Path) -> None:
    before = [signal.getsignal(getattr(signal, name)) for name in SIGNALS]
    with chdir(tmp_path), pytest.raises(SystemExit):
        main(["explain", "none"])
    assert [signal.getsignal(getattr(signal, name)) for name in SIGNALS] == before


@pytest.mark.parametrize(
    "args",
    [
        ("inspect", BRAILLE, "--sarif", "no/f"),
        (BRAILLE, "--target", "xylo", "--sarif", "no/f"),
        ("verify", BRAILLE, "--target", "xylo", "--data", "d.npz", "--json", "no/f"),
        ("run", "out", "--data", "d.npz", "--out", "no/f"),
        ("export", BRAILLE, "--stage", "float", "-o", "no/f"),
        ("mapping", "out", "--plot", "no/f.svg"),
    ],
)
def test_a_result_without_a_folder_is_refused_before_the_work(
    args: tuple[object, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(Output, "about")  # where every command begins
    done = nirc(*args, cwd=tmp_path)
    assert done.returncode == 2 and "U608" in done.stderr and not list(tmp_path.iterdir())


def test_a_disk_that_fails_while_a_model_is_read_is_not_the_fault_of_stdout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(path: Path) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(hdf5, "check_hdf5", failing)
    done = nirc("inspect", BRAILLE, cwd=tmp_path)
    assert done.returncode == 3 and "F101" in done.stderr and "Input/output error" in done.stderr


def test_memory_that_is_refused_is_no_bug(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*args: object, **options: object) -> None:
        raise MemoryError

    monkeypatch.setattr(api, "first_fit", failing)
    done = nirc(BRAILLE, "--target", "xylo", cwd=tmp_path)
    assert done.returncode == 1 and "U618" in done.stderr and not list(tmp_path.iterdir())


def test_passes_and_help_have_their_words_without_docstrings(tmp_path: Path) -> None:
    for asked in ("passes", "--help", "verify --help"):
        command = [*asked.split()]
        plain = process(*command, cwd=tmp_path)
        stripped = process(*command, cwd=tmp_path, PYTHONOPTIMIZE="2")
        assert plain.stdout == stripped.stdout and len(plain.stdout) > 500


def test_a_bug_says_so_without_a_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(api, "compile_model", lambda *x, **y: 1 / 0)
        done = nirc(BRAILLE, "--target", "xylo", cwd=tmp_path)
    assert done.returncode == 70 and "B901" in done.stderr and "Traceback" not in done.stderr
    code = (
        "import nirc.api as a\na.compile_model = lambda *x, **y: 1 / 0\nfrom nirc.cli.main "
        "import main; main()"
    )
    args = [sys.executable, "-c", code, str(BRAILLE), "--target", "xylo"]
    assert (
        "Traceback"
        in subprocess.run(
            [*args, "--debug"], cwd=tmp_path, capture_output=True, text=True, check=False
        ).stderr
    )


def test_diagnostics_have_no_colour_outside_a_terminal(tmp_path: Path) -> None:
    assert "\x1b" not in nirc(BRAILLE, "--target", "xylo", cwd=tmp_path).stderr


def test_two_variants_have_two_default_directories(tmp_path: Path) -> None:
    for target in ("xylo", "xylo:audio2", "xylo:audio3"):
        assert nirc(BRAILLE, "--target", target, cwd=tmp_path).returncode == 0
    made = {p.name.removeprefix(BRAILLE.stem) for p in tmp_path.iterdir()}
    assert made == {".xylo", ".xylo-audio2", ".xylo-audio3"}


def test_a_shell_gets_completions_instead_of_help(tmp_path: Path) -> None:
    script = process(cwd=tmp_path, _NIRC_COMPLETE="bash_source")
    assert "complete " in script.stdout and "Usage" not in script.stdout
    asked = {"_NIRC_COMPLETE": "bash_complete", "COMP_CWORD": "1"}
    first = process(cwd=tmp_path, COMP_WORDS="nirc insp", **asked)
    assert first.stdout.splitlines() == ["plain,inspect", "file,insp"]
    option = process(cwd=tmp_path, COMP_WORDS="nirc m.nir --tar", **asked | {"COMP_CWORD": "2"})
    assert option.stdout.splitlines() == ["plain,--target"]


def test_an_answer_never_replaces_the_data_or_a_file_of_the_bundle(tmp_path: Path) -> None:
    nirc(VOWELS, "--target", "xylo", "--reset", "zero", "-o", "b", cwd=tmp_path)
    data = tmp_path / "d.npz"
    np.savez(data, inputs=np.ones((1, 5, 12), np.int64))
    before = data.read_bytes()
    for out in ("d.npz", "b/config.json", "b/manifest.json"):
        done = nirc("run", "b", "--data", "d.npz", "--out", out, cwd=tmp_path)
        assert done.returncode == 2 and "U607" in done.stderr
    assert data.read_bytes() == before
    assert nirc("check", "b", cwd=tmp_path).returncode == 0


@pytest.mark.parametrize("tolerance", ["nan", "inf", "-1"])
def test_a_tolerance_is_a_number_of_spikes(tmp_path: Path, tolerance: str) -> None:
    np.savez(tmp_path / "a.npz", spikes=np.zeros((1, 2, 3), np.int64))
    done = nirc("compare", "a.npz", "a.npz", "--tolerance", tolerance, cwd=tmp_path)
    assert done.returncode == 2


def test_without_a_command_the_help_is_shown(tmp_path: Path) -> None:
    done = nirc(cwd=tmp_path)
    assert "Usage: nirc" in done.stderr + done.stdout
    assert "U607" not in done.stderr
