"""The frame of every deploy.py: a module that loads a bundle, and a command with options.

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
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from nirc.files.board import (
    MAX_COUNT,
    Board,
    BundleError,
    DeployError,
    LateError,
    Layout,
    MissingPackageError,
    load_raster,
    report,
    warn,
)
from nirc.files.description import File, Tree
from nirc.files.manifest import MANIFEST_NAME, Bundle, sha256
from nirc.files.runrecord import is_record, now, record_path, record_text, versions, words

MAX_WAIT = 1e6  # seconds
CHECKER = "check.py"  # in the bundle
SAVED: list[str] = []  # answers at their places: an interruption after this is a success


def save(path: str, arrays: Mapping[str, Any]) -> str:
    """Write the answer beside its place and rename it. Return its digest."""
    packed = io.BytesIO()
    np.savez_compressed(packed, **arrays)
    put(path, packed.getvalue())
    return sha256(packed.getvalue())


def put(path: str, data: bytes) -> None:
    """Write a file beside its place and rename it. A device or a pipe is written at once."""
    place = Path(os.path.realpath(path))  # a link stays a link
    if place.exists() and not place.is_file():
        place.write_bytes(data)
        return
    part = place.with_name(f".{place.name[:20]}.{os.getpid()}.part")
    try:
        part.write_bytes(data)
        SAVED.append(path)
        part.replace(place)
    except BaseException:  # an interruption leaves nothing behind, too
        if part.exists():
            SAVED.clear()
            with contextlib.suppress(OSError):
                part.unlink()
        raise


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


def replaced_by(
    out: Path, inputs: Iterable[Path], bundle: Path | None = None, listed: Iterable[str] = ()
) -> str:
    """Return what a file at ``out`` would replace, "" if it replaces no input.

    ``listed``: the files of ``bundle``.
    """
    inside = bundle is not None and out.resolve().parent == bundle.resolve()
    if inside and out.name in (*listed, MANIFEST_NAME):
        return "a file of the bundle"
    for each in inputs:
        if out.exists() and each.exists() and out.samefile(each):
            return f"the input {str(each)!a}"
    return ""


def check_places(out: str, data: str | None, bundle: Path, listed: Mapping[str, str]) -> None:
    """Raise ``DeployError`` if an answer, or its record, would replace what is no answer."""
    place = Path(out)
    if not place.absolute().parent.is_dir():
        raise DeployError(f"--out: there is no folder {str(place.parent)!a}")
    if place.is_dir():
        raise DeployError(f"--out: {out!a} is a folder; name a file")
    record = Path(record_path(out))
    for each in (place, record):
        lost = replaced_by(each, [Path(data)] if data else [], bundle, listed)
        if lost:
            raise DeployError(f"--out: {str(each)!a} would replace {lost}; name another file")
    if record.is_file() and not is_record(record.read_bytes()):
        raise DeployError(
            f"--out: the record of the run would replace {str(record)!a}, which is none; name "
            "another file"
        )


def has_type(value: Any, kind: type) -> bool:
    """Return True for a value of an option of this type. None stands for an option not given."""
    if value is None or kind is bool:
        return value is None or isinstance(value, bool)
    wide = (int, float) if kind is float else kind
    return isinstance(value, wide) and not isinstance(value, bool)


@dataclass
class Script:
    """The script of one chip.

    ``files``: descriptions of the chip's files, ``ends_of``: see ``Bundle``. ``chip`` makes what a
    ``Board`` needs from the trees of the files, the layout and the options. Its ``build`` makes the
    vendor's object and returns a line about it. Its ``upload`` puts the network on a board and
    returns a line, on chips that need no raster for it. Its ``about`` has facts for the record of a
    run: ``board``, ``simulated`` and the names of ``packages``, perhaps ``serial``, ``firmware``
    and ``power_watts``. ``add_options`` gets the parser and the group of --check and --dry-run,
    ``refuse`` returns the reason why options make no sense. ``summary`` gives lines about a good
    bundle. ``end`` ends a run that failed or was interrupted, with a text or a status. ``most``:
    spikes of one channel in a step. ``timeout``: seconds, None for no end. Without ``uploads`` the
    chip gets its network with a raster only. ``first_day``: what a newcomer installs and types
    first, the end of --help.
    """

    doc: str
    directory: Path
    files: Sequence[File]
    ends_of: Callable[[Mapping[str, Tree]], Any]
    summary: Callable[[Mapping[str, Tree]], Sequence[str]]
    chip: Callable[[Mapping[str, Tree], Layout, argparse.Namespace], Any]
    add_options: Callable[[argparse.ArgumentParser, Any], None] = lambda parser, only: None
    refuse: Callable[[argparse.Namespace], str | None] = lambda options: None
    end: Callable[[Any], NoReturn] = sys.exit
    most: int = MAX_COUNT
    timeout: float | None = 60.0
    uploads: bool = True
    first_day: str = ""

    def parser(self) -> argparse.ArgumentParser:
        """Return the parser of the command line."""
        parser = argparse.ArgumentParser(
            description=self.doc.strip(),
            epilog=self.first_day.strip(),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        only = parser.add_mutually_exclusive_group()
        add, only_add = parser.add_argument, only.add_argument
        only_add("--check", action="store_true", help="check all files of the bundle, and stop")
        only_add(
            "--dry-run", action="store_true", help="let the vendor's package check, run nothing"
        )
        add("--data", metavar="FILE", help="input spikes: .npz with `inputs`, or .npy")
        add("--out", metavar="FILE", default="out.npz", help="the answer (default %(default)s)")
        add(
            "--record",
            metavar="NAME|all",
            nargs="+",
            action="extend",
            default=[],
            help="populations whose spikes and states to save, too; see above for what it costs",
        )
        add("--chunk", metavar="STEPS", type=int, help="send long samples in parts of this length")
        add(
            "--timeout",
            metavar="SECONDS",
            type=float,
            default=self.timeout,
            help="for the answer to one part (default %(default)s)",
        )
        add("--debug", action="store_true", help="show the traceback if a run fails")
        self.add_options(parser, only)
        return parser

    def reason(self, options: argparse.Namespace) -> str | None:
        """Return the reason why options make no sense, or None."""
        if options.chunk is not None and options.chunk < 1:
            return "--chunk is a number of steps from 1"
        if options.timeout is not None and not 0 < options.timeout <= MAX_WAIT:
            return "--timeout is a time above 0 s"
        live = getattr(options, "live", None)
        if live is not None and (options.data or options.check or options.dry_run):
            return "--live takes no --data, --check or --dry-run"
        if live is not None and not 0 < live <= MAX_WAIT:
            return "--live is a time above 0 s"
        if live is not None and options.record:
            return "--record needs --data: in real time states cannot be read"
        return self.refuse(options)

    def bundle(self, directory: Path, options: argparse.Namespace) -> Bundle:
        """Return the files of a bundle without faults. Raises ``BundleError``, ``DeployError``."""
        live = getattr(options, "live", None)
        needs_numpy = options.data or live or any(file.name.endswith(".npz") for file in self.files)
        if needs_numpy and find_spec("numpy") is None:
            raise MissingPackageError("numpy", "No module named 'numpy'", "pip install numpy")
        bundle = Bundle(directory, self.files, self.ends_of)
        faults = bundle.lines + (bundle.strangers() if options.check else [])
        faults = faults or second_look(directory, bundle.listed)
        if faults:
            raise BundleError(faults)
        return bundle

    def board(self, bundle: Bundle, options: argparse.Namespace) -> Board:
        """Return the network, which no package and no board has seen yet."""
        ends = self.ends_of(bundle.trees)
        layout = Layout(bundle.manifest, ends["inputs"], ends["outputs"])
        return Board(self.chip(bundle.trees, layout, options), layout, self.most)

    def load(self, directory: str | os.PathLike[str] | None, given: Mapping[str, Any]) -> Board:
        """Return a network that is ready to run. ``given``: options by name. See ``load``."""
        if not isinstance(directory, (str, os.PathLike, type(None))):
            raise DeployError(f"the directory of a bundle is a path, not {directory!a}")
        options = self.parser().parse_args([])
        unknown = sorted(set(given) - set(vars(options)))
        if unknown:
            raise DeployError(f"there are no options {unknown}; see --help for those there are")
        for name, value in given.items():
            if not has_type(value, self.kind(name)):
                raise DeployError(f"{name}: {value!a} is no {self.kind(name).__name__}")
        vars(options).update(given)
        reason = self.reason(options)
        if reason:
            raise DeployError(reason)
        where = self.directory if directory is None else Path(directory)
        board = self.board(self.bundle(where, options), options)
        board.chip.build()
        return board

    def kind(self, name: str) -> type:
        """Return the type of an option's values."""
        actions = {action.dest: action for action in self.parser()._actions}
        action = actions[name]
        if action.nargs == 0:
            return bool
        if isinstance(action.type, type):
            return action.type
        return list if isinstance(action.default, list) else str

    def main(self, arguments: Sequence[str] | None = None) -> None:
        """Check the bundle, then run or check as asked. The only part that ends the program."""
        parser = self.parser()
        options = parser.parse_args(arguments)
        reason = self.reason(options)
        if not (self.uploads or options.check or options.dry_run or options.data or reason):
            reason = "--data FILE, --dry-run or --check"
        if reason:
            parser.error(reason)
        try:
            self.answer(options)
        except BundleError as error:
            print(error)
            sys.exit(1)
        except LateError as error:  # a vendor's thread is still at work
            self.end(str(error))
        except DeployError as error:
            if error.status == 1:
                sys.exit(str(error))
            sys.stderr.write(f"{error}\n")
            sys.exit(error.status)
        except Exception as error:  # whatever the vendor's package, a cable or the disk may raise
            if options.debug:
                raise
            self.end(f"the run failed: {report(error)}")

    def answer(self, options: argparse.Namespace) -> None:
        """Do what the options ask for. Raises ``DeployError``, and whatever a vendor raises."""
        bundle = self.bundle(self.directory, options)
        if options.check:
            print("\n".join(self.summary(bundle.trees)))
            return
        writes = options.data or getattr(options, "live", None) is not None
        if writes:
            check_places(options.out, options.data, self.directory, bundle.listed)
        board = self.board(bundle, options)
        raster = None
        if options.data:
            manifest = bundle.manifest
            channels = len(manifest["input_map"])
            raster = load_raster(options.data, channels, self.most, manifest.get("dt"))
        names = board.names(options.record)
        print(board.chip.build())
        if options.dry_run:
            return
        live = getattr(options, "live", None) or 0.0
        if raster is None and not live:
            print(board.chip.upload())
            return

        def progress(done: int) -> None:
            if raster is not None and len(raster) > 1:
                print(f"sample {done} of {len(raster)}", flush=True)

        started, begin = now(), time.monotonic()
        if raster is not None:
            answer = board.run(raster, names, options.chunk, progress)
        else:
            answer = board.live(live, lambda text: print(text, flush=True))
        seconds = time.monotonic() - begin
        fields = {
            "started": started,
            "seconds": seconds,
            "data": sha256(Path(options.data).read_bytes()) if options.data else None,
            "samples": answer["spikes"].shape[0],
            "steps": answer["spikes"].shape[1],
            "recorded": names,
            **self.facts(bundle, board, options),
        }
        digest = save(options.out, answer)
        if Path(options.out).is_file():  # beside a device nothing is written
            put(record_path(options.out), record_text({**fields, "output": digest}))
        spikes = f"{int(answer['spikes'].sum())} output spikes"
        print(f"wrote {options.out!a}: {'membranes in volts' if board.layout.membrane else spikes}")

    def facts(self, bundle: Bundle, board: Board, options: argparse.Namespace) -> dict[str, Any]:
        """Return what the record of a run says of bundle, options, board and packages."""
        plain = vars(self.parser().parse_args([]))
        given = {name: value for name, value in vars(options).items() if value != plain[name]}
        about = dict(board.chip.about())
        return {
            "bundle": bundle.manifest["sha256"],
            "target": bundle.manifest["target"],
            "options": {name: words(value) or "" for name, value in given.items()},
            "packages": versions(["numpy", *about.pop("packages")]),
            "board": words(about.pop("board")),
            "serial": words(about.pop("serial", None)),
            "firmware": words(about.pop("firmware", None)),
            "simulated": about.pop("simulated"),
            "power_watts": about.pop("power_watts", {}),
        }

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
