"""The installed backends, and the passes that compilations run."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from nirc.diagnostics.errors import Diagnostic, UsageError
from nirc.passes.pipeline import PIPELINE, Calibration

if TYPE_CHECKING:
    from nirc.chip.backend import Backend


def described_passes() -> list[tuple[str, str, str]]:
    """(name, where it runs, its one sentence): the common passes, then those of each backend.

    After these what runs with `--calibrate`, in the place of the quantisation or beside it.
    """
    rows = [(entry.name, "all targets", _sentence(entry.pass_class)) for entry in PIPELINE]
    for name, found in backends().items():
        plain = (*found.legalise(), found.quantise())
        rows += [(each.name, name, _sentence(type(each))) for each in plain]
        names = {each.name for each in plain}
        more = [each for each in found.calibrate(Calibration.without_inputs()) if each.name not in names]
        rows += [(each.name, name, f"{_sentence(type(each))} (--calibrate)") for each in more]
    return rows


def _sentence(pass_class: type) -> str:
    return (pass_class.__doc__ or "").strip().splitlines()[0]


def backends() -> dict[str, Backend]:
    """Installed backends by name, built-in ones included, sorted."""
    found = {entry.name: entry for entry in entry_points(group="nirc.backends")}
    return {name: found[name].load() for name in sorted(found)}


def backend(name: str) -> Backend:
    """One backend. Raises ``UsageError`` (U601) with the names that exist."""
    for entry in entry_points(group="nirc.backends"):
        if entry.name == name:
            loaded: Backend = entry.load()
            return loaded
    names = sorted({entry.name for entry in entry_points(group="nirc.backends")})
    raise UsageError(
        [
            Diagnostic(
                "U601",
                "error",
                f"there is no target `{name}`",
                found=name,
                limit=", ".join(names),
                help="nirc targets",
            )
        ]
    )
