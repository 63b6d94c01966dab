"""Solve placement problems: put every node on a cell of its own, so that sum of weight x distance
is least.

    python benchmarks/place.py FILE.npz -o OUT.npz [--effort quick|normal] [--seed N]
    python benchmarks/place.py FILE.npz ... | FOLDER      a table
    python benchmarks/place.py --hala      layered networks on 1 k, 10 k and 140 k cores of Loihi 2

FILE.npz: ``side`` (the mesh is side x side, every hop costs 1), ``nodes``, and edges ``src``,
``dst``, ``weight``. OUT.npz: ``xy`` (nodes, 2) integers. A ``reference.json`` beside the file,
{file name: {method: [cost, ...]}}, is compared with; a table also runs rig 2.4.1 if it is installed
(``rig_placer.py``).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from rows import Row, show

from nirc.mapping.effort import EFFORTS, Effort
from nirc.mapping.placement import Cells, Ints, Traffic, cost
from nirc.mapping.placement.place import PlacementResult, on_curve, place_on

KEYS = ("side", "nodes", "src", "dst", "weight")
MOST_SIDE = 4096
MOST_EDGES = 1 << 26
# Hala Point: 1152 chips with 122 of 128 cores each (loihi2.md, 1.3); how its chips lie and what
# their links cost is not public: 12 x 12 x 8 chips, eight to a board, are an assumption, as are 4
# and 8 hops for a link.
HALA = {"1 k": (2, 2, 2), "10 k": (5, 4, 4), "140 k": (12, 12, 8)}
CORES = (8, 16, 1)
BROKEN_PER_CHIP = 6
FAN_OUT = 14


def read(path: Path) -> tuple[Traffic, Cells]:
    """The problem in ``path``. Raises ``ValueError`` that says what is wrong with the file."""
    try:
        if not zipfile.is_zipfile(path):
            raise ValueError("is not an .npz file")
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > 3 * 8 * MOST_EDGES + (1 << 16):
            raise ValueError(f"holds {size} bytes: more than {MOST_EDGES} edges need")
        with np.load(path, allow_pickle=False) as file:
            missing = [key for key in KEYS if key not in file.files]
            if missing:
                raise ValueError(f"lacks {', '.join(missing)}")
            side, nodes = (_scalar(file[key], key) for key in KEYS[:2])
            if not 0 < side <= MOST_SIDE:
                raise ValueError(f"side is {side}, possible are 1 to {MOST_SIDE}")
            if not 0 <= nodes <= side * side:
                raise ValueError(
                    f"nodes is {nodes}, a mesh of {side} x {side} takes 0 to {side * side}"
                )
            traffic = Traffic.from_edges(nodes, file["src"], file["dst"], file["weight"])
            return traffic, Cells.mesh(side, side)
    except (
        ValueError,
        OSError,
        EOFError,
        zipfile.BadZipFile,
        zlib.error,
        NotImplementedError,
    ) as error:
        raise ValueError(f"{path}: {error}") from error


def _scalar(value: np.ndarray, name: str) -> int:
    if value.size != 1 or value.dtype.kind not in "iu":
        raise ValueError(f"{name} must be one integer")
    return int(value.reshape(-1)[0])


def references(path: Path) -> dict[str, float]:
    """Costs that others reached on this problem, by method."""
    beside = path.with_name("reference.json")
    if not beside.is_file():
        return {}
    known = json.loads(beside.read_text()).get(path.name, {})
    return {
        name: float(value[0] if isinstance(value, list) else value) for name, value in known.items()
    }


def layered(nodes: int, seed: int) -> Traffic:
    """Layers of cores as square feature maps; each core talks to the ``FAN_OUT`` cores of the next
    layer before it.

    A tenth of these edges go anywhere in the next layer. Weights 1 to 49.
    """
    rng = np.random.default_rng(seed)
    width = max(int((nodes / 8) ** 0.5), 2)
    layer, inside = np.divmod(np.arange(nodes), width * width)
    src = np.repeat(np.flatnonzero(layer < layer[-1]), FAN_OUT)
    patch = np.array([(dx, dy) for dy in (-1, 0, 1) for dx in (-2, -1, 0, 1, 2)][:FAN_OUT])
    step = np.tile(patch, (src.size // FAN_OUT, 1))
    x = np.clip(inside[src] % width + step[:, 0], 0, width - 1)
    y = np.clip(inside[src] // width + step[:, 1], 0, width - 1)
    across = rng.random(src.size) < 0.1
    target = np.where(across, rng.integers(0, width * width, src.size), x + width * y)
    dst = np.minimum((layer[src] + 1) * width * width + target, nodes - 1)
    return Traffic.from_edges(nodes, src, dst, rng.integers(1, 50, src.size))


def hala_cells(chips: tuple[int, int, int]) -> Cells:
    """``chips`` of Loihi 2 in a mesh, with the first six cores of each left out."""
    whole = Cells.chips(chips, CORES, chip_link=4, board=(4, 2, 1), board_link=8)
    core = whole.coordinates(np.arange(whole.usable.size)) % np.array(CORES)
    broken = np.flatnonzero((core[:, 1] == 0) & (core[:, 0] < BROKEN_PER_CHIP))
    return Cells.chips(chips, CORES, chip_link=4, board=(4, 2, 1), board_link=8, excluded=broken)


def hala(effort: Effort, seed: int) -> None:
    print(
        f"{'cores':>6} {'edges':>8} {'curve':>12} {'cost':>12} {'ratio':>6} {'seconds':>8} "
        f"{'CPU s':>6} {'us/core':>8}"
    )
    for chips in HALA.values():
        cells = hala_cells(chips)
        traffic = layered(cells.count, seed)
        curve = cost(traffic, cells, on_curve(traffic, cells))
        result, seconds, cpu = solve(traffic, cells, effort, seed)
        print(
            f"{traffic.nodes:6} {traffic.weights.size // 2:8} {curve:12} {result.cost:12} "
            f"{result.cost / curve:6.3f} "
            f"{seconds:8.1f} {cpu:6.1f} {1e6 * cpu / traffic.nodes:8.0f}",
            flush=True,
        )


def hala_rows(effort: Effort, seed: int, most: int) -> Iterator[Row]:
    """Yield the cost to that of the curve, for layered networks on at most ``most`` cores."""
    for chips in HALA.values():
        cells = hala_cells(chips)
        if cells.count > most:
            continue
        traffic = layered(cells.count, seed)
        curve = cost(traffic, cells, on_curve(traffic, cells))
        result, _, cpu = solve(traffic, cells, effort, seed)
        what = f"layered network on {traffic.nodes} cores of Loihi 2, effort {effort}"
        rival = {"rival": "a curve through the cores", "rival_value": float(curve)}
        yield Row(what, float(result.cost), "weight x hops", note=f"{cpu:.1f} CPU s", **rival)


def solve(
    traffic: Traffic, cells: Cells, effort: Effort, seed: int
) -> tuple[PlacementResult, float, float]:
    """The placement, seconds of wall time, and seconds of all cores' time, which a busy machine
    does not stretch.
    """
    said = sys.stderr.isatty()
    begin, busy = time.perf_counter(), time.process_time()
    result = place_on(
        traffic,
        cells,
        effort=effort,
        seed=seed,
        progress=(lambda line: print(line, file=sys.stderr)) if said else None,
    )
    return result, time.perf_counter() - begin, time.process_time() - busy


def one(path: Path, out: Path, effort: Effort, seed: int) -> None:
    traffic, cells = read(path)
    result, seconds, cpu = solve(traffic, cells, effort, seed)
    xy: Ints = cells.coordinates(result.cell_of_node)[:, :2]
    with out.open("wb") as file:
        np.savez(file, xy=xy)
    proof = " (proven optimal)" if result.proven else ""
    print(
        f"cost {result.cost}{proof}, lower bound {result.bound}, ratio "
        f"{_ratio(result.cost, result.bound)}"
    )
    print(f"{seconds:.1f} s ({cpu:.1f} s of all cores), seed {seed}")
    for method, known in references(path).items():
        print(f"to {method} {known:.0f}: {_ratio(result.cost, known)}")


def table(paths: list[Path], effort: Effort, seed: int) -> None:
    from rig_placer import rig_cost  # beside this script

    print(
        f"{'':26} {'cost':>9} {'bound':>9} {'ratio':>6} {'seconds':>8} {'CPU s':>6} {'to rig':>7} "
        f"{'to annealer':>12}"
    )
    for path in paths:
        traffic, cells = read(path)
        result, seconds, cpu = solve(traffic, cells, effort, seed)
        known = references(path)
        ran = rig_cost(traffic, cells)
        rig = (
            ran[0]
            if ran
            else min(
                (value for name, value in known.items() if name.startswith("rig")), default=0.0
            )
        )
        print(
            f"{path.name:26} {result.cost:9} {result.bound:9} "
            f"{_ratio(result.cost, result.bound):>6} {seconds:8.1f} "
            f"{cpu:6.1f} "
            f"{_ratio(result.cost, rig):>7} {_ratio(result.cost, known.get('anneal', 0.0)):>12}"
            f"{'  optimal' if result.proven else ''}{f'  (rig: {ran[1]:.1f} s)' if ran else ''}",
            flush=True,
        )


def _ratio(found: float, known: float) -> str:
    return f"{found / known:.4f}" if known else "-"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("problems", nargs="*", type=Path, metavar="FILE.npz")
    parser.add_argument("-o", "--out", type=Path, help="where to write xy; for one problem")
    parser.add_argument("--effort", choices=EFFORTS, default="normal")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--hala", action="store_true", help="the scale of Hala Point instead of files"
    )
    parser.add_argument("--json", action="store_true", help="with --hala, up to 10 k cores")
    given = parser.parse_args()
    paths = [
        file
        for path in given.problems
        for file in (sorted(path.glob("*.npz")) if path.is_dir() else [path])
    ]
    if given.seed < 0:
        parser.error("the seed must not be negative")
    if given.hala and given.json:
        show(hala_rows(given.effort, given.seed, 20_000), as_json=True)
        return
    if given.hala:
        hala(given.effort, given.seed)
        return
    if not paths:
        parser.error("name a problem, a folder of them, or --hala")
    if given.out and len(paths) > 1:
        parser.error("--out takes one problem")
    try:
        if given.out:
            one(paths[0], given.out, given.effort, given.seed)
        else:
            table(paths, given.effort, given.seed)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
