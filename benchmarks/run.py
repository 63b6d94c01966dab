"""All figures of docs/performance.md: runs the benchmarks that it names, and writes the page.

    python benchmarks/run.py [PART ...] [--only TEXT] [--loaded] [--write-only]

Parts: see ``PARTS``. Without a part all run, which takes about 20 CPU minutes. ``--only``: commands
of the parts with TEXT in their arguments. ``--loaded``: two processes that only count run on each
core meanwhile. The figures of an idle and of a loaded machine stand side by side. Rows of commands
that do not run stay as they are in performance.json. Times are CPU seconds of one thread. A rival
runs in the same process or right after ours, so that a ratio depends little on the load.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
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
MOST_NAMED = 3  # below the plot
BUSY = 1.5  # processes for each core, over a minute: more is a loaded machine
IDLE, LOADED = "idle", "loaded"
SPINNING = 2  # processes for each core, of ``--loaded``. They end with this one
SPIN = "import os\nparent = os.getppid()\nwhile os.getppid() == parent: pass"
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
SCALED = (
    *("dense-10000", "dense-4000", "convolution-1M", "recurrent-8000"),
    *("chain-4000", "chain-2100", "all-to-all-300", "all-to-all-1000"),
)
PROFILED = (
    *("dense 250", "dense 1000", "dense 4000"),
    *("convolution 16", "convolution 32", "convolution 64", "convolution 128"),
)
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
    """Rows of all parts, in performance.json: by part, command, and load of the machine.

    Each entry also says the processor and the versions.
    """

    parts: dict[str, dict[str, Any]] = field(default_factory=dict)

    @staticmethod
    def read() -> Store:
        return Store(json.loads(STORE.read_text(encoding="utf-8")) if STORE.exists() else {})

    def write(self) -> None:
        text = json.dumps({k: self.parts[k] for k in PARTS if k in self.parts}, indent=1)
        partial = STORE.with_suffix(".partial")
        partial.write_text(text + "\n", encoding="utf-8")
        partial.replace(STORE)

    def rows(self, part: str, load: str) -> list[Row]:
        """Return the rows of all commands that have run, in the order of the part."""
        kept = [known[load]["rows"] for known in self.of(part) if load in known]
        return [Row(**row) for row in chain.from_iterable(kept)]

    def best(self, part: str) -> list[Row]:
        """Return the rows as ``rows``, of the idle machine where there are any."""
        kept = [known[min(known)]["rows"] for known in self.of(part) if known]
        return [Row(**row) for row in chain.from_iterable(kept)]

    def of(self, part: str) -> list[dict[str, Any]]:
        """Return what is known of each command of a part, by load."""
        known = self.parts.get(part, {})
        return [known.get(" ".join(arguments), {}) for arguments in PARTS[part].commands]


def state() -> str:
    """The machine and the versions that answers depend on, without the date."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    cores = os.cpu_count() or 1
    found["cores"] = str(cores)
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


def load(asked: bool) -> str:
    """Return how busy the machine was over the last minute. ``asked``: by ``--loaded``."""
    return LOADED if asked or os.getloadavg()[0] > BUSY * (os.cpu_count() or 1) else IDLE


