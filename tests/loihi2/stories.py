"""Small networks that meet one trait of Loihi 2 each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import nir
import numpy as np

from tests.models import DT, chain, cuba, graph, li, lif


@dataclass(frozen=True)
class Story:
    """A network with its options. ``chip``: as of ``--set``."""

    model: Callable[[], nir.NIRGraph]
    reset: str = "model"
    chip: tuple[tuple[str, str], ...] = ()
    bits: int = 8


def sixteenths(n_out: int, n_in: int, seed: int = 0, low: int = -8) -> nir.Linear:
    """Weights that are the same on every machine."""
    rng = np.random.default_rng(seed)
    return nir.Linear(weight=rng.integers(low, 17, (n_out, n_in)) / 16)


def weights(rows: list[list[float]]) -> nir.Linear:
    return nir.Linear(weight=np.array(rows))


def leaks(*steps: float, **fields: list[float]) -> nir.LIF:
    """A LIF neuron for each time constant in steps."""
    n = len(steps)
    neurons = lif(n)
    neurons.tau = np.array(steps) * DT
    neurons.r = np.where(np.isfinite(steps), steps, 1 / DT)
    for name, values in fields.items():
        setattr(neurons, name, np.array(values))
    return neurons


def filters(*synapse: float) -> nir.CubaLIF:
    """A CubaLIF neuron for each synaptic time constant in steps."""
    neurons = cuba(len(synapse))
    neurons.tau_syn = np.array(synapse) * DT
    neurons.w_in = np.array([s if np.isfinite(s) else 1 / DT for s in synapse])
    return neurons


def if_(n: int, threshold: float = 1.0) -> nir.IF:
    return nir.IF(r=np.ones(n) / DT, v_threshold=np.ones(n) * threshold)


def alone(neurons: nir.NIRNode, n: int, n_in: int = 3) -> nir.NIRGraph:
    return chain(n_in, sixteenths(n, n_in), neurons, n_out=n)


def biased(n: int, bias: list[float]) -> nir.Affine:
    return nir.Affine(weight=np.eye(n), bias=np.array(bias))


def behind(*layers: nir.NIRNode, n: int) -> nir.NIRGraph:
    """Layers behind another population, whose spikes are a step late."""
    return chain(2, sixteenths(n, 2), lif(n), *layers, n_out=n)


def parallel(*, delay: int = 0) -> nir.NIRGraph:
    """Two routes to a population and to an output, one of them delayed."""
    three = np.array([3])
    nodes = {
        "in": nir.Input(np.array([2])),
        "a": sixteenths(3, 2),
        "p": lif(3),
        "b": sixteenths(3, 3, 1),
        "c": sixteenths(3, 2, 2),
        "q": lif(3, 4),
        "d": sixteenths(3, 3, 3),
        "out": nir.Output(three),
        "out2": nir.Output(three),
    }
    if delay:
        nodes["wait"] = nir.Delay(delay=np.full(3, delay * DT))
    short = [("in", "c"), ("c", "q")]
    late = [("in", "c"), ("c", "wait"), ("wait", "q")]
    edges = [("in", "a"), ("a", "p"), ("p", "b"), ("b", "q"), *(late if delay else short)]
    edges += [("q", "out"), ("p", "d"), ("d", "out2"), ("q", "out2")]
    return graph(nodes, edges)


def two_delays(*steps: int) -> nir.NIRGraph:
    """An input that reaches populations after several delays."""
    two = np.array([2])
    nodes: dict[str, nir.NIRNode] = {"in": nir.Input(two)}
    edges = []
    for i, each in enumerate(steps):
        nodes |= {f"d{i}": nir.Delay(delay=np.full(2, each * DT)), f"p{i}": lif(2)}
        nodes[f"out{i}"] = nir.Output(two)
        edges += [("in", f"d{i}"), (f"d{i}", f"p{i}"), (f"p{i}", f"out{i}")]
    return graph(nodes, edges)


def two_receptors(slow: list[float], fast: list[float], bias: float = 0.0) -> nir.NIRGraph:
    """An input behind two filters into the same neurons."""
    n = len(slow)
    nodes: dict[str, nir.NIRNode] = {"in": nir.Input(np.array([n])), "p": lif(n)}
    for name, steps in (("slow", slow), ("fast", fast)):
        tau = np.array(steps) * DT
        nodes[name] = nir.LI(tau=tau, r=np.ones(n), v_leak=np.zeros(n))
        nodes[f"w{name}"] = nir.Affine(
            weight=sixteenths(n, n, len(name) + n).weight, bias=np.full(n, bias)
        )
    edges = [("in", "slow"), ("in", "fast"), ("slow", "wslow"), ("fast", "wfast")]
    edges += [("wslow", "p"), ("wfast", "p"), ("p", "out")]
    return graph({**nodes, "out": nir.Output(np.array([n]))}, edges)


def later_constant() -> nir.NIRGraph:
    three = np.array([3])
    nodes = {
        "in": nir.Input(three),
        "a": nir.Affine(weight=np.eye(3), bias=np.array([0.5, 0.25, 0.0])),
        "d": nir.Delay(delay=np.full(3, 7 * DT)),
        "p": cuba(3),
        "out": nir.Output(three),
    }
    return graph(nodes, [("in", "a"), ("a", "d"), ("d", "p"), ("p", "out")])


def loop() -> nir.NIRGraph:
    """Two populations in a loop, and each in a loop of its own."""
    two = np.array([2])
    nodes = {"in": nir.Input(two), "w": sixteenths(2, 2), "a": lif(2), "out": nir.Output(two)}
    nodes |= {"to": sixteenths(2, 2, 1), "b": cuba(2), "back": sixteenths(2, 2, 2)}
    nodes["own"] = sixteenths(2, 2, 3)
    edges = [("in", "w"), ("w", "a"), ("a", "to"), ("to", "b"), ("b", "back"), ("back", "a")]
    return graph(nodes, [*edges, ("b", "own"), ("own", "b"), ("a", "out")])


def maps(
    *neurons: str,
    padding: int | tuple[int, int] = 0,
    thresholds: float = 1.0,
    delay: int = 0,
    bias: float = 0.0,
) -> nir.NIRGraph:
    """Convolutions of maps, one for each kind of neurons, a pool and a matrix."""
    rng = np.random.default_rng(4)
    shape = (1, 6, 6)
    nodes: dict[str, nir.NIRNode] = {"in": nir.Input(np.array(shape))}
    edges, last = [], "in"
    for i, kind in enumerate(neurons):
        channels, height, width = shape
        if kind == "pool":
            nodes[f"pool{i}"] = nir.AvgPool2d(kernel_size=2, stride=2, padding=0)
            shape = (channels, height // 2, width // 2)
            edges.append((last, f"pool{i}"))
            last = f"pool{i}"
            continue
        weight = rng.integers(-8, 17, (2, channels, 3, 3)) / 16
        nodes[f"conv{i}"] = nir.Conv2d(
            (height, width), weight, 1, padding, 1, 1, np.array([bias, -bias])
        )
        pads = (padding, padding) if isinstance(padding, int) else padding
        shape = (2, height + 2 * pads[0] - 2, width + 2 * pads[1] - 2)
        one = np.ones(shape)
        varied = one + np.arange(one.size).reshape(shape) * (thresholds - 1)
        leak = np.full(shape, 8.0)
        nodes[f"maps{i}"] = (
            nir.IF(r=one / DT, v_threshold=varied)
            if kind == "if"
            else nir.LIF(tau=leak * DT, r=leak, v_leak=0 * one, v_threshold=varied)
        )
        route = [f"conv{i}", f"maps{i}"]
        if delay:
            nodes[f"wait{i}"] = nir.Delay(delay=np.full(shape, delay * DT))
            route.insert(1, f"wait{i}")
        for name in route:
            edges.append((last, name))
            last = name
    n = int(np.prod(shape))
    nodes["flat"] = nir.Flatten(input_type={"input": np.array(shape)}, start_dim=0, end_dim=-1)
    nodes |= {"w": sixteenths(3, n), "last": lif(3), "out": nir.Output(np.array([3]))}
    names = [last, "flat", "w", "last", "out"]
    return graph(nodes, [*edges, *pairwise(names)])


def kernel(*shape: int) -> np.ndarray:
    return np.random.default_rng(6).integers(-8, 17, shape) / 16


def one_map(
    shape: tuple[int, int, int],
    weight: np.ndarray,
    thresholds: list[float],
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int] = (0, 0),
    dilation: tuple[int, int] = (1, 1),
    groups: int = 1,
) -> nir.NIRGraph:
    """A convolution, and neurons with a threshold for each channel."""
    sides = [
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(
            shape[1:], weight.shape[2:], stride, padding, dilation, strict=True
        )
    ]
    one = np.ones((len(thresholds), *sides))
    none = np.zeros(len(thresholds))
    conv = nir.Conv2d(shape[1:], weight, stride, padding, dilation, groups, none)
    neurons = nir.IF(r=one / DT, v_threshold=one * np.array(thresholds)[:, None, None])
    nodes = {"in": nir.Input(np.array(shape)), "conv": conv, "maps": neurons}
    nodes["out"] = nir.Output(np.array(one.shape))
    return graph(nodes, list(pairwise(nodes)))


def list_of_synapses(n: int, share: float) -> nir.NIRGraph:
    rng = np.random.default_rng(5)
    weight = np.where(rng.random((n, n)) < share, rng.integers(1, 17, (n, n)) / 16, 0)
    return chain(n, nir.Linear(weight=weight), lif(n), n_out=n)


def delayed_chain(steps: int) -> nir.NIRGraph:
    wait = nir.Delay(delay=np.array([steps * DT, 0.0, DT]))
    return chain(2, sixteenths(3, 2), lif(3), wait, sixteenths(2, 3, 1), lif(2), n_out=2)


def recurrent(neurons: nir.NIRNode | None = None) -> nir.NIRGraph:
    three = np.array([3])
    nodes = {"in": nir.Input(np.array([2])), "w": sixteenths(3, 2), "p": neurons or cuba(3)}
    nodes |= {"own": sixteenths(3, 3, 1), "out": nir.Output(three)}
    return graph(nodes, [("in", "w"), ("w", "p"), ("p", "own"), ("own", "p"), ("p", "out")])


def membranes(n_in: int, steps: float) -> nir.NIRGraph:
    return chain(
        2, sixteenths(n_in, 2), lif(n_in), sixteenths(2, n_in, 1, 1), li(2, steps), n_out=2
    )


def outputs_twice() -> nir.NIRGraph:
    """A readout and a population that two outputs each read."""
    two = np.array([2])
    nodes = {"in": nir.Input(two), "a": sixteenths(3, 2), "p": lif(3), "b": sixteenths(2, 3, 1)}
    nodes |= {"read": li(2), "x": nir.Output(two), "y": nir.Output(two)}
    nodes["z"] = nir.Output(np.array([3]))
    edges = [("in", "a"), ("a", "p"), ("p", "b"), ("b", "read"), ("read", "x"), ("read", "y")]
    return graph(nodes, [*edges, ("p", "z")])


def two_inputs() -> nir.NIRGraph:
    """One by a matrix, one by lines, and a matrix without weights."""
    nodes = {"in": nir.Input(np.array([3])), "more": nir.Input(np.array([2]))}
    nodes |= {"a": sixteenths(2, 3), "none": weights([[0.0, 0.0], [0.0, 0.0]]), "p": lif(2)}
    nodes["out"] = nir.Output(np.array([2]))
    edges = [("in", "a"), ("a", "p"), ("more", "p"), ("p", "none"), ("none", "p"), ("p", "out")]
    return graph(nodes, edges)


BIAS = [0.25, -8.0, 0.0]
FINE = [0.3, -0.7, 0.011]
WIRE = [("in", "out")]
NEVER = (("netx", "never"),)
INF = float("inf")
STORIES = {
    "thresholds below and above the reset": Story(
        lambda: alone(leaks(8, 8, 8, 8, v_threshold=[-1.0, 0.0, 0.5, 2.0]), 4)
    ),
    "resets elsewhere": Story(
        lambda: behind(leaks(8, 8, 4, v_reset=[-0.5, 0.25, 0.0]), n=3), chip=NEVER
    ),
    "leaks that round": Story(lambda: alone(leaks(1e5, 700, 8, INF), 4)),
    "one leak that is too small": Story(lambda: alone(leaks(8, 2e4), 2)),
    "filters that round": Story(lambda: alone(filters(1e5, 700, 2, INF), 4)),
    "integrators that subtract": Story(lambda: alone(if_(3), 3), "subtract"),
    "a filter that subtracts": Story(lambda: alone(filters(2, 2), 2), "subtract"),
    "leaks that subtract": Story(lambda: alone(leaks(8, 4, 700), 3), "subtract"),
    "a slow filter keeps its reset": Story(lambda: alone(filters(40, 40), 2), "subtract"),
    "a reset to zero that is asked for": Story(
        lambda: alone(if_(3), 3), "subtract", (("reset", "zero"),)
    ),
    "negative thresholds do not subtract": Story(
        lambda: alone(leaks(8, 8, v_threshold=[-1.0, 1.0]), 2), "subtract"
    ),
    "membranes that wrap around": Story(
        lambda: chain(300, nir.Linear(np.full((2, 300), -0.125)), if_(2), n_out=2), "subtract"
    ),
    "membranes without room": Story(
        lambda: chain(600, nir.Linear(np.full((1, 600), -4.0)), if_(1), n_out=1), "subtract"
    ),
    "weights that are reduced": Story(
        lambda: chain(9, weights([[1e6] * 9, [1.0] * 9]), filters(50, 50), n_out=2)
    ),
    "weights that vanish": Story(
        lambda: chain(
            3, nir.Linear(np.array([[1.0, 1e-4, 0.0], [-1e-4, 0.5, 1e-4]])), lif(2), n_out=2
        )
    ),
    "a readout": Story(lambda: membranes(4, 5)),
    "a readout of many inputs": Story(lambda: membranes(300, 100)),
    "a readout that integrates": Story(lambda: membranes(4, INF)),
    "ten time constants": Story(lambda: alone(leaks(*range(2, 12)), 10)),
    "three time constants in a chain": Story(
        lambda: chain(
            2, sixteenths(4, 2), leaks(4, 8, 4, 2), sixteenths(3, 4, 1), leaks(8, 4, 8), n_out=3
        )
    ),
    "parallel routes": Story(parallel),
    "parallel routes with a delay": Story(lambda: parallel(delay=3)),
    "delays beyond a synapse": Story(lambda: two_delays(64, 130, 130, 70)),
    "two receptors": Story(lambda: two_receptors([6.0] * 2, [2.0] * 2)),
    "a receptor without memory": Story(lambda: two_receptors([6.0] * 2, [1.0] * 2, 0.25)),
    "two equal receptors": Story(lambda: two_receptors([6.0] * 2, [6.0] * 2)),
    "receptors that differ by neuron": Story(lambda: two_receptors([6.0, 7.0], [2.0] * 2)),
    "receptors that are too slow": Story(lambda: two_receptors([60.0] * 2, [50.0] * 2)),
    "constants": Story(lambda: behind(biased(3, BIAS), leaks(8, 8, 8), n=3), chip=NEVER),
    "constants that set neurons off": Story(
        lambda: behind(biased(3, [2.0, 0.5, 0.0]), leaks(1, 1, 1), n=3)
    ),
    "constants of a chain": Story(lambda: behind(biased(3, BIAS), leaks(8, 8, 8), n=3)),
    "constants behind a filter": Story(lambda: behind(biased(3, [0.25, -1.0, 0.0]), cuba(3), n=3)),
    "constants that begin later": Story(later_constant),
    "a loop of two": Story(loop),
    "maps": Story(lambda: maps("lif", "if", "pool")),
    "maps with constants": Story(lambda: maps("lif", padding=1, bias=0.25)),
    "maps with thresholds that differ": Story(lambda: maps("lif", thresholds=1.125)),
    "maps that subtract": Story(lambda: maps("if", padding=(1, 0)), "subtract"),
    "maps with a delay": Story(lambda: maps("lif", delay=2)),
    "a list of synapses": Story(lambda: list_of_synapses(70, 0.05)),
    "a matrix with some zeros": Story(lambda: list_of_synapses(20, 0.3)),
    "a chain with delays": Story(lambda: delayed_chain(62)),
    "a chain with a delay that netx has not": Story(lambda: delayed_chain(63)),
    "a recurrent chain": Story(recurrent),
    "a recurrent population with finer weights": Story(recurrent, chip=NEVER),
    "two synapses for a weight": Story(recurrent, chip=(("synapses", "two"),)),
    "weights of four bits": Story(recurrent, bits=4),
    "the constants of the paper": Story(lambda: membranes(4, 5), chip=(("constants", "paper"),)),
    "the constants of the paper wrap around": Story(
        lambda: chain(600, nir.Linear(np.full((2, 600), 1.0)), filters(8, 8), n_out=2),
        chip=(("constants", "paper"),),
    ),
    "constants beside leaks that round": Story(
        lambda: behind(biased(3, [0.25, -0.5, 0.125]), leaks(700, 8, INF), n=3), chip=NEVER
    ),
    "constants between integers": Story(
        lambda: behind(biased(3, FINE), leaks(8, 5, 3), n=3), chip=NEVER
    ),
    "constants between integers in a chain": Story(
        lambda: behind(biased(3, FINE), leaks(8, 8, 8), n=3)
    ),
    "constants beside resets elsewhere": Story(
        lambda: behind(biased(3, [2.0, 0.5, -1.0]), leaks(8, 8, 4, v_reset=[-0.5, 0.25, 0.0]), n=3)
    ),
    "constants beside thresholds": Story(
        lambda: behind(biased(2, [0.25, -0.25]), leaks(2, 2, v_threshold=[2.0, 0.5]), n=2)
    ),
    "constants that subtract": Story(
        lambda: behind(biased(3, [0.25, 0.5, -0.125]), leaks(8, 8, 8), n=3), "subtract"
    ),
    "maps with a threshold for each channel": Story(
        lambda: one_map((1, 4, 4), kernel(3, 1, 3, 3), [1.0, 2.0, 0.5])
    ),
    "maps with strides, dilation and groups": Story(
        lambda: one_map((2, 6, 7), kernel(4, 1, 2, 3), [1.0] * 4, (2, 1), (1, 0), (1, 2), 2)
    ),
    "two outputs of a readout": Story(outputs_twice),
    "two inputs": Story(two_inputs),
    "an input that is an output": Story(
        lambda: graph({"in": nir.Input(np.array([2])), "out": nir.Output(np.array([2]))}, WIRE)
    ),
    "groups on several cores": Story(
        lambda: chain(
            2,
            sixteenths(13, 2),
            leaks(*range(2, 15)),
            sixteenths(13, 13, 1, 1),
            leaks(*range(2, 15)),
            n_out=13,
        )
    ),
    "a recurrent population that subtracts": Story(
        lambda: recurrent(lif(3)), "subtract", (("synapses", "two"),)
    ),
    "four bits that subtract": Story(lambda: recurrent(lif(3)), "subtract", bits=4),
    "a list that subtracts": Story(lambda: list_of_synapses(70, 0.05), "subtract"),
    "weights of one sign": Story(
        lambda: chain(2, weights([[-1.0, -0.5], [-0.25, 0.0]]), lif(2), n_out=2), chip=NEVER
    ),
    "readouts with constants": Story(
        lambda: chain(2, sixteenths(3, 2), lif(3), biased(3, FINE), li(3, 5), n_out=3)
    ),
}
