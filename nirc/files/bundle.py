"""Bundles and results on disk: written completely or not at all.

A bundle that is read is trusted only after its digests have been checked.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nirc.diagnostics.escape import in_json
from nirc.diagnostics.log import Log
from nirc.diagnostics.similar import similar_file
from nirc.diagnostics.usage import (
    CannotWrite,
    DirectoryHeld,
    DirectoryInUse,
    EditedBundle,
    NoDirectory,
    UnusableBundle,
)
from nirc.files.bounds import MAX_REPORTED
from nirc.files.commit import Commit, add_files, at_once, put_file, replace_directory
from nirc.files.faults import Faults
from nirc.files.kinds import Kind, Map, Object
from nirc.files.manifest import MANIFEST as MANIFEST_FILE
from nirc.files.manifest import NO_DIGEST, digest_of, sha256
from nirc.files.runs import Runs

if TYPE_CHECKING:
    from nirc.semantics.raster import Run

MANIFEST = MANIFEST_FILE.name
BUNDLE_HELP = "check the path, its permissions and the space left on the disk"
MAX_FILE = 1 << 30  # bytes of one file in a bundle that is read
LOOKS = 20  # at a bundle that other commands replace


def to_json(tree: object) -> bytes:
    """Return deterministic, readable JSON. A list of plain values is one line."""
    text = _json(tree, "\n")
    return f"{in_json(text)}\n".encode()


def _json(tree: object, end: str) -> str:
    """Return JSON whose lines start with ``end``, a line feed and blanks."""
    inner = end + " "
    if isinstance(tree, dict) and tree:
        lines = [f"{_plain(str(key))}: {_json(tree[key], inner)}" for key in sorted(tree)]
        return "{" + inner + f",{inner}".join(lines) + end + "}"
    if (
        isinstance(tree, list | tuple)
        and not isinstance(tree, InRuns)
        and any(issubclass(kind, dict | list | tuple) for kind in set(map(type, tree)))
    ):
        return "[" + inner + f",{inner}".join(_json(item, inner) for item in tree) + end + "]"
    return _plain(tree)


def in_rows(tree: Mapping[str, Any]) -> bytes:
    """Return JSON with a line for each entry of the lists and objects below the root.

    Large systems have some 100,000 cores.
    """
    lines = []
    for key, value in sorted(tree.items()):
        text = _rows(value, "\n ")
        if isinstance(value, dict):
            rows = [_plain(name) + ": " + _rows(value[name], "\n  ") for name in sorted(value)]
            text = "{\n  " + ",\n  ".join(rows) + "\n }"
        lines.append(f" {_plain(key)}: {text}")
    return in_json("{\n" + ",\n".join(lines) + "\n}\n").encode()


def _rows(value: Any, end: str) -> str:
    """Return JSON with a line for each object of a list."""
    if isinstance(value, list) and value and isinstance(value[0], dict):
        inner = end + " "
        return "[" + inner + f",{inner}".join(map(_row, value)) + end + "]"
    return _row(value)


def _as_python(value: Any) -> object:
    """Return a number of numpy as a number of Python."""
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"a bundle holds no {type(value).__name__}")


# One encoder for all values. `json.dumps` would make one for each.
_plain = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=_as_python).encode
_row = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, default=_as_python, sort_keys=True
).encode


class InRuns(list[Any]):
    """A list in runs, on one line of JSON."""


LEAST_RUN = 4  # values that are written as a run. Fewer are no longer than the run.
NO_INTEGER = -(1 << 62)  # null among integers


def in_runs(values: Sequence[Any]) -> InRuns:
    """Return a list in runs of equal steps, see ``nirc.files.runs``. Numbers other than integers
    are in runs of equal values.
    """
    kinds = set(map(type, values))
    if kinds <= {int, type(None)}:
        numbers = np.array([NO_INTEGER if v is None else v for v in values], dtype=np.int64)
        steps = numbers[1:] - numbers[:-1]
    elif kinds == {float}:
        numbers = np.array(values)
        steps = np.where(numbers[1:] == numbers[:-1], 0, np.arange(1, len(numbers)))
    else:
        return InRuns(values)
    others = np.flatnonzero(steps[1:] != steps[:-1]) + 1
    starts = np.append(0, others)[: len(steps)]
    lengths = np.append(others, len(steps)) - starts if len(steps) else starts
    result = InRuns()
    done = 0
    long = lengths >= LEAST_RUN - 1
    for start, length in zip(starts[long].tolist(), lengths[long].tolist(), strict=True):
        first = max(start, done)
        count = start + length + 1 - first
        if count >= LEAST_RUN:
            result += values[done:first]
            result.append([values[first], count, int(steps[start])])
            done = first + count
    result += values[done:]
    return result


def packed(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tree of manifest.json as it is on the disk."""

    def shorter(kind: Kind, value: Any) -> Any:
        if isinstance(kind, Runs):
            return InRuns(value) if len(value) <= kind.full else in_runs(value)
        if isinstance(kind, Map):
            return {name: shorter(kind.item, inner) for name, inner in value.items()}
        if isinstance(kind, Object):
            known = {name: kind.fields[name] for name in value if name in kind.fields}
            return {**value, **{name: shorter(known[name], value[name]) for name in known}}
        return value

    tree: dict[str, Any] = shorter(MANIFEST_FILE.root, manifest)
    return tree


