"""What a code means: the page ``explain/CODE.md`` that is installed with nirc."""

from __future__ import annotations

from nirc.diagnostics.codes import CODES
from nirc.diagnostics.errors import Diagnostic, UsageError

MOST_SUGGESTIONS = 3
MEANS = "**What it means.**"


def explanation(code: str) -> str:
    """The Markdown page of ``code`` (any case).

    Raises ``UsageError`` (U606) with similar codes as help.
    """
    from importlib.resources import files

    page = files("nirc.diagnostics") / "explain" / f"{_known(code)}.md"
    return page.read_text(encoding="utf-8")


def meaning(code: str) -> str:
    """The paragraph of the page that says what ``code`` means, without Markdown.

    Raises as ``explanation`` does.
    """
    paragraphs = explanation(code).split("\n\n")
    told = next(p for p in paragraphs if p.startswith(MEANS))
    return " ".join(told.removeprefix(MEANS).replace("`", "").split())


def title(code: str) -> str:
    """The one line of ``code`` (any case). Raises ``UsageError`` (U606) as ``explanation`` does."""
    return CODES[_known(code)]


def _known(code: str) -> str:
    """``code`` as the table spells it: only such names are ever looked for among the files."""
    spelt = code.strip().upper()
    if spelt in CODES:
        return spelt
    raise UsageError([_unknown(code)])


def _unknown(code: str) -> Diagnostic:
    similar = ", or ".join(f"{c} ({CODES[c]})" for c in _similar(code.strip()))
    return Diagnostic(
        "U606",
        "error",
        f"there is no diagnostic code `{code[:40]}`",
        found=code[:40],
        help=f"did you mean {similar}?" if similar else "codes look like G209, as in warning[G209]",
    )


def _similar(text: str) -> list[str]:
    """Codes spelt like ``text``, then those whose titles contain it: people also ask for
    `delay`.
    """
    from difflib import get_close_matches

    spelt = get_close_matches(text[:40].upper(), CODES, n=MOST_SUGGESTIONS, cutoff=0.7)
    titled = [c for c, line in CODES.items() if len(text) > 2 and text.lower() in line.lower()]
    return list(dict.fromkeys([*spelt, *titled]))[:MOST_SUGGESTIONS]
