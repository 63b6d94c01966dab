"""`nirc diff`: two models or two bundles, what changed, and what it means on the chip."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from nirc.api import Bundle, compile_model
from nirc.chip.running import Samples
from nirc.diagnostics.errors import NircError
from nirc.diagnostics.log import Log
from nirc.files.bundle import MANIFEST
from nirc.ir.layers import LayerNode, Subgraph
from nirc.ir.program import Program
from nirc.ir.text import in_order
from nirc.options import Options
from nirc.stages import load_as

NETWORK = "network.nir"  # of a bundle: its integers, as a model
REPORT = "report.json"
FIRST = ("target", "part", "nirc_version", "ortools_version", "dt", "seed", "model", "input_sha256")
LATER = ("input_shape", "output_shape", "output_kind", "latency_steps", "output_latency_steps")

Change = dict[str, Any]
Leaves = dict[str, object]


def diff(first: Path, second: Path, options: Options, log: Log) -> dict[str, Any]:
    """Return ``{"equal", "kind", "changes"}`` of two models or two bundles.

    A bundle is a folder. Each change has ``what`` and ``before``, ``after``, of arrays also
    ``entries`` that differ, ``of`` all, and the ``largest`` difference. Raises ``InputError``.
    """
    if first.is_dir() and second.is_dir():
        kind, changes = "bundles", list(_of_bundles(first, second))
    else:
        kind = "models"
        a, b = (_model(path, options, log) for path in (first, second))
        changes = list(of_programs(a, b))
    return {"equal": not changes, "kind": kind, "changes": changes}


def diff_on_chip(
    first: Path,
    second: Path,
    target: str,
    options: Options,
    *,
    log: Log,
    calibration: Samples | None = None,
) -> dict[str, Any]:
    """Return the differences of two models, and of their bundles for ``target``."""
    both = (first, second)
    compiled = [
        compile_model(path, target, options, log=log, calibration=calibration).bundle
        for path in both
    ]
    result = diff(first, second, options, log)
    changes = [*result["changes"]]
    with tempfile.TemporaryDirectory(prefix="nirc-") as folder:
        places = [Path(folder) / name for name in ("first", "second")]
        for bundle, place in zip(compiled, places, strict=True):
            bundle.save(place)
        changes += _of_bundles(*places)
    return {"equal": not changes, "kind": "models", "changes": changes}


def _model(path: Path, options: Options, log: Log) -> Program:
    """Return the layers of a model, or of the network of integers in a bundle."""
    if path.is_dir():
        _opened(path)  # refuses a folder that is none
        return load_as(path / NETWORK, Options(writer="nir"), log=Log())[0]
    attempt = Log(file=str(path), policy=log.policy)
    program, _ = load_as(path, options, log=attempt)
    log.add_all(attempt.diagnostics)
    return program


def _opened(path: Path) -> Bundle:
    """Return a bundle. A fault of it is placed at ``path``, which may be the second of two."""
    try:
        return Bundle.open(path)
    except NircError as error:
        placed = [replace(each, file=str(path)) for each in error.diagnostics]
        raise type(error)(placed) from None


def of_programs(a: Program, b: Program) -> Iterator[Change]:
    """Yield the differences of two programs: nodes, their fields, edges, and the time step."""
    ours, theirs = dict(_nodes(a)), dict(_nodes(b))
    if a.dt_s != b.dt_s:
        yield {"what": "time step", "before": a.dt_s, "after": b.dt_s}
    for name in in_order(ours.keys() | theirs.keys()):
        if name not in theirs:
            yield {"what": f"node {name}", "before": ours[name]["kind"], "after": None}
        elif name not in ours:
            yield {"what": f"node {name}", "before": None, "after": theirs[name]["kind"]}
        else:
            yield from _of_leaves(name, ours[name], theirs[name])
    arrows, other = _edges(a), _edges(b)
    for edge in sorted(arrows - other):
        yield {"what": "edge", "before": edge, "after": None}
    for edge in sorted(other - arrows):
        yield {"what": "edge", "before": None, "after": edge}


def _of_leaves(name: str, ours: Leaves, theirs: Leaves) -> Iterator[Change]:
    for key in sorted(ours.keys() | theirs.keys()):
        before, after = ours.get(key), theirs.get(key)
        what = f"node {name}" if key == "kind" else f"{name}/{key}"
        if isinstance(before, np.ndarray) and isinstance(after, np.ndarray):
            if before.shape != after.shape:
                yield {"what": what, "before": _shape(before), "after": _shape(after)}
            elif (change := _of_arrays(before, after)) is not None:
                yield {"what": what, **change}
        elif isinstance(before, np.ndarray) or isinstance(after, np.ndarray) or before != after:
            yield {"what": what, "before": _plain(before), "after": _plain(after)}


def _of_arrays(before: np.ndarray[Any, Any], after: np.ndarray[Any, Any]) -> Change | None:
    """Return the first entry that differs, and how many do. None if all are equal."""
    differs = before != after
    if before.dtype.kind == "f":
        differs &= ~(np.isnan(before) & np.isnan(after))
    count = int(np.count_nonzero(differs))
    if not count:
        return None
    at = tuple(int(i) for i in np.argwhere(differs)[0])
    with np.errstate(all="ignore"):
        largest = float(np.nanmax(abs(after.astype(np.float64) - before.astype(np.float64))))
    return {
        "before": before[at].item(),
        "after": after[at].item(),
        "at": list(at),
        "entries": count,
        "of": before.size,
        "largest": largest,
    }


def _nodes(program: Program, prefix: str = "") -> Iterator[tuple[str, Leaves]]:
    for name in program.graph:
        payload = program[name]
        layer = payload.layer if isinstance(payload, LayerNode) else payload
        leaves: Leaves = {"kind": type(layer).__name__}
        if isinstance(layer, Subgraph):
            yield from _nodes(layer.program, f"{prefix}{name}.")
        else:
            leaves |= dict(_leaves(layer, ""))
        yield f"{prefix}{name}", leaves


def _leaves(value: object, path: str) -> Iterator[tuple[str, object]]:
    """Yield all numbers, texts and arrays below ``value`` with their paths."""
    if is_dataclass(value) and not isinstance(value, type):
        for each in fields(value):
            if each.name != "origins":
                inner = getattr(value, each.name)
                yield from _leaves(inner, f"{path}/{each.name}".lstrip("/"))
    elif isinstance(value, tuple) and any(is_dataclass(item) for item in value):
        for number, item in enumerate(value):
            yield from _leaves(item, f"{path}[{number}]")
    else:
        yield path, value


def _edges(program: Program, prefix: str = "") -> set[str]:
    found = {f"{prefix}{a} -> {prefix}{b}" for a, b, _ in program.edges()}
    for name in program.graph:
        payload = program[name]
        if isinstance(payload, LayerNode) and isinstance(payload.layer, Subgraph):
            found |= _edges(payload.layer.program, f"{prefix}{name}.")
    return found


def _shape(array: np.ndarray[Any, Any]) -> str:
    return f"shape {array.shape}"


def _plain(value: object) -> object:
    if isinstance(value, np.ndarray):
        return _shape(value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)


# Bundles.


def _of_bundles(first: Path, second: Path) -> Iterator[Change]:
    """Yield what differs in manifests and reports, then in the network of integers."""
    a, b = _opened(first), _opened(second)
    yield from _of_trees("", _asked(a.manifest), _asked(b.manifest))
    for title, key in (("use", "utilisation"), ("population", "populations")):
        yield from _of_trees(f"{title} ", _report(a)[key], _report(b)[key])
    codes = [{d.code for d in each.diagnostics} for each in (a, b)]
    for code in sorted(codes[0] ^ codes[1]):
        gone = code in codes[0]
        yield {
            "what": f"finding {code}",
            "before": "there" if gone else None,
            "after": None if gone else "there",
        }
    networks = [_model(path, Options(), Log()) for path in (first, second)]
    for change in of_programs(*networks):
        yield {**change, "what": f"on the chip: {change['what']}"}
    for name in sorted(a.files.keys() | b.files.keys()):
        if (a.files.get(name) is None) != (b.files.get(name) is None):
            yield {"what": f"file {name}", "before": _there(a, name), "after": _there(b, name)}
    if a.manifest["files"] != b.manifest["files"]:
        pairs = ((n, a.manifest["files"].get(n), b.manifest["files"].get(n)) for n in a.files)
        changed = [name for name, x, y in pairs if x != y and y is not None]
        yield {"what": "bytes of files", "before": None, "after": ", ".join(changed) or MANIFEST}


def _asked(manifest: Mapping[str, Any]) -> dict[str, Any]:
    tree = {name: manifest.get(name) for name in (*FIRST, *LATER)}
    return tree | {f"option {name}": value for name, value in manifest["options"].items()}


def _report(bundle: Bundle) -> dict[str, Any]:
    tree = json.loads(bundle.files[REPORT])
    return {
        "utilisation": {
            name: f"{use['used']} of {use['available']}"
            for name, use in tree["utilisation"].items()
        },
        "populations": {
            name: f"{' x '.join(map(str, each['shape']))}"
            for name, each in tree["populations"].items()
        },
    }


def _there(bundle: Bundle, name: str) -> str | None:
    return "there" if name in bundle.files else None


def _of_trees(title: str, a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[Change]:
    for name in dict.fromkeys([*a, *b]):
        if a.get(name) != b.get(name):
            what = f"{title}{name.replace('_', ' ') if not title else name}"
            yield {"what": what, "before": _plain(a.get(name)), "after": _plain(b.get(name))}


def as_text(result: Mapping[str, Any]) -> str:
    """Return a line for each change."""
    if result["equal"]:
        return f"the {result['kind']} are equal\n"
    lines = []
    for change in result["changes"]:
        what, before, after = (change[key] for key in ("what", "before", "after"))
        if "entries" in change:
            place = ", ".join(map(str, change["at"]))
            lines.append(
                f"{what}: {change['entries']} of {change['of']} entries, by at most "
                f"{change['largest']:g}; first at ({place}): {before:g} -> {after:g}"
            )
        elif before is None:
            lines.append(f"{what}: new: {after}")
        elif after is None:
            lines.append(f"{what}: gone: {before}")
        else:
            lines.append(f"{what}: {before} -> {after}")
    return "\n".join(lines) + "\n"
