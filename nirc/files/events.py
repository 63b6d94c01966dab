"""Events of cameras, and their frames: counts of each pixel in each step.

Files of cameras (AEDAT4, Prophesee's RAW with EVT2, EVT2.1 and EVT3, DAT, ES) are read by the
library faery, in a process of its own: it ends a damaged file by a panic. Arrays are those of
tonic: fields ``t`` in microseconds, ``x``, ``y``, ``p``.
"""

from __future__ import annotations

import io
import math
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from numbers import Integral
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from nirc.diagnostics.log import Log
from nirc.diagnostics.usage import UnreadableData
from nirc.files.bounds import (
    COPY_AGAIN,
    MAX_DATA_BYTES,
    RefusalError,
    at,
    printable,
    refused,
)
from nirc.files.foreign import check_file
from nirc.files.recorded import ON_TIME, damage

MICROSECONDS = 1_000_000
MOST_PIXELS = 1 << 24  # of a sensor
MOST_EVENTS = 1 << 28
MOST_MICROSECONDS = 1 << 53  # 285 years, exact in floating point
MOST_STEPS = 1 << 40  # of a recording
MOST_POOL = 1 << 12
MAGIC = (b"#!AER-DAT4.0", b"% ", b"Event Stream", b"\x93NUMPY")
EXPECTED = "AEDAT4, RAW (EVT2, EVT2.1, EVT3), DAT, ES, or a .npy with fields t, x, y, p"
RENAME = "copy the file again, and keep its suffix: .aedat4, .raw, .dat or .es"
NEEDED = ("t", "x", "y")
POLARITIES = ("p", "on", "polarity")
MESSAGE = 300  # characters of the library's own words

# Prints a .npy of the events after a line with the sensor's width and height, or else the error.
READER = f"""
import sys
import numpy
import faery
try:
    stream = faery.events_stream_from_file(sys.argv[1])
    packets, total = [], 0
    for packet in stream:
        total += len(packet)
        if total > {MOST_EVENTS}:
            raise ValueError("more than {MOST_EVENTS} events")
        packets.append(packet)
    events = numpy.zeros(total, [("t", "<i8"), ("x", "<u2"), ("y", "<u2"), ("p", "?")])
    start = 0
    for packet in packets:
        part = events[start : start + len(packet)]
        for name, key in (("t", "t"), ("x", "x"), ("y", "y"), ("p", "on")):
            part[name] = packet[key]
        start += len(packet)
except BaseException as error:
    print("error", " ".join(str(error).split())[:{MESSAGE}])
    sys.exit(3)
print(*stream.dimensions(), flush=True)
numpy.save(sys.stdout.buffer, events)
"""

Polarity = Literal["both", "merged", "on", "off"]
LEAST_S, MOST_S = 1e-9, 1e9  # seconds of a step or a window


@dataclass(frozen=True)
class Events:
    """``t``: microseconds from the first event, ascending. ``on``: of polarity, or None.

    ``width``, ``height``: of the sensor, in pixels.
    """

    t: NDArray[np.int64]
    x: NDArray[np.int64]
    y: NDArray[np.int64]
    on: NDArray[np.bool_] | None
    width: int
    height: int


@dataclass(frozen=True)
class Framing:
    """The way from events to counts.

    ``dt_s``: seconds of a step. ``crop``: x, y, width, height of the pixels that are kept.
    ``pool``: pixels of a square that become one. ``polarity``: `both` gives two channels, off and
    on, `merged` one. ``start_s``: after the first event. ``window_s``: seconds of a sample, None
    for the whole recording as one sample. What is left behind the last full window is left out.
    """

    dt_s: float
    crop: tuple[int, int, int, int] | None = None
    pool: int = 1
    polarity: Polarity = "both"
    start_s: float = 0.0
    window_s: float | None = None

    def check(self) -> None:
        """Raise ``RefusalError`` (U603) for values that make no sense."""
        seconds = {"dt": self.dt_s, "start": self.start_s}
        if self.window_s is not None:
            seconds["window"] = self.window_s
        for name, value in seconds.items():
            least = 0.0 if name == "start" else LEAST_S
            if not _is_number(value) or not least <= value <= MOST_S:
                limit = f"{least:g} to {MOST_S:g} seconds"
                raise refused(UnreadableData, f"`{name}` makes no sense", _brief(value), limit)
        if not _is_whole(self.pool) or not 1 <= self.pool <= MOST_POOL:
            limit = f"1 to {MOST_POOL}"
            raise refused(UnreadableData, "`pool` makes no sense", _brief(self.pool), limit)
        crop = self.crop
        if crop is not None and not (
            isinstance(crop, tuple | list)
            and len(crop) == 4
            and all(_is_whole(each) and 0 <= each <= MOST_PIXELS for each in crop)
        ):
            limit = "x, y, width, height in pixels"
            raise refused(UnreadableData, "`crop` makes no sense", _brief(crop), limit)
        if self.polarity not in get_args(Polarity):
            limit = ", ".join(get_args(Polarity))
            raise refused(UnreadableData, "`polarity` makes no sense", _brief(self.polarity), limit)

    def text(self) -> str:
        """Return the framing in one line, for a manifest."""
        crop = "none" if self.crop is None else ",".join(map(str, self.crop))
        window = "all" if self.window_s is None else f"{self.window_s:g} s"
        return (
            f"dt {self.dt_s:g} s, crop {crop}, pool {self.pool}, polarity {self.polarity}, "
            f"start {self.start_s:g} s, window {window}"
        )


