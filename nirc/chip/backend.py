"""A chip's backend: a subclass of ``Backend`` under the entry-point group `nirc.backends`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from nirc.chip.target import Target
from nirc.chip.vendor import Package
from nirc.diagnostics.log import Log
from nirc.diagnostics.similar import did_you_mean
from nirc.diagnostics.usage import OptionMakesNoSense
from nirc.ir.program import Program
from nirc.mapping.effort import SOLVER_WORK, Effort
from nirc.mapping.floorplan import Floorplan, Part, Point
from nirc.passes.pipeline import Calibration, Pass
from nirc.rounding.rule import OWN_BITS
from nirc.semantics.raster import Progress, Run

if TYPE_CHECKING:
    from nirc.chip.estimate import Activity, Figure
    from nirc.chip.training import Training
    from nirc.diagnostics.finding import Finding

# A core, by its number in floorplan.json or by its cell, and neurons on it.
OnCore = tuple[int | Point, Part]

# Approximations that chips make, as their names begin (``weights: 8 bits``): see
# ``Backend.approximations``.
KINDS = ("weights", "constants", "decays", "reset", "saturation", "states", "delays")


@dataclass(frozen=True)
class Search:
    """Limits of a search. ``seconds``: CP-SAT's time, instead of its work."""

    seed: int = 0
    effort: Effort = "normal"
    seconds: float | None = None

    @property
    def work(self) -> float:
        """The work of CP-SAT, in its deterministic time."""
        return SOLVER_WORK[self.effort]


@dataclass(frozen=True)
class ChipOption:
    """An option of one chip family: ``--set NAME=VALUE``.

    ``accepts`` returns True for another value that makes sense. ``form`` describes such values.
    """

    name: str
    values: tuple[str, ...]  # the first is the default
    help: str
    form: str = ""
    accepts: Callable[[str], bool] | None = None

    def takes(self, value: str) -> bool:
        """Return True if ``value`` may be given."""
        return value in self.values or (self.accepts is not None and self.accepts(value))

    @property
    def choices(self) -> tuple[str, ...]:
        """Return all values, the free form last."""
        return (*self.values, self.form) if self.form else self.values


def option(
    values: tuple[str, ...],
    help_: str,
    form: str = "",
    accepts: Callable[[str], bool] | None = None,
) -> Any:
    """Return a field of a backend that is an option: see ``ChipOption``."""
    return field(
        default=values[0],
        metadata={"values": values, "help": help_, "form": form, "accepts": accepts},
    )


@dataclass(frozen=True)
class Block:
    """A population on the chip.

    ``index``: its neurons among those of ``part`` that the emulator records. ``scale``: chip units
    per volt.
    """

    part: str
    index: tuple[int, ...]
    scale: tuple[float, ...]
    latency_steps: int = 0


@dataclass(frozen=True)
class Mapped:
    """A network in the tables of one chip variant.

    ``input_map`` and ``output_map``: for each model input (output), flat in C order, the chip's
    channel, None if nothing listens. ``latency_steps``: for each model output. ``utilisation``:
    resource -> (used, available).
    """

    target: Target
    chip: Any  # the backend's own tables
    input_map: tuple[int | None, ...]
    output_map: tuple[int | None, ...]
    latency_steps: tuple[int, ...]
    blocks: Mapping[str, Block]
    utilisation: Mapping[str, tuple[int, int]]
    silent_outputs: bool = False  # outputs are membranes, not spikes
    # Source, target and steps of projections that act so many steps later than the model's do, on
    # top of the latency of populations.
    retimed: tuple[tuple[str, str, int], ...] = ()
    floorplan: Floorplan | None = None  # None if the chip has one core


@dataclass(frozen=True)
class Emulation:
    """The options of a run of the emulator.

    ``mode``: one of ``Backend.modes``. ``record``: keep spikes and membranes of every population,
    beside the output. ``progress`` takes the number of samples that are done.
    """

    mode: str
    record: bool = False
    progress: Progress | None = None


