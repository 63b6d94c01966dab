"""All figures of docs/performance.md: runs the benchmarks that it names, and writes the page.

    python benchmarks/run.py [PART ...] [--only TEXT] [--write-only]

Parts: see ``PARTS``. Without a part all run, which takes about 20 CPU minutes. ``--only``: commands
of the parts with TEXT in their arguments. Rows of commands that do not run stay as they are in
performance.json. Times are CPU seconds of one thread. A rival runs in the same process or right
after ours, so that a ratio depends little on the machine's load.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from itertools import chain
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from rows import Row

ROOT = Path(__file__).resolve().parents[1]
HERE = Path(__file__).parent
STORE = HERE / "performance.json"
PAGE = ROOT / "docs/performance.md"
PICTURE = ROOT / "docs/pictures/scale.svg"
MOST_STAGES = 6  # in the plot: the longest
BUSY = 1.5  # processes that wait for each processor, over five minutes
PACKAGES = (
    "numpy",
    "scipy",
    "ortools",
    "mtkahypar",
    "xylosim",
    "lava-nc",
    "sinabs",
    "rig",
)
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Part:
    """Rows of one script. ``commands``: its arguments, each run in a process of its own."""

    title: str
    script: str
    commands: tuple[tuple[str, ...], ...] = ((),)
    text: str = ""
    threads: bool = False  # the script sets the number of threads


# Cases of scale.py with a goal, and networks of profile_stages.py.
SCALED = ("dense-10000", "dense-4000", "convolution-1M", "recurrent-8000", "chain-4000")
SCALED += ("all-to-all-1000", "chain-2100")
PROFILED = ("dense 250", "dense 1000", "dense 4000")
PROFILED += ("convolution 16", "convolution 32", "convolution 64", "convolution 128")
PARTS = {
    "regroup": Part(
        "Neurons are regrouped",
        "regroup.py",
        (("1024",), ("4096",), ("16384",), ("--renumbered", "1024")),
    ),
    "mesh": Part("Neurons on a mesh of cores", "onto_graph.py", (("1024",),)),
    "place": Part("Placement", "place.py", (("--hala",),)),
    "board": Part("A SpiNNaker2 board", "spinnaker2_board.py", (("--layers", "4"),)),
    "emulators": Part("Emulators", "emulators.py", (("--rounds", "5"), ("--peak",))),
    "threads": Part("Threads of BLAS", "threads.py", (("--runs", "1"),), threads=True),
    "cold": Part("A cold container", "startup.py", (("--cold", "--runs", "1"),)),
    "scale": Part("Large networks", "scale.py", tuple((name,) for name in SCALED)),
    "calibration": Part(
        "Calibration",
        "calibration.py",
        ((), ("tests/data/paper/cnn_sinabs.nir", "random", "speck", "--fast-only")),
    ),
    "profile": Part(
        "The profile of `nirc -v`", "profile_stages.py", tuple((name,) for name in PROFILED)
    ),
}


@dataclass
class Store:
    """Rows of all parts, and the state in which each was measured, in performance.json."""

    parts: dict[str, dict[str, Any]] = field(default_factory=dict)

    @staticmethod
    def read() -> Store:
        return Store(json.loads(STORE.read_text(encoding="utf-8")) if STORE.exists() else {})

    def write(self) -> None:
        text = json.dumps({k: self.parts[k] for k in PARTS if k in self.parts}, indent=1)
        STORE.write_text(text + "\n", encoding="utf-8")

    def rows(self, part: str) -> list[Row]:
        """Return the rows of all commands that have run, in the order of the part."""
        known = self.parts.get(part, {})
        commands = [" ".join(arguments) for arguments in PARTS[part].commands]
        kept = [known[command]["rows"] for command in commands if command in known]
        return [Row(**row) for row in chain.from_iterable(kept)]


def state() -> str:
    """The machine and the versions that answers depend on, without the date."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    cores = os.cpu_count() or 1
    found["cores"] = str(cores)
    found["load"] = "others ran, too" if os.getloadavg()[1] > BUSY * cores else "idle but for this"
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        models = {line.partition(":")[2].strip() for line in lines if line.startswith("model name")}
        found["processor"] = " ".join(sorted(models))
    except OSError:
        found["processor"] = platform.processor()
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return ", ".join(f"{name} {value}" for name, value in found.items())


def measured(part: Part, arguments: tuple[str, ...]) -> list[dict[str, Any]]:
    """Run one command of a part, and return its rows. Raises ``ValueError`` without any."""
    environment = dict(os.environ)
    if not part.threads:
        environment |= dict.fromkeys(ONE_THREAD, "1")
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), environment.get("PYTHONPATH", "")])
    command = [sys.executable, str(HERE / part.script), *arguments, "--json"]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    try:
        rows: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        raise ValueError(done.stderr[-2000:]) from None
    return rows


