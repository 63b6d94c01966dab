"""CPU time and peak memory of large networks, each compiled in a process of its own.

    python benchmarks/scale.py [NAME ...] [--target TARGET] [--against DIR] [--profile] [--json]

NAME: a case, such as ``chain-500``. Without names all cases run. The file is
written by another process, so the memory is that of the compilation. Networks of ``IN_MEMORY`` are
objects of ``nir``, since ``nir.write`` takes ten minutes for a million edges. ``answer`` is the
digest of the chip's files, or the codes of the refusal. ``--against DIR``: another checkout beside
this one. ``--profile``: the functions that take the time, of each case.
"""

from __future__ import annotations

import argparse
import json
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent))
from rows import Row, show

ROOT = Path(__file__).resolve().parent.parent
CAP_BYTES = 14 << 30  # of address space
CAP_SECONDS = 600  # of the processor: the goals are 60 at most
EVERY = ("loihi2:halapoint", "spinnaker2", "speck", "xylo")
MANY_CORES = ("loihi2", "spinnaker2")
# By case: builder, size, targets.
CASES: dict[str, tuple[str, int, tuple[str, ...]]] = {
    "convolution-1M": ("convolution", 256, MANY_CORES),
    "dense-10000": ("dense", 10_000, EVERY),
    "dense-4000": ("dense", 4_000, MANY_CORES),
    "recurrent-8000": ("recurrent", 8_000, ("loihi2:halapoint", "spinnaker2", "xylo")),
    "chain-500": ("chain", 500, MANY_CORES),
    "chain-1000": ("chain", 1_000, MANY_CORES),
    "chain-2000": ("chain", 2_000, MANY_CORES),
    "chain-2100": ("chain", 2_100, ("xylo",)),
    "chain-4000": ("chain", 4_000, MANY_CORES),
    "all-to-all-100": ("all_to_all", 100, MANY_CORES),
    "all-to-all-300": ("all_to_all", 300, MANY_CORES),
    "all-to-all-1000": ("all_to_all", 1_000, MANY_CORES),
}
# Goals of issue 15: CPU seconds, and GB if there is one. Shapes refuse a network within 2 s.
GOALS: dict[str, tuple[float, float | None]] = {
    "convolution-1M": (20, 1.5),
    "dense-4000": (12, None),
    "recurrent-8000": (60, 4),
    "chain-4000": (30, None),
    "all-to-all-1000": (30, None),
}
IN_MEMORY = ("all_to_all",)
REFUSED_SECONDS = 2.0
CHILD = """
import json, resource, sys, time
from nirc.api import Options, compile_model
from nirc.diagnostics.errors import NircError
from nirc.files.bundle import contents, sha256
path, target, profiled = sys.argv[1:]
model = path
if path.startswith("built:"):
    sys.path.insert(0, "benchmarks")
    from scale import built
    _, kind, size = path.split(":")
    model = built(kind, int(size))
begin = time.process_time()
profile = None
if profiled == "yes":
    import cProfile
    profile = cProfile.Profile()
    profile.enable()
try:
    bundle = compile_model(model, target, Options(dt_s=1e-3)).bundle
    chip = [name for name in bundle.files if name.endswith((".npz", ".net", "config.json"))]
    answer = sha256("".join(sha256(bundle.files[name]) for name in sorted(chip)).encode())[:12]
    whole = contents(bundle.manifest, bundle.files)
    size = {name: len(data) for name, data in whole.items()}
except NircError as refusal:
    errors = [d for d in refusal.diagnostics if d.severity == "error"]
    answer = "refused " + ",".join(dict.fromkeys(d.code for d in errors))
    size = {}
except MemoryError:
    answer, size = "out of memory", {}
seconds = time.process_time() - begin
if profile is not None:
    import pstats
    profile.disable()
    pstats.Stats(profile, stream=sys.stderr).sort_stats("cumulative").print_stats(45)
    pstats.Stats(profile, stream=sys.stderr).sort_stats("tottime").print_stats(25)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"seconds": seconds, "peak": peak << 10, "answer": answer, "size": size}))
"""


def lif(n: int | tuple[int, ...], r: float = 1.0) -> object:
    import nir

    full = np.ones(n)
    rest = full * 0
    return nir.LIF(tau=full * 0.02, r=full * r, v_leak=rest, v_threshold=full, v_reset=rest)


def matrix(rows: int, cols: int, seed: int = 0) -> NDArray[np.float32]:
    draw = np.random.default_rng(seed)
    return draw.standard_normal((rows, cols), np.float32) / np.float32(np.sqrt(cols))


