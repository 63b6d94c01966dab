"""The page of each diagnostic code, and a code by its name."""

from __future__ import annotations

from nirc.chip import registry
from nirc.diagnostics.errors import Diagnostic, UsageError
from nirc.diagnostics.finding import Finding

MOST_SUGGESTIONS = 3


def finding_classes() -> dict[str, type[Finding]]:
    """Return the class of each code: nirc's own, then those of the installed backends."""
    from nirc.diagnostics import dynamics, file, graph, passes, shapes, usage, writer
    from nirc.diagnostics.finding import declared

    own = [declared(module) for module in (file, graph, shapes, writer, passes, dynamics, usage)]
    chips = [backend.findings() for backend in registry.backends().values()]
    return {each.code: each for classes in (*own, *chips) for each in classes}


def explanation(code: str) -> str:
    """Return the Markdown page of ``code`` in any case, with the numbers of the chips' limits.

    Raises ``UsageError`` (U606) with similar codes as help.
    """
    return registry.with_limits(finding_class(code).page())


def meaning(code: str) -> tuple[str, str]:
    """Return title and meaning of ``code`` without Markdown. Raises as ``explanation`` does."""
    found = finding_class(code)
    text = registry.with_limits(found.meaning)
    return found.title, " ".join(text.replace("`", "").split())


def finding_class(code: str) -> type[Finding]:
    """Return the class of ``code``. Raises ``UsageError`` as ``explanation`` does."""
    classes = finding_classes()
    spelt = code.strip().upper()
    if spelt in classes:
        return classes[spelt]
    raise UsageError([_unknown(code, classes)])


def _unknown(code: str, classes: dict[str, type[Finding]]) -> Diagnostic:
    similar = _similar(code.strip(), classes)
    named = ", or ".join(f"{each} ({classes[each].title})" for each in similar)
    return Diagnostic(
        "U606",
        "error",
        f"there is no diagnostic code `{code[:40]}`",
        found=code[:40],
        help=f"did you mean {named}?" if named else "codes look like G209, as in warning[G209]",
    )


def _similar(text: str, classes: dict[str, type[Finding]]) -> list[str]:
    """Return codes spelt like ``text``, then those whose titles contain it, as `delay`."""
    from difflib import get_close_matches

    spelt = get_close_matches(text[:40].upper(), classes, n=MOST_SUGGESTIONS, cutoff=0.7)
    part = text.lower()
    titled = [code for code, each in classes.items() if len(part) > 2 and part in each.title]
    return list(dict.fromkeys([*spelt, *titled]))[:MOST_SUGGESTIONS]
