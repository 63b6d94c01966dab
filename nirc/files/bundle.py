"""A bundle on disk: there whole or not at all, and trusted only after its digests have been
checked.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nirc.diagnostics.log import Log
from nirc.files.bounds import MAX_REPORTED
from nirc.files.faults import Faults
from nirc.files.manifest import MANIFEST as MANIFEST_FILE
from nirc.files.manifest import sha256

MANIFEST = MANIFEST_FILE.name
MAX_FILE = 1 << 30  # bytes of one file in a bundle that is read
LOOKS = 3
SWAPS = 100  # attempts to be the last of several commands that write the same bundle


def to_json(tree: object) -> bytes:
    """Deterministic, readable JSON."""
    return (
        json.dumps(tree, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
    ).encode()


def write(directory: Path, files: Mapping[str, bytes], *, force: bool, log: Log) -> None:
    """Put ``files`` (the manifest among them) at ``directory``.

    Written beside it and renamed. An older bundle is replaced; a directory with anything else in it
    is left alone (U602) unless ``force``, which adds the files to it, the manifest last. Raises
    ``UsageError``.
    """
    refuse_unusable(directory, force=force, log=log)
    with _reported(directory, log):
        if _kind(directory) in ("other", "held"):
            _write_into(directory, files)
        else:
            _replace(directory, files)


@contextlib.contextmanager
def _reported(directory: Path, log: Log) -> Iterator[None]:
    """What the file system refuses, as U608."""
    try:
        yield
    except OSError as error:
        log.error(
            "U608",
            f"`{directory}` cannot be written: {error.strerror or error}",
            found=str(directory),
            help="check the path, its permissions and the space left on the disk",
        )
        log.raise_if_errors()


def refuse_unusable(directory: Path, *, force: bool, log: Log) -> None:
    """Raise ``UsageError`` (U602, U608) if a bundle must not, or cannot, be written at
    ``directory``.
    """
    kind = "free"
    with _reported(directory, log):
        kind = _kind(directory)
    if kind == "other" and not force:
        log.error(
            "U602",
            f"`{directory}` exists and holds something that is not of this bundle",
            found=_stranger(directory),
            help="name another directory with --out, or add the files to it with --force",
        )
    if kind == "file":
        log.error(
            "U602",
            f"`{directory}` is a file or a link, not a directory",
            help="name another directory with --out",
        )
    if kind == "held" and not force:
        log.error(
            "U602",
            f"`{directory}` cannot be replaced by a bundle: it is the current directory, or a "
            "disk is mounted there",
            help="name a new directory inside it with --out, or write the files there one by one "
            "with --force",
        )
    log.raise_if_errors()


def read(directory: Path, log: Log) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Manifest and files of a bundle, digests checked. Raises ``InputError`` (U605)."""
    text = _read_file(directory / MANIFEST, log)
    log.raise_if_errors()
    manifest = _parsed(text, log)
    log.raise_if_errors()
    files = {}
    for name, digest in manifest["files"].items():
        data = _read_file(directory / name, log)
        if data and sha256(data) != digest:
            log.error(
                "U605",
                f"`{name}` is not the file that nirc wrote",
                where=name,
                found=sha256(data)[:16],
                limit=str(digest)[:16],
                help="compile again; a bundle must not be edited by hand",
            )
        files[name] = data
    log.raise_if_errors()
    return manifest, files


def _parsed(text: bytes, log: Log) -> dict[str, Any]:
    """The manifest, or nothing if something is wrong with it."""
    faults = Faults()
    tree = MANIFEST_FILE.parse(text, faults)
    if not faults:
        MANIFEST_FILE.check(tree, {}, faults)
    for fault in faults.all[:MAX_REPORTED]:
        message = f"the manifest is not one that this version reads: {fault.text}"
        log.error(
            "U605",
            message,
            where=fault.path,
            found=fault.found,
            limit=fault.allowed,
            help="compile again",
        )
    return {} if faults else tree


