"""The frame of every deploy.py: options, a raster in, an answer out.

deploy.py holds this module's text.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import runpy
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from nirc.files.description import File, Tree
from nirc.files.manifest import READOUT, Bundle

CHECKER = "check.py"  # in the bundle
MAX_COUNT = 1 << 20  # spikes of one channel in a step
SAVED: list[str] = []  # answers at their places: an interruption after this is a success


def report(error: BaseException) -> str:
    """Return an exception in a line of ASCII."""
    return f"{type(error).__name__}: {str(error)[:300]!a}"


def warn(text: str) -> None:
    """Write a line on the standard error."""
    sys.stderr.write(f"warning: {text}\n")


def missing(package: str, error: object, how: str) -> NoReturn:
    """End the script: a package is not installed."""
    sys.stderr.write(
        f"{package} is needed for this, and cannot be imported\n  ({str(error)[:300]!a})\n{how}\n"
    )
    sys.exit(3)


class Layout:
    """A raster (samples, steps, inputs), and the places of the model's inputs and outputs."""

    def __init__(self, manifest: Tree, channels: int, columns: int, raster: Any) -> None:
        self.raster = raster
        self.channels = channels  # of the chip
        self.columns = columns  # of the chip
        self.inputs = manifest["input_map"]
        self.outputs = manifest["output_map"]
        self.latency = manifest["output_latency_steps"]
        self.membrane = manifest["output_kind"] == "membrane"
        self.populations = manifest["populations"]
        self.scale = np.ones(columns)  # chip units per volt
        for block in self.populations.values():
            if block["part"] == READOUT:
                self.scale[block["index"]] = block["scale"]

    @property
    def latest(self) -> int:
        """Steps until the last answer to the last step has come."""
        return int(max([0, *self.latency]))

    def sent(self, sample: Any, after: int | None = None) -> Any:
        """Return spike counts (steps, channels of the chip) of a sample, and ``after`` empty steps.

        ``after`` is ``latest`` if None. Inputs may share a channel, as pooled pixels do.
        """
        steps = len(sample)
        after = self.latest if after is None else after
        counts = np.zeros((steps + after, self.channels), np.int64)
        for column, channel in enumerate(self.inputs):
            if channel is not None:
                counts[:steps, channel] += sample[:, column]
        return counts

    def answer(self, chip: Any, steps: int, more: Sequence[int] | None = None) -> Any:
        """Return the model's rows (steps, outputs) from those of the chip. Membranes are in volts.

        ``more``: steps by which each column of the chip is later, on top of the manifest's.
        """
        rows = np.zeros((steps, len(self.outputs)), np.float64 if self.membrane else np.int64)
        for i, column in enumerate(self.outputs):
            lag = self.latency[i] + (more[column] if more is not None else 0)
            first = max(0, -lag)  # below 0: the model shows this output later than the chip
            rows[first:, i] = chip[lag + first : lag + steps, column]
        return rows / self.scale[self.outputs] if self.membrane else rows


def load_raster(path: str, channels: int, most: int = MAX_COUNT) -> Any:
    """Return (samples, steps, channels) integers, from the key `inputs` or a bare array."""
    try:
        loaded = np.load(path, allow_pickle=False)
        inputs = loaded["inputs"] if hasattr(loaded, "files") else loaded
    except Exception as error:  # numpy raises nearly anything on a damaged file
        sys.exit(f"--data: {path!a} cannot be read: {report(error)}")
    if (
        inputs.ndim < 3
        or int(np.prod(inputs.shape[2:], dtype=object)) != channels
        or not inputs.shape[1]
    ):
        sys.exit(
            f"--data: inputs have shape {inputs.shape}, not (samples, steps, {channels} channels "
            "in all)"
        )
    good = inputs.dtype.kind in "buif" and ((inputs >= 0) & (inputs <= most)).all()
    if not good or (inputs.dtype.kind == "f" and (inputs != np.floor(inputs)).any()):
        sys.exit(f"--data: inputs ({inputs.dtype}) must be integer spike counts from 0 to {most}")
    return inputs.reshape(inputs.shape[0], inputs.shape[1], channels).astype(np.int64)


def save(path: str, arrays: Mapping[str, Any]) -> None:
    """Write the answer beside its place and rename it. A device or a pipe is written at once."""
    packed = io.BytesIO()
    np.savez_compressed(packed, **arrays)
    place = Path(os.path.realpath(path))  # a link stays a link
    if place.exists() and not place.is_file():
        place.write_bytes(packed.getvalue())
        return
    part = place.with_name(f".{place.name[:20]}.{os.getpid()}.part")
    try:
        part.write_bytes(packed.getvalue())
        SAVED.append(path)
        part.replace(place)
    except BaseException:  # an interruption leaves nothing behind, too
        if part.exists():
            SAVED.clear()
            with contextlib.suppress(OSError):
                part.unlink()
        raise


