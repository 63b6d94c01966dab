"""What the three comparisons with the vendors' software share: stand-ins for drivers, measures and
tables.

Used by ``vendor_speck.py``, ``vendor_xylo.py`` and ``vendor_loihi.py``. It compares spike counts
per step, arrays (samples, steps, outputs), and knows no chip.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

import numpy as np
from numpy.typing import NDArray

from nirc.api import Compiled, Options, compile_model

Array = NDArray[Any]
# Imported by the vendors' packages and never called here: drivers of boards, and what needs
# torchvision.
UNUSED = ("samna", "samnagui", "lava.lib.dl.slayer.object_detection")


class _Absent(MetaPathFinder, Loader):
    """Finds the modules of ``UNUSED`` and makes them of mocks."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """A package for each unused name and what is below it."""
        unused = any(name == each or name.startswith(each + ".") for each in UNUSED)
        return ModuleSpec(name, self, is_package=True) if unused else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """A module whose every attribute is a mock."""
        return _Mocks(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing runs."""


class _Mocks(ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return MagicMock(name=name)


@contextmanager
def only_simulators() -> Iterator[None]:
    """Import a vendor's simulator without its drivers: samna would fetch a binary when it is
    imported.
    """
    finder = _Absent()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


@dataclass(frozen=True)
class Fidelity:
    """How near spikes come to a reference's. All but ``spikes`` are shares."""

    spikes: int
    count_error: float  # sum of |difference| of the outputs' counts, of the reference's spikes
    equal_steps: float  # entries (sample, step, output) with the same number of spikes
    agreement: float  # samples with the same arg-max of the counts


def fidelity(spikes: Array, reference: Array) -> Fidelity:
    """Compare (samples, steps, outputs) with a reference of the same shape.

    ValueError where shapes differ.
    """
    if spikes.shape != reference.shape:
        raise ValueError(f"spikes {spikes.shape} and reference {reference.shape} differ in shape")
    counts, wanted = spikes.sum(axis=1), reference.sum(axis=1)
    error = np.abs(counts - wanted).sum() / max(1.0, float(wanted.sum()))
    return Fidelity(
        spikes=int(spikes.sum()),
        count_error=float(error),
        equal_steps=float((spikes == reference).mean()),
        agreement=float((counts.argmax(axis=1) == wanted.argmax(axis=1)).mean()),
    )


def apart(a: Array, b: Array) -> float:
    """Relative difference of two total spike counts."""
    return abs(float(a.sum()) - float(b.sum())) / max(1.0, float(b.sum()))


def compiled(
    file: Path,
    target: str,
    writer: str,
    *,
    chip: Mapping[str, str] | None = None,
    calibrate: Array | None = None,
) -> Compiled:
    """The file compiled by nirc, read as ``writer`` says. Raises ``NircError``."""
    options = Options(writer=writer, chip=tuple(sorted((chip or {}).items())))
    return compile_model(file, target, options, calibration=calibrate)


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, columns aligned."""
    widths = [max(len(row[i]) for row in (heads, *rows)) for i in range(len(heads))]
    lines = [heads, ["-" * w for w in widths], *rows]
    return "\n".join(
        "| " + " | ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)) + " |"
        for line in lines
    )
