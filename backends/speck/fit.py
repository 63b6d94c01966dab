"""Does a network fit the nine cores, and how? All limits are reported, not just the first."""

from __future__ import annotations

import numpy as np

from nirc.backends.speck import differences
from nirc.backends.speck.assemble import assemble
from nirc.backends.speck.camera import camera
from nirc.backends.speck.config import MAX_RASTER
from nirc.backends.speck.configuration import Configuration
from nirc.backends.speck.demands import Demand, PlaceProblem
from nirc.backends.speck.geometry import kernel_words, neuron_words
from nirc.backends.speck.limits import CORES, ERRATA, READOUT_SPREAD, STRIDES
from nirc.backends.speck.lower import lower
from nirc.backends.speck.network import Layer, Network
from nirc.backends.speck.neuron import SpeckNeuron
from nirc.backends.speck.place import Placement, place
from nirc.backends.speck.slow_clock import slow_clock_hz
from nirc.chip.backend import Block, Mapped, Search
from nirc.chip.target import Target, excesses
from nirc.diagnostics.log import Log
from nirc.ir.arrays import Int
from nirc.ir.populations import Sink, Source
from nirc.ir.program import Program

NEURONS = "neurons"  # the emulator's name for all neurons of all used cores, by rising core number

HELP = {
    "S701": "use a kernel of up to 16 x 16, or pool before a linear layer: it needs a kernel as "
    "large as the map",
    "S703": "pad by 7 at most",
    "S704": "use a stride or pooling earlier, or crop the input",
    "S705": "use fewer channels, or keep the map: a linear layer after it takes positions as "
    "kernel entries",
}


def fit(
    program: Program,
    legal: Program,
    target: Target,
    search: Search,
    log: Log,
    *,
    from_camera: bool,
    readout: bool,
) -> Mapped | None:
    """Tables for ``target`` from the integer form of ``legal``, or None with the reasons in
    ``log``.
    """
    network = lower(program, readout=readout)
    _say_limits(network, target, log)
    if readout:
        _refuse_readout(network, program, log)
    window = camera(program, network, log) if from_camera else None
    # Only a network of legal layers is placed: what a layer needs is not known before.
    placed = (
        None
        if log.errors
        else _placed(network, target, search, log, from_camera=from_camera, readout=readout)
    )
    if placed is None:
        return None
    say = log.note if differences.fires_as_the_chip(legal) else log.differs
    clock = slow_clock_hz(network, program.dt_s, log, say)
    if log.errors:
        return None
    differences.report(network, legal, log)
    _say_split(placed, log)
    chip = assemble(
        network, program, placed, target, slow_clock_hz=clock, dvs=window, readout=readout
    )
    sinks = [program.into(sink)[0][0] for sink in program.nodes(Sink)]
    outputs = _neurons(chip, placed, program, readout=readout, monitored=True)
    every = _neurons(chip, placed, program, readout=readout, monitored=False)
    output_map = tuple(int(i) for name in sinks for i in outputs[name])
    return Mapped(
        target,
        chip,
        tuple(range(sum(s.n for s in program.nodes(Source).values()))),
        output_map,
        (0,) * len(output_map),
        {
            name: Block(NEURONS, tuple(index.tolist()), _scale(program, name))
            for name, index in every.items()
        },
        _utilisation(network, placed),
    )


def _scale(program: Program, name: str) -> tuple[float, ...]:
    neuron: SpeckNeuron = program[name].dynamics
    return tuple(neuron.scale.tolist())


def _say_limits(network: Network, target: Target, log: Log) -> None:
    """Everything above a limit; both variants have the same ones, so it is said once."""
    channels = sum(network.inputs.values())
    if channels > MAX_RASTER:
        log.error(
            "S704",
            "the input has more channels than a raster holds",
            where="nodes",
            found=channels,
            limit=MAX_RASTER,
            source="nirc",
            help="pool the events before they come in",
        )
    for f in excesses(network, target):
        more = f" ({f.others} more above it)" if f.others else ""
        log.error(
            f.limit.code,
            f"{f.limit.name} above what a core takes",
            where=f.where,
            found=f"{f.found}{more}",
            limit=f"{f.limit.max} {f.limit.unit}".strip(),
            source=f.limit.source,
            help=HELP[f.limit.code],
        )
    for layer in network.layers:
        if not set(layer.stride) <= set(STRIDES):
            log.error(
                "S702",
                f"a step of {max(layer.stride)} between the windows of neighbouring neurons "
                "(stride times pooling)",
                where=layer.origin,
                found=f"{layer.stride}",
                limit=", ".join(map(str, STRIDES)),
                source=next(limit.source for limit in target.limits if limit.code == "S702"),
                help="use a stride of 1, 2, 4 or 8",
            )


