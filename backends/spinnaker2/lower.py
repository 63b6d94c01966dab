"""The integer form as the chip's populations and projections, not yet split over processing
elements.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from nirc.backends.spinnaker2.copies import Copy
from nirc.backends.spinnaker2.limits import MAX_ATOMS
from nirc.backends.spinnaker2.neuron import SpinNeuron
from nirc.backends.spinnaker2.rule import Float32
from nirc.backends.spinnaker2.tables import (
    Convolution,
    Input,
    Output,
    Population,
    Projection,
    Tables,
)
from nirc.files.chipfiles import Labels
from nirc.ir import populations as ir
from nirc.ir.linear import Conv, Pool, pooled_kernel
from nirc.ir.program import Program

READOUT = "readout"  # the emulator's name for all outputs, if there are membranes among them
WORDS = (np.int32, np.int32, np.int16, np.int16)  # of pre, post, weight and delay


def labelled(program: Program) -> dict[str, str]:
    """Names in the tables of all inputs and populations, by name."""
    labels = Labels({READOUT})
    return {n: labels.new(n) for n in program.graph if not isinstance(program[n], ir.Sink)}


def lower(program: Program, labels: Mapping[str, str]) -> Tables:
    """Tables of a program in the integer form; as many atoms a processing element as its index has
    room for.
    """
    inputs, first = {}, 0
    for name, port in program.nodes(ir.Source).items():
        inputs[name] = Input(labels[name], np.arange(first, first + port.n), MAX_ATOMS)
        first += port.n
    inputs |= {name: _copies(name, program, inputs, labels[name]) for name in copies(program)}
    populations = {name: _population(labels[name], p) for name, p in neurons(program).items()}
    late = lateness(program)
    projections: list[Projection] = []
    convolutions: list[Convolution] = []
    for target in populations:
        for source in dict.fromkeys(s for s, _ in program.into(target)):
            mine = [p for s, p in program.into(target) if s == source]
            kernel = pooled_kernel(mine[0].ops)
            if kernel is not None:
                convolutions.append(_convolution(labels[source], labels[target], *kernel))
            else:
                projections += _projections(
                    labels[source], labels[target], mine, late[target] - late[source]
                )
    ways = Labels()
    outputs = [
        Output(labels[source], np.arange(program[source].n)) for source in outputs_of(program)
    ]
    return Tables(
        first,
        tuple(inputs.values()),
        tuple(populations.values()),
        tuple(replace(p, name=ways.new(p.name)) for p in projections),
        tuple(replace(c, name=ways.new(c.name)) for c in convolutions),
        tuple(outputs),
    )


def outputs_of(program: Program) -> list[str]:
    """Populations that are read, in the order of the outputs, each once."""
    return list(dict.fromkeys(program.into(sink)[0][0] for sink in program.nodes(ir.Sink)))


def lateness(program: Program) -> Mapping[str, int]:
    """Steps by which each node of the integer form is later on the chip than in the model."""
    late = dict.fromkeys([*program.nodes(ir.Source), *copies(program)], 0)
    late |= {name: population.dynamics.late for name, population in neurons(program).items()}
    return late | {sink: late[program.into(sink)[0][0]] for sink in program.nodes(ir.Sink)}


def copies(program: Program) -> list[str]:
    """Populations that repeat channels of an input."""
    return list(ir.populations_of(program, Copy))


def neurons(program: Program) -> dict[str, ir.Population[SpinNeuron]]:
    """All other populations."""
    return ir.populations_of(program, SpinNeuron)


def _copies(name: str, program: Program, inputs: Mapping[str, Input], label: str) -> Input:
    """A list of spikes for each copy: that of its channel."""
    ((source, projection),) = program.into(name)
    _, channel, _ = projection.ops[0].coo()
    return Input(label, inputs[source].channels[channel], MAX_ATOMS)


def _population(name: str, population: ir.Population[SpinNeuron]) -> Population:
    d = population.dynamics
    return Population(
        name,
        d.model,
        population.n,
        MAX_ATOMS,
        d.reset,
        _short(d.threshold),
        _short(d.alpha_decay),
        _short(d.i_offset),
        _short(d.v_init),
        _short(d.v_reset),
        None if d.exc_decay is None else _short(d.exc_decay),
        None if d.inh_decay is None else _short(d.inh_decay),
        d.fires,
    )


def _short(values: Float32) -> Float32:
    """One value for all neurons, where they agree."""
    return values[:1] if (values == values[0]).all() else values


def _projections(
    source: str, target: str, parts: list[ir.Projection], late: int
) -> Iterator[Projection]:
    """All synapses from one population to another; a second projection if some excite and inhibit
    the same neuron.
    """
    whole = _projection(source, target, parts, late)
    same = (np.diff(whole.pre) == 0) & (np.diff(whole.post) == 0) & (np.diff(whole.delay) == 0)
    if not same.any():
        yield whole
        return
    for sign, word in ((1, "excites"), (-1, "inhibits")):
        mine = np.sign(whole.weight) == sign
        fields = {name: getattr(whole, name)[mine] for name in ("pre", "post", "weight", "delay")}
        yield replace(whole, name=f"{whole.name}, {word}", **fields)


def _projection(source: str, target: str, parts: list[ir.Projection], late: int) -> Projection:
    """All of them, sorted. ``late``: steps by which the target is later than the source."""
    pre, post, weight, delay = [], [], [], []
    for part in parts:
        row, column, value = part.ops[0].coo()
        pre.append(column)
        post.append(row)
        weight.append(value)
        delay.append(np.full(value.size, part.lag + late - 1))
    pre_, post_, weight_, delay_ = (np.concatenate(arrays) for arrays in (pre, post, weight, delay))
    order = np.lexsort((delay_, post_, pre_))
    arrays = (
        a[order].astype(kind) for a, kind in zip((pre_, post_, weight_, delay_), WORDS, strict=True)
    )
    return Projection(f"{source} -> {target}", source, target, *arrays)


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
