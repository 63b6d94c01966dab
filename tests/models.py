"""Small NIR graphs in a line, for tests. dt is 1e-4 s; r = tau / dt as exporters write it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import nir
import numpy as np

DT = 1e-4
DATA = Path(__file__).parent / "data"
LOOP = [  # a recurrent population and a readout
    ("in", "w"),
    ("w", "pop"),
    ("pop", "rec"),
    ("rec", "pop"),
    ("pop", "read"),
    ("read", "last"),
    ("last", "out"),
]


def lif(n: int, steps: float = 8.0, threshold: float = 1.0) -> nir.LIF:
    """n LIF neurons with a membrane time constant of ``steps`` steps."""
    one = np.ones(n)
    return nir.LIF(tau=one * steps * DT, r=one * steps, v_leak=one * 0, v_threshold=one * threshold)


def cuba(n: int, steps: float = 8.0, synapse: float = 4.0) -> nir.CubaLIF:
    """n CubaLIF neurons."""
    one = np.ones(n)
    return nir.CubaLIF(
        tau_mem=one * steps * DT,
        tau_syn=one * synapse * DT,
        r=one * steps,
        w_in=one * synapse,
        v_leak=one * 0,
        v_threshold=one,
    )


def linear(rng: np.random.Generator, n_out: int, n_in: int, scale: float = 0.5) -> nir.Linear:
    """Random weights, more positive than negative."""
    return nir.Linear(weight=rng.normal(0.3, 1, (n_out, n_in)) * scale)


def cross(n_in: int, n_out: int) -> nir.Linear:
    """Every input to one output, and a weight of its own for each."""
    weight = np.zeros((n_out, n_in))
    weight[np.arange(n_in) % n_out, np.arange(n_in)] = 0.1 + np.arange(n_in) / n_in
    return nir.Linear(weight=weight)


def li(n: int, steps: float = 8.0) -> nir.LI:
    """n leaky integrators."""
    one = np.ones(n)
    return nir.LI(tau=one * steps * DT, r=one * steps, v_leak=one * 0)


def graph(nodes: dict[str, nir.NIRNode], edges: Sequence[tuple[str, str]]) -> nir.NIRGraph:
    """A graph without nir's own type check, which is stricter than nirc."""
    return nir.NIRGraph(nodes, list(edges), type_check=False)


def chain(n_in: int, *layers: nir.NIRNode, n_out: int) -> nir.NIRGraph:
    """Input, the layers one after the other, Output."""
    nodes = {"in": nir.Input(np.array([n_in]))}
    nodes |= {f"{type(layer).__name__.lower()}{i}": layer for i, layer in enumerate(layers)}
    nodes["out"] = nir.Output(np.array([n_out]))
    names = list(nodes)
    return graph(nodes, list(pairwise(names)))


def recurrent(rng: np.random.Generator, n_in: int, n: int, n_out: int) -> nir.NIRGraph:
    """Input, a recurrent CubaLIF population, a CubaLIF readout."""
    nodes = {
        "in": nir.Input(np.array([n_in])),
        "w": linear(rng, n, n_in),
        "pop": cuba(n),
        "rec": linear(rng, n, n, 0.2),
        "read": linear(rng, n_out, n),
        "last": cuba(n_out),
        "out": nir.Output(np.array([n_out])),
    }
    return graph(nodes, LOOP)


def raster(
    rng: np.random.Generator, samples: int, steps: int, channels: int, rate: float = 0.2
) -> np.ndarray:
    """Poisson spike counts."""
    return rng.poisson(rate, (samples, steps, channels)).astype(np.uint8)


def relayed() -> nir.NIRGraph:
    """A recurrent network in which Xylo's windows of 128 neurons need relays."""
    rng = np.random.default_rng(3)
    reached, rest = 120, 40  # 160 hidden neurons: only 96 places satisfy both rules
    weight = np.zeros((reached + rest, 6))
    weight[:reached] = rng.normal(0.4, 0.5, (reached, 6))
    recurrent = np.zeros((reached + rest, reached + rest))
    recurrent[reached:, :reached] = rng.normal(0, 0.3, (rest, reached))
    nodes = {
        "in": nir.Input(np.array([6])),
        "w": nir.Linear(weight),
        "pop": cuba(reached + rest),
        "rec": nir.Linear(recurrent),
        "read": nir.Linear(np.hstack([rng.normal(0.1, 0.2, (5, reached)), np.zeros((5, rest))])),
        "last": cuba(5),
        "out": nir.Output(np.array([5])),
    }
    return graph(nodes, LOOP)


def looped() -> nir.NIRGraph:
    """Two populations in a loop, both read out by a third."""
    rng = np.random.default_rng(0)
    nodes = {"in": nir.Input(np.array([3])), "w": linear(rng, 8, 3), "a": cuba(8)}
    nodes |= {"ab": linear(rng, 9, 8), "b": cuba(9), "ba": linear(rng, 8, 9)}
    nodes |= {"ao": linear(rng, 4, 8), "bo": linear(rng, 4, 9), "o": cuba(4)}
    nodes["out"] = nir.Output(np.array([4]))
    edges = [("in", "w"), ("w", "a"), ("a", "ab"), ("ab", "b"), ("b", "ba"), ("ba", "a")]
    edges += [("a", "ao"), ("ao", "o"), ("b", "bo"), ("bo", "o"), ("o", "out")]
    return graph(nodes, edges)


def branches() -> nir.NIRGraph:
    """Two ways of different length from one population to another."""
    rng = np.random.default_rng(4)
    nodes = {
        "in": nir.Input(np.array([20])),
        "w": linear(rng, 30, 20),
        "first": lif(30),
        "late": nir.Delay(np.full(30, 3 * DT)),
        "x": linear(rng, 12, 30, 0.2),
        "y": linear(rng, 12, 30, 0.1),
        "last": lif(12, 5.0),
        "out": nir.Output(np.array([12])),
    }
    edges = [("in", "w"), ("w", "first"), ("first", "late"), ("late", "x"), ("x", "last")]
    return graph(nodes, [*edges, ("first", "y"), ("y", "last"), ("last", "out")])
