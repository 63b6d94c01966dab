"""The installed backends, and the passes that compilations run."""

from __future__ import annotations

import re
from contextlib import AbstractContextManager
from typing import TypeGuard

from nirc.chip.backend import Backend
from nirc.chip.target import Target
from nirc.diagnostics.docstring import docstring
from nirc.diagnostics.log import Log
from nirc.diagnostics.usage import UnknownTarget
from nirc.files.plugins import Plugins
from nirc.passes.pipeline import PIPELINE, Calibration


def _is_backend(plugin: object) -> TypeGuard[Backend]:
    return isinstance(plugin, Backend)


BACKENDS = Plugins("nirc.backends", _is_backend)


def described_passes(log: Log) -> list[tuple[str, str, str]]:
    """Return (name, target, sentence) of the common passes, then of those of each backend.

    The passes that run only with `--calibrate` are at a backend's end. Warns of a backend that
    fails (U615).
    """
    rows = [(entry.name, "all targets", _sentence(entry.pass_class)) for entry in PIPELINE]
    for name, each in backends(log).items():
        with guarded(name, log):
            rows += _passes_of(name, each)
    return rows


def _passes_of(name: str, backend: Backend) -> list[tuple[str, str, str]]:
    plain = (*backend.legalise(), backend.quantise())
    names = {each.name for each in plain}
    calibrating = backend.calibrate(Calibration.without_inputs())
    more = [each for each in calibrating if each.name not in names]
    return [
        *((each.name, name, _sentence(type(each))) for each in plain),
        *((each.name, name, f"{_sentence(type(each))} (--calibrate)") for each in more),
    ]


def _sentence(pass_class: type) -> str:
    return docstring(pass_class).splitlines()[0]


def backends(log: Log | None = None) -> dict[str, Backend]:
    """Return the installed backends by name, sorted. Warns of those that cannot be used (U615)."""
    return BACKENDS.all(log or Log())


def guarded(name: str, log: Log) -> AbstractContextManager[None]:
    """Return a context in which an exception of the plugin ``name`` becomes a warning (U615)."""
    return BACKENDS.guarded(name, log)


def backend(name: str) -> Backend:
    """Return one backend. Raises ``UsageError`` (U601 with the names that exist, U615)."""
    installed = BACKENDS.one(name)
    if installed is None:
        raise UnknownTarget(asked=name, known=BACKENDS.names()).refusal()
    return installed


def resolve(target: str) -> tuple[Backend, tuple[Target, ...]]:
    """Return backend and candidate variants of ``chip[:variant]``.

    Raises ``UsageError`` (U601, U615).
    """
    name, _, variant = target.partition(":")
    chip = backend(name)
    if not variant:
        return chip, chip.targets
    chosen = tuple(t for t in chip.targets if t.variant == variant)
    if not chosen:
        known = [t.name for t in chip.targets]
        raise UnknownTarget(asked=target, chip=name, known=known).refusal()
    return chip, chosen


def option_names(*targets: str) -> set[str]:
    """Return the names of the options that any of ``targets`` has, as ``resolve`` takes them."""
    names: set[str] = set()
    for target in targets:
        names |= {option.name for option in resolve(target)[0].options}
    return names


_LIMIT = re.compile(r"\{(\w+):(\w+)\s+([^{}:]+)(:,)?\}")


def with_limits(text: str) -> str:
    """Put the numbers of limits into a text.

    ``{xylo:audio2 hidden neurons}`` names a limit, ``:,`` asks for commas.
    """

    def number(match: re.Match[str]) -> str:
        chip, variant, name, commas = match.groups()
        target = next(t for t in backend(chip).targets if t.variant == variant)
        return format(target.max(" ".join(name.split())), "," if commas else "")

    return _LIMIT.sub(number, text)