def _is_number(value: object) -> bool:
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.number):
        return False
    try:
        return math.isfinite(value)
    except (OverflowError, TypeError):  # 400 digits, or a complex number
        return False


def _is_whole(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _brief(value: object) -> str:
    return printable(repr(value))


def is_events(path: Path) -> bool:
    """Return True for a file of a camera by its first bytes. Raises ``OSError``."""
    with path.open("rb") as file:
        return file.read(16).startswith(MAGIC[:3])


def read_events(path: Path, log: Log) -> Events:
    """Return the events of a file. Raises ``InputError`` (U603, F101, F106)."""
    try:
        check_file(path)
        with path.open("rb") as file:
            head = file.read(16)
        if head.startswith(MAGIC[3]):
            return _array(path)
        if not head.startswith(MAGIC[:3]):
            raise refused(UnreadableData, "this is no file of events", limit=EXPECTED)
        return _recording(path)
    except OSError as error:
        reason = error.strerror or str(error)
        log.add(UnreadableData(problem=f"the file cannot be read: {reason}", help=COPY_AGAIN))
    except RefusalError as refusal:
        log.add(refusal.finding.with_fields(file=str(path)))
    log.raise_if_errors()
    raise AssertionError("an error was logged")


def _recording(path: Path) -> Events:
    if find_spec("faery") is None:
        help_ = "pip install 'nirc-compiler[events]'"
        raise refused(UnreadableData, "files of cameras need the package faery", help=help_)
    places = [str(Path(place).resolve()) for place in sys.path if place]  # never the current folder
    done = subprocess.run(
        [sys.executable, "-P", "-c", READER, str(path.resolve())],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(places)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    head, _, rest = done.stdout.partition(b"\n")
    if done.returncode or not rest:
        cause = printable(head.removeprefix(b"error ").decode(errors="replace"), MESSAGE)
        problem = "the recording is damaged, of an unknown version, or has another suffix"
        raise refused(UnreadableData, problem, cause, EXPECTED, RENAME)
    width, height = map(int, head.split())
    return events_of(npy.read_array(io.BytesIO(rest), allow_pickle=False), (width, height))


def _array(path: Path) -> Events:
    with damage(), path.open("rb") as file:
        version = npy.read_magic(file)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, dtype = read(file)
        if dtype.hasobject or min(shape, default=0) < 0 or math.prod(shape) > MOST_EVENTS:
            found = f"{printable(str(dtype))}, shape {shape}"
            raise refused(UnreadableData, "the array holds no events", found, EXPECTED)
        left = path.stat().st_size - file.tell()
        if math.prod(shape) * dtype.itemsize > left:
            raise refused(UnreadableData, "the array is cut off", help=COPY_AGAIN)
        file.seek(0)
        array = npy.read_array(file, allow_pickle=False)
    return events_of(array)


def events_of(array: NDArray[Any], size: tuple[int, int] | None = None) -> Events:
    """Return events from a structured array with fields t (microseconds), x, y and perhaps p.

    ``size``: width and height, by default up to the last pixel that has an event. Raises
    ``RefusalError`` (U603).
    """
    fields: Mapping[str, Any] = array.dtype.fields or {}
    polarity = next((each for each in POLARITIES if each in fields), None)
    for name in (*NEEDED, *([] if polarity is None else [polarity])):
        if array.ndim != 1 or name not in fields or fields[name][0].kind not in "biuf":
            found = f"{printable(str(array.dtype))}, shape {array.shape}"
            raise refused(UnreadableData, "the array holds no events", found, EXPECTED)
    t = _numbers(array["t"], "t", MOST_MICROSECONDS)
    x, y = (_numbers(array[name], name, MOST_PIXELS) for name in ("x", "y"))
    order = np.argsort(t, kind="stable") if (np.diff(t) < 0).any() else slice(None)
    on = None if polarity is None else array[polarity][order] > 0
    width, height = size or (int(x.max(initial=0)) + 1, int(y.max(initial=0)) + 1)
    if width * height > MOST_PIXELS or x.max(initial=0) >= width or y.max(initial=0) >= height:
        found = f"pixel {x.max(initial=0)}, {y.max(initial=0)} of {width} x {height}"
        limit = f"at most {MOST_PIXELS} pixels"
        raise refused(UnreadableData, "an event lies outside the sensor", found, limit)
    start = t.min(initial=np.iinfo(np.int64).max) if len(t) else 0
    return Events((t - start)[order], x[order], y[order], on, width, height)


def _numbers(values: NDArray[Any], name: str, most: int) -> NDArray[np.int64]:
    """Return times or places as integers. Raises ``RefusalError`` (U603)."""
    with np.errstate(invalid="ignore"):
        wrong = ~((values >= 0) & (values <= most))  # also NaN
    if wrong.any():
        with at(name):
            problem = "a time or place of an event is out of range"
            found = str(values[int(np.argmax(wrong))])
            raise refused(UnreadableData, problem, found, f"0 to {most}")
    return values.astype(np.int64)


def framed(events: Events, framing: Framing) -> NDArray[Any]:
    """Return (samples, steps, channels, height, width) counts of events.

    Raises ``RefusalError`` (U603) for options that leave nothing, or more than memory holds.
    """
    framing.check()
    if not len(events.t):
        raise refused(UnreadableData, "the recording has no events")
    if events.t[-1] / MICROSECONDS / framing.dt_s > MOST_STEPS:
        found = f"{framing.text()}; {events.t[-1] / MICROSECONDS:g} s"
        raise refused(UnreadableData, "the frames are too large", found, help="take a longer --dt")
    x, y, width, height, kept = _cropped(events, framing)
    if framing.polarity in ("on", "off") and events.on is not None:
        kept &= events.on == (framing.polarity == "on")
    channels = 2 if framing.polarity == "both" and events.on is not None else 1
    step = np.floor(events.t / MICROSECONDS / framing.dt_s - framing.start_s / framing.dt_s
                    + ON_TIME).astype(np.int64)  # fmt: skip
    last = int(step[-1]) + 1 if len(step) else 0
    steps = last if framing.window_s is None else round(framing.window_s / framing.dt_s)
    samples = last // steps if steps > 0 else 0
    shape = (samples, steps, channels, height, width)
    if min(shape) < 1:
        found = f"{framing.text()}; {last} step(s) of {events.width} x {events.height} pixels"
        raise refused(UnreadableData, "no event is left in a full window", found,
                      help="take a shorter --window or --dt, or another --crop")  # fmt: skip
    if math.prod(shape) * 8 > MAX_DATA_BYTES:
        found, limit = " x ".join(map(str, shape)), f"{MAX_DATA_BYTES // 8} counts"
        help_ = "take a longer --dt, or a larger --pool"
        raise refused(UnreadableData, "the frames are too large", found, limit, help_)
    kept &= (step >= 0) & (step < samples * steps)
    channel = np.zeros(len(step), np.int64) if channels == 1 else events.on
    assert channel is not None
    index = ((step * channels + channel) * height + y) * width + x
    counts = np.bincount(index[kept], minlength=math.prod(shape)).reshape(shape)
    return counts.astype(np.min_scalar_type(int(counts.max(initial=0))))


def _cropped(
    events: Events, framing: Framing
) -> tuple[NDArray[np.int64], NDArray[np.int64], int, int, NDArray[np.bool_]]:
    """Return places after cropping and pooling, the size, and the events that are kept."""
    left, top, width, height = framing.crop or (0, 0, events.width, events.height)
    if left < 0 or top < 0 or left + width > events.width or top + height > events.height:
        found = f"{left},{top},{width},{height}"
        limit = f"within {events.width} x {events.height} pixels"
        raise refused(UnreadableData, "the crop lies outside the sensor", found, limit)
    x, y = events.x - left, events.y - top
    kept = (x >= 0) & (y >= 0) & (x < width) & (y < height)
    pool = framing.pool
    width, height = width // pool, height // pool
    x, y = x // pool, y // pool
    kept &= (x < width) & (y < height)  # pixels behind the last full square
    return x, y, width, height, kept


def joined(parts: Iterator[NDArray[Any]]) -> NDArray[Any]:
    """Return the samples of several recordings in one array. Short ones end in empty steps.

    Raises ``RefusalError`` (U603) if their frames have another size.
    """
    all_ = list(parts)
    shapes = {part.shape[2:] for part in all_}
    if len(shapes) > 1:
        found = ", ".join(str(shape) for shape in sorted(shapes))
        help_ = "give them one size with --crop and --pool"
        raise refused(UnreadableData, "the recordings have frames of several sizes", found, "",
                      help_)  # fmt: skip
    steps = max(part.shape[1] for part in all_)
    padded = []
    for part in all_:
        pads = [(0, 0), (0, steps - part.shape[1])] + [(0, 0)] * (part.ndim - 2)
        padded.append(np.pad(part, pads))
    return np.concatenate(padded)
