"""A network on a board: inputs in, the model's rows and recordings out.

deploy.py holds this module's text.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from nirc.files.description import Tree
from nirc.files.manifest import READOUT

MAX_COUNT = 1 << 20  # spikes of one channel in a step
MOST_DATA = 1 << 32  # bytes of a data file's arrays
NUMPY_FILE = b"\x93NUMPY"  # begins .npy
SAME_STEP = 1e-3  # relative difference below which two time steps are the same


def report(error: BaseException) -> str:
    """Return an exception in a line of ASCII."""
    return f"{type(error).__name__}: {str(error)[:300]!a}"


def warn(text: str) -> None:
    """Write a line on the standard error."""
    sys.stderr.write(f"warning: {text}\n")


class DeployError(Exception):
    """A fault of an input, an option, a package or a board. ``status``: of the program."""

    status = 1


class BundleError(DeployError):
    """A bundle with faults. ``lines`` has one text for each."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


class MissingPackageError(DeployError):
    """A package that is not installed, or not in a version that this script knows."""

    status = 3

    def __init__(self, package: str, error: object, how: str) -> None:
        reason = ascii(str(error)[:300])[1:-1]
        super().__init__(f"{package} is needed for this, and cannot be imported\n  {reason}\n{how}")


class LateError(DeployError):
    """An answer that does not come. The call that waits for it may still be at work."""


def within(seconds: float | None, call: Callable[[], Any]) -> Any:
    """Return the result of a vendor's call. Raises ``LateError`` if it takes longer.

    A call cannot be stopped, so with a limit it has a thread of its own.
    """
    if seconds is None:
        return call()
    with_result: list[Any] = []
    with_error: list[BaseException] = []

    def work() -> None:
        try:
            with_result.append(call())
        except BaseException as error:
            with_error.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    if with_error:
        raise with_error[0]
    if not with_result:
        raise LateError(f"there is no answer within {seconds:g} s; see --timeout")
    return with_result[0]


class Layout:
    """The places of the model's inputs, outputs and populations on the chip."""

    def __init__(self, manifest: Tree, channels: int, columns: int) -> None:
        self.channels = channels  # of the chip
        self.columns = columns  # of the chip
        self.inputs = manifest["input_map"]
        self.outputs = manifest["output_map"]
        self.latency = manifest["output_latency_steps"]
        self.membrane = manifest["output_kind"] == "membrane"
        self.populations = manifest["populations"]
        self.scale: dict[int, float] = {}  # chip units per volt of columns
        for block in self.populations.values():
            if block["part"] == READOUT:
                for i, column in enumerate(block["index"]):
                    self.scale[column] = block["scale"][i]

    def sent(self, raster: Any) -> Any:
        """Return spike counts (steps, channels of the chip) of a raster (steps, inputs).

        Inputs may share a channel, as pooled pixels do.
        """
        counts = np.zeros((len(raster), self.channels), np.int64)
        for column, channel in enumerate(self.inputs):
            if channel is not None:
                counts[:, channel] += raster[:, column]
        return counts

    def answer(self, chip: Any, start: int, stop: int, first: int = 0) -> Any:
        """Return the model's rows ``start`` to ``stop`` (rows, outputs). Membranes are in volts.

        ``chip`` (rows, columns) begins with the chip's step ``first``.
        """
        rows = np.zeros(
            (stop - start, len(self.outputs)), np.float64 if self.membrane else np.int64
        )
        for i, column in enumerate(self.outputs):
            rows[:, i] = rows_of(chip[:, column], self.latency[i], start, stop, first)
        scale = np.array([self.scale.get(column, 1.0) for column in self.outputs])
        return rows / scale if self.membrane else rows


def rows_of(values: Any, lag: int, start: int, stop: int, first: int = 0) -> Any:
    """Return rows ``start`` to ``stop`` of the model, which the chip shows ``lag`` steps later.

    ``values`` (rows, ...) begin with the chip's step ``first``. With a lag below 0 the first rows
    are zeros.
    """
    rows = np.zeros((stop - start, *values.shape[1:]), values.dtype)
    lead = min(max(0, -lag - start), stop - start)
    rows[lead:] = values[start + lead + lag - first : stop + lag - first]
    return rows


