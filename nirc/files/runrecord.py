"""The record of a run on a board: a JSON file beside the answer.

deploy.py holds this module's text and writes the file. `nirc compare` reads it.
"""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any

from nirc.files.description import File, Tree
from nirc.files.faults import Faults
from nirc.files.kinds import Const, Flag, Integer, Many, Map, Maybe, Number, Object, Text
from nirc.files.manifest import RUN_FORMAT

MAX_RUN_RECORD = 1 << 20  # bytes
MAX_RUN = 1 << 31  # samples or steps
TEXT = Text(255, 0)


def no_rules(tree: Tree, file: File, trees: Mapping[str, Tree], faults: Faults) -> None:
    """Note nothing. The fields of a run record do not depend on each other."""


RUN_RECORD = File(
    "run record",
    Object(
        {
            "format": Const(RUN_FORMAT),
            "bundle": Text(64, 64, doc="SHA-256 that manifest.json has of itself"),
            "target": Text(255),
            "output": Text(64, 64, doc="SHA-256 of the answer"),
            "data": Maybe(Text(64, 64, doc="SHA-256 of the input file; null for a sensor")),
            "samples": Integer(0, MAX_RUN),
            "steps": Integer(0, MAX_RUN),
            "recorded": Many(TEXT, "populations", doc="populations of --record"),
            "options": Map(TEXT, doc="options that were given"),
            "board": Maybe(TEXT, doc="as the vendor's package names it; null if that says nothing"),
            "simulated": Flag(doc="true: the vendor's simulator, no board"),
            "serial": Maybe(TEXT, doc="of the board; null if the vendor's package has none"),
            "firmware": Maybe(TEXT, doc="of the board; null if the vendor's package has none"),
            "packages": Map(TEXT, doc="versions: Python, numpy, the vendor's packages"),
            "started": Text(32, doc="the time in UTC"),
            "seconds": Number(0, 1e9, doc="from the first input to the last answer"),
            "power_watts": Map(
                Number(-1e6, 1e6, doc="mean over the run; empty where nothing is measured")
            ),
        }
    ),
    no_rules,
    {},
    MAX_RUN_RECORD,
)


def is_record(content: bytes) -> bool:
    """Return True for the record of a run."""
    try:
        tree = json.loads(content[:MAX_RUN_RECORD])
        return bool(tree["format"] == RUN_FORMAT)
    except (ValueError, KeyError, TypeError, RecursionError):
        return False


def record_path(answer: str) -> str:
    """Return the place of the record beside an answer: OUT.json beside OUT.npz."""
    return f"{answer[:-4] if answer.endswith('.npz') else answer}.json"


def versions(packages: Sequence[str]) -> dict[str, str]:
    """Return the versions of Python and of the packages that are installed."""
    found = {"python": platform.python_version()}
    for name in packages:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def record_text(fields: Mapping[str, Any]) -> bytes:
    """Return the text of a record.

    Raises ``AssertionError`` for a value that `nirc compare` would not read.
    """
    tree = {"format": RUN_FORMAT, **fields}
    faults = Faults()
    RUN_RECORD.check(tree, {}, faults)
    if faults:
        raise AssertionError(f"run record: {faults.all[0]}")
    return (json.dumps(tree, indent=1, sort_keys=True) + "\n").encode()


def now() -> str:
    """Return the time in UTC, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def words(value: object) -> str | None:
    """Return some printable characters of what a vendor's package says, or None."""
    text = "".join(c if c.isprintable() else "?" for c in str(value))[:255] if value else ""
    return text or None