def _refuse_readout(network: Network, program: Program, log: Log) -> None:
    """Report (S719) an output that is not one layer of up to 15 classes."""
    sinks = program.nodes(Sink)
    shapes = [network.layer(name).shape_out for name in network.watched]
    classes = [(f - 1) // READOUT_SPREAD + 1 for f, _, _ in shapes]
    if len(sinks) != 1 or shapes[0][1:] != (1, 1) or classes[0] > 15:
        log.error(
            "S719",
            "the readout layer takes one output, of up to 15 channels with maps of one pixel",
            where=next(iter(sinks.values())).origins[0],
            found=", ".join(
                f"{n} channels of {y} x {x}" for n, (_, y, x) in zip(classes, shapes, strict=True)
            ),
            limit="15 channels of 1 x 1",
            source=ERRATA,
            help="read the last layer by monitor events: --set readout=monitor",
        )


def _placed(
    network: Network, target: Target, search: Search, log: Log, *, from_camera: bool, readout: bool
) -> Placement | None:
    most = target.max("destinations")
    free = {layer.name: most for layer in network.layers}
    if readout:
        free[network.watched[0]] -= 1
    if from_camera:
        free |= dict.fromkeys(network.inputs, most)
    demands = tuple(
        Demand(
            layer.name,
            layer.shape_in[0],
            layer.kernel_size,
            layer.shape_out,
            layer.has_bias,
            tuple(arrow.source for arrow in layer.arrows),
            layer.synaptic_operations,
            whole=readout and layer.name in network.watched,
        )
        for layer in network.layers
    )
    answer = place(
        PlaceProblem(demands, free), seed=search.seed, work=search.work, seconds=search.seconds
    )
    if isinstance(answer, Placement):
        return answer
    for each in answer:
        each.report(log, {layer.name: layer.origin for layer in network.layers})
    return None


def _say_split(placed: Placement, log: Log) -> None:
    names = [part.name for part in placed.parts]
    for name in dict.fromkeys(names):
        cores = [part.core for part in placed.parts if part.name == name]
        if len(cores) > 1:
            log.note(
                "S722",
                f"`{name}` is split by output channel over cores {', '.join(map(str, cores))}",
            )


def _neurons(
    chip: Configuration, placed: Placement, program: Program, *, readout: bool, monitored: bool
) -> dict[str, Int]:
    """For each population the place of its neurons among those of all (or all monitored) cores."""
    start, at = 0, {}
    for core in chip.layers:
        if core.monitor or not monitored:
            at[core.core] = start
            start += core.neurons
    found: dict[str, list[Int]] = {}
    for part in placed.parts:
        if part.core in at:
            layer = chip.by_core()[part.core]
            every = at[part.core] + np.arange(layer.neurons).reshape(layer.shape_out)
            if readout and layer.core == chip.readout:
                every = every[::READOUT_SPREAD]
            found.setdefault(part.name, []).append(every.ravel())
    return {name: np.concatenate(parts) for name, parts in found.items()}


def _utilisation(network: Network, placed: Placement) -> dict[str, tuple[int, int]]:
    used = {"cores": (len(placed.parts), len(CORES))}
    for part in sorted(placed.parts, key=lambda p: p.core):
        layer = network.layer(part.name)
        for name, (words, most) in _memories(layer, part.stop - part.first, part.core).items():
            used[f"core {part.core} {name} ({part.name})"] = (words, most)
    return used


def _memories(layer: Layer, channels: int, core: int) -> dict[str, tuple[int, int]]:
    shape = (channels, *layer.shape_out[1:])
    return {
        "kernel words": (
            kernel_words(layer.shape_in[0], channels, layer.kernel_size),
            CORES[core].kernel,
        ),
        "neuron words": (neuron_words(shape), CORES[core].neuron),
    }
