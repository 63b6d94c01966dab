"""The options of a compilation, and the values that they can have."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from numbers import Integral, Real

import numpy as np

from nirc.chip.backend import Search
from nirc.diagnostics.log import Log
from nirc.diagnostics.usage import OptionMakesNoSense, WrongType
from nirc.files.data import Data
from nirc.mapping.effort import EFFORTS, Effort
from nirc.passes.add_readout import Readout
from nirc.rounding.rule import LEAST_BITS, OWN_BITS

RESETS = ("model", "zero", "subtract", "none")
DISCRETISATIONS = ("euler", "exponential")
MAX_SEED = (1 << 31) - 1


Kind = tuple[tuple[type, ...], str]  # classes, and their description
SECONDS: Kind = ((Real, type(None)), "a number of seconds, or None")
TEXT: Kind = ((str,), "a str")
TEXT_OR_NONE: Kind = ((str, type(None)), "a str, or None")
SWITCH: Kind = ((bool, np.bool_), "True or False")
INTEGER: Kind = ((Integral,), "an int")
INTEGER_OR_NONE: Kind = ((Integral, type(None)), "an int, or None")


def is_finite(value: float) -> bool:
    """Return True for a number that a float holds, as an integer of 400 digits is not."""
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


@dataclass(frozen=True)
class Options:
    """The options of a compilation. All of them go into the manifest."""

    dt_s: float | None = None
    reset: str = "model"
    discretise: str | None = None
    readout: str | None = None  # neurons behind weighted outputs, as ``--readout`` takes them
    writer: str | None = None  # as for ``--from``, None for what the file shows
    strict: bool = False
    allow_silent: bool = False  # outputs that can never fire are no error
    seed: int = 0
    effort: Effort = "normal"
    time_limit_s: float | None = None
    weight_bits: int | None = None  # at most, None for as many as the chip has
    chip: tuple[tuple[str, str], ...] = ()  # (name, value) of the chip's own options, sorted
    data_dt_s: float | None = None  # of the data at hand, for a file that has no step

    def with_data(self, *data: object) -> Options:
        """Return the options with the time step of the first ``Data`` that has one."""
        steps = (each.dt_s for each in data if isinstance(each, Data) and each.dt_s is not None)
        return replace(self, data_dt_s=self.data_dt_s or next(steps, None))

    @property
    def search(self) -> Search:
        """The limits of the searches."""
        return Search(self.seed, self.effort, self.time_limit_s)

    def as_tree(self) -> dict[str, object]:
        """Return the options for the manifest, without seed and those of the chip."""
        return {
            "reset": self.reset,
            "from": self.writer,
            "readout": self.readout,
            "discretise": self.discretise,
            "strict": self.strict,
            "allow_silent": self.allow_silent,
            "dt": self.dt_s,
            "effort": self.effort,
            "time_limit": self.time_limit_s,
            "weight_bits": self.weight_bits,
        }

    def checked(self, log: Log) -> Options:
        """Raise ``UsageError`` (U607) for values that make no sense."""
        log.add_all(self._wrong_types())
        log.raise_if_errors()
        for problem, found, limit in self._senseless():
            log.add(OptionMakesNoSense(problem=problem, found=found, limit=limit))
        log.raise_if_errors()
        return self

    def _wrong_types(self) -> Iterator[WrongType]:
        """Yield the arguments whose values are of another type than they can have."""
        given: list[tuple[str, object, Kind]] = [
            ("dt", self.dt_s, SECONDS),
            ("time_limit", self.time_limit_s, SECONDS),
            ("effort", self.effort, TEXT),
            ("reset", self.reset, TEXT),
            ("discretise", self.discretise, TEXT_OR_NONE),
            ("readout", self.readout, TEXT_OR_NONE),
            ("writer", self.writer, TEXT_OR_NONE),
            ("strict", self.strict, SWITCH),
            ("allow_silent", self.allow_silent, SWITCH),
            ("seed", self.seed, INTEGER),
            ("weight_bits", self.weight_bits, INTEGER_OR_NONE),
        ]
        for name, text in self.chip:
            given += [("chip", name, TEXT), (f"chip[{name!r}]", text, TEXT)]
        for argument, value, (kinds, limit) in given:
            is_switch = isinstance(value, bool) and bool not in kinds  # a bool is an int, too
            if is_switch or not isinstance(value, kinds):
                yield WrongType(argument=argument, value=value, limit=limit)

    def _senseless(self) -> Iterator[tuple[str, object, str]]:
        """Yield problem, value and limit of each option that makes no sense."""
        if self.dt_s is not None and not (is_finite(self.dt_s) and self.dt_s > 0):
            yield "--dt must be a positive number of seconds", self.dt_s, "> 0, e.g. 1e-4"
        if self.reset not in RESETS:
            yield "unknown reset rule", self.reset, ", ".join(RESETS)
        if self.discretise not in (None, *DISCRETISATIONS):
            yield "unknown discretisation", self.discretise, ", ".join(DISCRETISATIONS)
        if self.readout is not None and Readout.parse(self.readout) is None:
            problem = "--readout takes li[:STEPS] or if[:THRESHOLD]"
            yield problem, self.readout[:40], "li:8, if:1; STEPS from 1, THRESHOLD above 0"
        if self.effort not in EFFORTS:
            yield "unknown effort", self.effort, ", ".join(EFFORTS)
        if self.time_limit_s is not None and not (
            is_finite(self.time_limit_s) and self.time_limit_s > 0
        ):
            yield "--time-limit must be a positive number of seconds", self.time_limit_s, "> 0"
        if self.weight_bits is not None and not LEAST_BITS <= self.weight_bits <= OWN_BITS:
            limit = f"{LEAST_BITS} to {OWN_BITS}, which all chips have"
            yield "--weight-bits is out of range", self.weight_bits, limit
        if not 0 <= self.seed <= MAX_SEED:
            yield "--seed is out of range", self.seed, f"0 to {MAX_SEED}"