def save_answer(
    path: str, answer: Any, layout: Layout, more: Mapping[str, Any] | None = None
) -> None:
    """Save `spikes` (samples, steps, outputs) and `output`, their sums over time."""
    save(path, {"output": answer.sum(axis=1), "spikes": answer, **(more or {})})
    text = "membranes in volts" if layout.membrane else f"{int(answer.sum())} output spikes"
    print(f"wrote {path!a}: {text}")


def second_look(directory: Path, listed: Mapping[str, str]) -> list[str]:
    """Return the findings of check.py beside this script, which shares no code with it.

    It rebuilds the network from the chip's files, and compares it with network.nir.
    """
    if CHECKER not in listed:
        return []
    if find_spec("numpy") is None:
        warn(f"{CHECKER} was not run: numpy is not installed")
        return []
    scope = runpy.run_path(str(directory / CHECKER), run_name="check")
    found = scope["check"](scope["files_of"](directory), scope["READER"])
    return [str(each) for each in found if each.kind != "overflow"]


@dataclass
class Script:
    """The script of one chip.

    ``files``: descriptions of the chip's files, ``ends_of``: see ``Bundle``. ``add_options`` gets
    the parser and the group of --check and --dry-run, ``refuse`` the parser and the options.
    ``summary`` gives lines about a good bundle. ``use`` builds, uploads and runs. It gets a layout
    if there is a raster. ``end`` ends a run that failed or was interrupted, with a text or a
    status. ``most``: spikes of one channel in a step.
    """

    doc: str
    directory: Path
    files: Sequence[File]
    ends_of: Callable[[Mapping[str, Tree]], Any]
    summary: Callable[[Mapping[str, Tree]], Sequence[str]]
    use: Callable[[dict[str, Tree], Layout | None, argparse.Namespace], None]
    add_options: Callable[[argparse.ArgumentParser, Any], None] = lambda parser, only: None
    refuse: Callable[[argparse.ArgumentParser, argparse.Namespace], None] = lambda *_: None
    end: Callable[[Any], NoReturn] = sys.exit
    most: int = MAX_COUNT

    def options(self, arguments: Sequence[str] | None) -> argparse.Namespace:
        """Return the options of the command line."""
        parser = argparse.ArgumentParser(
            description=self.doc, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        only = parser.add_mutually_exclusive_group()
        only.add_argument(
            "--check", action="store_true", help="check all files of the bundle, and stop"
        )
        only.add_argument(
            "--dry-run", action="store_true", help="let the vendor's package check, run nothing"
        )
        parser.add_argument(
            "--data", metavar="FILE", help="input spikes: .npz with `inputs`, or .npy"
        )
        parser.add_argument(
            "--out",
            metavar="FILE",
            default="out.npz",
            help="where the answer goes (default %(default)s)",
        )
        parser.add_argument(
            "--debug", action="store_true", help="show the traceback if a run fails"
        )
        self.add_options(parser, only)
        options = parser.parse_args(arguments)
        self.refuse(parser, options)
        return options

    def main(self, arguments: Sequence[str] | None = None) -> None:
        """Check the bundle, then run or check as asked."""
        options = self.options(arguments)
        needed = options.data or any(file.name.endswith(".npz") for file in self.files)
        if needed and find_spec("numpy") is None:
            missing("numpy", "No module named 'numpy'", "pip install numpy")
        bundle = Bundle(self.directory, self.files, self.ends_of)
        faults = bundle.lines + (bundle.strangers() if options.check else [])
        faults = faults or second_look(self.directory, bundle.listed)
        for line in faults or self.summary(bundle.trees):
            print(line)
        if faults:
            sys.exit(1)
        if options.check:
            return
        if options.data and not Path(options.out).absolute().parent.is_dir():
            sys.exit(f"--out: there is no folder {str(Path(options.out).parent)!a}")
        layout = None
        if options.data:
            ends = self.ends_of(bundle.trees)
            manifest = bundle.manifest
            raster = load_raster(options.data, len(manifest["input_map"]), self.most)
            layout = Layout(manifest, ends["inputs"], ends["outputs"], raster)
        try:
            self.use(bundle.trees, layout, options)
        except Exception as error:  # whatever the vendor's package, a cable or the disk may raise
            if options.debug:
                raise
            self.end(f"the run failed: {report(error)}")

    def start(self) -> None:
        """Run as a program. The signals of a batch system and of a terminal end it as Ctrl-C does.

        A signal that is ignored, as under nohup, stays ignored.
        """
        for name in ("SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)  # Windows has no SIGHUP
            if number is not None and signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, signal.default_int_handler)
        try:
            self.main()
        except KeyboardInterrupt:
            if SAVED:
                self.end(0)
            sys.stderr.write("interrupted; nothing was written\n")
            self.end(130)