def built(kind: str, size: int) -> object:
    """A network of NIR nodes."""
    import nir

    nodes: dict[str, object] = {}
    edges: list[tuple[str, str]] = []
    if kind == "convolution":  # 8 maps of ``size`` rows and columns, twice
        side = (size, size)
        nodes["input"] = nir.Input({"input": np.array([1, *side])})
        channels = (1, 8, 8)
        for i, (before, after) in enumerate(pairwise(channels)):
            kernel = matrix(after, before * 9, i).reshape(after, before, 3, 3)
            bias = np.zeros(after)
            nodes[f"conv{i}"] = nir.Conv2d(side, kernel, 1, 1, 1, 1, bias)
            nodes[f"lif{i}"] = lif((after, *side))
        nodes["output"] = nir.Output({"output": np.array([8, *side])})
        edges = list(pairwise(nodes))
    elif kind in ("dense", "recurrent"):
        n_in = size if kind == "dense" else 100
        nodes = {
            "input": nir.Input({"input": np.array([n_in])}),
            "fc": nir.Linear(matrix(size, n_in)),
            "lif": lif(size),
            "output": nir.Output({"output": np.array([size])}),
        }
        edges = list(pairwise(nodes))
        if kind == "recurrent":
            nodes["rec"] = nir.Linear(matrix(size, size, 1))
            edges += [("lif", "rec"), ("rec", "lif")]
    elif kind == "chain":
        nodes["input"] = nir.Input({"input": np.array([4])})
        for i in range(size):
            weight = matrix(4, 4, i)
            np.fill_diagonal(weight, 1.0)  # a spike reaches the output
            nodes[f"fc{i}"] = nir.Linear(weight)
            nodes[f"lif{i}"] = lif(4, 40.0)
        nodes["output"] = nir.Output({"output": np.array([4])})
        edges = list(pairwise(nodes))
    elif kind == "all_to_all":
        nodes["input"] = nir.Input({"input": np.array([1])})
        for i in range(size):
            nodes[f"lif{i}"] = lif(1, 40.0)  # an input alone makes it fire
        nodes["output"] = nir.Output({"output": np.array([1])})
        edges = [("input", "lif0"), (f"lif{size - 1}", "output")]
        edges += [(f"lif{j}", f"lif{i}") for i in range(size) for j in range(size)]
    return nir.NIRGraph(nodes, edges, type_check=kind not in IN_MEMORY)


def write(kind: str, size: int, path: Path) -> None:
    import nir

    nir.write(path, built(kind, size))


def capped() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (CAP_BYTES, CAP_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CAP_SECONDS, CAP_SECONDS))


def compiled(checkout: Path, path: Path | str, target: str, *, profile: bool) -> dict[str, object]:
    """Seconds, peak memory and answer of a compilation in ``checkout``.

    ``path``: of a file, or ``built:KIND:SIZE``.
    """
    python = checkout / ".venv" / "bin" / "python"
    command = [str(python if python.exists() else sys.executable), "-c", CHILD]
    command += [str(path), target, "yes" if profile else "no"]
    done = subprocess.run(
        command, cwd=checkout, preexec_fn=capped, stdout=subprocess.PIPE, text=True, check=False
    )
    if -done.returncode in (signal.SIGXCPU, signal.SIGKILL):
        answer = f"stopped after {CAP_SECONDS} s"
        return {"seconds": float(CAP_SECONDS), "peak": 0, "answer": answer, "size": {}}
    if done.returncode:
        return {"seconds": float("nan"), "peak": 0, "answer": f"exit {done.returncode}", "size": {}}
    found: dict[str, object] = json.loads(done.stdout)
    return found


def row(name: str, target: str, found: dict[str, object]) -> str:
    size = found["size"]
    assert isinstance(size, dict)
    written = " ".join(f"{k} {v / 1e6:.1f}" for k, v in sorted(size.items()) if v > 1e6)
    return (
        f"{name:16s} {target:17s} {found['seconds']:8.2f} s {int(str(found['peak'])) / 1e9:6.2f} GB"
        f"  {found['answer']}" + (f"  MB: {written}" if written else "")
    )


def page_rows(name: str, target: str, found: dict[str, object]) -> Iterator[Row]:
    """Yield time and memory with their goals."""
    answer, peak = str(found["answer"]), int(str(found["peak"])) / 1e9
    goal, most_memory = GOALS.get(name, (None, None))
    too_large_a_file = answer.startswith("refused F")  # the network was not looked at
    if answer.startswith("refused") and not too_large_a_file:
        goal, most_memory = REFUSED_SECONDS, None
    note = answer if answer.startswith(("refused", "exit", "out", "stopped")) else ""
    seconds = float(str(found["seconds"]))
    value = None if np.isnan(seconds) or too_large_a_file else seconds
    yield Row(f"{name} on {target}", value, "CPU s", goal, note=note, memory_gb=peak or None)
    if most_memory is not None:
        yield Row(f"{name} on {target}, peak memory", peak, "GB", most_memory)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--target", help="instead of those of the case")
    parser.add_argument("--against", metavar="DIR", type=Path)
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--keep", metavar="DIR", type=Path, help="models are kept there")
    parser.add_argument("--json", action="store_true", help="rows for docs/performance.md")
    options = parser.parse_args()
    rows: list[Row] = []
    checkouts = [ROOT] if options.against is None else [ROOT, options.against.resolve()]
    with tempfile.TemporaryDirectory() as directory:
        folder = options.keep or Path(directory)
        for name, (kind, size, targets) in CASES.items():
            if options.names and name not in options.names:
                continue
            path: Path | str = folder / f"{name}.nir"
            if kind in IN_MEMORY:
                path = f"built:{kind}:{size}"
            elif not Path(path).exists():
                command = [sys.executable, __file__, "--write", kind, str(size), str(path)]
                subprocess.run(command, check=True)
            for target in [options.target] if options.target else targets:
                for checkout in checkouts:
                    found = compiled(checkout, path, target, profile=options.profile)
                    mark = "" if checkout == ROOT else f"  ({checkout.name})"
                    said = sys.stderr if options.json else sys.stdout
                    print(row(name, target, found) + mark, flush=True, file=said)
                    rows += page_rows(name, target, found)
            if options.keep is None and isinstance(path, Path):
                path.unlink()
    if options.json:
        show(rows, as_json=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--write"]:
        write(sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))
    else:
        main()
