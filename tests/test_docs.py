"""Every link of the pages in README.md, docs/ and examples/ leads somewhere in the repository."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("docs", "examples")
PAGES = (ROOT / "README.md", *(p for f in FOLDERS for p in sorted((ROOT / f).rglob("*.md"))))
LINK = re.compile(r"\]\(([^)#:\s]+)(#[^)\s]*)?\)")


def anchors(page: Path) -> set[str]:
    """The names that a page's headings and marks can be linked by."""
    text = page.read_text()
    heads = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    marks = set(re.findall(r'^<a id="(\w+)"></a>$', text, re.MULTILINE))
    return marks | {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in LINK.findall(page.read_text()):
        found = page.parent / target
        assert found.exists(), target
        assert not anchor or anchor[1:] in anchors(found), target + anchor
