"""Networks for the tests of ``nirc.torch``, random from a seed, by chip."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

from tests.models import DT, chain, cuba, graph, li, lif, linear, recurrent

ZOO = Path(__file__).parents[1] / "data" / "zoo"
MODELS = {path.stem: path for path in sorted(ZOO.glob("*.nir"))}


def torch_or_skip() -> Any:
    """Return torch. Missing: the tests are skipped, or fail under NIRC_REQUIRE_ORACLES=1."""
    if os.environ.get("NIRC_REQUIRE_ORACLES") != "1":
        return pytest.importorskip("torch")
    import torch

    return torch


def made(model: object, target: str | None, **asked: Any) -> Any:
    """Return the module of a model, without the warnings of its compilation."""
    import nirc.torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return nirc.torch.module(model, target, **{"dt": DT} | asked)


def compiled(module: Any) -> Any:
    """Return a module's bundle, without the warnings of its compilation."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return module.compile()


def drifting(n: int, steps: float = 8.0) -> nir.LIF:
    """n LIF neurons that their leak alone brings near the threshold."""
    one = np.ones(n)
    return nir.LIF(
        tau=one * steps * DT, r=one * steps, v_leak=0.3 * one, v_threshold=one, v_reset=one * 0
    )


def biased(rng: np.random.Generator, n_out: int, n_in: int) -> nir.Affine:
    """Random weights and biases."""
    return nir.Affine(
        weight=rng.normal(0.3, 0.5, (n_out, n_in)), bias=rng.normal(0.05, 0.05, n_out)
    )


def deep(rng: np.random.Generator) -> nir.NIRGraph:
    """Three layers, with biases and a leak that is not 0."""
    return chain(
        3,
        biased(rng, 6, 3),
        cuba(6),
        biased(rng, 5, 6),
        drifting(5),
        linear(rng, 4, 5),
        cuba(4, 12.0, 2.0),
        n_out=4,
    )


def loop(rng: np.random.Generator) -> nir.NIRGraph:
    """A recurrent population, and a readout."""
    return recurrent(rng, 3, 6, 4)


def read_as_membrane(rng: np.random.Generator) -> nir.NIRGraph:
    """LIF neurons, and a leaky integrator as the output."""
    return chain(3, linear(rng, 6, 3), lif(6), linear(rng, 2, 6), li(2), n_out=2)


def integrators(rng: np.random.Generator) -> nir.NIRGraph:
    """Integrate-and-fire neurons in two layers, with biases."""
    one = np.ones(6)
    return chain(
        3,
        biased(rng, 6, 3),
        nir.IF(r=one / DT, v_threshold=one),
        linear(rng, 4, 6),
        nir.IF(r=np.ones(4) / DT, v_threshold=np.ones(4)),
        n_out=4,
    )


def convolved(rng: np.random.Generator) -> nir.NIRGraph:
    """A convolution with padding, a pooling, and a matrix, with integrate-and-fire neurons."""
    maps = np.ones((3, 6, 6))
    nodes = {
        "in": nir.Input(np.array([2, 6, 6])),
        "conv": nir.Conv2d((6, 6), rng.normal(0.2, 0.4, (3, 2, 3, 3)), 1, 1, 1, 1, np.zeros(3)),
        "a": nir.IF(r=maps / DT, v_threshold=maps),
        "pool": nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])),
        "flat": nir.Flatten({"input": np.array([3, 3, 3])}, 0, -1),
        "w": linear(rng, 4, 27, 0.3),
        "b": nir.IF(r=np.ones(4) / DT, v_threshold=np.ones(4)),
        "out": nir.Output(np.array([4])),
    }
    names = list(nodes)
    return graph(nodes, list(pairwise(names)))


def leaky(rng: np.random.Generator) -> nir.NIRGraph:
    """LIF neurons in two layers."""
    return chain(3, biased(rng, 6, 3), lif(6), linear(rng, 4, 6), lif(4), n_out=4)


def subtracting(rng: np.random.Generator) -> nir.NIRGraph:
    """LIF neurons whose spikes subtract the threshold, as the file notes, in two layers."""
    model = chain(3, biased(rng, 6, 3), lif(6), linear(rng, 4, 6), lif(4), n_out=4)
    model.metadata["nirc_from"] = "nir,reset=subtract"
    return model


def delayed(rng: np.random.Generator) -> nir.NIRGraph:
    """A path with a delay beside one without."""
    nodes = {
        "in": nir.Input(np.array([3])),
        "w": linear(rng, 6, 3),
        "a": cuba(6),
        "later": nir.Delay(np.full(6, 2 * DT)),
        "u": linear(rng, 4, 6),
        "v": linear(rng, 4, 3),
        "b": lif(4),
        "out": nir.Output(np.array([4])),
    }
    edges = [("in", "w"), ("w", "a"), ("a", "later"), ("later", "u"), ("u", "b")]
    return graph(nodes, [*edges, ("in", "v"), ("v", "b"), ("b", "out")])


def uneven(rng: np.random.Generator) -> nir.NIRGraph:
    """LIF neurons of which no two have the same threshold."""

    def layer(n: int) -> nir.LIF:
        one = np.ones(n)
        threshold = rng.uniform(0.4, 1.6, n)
        return nir.LIF(tau=10 * DT * one, r=10 * one, v_leak=0 * one, v_threshold=threshold)

    return chain(3, linear(rng, 6, 3), layer(6), linear(rng, 4, 6), layer(4), n_out=4)


Maker = Callable[[np.random.Generator], nir.NIRGraph]
KINDS: dict[str, Maker] = {
    "deep": deep,
    "loop": loop,
    "membrane": read_as_membrane,
    "integrators": integrators,
    "convolved": convolved,
    "leaky": leaky,
    "subtracting": subtracting,
    "delayed": delayed,
    "uneven": uneven,
}
ANY = ("deep", "loop", "membrane", "integrators", "uneven")
# The networks that each chip takes.
TAKEN = {
    "loihi2": (*ANY, "convolved", "subtracting", "delayed"),
    "speck": ("integrators", "convolved", "leaky", "uneven"),
    "spinnaker2": (*ANY, "convolved", "subtracting", "delayed"),
    "xylo": (*ANY, "subtracting"),
}
CASES = [(chip, kind) for chip, kinds in TAKEN.items() for kind in kinds]


def counts(rng: np.random.Generator, kind: str, samples: int = 3, steps: int = 20) -> np.ndarray:
    """Return spike counts for a kind of network."""
    shape = (2, 6, 6) if kind == "convolved" else (3,)
    return rng.poisson(0.3, (samples, steps, *shape)).astype(np.int64)