def checked(inputs: Any, channels: int, most: int = MAX_COUNT) -> Any:
    """Return (samples, steps, channels) integers. ``most``: spikes of a channel in a step.

    Inputs of two axes are one sample, as for ``nirc run``. Raises ``DeployError``.
    """
    inputs = np.asarray(inputs)
    if inputs.ndim == 2:
        warn("inputs of two axes are read as one sample of (steps, channels)")
        inputs = inputs[None]
    misfit = inputs.ndim < 3 or not inputs.size
    if misfit or int(np.prod(inputs.shape[2:], dtype=object)) != channels:
        wanted = f"(samples, steps, {channels} channels in all), or one sample of (steps, channels)"
        raise DeployError(f"inputs have shape {inputs.shape}, not {wanted}")
    good = inputs.dtype.kind in "buif" and ((inputs >= 0) & (inputs <= most)).all()
    if not good or (inputs.dtype.kind == "f" and (inputs != np.floor(inputs)).any()):
        raise DeployError(f"inputs ({inputs.dtype}) must be integer spike counts from 0 to {most}")
    return inputs.reshape(inputs.shape[0], inputs.shape[1], channels).astype(np.int64)


def load_raster(path: str, channels: int, most: int = MAX_COUNT, dt: float | None = None) -> Any:
    """Return (samples, steps, channels) integers, from the key `inputs` or a bare array.

    ``dt``: the seconds of the bundle's step, to warn of a file with another one.
    """
    found: list[str] = []
    refuse_strange(path)
    try:
        loaded = np.load(path, allow_pickle=False)
        found = list(getattr(loaded, "files", []))
        refuse_huge(path, [info.file_size for info in loaded.zip.infolist()] if found else [])
        inputs = loaded["inputs"] if found or hasattr(loaded, "files") else loaded
        other = float(loaded["dt"]) if "dt" in found else None
    except DeployError:
        raise
    except Exception as error:  # numpy raises nearly anything on a damaged file
        raise DeployError(f"--data: {unreadable(path, found, error)}") from None
    if other and dt and abs(other / dt - 1) > SAME_STEP:
        warn(f"--data: a step of the file has {other:g} s, one of the bundle {dt:g} s")
    try:
        return checked(inputs, channels, most)
    except DeployError as error:
        raise DeployError(f"--data: {error}") from None


def refuse_strange(path: str) -> None:
    """Refuse what is no file of numpy. A pipe without a writer would wait for ever."""
    place = Path(path)
    if place.exists() and not place.is_file():
        raise DeployError(f"--data: {path!a} is no regular file")
    try:
        with place.open("rb") as file:
            start = file.read(6)
    except OSError as error:
        raise DeployError(f"--data: {unreadable(path, [], error)}") from None
    if not start.startswith((b"PK", NUMPY_FILE)):
        raise DeployError(
            f"--data: {path!a} cannot be read: it is neither .npz nor .npy, as numpy writes: "
            "np.savez('data.npz', inputs=counts)"
        )


def refuse_huge(path: str, sizes: Sequence[int]) -> None:
    """Refuse an archive whose arrays are too large when they are unpacked."""
    if sum(sizes) > MOST_DATA:
        raise DeployError(
            f"--data: the arrays in {path!a} have {sum(sizes)} bytes; at most {MOST_DATA}"
        )


def unreadable(path: str, found: Sequence[str], error: Exception) -> str:
    """Return the reason why a data file gives no inputs. ``found``: the arrays in it."""
    if found and "inputs" not in found:
        return f"there is no array `inputs` in {path!a}; there are {sorted(found)[:8]!a}"
    return f"{path!a} cannot be read as .npz or .npy: {report(error)}"