@contextlib.contextmanager
def spinning(asked: bool) -> Iterator[None]:
    """Keep every core busy with ``SPINNING`` processes meanwhile, if asked for."""
    count = SPINNING * (os.cpu_count() or 1) if asked else 0
    others = [subprocess.Popen([sys.executable, "-c", SPIN]) for _ in range(count)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


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


def figure(row: Row | None) -> str:
    """Return the value of a row, and its ratio to the rival."""
    if row is None or row.value is None:
        return "-"
    ratio = "" if row.ratio is None else f"; {row.ratio:.3g}"
    return f"{row.value:.3g} {row.unit}".strip() + ratio


def table(shown: list[Row], idle: list[Row], loaded: list[Row]) -> list[str]:
    """Return a line for each of ``shown``, with its figures on an idle and on a loaded machine."""
    lines = [
        "| what | idle; ratio | loaded; ratio | rival in the same run | goal | |",
        "|---|---|---|---|---|---|",
    ]
    by_what = [{row.what: row for row in rows} for rows in (idle, loaded)]
    for row in shown:
        if row.stage:  # of the plot
            continue
        figures = " | ".join(figure(rows.get(row.what)) for rows in by_what)
        rival = row.rival
        if row.rival_value is not None:
            rival += f": {row.rival_value:.3g} {row.unit}"
        goal = ""
        if row.goal is not None:
            goal = f"{'≤' if row.most else '≥'} {row.goal:g}{' (ratio)' if row.of_ratio else ''}"
        mark = {True: "met", False: "**missed**", None: ""}[row.met]
        note = f" ({row.note})" if row.note else ""
        lines.append(f"| {row.what}{note} | {figures} | {rival} | {goal} | {mark} |")
    return lines


def largest_stages(rows: list[Row]) -> Iterator[str]:
    """Yield a line for each network and chip of the plot: what takes most at the largest size."""
    for network in dict.fromkeys(row.stage.partition(":")[0] for row in rows if row.stage):
        stages = [row for row in rows if row.stage.partition(":")[0] == network]
        size = max(row.size or 0 for row in stages)
        at_end = sorted((r for r in stages if r.size == size), key=lambda row: -(row.value or 0))
        whole = sum(row.value or 0 for row in at_end)
        told = ", ".join(
            f"{row.stage.partition(': ')[2]} {100 * (row.value or 0) / whole:.0f} %"
            for row in at_end[:MOST_NAMED]
        )
        memory = max(row.memory_gb or 0 for row in at_end)
        yield f"* {network}, {size:.3g} synapses, {whole:.3g} CPU s, {memory:.2g} GB: {told}."


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


def met(store: Store) -> str:
    """Return how many goals are met, on which machine."""
    told = []
    for machine in (IDLE, LOADED):
        goals = [row.met for name in PARTS for row in store.rows(name, machine)]
        count = sum(goal is not None for goal in goals)
        if count:
            told.append(f"{goals.count(True)} of {count} ({machine})")
    return ", ".join(told)


def of_part(store: Store, name: str) -> list[str]:
    """Return the section of a part."""
    part = PARTS[name]
    lines = [f"## {part.title}", ""]
    said = [f"`{part.script} {' '.join(arguments)}".strip() + "`" for arguments in part.commands]
    known = dict(zip(said, store.of(name), strict=True))
    if any(known.values()):
        lines += [f"By {', '.join(text for text in said if known[text])}.", ""]
        lines += [*table(store.best(name), store.rows(name, IDLE), store.rows(name, LOADED)), ""]
    if missing := [text for text in said if not known[text]]:
        lines += [f"Not measured yet: {', '.join(missing)}.", ""]
    states = {each["state"] for command in known.values() for each in command.values()}
    for text in sorted(states):
        lines += [f"Measured with {text}.", ""]
    return lines


def page(store: Store) -> str:
    """The page in Markdown."""
    lines = [
        "# Speed and memory",
        "",
        "Written by `python benchmarks/run.py`. Do not edit. Times are CPU seconds of one thread, "
        "user and system. A rival ran in the same process or right after ours, so compare ratios "
        "rather than seconds. A machine is idle if nothing but the benchmark ran, loaded if "
        "others took all cores, too. Rival and goal: of the idle machine where it was measured. "
        "Losses are in the tables, too.",
        "",
        f"Goals that are met: {met(store)}.",
        "",
    ]
    if PICTURE.exists():
        lines += [
            f"![Time and memory against size for each stage](pictures/{PICTURE.name})",
            "",
            "CPU time of the longest stages, and the largest memory until their end, against "
            "synapses (`benchmarks/profile_stages.py`). What takes most at the largest size:",
            "",
            *largest_stages(store.best("profile")),
            "",
        ]
    for name in PARTS:
        lines += of_part(store, name)
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--only", metavar="TEXT", default="", help="commands with TEXT")
    parser.add_argument("--loaded", action="store_true", help="with every core kept busy")
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
                with spinning(given.loaded):
                    busy = load(given.loaded)
                    rows = measured(PARTS[name], arguments)
            except ValueError as error:
                print(f"failed: {error}", file=sys.stderr)
                continue
            store = Store.read()  # another part may have ended meanwhile
            known = store.parts.setdefault(name, {}).setdefault(text, {})
            known[max(busy, load(given.loaded))] = {"state": state(), "rows": rows}
            store.write()
    if plotted := [row for row in store.best("profile") if row.stage]:
        draw(plotted)
    PAGE.write_text(page(store), encoding="utf-8")


if __name__ == "__main__":
    main()
