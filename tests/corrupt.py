"""Seeded corruption of single fields of bundles: the checker has to notice every one.

``python -m tests.corrupt --chip xylo --count 1000 [--seed 0]``

One value of an emitted file changes at a time: a number, a word, a switch, an entry of an array, or
a field that goes missing. All digests in manifest.json are written again, and the seal in
certificate.json, too, to count what the meaning alone gives away. Left out is what no chip and no
loader reads: the history in manifest.json, the report, the floorplan, and the two scripts, for
which there is the digest alone (docs/reference/certificate.md).
"""

from __future__ import annotations

import argparse
import copy
import io
import json
import random
import re
import sys
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np

from nirc.api import compile_model
from nirc.certificate.certificate import reader_of
from nirc.checker.bundle import seal
from nirc.checker.compare import check
from nirc.checker.values import Finding
from nirc.diagnostics.log import Log
from nirc.files.bundle import contents
from nirc.files.chipfiles import npz
from nirc.files.members import STRUCTURE
from nirc.options import Options
from tests.deployed import digests, manifest_text
from tests.models import DT, branches, chain, cross, graph, li, lif, linear, relayed

DATA = Path(__file__).parent / "data"
EXAMPLE = DATA.parents[1] / "examples/braille.nir"
HISTORY = {
    *("calibration", "files", "input_sha256", "model", "nirc_version", "options"),
    *("ortools_version", "seed", "sha256", "writer", "schema"),
}
UNREAD = {"report.json", "report.html", "floorplan.json", "deploy.py", "check.py"}


def receptors() -> nir.NIRGraph:
    """One population behind a fast filter and a slow one, of which the slow one inhibits."""
    rng, n = np.random.default_rng(7), 6
    slow = nir.Linear(-np.abs(rng.normal(0, 0.3, (n, 4))))
    fast = nir.Linear(np.abs(rng.normal(0, 1.5, (n, 4))))
    nodes = {"in": nir.Input(np.array([4])), "a": fast, "b": slow}
    nodes |= {"fast": _filter(n, 2), "slow": _filter(n, 8)}
    nodes |= {"n": lif(n), "out": nir.Output(np.array([n]))}
    edges = [("in", "a"), ("a", "fast"), ("fast", "n"), ("in", "b"), ("b", "slow"), ("slow", "n")]
    return graph(nodes, [*edges, ("n", "out")])


def _filter(n: int, steps: float) -> nir.LI:
    return nir.LI(tau=np.full(n, steps * DT), r=np.full(n, steps), v_leak=np.zeros(n))


def camera() -> nir.NIRGraph:
    """A convolution of 32 x 32 pixels and two polarities."""
    kernel = np.random.default_rng(8).normal(0.2, 0.4, (4, 2, 3, 3))
    ones = np.ones((4, 16, 16))
    nodes = {
        "in": nir.Input(np.array([2, 32, 32])),
        "conv": nir.Conv2d((32, 32), kernel, 2, 1, 1, 1, np.zeros(4)),
        "n": nir.IF(r=ones, v_threshold=ones),
        "out": nir.Output(np.array(ones.shape)),
    }
    return graph(nodes, [("in", "conv"), ("conv", "n"), ("n", "out")])


