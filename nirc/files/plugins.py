"""Plugins: chips and writers of any distribution, by entry point.

A broken one does not stop the others.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeGuard, TypeVar

from nirc.diagnostics.errors import BugError, NircError
from nirc.diagnostics.log import Log
from nirc.diagnostics.usage import UnusablePlugin
from nirc.files.bounds import printable

T = TypeVar("T")
MAX_CAUSE = 300  # characters
NIRC = "nirc-compiler"  # the distribution whose plugins are built in


class Plugins(Generic[T]):
    """The plugins of one entry-point group. ``is_one`` accepts what an entry point may name."""

    def __init__(self, group: str, is_one: Callable[[object], TypeGuard[T]]) -> None:
        self.group = group
        self.is_one = is_one

    def all(self, log: Log) -> dict[str, T]:
        """Return them by name, sorted. Warns of each that cannot be used (U615)."""
        loaded = {}
        for name, entry in sorted(self._entries(log).items()):
            plugin, cause = self._loaded(entry)
            if plugin is None:
                log.add(_unusable(entry, cause))
            else:
                loaded[name] = plugin
        return loaded

    def one(self, name: str) -> T | None:
        """Return the plugin called ``name``, None if there is none.

        Raises ``UsageError`` (U615) for a broken one.
        """
        entry = self._entries(Log()).get(name)
        if entry is None:
            return None
        plugin, cause = self._loaded(entry)
        if plugin is None:
            raise _unusable(entry, cause, asked=True).refusal()
        return plugin

    @contextmanager
    def guarded(self, name: str, log: Log) -> Iterator[None]:
        """Warn (U615) of an exception that the plugin ``name`` raises in the context.

        A refusal with diagnostics is no fault of the plugin, and is raised. A fault of a built-in
        plugin is a bug, and is raised.
        """
        try:
            yield
        except (Exception, SystemExit) as error:
            is_refusal = isinstance(error, NircError) and not isinstance(error, BugError)
            entry = self._entries(Log())[name]
            if is_refusal or _package(entry) == NIRC:
                raise
            log.add(_unusable(entry, _cause(error)))

    def names(self) -> list[str]:
        """Return all names, those of broken plugins too."""
        return sorted(self._entries(Log()))

    def _entries(self, log: Log) -> dict[str, EntryPoint]:
        """Return entry points by name.

        Of several with one name the built-in one is taken, else the first package's.
        """
        by_name: dict[str, EntryPoint] = {}
        for entry in _installed(self.group, tuple(sys.path)):
            if entry.name not in by_name:
                by_name[entry.name] = entry
            elif entry.value != by_name[entry.name].value:  # not the same plugin, installed twice
                cause = f"the package {_package(by_name[entry.name])} has the same name"
                log.add(_unusable(entry, cause))
        return by_name

    def _loaded(self, entry: EntryPoint) -> tuple[T | None, str]:
        """Return the plugin, or None and the cause.

        A fault of a built-in one is a bug, and is raised.
        """
        try:
            plugin = entry.load()
        except (Exception, SystemExit) as error:  # a foreign module may raise anything
            if _package(entry) == NIRC:
                raise
            return None, _cause(error)
        if self.is_one(plugin):
            return plugin, ""
        return None, f"an object of type {type(plugin).__name__}"


@cache
def _installed(group: str, path: tuple[str, ...]) -> list[EntryPoint]:
    """Return the entry points on ``path``, built-in ones first.

    They are cached, because a search reads a file of every package.
    """
    return sorted(entry_points(group=group), key=lambda e: (_package(e) != NIRC, _package(e)))


def _cause(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _package(entry: EntryPoint) -> str:
    return "" if entry.dist is None else entry.dist.name


def _unusable(entry: EntryPoint, cause: str, *, asked: bool = False) -> UnusablePlugin:
    return UnusablePlugin(
        where=printable(entry.value),
        name=printable(entry.name),
        package=printable(_package(entry)),
        cause=printable(cause, MAX_CAUSE),
        asked=asked,
    )
