"""How well can the emulator explain the activity that was recorded from a Speck chip?

``speck_activity.npy`` of the NIR paper holds, for the first sample of each of ten digits, how often
each neuron of the first layer fired on the chip. The samples (N-MNIST) are not published beside it,
so the comparison is indirect: find the event counts per pixel (not negative) whose weighted sum
comes closest to the recorded spikes, send them through the emitted configuration in a random order,
and compare spike counts (r: correlation over neurons). The recording was made with sinabs' lower
bound of the membrane, minus the threshold: ``--set floor=threshold``.

    python benchmarks/speck_recorded.py [--digits N]
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

import nirc
from nirc.backends.speck.config import read_config
from nirc.backends.speck.configuration import Configuration
from nirc.backends.speck.emulate import emulate
from nirc.ir.linear import Conv

DATA = Path(__file__).parent.parent / "tests/data/paper"
ROUNDS = 150
STEPS = 300


def first_core(floor: str) -> Configuration:
    """The configuration of the N-MNIST network, cut down to its first core, which is monitored."""
    bundle = nirc.compile(
        DATA / "cnn_sinabs.nir", "speck", writer="nir", reset="subtract", chip={"floor": floor}
    )
    whole = read_config(bundle.files["config.json"])
    layer = whole.by_core()[whole.inputs[0].layer]
    return Configuration(
        whole.variant, (replace(layer, destinations=(), monitor=True),), whole.inputs
    )


def matrix(configuration: Configuration) -> np.ndarray:
    """(neurons, inputs) weights in units of the threshold."""
    (layer,) = configuration.layers
    (y, x) = layer.padding
    conv = Conv(
        layer.kernel.astype(float),
        layer.shape_in,
        layer.shape_out,
        layer.stride,
        ((y, y), (x, x)),
        (1, 1),
        1,
    )
    return conv.apply(np.eye(configuration.input_channels)).T / layer.threshold_high


def explained(weights: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(digits, inputs) event counts, at least 0, that come closest: projected gradient with
    momentum.
    """
    step = 1 / np.linalg.norm(weights, 2) ** 2
    x = ahead = np.zeros((len(counts), weights.shape[1]))
    for k in range(ROUNDS):
        error = np.maximum(ahead @ weights.T, 0) - counts
        new = np.maximum(ahead - step * (error @ weights), 0)
        ahead = new + k / (k + 3) * (new - x)
        x = new
    return np.rint(x).astype(np.int64)


def raster(counts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(digits, STEPS, inputs): every event at a random step."""
    made = np.zeros((len(counts), STEPS, counts.shape[1]), dtype=np.int64)
    digit, channel = np.nonzero(counts)
    repeat = counts[digit, channel]
    digit, channel = np.repeat(digit, repeat), np.repeat(channel, repeat)
    np.add.at(made, (digit, rng.integers(0, STEPS, digit.size), channel), 1)
    return made


def main() -> None:
    """Print a row for each way to read the recording and each lower bound."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--digits", type=int, default=4)
    digits = arguments.parse_args().digits
    recorded = np.load(DATA / "speck_activity.npy")[0, :digits]  # (digits, 16, 16, 16)
    readings = {
        "axes (feature, y, x)": recorded,
        "axes (feature, x, y)": recorded.swapaxes(-1, -2),
        "control: features shuffled": recorded[:, np.random.default_rng(0).permutation(16)],
    }
    print(
        f"{digits} digits\n{'':<28}{'floor':<12}{'recorded':>9}{'events':>9}{'r':>7}"
        f"{'synchronous':>13}{'r':>7}"
    )
    for name, target in readings.items():
        flat = target.reshape(digits, -1)
        inputs = None
        for floor in ("none", "threshold"):
            configuration = first_core(floor)
            if inputs is None:
                inputs = raster(explained(matrix(configuration), flat), np.random.default_rng(0))
            row = f"{name:<28}{floor:<12}{int(flat.sum()):>9}"
            for mode, width in (("events", 9), ("synchronous", 13)):
                spikes = emulate(configuration, inputs, mode=mode).outputs.sum(axis=1)
                likeness = np.corrcoef(spikes.ravel(), flat.ravel())[0, 1]
                row += f"{int(spikes.sum()):>{width}}{likeness:>7.3f}"
            print(row)


if __name__ == "__main__":
    main()
