"""What a backend promises: an object with these members under the entry-point group `nirc.backends`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nirc.diagnostics.log import Log
from nirc.ir.program import Program
from nirc.pipeline import Pass
from nirc.raster import Run
from nirc.target import Target


@dataclass(frozen=True)
class Search:
    """How far searches may go: ``work`` in the solver's deterministic time, or ``seconds`` if the user asks."""

    seed: int = 0
    work: float = 10.0
    seconds: float | None = None


@dataclass(frozen=True)
class Block:
    """A population on the chip: which of the emulator's recorded neurons are its own, and its unit per volt."""

    part: str
    index: tuple[int, ...]
    scale: tuple[float, ...]
    latency_steps: int = 0


@dataclass(frozen=True)
class Mapped:
    """A network in the tables of one chip variant.

    ``input_map`` and ``output_map``: for each model input (output), flat in C order, the chip's channel, None if
    nothing listens. ``latency_steps``: for each model output. ``utilisation``: resource -> (used, available).
    """

    target: Target
    chip: Any  # the backend's own tables
    input_map: tuple[int | None, ...]
    output_map: tuple[int | None, ...]
    latency_steps: tuple[int, ...]
    blocks: Mapping[str, Block]
    utilisation: Mapping[str, tuple[int, int]]
    silent_outputs: bool = False  # outputs are membranes, not spikes


class Backend(Protocol):
    """One chip family."""

    @property
    def name(self) -> str:
        """As on the command line."""

    @property
    def targets(self) -> tuple[Target, ...]:
        """Variants, in the order in which they are tried when the user names none."""

    def passes(
        self,
        calibration: NDArray[np.generic] | None = None,
        model: Program | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> Sequence[Pass]:
        """The first makes the program legal, the others make it integer; the same for all variants.

        ``calibration``: inputs (samples, steps, ...) whose answer by ``model`` (discrete) the chip should keep;
        ``progress`` is told the percentage that is done of a long pass.
        """

    def fit(self, program: Program, discrete: Program, target: Target, search: Search, log: Log) -> Mapped | None:
        """Tables for ``target``, or None with every limit that is exceeded in the log (as errors)."""

    def hopeless(self, discrete: Program, targets: Sequence[Target], log: Log) -> bool:
        """Whether none of ``targets`` could hold the unrounded program; the limits go to the log."""

    def emit(self, mapped: Mapped, *, dt_s: float | None) -> dict[str, bytes]:
        """The chip's files, by name. Pure: same input, same bytes."""

    def emulate(
        self,
        files: Mapping[str, bytes],
        raster: NDArray[np.generic],
        *,
        record: bool = False,
        progress: Callable[[int], None] | None = None,
        log: Log,
    ) -> Run:
        """Run (samples, steps, channels) on the emitted files alone, bit for bit as the chip does."""

    def approximations(self, discrete: Program) -> Sequence[tuple[str, Program]]:
        """The program with one difference of the chip turned on at a time, by name (for `verify`)."""
