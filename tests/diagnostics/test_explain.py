"""Every code has a page of the same form, the reference contains them all, and unknown codes get a
hint.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs.make_reference import main
from nirc.chip.explain import explanation, finding_class, finding_classes
from nirc.diagnostics.errors import UsageError

CODES = finding_classes()
PARTS = ["What it means.", "Example.", "What to do.", "Source."]
DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("code", CODES)
def test_every_code_has_a_page_of_the_four_parts(code: str) -> None:
    first, *rest = explanation(code).splitlines()
    assert first == f"# {code}: {CODES[code].title}"
    assert re.findall(r"^\*\*(.+?)\*\*", "\n".join(rest), re.MULTILINE) == PARTS


@pytest.mark.parametrize("code", CODES)
def test_every_limit_of_a_page_is_a_number(code: str) -> None:
    assert not re.search(r"\{\w+:\w+\s", explanation(code))


@pytest.mark.parametrize("code", CODES)
def test_pages_refer_to_codes_that_exist(code: str) -> None:
    mentioned = set(re.findall(r"\b[BDFGLNPSUWX]\d{3}\b", explanation(code)))
    assert mentioned <= set(CODES)


def test_every_code_is_named_by_a_test() -> None:
    """``pytest --codes FILE`` and ``python -m tests.codes FILE`` show which a run has produced."""
    root = DOCS.parent
    folders = (root / "tests", root / "examples")
    paths = [path for folder in folders for path in sorted(folder.rglob("*.py"))]
    named = re.findall(r"\b[A-Z]\d{3}\b", "\n".join(path.read_text() for path in paths))
    assert sorted(set(CODES) - set(named)) == []


def test_codes_may_be_written_small() -> None:
    assert explanation("x504") == explanation("X504")
    assert finding_class(" g209 ") is CODES["G209"]


@pytest.mark.parametrize(
    ("asked", "suggested"),
    [("G29", "G209"), ("X5O4", "X504"), ("multiple of the time step", "P304"), ("relay", "X515")],
)
def test_an_unknown_code_gets_a_suggestion(asked: str, suggested: str) -> None:
    with pytest.raises(UsageError) as refusal:
        explanation(asked)
    (diagnostic,) = refusal.value.diagnostics
    assert diagnostic.code == "U606"
    assert suggested in diagnostic.help


@pytest.mark.parametrize("asked", ["", "../codes", "G209.md", "\x1b[2J", "9" * 100_000])
def test_anything_else_is_refused(asked: str) -> None:
    with pytest.raises(UsageError) as refusal:
        finding_class(asked)
    assert refusal.value.exit_code == 2


def test_the_reference_is_up_to_date() -> None:
    assert main(["--check"]) == 0


def test_the_reference_has_every_code_in_a_table_and_as_a_section() -> None:
    page = (DOCS / "reference" / "diagnostics.md").read_text(encoding="utf-8")
    for code, found in CODES.items():
        assert f"| [{code}](#{code.lower()}) | {found.title} |" in page
        assert f"\n## {code}: {found.title}\n" in page
