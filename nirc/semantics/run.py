"""The interpreter: runs a discrete or integer program on a batch of samples.

In a step every population sees the signals of its sources in the same step, except over feedback
and delays. So a spike crosses a feed-forward network at once. Inputs are summed. Biases are
constant from their onset.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from nirc.ir.arrays import Float
from nirc.ir.populations import Discrete, Population, Projection, Sink, Source
from nirc.ir.program import Program
from nirc.semantics.neuron import Executable, NeuronStepper, OrderedStepper, Stepper
from nirc.semantics.raster import Progress, Run
from nirc.semantics.threads import with_one_thread

Inlet = tuple[str, int, Callable[[Float], None]]  # source, lag, and what adds its signal

CHUNK_BYTES = 1 << 28  # of one signal over all steps


@with_one_thread
def run(
    program: Program,
    inputs: NDArray[np.generic],
    *,
    record: Collection[str] = (),
    progress: Progress | None = None,
) -> Run:
    """Run ``inputs`` (samples, steps, channels) through ``program``.

    Channels are all Sources, flat, in order. Outputs are all Sinks, flat, in order. ``record``:
    populations whose spikes and membrane are recorded. ``progress`` gets the number of finished
    samples.
    Raises ``ValueError`` if the channels do not match.
    """
    sources = program.nodes(Source)
    sinks = program.nodes(Sink)
    samples, steps, channels = inputs.shape
    if channels != sum(s.n for s in sources.values()):
        raise ValueError(f"{channels} channels for {sum(s.n for s in sources.values())} inputs")
    kept = [*sinks, *(n for n in record if n not in sinks)]
    widest = max(program[name].n for name in program.graph)
    chunk = max(1, min(samples, CHUNK_BYTES // (8 * steps * widest or 1)))
    parts: list[dict[str, NDArray[np.float64]]] = []
    for start in range(0, max(samples, 1), chunk):
        # Weights of 1e308 give infinite membranes, without warnings.
        with np.errstate(over="ignore", invalid="ignore"):
            parts.append(_Batch(program, inputs[start : start + chunk], kept, record).run())
        if progress is not None:
            progress(min(start + chunk, samples))
    joined = {key: np.concatenate([p[key] for p in parts]) for key in parts[0]}
    output = np.concatenate(
        [_delayed(joined[f"out/{n}"], s.delay_steps) for n, s in sinks.items()], axis=2
    )
    return Run(
        output,
        {n: joined[f"out/{n}"] for n in record},
        {n: joined[f"v/{n}"] for n in record if f"v/{n}" in joined},
    )


def _delayed(signal: Float, delay: int) -> Float:
    """Return (samples, steps, n) delayed by ``delay`` steps."""
    steps = signal.shape[1]
    shift = min(delay, steps)
    late = np.zeros_like(signal)
    late[:, shift:] = signal[:, : steps - shift]
    return late


class _Batch:
    """A chunk of samples that goes through all steps."""

    def __init__(
        self,
        program: Program,
        inputs: NDArray[np.generic],
        kept: list[str],
        record: Collection[str],
    ) -> None:
        self.program = program
        self.inputs = inputs
        self.kept = kept
        self.record = record
        self.size = len(inputs)
        self.order = execution_order(program)
        self.steppers = {n: stepper_of(p, self.size) for n, p in program.nodes(Population).items()}
        self.past = _histories(program)
        # By population and receptor. Asked in each step, they would cost as much as the step.
        self.into: dict[tuple[str, int], list[tuple[str, Projection]]] = {}
        for name in self.order:
            for source, projection in program.into(name):
                self.into.setdefault((name, projection.synapse), []).append((source, projection))
        self.sources = program.nodes(Source)
        ordered = {n: s for n, s in self.steppers.items() if isinstance(s, OrderedStepper)}
        place = source_order(program) if ordered else {}
        self.ordered = {n: (s, list(self._inlets(n, s, place))) for n, s in ordered.items()}

    def _inlets(
        self, name: str, stepper: OrderedStepper, place: Mapping[str, int]
    ) -> Iterator[Inlet]:
        """Yield the sources of a population with their lags, in the chip's order, ``place``."""
        for source, p in sorted(self.program.into(name), key=lambda edge: place[edge[0]]):
            yield source, p.lag, stepper.inlet(p)

    def run(self) -> dict[str, NDArray[np.float64]]:
        steps = self.inputs.shape[1]
        out: dict[str, NDArray[np.float64]] = {}
        for t in range(steps):
            now = self._step(t)
            for name in self.kept:
                _store(out, f"out/{name}", now[name], t, steps)
            for name in self.record:
                if name in self.steppers:
                    _store(out, f"v/{name}", self.steppers[name].v, t, steps)
        for name in self.kept:  # without steps, the raster still has its shape
            out.setdefault(f"out/{name}", np.zeros((self.size, 0, self.program[name].n)))
        return out

    def _step(self, t: int) -> dict[str, Float]:
        now: dict[str, Float] = {}
        first = 0
        for name, source in self.sources.items():
            now[name] = self.inputs[:, t, first : first + source.n].astype(np.float64)
            first += source.n
        for name in self.order:
            if name in now:
                continue
            if name in self.ordered:
                now[name] = self._in_order(name, now)
                continue
            x = self._gather(name, now, t, synapse=0)
            if name in self.steppers:
                two = (name, 1) in self.into
                second = self._gather(name, now, t, synapse=1) if two else None
                x = self.steppers[name].step(x, second)
            now[name] = x
        for name, history in self.past.items():
            history.appendleft(now[name])
        return now

    def _in_order(self, name: str, now: dict[str, Float]) -> Float:
        stepper, inlets = self.ordered[name]
        for source, lag, add in inlets:
            signal = self._signal(source, lag, now)
            if signal is not None:
                add(signal)
        return stepper.finish()

    def _signal(self, source: str, lag: int, now: dict[str, Float]) -> Float | None:
        return now[source] if lag == 0 else _past(self.past[source], lag)

    def _gather(self, name: str, now: dict[str, Float], t: int, *, synapse: int) -> Float:
        total = np.zeros((self.size, self.program[name].n))
        for source, projection in self.into.get((name, synapse), ()):
            signal = self._signal(source, projection.lag, now)
            if signal is not None:
                for op in projection.ops:
                    signal = op.apply(signal)
                total += signal
            for bias in projection.biases:
                if t >= bias.onset_steps:
                    total += bias.value
        return total


