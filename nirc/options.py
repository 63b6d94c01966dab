"""The options of a compilation, and the values that they can have."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from numbers import Integral, Real

import numpy as np

from nirc.diagnostics.log import Log
from nirc.diagnostics.usage import OptionMakesNoSense, WrongType
from nirc.files.data import Data
from nirc.passes.add_readout import Readout

RESETS = ("model", "zero", "subtract", "none")
DISCRETISATIONS = ("euler", "exponential")
MAX_SEED = (1 << 31) - 1


@dataclass(frozen=True)
class Options:
    """The options of a compilation. All of them go into the manifest."""

    dt_s: float | None = None
    reset: str = "model"
    discretise: str | None = None
    readout: str | None = None  # neurons behind weighted outputs, as ``--readout`` takes them
    writer: str | None = None  # as for ``--from``, None for what the file shows
    strict: bool = False
    seed: int = 0
    time_limit_s: float | None = None
    chip: tuple[tuple[str, str], ...] = ()  # (name, value) of the chip's own options, sorted
    data_dt_s: float | None = None  # of the data at hand, for a file that has no step

    def with_data(self, *data: object) -> Options:
        """Return the options with the time step of the first ``Data`` that has one."""
        steps = (each.dt_s for each in data if isinstance(each, Data) and each.dt_s is not None)
        return replace(self, data_dt_s=self.data_dt_s or next(steps, None))

    def as_tree(self) -> dict[str, object]:
        """Return the options for the manifest, without seed and those of the chip."""
        return {
            "reset": self.reset,
            "from": self.writer,
            "readout": self.readout,
            "discretise": self.discretise,
            "strict": self.strict,
            "dt": self.dt_s,
            "time_limit": self.time_limit_s,
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
        numbers = {"dt": self.dt_s, "time_limit": self.time_limit_s}
        texts = {"discretise": self.discretise, "readout": self.readout, "writer": self.writer}
        for name, value in numbers.items():
            if value is not None and (isinstance(value, bool) or not isinstance(value, Real)):
                yield WrongType(argument=name, value=value, limit="a number of seconds, or None")
        for name, value in {**texts, "reset": self.reset or 0}.items():
            if value is not None and not isinstance(value, str):
                yield WrongType(argument=name, value=value, limit="a str")
        if not isinstance(self.strict, bool | np.bool_):
            yield WrongType(argument="strict", value=self.strict, limit="True or False")
        if isinstance(self.seed, bool) or not isinstance(self.seed, Integral):
            yield WrongType(argument="seed", value=self.seed, limit="an int")
        for name, value in self.chip:
            if not isinstance(name, str) or not isinstance(value, str):
                yield WrongType(argument=f"chip[{name!r}]", value=value, limit="a str")

    def _senseless(self) -> Iterator[tuple[str, object, str]]:
        """Yield problem, value and limit of each option that makes no sense."""
        if self.dt_s is not None and not 0 < self.dt_s < np.inf:
            yield "--dt must be a positive number of seconds", self.dt_s, "> 0, e.g. 1e-4"
        if self.reset not in RESETS:
            yield "unknown reset rule", self.reset, ", ".join(RESETS)
        if self.discretise not in (None, *DISCRETISATIONS):
            yield "unknown discretisation", self.discretise, ", ".join(DISCRETISATIONS)
        if self.readout is not None and Readout.parse(self.readout) is None:
            problem = "--readout takes li[:STEPS] or if[:THRESHOLD]"
            yield problem, self.readout[:40], "li:8, if:1; STEPS from 1, THRESHOLD above 0"
        if self.time_limit_s is not None and not 0 < self.time_limit_s < np.inf:
            yield "--time-limit must be a positive number of seconds", self.time_limit_s, "> 0"
        if not 0 <= self.seed <= MAX_SEED:
            yield "--seed is out of range", self.seed, f"0 to {MAX_SEED}"