def table(rows: list[Row]) -> list[str]:
    lines = [
        "| what | measured | rival in the same run | ratio | goal | |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        if row.stage:  # of the plot
            continue
        value = "-" if row.value is None else f"{row.value:.3g} {row.unit}"
        rival = "" if not row.rival else row.rival
        if row.rival_value is not None:
            rival += f": {row.rival_value:.3g} {row.unit}"
        ratio = "" if row.ratio is None else f"{row.ratio:.3g}"
        goal = ""
        if row.goal is not None:
            goal = f"{'≤' if row.most else '≥'} {row.goal:g}{' (ratio)' if row.of_ratio else ''}"
        mark = {True: "met", False: "**missed**", None: ""}[row.met]
        note = f" ({row.note})" if row.note else ""
        lines.append(f"| {row.what}{note} | {value} | {rival} | {ratio} | {goal} | {mark} |")
    return lines


def draw(rows: list[Row]) -> None:
    """Write the plot: CPU time and peak memory of each stage against size, by network and chip."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "nirc"  # the same bytes from the same rows
    import matplotlib.pyplot as plt

    networks = sorted({row.stage.partition(":")[0] for row in rows if row.stage})
    figure, axes = plt.subplots(2, len(networks), figsize=(4.2 * len(networks), 7), sharex="col")
    for column, network in enumerate(networks):
        chosen = [row for row in rows if row.stage.partition(":")[0] == network]
        shown = [row for row in chosen if row.value and row.size and row.memory_gb]
        largest = max(row.size or 0 for row in shown)
        at_end = [row for row in shown if row.size == largest]
        longest = sorted(at_end, key=lambda row: -(row.value or 0))[:MOST_STAGES]
        for stage in (row.stage for row in longest):
            line = sorted((row for row in shown if row.stage == stage), key=lambda r: r.size or 0)
            name = stage.partition(": ")[2]
            for part, values in enumerate(([r.value for r in line], [r.memory_gb for r in line])):
                axes[part, column].loglog([r.size for r in line], values, marker="o", label=name)
        axes[0, column].set_title(network)
        axes[0, column].legend(fontsize=7)
        axes[1, column].set_xlabel("synapses")
    axes[0, 0].set_ylabel("CPU s of the stage")
    axes[1, 0].set_ylabel("GB, the largest until its end")
    figure.tight_layout()
    figure.savefig(PICTURE, metadata={"Date": None})


def page(store: Store) -> str:
    """The page in Markdown."""
    goals = [row.met for name in PARTS for row in store.rows(name) if row.met is not None]
    lines = [
        "# Speed and memory",
        "",
        "Written by `python benchmarks/run.py`. Do not edit. Times are CPU seconds of one thread, "
        "user and system. A rival ran in the same process or right after ours, so compare ratios "
        "rather than seconds: the machine may be loaded. Losses are in the tables, too.",
        "",
        f"{sum(goals)} of {len(goals)} goals are met.",
        "",
    ]
    if PICTURE.exists():
        lines += [
            f"![Time and memory against size for each stage](pictures/{PICTURE.name})",
            "",
            "CPU time of the longest stages, and the largest memory until their end, against "
            "synapses (`benchmarks/profile_stages.py`).",
            "",
        ]
    for name, part in PARTS.items():
        known = store.parts.get(name, {})
        lines += [f"## {part.title}", ""]
        said = [" ".join(arguments) for arguments in part.commands]
        missing = [f"`{part.script} {text}".strip() + "`" for text in said if text not in known]
        if len(missing) < len(said):
            commands = [f"`{part.script} {text}".strip() + "`" for text in said if text in known]
            lines += [f"By {', '.join(commands)}.", "", *table(store.rows(name)), ""]
        if missing:
            lines += [f"Not measured yet: {', '.join(missing)}.", ""]
        for text in sorted({known[text]["state"] for text in said if text in known}):
            lines += [f"Measured with {text}.", ""]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--only", metavar="TEXT", default="", help="commands with TEXT")
    parser.add_argument("--write-only", action="store_true", help="only the page, from old rows")
    given = parser.parse_args()
    if unknown := sorted(set(given.parts) - set(PARTS)):
        parser.error(f"no part {', '.join(unknown)}; there are {', '.join(PARTS)}")
    store = Store.read()
    for name in [] if given.write_only else given.parts or PARTS:
        for arguments in PARTS[name].commands:
            text = " ".join(arguments)
            if given.only not in text:
                continue
            print(f"{name} {text} ...", file=sys.stderr, flush=True)
            try:
                rows = measured(PARTS[name], arguments)
            except ValueError as error:
                print(f"failed: {error}", file=sys.stderr)
                continue
            store = Store.read()  # another part may have ended meanwhile
            store.parts.setdefault(name, {})[text] = {"state": state(), "rows": rows}
            store.write()
    if plotted := [row for row in store.rows("profile") if row.stage]:
        draw(plotted)
    PAGE.write_text(page(store), encoding="utf-8")


if __name__ == "__main__":
    main()