@dataclass(frozen=True)
class Backend(ABC):
    """One chip family. A subclass must have ``name``, ``targets`` and the abstract methods.

    A subclass with options is a frozen dataclass too. Each field is an option: ``input: str =
    option(...)``.
    """

    name: ClassVar[str]  # as on the command line
    # Variants, in the order in which they are tried if the user names none.
    targets: ClassVar[tuple[Target, ...]]
    # Modes in which the emulator can run the files. The first is the default, which equals the
    # integer form.
    modes: ClassVar[tuple[str, ...]] = ("synchronous",)
    # Spikes of an input channel that count in a step, at most. A bound where the chip has none.
    most_input_spikes: ClassVar[int] = 1 << 10
    # The neuron of the laws' networks: CubaLIF, with recurrence, or IF, without.
    law_neuron: ClassVar[str] = "CubaLIF"
    # What a bundle's deploy.py needs, for `nirc doctor`.
    packages: ClassVar[tuple[Package, ...]] = ()
    # True if ``quantise`` obeys ``weight_bits``.
    has_weight_bits: ClassVar[bool] = False

    weight_bits: int = OWN_BITS  # of each weight, at most. No option of this family

    @property
    def options(self) -> tuple[ChipOption, ...]:
        """The options of this family."""
        return tuple(ChipOption(f.name, **f.metadata) for f in fields(self) if f.metadata)

    @property
    def settings(self) -> dict[str, str]:
        """The value of each option."""
        return {each.name: getattr(self, each.name) for each in self.options}

    def with_options(self, chosen: Sequence[tuple[str, str]], log: Log) -> Self:
        """Return the backend with the options ``chosen``, (name, value) pairs.

        Raises ``UsageError`` (U607) for every name or value that the chip does not have, and for a
        name given twice.
        """
        known = {each.name: each for each in self.options}
        for name, value in chosen:
            if name not in known:
                unknown = OptionMakesNoSense(
                    problem=f"{self.name} has no option `{name}`",
                    found=f"{name}={value}",
                    limit=", ".join(known) or f"none: {self.name} has no options",
                    help=did_you_mean(name, known, f"nirc targets {self.name}"),
                )
                log.add(unknown)
            elif not known[name].takes(value):
                problem = f"unknown value of {self.name}'s option `{name}`"
                choices = known[name].choices
                log.add(
                    OptionMakesNoSense(
                        problem=problem,
                        found=value,
                        limit=", ".join(choices),
                        help=did_you_mean(value, choices),
                    )
                )
            elif sum(other == name for other, _ in chosen) > 1:
                problem = f"{self.name}'s option `{name}` is given several values"
                log.add(OptionMakesNoSense(problem=problem, limit="one value"))
        log.raise_if_errors()
        values: dict[str, Any] = dict(chosen)
        return replace(self, **values)

    def with_weight_bits(self, bits: int | None, log: Log) -> Self:
        """Return the backend whose weights have at most ``bits`` bits, None for the chip's own.

        Raises ``UsageError`` (U607) if the chip cannot be asked for so many.
        """
        if bits is None:
            return self
        if not self.has_weight_bits:
            log.add(
                OptionMakesNoSense(
                    problem=f"{self.name} cannot be asked for a number of weight bits",
                    found=bits,
                    limit="its own",
                    help="leave --weight-bits out",
                )
            )
            log.raise_if_errors()
        return replace(self, weight_bits=bits)

    def network_once_more(self, files: Mapping[str, bytes]) -> Mapping[str, bytes]:
        """Return the HDF5 files of a bundle that hold the network once more, made from the others.

        `nirc check` compares them with those of the bundle. Default: there are none.
        """
        return {}

    def on_cores(self, files: Mapping[str, bytes]) -> Sequence[OnCore]:
        """Return the core of each part of a population, as the files for the chip have it.

        `nirc check` compares it with floorplan.json. Default: none.
        """
        return ()

    def findings(self) -> Sequence[type[Finding]]:
        """Return the diagnostics that only this chip reports. Default: none."""
        return ()

    def legalise(self) -> Sequence[Pass]:
        """Return the passes that bring a discrete program into the chip's terms. Default: none."""
        return ()

    @abstractmethod
    def quantise(self) -> Pass:
        """Return the pass that makes a legal program integer. The same for all variants."""

    def calibrate(self, calibration: Calibration) -> Sequence[Pass]:
        """Return the passes that run instead of ``quantise`` if there are inputs to calibrate with.

        The passes read ``calibration`` when they run. Default: ``quantise``.
        """
        return (self.quantise(),)

    def training(self) -> Training | None:
        """Return what ``nirc.torch`` trains. Default: None, this chip's numbers cannot train."""
        return None

    def cannot_fit(self, discrete: Program, targets: Sequence[Target], log: Log) -> bool:
        """Return True if none of ``targets`` can hold the program, however it is rounded.

        The limits go to the log. This saves the time of a quantisation. Default: not known before
        ``fit``.
        """
        return False

    def cannot_hold(self, discrete: Program, targets: Sequence[Target], log: Log) -> bool:
        """Return True if none of ``targets`` can hold a part of a network, however it is rounded.

        ``discrete`` has all neurons, but only the first row of large matrices. The limits go to the
        log. So a network that its shapes alone rule out is refused before its weights are read.
        Default: as ``cannot_fit``.
        """
        return self.cannot_fit(discrete, targets, log)

    @abstractmethod
    def fit(
        self, program: Program, discrete: Program, target: Target, search: Search, log: Log
    ) -> Mapped | None:
        """Return tables for ``target``, or None and an error for every limit that is exceeded.

        ``program`` is integer, ``discrete`` legal.
        """

    @abstractmethod
    def emit(self, mapped: Mapped, *, dt_s: float | None) -> dict[str, bytes]:
        """Return the chip's files, by name. Same input, same bytes."""

    @abstractmethod
    def emulate(
        self, files: Mapping[str, bytes], raster: NDArray[np.generic], asked: Emulation, log: Log
    ) -> Run:
        """Run (samples, steps, channels) on the emitted files alone, bit for bit as the chip does.

        A file that is asked of ``files`` and is not there is refused as U605.
        """

    def input_finding(self, most: int) -> Finding | None:
        """Return what the chip makes of ``most`` spikes of a channel in a step.

        ``most``: the largest count of a run. Return None if the chip takes that many. Default: it
        does.
        """
        return None

    def estimate(self, mapped: Mapped, activity: Activity, dt_s: float | None) -> Iterable[Figure]:
        """Return published costs of a step. Default: none are known."""
        return ()

    def approximations(self, discrete: Program) -> Sequence[tuple[str, Program]]:
        """Return the program with one approximation of the chip at a time, by name.

        `nirc verify` runs these programs. A name is one of ``KINDS``, a colon and the behaviour of
        the chip. A kind without a name is exact on the chip. Default: the chip computes as the
        model does.
        """
        return ()
