"""Empty modules for what a simulator imports and a small network does not need.

Sinabs and Rockpool import ``samna``, the driver of the boards. Slayer imports its object detection,
which wants OpenCV.
"""

from __future__ import annotations

import sys
import types
from typing import Any


class Blank(types.ModuleType):
    """A module in which every name is a class and every submodule exists."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__path__: list[str] = []  # a package: submodules can be imported

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        below = Blank(f"{self.__name__}.{name}")
        sys.modules[below.__name__] = below
        setattr(self, name, below)
        return below

    def __call__(self, *_: Any, **__: Any) -> Any:
        """Stand for an object of a class."""
        return self


def install(*names: str) -> None:
    """Put an empty module where ``import name`` finds it, unless something is there."""
    for name in names:
        sys.modules.setdefault(name, Blank(name))