# Networks that are made here, by name, beside the files in tests/data/zoo and examples.
MADE: dict[str, Callable[[], object]] = {
    "relays": relayed,
    "delays": branches,
    "receptors": receptors,
    "camera": camera,
    "wide": lambda: chain(
        40, linear(np.random.default_rng(5), 300, 40), lif(300), cross(300, 8), lif(8), n_out=8
    ),
    "readout": lambda: chain(12, linear(np.random.default_rng(6), 9, 12), li(9), n_out=9),
}
CHIP_OPTIONS = {
    "spinnaker2:board": (("atoms", "lif1:2"),),  # neurons on a PE: 150 of them, on two chips
    "camera": (("input", "dvs"),),
}
NETWORKS: dict[str, list[tuple[str, str, str | None]]] = {  # model, target, writer
    "loihi2": [
        ("basicmotions_lif_ff", "loihi2", None),
        ("digits_if_cnn", "loihi2", None),
        ("digits_lif_mlp", "loihi2", None),
        ("japanesevowels_rsnn", "loihi2", None),
        ("delays", "loihi2:kapohopoint", "nir"),
        ("readout", "loihi2", "nir"),
        ("receptors", "loihi2", "nir"),
        ("wide", "loihi2", "nir"),
    ],
    "spinnaker2": [
        ("basicmotions_lif_ff", "spinnaker2", None),
        ("digits_if_cnn", "spinnaker2", None),
        ("digits_lif_mlp", "spinnaker2", None),
        ("japanesevowels_rsnn", "spinnaker2", None),
        ("delays", "spinnaker2", "nir"),
        ("readout", "spinnaker2", "nir"),
        ("receptors", "spinnaker2", "nir"),
        ("wide", "spinnaker2:board", "nir"),
    ],
    "xylo": [
        ("braille", "xylo:audio2", "snntorch,reset=zero"),
        ("braille", "xylo:imu", "snntorch,reset=zero"),
        ("japanesevowels_rsnn", "xylo:audio3", None),
        ("basicmotions_lif_ff", "xylo:audio2", None),
        ("relays", "xylo:audio3", None),
        ("receptors", "xylo:audio2", "nir"),
        ("receptors", "xylo:audio3", "nir"),
    ],
    "speck": [
        ("digits_if_cnn", "speck", None),
        ("basicmotions_lif_ff", "speck", None),
        ("digits_lif_mlp", "speck", None),
        ("camera", "speck", "nir"),
    ],
}
Files = dict[str, bytes]


@dataclass(frozen=True)
class Corruption:
    """A changed bundle, and the change in words."""

    files: Files
    text: str


@cache
def bundles(chip: str) -> tuple[tuple[str, Files], ...]:
    """Good bundles of a chip, by name."""
    made = []
    for name, target, writer in NETWORKS[chip]:
        model: object = EXAMPLE if name == "braille" else DATA / f"zoo/{name}.nir"
        model = MADE[name]() if name in MADE else model
        chosen = CHIP_OPTIONS.get(target, CHIP_OPTIONS.get(name, ()))
        made_here = {"dt_s": DT} if name == "receptors" else {}
        options = Options(writer=writer, chip=chosen, **made_here)
        bundle = compile_model(model, target, options, log=Log()).bundle
        made.append((f"{name} on {target}", contents(bundle.manifest, bundle.files)))
    return tuple(made)


@dataclass(frozen=True)
class Place:
    """A value that can change: keys of a tree, or the name of an array and keys of its tree."""

    file: str
    path: tuple[Any, ...]


def places(files: Files, file: str = "") -> dict[str, list[Place]]:
    """Return the places of a bundle, or of one file, by file and kind.

    Places of a kind differ in numbers and names only.
    """
    found: dict[str, list[Place]] = {}
    names = set(json.loads(files["manifest.json"])["populations"])
    for name in sorted({file} & set(files) if file else set(files) - UNREAD):
        for keys, path in _paths(name, files, names):
            found.setdefault(f"{name}: {'.'.join(keys)}", []).append(Place(name, path))
    return found


def _paths(name: str, files: Files, names: set[str]) -> Iterator[tuple[list[str], tuple[Any, ...]]]:
    """Yield the words of a place's kind, and its path."""
    if name == "network.nir":
        for path, _, dtype, shape in json.loads(files["certificate.json"])["datasets"]:
            if np.prod(shape, dtype=int):
                yield [path.rpartition("/")[2], dtype[1], str(len(shape))], (path,)
    elif name.endswith(".npz"):
        for array, value in _arrays(files[name]).items():
            if array == STRUCTURE:
                yield from _tree_paths(json.loads(value.tobytes()), (array,), names)
            elif value.size:
                yield [re.sub(r"\d+", "", array), str(value.ndim)], (array,)
    elif name.endswith(".net"):
        paths: list[str] = []
        with h5py.File(io.BytesIO(files[name])) as file:
            file.visititems(lambda p, item: paths.append(p) if hasattr(item, "dtype") else None)
        yield from (([path], (path,)) for path in sorted(paths))
    else:
        tree = json.loads(files[name])
        keys = set(tree) - HISTORY if name == "manifest.json" else set(tree)
        yield from _tree_paths({key: tree[key] for key in tree if key in keys}, (), names)


def _tree_paths(
    tree: Any, before: tuple[Any, ...], names: set[str]
) -> Iterator[tuple[list[str], tuple[Any, ...]]]:
    for path in _leaves(tree, ()):
        words = ["*" if key in names else key for key in path]
        yield ["[]" if isinstance(key, int) else key for key in words], (*before, *path)


