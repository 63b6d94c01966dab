"""Files and directories that appear at once: written beside their place, then renamed.

The rename is the commit: before it nothing has changed, after it all is done.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import platform
import re
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from pathlib import Path

SWAPS = 100  # attempts to be the last of several commands that write the same bundle
REMOVALS = 2  # attempts: a file system in trouble may refuse the first
BOOT = Path("/proc/sys/kernel/random/boot_id")  # of Linux: no two running kernels share it
PROCESSES = Path("/proc/self/ns/pid")  # the containers of one kernel count processes separately

# Returns a context around a rename. The command line holds interruptions back in it.
Commit = Callable[[], AbstractContextManager[None]]
at_once: Commit = nullcontext


def replace_directory(
    directory: Path, files: Mapping[str, bytes], last: str, commit: Commit
) -> None:
    """Put a directory of ``files`` at ``directory``, whatever is there. See ``add_files``."""
    with _beside(directory) as partial:
        new = partial / "new"
        old = partial / "old"
        new.mkdir()
        add_files(new, files, last)
        with commit():
            try:
                _swap(new, directory, old)
            except BaseException:  # an interruption, too: the older one returns to its place
                if old.exists() and not directory.exists():
                    old.rename(directory)
                raise


def add_files(
    directory: Path, files: Mapping[str, bytes], last: str, commit: Commit = at_once
) -> None:
    """Write ``files`` beside their places in ``directory``, then rename them, ``last`` at the end.

    Nothing is left of a file that cannot be written.
    """
    order = sorted(files, key=lambda name: (name == last, name))
    parts = {name: directory / f".{name}.part" for name in order}
    try:
        for name, part in parts.items():
            with part.open("wb") as file:
                file.write(files[name])
                file.flush()
                os.fsync(file.fileno())
        with commit():
            for name, part in parts.items():
                part.replace(directory / name)
    except BaseException:
        for part in parts.values():
            with contextlib.suppress(OSError):
                part.unlink()
        raise


def put_file(path: Path, data: bytes, commit: Commit) -> None:
    """Write one file. The mask of the process decides who may read it."""
    part = path.with_name(f".{path.name[:20]}.{secrets.token_hex(4)}")
    try:
        with part.open("xb") as file:
            file.write(data)
        with commit():
            part.replace(path)
    except BaseException:  # an interruption too leaves nothing behind
        with contextlib.suppress(OSError):
            part.unlink()
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

    The directories of killed runs are removed first. The parents that were missing are removed if
    nothing comes into them.
    """
    parent = directory.absolute().parent
    missing = [folder for folder in (parent, *parent.parents) if not folder.exists()]
    prefix = f".{directory.name[:40]}.partial-"  # a name has 255 bytes
    partial = parent / f"{prefix}{_machine()}-{os.getpid()}-{secrets.token_hex(4)}"
    try:
        parent.mkdir(parents=True, exist_ok=True)
        _remove_stale(parent, prefix)
        partial.mkdir(mode=0o700)
        yield partial
    finally:
        for _ in range(REMOVALS):
            shutil.rmtree(partial, ignore_errors=True)
        for folder in missing:
            with contextlib.suppress(OSError):  # the bundle is in it, or another's file
                folder.rmdir()


def _remove_stale(parent: Path, prefix: str) -> None:
    """Remove the directories of killed runs of this machine.

    A process id means nothing on another machine, which may share the folder.
    """
    ours = re.compile(re.escape(f"{prefix}{_machine()}-") + r"(\d+)-[0-9a-f]{8}")
    for path in parent.iterdir():
        if (stale := ours.fullmatch(path.name)) and not _alive(int(stale[1])):
            shutil.rmtree(path, ignore_errors=True)


@cache
def _machine() -> str:
    """Return a name for all processes whose ids this process can see."""
    try:
        known = f"{BOOT.read_text()} {PROCESSES.readlink()}"
    except OSError:  # no Linux
        known = platform.node()
    return hashlib.sha256(known.encode()).hexdigest()[:8]


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (OverflowError, ProcessLookupError):
        return False
    except OSError:
        return True
    return True
