"""Bundles and results on disk: written completely or not at all.

A bundle that is read is trusted only after its digests have been checked.
"""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nirc.diagnostics.log import Log
from nirc.diagnostics.similar import similar_file
from nirc.diagnostics.usage import (
    CannotWrite,
    DirectoryHeld,
    DirectoryInUse,
    NoDirectory,
    UnusableBundle,
)
from nirc.files.bounds import MAX_REPORTED
from nirc.files.faults import Faults
from nirc.files.manifest import MANIFEST as MANIFEST_FILE
from nirc.files.manifest import sha256

if TYPE_CHECKING:
    from nirc.semantics.raster import Run

MANIFEST = MANIFEST_FILE.name
BUNDLE_HELP = "check the path, its permissions and the space left on the disk"
MAX_FILE = 1 << 30  # bytes of one file in a bundle that is read
LOOKS = 3
SWAPS = 100  # attempts to be the last of several commands that write the same bundle


def to_json(tree: object) -> bytes:
    """Return deterministic, readable JSON. A list of plain values is one line."""
    return (_json(tree, "\n") + "\n").encode()


def _json(tree: object, end: str) -> str:
    """Return JSON whose lines start with ``end``, a line feed and blanks."""
    inner = end + " "
    if isinstance(tree, dict) and tree:
        lines = [f"{_plain(str(key))}: {_json(tree[key], inner)}" for key in sorted(tree)]
        return "{" + inner + f",{inner}".join(lines) + end + "}"
    if isinstance(tree, list | tuple) and any(
        issubclass(kind, dict | list | tuple) for kind in set(map(type, tree))
    ):
        return "[" + inner + f",{inner}".join(_json(item, inner) for item in tree) + end + "]"
    return _plain(tree)


def _plain(tree: object) -> str:
    return json.dumps(tree, ensure_ascii=False, allow_nan=False)


def write(directory: Path, files: Mapping[str, bytes], *, force: bool, log: Log) -> None:
    """Put ``files`` (the manifest among them) at ``directory``. Raises ``UsageError``.

    They are written beside it and renamed. An older bundle is replaced. A directory with other
    files is refused (U602). With ``force`` the files are added to it, the manifest last.
    """
    refuse_unusable(directory, force=force, log=log)
    with _written(directory, log, BUNDLE_HELP):
        if _kind(directory) in ("other", "held"):
            _write_into(directory, files)
        else:
            _replace(directory, files)


@contextlib.contextmanager
def _written(path: Path, log: Log, help_: str = "name another file") -> Iterator[None]:
    """Report an error of the file system as U608."""
    try:
        yield
    except OSError as error:
        log.add(CannotWrite(path=str(path), reason=error.strerror or str(error), help=help_))
        log.raise_if_errors()


def refuse_unusable(directory: Path, *, force: bool, log: Log) -> None:
    """Raise ``UsageError`` (U602, U608) if no bundle can be written at ``directory``."""
    kind = "free"
    with _written(directory, log, BUNDLE_HELP):
        kind = _kind(directory)
    if kind == "other" and not force:
        log.add(DirectoryInUse(directory=str(directory), stranger=_stranger(directory)))
    if kind == "file":
        log.add(NoDirectory(directory=str(directory)))
    if kind == "held" and not force:
        log.add(DirectoryHeld(directory=str(directory)))
    log.raise_if_errors()


