"""A compilation leaves the process as it was: signals, warnings, locale, environment, threads."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.models import DATA

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="asks Linux which signals are caught"
)
ROOT = Path(__file__).parents[1]
BRAILLE = DATA / "paper/braille_noDelay_noBias_subtract.nir"
DIGITS = DATA / "zoo/digits_if_cnn.nir"
STATE = """
import gc, locale, os, random, signal, sys, threading, warnings
from pathlib import Path
import numpy as np
import nirc

def status(*names):  # of Linux
    lines = open("/proc/self/status").read().splitlines()
    pairs = [line.split(":", 1) for line in lines]
    return {name: text.strip() for name, text in pairs if name in names}

def caught():  # by Python or by a library in C; signal 33 is the C library's own
    return [int(mask, 16) & 0x7FFFFFFF for mask in status("SigCgt", "SigIgn", "SigBlk").values()]

def state():
    return {
        "signals": [signal.getsignal(s) for s in sorted(signal.valid_signals())],
        "caught": caught(),
        "warnings": [*warnings.filters],
        "hooks": [warnings.showwarning, sys.excepthook, sys.unraisablehook, threading.excepthook],
        "locale": locale.setlocale(locale.LC_ALL),
        "environment": dict(os.environ),
        "threads": threading.active_count(),
        "numpy": np.geterr(),
        "random": [random.getstate(), np.random.get_state()[1].tobytes()],
        "recursion": sys.getrecursionlimit(),
        "directory": os.getcwd(),
        "path": [*sys.path],
        "garbage": [gc.isenabled(), gc.get_threshold()],
        "mask": status("Umask"),
    }

def interrupts():
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:
        return True

signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
{before}
first = state()
{work}
last = state()
changed = {name: (first[name], last[name]) for name in first if first[name] != last[name]}
assert not changed, changed
assert interrupts()
print("as it was")
"""


def process_with(work: str, before: str = "") -> subprocess.CompletedProcess[str]:
    """Run ``work`` in a process of its own that compares its state before and after it."""
    text = STATE.replace("{before}", before).replace("{work}", work)
    return subprocess.run(
        [sys.executable, "-c", text],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


@pytest.mark.parametrize(
    ("model", "chip"),
    [(BRAILLE, "xylo"), (BRAILLE, "loihi2"), (BRAILLE, "spinnaker2"), (DIGITS, "speck")],
)
def test_a_compilation_leaves_the_process_as_it_was(model: Path, chip: str) -> None:
    work = f"nirc.compile({str(model)!r}, {chip!r}, dt=1e-4, writer='nir')"
    done = process_with(work)
    assert done.stdout == "as it was\n", done.stderr


def test_a_calibration_and_a_run_leave_the_process_as_it_was() -> None:
    small = """
from nirc.calibration import calibrate, distil, gains
from nirc.calibration.samples import Counts
distil.ROUNDS, gains.GENERATIONS = 3, 2
calibrate.GENERATED = Counts(mixed=2, random=2, clear=2)
"""
    work = f"""
inputs = np.ones((2, 20, 12), int)
made = nirc.compile({str(BRAILLE)!r}, "xylo", dt=1e-4, writer="nir", calibrate=inputs)
made.run(inputs)
"""
    done = process_with(work, small)
    assert done.stdout == "as it was\n", done.stderr


SEARCH = """
import os, signal, threading
from nirc.mapping.cp_sat import CpModel
from nirc.mapping.solver import solve

signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
model = CpModel()
at = [[model.new_bool_var("") for core in range(8)] for item in range(60)]
for item in at:
    model.add_exactly_one(item)
for core in range(8):
    model.add(sum(item[core] for item in at) <= 8)
cuts = []
for i in range(400):
    for first, other in zip(at[7 * i % 60], at[(i * i + 1) % 60]):
        cut = model.new_bool_var("")
        model.add(cut >= first - other)
        cuts.append(cut)
model.minimize(sum(cuts))
threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    solve(model, work=1e9)
except KeyboardInterrupt:
    print("interrupted")
"""


def test_ctrl_c_stops_a_search_that_would_take_for_ever() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SEARCH], capture_output=True, text=True, check=False, timeout=600
    )
    assert (done.returncode, done.stdout) == (0, "interrupted\n"), done.stderr
