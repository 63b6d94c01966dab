"""What a backend promises: an object with these members under the entry-point group `nirc.backends`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nirc.chip.target import Target
from nirc.diagnostics.log import Log
from nirc.ir.program import Program
from nirc.passes.pipeline import Pass
from nirc.semantics.raster import Run

# Approximations that chips make, as their names begin (``weights: 8 bits``): see ``Backend.approximations``.
KINDS = ("weights", "constants", "decays", "reset", "saturation", "states", "delays")


@dataclass(frozen=True)
class Search:
    """How far searches may go: ``work`` in the solver's deterministic time, or ``seconds`` if the user asks."""

    seed: int = 0
    work: float = 10.0
    seconds: float | None = None


@dataclass(frozen=True)
class ChipOption:
    """An option that one chip family adds: ``--set NAME=VALUE``.

    ``accepts``: whether another value than ``values`` makes sense; ``form``: what such a value looks like.
    """

    name: str
    values: tuple[str, ...]  # the first is the default
    help: str
    form: str = ""
    accepts: Callable[[str], bool] | None = None

    def takes(self, value: str) -> bool:
        """Whether ``value`` may be given."""
        return value in self.values or (self.accepts is not None and self.accepts(value))

    @property
    def choices(self) -> tuple[str, ...]:
        """All values, the free form last."""
        return (*self.values, self.form) if self.form else self.values


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

    @property
    def options(self) -> tuple[ChipOption, ...]:
        """What this family adds to the options of a compilation; () if nothing."""

    def having(self, chosen: Mapping[str, str]) -> Backend:
        """The same backend with these options; only called with values that ``options`` allows."""

    @property
    def modes(self) -> tuple[str, ...]:
        """Ways in which the emulator can run the files; the first is the default, which equals the integer form."""

    @property
    def law_neuron(self) -> str:
        """The NIR neuron of the laws' networks: CubaLIF, also recurrent, or IF, feed-forward."""

    def passes(
        self,
        calibration: NDArray[np.generic] | None = None,
        model: Program | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> Sequence[Pass]:
        """The first makes the program legal, the others make it integer; the same for all variants.

        ``calibration``: inputs (samples, steps, ...) whose answer by ``model`` (discrete) the chip should keep;
        ``progress`` is told the percentage that is done of a long pass. A backend that draws at random takes one more
        keyword, ``seed: int = 0``. A pass may have a ``report``, a dict of plain values that it fills with what it
        chose, and that the manifest keeps.
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
        mode: str | None = None,
        record: bool = False,
        progress: Callable[[int], None] | None = None,
        log: Log,
    ) -> Run:
        """Run (samples, steps, channels) on the emitted files alone, bit for bit as the chip does.

        ``mode``: one of ``modes``, None for the first. ``progress`` is told the samples done.
        """

    def approximations(self, discrete: Program) -> Sequence[tuple[str, Program]]:
        """The program with one approximation of the chip turned on at a time, by name (for `verify`).

        A name is one of ``KINDS``, a colon and what the chip does; a kind without a name is one that the chip does
        not approximate.
        """


def options_of(backend: Backend) -> tuple[ChipOption, ...]:
    """The options that ``backend`` adds; () for one that was written before there were any."""
    return getattr(backend, "options", ())


def modes_of(backend: Backend) -> tuple[str, ...]:
    """The modes of ``backend``'s emulator; one for a backend that was written before there were several."""
    return getattr(backend, "modes", ("synchronous",))


def passes_of(
    backend: Backend,
    calibration: NDArray[np.generic] | None,
    model: Program | None,
    progress: Callable[[int], None] | None,
    seed: int,
) -> Sequence[Pass]:
    """``backend.passes``; with the seed, if it takes one."""
    from inspect import signature

    seeded: Any = backend.passes
    if "seed" in signature(seeded).parameters:
        found: Sequence[Pass] = seeded(calibration, model, progress, seed=seed)
        return found
    return backend.passes(calibration, model, progress)


def law_neuron_of(backend: Backend) -> str:
    """The neuron with which the laws try ``backend``; CubaLIF for one that does not say."""
    return getattr(backend, "law_neuron", "CubaLIF")


def configured(backend: Backend, chosen: Sequence[tuple[str, str]], log: Log) -> Backend:
    """``backend`` with the options ``chosen``, (name, value) pairs.

    Raises ``UsageError`` (U607) for every name or value that the chip does not have, and for a name given twice.
    """
    known = {option.name: option for option in options_of(backend)}
    for name, value in chosen:
        if name not in known:
            names = ", ".join(known) or f"none: {backend.name} has no options"
            log.error(
                "U607",
                f"{backend.name} has no option `{name}`",
                found=f"{name}={value}",
                limit=names,
                help=f"nirc targets {backend.name}",
            )
        elif not known[name].takes(value):
            values = ", ".join(known[name].choices)
            log.error("U607", f"unknown value of {backend.name}'s option `{name}`", found=value, limit=values)
        elif sum(other == name for other, _ in chosen) > 1:
            log.error("U607", f"{backend.name}'s option `{name}` is given several values", limit="one value")
    log.raise_if_errors()
    return backend.having(dict(chosen)) if chosen else backend