class Board:
    """A network that is ready to run on a chip, a board or a vendor's simulator.

    ``chip`` is what each chip's script adds. ``play(counts, wanted, fresh)`` sends spike counts
    (steps, channels). It returns the chip's outputs (steps, columns) and, for each part of
    ``wanted``, a dict of states (steps, neurons): ``wanted`` has the numbers of the neurons of each
    part. With ``fresh`` the chip starts from the initial states, else it goes on where it stopped.
    ``continues`` is False for a chip that cannot: its steps are run again from the first one.
    ``more`` has parts and neurons of names besides those of the manifest.
    """

    def __init__(self, chip: Any, layout: Layout, most: int = MAX_COUNT) -> None:
        self.chip = chip
        self.layout = layout
        self.most = most

    @property
    def populations(self) -> list[str]:
        """The names that ``record`` may ask for, from inputs to outputs."""
        blocks = self.layout.populations
        places = {name: (block.get("place", len(blocks)), name) for name, block in blocks.items()}
        more = [name for name in self.chip.more if name not in blocks]
        return [*sorted(blocks, key=places.__getitem__), *more]

    def names(self, record: str | Sequence[str]) -> list[str]:
        """Return the populations that ``record`` asks for. Raises ``DeployError``."""
        known = self.populations
        if not isinstance(record, (str, Iterable)):
            raise DeployError(f"record: {record!a} is no name, and no list of names")
        asked = [record] if isinstance(record, str) else list(record)
        for name in asked:
            if name not in known and name != "all":
                there = f"there are {known!a}, and 'all'"
                raise DeployError(f"--record: there is no population {name!a}; {there}")
        every = [*self.layout.populations] or known
        named = [name for name in known if name in asked]
        return [name for name in known if name in every] if "all" in asked else named

    def run(
        self,
        inputs: Any,
        record: str | Sequence[str] = (),
        chunk: int | None = None,
        progress: Callable[[int], None] = lambda done: None,
    ) -> dict[str, Any]:
        """Run samples, each from the network's initial states, and return their answers.

        ``inputs``: (samples, steps, ...input shape) spike counts, or (steps, channels). ``record``:
        names of populations, or "all". ``chunk``: steps that are sent at once. The result has
        `spikes` (samples, steps, outputs), `output` (samples, outputs), their sums over time, and
        for each recorded population `spikes/NAME` and, where the chip shows it, `v/NAME` (samples,
        steps, neurons), v in units of the chip. Outputs that do not fire are in volts. ``progress``
        gets the number of samples that are done. Raises ``DeployError``.
        """
        names = self.names(record)
        raster = checked(inputs, len(self.layout.inputs), self.most)
        empty = np.zeros((self.after(names), raster.shape[2]), np.int64)
        self.chip.ready(len(raster))
        size = chunk if chunk and self.chip.continues else raster.shape[1] + len(empty)
        samples = []
        for sample in raster:
            padded = np.concatenate([sample, empty])
            parts = [padded[i : i + size] for i in range(0, len(padded), size)]
            samples.append(joined(list(self.advance(parts, names))))
            progress(len(samples))
        result = {name: np.stack([sample[name] for sample in samples]) for name in samples[0]}
        return {"output": result["spikes"].sum(axis=1), **result}

    def stream(self, source: Iterable[Any], record: str | Sequence[str] = ()) -> Iterator[Any]:
        """Run chunks (steps, channels) of one sample without an end, and yield a dict for each.

        The arrays have the names of ``run``, without `output` and without the axis of samples. A
        row comes when the chip has shown it, some steps after its input. The last rows come after
        the last chunk, which empty steps follow. Raises ``DeployError``.
        """
        names = self.names(record)
        channels = len(self.layout.inputs)
        parts = (checked(np.asarray(chunk)[None], channels, self.most)[0] for chunk in source)
        empty = np.zeros((self.after(names), channels), np.int64)
        self.chip.ready(1)
        return self.advance(chain(parts, [empty]), names)

    def live(
        self, seconds: float, progress: Callable[[str], None] = lambda text: None
    ) -> dict[str, Any]:
        """Let the chip run on its own sensor, and return what came out in this time.

        The arrays are those of ``run`` for one sample. Speck adds `events/output` (n, 5), each
        microseconds, core, channel, y, x, and `events/input` (n, 4), each microseconds, polarity,
        y, x of its camera. ``progress`` gets a line each second. Raises ``DeployError``.
        """
        found = self.chip.live(seconds, progress)
        rows = found.pop("output")
        spikes = self.layout.answer(rows, 0, max(0, len(rows) - self.after(())))[None]
        return {"output": spikes.sum(axis=1), "spikes": spikes, **found}

    def advance(self, parts: Iterable[Any], names: Sequence[str]) -> Iterator[Any]:
        """Play parts of one sample, and yield the model's rows that are complete after each."""
        after, early, wanted = self.after(names), self.early(names), self.wanted(names)
        held: dict[str, Any] = {}
        sent = None
        first = done = 0  # the chip's step of the first row that is held, the model's next row
        for part in parts:
            if not len(part):
                continue
            fresh = sent is None or not self.chip.continues
            counts = self.layout.sent(part)
            sent = counts if sent is None or self.chip.continues else np.concatenate([sent, counts])
            found = self.found(names, wanted, *self.chip.play(sent, wanted, fresh))
            held = found if fresh else joined([held, found])
            stop = max(done, first + len(held["output"]) - after)
            yield {
                "spikes": self.layout.answer(held["output"], done, stop, first),
                **self.recorded(names, held, done, stop, first),
            }
            done = stop
            cut = max(0, done - early - first) if self.chip.continues else 0
            held, first = {key: rows[cut:] for key, rows in held.items()}, first + cut

    def found(
        self, names: Sequence[str], wanted: Mapping[str, Any], rows: Any, parts: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return the chip's rows by the name of their array."""
        found = {"output": rows}
        for name in names:
            part, index = self.place(name)
            columns = np.searchsorted(wanted[part], index)
            found |= {
                f"{state}/{name}": values[:, columns] for state, values in parts[part].items()
            }
        return found

    def recorded(
        self, names: Sequence[str], held: Mapping[str, Any], start: int, stop: int, first: int
    ) -> dict[str, Any]:
        """Return the model's rows ``start`` to ``stop`` of recorded populations."""
        recorded = {}
        for key, values in held.items():
            name = key.partition("/")[2]
            if name in names:
                recorded[key] = rows_of(values, self.lag(name), start, stop, first)
        return recorded

    def place(self, name: str) -> tuple[str, Any]:
        """Return the part of the chip that a population is in, and the numbers of its neurons."""
        block = self.layout.populations.get(name)
        part, index = (block["part"], block["index"]) if block else self.chip.more[name]
        return part, np.asarray(index, np.int64)

    def wanted(self, names: Sequence[str]) -> dict[str, Any]:
        """Return the rising numbers of the neurons to record, by part."""
        parts: dict[str, list[Any]] = {}
        for name in names:
            part, index = self.place(name)
            parts.setdefault(part, []).append(index)
        return {part: np.unique(np.concatenate(found)) for part, found in parts.items()}

    def lag(self, name: str) -> int:
        """Return the steps by which the chip shows a population later than the model."""
        return int(self.layout.populations.get(name, {}).get("latency_steps", 0))

    def latencies(self, names: Sequence[str]) -> list[int]:
        """Return the latencies of outputs and recorded populations, in steps."""
        return [*self.layout.latency, *map(self.lag, names)]

    def after(self, names: Sequence[str]) -> int:
        """Return the empty steps after which the last row has come."""
        return max(0, 0, *self.latencies(names))

    def early(self, names: Sequence[str]) -> int:
        """Return the most steps by which the chip is earlier than the model."""
        return -min(0, 0, *self.latencies(names))


def joined(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return arrays of the same name one after the other."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
