"""The page of each diagnostic code, and a code by its name."""

from __future__ import annotations

from nirc.chip import registry
from nirc.diagnostics.finding import Finding
from nirc.diagnostics.log import Log
from nirc.diagnostics.similar import nearest
from nirc.diagnostics.usage import UnknownName

MOST_SUGGESTIONS = 3
LONGEST = 40  # characters of a code that is repeated in a message


def finding_classes() -> dict[str, type[Finding]]:
    """Return the class of each code: nirc's own, then those of the installed backends."""
    from nirc.diagnostics import (
        check,
        dynamics,
        file,
        graph,
        numbers,
        outcome,
        passes,
        project,
        shapes,
        training,
        usage,
        writer,
    )
    from nirc.diagnostics.finding import declared

    classes: dict[str, type[Finding]] = {}
    own = (
        file,
        graph,
        shapes,
        writer,
        passes,
        outcome,
        dynamics,
        numbers,
        usage,
        training,
        project,
        check,
    )
    for module in own:
        classes |= {each.code: each for each in declared(module)}
    for name, backend in registry.backends().items():
        with registry.guarded(name, Log()):
            classes |= {each.code: each for each in backend.findings()}
    return classes


def explanation(code: str) -> str:
    """Return the Markdown page of ``code`` in any case, with the numbers of the chips' limits.

    Raises ``UsageError`` (U606) with similar codes as help.
    """
    return registry.with_limits(finding_class(code).page())


def meaning(code: str) -> tuple[str, str]:
    """Return title and meaning of ``code`` without Markdown. Raises as ``explanation`` does."""
    described = finding_class(code)
    text = registry.with_limits(described.meaning)
    return described.title, " ".join(text.replace("`", "").split())


def finding_class(code: str) -> type[Finding]:
    """Return the class of ``code``. Raises ``UsageError`` as ``explanation`` does."""
    classes = finding_classes()
    spelt = code.strip().upper()
    if spelt in classes:
        return classes[spelt]
    named = [f"{each} ({classes[each].title})" for each in _similar(code.strip(), classes)]
    otherwise = "codes look like G209, as in warning[G209]"
    help_ = f"did you mean {', or '.join(named)}?" if named else otherwise
    raise UnknownName(kind="diagnostic code", name=code[:LONGEST], help=help_).refusal()


def _similar(text: str, classes: dict[str, type[Finding]]) -> list[str]:
    """Return codes spelt like ``text``, then those whose titles contain it, as `delay`."""
    spelt = nearest(text, classes, most=MOST_SUGGESTIONS, cutoff=0.7)
    part = text.lower()
    titled = [code for code, each in classes.items() if len(part) > 2 and part in each.title]
    return list(dict.fromkeys([*spelt, *titled]))[:MOST_SUGGESTIONS]
