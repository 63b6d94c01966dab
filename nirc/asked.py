"""The options of the library's functions, and the model that they are given with."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypedDict

from numpy.typing import ArrayLike

from nirc.api import array_of, chip_options
from nirc.chip.running import Samples
from nirc.diagnostics.errors import warn
from nirc.diagnostics.log import Log
from nirc.diagnostics.similar import did_you_mean
from nirc.diagnostics.usage import OptionMakesNoSense, WrongType
from nirc.files.data import read_data
from nirc.mapping.effort import Effort
from nirc.options import Options


def path_of(path: object, argument: str) -> Path:
    """Return a path. Raises ``UsageError`` (U607) for what is none."""
    given = os.fspath(path) if isinstance(path, str | os.PathLike) else None
    if not isinstance(given, str) or "\0" in given:
        raise WrongType(argument=argument, value=path, limit="a path").refusal()
    return Path(given)


class Asked(TypedDict, total=False):
    """The options of a compilation, with the names and meanings of ``nirc.compile``."""

    dt: float | None
    reset: str
    discretise: str | None
    writer: str | None
    readout: str | None
    strict: bool
    allow_silent: bool
    seed: int
    effort: Effort
    time_limit: float | None
    weight_bits: int | None
    calibrate: ArrayLike | os.PathLike[str] | None
    chip: Mapping[str, str] | None
    sample: ArrayLike | None


@contextmanager
def given(model: object, asked: Asked) -> Iterator[tuple[object, Options, Samples | None]]:
    """Yield the model, the options, and the inputs to calibrate with."""
    if unknown := asked.keys() - Asked.__annotations__.keys():
        name, known = sorted(unknown)[0], [*Asked.__annotations__]
        nearest = "writer" if name.strip("_") == "from" else name
        raise OptionMakesNoSense(
            problem=f"there is no option `{name}`",
            limit=", ".join(known),
            help=did_you_mean(nearest, known),
        ).refusal()
    names = {"dt": "dt_s", "time_limit": "time_limit_s"}
    plain = {
        names.get(name, name): value
        for name, value in asked.items()
        if name not in ("calibrate", "chip", "sample")
    }
    options = Options(**plain, chip=chip_options(asked.get("chip")))  # type: ignore[arg-type]
    calibrate = asked.get("calibrate")
    inputs = None if calibrate is None else _samples(calibrate, options)
    sample = asked.get("sample")
    if not hasattr(model, "state_dict"):
        if sample is not None:
            raise OptionMakesNoSense(problem="`sample` goes with a torch network").refusal()
        yield model, options, inputs
        return
    if sample is None:
        problem = "a torch network needs `sample`, spike counts that it can run on"
        raise OptionMakesNoSense(problem=problem, help="sample=inputs[:1]").refusal()
    from nirc.recording.record import record

    with tempfile.TemporaryDirectory(prefix="nirc-") as folder:
        path = Path(folder) / "model.nir"
        record(model, sample, path, path.with_suffix(".npz"))
        yield path, options, inputs


def _samples(calibrate: ArrayLike | os.PathLike[str], options: Options) -> Samples:
    """Return the inputs to calibrate with: an array, or the data in a file."""
    if isinstance(calibrate, str | os.PathLike):
        path, log = path_of(calibrate, "calibrate"), Log()
        data = read_data(path, log, options.checked(log).dt_s)
        warn(log.diagnostics, depth=4)
        return data
    return array_of(calibrate, "calibrate")
