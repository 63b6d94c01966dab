"""Each file operation and each allocation of a compilation fails once: how does the command end?

`python -m tests.faults` tries them all, on each chip, and prints how many there were.
"""

from __future__ import annotations

import builtins
import errno
import io
import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import h5py
import numpy as np

from nirc import compile as nirc_compile
from nirc.files import bundle, scripts
from nirc.report import html
from tests.commands import Done, nirc

ROOT = Path(__file__).parents[1]
DENSE = ROOT / "tests/data/simulators/norse/if.nir"
CHIPS = ("xylo", "loihi2", "spinnaker2", "speck")
ALLOCATING = ("zeros", "empty", "ones", "full", "array", "concatenate", "stack", "repeat", "arange")
ALLOCATION = "allocation"
ERRORS = {"write": errno.ENOSPC, "fsync": errno.EDQUOT, "open": errno.EMFILE}
Site = tuple[str, str, int]  # kind, file and line in nirc
Part = Callable[[list[Site]], Collection[Site]] | None


class Failing:
    """An open file of which a read or a write may fail."""

    def __init__(self, file: Any, operations: Operations) -> None:
        self.file = file
        self.operations = operations

    def read(self, *args: Any) -> Any:
        self.operations.count("read")
        return self.file.read(*args)

    def write(self, data: Any) -> Any:
        self.operations.count("write")
        return self.file.write(data)

    def __enter__(self) -> Failing:
        return self

    def __exit__(self, *args: object) -> None:
        self.file.close()

    def __iter__(self) -> Iterator[Any]:
        return iter(self.file)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


@dataclass
class Operations:
    """The operations of one compilation, of which number ``fails`` fails."""

    fails: int = -1
    sites: list[Site] = field(default_factory=list)

    def count(self, kind: str) -> None:
        """Note an operation that nirc asked for. Raise the error of the one that fails."""
        site = _site(kind)
        if site is None:
            return
        self.sites.append(site)
        if len(self.sites) - 1 == self.fails:
            if kind == ALLOCATION:
                raise MemoryError
            number = ERRORS.get(kind, errno.EIO)
            raise OSError(number, os.strerror(number))

    def counted(self, kind: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def operation(*args: Any, **options: Any) -> Any:
            self.count(kind)
            return function(*args, **options)

        return operation

    def opened(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def operation(*args: Any, **options: Any) -> Any:
            self.count("open")
            file = function(*args, **options)
            return Failing(file, self) if _site("open") else file

        return operation

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Count in the block."""
        with ExitStack() as stack:
            for module, name, kind in (
                (os, "open", "open"),
                (h5py, "File", "open"),
                (os, "rename", "rename"),
                (os, "replace", "rename"),
                (os, "mkdir", "mkdir"),
                (os, "fsync", "fsync"),
                *((np, name, ALLOCATION) for name in ALLOCATING),
            ):
                function = self.counted(kind, getattr(module, name))
                stack.enter_context(mock.patch.object(module, name, function))
            function = self.opened(io.open)
            stack.enter_context(mock.patch.object(io, "open", function))
            stack.enter_context(mock.patch.object(builtins, "open", function))
            yield


def _site(kind: str) -> Site | None:
    """Return the innermost place in nirc that is being executed, None outside a command."""
    frame = sys._getframe(2)
    while frame is not None:
        name = frame.f_code.co_filename
        if name.startswith((f"{ROOT}/nirc/", f"{ROOT}/passes/", f"{ROOT}/backends/")):
            return kind, str(Path(name).relative_to(ROOT)), frame.f_lineno
        frame = frame.f_back  # type: ignore[assignment]
    return None


def compilation(chip: str, directory: Path, operations: Operations) -> Done:
    """Compile a small model in ``directory``. Nothing is remembered from earlier ones."""
    for cached in (scripts._template, scripts._text_of, scripts._imports_of, html.template):
        cached.cache_clear()
    with operations.watched():
        return nirc(DENSE, "--target", chip, "-o", "out", "-q", cwd=directory)


def operations_of(chip: str, directory: Path) -> tuple[list[Site], dict[str, bytes]]:
    """The operations of a compilation without a fault, and the files that it makes."""
    compilation(chip, directory, Operations())  # imports
    shutil.rmtree(directory / "out")
    operations = Operations()
    done = compilation(chip, directory, operations)
    assert done.returncode == 0, done.stderr
    return operations.sites, files(directory / "out")


def files(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def unclean(
    chip: str, number: int, directory: Path, good: dict[str, bytes], older: dict[str, bytes]
) -> str:
    """What is wrong with the end of a compilation of which operation ``number`` fails.

    ``older``: the files of a bundle that stands at the place.
    """
    directory.mkdir()
    if older:
        (directory / "out").mkdir()
        for name, data in older.items():
            (directory / "out" / name).write_bytes(data)
    operations = Operations(number)
    done = compilation(chip, directory, operations)
    place = f"{chip}: operation {number}, {operations.sites[-1]}"
    left = [path.name for path in directory.iterdir()]
    if done.returncode == 0:  # the fault did not matter, as where a warning was to be removed
        whole = left == ["out"] and files(directory / "out") == good
        return "" if whole else f"{place}: another bundle, {left}"
    if left != ["out"] * bool(older) or (older and files(directory / "out") != older):
        return f"{place}: {left} is left"
    if done.returncode not in (1, 2, 3) or "error[" not in done.stderr:
        return f"{place}: status {done.returncode}, {done.stderr[:400]}"
    return "" if "Traceback" not in done.stderr else f"{place}: a traceback"


def older_bundle() -> dict[str, bytes]:
    """The files of a good bundle, of other options."""
    made = nirc_compile(DENSE, "xylo", seed=7)
    return bundle.contents(made.manifest, made.files)


def all_faults(
    chip: str, older: dict[str, bytes] | None = None, part: Part = set
) -> tuple[list[Site], list[str]]:
    """The operations of a compilation, and what is wrong where one of them fails.

    ``part``: which of the sites are tried, each in its first operation. None: every operation.
    """
    with tempfile.TemporaryDirectory() as name:
        sites, good = operations_of(chip, Path(name))
        numbers = [sites.index(site) for site in part(sites)] if part else range(len(sites))
        ends = [unclean(chip, n, Path(name) / f"{n}", good, older or {}) for n in sorted(numbers)]
        return [sites[n] for n in numbers], [why for why in ends if why]


def of_the_commit(sites: Sequence[Site]) -> set[Site]:
    """Those that put the bundle at its place."""
    return {site for site in sites if site[1] == "nirc/files/commit.py"}


def main() -> None:
    """Try all operations on each chip."""
    for chip in sys.argv[1:] or CHIPS:
        sites, wrong = all_faults(chip, part=None)
        kinds = ", ".join(f"{n} {kind}" for kind, n in sorted(Counter(s[0] for s in sites).items()))
        print(f"{chip}: {len(sites)} faults ({kinds}), {len(sites) - len(wrong)} ended cleanly")
        for why in wrong:
            print(f"  {why}")


if __name__ == "__main__":
    main()