def corrupted(files: Files, rng: random.Random) -> Corruption:
    """Change one field of one file. Files are equally likely, and kinds of their fields."""
    found = places(files)
    file = rng.choice(sorted({kind.partition(": ")[0] for kind in found}))
    kind = rng.choice([kind for kind in found if kind.startswith(f"{file}: ")])
    return altered(files, rng.choice(found[kind]), rng, gone=rng.random() < 0.1)


def altered(files: Files, place: Place, rng: random.Random, gone: bool) -> Corruption:
    """Change the value of a place, or take it away where this can be done."""
    name, data = place.file, files[place.file]
    if name == "network.nir":
        data, text = _dataset_changed(data, json.loads(files["certificate.json"]), place, rng)
    elif name.endswith(".npz"):
        data, text = _archive_changed(data, place, rng, gone)
    elif name.endswith(".net"):
        data, text = _hdf5_changed(data, place, rng)
    else:
        tree = json.loads(data)
        text = _tree_changed(tree, place.path, rng, gone)
        data = json.dumps(tree).encode()
    return Corruption(signed({**files, name: data}), f"{name}: {text}")


def of_each_kind(chip: str, file: str, seed: int) -> Iterator[Corruption]:
    """Yield two corruptions of each kind of field of a file, in the smallest bundle that has it."""
    rng = random.Random(seed)
    seen: set[str] = set()
    for _, files in sorted(bundles(chip), key=lambda each: sum(map(len, each[1].values()))):
        found = places(files, file)
        for kind in sorted(set(found) - seen):
            for gone in (False, True):
                yield altered(files, rng.choice(found[kind]), rng, gone)
        seen |= set(found)


def signed(files: Files) -> Files:
    """The files with digests that fit."""
    manifest = json.loads(files["manifest.json"])
    manifest["files"] |= digests({name: files[name] for name in manifest["files"]})
    return {**files, "manifest.json": manifest_text(manifest)}


def sealed(files: Files) -> Files:
    """The files with a seal that fits, and digests."""
    manifest = json.loads(signed(files)["manifest.json"])
    tree = {**json.loads(files["certificate.json"]), "seal": seal(manifest)}
    return signed({**files, "certificate.json": json.dumps(tree).encode()})


def _tree_changed(tree: Any, path: tuple[Any, ...], rng: random.Random, gone: bool) -> str:
    """Change a leaf, or delete it."""
    above = tree
    for key in path[:-1]:
        above = above[key]
    old = above[path[-1]]
    if gone:
        del above[path[-1]]
        return f"{path}: {old!r} is gone"
    above[path[-1]] = _other(old, rng)
    return f"{path}: {old!r} becomes {above[path[-1]]!r}"