def stepper_of(population: Population[Any], batch: int) -> Stepper:
    """Return a fresh state of a population. Raises ``TypeError`` for dynamics that cannot run."""
    d = population.dynamics
    if isinstance(d, Discrete):
        return NeuronStepper(d, (batch, population.n))
    if isinstance(d, Executable):
        return d.stepper(batch)
    raise TypeError(f"no semantics for {type(d).__name__}")


def execution_order(program: Program) -> list[str]:
    """Return nodes in topological order over the edges without lag. Ties are in program order."""
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(program.graph)
    graph.add_edges_from((s, t) for s, t, p in program.edges() if p.lag == 0)
    position = {n: i for i, n in enumerate(program.graph)}
    return list(nx.lexicographical_topological_sort(graph, key=position.__getitem__))


def source_order(program: Program) -> dict[str, int]:
    """Return the place of each node's neurons as sources: inputs first, then populations.

    Each kind is in program order. A chip that saturates after each source adds in this order.
    """
    sources = program.nodes(Source)
    nodes = [*sources, *(name for name in program.graph if name not in sources)]
    return {name: place for place, name in enumerate(nodes)}


def _histories(program: Program) -> dict[str, deque[Float]]:
    """Return a ring of past outputs for every node with a later use of its output."""
    longest: dict[str, int] = {}
    for source, _, projection in program.edges():
        if projection.lag:
            longest[source] = max(projection.lag, longest.get(source, 0))
    return {name: deque(maxlen=lag) for name, lag in longest.items()}


def _past(history: deque[Float], lag: int) -> Float | None:
    return history[lag - 1] if len(history) >= lag else None


def _store(out: dict[str, NDArray[np.float64]], key: str, value: Float, t: int, steps: int) -> None:
    if key not in out:
        out[key] = np.zeros((len(value), steps, value.shape[1]))
    out[key][:, t] = value
