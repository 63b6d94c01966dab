"""What the scripts of all simulators share: kinds of networks, and a command that exports and
records them.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import warnings
import zlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Rng = np.random.Generator
SAMPLES = 4
STEPS = 40
SEED = 20113
ATTEMPTS = 20


@dataclass(frozen=True)
class Recording:
    """A graph of the ``nir`` package, and what the simulator computed for ``inputs``.

    ``inputs`` are (samples, steps, ...input shape) and ``outputs`` (samples, steps, ...output
    shape), both in the shapes that the graph declares, float32.
    """

    graph: Any
    inputs: Array
    outputs: Array


@dataclass(frozen=True)
class Kind:
    """A network kind.

    ``read`` is the text for ``--from``; ``lost`` names what the export leaves out.
    """

    name: str
    special: str
    read: str
    lost: str
    refuses: bool = False
    quiet: bool = False  # the outputs may be silent, or always on
    make: Callable[[Rng], Recording] | None = field(default=None, repr=False, compare=False)


class Kinds:
    """The kinds of one simulator, by name, in the order of the script."""

    def __init__(self, simulator: str, seed_all: Callable[[int], None] = lambda seed: None) -> None:
        self.simulator = simulator
        self.by_name: dict[str, Kind] = {}
        self._seed_all = seed_all

    def kind(
        self,
        name: str,
        special: str,
        read: str,
        *,
        lost: str = "",
        refuses: bool = False,
        quiet: bool = False,
    ) -> Callable[[Callable[[Rng], Recording]], Callable[[Rng], Recording]]:
        """Register the decorated function.

        ``refuses``: the exporter raises, and must go on to do so.
        """

        def register(make: Callable[[Rng], Recording]) -> Callable[[Rng], Recording]:
            if name in self.by_name:
                raise ValueError(f"two kinds are called {name}")
            self.by_name[name] = Kind(name, special, read, lost, refuses, quiet, make)
            return make

        return register

    def record(self, name: str, seed: int = SEED) -> Recording:
        """Build, export and run one kind. Each kind has its own random numbers.

        A network that is silent, or fires all the time, shows nothing: the next random numbers are
        tried, up to ``ATTEMPTS`` times. Raises ``RuntimeError`` after the last.
        """
        kind = self.by_name[name]
        assert kind.make is not None
        number = zlib.crc32(f"{self.simulator}/{name}".encode())
        for attempt in range(ATTEMPTS):
            self._seed_all((seed * 65537 + number + attempt) % 2**31)
            with quietly():
                recording = kind.make(np.random.default_rng([seed, number, attempt]))
            if kind.refuses or kind.quiet or telling(recording.outputs):
                return recording
        raise RuntimeError(f"{name}: all outputs are alike, a case that shows nothing")

    def write(
        self, directory: Path, name: str, seed: int = SEED, *, compact: bool = False
    ) -> dict[str, str]:
        """Write ``NAME.nir`` and ``NAME.npz``; return the row of the index.

        ``compact``: store the exporter's arrays without HDF5's chunks, which make a small file four
        times as large.

        Raises ``RuntimeError`` where an exporter that should refuse does not.
        """
        import nir

        kind = self.by_name[name]
        row = {
            key: value
            for key, value in asdict(kind).items()
            if key in ("special", "read", "lost") and value
        }
        path = directory / f"{name}.nir"
        try:
            recording = self.record(name, seed)
            with quietly():
                nir.write(path, recording.graph)
        except Exception as error:  # whatever an exporter raises is what we are here to see
            path.unlink(missing_ok=True)  # a crash in nir.write leaves half a file
            if not kind.refuses:
                raise
            return row | {"raises": f"{type(error).__name__}: {error}".splitlines()[0]}
        if kind.refuses:
            path.unlink()
            raise RuntimeError(f"{name}: the exporter refused this once, and does so no longer")
        if compact:
            without_chunks(path)
        np.savez_compressed(
            path.with_suffix(".npz"), inputs=recording.inputs, outputs=recording.outputs
        )
        return row | {"loads": refusal_of_reader(path) or "yes"}

    def command(self) -> None:
        """``python NAME_cases.py OUTDIR [--seed N] [--kind K]... [--list]``."""
        parser = argparse.ArgumentParser(
            description=f"Export networks of {self.simulator} and record their outputs."
        )
        parser.add_argument("directory", type=Path)
        parser.add_argument("--seed", type=int, default=SEED)
        parser.add_argument(
            "--kind", action="append", choices=list(self.by_name), metavar="K", help="default: all"
        )
        parser.add_argument(
            "--compact", action="store_true", help="HDF5 without chunks: a quarter of the size"
        )
        arguments = parser.parse_args()
        arguments.directory.mkdir(parents=True, exist_ok=True)
        index = {}
        for name in arguments.kind or self.by_name:
            index[name] = self.write(
                arguments.directory, name, arguments.seed, compact=arguments.compact
            )
            print(f"{self.simulator}/{name}: {index[name].get('raises', 'written')}", flush=True)
        (arguments.directory / "cases.json").write_text(json.dumps(index, indent=1) + "\n")


def telling(outputs: Array) -> bool:
    """Spikes in 3 to 97 of 100 entries, or membranes that move."""
    if not np.array_equal(outputs, np.rint(outputs)):
        return bool(np.std(outputs) > 0)
    return bool(0.03 < np.mean(outputs != 0) < 0.97)


def without_chunks(path: Path) -> None:
    """Rewrite an HDF5 file with the same groups, names, types and values, stored as small as they
    are.
    """
    import h5py

    def copy(source: Any, target: Any) -> None:
        for name, item in source.items():
            if isinstance(item, h5py.Group):
                copy(item, target.create_group(name))
            else:
                target.create_dataset(name, data=item[()], dtype=item.dtype)

    small = path.with_suffix(".small")
    with h5py.File(path) as source, h5py.File(small, "w", libver="latest") as target:
        copy(source, target)
    small.replace(path)


def refusal_of_reader(path: Path) -> str:
    """What ``nir.read`` says of a file with its type checks on, empty where it opens."""
    import nir

    try:
        nir.read(path)
    except Exception as error:
        return f"{type(error).__name__}: {error}".splitlines()[0]
    return ""


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Keep the packages' prints and warnings off the screen."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def spikes(
    rng: Rng, *shape: int, rate: float = 0.3, steps: int = STEPS, samples: int = SAMPLES
) -> Array:
    """Spikes (samples, steps, *shape), each with probability ``rate``."""
    return (rng.random((samples, steps, *shape)) < rate).astype(np.float32)


def counts(rng: Rng, *shape: int, mean: float = 0.6) -> Array:
    """Spike counts (samples, steps, *shape), Poisson."""
    return rng.poisson(mean, (SAMPLES, STEPS, *shape)).astype(np.float32)


def normal(rng: Rng, *shape: int, scale: float = 1.0, mean: float = 0.0) -> Array:
    """Weights (out, in, ...) whose sum over the inputs has the standard deviation ``scale`` for
    inputs of one.
    """
    fan_in = int(np.prod(shape[1:])) or 1
    return on_grid(mean / fan_in + rng.normal(0, scale / np.sqrt(fan_in), shape))


def between(rng: Rng, low: float, high: float, *shape: int) -> Array:
    """Uniform numbers."""
    return on_grid(rng.uniform(low, high, shape))


def on_grid(values: NDArray[np.float64]) -> Array:
    """Multiples of 2**-16: sums of them over spikes are exact in float32, in whatever order a
    processor adds.
    """
    return (np.rint(values * 2**16) / 2**16).astype(np.float32)
