"""A bundle on disk: there whole or not at all, and trusted only after its digests have been checked."""

from __future__ import annotations

import contextlib
import hashlib
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

SCHEMA = "nirc-bundle/1"
MANIFEST = "manifest.json"
MAX_INDEX = 1 << 20  # of a channel, neuron or step of latency in a manifest that is read
MAX_FILE = 1 << 30  # bytes of one file in a bundle that is read
FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")


def to_json(tree: object) -> bytes:
    """Deterministic, readable JSON."""
    return (json.dumps(tree, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode()


def sha256(data: bytes) -> str:
    """Hex digest."""
    return hashlib.sha256(data).hexdigest()


def write(directory: Path, files: Mapping[str, bytes], *, force: bool, log: Log) -> None:
    """Put ``files`` (the manifest among them) at ``directory``.

    Written beside it and renamed. An older bundle is replaced; a directory with anything else in it is left
    alone (U602) unless ``force``, which adds the files to it, the manifest last. Raises ``UsageError``.
    """
    refuse_unusable(directory, force=force, log=log)
    try:
        if _kind(directory) == "other":
            _write_into(directory, files)
        else:
            _replace(directory, files)
    except OSError as error:
        log.error("U608", f"`{directory}` cannot be written: {error.strerror or error}", found=str(directory))
        log.raise_if_errors()


def refuse_unusable(directory: Path, *, force: bool, log: Log) -> None:
    """Raise ``UsageError`` (U602) if a bundle must not be written at ``directory``."""
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
    log.raise_if_errors()


def read(directory: Path, log: Log) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Manifest and files of a bundle, digests checked. Raises ``InputError`` (U605)."""
    text = _read_file(directory / MANIFEST, log)
    log.raise_if_errors()
    manifest = _parsed(text, log)
    log.raise_if_errors()
    files = {}
    for name, digest in manifest["files"].items():
        if not FILE_NAME.fullmatch(name):
            log.error("U605", "the manifest names a file outside the bundle", found=name[:100])
            continue
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
    try:
        manifest = json.loads(text)
    except (ValueError, RecursionError):
        manifest = None
    if not isinstance(manifest, dict) or manifest.get("schema") != SCHEMA:
        found = manifest.get("schema") if isinstance(manifest, dict) else "no JSON object"
        log.error(
            "U605",
            "the manifest is not one that this version reads",
            where=MANIFEST,
            found=str(found)[:60],
            limit=SCHEMA,
        )
        return {}
    if not _well_formed(manifest):
        log.error(
            "U605",
            "the manifest lacks a field or has one of the wrong kind",
            where=MANIFEST,
            help="compile again",
        )
    return manifest


def _well_formed(manifest: dict[str, Any]) -> bool:
    """Whether the fields that `run` relies on have the right kinds and sizes."""
    latency, lags, kinds = manifest.get("latency_steps"), manifest.get("output_latency_steps"), manifest.get("files")
    populations = manifest.get("populations")
    return (
        isinstance(kinds, dict)
        and all(isinstance(v, str) for v in kinds.values())
        and isinstance(manifest.get("target"), str)
        and manifest.get("output_kind") in ("spikes", "membrane")
        and _is_index(latency)
        and all(_is_indices(manifest.get(key), none=True) for key in ("input_map", "output_map"))
        and _is_indices(lags)
        and len(lags or ()) == len(manifest["output_map"])
        and all(lag <= latency for lag in lags or ())
        and isinstance(populations, dict)
        and all(_is_block(block) for block in populations.values())
    )


def _is_block(block: object) -> bool:
    return (
        isinstance(block, dict)
        and isinstance(block.get("part"), str)
        and _is_indices(block.get("index"))
        and _is_index(block.get("latency_steps"))
        and isinstance(block.get("scale"), list)
        and len(block["scale"]) == len(block["index"])
        and all(type(x) in (int, float) and x > 0 for x in block["scale"])
    )


def _is_index(value: object) -> bool:
    return type(value) is int and 0 <= value < MAX_INDEX


def _is_indices(values: object, *, none: bool = False) -> bool:
    return isinstance(values, list) and all((none and v is None) or _is_index(v) for v in values)


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
    """``free``, ``bundle`` (only files of ours in it), ``other`` or ``file``."""
    if directory.is_symlink() or (directory.exists() and not directory.is_dir()):
        return "file"
    if not directory.exists() or not any(directory.iterdir()):
        return "free"
    return "bundle" if not _stranger(directory) else "other"


def _stranger(directory: Path) -> str:
    """The first name in ``directory`` that its manifest does not list; the manifest itself if it is none of ours."""
    log = Log()
    manifest = _parsed(_read_file(directory / MANIFEST, log), log) if (directory / MANIFEST).is_file() else {}
    listed = {MANIFEST, *manifest.get("files", {})} if not log.errors and manifest else set()
    return next((p.name for p in sorted(directory.iterdir()) if p.name not in listed), "")


def _replace(directory: Path, files: Mapping[str, bytes]) -> None:
    with _beside(directory) as partial:
        new, old = partial / "new", partial / "old"
        new.mkdir()
        _write_into(new, files)
        if directory.exists():
            directory.rename(old)
        new.rename(directory)


@contextlib.contextmanager
def _beside(directory: Path) -> Iterator[Path]:
    """A working directory on the same file system, removed at the end; those of killed runs are removed first."""
    parent = directory.absolute().parent
    parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{directory.name}.partial-"
    for stale in parent.glob(prefix.replace("[", "[[]") + "*"):
        if not _alive(stale.name.removeprefix(prefix).partition("-")[0]):
            shutil.rmtree(stale, ignore_errors=True)
    partial = Path(tempfile.mkdtemp(prefix=f"{prefix}{os.getpid()}-", dir=parent))
    try:
        yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ValueError, ProcessLookupError):
        return False
    except OSError:
        return True
    return True


def _write_into(directory: Path, files: Mapping[str, bytes]) -> None:
    """Every file whole (written beside, renamed), the manifest last: without it nothing is a bundle."""
    for name in sorted(files, key=lambda n: (n == MANIFEST, n)):
        part = directory / f".{name}.part"
        with part.open("wb") as file:
            file.write(files[name])
            file.flush()
            os.fsync(file.fileno())
        part.replace(directory / name)
