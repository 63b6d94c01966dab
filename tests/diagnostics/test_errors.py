"""Exceptions and warnings: whole in every process, in the words of Python."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
import re
import warnings
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

import nirc
from nirc.diagnostics.errors import (
    ChipWarning,
    Diagnostic,
    NircError,
    NircWarning,
    ReadingWarning,
    UsageWarning,
    warn,
)
from nirc.diagnostics.python import ARGUMENTS, FLAGS, in_python
from tests.models import DATA

DIGITS = DATA / "zoo/digits_lif_mlp.nir"
TOO_MANY = Diagnostic("X504", "error", "too many targets", "n", "78", "64", help="prune 14")


def refuse(model: Path) -> None:
    nirc.compile(model, "xylo")


def test_a_refusal_comes_back_from_a_pool_of_processes() -> None:
    with ProcessPoolExecutor(1) as pool, pytest.raises(nirc.CompileError) as caught:
        pool.submit(refuse, DIGITS).result(timeout=60)
    assert "X501" in {d.code for d in caught.value.diagnostics}


def test_a_refusal_does_not_hang_a_multiprocessing_pool() -> None:
    with multiprocessing.Pool(1) as pool, pytest.raises(nirc.CompileError) as caught:
        pool.apply_async(refuse, (DIGITS,)).get(timeout=60)
    assert "X501" in {d.code for d in caught.value.diagnostics}


@pytest.mark.parametrize("kind", [*NircError.__subclasses__(), NircWarning, ChipWarning])
def test_copies_keep_class_text_and_findings(kind: type[NircError]) -> None:
    first = kind([TOO_MANY])
    first.add_note("seen in the test")
    for second in (pickle.loads(pickle.dumps(first)), copy.copy(first), copy.deepcopy(first)):
        assert type(second) is kind and str(second) == str(first)
        assert second.diagnostics == first.diagnostics and second.__notes__ == first.__notes__


def test_the_text_of_a_refusal_has_the_value_the_limit_and_the_help() -> None:
    text = str(NircError([TOO_MANY, TOO_MANY]))
    line = "[X504] too many targets (at n, found 78, limit 64). Help: prune 14"
    assert text.splitlines() == [line, line]
    assert repr(NircError([TOO_MANY, TOO_MANY])) == f"<NircError {line} and 1 more>"


def test_a_text_of_very_many_errors_is_short() -> None:
    error = NircError([TOO_MANY] * 5000)
    assert len(str(error)) < 1000 and str(error).endswith("4990 more in `diagnostics`")


@pytest.mark.parametrize(
    ("command", "library"),
    [
        ("give it with --dt SECONDS", "give it with dt=..."),
        ("--from snntorch,reset=zero gives every", 'writer="snntorch,reset=zero" gives every'),
        ("use --from nir --dt 1e-4", 'use writer="nir" dt=1e-4'),
        ("leave --readout away, --readout li:8", 'leave readout away, readout="li:8"'),
        ("--set delays=relays keeps", 'chip={"delays": "relays"} keeps'),
        ("name another with --out, or --force", "name another with directory, or force=True"),
    ],
)
def test_options_become_arguments(command: str, library: str) -> None:
    assert in_python(command) == library


def test_no_words_of_a_finding_keep_an_option_that_the_library_has() -> None:
    root = Path(nirc.__file__).parent
    sources = [*root.glob("diagnostics/*.py"), *root.glob("backends/*/findings.py")]
    words = [line for path in sources for line in path.read_text().splitlines() if "--" in line]
    assert words
    left = re.compile(rf"--(?:{'|'.join([*ARGUMENTS, *FLAGS, 'set', 'input'])})(?![\w-])")
    assert not [line for line in words if left.search(in_python(line))]


def test_a_value_out_of_range_is_reported_by_its_name_in_python() -> None:
    with pytest.raises(nirc.UsageError) as caught:
        nirc.compile(DIGITS, "xylo", dt=-1.0)
    assert "dt must be a positive number" in str(caught.value) and "--" not in str(caught.value)


def test_each_kind_of_warning_has_its_category_and_is_given_once() -> None:
    kinds = {"D401": ChipWarning, "L811": ChipWarning, "G209": ReadingWarning, "U609": UsageWarning}
    found = [Diagnostic(code, "warning", "differs", str(n)) for code in kinds for n in range(3)]
    with pytest.warns(NircWarning) as seen:
        warn([*found, Diagnostic("X513", "note", "a choice")], depth=0)
    assert [type(each.message) for each in seen] == list(kinds.values())
    assert "And 2 more of this code" in str(seen[0].message)
    assert seen[0].filename == __file__


def test_a_warning_can_be_silenced_by_its_category() -> None:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", ChipWarning)
        warn([Diagnostic("D401", "warning", "reset")])
    assert not seen
