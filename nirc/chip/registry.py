"""The installed backends, and the passes that compilations run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NoReturn, TypeGuard

from nirc.chip.backend import Backend
from nirc.chip.target import Target
from nirc.diagnostics.errors import Diagnostic, UsageError
from nirc.diagnostics.log import Log
from nirc.diagnostics.similar import did_you_mean
from nirc.files.plugins import Plugins
from nirc.passes.pipeline import PIPELINE, Calibration


def _is_backend(plugin: object) -> TypeGuard[Backend]:
    return isinstance(plugin, Backend)


BACKENDS = Plugins("nirc.backends", _is_backend)


def described_passes(log: Log) -> list[tuple[str, str, str]]:
    """(name, where it runs, its one sentence): the common passes, then those of each backend.

    After these what runs with `--calibrate`, in the place of the quantisation or beside it.
    """
    rows = [(entry.name, "all targets", _sentence(entry.pass_class)) for entry in PIPELINE]
    for name, found in backends(log).items():
        plain = (*found.legalise(), found.quantise())
        rows += [(each.name, name, _sentence(type(each))) for each in plain]
        names = {each.name for each in plain}
        more = [
            each for each in found.calibrate(Calibration.without_inputs()) if each.name not in names
        ]
        rows += [(each.name, name, f"{_sentence(type(each))} (--calibrate)") for each in more]
    return rows


def _sentence(pass_class: type) -> str:
    return (pass_class.__doc__ or "").strip().splitlines()[0]


def backends(log: Log | None = None) -> dict[str, Backend]:
    """Return the installed backends by name, sorted. Warns of those that cannot be used (U615)."""
    return BACKENDS.all(log or Log())


def backend(name: str) -> Backend:
    """Return one backend. Raises ``UsageError`` (U601 with the names that exist, U615)."""
    found = BACKENDS.one(name)
    if found is None:
        _refuse(f"there is no target `{name}`", name, BACKENDS.names(), "nirc targets")
    return found


def resolve(target: str) -> tuple[Backend, tuple[Target, ...]]:
    """Return backend and candidate variants of ``chip[:variant]``.

    Raises ``UsageError`` (U601, U615).
    """
    name, _, variant = target.partition(":")
    found = backend(name)
    if not variant:
        return found, found.targets
    chosen = tuple(t for t in found.targets if t.variant == variant)
    if not chosen:
        names = [t.name for t in found.targets]
        _refuse(f"`{name}` has no variant `{variant}`", target, names, f"nirc targets {name}")
    return found, chosen


def _refuse(message: str, found: str, known: Sequence[str], otherwise: str) -> NoReturn:
    help_ = did_you_mean(found, known, otherwise)
    raise UsageError(
        [Diagnostic("U601", "error", message, found=found, limit=", ".join(known), help=help_)]
    )


_LIMIT = re.compile(r"\{(\w+):(\w+) ([^{}:]+)(:,)?\}")


def with_limits(text: str) -> str:
    """Put the numbers of limits into a text.

    ``{xylo:audio2 hidden neurons}`` names a limit, ``:,`` asks for commas.
    """

    def number(found: re.Match[str]) -> str:
        target = next(target for target in backend(found[1]).targets if target.variant == found[2])
        return format(target.max(" ".join(found[3].split())), "," if found[4] else "")

    return _LIMIT.sub(number, text)
