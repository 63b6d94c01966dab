"""The mode `compiled`: network.c goes through this machine's C compiler, and runs."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from nirc.diagnostics.usage import OptionMakesNoSense
from nirc.semantics.raster import Run
from nirc_target_c.source import HEADER, SOURCE
from nirc_target_c.tables import Tables

COMPILER = shutil.which("cc")
FLAGS = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-O2", "-DNIRC_MAIN")


def run(tables: Tables, files: Mapping[str, bytes], counts: NDArray[np.generic]) -> Run:
    """Run counts (samples, steps, channels) up to 255, and record every population.

    Raises ``UsageError`` (U607) without a C compiler.
    """
    if COMPILER is None:
        problem = "the mode `compiled` needs a C compiler"
        raise OptionMakesNoSense(problem=problem, found="no `cc`", limit="`cc`").refusal()
    with TemporaryDirectory() as directory:
        program = build(Path(directory), files)
        text = started(program, counts)
    return parsed(tables, text, counts.shape[:2])


def build(directory: Path, files: Mapping[str, bytes], *flags: str) -> Path:
    """Write network.h and network.c into ``directory``, compile them, and return the program."""
    for name in (HEADER, SOURCE):
        (directory / name).write_bytes(files[name])
    program = directory / "network"
    command = [COMPILER or "cc", *FLAGS, *flags, SOURCE, "-o", program.name]
    _done(command, directory)
    return program


def started(program: Path, counts: NDArray[np.generic]) -> bytes:
    """Return what the program prints for counts (samples, steps, channels)."""
    return _done([str(program), "all"], program.parent, lines_of(counts))


def _done(command: Sequence[str], directory: Path, text: bytes = b"") -> bytes:
    """Return what a command prints. Raises ``UsageError`` (U607) if it fails."""
    done = subprocess.run(command, cwd=directory, input=text, capture_output=True, check=False)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()
        problem = f"`{' '.join(command)}` fails"
        raise OptionMakesNoSense(problem=problem, found=said[:300], limit="no error").refusal()
    return done.stdout


def lines_of(counts: NDArray[np.generic]) -> bytes:
    """Return samples as the program reads them: a line for each step, "-" between samples."""
    samples = [
        "".join(f"{' '.join(map(str, row))}\n" for row in sample) for sample in counts.tolist()
    ]
    return "-\n".join(samples).encode()


def parsed(tables: Tables, text: bytes, shape: tuple[int, int], *, states: bool = True) -> Run:
    """Return the run of (samples, steps) that a program printed.

    ``states``: it had an argument. Raises ``ValueError`` for other text.
    """
    outputs = sum(len(output.neurons) for output in tables.outputs)
    words = text.replace(b"-\n", b"").split()
    rows = np.array(words, dtype=np.int64).reshape(*shape, -1)
    ends = np.cumsum([outputs, *(2 * each.n for each in tables.populations)]).tolist()
    if rows.shape[2] not in (ends[-1], outputs) or (states and rows.shape[2] != ends[-1]):
        raise ValueError(f"{rows.shape[2]} numbers in a line, not {ends[-1]} with all states")
    spikes = {}
    v = {}
    for each, first in zip(tables.populations if states else (), ends, strict=False):
        spikes[each.name] = rows[:, :, first : first + each.n]
        v[each.name] = rows[:, :, first + each.n : first + 2 * each.n]
    return Run(rows[:, :, :outputs], spikes, v)