def _leaves(tree: Any, path: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    if isinstance(tree, dict) and tree:
        for key in tree:
            yield from _leaves(tree[key], (*path, key))
    elif isinstance(tree, list) and tree:
        for i, item in enumerate(tree):
            yield from _leaves(item, (*path, i))
    elif path:
        yield path


def _other(old: Any, rng: random.Random) -> Any:
    """Another value, mostly one that the field could hold."""
    if isinstance(old, bool):
        return not old
    if isinstance(old, int):
        near = [old + 1, old - 1, -old, old ^ (1 << rng.randrange(8)), rng.randrange(-128, 128), 0]
        return rng.choice([value for value in near if value != old])
    if isinstance(old, float):
        return rng.choice([old * 2, old + 1.0, float(np.nextafter(old, np.inf)), -old or 1.0])
    if isinstance(old, str):
        near = [old + "x", old[:-1], "", re.sub(r"\d", "7", old) + "0"]
        return rng.choice([value for value in near if value != old])
    return rng.choice([0, 1, -1])  # null, or an empty list


def _entry_changed(array: Any, rng: random.Random) -> tuple[Any, str]:
    """Change one entry of an array."""
    changed = np.array(array)
    flat = changed.reshape(-1)
    i = rng.randrange(flat.size)
    old = flat[i].item()
    for _ in range(1000):
        value = _other(old.decode() if isinstance(old, bytes) else old, rng)
        with np.errstate(all="ignore"):
            if array.dtype.kind in "iu":
                limits = np.iinfo(array.dtype)
                value = min(max(value, int(limits.min)), int(limits.max))
            flat[i] = value.encode() if isinstance(value, str) else value
        if flat[i].item() != old:
            return changed, f"[{i}]: {old!r} becomes {flat[i].item()!r}"
    raise AssertionError(f"{old!r} cannot be changed")


def _dataset_changed(
    data: bytes, certificate: Any, place: Place, rng: random.Random
) -> tuple[bytes, str]:
    (row,) = [row for row in certificate["datasets"] if (row[0],) == place.path]
    path, offset, dtype, shape = row
    count = int(np.prod(shape, dtype=int))
    array, text = _entry_changed(np.frombuffer(data, dtype, count, offset), rng)
    raw = array.tobytes()
    return data[:offset] + raw + data[offset + len(raw) :], f"{path}{text}"


def _hdf5_changed(data: bytes, place: Place, rng: random.Random) -> tuple[bytes, str]:
    buffer = io.BytesIO(data)
    (path,) = place.path
    with h5py.File(buffer, "r+") as file:
        array, text = _entry_changed(np.asarray(file[path][()]), rng)
        file[path][...] = array
    return buffer.getvalue(), f"{path}{text}"


def _archive_changed(
    data: bytes, place: Place, rng: random.Random, gone: bool
) -> tuple[bytes, str]:
    arrays = _arrays(data)
    name, *path = place.path
    if path:
        tree = json.loads(arrays[name].tobytes())
        text = _tree_changed(tree, tuple(path), rng, gone)
        arrays[name] = np.frombuffer(json.dumps(tree, sort_keys=True).encode(), np.uint8)
    elif gone:
        del arrays[name]
        text = " is gone"
    else:
        arrays[name], text = _entry_changed(arrays[name], rng)
    return npz(arrays), f"{name}{text}"


def _arrays(data: bytes) -> dict[str, Any]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist()]
    with np.load(io.BytesIO(data)) as loaded:
        return {name: loaded[name] for name in names}


def caught(chip: str, files: Files, file: str = "") -> bool:
    """Return True if the checker finds something.

    It may be confused by the corrupted ``file`` only, or by a file that has to agree with it. It
    names the file then.
    """

    def read(name: str) -> bytes:
        if name not in files:
            raise Finding("unreadable", name, "the file", "it is missing")
        return files[name]

    findings = check(read, reader_of(chip))
    confused = {finding.file for finding in findings if finding.problem == "it makes no sense"}
    assert confused <= {file, "network.nir", "mapping.json"}, str(findings[-1])
    return any(finding.kind != "overflow" for finding in findings)


@dataclass
class Escaped:
    """Corruptions that nothing notices, and those that only the seal gives away."""

    unseen: list[str] = field(default_factory=list)
    by_seal: list[str] = field(default_factory=list)


def escaped(chip: str, count: int, seed: int) -> Escaped:
    """Return what the checker does not notice of ``count`` corruptions."""
    rng = random.Random(seed)
    result = Escaped()
    kinds: Counter[str] = Counter()
    for _ in range(count):
        name, files = rng.choice(bundles(chip))
        corruption = corrupted(copy.copy(files), rng)
        kinds[corruption.text.partition(":")[0]] += 1
        try:
            file = corruption.text.partition(":")[0]
            if caught(chip, sealed(corruption.files), file):
                continue
            noticed = caught(chip, corruption.files, file)
            (result.by_seal if noticed else result.unseen).append(f"{name}: {corruption.text}")
        except AssertionError as confused:
            result.unseen.append(f"{name}: {corruption.text}: {confused}")
    print(", ".join(f"{n} in {file}" for file, n in sorted(kinds.items())))
    return result


def main() -> None:
    """Corrupt bundles of a chip, and print what is not noticed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chip", required=True, choices=sorted(NETWORKS))
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for name, files in bundles(options.chip):
        assert not caught(options.chip, files), f"{name}: the good bundle is refused"
    missed = escaped(options.chip, options.count, options.seed)
    for line in missed.unseen:
        print(f"not noticed: {line[:300]}")
    for line in missed.by_seal:
        print(f"by the seal alone: {line[:150]}")
    noticed = options.count - len(missed.unseen)
    meant = noticed - len(missed.by_seal)
    print(f"{noticed} of {options.count} corruptions are noticed, {meant} by their meaning")
    sys.exit(1 if missed.unseen else 0)


if __name__ == "__main__":
    main()
