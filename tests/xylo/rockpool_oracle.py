"""Rockpool without samna: what it would hand to samna's objects can be looked at.

Rockpool's modules for Xylo import samna. A stand-in that has every name takes its place while they
are imported and called. It refuses nothing: it shows what Rockpool does, not what samna takes.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import os
import sys
import types
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest


class _Names(type):
    """A class whose attributes are classes, whatever their names."""

    def __getattr__(cls, name: str) -> Any:
        return _class(name)

    def __or__(cls, other: object) -> Any:
        return cls


class _Anything(metaclass=_Names):
    """An object that has every attribute. Those that are set stay."""

    def __init__(self, *_: object, **values: object) -> None:
        self.__dict__.update(values)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        self.__dict__[name] = _Anything()
        return self.__dict__[name]

    def __call__(self, *_: object, **__: object) -> Any:
        return _Anything()


def _class(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    if name == "validate_configuration":
        return lambda config: (True, "")
    return _Names(name, (_Anything,), {})


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(
        self, name: str, path: Sequence[str] | None, target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        named = name.partition(".")[0] == "samna"
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if named else None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        module = types.ModuleType(spec.name)
        module.__dict__["__getattr__"] = _class
        return module

    def exec_module(self, module: types.ModuleType) -> None:
        """Nothing is in it."""


@contextmanager
def rockpool(variant: str) -> Iterator[Any]:
    """Rockpool's package for a chip. Missing: skipped, or failed under NIRC_REQUIRE_ORACLES=1."""
    finder = _Finder()
    sys.meta_path.insert(0, finder)
    chips = {"audio2": "syns61201", "audio3": "syns65302", "imu": "syns63300"}
    try:
        yield importlib.import_module(f"rockpool.devices.xylo.{chips[variant]}")
    except ModuleNotFoundError as error:
        reason = f"rockpool is missing ({error}): pip install --no-deps rockpool==3.1.0"
        if os.environ.get("NIRC_REQUIRE_ORACLES") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    finally:
        sys.meta_path.remove(finder)
        for name in [name for name in sys.modules if name.partition(".")[0] == "samna"]:
            del sys.modules[name]