def _read_file(path: Path, log: Log) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        log.error(
            "U605",
            f"`{path.name}` of the bundle cannot be read: {error.strerror}",
            where=str(path),
            help="compile again",
        )
        return b""
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if status.st_size > MAX_FILE or not stat.S_ISREG(status.st_mode):
            log.error(
                "U605",
                f"`{path.name}` is too large or not a regular file",
                where=str(path),
                found=status.st_size,
                limit=MAX_FILE,
            )
            return b""
        return file.read()


def _kind(directory: Path) -> str:
    """What is at ``directory``; looked at again if it changes meanwhile, as when two commands write
    one bundle.
    """
    kind = "free"
    for _ in range(LOOKS):
        with contextlib.suppress(FileNotFoundError):
            kind = _look(directory)
            if kind != "other":
                break
    return kind


def _look(directory: Path) -> str:
    """``free``, ``bundle`` (only files of ours in it), ``held`` (these, but not to be renamed),
    ``other``, ``file``.
    """
    try:
        if not stat.S_ISDIR(directory.lstat().st_mode):
            return "file"
    except FileNotFoundError:
        return "free"
    if any(directory.iterdir()) and _stranger(directory):
        return "other"
    if directory.is_mount() or Path.cwd().is_relative_to(directory.resolve()):
        return "held"
    return "bundle" if any(directory.iterdir()) else "free"


def _stranger(directory: Path) -> str:
    """The first name in ``directory`` that its manifest does not list; the manifest itself if it is
    none of ours.
    """
    log = Log()
    manifest = (
        _parsed(_read_file(directory / MANIFEST, log), log)
        if (directory / MANIFEST).is_file()
        else {}
    )
    listed = {MANIFEST, *manifest.get("files", {})} if not log.errors and manifest else set()
    return next((p.name for p in sorted(directory.iterdir()) if p.name not in listed), "")


def _replace(directory: Path, files: Mapping[str, bytes]) -> None:
    with _beside(directory) as partial:
        new, old = partial / "new", partial / "old"
        new.mkdir()
        _write_into(new, files)
        try:
            _swap(new, directory, old)
        except BaseException:  # an interruption too: the older bundle goes back to its place
            if old.exists() and not directory.exists():
                old.rename(directory)
            raise


def _swap(new: Path, directory: Path, old: Path) -> None:
    """``new`` to ``directory``, and what was there to ``old``; others may do the same at the same
    time.
    """
    for attempt in range(SWAPS):
        with contextlib.suppress(FileNotFoundError):
            directory.rename(old if not attempt else old.with_name(f"old{attempt}"))
        try:
            new.rename(directory)
            return
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY) or attempt == SWAPS - 1:
                raise


@contextlib.contextmanager
def _beside(directory: Path) -> Iterator[Path]:
    """A working directory on the same file system, removed at the end; those of killed runs are
    removed first.
    """
    parent = directory.absolute().parent
    parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{directory.name[:40]}.partial-"  # a name has 255 bytes
    ours = re.compile(re.escape(prefix) + r"(\d+)-\w{8}")  # nothing else may ever be removed
    for path in parent.iterdir():
        if (stale := ours.fullmatch(path.name)) and not _alive(int(stale[1])):
            shutil.rmtree(path, ignore_errors=True)
    partial = Path(tempfile.mkdtemp(prefix=f"{prefix}{os.getpid()}-", dir=parent))
    try:
        yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (OverflowError, ProcessLookupError):
        return False
    except OSError:
        return True
    return True


def _write_into(directory: Path, files: Mapping[str, bytes]) -> None:
    """Every file whole (written beside, renamed), the manifest last: without it nothing is a
    bundle.
    """
    for name in sorted(files, key=lambda n: (n == MANIFEST, n)):
        part = directory / f".{name}.part"
        with part.open("wb") as file:
            file.write(files[name])
            file.flush()
            os.fsync(file.fileno())
        part.replace(directory / name)