def read(directory: Path, log: Log) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return manifest and files of a bundle, digests checked. Raises ``InputError`` (U605)."""
    text = _read_file(directory / MANIFEST, log)
    log.raise_if_errors()
    manifest = _parsed(text, log)
    log.raise_if_errors()
    files = {}
    for name, digest in manifest["files"].items():
        data = _read_file(directory / name, log)
        if data and sha256(data) != digest:
            edited = UnusableBundle(
                problem=f"`{name}` is not the file that nirc wrote",
                where=name,
                found=sha256(data)[:16],
                limit=str(digest)[:16],
                help="compile again; a bundle must not be edited by hand",
            )
            log.add(edited)
        files[name] = data
    log.raise_if_errors()
    return manifest, files


def _parsed(text: bytes, log: Log) -> dict[str, Any]:
    """Return the manifest, empty if something is wrong with it."""
    faults = Faults()
    tree = MANIFEST_FILE.parse(text, faults)
    if not faults:
        MANIFEST_FILE.check(tree, {}, faults)
    for fault in faults.all[:MAX_REPORTED]:
        unreadable = UnusableBundle(
            problem=f"the manifest is not one that this version reads: {fault.text}",
            where=fault.path,
            found=fault.found,
            limit=fault.allowed,
            help="compile again",
        )
        log.add(unreadable)
    return {} if faults else tree


def _read_file(path: Path, log: Log) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        problem = f"`{path.name}` of the bundle cannot be read: {error.strerror}"
        is_there = path.parent.exists()
        help_ = "compile again" if is_there else similar_file(path.parent, "compile again")
        log.add(UnusableBundle(problem=problem, where=str(path), help=help_))
        return b""
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if status.st_size > MAX_FILE or not stat.S_ISREG(status.st_mode):
            problem = f"`{path.name}` is too large or not a regular file"
            size = status.st_size
            log.add(UnusableBundle(problem=problem, where=str(path), found=size, limit=MAX_FILE))
            return b""
        return file.read()


def _kind(directory: Path) -> str:
    """Return what ``_look`` finds. Look again if ``directory`` vanishes meanwhile.

    Another command may be writing the same bundle.
    """
    kind = "free"
    for _ in range(LOOKS):
        with contextlib.suppress(FileNotFoundError):
            kind = _look(directory)
            if kind != "other":
                break
    return kind


def _look(directory: Path) -> str:
    """Return ``free``, ``bundle``, ``held`` (as a mount point is), ``other`` or ``file``."""
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
    """Return the first name in ``directory`` that no bundle's manifest lists."""
    log = Log()
    listed: set[str] = set()
    if (directory / MANIFEST).is_file():
        manifest = _parsed(_read_file(directory / MANIFEST, log), log)
        if manifest and not log.errors:
            listed = {MANIFEST, *manifest["files"]}
    return next((p.name for p in sorted(directory.iterdir()) if p.name not in listed), "")


def _replace(directory: Path, files: Mapping[str, bytes]) -> None:
    with _beside(directory) as partial:
        new = partial / "new"
        old = partial / "old"
        new.mkdir()
        _write_into(new, files)
        try:
            _swap(new, directory, old)
        except BaseException:  # an interruption, too: the older bundle returns to its place
            if old.exists() and not directory.exists():
                old.rename(directory)
            raise


def _swap(new: Path, directory: Path, old: Path) -> None:
    """Rename ``directory`` to ``old``, and ``new`` to ``directory``.

    Other commands may do the same at the same time.
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
    """Yield a working directory on the same file system, and remove it at the end.

    The directories of killed runs are removed first.
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
    """Write each file beside its place and rename it, the manifest last.

    Without a manifest nothing is a bundle.
    """
    for name in sorted(files, key=lambda n: (n == MANIFEST, n)):
        part = directory / f".{name}.part"
        with part.open("wb") as file:
            file.write(files[name])
            file.flush()
            os.fsync(file.fileno())
        part.replace(directory / name)


# Result files. Each is written beside its place and renamed. A device or a pipe is written into.


def save_run(path: Path, run: Run, log: Log) -> None:
    """Write ``output`` (samples, outputs) summed over steps, ``spikes``, and recordings.

    Raises ``UsageError`` (U608).
    """
    arrays: dict[str, Any] = {"output": run.output.sum(axis=1), "spikes": run.output}
    arrays |= {f"spikes/{name}": spikes for name, spikes in run.spikes.items()}
    arrays |= {f"v/{name}": v for name, v in run.v.items()}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    save_bytes(path, buffer.getvalue(), log)


def save_json(path: Path, tree: object, log: Log) -> None:
    """Write readable JSON. Raises ``UsageError`` (U608)."""
    save_bytes(path, (json.dumps(tree, indent=1, sort_keys=True) + "\n").encode(), log)


def save_bytes(path: Path, data: bytes, log: Log) -> None:
    """Write ``data`` as a file. Raises ``UsageError`` (U608)."""
    with _written(path, log):
        if path.exists() and not path.is_file():
            path.write_bytes(data)  # renaming would put a file in the place of /dev/null
        else:
            _put(Path(os.path.realpath(path)), data)  # a link stays a link


def _put(path: Path, data: bytes) -> None:
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name[:20]}.", dir=path.parent)
    part = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        part.chmod(0o666 & ~_umask())
        part.replace(path)
    except BaseException:  # an interruption too leaves nothing behind
        part.unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
