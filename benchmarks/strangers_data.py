"""Samples for ``strangers.py``: three small sets of data as spikes, read from the files of
installed packages.

Nothing is downloaded and neither package is imported, only found:

* **JapaneseVowels** (aeon): 12 cepstrum coefficients of nine speakers; Kudo, Toyama, Shimbo, UCI
  Machine Learning Repository, doi 10.24432/C5NS47. CC BY 4.0, as UCI says of it.
* **Digits** (scikit-learn): 8 x 8 images, the test half of "Optical Recognition of Handwritten
  Digits"; Alpaydin, Kaynak, UCI Machine Learning Repository, doi 10.24432/C50P49. CC BY 4.0, as UCI
  says of it.
* **BasicMotions** (aeon): accelerometer and gyroscope of a watch, four activities; UEA multivariate
  time series archive (Bagnall et al., arXiv 1811.00075), which names no licence; aeon, which ships
  the file, is BSD-3-Clause.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

PROJECTS = {"aeon": "aeon", "sklearn": "scikit-learn"}
VOWEL_STEPS = 60
SPEAKERS = 8  # of nine: Xylo Audio 2 has eight outputs
COPIES = 5  # of each training sample, each with spikes of its own
RATE = 0.6  # spikes in a step where a channel is largest
DIGITS_RATE = 0.5
DIGITS_TO_LEARN = 1300


@dataclass(frozen=True)
class Samples:
    """Spikes, (samples, steps, channels), and the class of each sample; those to learn and those to
    test with.
    """

    train: Array
    train_labels: Array
    test: Array
    test_labels: Array

    def shaped(self, shape: tuple[int, ...]) -> Samples:
        """The channels as (channels, y, x)."""
        train, test = (x.reshape(*x.shape[:2], *shape) for x in (self.train, self.test))
        return Samples(train, self.train_labels, test, self.test_labels)


def japanese_vowels(rng: np.random.Generator) -> Samples:
    """Who speaks; a coefficient between its extremes in training is the probability of a spike."""
    (train, trained), (test, tested) = splits("JapaneseVowels")
    low, high = (
        np.min([x.min(axis=1) for x in train], axis=0),
        np.max([x.max(axis=1) for x in train], axis=0),
    )

    def spikes(series: list[Array]) -> Array:
        made = []
        for x in series:
            share = (x - low[:, None]) / (high - low)[:, None]
            made.append(fire(rng, np.clip(stretched(share, VOWEL_STEPS).T, 0, 1) * RATE))
        return np.array(made)

    learn, judge = (np.array([int(label) - 1 for label in labels]) for labels in (trained, tested))
    kept = learn < SPEAKERS
    copies = np.concatenate([spikes(train)[kept] for _ in range(COPIES)])
    return Samples(
        copies,
        np.tile(learn[kept], COPIES),
        spikes(test)[judge < SPEAKERS],
        judge[judge < SPEAKERS],
    )


def basic_motions(rng: np.random.Generator) -> Samples:
    """What the wearer does; each sensor has a channel above its mean and one below.

    The test is sorted by class.
    """
    (train, trained), (test, tested) = splits("BasicMotions")
    mean = np.mean([x.mean(axis=1) for x in train], axis=0)[:, None]
    spread = np.mean([x.std(axis=1) for x in train], axis=0)[:, None] * 1.5 + 1e-9

    def spikes(series: list[Array]) -> Array:
        z = (np.array(series) - mean) / spread
        return fire(
            rng,
            np.concatenate([np.clip(z, 0, 2), np.clip(-z, 0, 2)], axis=1).swapaxes(1, 2) / 2 * RATE,
        )

    names = sorted(set(trained))
    learn, judge = (
        np.array([names.index(label) for label in labels]) for labels in (trained, tested)
    )
    order = np.argsort(judge, kind="stable")
    return Samples(spikes(train), learn, spikes(test)[order], judge[order])


def digits(rng: np.random.Generator, steps: int) -> Samples:
    """Which digit; the grey value of a pixel is the probability of a spike."""
    with gzip.open(file_of("sklearn", "datasets/data/digits.csv.gz"), "rt") as lines:
        table = np.loadtxt(lines, delimiter=",")
    table = table[np.random.default_rng(7).permutation(len(table))]
    grey, labels = table[:, :64] / 16, table[:, 64].astype(int)

    def spikes(images: Array) -> Array:
        return fire(rng, np.broadcast_to(images[:, None] * DIGITS_RATE, (len(images), steps, 64)))

    cut = DIGITS_TO_LEARN
    return Samples(spikes(grey[:cut]), labels[:cut], spikes(grey[cut:]), labels[cut:])


def fire(rng: np.random.Generator, probability: Array) -> Array:
    """A spike or none, each by its own draw."""
    return (rng.random(probability.shape) < probability).astype(np.uint8)


def stretched(series: Array, steps: int) -> Array:
    """Every channel of (channels, time) at ``steps`` equal distances from its beginning to its
    end.
    """
    old, new = np.linspace(0, 1, series.shape[1]), np.linspace(0, 1, steps)
    return np.stack([np.interp(new, old, channel) for channel in series])


def splits(name: str) -> list[tuple[list[Array], list[str]]]:
    """Series and labels of a set of aeon's: those to train with, those to test with."""
    return [
        series_of(file_of("aeon", f"datasets/data/{name}/{name}_{part}.ts"))
        for part in ("TRAIN", "TEST")
    ]


def series_of(path: Path) -> tuple[list[Array], list[str]]:
    """A .ts file: after ``@data`` a sample a line, its channels (comma-separated) and its label
    parted by colons.
    """
    _, _, body = path.read_text().partition("@data\n")
    lines = [line.split(":") for line in body.splitlines() if line.strip()]
    series = [
        np.array([[float(value) for value in channel.split(",")] for channel in line[:-1]])
        for line in lines
    ]
    return series, [line[-1].strip() for line in lines]


def file_of(package: str, path: str) -> Path:
    """A file of an installed package, which is not imported; the end of the program where there is
    none.
    """
    spec = find_spec(package)
    for folder in (spec and spec.submodule_search_locations) or ():
        if (found := Path(folder) / path).is_file():
            return found
    raise SystemExit(f"{package}/{path} is missing: pip install --no-deps {PROJECTS[package]}")
