"""The installed backends, and the passes that compilations run."""

from __future__ import annotations

from typing import TypeGuard

from nirc.chip.backend import Backend
from nirc.diagnostics.errors import Diagnostic, UsageError
from nirc.diagnostics.log import Log
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
        more = [each for each in found.calibrate(Calibration.without_inputs()) if each.name not in names]
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
    if found is not None:
        return found
    diagnostic = Diagnostic(
        "U601",
        "error",
        f"there is no target `{name}`",
        found=name,
        limit=", ".join(BACKENDS.names()),
        help="nirc targets",
    )
    raise UsageError([diagnostic])
