"""Run tables as the chip does, step by step, many samples at once.

Row r of every recording is the state after step r, and raster column k is sent in step k. A spike
of step t acts in step t + 1 + delay, so a chain of p populations answers column k in row k + p at
the earliest. Empty columns at the end of the raster make room for these rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nirc.backends.spinnaker2.findings import ValueOutsideRange
from nirc.backends.spinnaker2.rule import States
from nirc.backends.spinnaker2.tables import FILTERED, Convolution, Int, Population, Tables
from nirc.ir.linear import Conv, Pool, compose
from nirc.native import networks as native
from nirc.native.networks import Chip
from nirc.semantics.delayed import run_delayed
from nirc.semantics.raster import Recorder, Run, spike_counts
from nirc.semantics.synapses import Counts, Synapses, summing
from nirc.semantics.threads import with_one_thread

STATES = {"spikes": np.int8, "v": np.float32}  # what is recorded, and its type
MAX_SYNAPSES = 1 << 27  # of a convolution that is unrolled


@with_one_thread
def emulate(
    tables: Tables,
    raster: ArrayLike,
    *,
    record: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Run:
    """Run ``raster`` (samples, steps, channels), integer spike counts.

    Every sample starts from the tables' v_init. A ``spike_list`` sends a spike for each entry of
    its list, so a count of 2 is two spikes. ``Run.outputs`` (samples, steps, outputs): spikes,
    int32, or float32 if there is a readout, whose column is its v. With ``record``: ``spikes``
    (int8) and ``v`` (float32, after the reset) of every population by name, each (samples, steps,
    neurons). ``progress`` is called with the number of finished samples. Raises ``InputError``
    (U604) if the raster does not fit.
    """
    inputs = spike_counts(raster, tables.channels)
    run = _run_in_c(tables, inputs, record=record, progress=progress)
    if run is not None:
        return run
    recorder = Recorder(tables.populations, tables.outputs, STATES, inputs.shape[:2], record=record)
    channels = {source.name: source.channels for source in tables.inputs}
    cells = {population.name: _Cells(population) for population in tables.populations}
    sizes = tables.sizes()
    bundles = [_Bundle(c, sizes[c.source], cells[c.target]) for c in connections(tables)]
    return run_delayed(inputs, channels, cells, bundles, recorder, progress, np.int64)


CHIP = Chip(
    "run_spinnaker2",
    (
        *("alpha_decay", "i_offset", "threshold", "v_reset", "v_init", "exc_decay", "inh_decay"),
        *("subtracts", "filtered"),
    ),
    v=np.float32,
    output=np.float32,
    receptors=2,
)


def _run_in_c(
    tables: Tables,
    inputs: NDArray[Any],
    *,
    record: bool,
    progress: Callable[[int], None] | None,
) -> Run | None:
    channels = {source.name: source.channels for source in tables.inputs}
    populations = [_neurons(p) for p in tables.populations]
    filtered = {p.name for p in tables.populations if p.model in FILTERED}
    wires = [
        _wires(c, receptor, (c.weight < 0) & (c.target in filtered) == bool(receptor))
        for c, receptor in product(connections(tables), (0, 1))
    ]
    return native.run_delayed(
        CHIP, inputs, channels, populations, wires, tables.outputs, record=record, progress=progress
    )


def _wires(c: Connections, receptor: int, part: NDArray[np.bool_]) -> native.Wires:
    pre, post, weight, delay = (
        values[part].astype(np.int64) for values in (c.pre, c.post, c.weight, c.delay)
    )
    return native.Wires(c.source, c.target, pre, post, weight, delay, receptor)


def _neurons(p: Population) -> native.Neurons:
    """Return a population for the library. A neuron without synaptic currents has decays of 0."""
    filtered = p.exc_decay is not None and p.inh_decay is not None
    values = {
        "alpha_decay": p.alpha_decay,
        "i_offset": p.i_offset,
        "threshold": p.threshold,
        "v_reset": p.v_reset,
        "v_init": p.v_init,
        "exc_decay": p.exc_decay if filtered else 0.0,
        "inh_decay": p.inh_decay if filtered else 0.0,
    }
    parameters: dict[str, NDArray[Any]] = {
        name: np.broadcast_to(np.asarray(value, np.float32), p.n) for name, value in values.items()
    }
    parameters["subtracts"] = np.full(p.n, p.reset == "reset_by_subtraction", np.uint8)
    parameters["filtered"] = np.full(p.n, filtered, np.uint8)
    return native.Neurons(p.name, p.n, parameters, p.spikes)


@dataclass(frozen=True)
class Connections:
    """A projection of either kind, synapse by synapse."""

    source: str
    target: str
    pre: Int
    post: Int
    weight: Int
    delay: Int


def connections(tables: Tables) -> list[Connections]:
    """Return all synapses of the network, with convolutions unrolled."""
    lists = [
        Connections(p.source, p.target, p.pre, p.post, p.weight, p.delay)
        for p in tables.projections
    ]
    return lists + [unrolled(convolution) for convolution in tables.convolutions]


def unrolled(c: Convolution) -> Connections:
    """Return a convolution synapse by synapse.

    Raises ``CompileError`` (N910) if there are too many synapses.
    """
    channels, height, width = c.shape_in
    window = (c.pool_y, c.pool_x)
    pooled = (channels, height // c.pool_y, width // c.pool_x)
    pads = ((c.pad_top, c.pad_bottom), (c.pad_left, c.pad_right))
    weight = c.weight.transpose(1, 0, 2, 3).astype(np.float64)
    kernel = Conv(weight, pooled, c.shape_out, (c.stride_y, c.stride_x), pads, (1, 1), 1)
    synapses = kernel.entries * c.pool_y * c.pool_x
    if synapses > MAX_SYNAPSES:
        problem = f"`{c.name}` has too many synapses to emulate"
        raise ValueOutsideRange(problem=problem, found=synapses, limit=MAX_SYNAPSES).refusal()
    op: Any = kernel
    if window != (1, 1):
        pool = Pool(c.shape_in, pooled, window, window, ((0, 0), (0, 0)))
        op = compose(pool, kernel, max_entries=MAX_SYNAPSES)
        assert op is not None
    post, pre, value = op.coo()
    delay = np.zeros(len(pre), np.int64)
    return Connections(c.source, c.target, pre, post, np.rint(value).astype(np.int64), delay)


class _Cells:
    """A population's states (samples, n).

    Models with synaptic currents have a sum of weights for each sign, other models one sum.
    """

    spikes: NDArray[np.bool_]  # of the last step

    def __init__(self, population: Population) -> None:
        self.population = population
        self.n = population.n
        self.signs = 2 if population.model in FILTERED else 1

    def reset(self, samples: int) -> NDArray[np.int64]:
        """Go back to the start. Return zeros for the sums (samples, signs, n) of a step."""
        self.states = States(self.population, samples, self.n)
        return np.zeros((samples, self.signs, self.n), np.int64)

    @property
    def v(self) -> NDArray[np.float32]:
        """The membrane potentials."""
        return self.states.v

    def step(self, arrived: NDArray[np.int64]) -> None:
        """Take the weights that arrived, and fire."""
        weights = arrived.astype(np.float32)
        self.spikes = self.states.step(weights[:, 0], weights[:, -1])


class _Bundle:
    """A projection, prepared for the sums of a step."""

    def __init__(self, synapses: Connections, n_sources: int, target: _Cells) -> None:
        self.source = synapses.source
        self.target = synapses.target
        self.n_targets = target.n
        self.signs = target.signs
        delays, number = np.unique(synapses.delay.astype(np.int64), return_inverse=True)
        self.delays: list[int] = delays.tolist()
        sign = (synapses.weight < 0).astype(np.int64) if self.signs == 2 else 0
        places = (number * self.signs + sign) * self.n_targets + synapses.post.astype(np.int64)
        self.n_places = len(self.delays) * self.signs * self.n_targets
        pre, weight = synapses.pre.astype(np.int64), synapses.weight.astype(np.int64)
        self.synapses = summing(Synapses(pre, places, weight, n_sources, self.n_places))

    def sums(self, spikes: Counts) -> NDArray[np.int64]:
        """Return (samples, delays, signs, targets) sums of weights.

        ``spikes`` (samples, sources).
        """
        return self.synapses.sums(spikes).reshape(
            len(spikes), len(self.delays), self.signs, self.n_targets
        )
