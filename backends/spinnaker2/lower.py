"""The integer form as the chip's populations and projections, before the split into slices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from nirc.backends.spinnaker2.limits import MAX_ATOMS
from nirc.backends.spinnaker2.neuron import SpinNeuron
from nirc.backends.spinnaker2.rule import Float32
from nirc.backends.spinnaker2.spike_sources import Copy
from nirc.backends.spinnaker2.tables import (
    READOUT,
    Convolution,
    Input,
    Population,
    Projection,
    Tables,
)
from nirc.files.chipfiles import Labels, Output
from nirc.ir import populations as ir
from nirc.ir.arrays import Int
from nirc.ir.linear import Conv, Pool, pooled_kernel
from nirc.ir.program import Program

# The fields of a synapse, in the order of a projection, and their types.
SPARSEST = 4  # places of a matrix for each synapse, up to which synapses are not sorted
SYNAPSE = {"pre": np.int32, "post": np.int32, "weight": np.int16, "delay": np.int16}


def labelled(program: Program) -> dict[str, str]:
    """Return names in the tables of all inputs and populations, by name."""
    labels = Labels({READOUT})
    return {n: labels.new(n) for n in program.graph if not isinstance(program[n], ir.Sink)}


def lower(program: Program, labels: Mapping[str, str]) -> Tables:
    """Return the tables of a program in the integer form, with the most atoms a PE."""
    inputs: dict[str, Input] = {}
    channels = 0
    for name, port in program.nodes(ir.Source).items():
        inputs[name] = Input(labels[name], np.arange(channels, channels + port.n), MAX_ATOMS)
        channels += port.n
    for name in copies(program):
        ((source, projection),) = program.into(name)
        _, channel, _ = projection.ops[0].coo()
        inputs[name] = Input(labels[name], inputs[source].channels[channel], MAX_ATOMS)
    populations = {name: _population(labels[name], p) for name, p in neurons(program).items()}
    latency_steps = latencies(program)
    projections: list[Projection] = []
    convolutions: list[Convolution] = []
    for target in populations:
        by_source: dict[str, list[ir.Projection]] = {}
        for source, projection in program.into(target):
            by_source.setdefault(source, []).append(projection)
        for source, parts in by_source.items():
            kernel = pooled_kernel(parts[0].ops)
            if kernel is not None:
                convolutions.append(_convolution(labels[source], labels[target], *kernel))
            else:
                extra = latency_steps[target] - latency_steps[source] - 1
                projections += _projections(labels[source], labels[target], parts, extra)
    names = Labels()
    outputs = [
        Output(labels[source], np.arange(program[source].n)) for source in outputs_of(program)
    ]
    return Tables(
        channels,
        tuple(inputs.values()),
        tuple(populations.values()),
        tuple(replace(p, name=names.new(p.name)) for p in projections),
        tuple(replace(c, name=names.new(c.name)) for c in convolutions),
        tuple(outputs),
    )


def outputs_of(program: Program) -> list[str]:
    """Return the populations that are read, in the order of the outputs, each once."""
    return list(dict.fromkeys(program.into(sink)[0][0] for sink in program.nodes(ir.Sink)))


def latencies(program: Program) -> Mapping[str, int]:
    """Return the delay in steps of each node on the chip, against the model."""
    steps = dict.fromkeys([*program.nodes(ir.Source), *copies(program)], 0)
    steps |= {name: p.dynamics.latency_steps for name, p in neurons(program).items()}
    return steps | {sink: steps[program.into(sink)[0][0]] for sink in program.nodes(ir.Sink)}


def copies(program: Program) -> list[str]:
    """Return the populations that repeat channels of an input."""
    return list(ir.populations_of(program, Copy))


def neurons(program: Program) -> dict[str, ir.Population[SpinNeuron]]:
    """Return all other populations."""
    return ir.populations_of(program, SpinNeuron)


def _population(name: str, population: ir.Population[SpinNeuron]) -> Population:
    d = population.dynamics
    return Population(
        name,
        d.model,
        population.n,
        MAX_ATOMS,
        d.reset,
        short(d.threshold),
        short(d.alpha_decay),
        short(d.i_offset),
        short(d.v_init),
        short(d.v_reset),
        None if d.exc_decay is None else short(d.exc_decay),
        None if d.inh_decay is None else short(d.inh_decay),
        d.fires,
    )


def short(values: Float32) -> Float32:
    """Return one value for all neurons if they are equal, else ``values``. -0 becomes 0."""
    values = values + np.float32(0)
    return values[:1] if (values == values[0]).all() else values


def _projections(
    source: str, target: str, parts: list[ir.Projection], extra: int
) -> Iterator[Projection]:
    """Yield all synapses from one population to another as one projection.

    Yield one a sign instead if some synapses excite and inhibit the same neuron.
    """
    both = _projection(source, target, parts, extra)
    same = (np.diff(both.pre) == 0) & (np.diff(both.post) == 0) & (np.diff(both.delay) == 0)
    if not same.any():
        yield both
        return
    for sign, word in ((1, "excites"), (-1, "inhibits")):
        chosen = np.sign(both.weight) == sign
        fields = {name: getattr(both, name)[chosen] for name in SYNAPSE}
        yield replace(both, name=f"{both.name}, {word}", **fields)


def _projection(source: str, target: str, parts: list[ir.Projection], extra: int) -> Projection:
    """Return all synapses, sorted. ``extra``: steps to add to the lag of each part."""
    columns = []
    for part in parts:
        post, pre, weight = part.ops[0].coo()
        columns.append((pre, post, weight, np.full(weight.size, part.lag + extra)))
    joined = columns[0] if len(columns) == 1 else map(np.concatenate, zip(*columns, strict=True))
    arrays = dict(zip(SYNAPSE, joined, strict=True))
    order = _order(arrays["pre"], arrays["post"], arrays["delay"])
    typed = {name: arrays[name][order].astype(kind) for name, kind in SYNAPSE.items()}
    return Projection(f"{source} -> {target}", source, target, **typed)


def _order(pre: Int, post: Int, delay: Int) -> Int:
    """Return the order by ``pre``, then ``post``, then ``delay``.

    Synapses that fill a part of their matrix, each place once, find their places without a sort.
    """
    width = int(post.max(initial=0)) + 1
    places = (int(pre.max(initial=0)) + 1) * width
    if places <= SPARSEST * pre.size:
        at = np.full(places, -1)
        at[pre * width + post] = np.arange(pre.size)
        order = at[at >= 0]
        if order.size == pre.size:
            return order
    return np.lexsort((delay, post, pre))


def _convolution(source: str, target: str, pool: Pool | None, conv: Conv) -> Convolution:
    shape, window = (conv.shape_in, (1, 1)) if pool is None else (pool.shape_in, pool.kernel)
    return Convolution(
        f"{source} -> {target}",
        source,
        target,
        in_height=shape[1],
        in_width=shape[2],
        stride_x=conv.stride[1],
        stride_y=conv.stride[0],
        pool_x=window[1],
        pool_y=window[0],
        pad_top=conv.padding[0][0],
        pad_bottom=conv.padding[0][1],
        pad_left=conv.padding[1][0],
        pad_right=conv.padding[1][1],
        weight=conv.weight.transpose(1, 0, 2, 3).astype(np.int64),
    )
