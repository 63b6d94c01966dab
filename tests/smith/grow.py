"""Grows NIR graphs that are valid by construction: all 18 primitives, nothing overflows.

The dice are numpy's, not Hypothesis's: a failing graph shrinks by cuts in the graph itself
(``reduce``), which a stream of choices does not know.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nirc.chip import registry
from nirc.frontend.raw import RawNode
from tests.build import changed, graph, inp, node, out
from tests.smith.case import Case, Edge, Shape

Array = NDArray[np.float64]
DT_S = 1e-4
FIRES = ("IF", "LIF", "CubaLIF", "Threshold")
READS = ("I", "LI", "CubaLI")
TIMES = ("tau", "tau_mem", "tau_syn", "delay")


@dataclass(frozen=True)
class Wishes:
    """What a graph may hold. Numbers from 0 to 1 are chances.

    ``exact``: numbers are binary fractions, so that any order of sums gives the same. ``reads``:
    populations that send their membrane may stand anywhere, not only before an Output.
    """

    kinds: tuple[str, ...] = FIRES
    readouts: tuple[str, ...] = READS
    exact: bool = True
    layers: int = 4
    inputs: int = 3
    outputs: int = 3
    maps: float = 0.4
    most: int = 6  # neurons of a flat population
    channels: int = 6  # of a flat Input
    delays: float = 0.15
    biases: float = 0.3
    recurrence: float = 0.3
    loops: float = 0.15
    reads: float = 0.15
    weighted: float = 0.1  # linear nodes before an Output
    resets: tuple[str, ...] = ("model", "zero", "subtract")
    leaks: float = 0.3
    odd: float = 0.1  # other forms of the same field
    samples: int = 2
    steps: int = 12
    rate: float = 0.4


ANY = Wishes()
SPIKES = Wishes(reads=0, weighted=0, exact=False)  # only spikes travel between neurons
CHIPS: dict[str, Wishes] = {
    "loihi2": SPIKES,
    "spinnaker2": replace(SPIKES, maps=0.15),
    "xylo": replace(
        SPIKES,
        kinds=("LIF", "CubaLIF"),
        readouts=("LI", "CubaLI"),
        maps=0,
        delays=0,
        inputs=2,
        outputs=1,
        resets=("subtract",),
        loops=0.05,
    ),
    "speck": replace(
        SPIKES,
        kinds=("IF",),
        readouts=(),
        maps=0.9,
        delays=0,
        recurrence=0,
        loops=0,
        inputs=1,
        outputs=2,
        resets=("subtract", "zero"),
        leaks=0,
    ),
}


class Growing:
    """A graph that grows node by node. ``spikes``: signals that neurons may take."""

    def __init__(self, dice: np.random.Generator, wishes: Wishes) -> None:
        self.dice, self.wishes = dice, wishes
        self.nodes: dict[str, RawNode] = {}
        self.edges: list[Edge] = []
        self.shapes: dict[str, Shape] = {}
        self.spikes: list[str] = []
        self.names = [f"n{i:03}" for i in dice.permutation(200)]
        self.per_second = self.chance(0.5)

    def chance(self, p: float) -> bool:
        return bool(self.dice.random() < p)

    def pick(self, *values: int) -> int:
        return int(self.dice.choice(values))

    def add(self, item: RawNode, shape: Shape, *sources: str) -> str:
        """A node behind ``sources``, which sends ``shape``."""
        name = self.names.pop()
        self.nodes[name], self.shapes[name] = item, shape
        self.edges += [(source, name) for source in sources]
        return name

    # numbers

    def weights(self, *shape: int) -> Array:
        """More positive than negative, some zero."""
        dice = self.dice
        if self.wishes.exact:
            return dice.integers(-2, 5, shape) / 4.0
        dense = dice.normal(0.3, 0.7, shape)
        return np.where(dice.random(shape) < dice.choice([0.4, 1.0, 1.0]), dense, 0.0)

    def values(self, shape: Shape, low: float, high: float) -> Array:
        """In eighths if exact; for all the same, by channel, or for each."""
        dice = self.dice
        made = dice.uniform(low, high, shape)
        if self.wishes.exact:
            made = np.round(made * 8) / 8
        kind = dice.integers(3)
        if kind == 0:
            made[...] = made.flat[0]
        elif kind == 1 and len(shape) > 1:
            made[...] = made[(slice(None), *(slice(0, 1),) * (len(shape) - 1))]
        return made

    def tau(self, shape: Shape) -> Array:
        """Steps of a time constant."""
        if self.wishes.exact:
            return np.full(
                shape, float(self.dice.choice([1, 2, 4, 4, np.inf], p=[0.1, 0.3, 0.3, 0.2, 0.1]))
            )
        return self.values(shape, 1.1, 9.0)

    # neurons

    def neuron(self, kind: str, shape: Shape) -> RawNode:
        """A population of ``kind``."""
        fields: dict[str, object] = {}
        one = np.ones(shape)
        if kind in ("I", "IF"):
            fields["r"] = one / DT_S if self.per_second else one
        if kind in ("LI", "LIF", "CubaLI", "CubaLIF"):
            tau = self.tau(shape)
            fields["tau_mem" if kind.startswith("Cuba") else "tau"] = tau * DT_S
            fields["r"] = tau
            fields["v_leak"] = self.values(shape, -0.5, 0.5) * self.chance(self.wishes.leaks) + 0.0
        if kind.startswith("Cuba"):
            slow = self.tau(shape)
            fields["tau_syn"], fields["w_in"] = slow * DT_S, slow
        if kind in FIRES:
            fields["threshold" if kind == "Threshold" else "v_threshold"] = (
                self.values(shape, 0.4, 2.0) + 1 / 16
            )
        if kind in FIRES[:3]:
            fields["v_reset"] = self.values(shape, -0.6, 0.3) * self.chance(self.wishes.leaks) + 0.0
        return node(kind, **self.otherwise(fields))

    def otherwise(self, fields: dict[str, object]) -> dict[str, object]:
        """The same numbers in other forms that files have."""
        made: dict[str, object] = {}
        for key, value in fields.items():
            array = np.asarray(value)
            if key == "v_reset" and not array.any() and self.chance(self.wishes.odd):
                continue  # absent is 0
            constant = array.size > 1 and (array == array.flat[0]).all()
            if constant and key in ("v_leak", "v_reset") and self.chance(self.wishes.odd):
                array = array.flat[0].reshape(())
            elif array.ndim == 1 and self.chance(self.wishes.odd / 2):
                array = array[None]
            made[key] = array
        return made

    # linear nodes: each returns its name

    def dense(self, source: str, n: int) -> str:
        here = self.flat(source)
        weight = self.weights(n, self.shapes[here][0])
        if self.chance(self.wishes.biases):
            return self.add(node("Affine", weight=weight, bias=self.weights(n) / 2), (n,), here)
        return self.add(node("Linear", weight=weight), (n,), here)

    def flat(self, source: str) -> str:
        shape = self.shapes[source]
        if len(shape) == 1:
            return source
        item = node("Flatten", start_dim=0, end_dim=-1, input_type=shape)
        return self.add(item, (math.prod(shape),), source)

    def scaled(self, source: str) -> str:
        shape = self.shapes[source]
        scale = self.values(shape, 0.25, 1.5) if self.chance(0.7) else np.asarray(0.5)
        return self.add(node("Scale", scale=scale), shape, source)

    def delayed(self, source: str) -> str:
        shape = self.shapes[source]
        one = self.chance(0.7)
        steps = np.full(shape, self.pick(0, 1, 1, 2, 3)) if one else self.dice.integers(0, 4, shape)
        return self.add(node("Delay", delay=steps * DT_S), shape, source)

    def pooled(self, source: str) -> str:
        c, *sizes = self.shapes[source]
        kernel = np.array([min(2, n) for n in sizes])
        stride = np.array([self.pick(1, 2, 2) for _ in sizes])
        pad = self.pick(0, 0, 1) if min(kernel) > 1 else 0
        kind = "SumPool2d" if self.chance(0.5) else "AvgPool2d"
        item = node(kind, kernel_size=kernel, stride=stride, padding=np.array([pad, pad]))
        after = [(n + 2 * pad - k) // s + 1 for n, k, s in zip(sizes, kernel, stride, strict=True)]
        return self.add(item, (c, *map(int, after)), source)

    def convolved(self, source: str, *, keep: bool = False) -> str:
        """``keep``: the shape stays."""
        shape = self.shapes[source]
        c, *sizes = shape
        axes = len(sizes)
        groups = c if self.chance(0.2) else 1
        features = c if keep else groups * self.pick(1, 2, 3)
        kernel = [1 if n < 3 else self.pick(1, 2, 3) for n in sizes]
        dilation = [
            self.pick(1, 1, 2) if n > 2 * (k - 1) else 1 for n, k in zip(sizes, kernel, strict=True)
        ]
        fields: dict[str, object] = {"weight": self.weights(features, c // groups, *kernel)}
        if keep or self.chance(0.15):
            fields |= {"padding": "same", "stride": np.ones(axes, int)}
            after = sizes
        else:
            pad = [self.pick(0, 1) * (k > 1) for k in kernel]
            stride = [self.pick(1, 1, 2) for _ in sizes]
            spans = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
            rows = zip(sizes, pad, spans, stride, strict=True)
            after = [(n + 2 * p - span) // s + 1 for n, p, span, s in rows]
            fields |= {"padding": np.array(pad), "stride": np.array(stride)}
        bias = self.weights(features) / 4 if self.chance(self.wishes.biases) else np.zeros(features)
        fields |= {"dilation": np.array(dilation), "groups": groups, "bias": bias}
        if not self.chance(self.wishes.odd):
            fields["input_shape"] = np.array(sizes) if axes == 2 else sizes[0]
        return self.add(node(f"Conv{axes}d", **fields), (features, *after), source)

    def linear_step(self, source: str, *, keep: bool = False) -> str:
        """A random linear node."""
        rank = len(self.shapes[source])
        if self.chance(self.wishes.delays):
            return self.delayed(source)
        if rank == 1:
            n = self.shapes[source][0] if keep else self.pick(*range(1, self.wishes.most + 1))
            return self.dense(source, n) if self.chance(0.75) else self.scaled(source)
        if self.chance(0.15):
            return self.scaled(source)
        if rank == 3 and not keep and self.chance(0.3):
            return self.pooled(source)
        if not keep and self.chance(1 - self.wishes.maps):
            return self.flat(source)
        return self.convolved(source, keep=keep)

    def way(self, source: str, most: int = 3) -> str:
        """Up to ``most`` linear nodes, one at least; some are doubled and joined again."""
        here = source
        for _ in range(self.pick(*range(1, most + 1))):
            before = here
            here = self.linear_step(before)
            if self.chance(0.12):
                twin = self.add(self.nodes[here], self.shapes[here], *self.sources(here))
                here = self.add(node("Scale", scale=np.asarray(0.5)), self.shapes[here], here, twin)
        return here

    def sources(self, name: str) -> list[str]:
        return [a for a, b in self.edges if b == name]

    # populations

    def population(self, *, fires: bool) -> str:
        """A population behind one signal or two, perhaps behind itself."""
        dice, wishes = self.dice, self.wishes
        last = self.spikes[-1]
        source = last if self.chance(0.7) else str(dice.choice(self.spikes))
        ways = [self.way(source)]
        shape = self.shapes[ways[0]]
        if self.chance(0.3):
            other = str(dice.choice(self.spikes))
            if len(shape) == 1:
                ways.append(self.dense(other, shape[0]))
            elif self.shapes[other] == shape:
                ways.append(self.scaled(other))
        kinds = wishes.kinds if fires else wishes.readouts
        name = self.add(self.neuron(str(dice.choice(kinds)), shape), shape, *ways)
        if self.chance(wishes.recurrence):
            self.edges.append((self.back(name), name))
        if fires or self.chance(wishes.reads):
            self.spikes.append(name)
        return name

    def back(self, name: str) -> str:
        """A way from a population to itself. A membrane that feeds itself is damped."""
        if self.nodes[name].type in READS:
            return self.add(node("Scale", scale=np.asarray(0.25)), self.shapes[name], name)
        return self.linear_step(name, keep=True)

    def output(self, source: str) -> None:
        """An Output, at times behind linear nodes."""
        here = self.way(source, 2) if self.chance(self.wishes.weighted) else source
        shape = self.shapes[here]
        self.add(out(*shape), shape, here)

    def loop(self) -> None:
        """A way back from one population to an earlier one."""
        flat = [n for n in self.spikes if len(self.shapes[n]) == 1 and self.nodes[n].type in FIRES]
        if len(flat) > 1:
            early, late = sorted(self.dice.choice(len(flat), 2, replace=False).tolist())
            back = self.dense(flat[late], self.shapes[flat[early]][0])
            self.edges.append((back, flat[early]))


def grown(dice: np.random.Generator, wishes: Wishes) -> Case:
    """A graph, and counts of spikes at its inputs."""
    g = Growing(dice, wishes)
    for _ in range(g.pick(*range(1, wishes.inputs + 1))):
        flat: Shape = (g.pick(*range(1, wishes.channels + 1)),)
        maps: Shape = (g.pick(1, 2), g.pick(3, 4, 5), g.pick(3, 4, 6))
        shape = maps if g.chance(wishes.maps) else flat
        shape = shape[:2] if len(shape) == 3 and g.chance(0.25) else shape
        g.spikes.append(g.add(inp(*shape), shape))
    for _ in range(g.pick(*range(wishes.layers))):
        g.population(fires=True)
    last = g.population(fires=not wishes.readouts or g.chance(0.6))
    g.output(last)
    others = [name for name in g.spikes if g.nodes[name].type != "Input" and name != last]
    for _ in range(g.pick(*range(wishes.outputs))):
        if others:
            g.output(others.pop(int(dice.integers(len(others)))))
    if g.chance(wishes.loops):
        g.loop()
    channels = sum(math.prod(g.shapes[n]) for n, item in g.nodes.items() if item.type == "Input")
    counts = dice.poisson(wishes.rate, (wishes.samples, wishes.steps, channels))
    made = graph(g.nodes, *g.edges)
    reset = str(dice.choice(wishes.resets))
    shapes = {name: g.shapes[name] for name in made.nodes}
    done = Case(made, shapes, counts.astype(np.int64), DT_S, reset, exact=wishes.exact)
    # A membrane that feeds itself needs more bits at each step.
    growing = any(set(done.of_kind(*READS)) & loop for loop in done.loops(delayed=True))
    return replace(done, exact=wishes.exact and not growing)


# What a writer's files hold of a step, in seconds of this generator, and its choices.
WRITERS: dict[str, tuple[float, tuple[str, ...]]] = {
    "snntorch": (1.0, ("", "reset=zero", "reset=none", "reset_delay=no")),
    "sinabs": (1 / DT_S, ("", "spikes=one", "reset=zero", "floor=-0.5", "norm_input=no")),
    "rockpool": (10.0, ("", "spikes=1", "spikes=4")),
    "spyx": (1 / DT_S, ("",)),
    "norse": (10.0, ("", "reset=subtract")),
    "nengo": (10.0, ("",)),
    "lava": (1.0, ("", "delay_shift=no")),
    "nir": (1.0, ("discretise=exponential",)),
}


def as_written(dice: np.random.Generator, case: Case) -> Case:
    """The case in the units of one of the simulators that write NIR, to be read by its rule."""
    known = list(WRITERS)
    if case.of_kind("Flatten", "Conv1d", "Conv2d"):
        known.remove("spyx")  # it orders maps otherwise
    writer = str(dice.choice(known))
    unit, choices = WRITERS[writer]
    nodes = {name: _in_units(writer, unit, item) for name, item in case.graph.nodes.items()}
    text = f"{writer},{dice.choice(choices)}".rstrip(",")
    made = case.with_graph(nodes, case.graph.edges)
    return replace(made, writer=text, exact=False, dt_s=case.dt_s * unit)


def _in_units(writer: str, unit: float, item: RawNode) -> RawNode:
    times = {k: np.asarray(v) * unit for k, v in item.fields.items() if k in TIMES}
    if writer == "norse":  # its exporter multiplies them by dt
        times = {k: v * 1e-3 if k != "delay" else v for k, v in times.items()}
    if writer == "spyx" and item.type in ("LIF", "CubaLIF"):  # r is the decay
        tau = times.get("tau", times.get("tau_mem"))
        times["r"] = 1 - 1 / np.asarray(tau)
    return changed(item, **times)


def with_options(dice: np.random.Generator, case: Case) -> Case:
    """The case with values of the chips' options, one in three of each that has a choice."""
    chosen: dict[str, tuple[tuple[str, str], ...]] = {}
    for chip in CHIPS:
        options = [each for each in registry.backend(chip).options if len(each.values) > 1]
        values = {each.name: str(dice.choice(each.values)) for each in options}
        chosen[chip] = tuple((n, v) for n, v in values.items() if dice.random() < 1 / 3)
    bits = int(dice.integers(2, 9)) if dice.random() < 1 / 6 else None
    return replace(case, chip=chosen, weight_bits=bits)


def case(seed: int) -> Case:
    """Case number ``seed``: three of seven for any simulator, one of seven for each chip.

    Every fifth is read by the rule of one of the writers. Every second has options of the chips.
    """
    dice = np.random.default_rng(seed)
    kinds = [ANY, ANY, replace(ANY, exact=False), *CHIPS.values()]
    made = grown(dice, kinds[seed % len(kinds)])
    made = as_written(dice, made) if seed % 5 == 4 else made
    return with_options(dice, made) if seed % 2 else made