def signed(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return the manifest with the digest of its own text, as ``contents`` writes it."""
    return {**manifest, "sha256": _signed_tree(manifest)["sha256"]}


def contents(manifest: Mapping[str, Any], files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the files of a bundle on disk, the manifest among them."""
    return {**files, MANIFEST: to_json(_signed_tree(manifest))}


def _signed_tree(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tree of manifest.json with the digest of its text without one."""
    tree = packed({**manifest, "sha256": NO_DIGEST.decode()})
    return {**tree, "sha256": sha256(to_json(tree))}


def write(
    directory: Path,
    files: Mapping[str, bytes],
    *,
    force: bool,
    log: Log,
    commit: Commit = at_once,
) -> None:
    """Put ``files`` (the manifest among them) at ``directory``. Raises ``UsageError``.

    They are written beside it and renamed. An older bundle is replaced. A directory with other
    files, or with files that were edited, is refused (U602). With ``force`` the files are added to
    it, the manifest last. A link to a directory stays a link.
    """
    refuse_unusable(directory, force=force, log=log)
    with _written(directory, log, BUNDLE_HELP):
        place = _place(directory)
        if _kind(place)[0] in ("other", "held"):
            add_files(place, files, MANIFEST, commit)
        else:
            replace_directory(place, files, MANIFEST, commit)


def _place(directory: Path) -> Path:
    """Return the directory that a link leads to, else ``directory``."""
    if directory.is_symlink() and directory.is_dir():
        return Path(os.path.realpath(directory))
    return directory


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
    kind, stranger = "free", ""
    with _written(directory, log, BUNDLE_HELP):
        kind, stranger = _kind(_place(directory))
    if kind == "file":
        log.add(NoDirectory(directory=str(directory)))
    if not force:
        if kind == "other":
            log.add(DirectoryInUse(directory=str(directory), stranger=stranger))
        if kind == "edited":
            log.add(EditedBundle(directory=str(directory), stranger=stranger))
        if kind == "held":
            log.add(DirectoryHeld(directory=str(directory)))
    log.raise_if_errors()


def read(directory: Path, log: Log) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return manifest and files of a bundle, digests checked. Raises ``InputError`` (U605)."""
    text = _read_file(directory / MANIFEST, log)
    log.raise_if_errors()
    manifest = _parsed(text or b"", log)
    log.raise_if_errors()
    files = {}
    for name, digest in manifest["files"].items():
        data = _read_file(directory / name, log)
        if data is not None:
            files[name] = data
            if sha256(data) != digest:
                log.add(_edited(name, sha256(data), digest))
    log.raise_if_errors()
    return manifest, files


def _edited(name: str, found: str, digest: str) -> UnusableBundle:
    return UnusableBundle(
        problem=f"`{name}` is not the file that nirc wrote",
        where=name,
        found=found[:16],
        limit=digest[:16],
        help="compile again, with --force; a bundle must not be edited by hand",
    )


def _parsed(text: bytes, log: Log) -> dict[str, Any]:
    """Return the manifest, empty if something is wrong with it."""
    faults = Faults()
    tree = MANIFEST_FILE.parse(text, faults)
    if not faults:
        MANIFEST_FILE.check(tree, {}, faults)
    if not faults and (found := digest_of(text, tree["sha256"])) != tree["sha256"]:
        log.add(_edited(MANIFEST, found, tree["sha256"]))
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


def _read_file(path: Path, log: Log) -> bytes | None:
    """Return the bytes of a regular file, None if they cannot be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if status.st_size <= MAX_FILE and stat.S_ISREG(status.st_mode):
                return file.read()
    except OSError as error:
        problem = f"`{path.name}` of the bundle cannot be read: {error.strerror}"
        is_there = path.parent.exists()
        help_ = "compile again" if is_there else similar_file(path.parent, "compile again")
        log.add(UnusableBundle(problem=problem, where=str(path), help=help_))
        return None
    problem = f"`{path.name}` is too large or not a regular file"
    size = status.st_size
    log.add(UnusableBundle(problem=problem, where=str(path), found=size, limit=MAX_FILE))
    return None


def _kind(directory: Path) -> tuple[str, str]:
    """Return what ``_look`` finds. Look again if another command replaces the bundle meanwhile."""
    found = ("free", "")
    for _ in range(LOOKS):
        with contextlib.suppress(FileNotFoundError):
            before = _identity(directory)
            found = _look(directory)
            if _identity(directory) == before:
                break
    return found


def _identity(directory: Path) -> tuple[int, int] | None:
    """Return what a directory keeps as long as none is put in its place."""
    try:
        status = directory.lstat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def _look(directory: Path) -> tuple[str, str]:
    """Return ``free``, ``bundle``, ``held`` (as a mount point is), ``other`` or ``file``.

    ``edited``: a bundle of which a file was changed. With ``other`` and ``edited`` comes the name
    of the first file that is not of the bundle.
    """
    try:
        if not stat.S_ISDIR(directory.lstat().st_mode):
            return "file", ""
    except FileNotFoundError:
        return "free", ""
    names = sorted(path.name for path in directory.iterdir())
    listed = _listed(directory)
    if strangers := [name for name in names if name not in listed]:
        return "other", strangers[0]
    if directory.is_mount() or Path.cwd().is_relative_to(directory.resolve()):
        return "held", ""
    if edited := [name for name in names if not listed[name](directory / name)]:
        return "edited", edited[0]
    return ("bundle" if names else "free"), ""


def _listed(directory: Path) -> dict[str, Callable[[Path], bool]]:
    """Return the files of the bundle at ``directory``, each with the test of its contents."""
    log = Log()
    if not (directory / MANIFEST).is_file():
        return {}
    manifest = _parsed(_read_file(directory / MANIFEST, log) or b"", log)
    if not manifest:
        return {}
    digests: dict[str, str] = manifest["files"]

    def is_the_file(path: Path) -> bool:
        data = _read_file(path, Log())
        return data is not None and sha256(data) == digests[path.name]

    return {**dict.fromkeys(digests, is_the_file), MANIFEST: lambda _: not log.errors}


# Result files. Each is written beside its place and renamed. A device or a pipe is written into.


def in_order(manifest: Mapping[str, Any]) -> list[str]:
    """Return the names of the populations from inputs to outputs."""
    blocks = manifest["populations"]
    return sorted(blocks, key=lambda name: (blocks[name].get("place", len(blocks)), name))


def save_run(path: Path, run: Run, log: Log, commit: Commit = at_once) -> None:
    """Write ``output`` (samples, outputs) summed over steps, ``spikes``, and recordings.

    Raises ``UsageError`` (U608).
    """
    arrays: dict[str, Any] = {"output": run.outputs.sum(axis=1), "spikes": run.outputs}
    arrays |= {f"spikes/{name}": spikes for name, spikes in run.spikes.items()}
    arrays |= {f"v/{name}": v for name, v in run.v.items()}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    save_bytes(path, buffer.getvalue(), log, commit)


def make_folder(path: Path, log: Log) -> None:
    """Make a folder unless it is there. Raises ``UsageError`` (U608)."""
    with _written(path, log):
        path.mkdir(exist_ok=True)


def save_json(path: Path, tree: object, log: Log, commit: Commit = at_once) -> None:
    """Write readable JSON. Raises ``UsageError`` (U608)."""
    save_bytes(path, (json.dumps(tree, indent=1, sort_keys=True) + "\n").encode(), log, commit)


def save_bytes(path: Path, data: bytes, log: Log, commit: Commit = at_once) -> None:
    """Write ``data`` as a file. Raises ``UsageError`` (U608)."""
    with _written(path, log):
        if path.exists() and not path.is_file():
            path.write_bytes(data)  # renaming would put a file in the place of /dev/null
        else:
            put_file(Path(os.path.realpath(path)), data, commit)  # a link stays a link
