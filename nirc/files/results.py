"""Result files, each written beside its place and renamed; what is not a file (a device, a pipe) is
written into.
"""

from __future__ import annotations

import io
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from nirc.diagnostics.log import Log
from nirc.semantics.raster import Run


def save_run(path: Path, run: Run, log: Log) -> None:
    """OUT.npz:

    ``output`` (samples, outputs) summed over steps, ``spikes``, and recordings. Raises U608.
    """
    buffer = io.BytesIO()
    arrays: dict[str, Any] = {"output": run.output.sum(axis=1), "spikes": run.output}
    arrays |= {f"spikes/{n}": a for n, a in run.spikes.items()} | {
        f"v/{n}": a for n, a in run.v.items()
    }
    np.savez_compressed(buffer, **arrays)
    save_bytes(path, buffer.getvalue(), log)


def save_json(path: Path, tree: object, log: Log) -> None:
    """Readable JSON. Raises ``UsageError`` (U608)."""
    save_bytes(path, (json.dumps(tree, indent=1, sort_keys=True) + "\n").encode(), log)


def save_bytes(path: Path, data: bytes, log: Log) -> None:
    """``data`` as a file. Raises ``UsageError`` (U608)."""
    try:
        if (
            path.exists() and not path.is_file()
        ):  # renaming would put a file in the place of /dev/null
            path.write_bytes(data)
        else:
            _put(Path(os.path.realpath(path)), data)  # a link stays a link
    except OSError as error:
        log.error(
            "U608",
            f"`{path}` cannot be written: {error.strerror or error}",
            found=str(path),
            help="name another file",
        )
        log.raise_if_errors()


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
