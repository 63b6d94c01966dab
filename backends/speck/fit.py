"""Fit a network to the nine cores, the camera and the clock, and report all limits that it exceeds.

A network that fits is reported with its differences from the model in kind: biases by the slow
clock, and neurons that fire at every event.
"""

from __future__ import annotations

import numpy as np

from nirc.analysis import rule_differences
from nirc.backends.speck.assemble import assemble
from nirc.backends.speck.config import MAX_RASTER
from nirc.backends.speck.configuration import Configuration, Dvs
from nirc.backends.speck.conflict import explain, kernel_memory_too_small
from nirc.backends.speck.convolve import planes
from nirc.backends.speck.demand import Demand, PlaceProblem
from nirc.backends.speck.findings import (
    ClockTooSlow,
    CoreLimit,
    InputTooLarge,
    LayerSplit,
    RasterTooWide,
    Readout,
    Stride,
    TooManyInputChannels,
)
from nirc.backends.speck.geometry import Map, kernel_words, neuron_words
from nirc.backends.speck.legalise import leads
from nirc.backends.speck.limits import (
    CORES,
    DATASHEET,
    DVS_SIZE,
    READOUT_CLASSES,
    READOUT_SPREAD,
    SLOW_CLOCK_HZ,
    STRIDES,
)
from nirc.backends.speck.network import Network, lower
from nirc.backends.speck.neuron import SpeckNeuron, chip_rule, fires_many
from nirc.backends.speck.place import Part, Placement, place
from nirc.chip.backend import Block, Mapped, Search
from nirc.chip.target import Limit, Target, excesses
from nirc.diagnostics.dynamics import ConstantByTicks, FiresPerEvent
from nirc.diagnostics.log import Log
from nirc.ir.arrays import Int, size
from nirc.ir.linear import Sparse
from nirc.ir.populations import Discrete, Population, Sink, Source, populations_of
from nirc.ir.program import Program
from nirc.mapping import floorplan
from nirc.mapping.floorplan import Floorplan

NEURONS = "neurons"  # the emulator's name for all neurons of all used cores, by rising core number
RASTER = Limit("channels of the raster", MAX_RASTER, "S704", "nirc")


def report_matrices(part: Program, target: Target, log: Log) -> None:
    """Report S705 and S707 where a matrix alone exceeds the cores, whatever its weights are.

    The kernel of a matrix has an entry for each neuron of the source, at least. ``part`` is a part
    of a network, see ``Backend.cannot_hold``.
    """
    channels = next(limit for limit in target.limits if limit.name == "input channels")
    for source, name, projection in part.edges():
        matrix = projection.ops[-1] if len(projection.ops) == 1 else None
        if not isinstance(matrix, Sparse) or not isinstance(part[name], Population):
            continue
        c, y, x = planes(part[source].shape)
        where = part[name].origins[0]
        if (y, x) == (1, 1) and c > channels.max:
            log.add(TooManyInputChannels(where=where, limit=channels, found=c))
        demand = Demand(name, c * y * x, (1, 1), (matrix.n_out, 1, 1), False, (source,))
        too_small = kernel_memory_too_small(demand, CORES, where)
        if too_small is not None:
            log.add(too_small)


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
    """Return tables for ``target``, or None with the reasons in ``log``.

    ``program``: the integer form of ``legal``.
    """
    network = lower(program, readout=readout)
    _report_limits(network, target, log)
    if readout:
        _refuse_readout(network, program, log)
    window = _window(program, network, log) if from_camera else None
    if log.errors:  # the needs of a layer are not known before it is legal
        return None
    placed = _placed(network, target, search, log, from_camera=from_camera, readout=readout)
    if placed is None:
        return None
    as_in_model = all(fires_many(p.dynamics) for p in populations_of(legal, Discrete).values())
    clock_hz = _clock_hz(network, program.dt_s, log, as_in_model=as_in_model)
    if log.errors:
        return None
    rule_differences.report(legal, chip_rule, DATASHEET, log)
    log.add(FiresPerEvent(where=network.layers[0].origin, as_in_model=as_in_model))
    _report_split(placed, log)
    chip = assemble(
        network, program, placed, target, slow_clock_hz=clock_hz, dvs=window, readout=readout
    )
    blocks = _neurons(chip, placed, program, monitored=False)
    outputs = _neurons(chip, placed, program, monitored=True)
    early = leads(program)
    output_map: list[int] = []
    latency_steps: list[int] = []
    for name, sink in program.nodes(Sink).items():
        output_map += outputs[program.into(name)[0][0]].tolist()
        latency_steps += [-early[name]] * sink.n
    return Mapped(
        target,
        chip,
        _input_map(chip, sum(s.n for s in program.nodes(Source).values())),
        tuple(output_map),
        tuple(latency_steps),
        {
            name: _block(index, program[name].dynamics, -early[name])
            for name, index in blocks.items()
        },
        _utilisation(network, placed),
        floorplan=_floorplan(network, placed),
    )


def _input_map(chip: Configuration, channels: int) -> tuple[int | None, ...]:
    """Return the chip's channel of each input, None where no route takes it to a core."""
    taken: set[int] = set()
    for route in chip.inputs:
        taken.update(range(route.first, route.first + size(route.shape)))
    return tuple(c if c in taken else None for c in range(channels))


def _block(index: Int, neuron: SpeckNeuron, latency_steps: int) -> Block:
    return Block(NEURONS, tuple(index.tolist()), tuple(neuron.scale.tolist()), latency_steps)


def _report_limits(network: Network, target: Target, log: Log) -> None:
    """Report everything above a limit. Both variants have the same limits."""
    channels = sum(network.inputs.values())
    if channels > MAX_RASTER:
        log.add(RasterTooWide(where="nodes", limit=RASTER, found=channels))
    for e in excesses(network, target):
        kind = e.limit.finding
        assert issubclass(kind, CoreLimit)
        log.add(kind(where=e.where, limit=e.limit, found=e.found, others=e.others))
    for layer in network.layers:
        if not set(layer.stride) <= set(STRIDES):
            log.add(Stride(where=layer.origin, stride=layer.stride))


def _refuse_readout(network: Network, program: Program, log: Log) -> None:
    """Report (S719) an output that is not one layer of up to 15 classes."""
    sinks = program.nodes(Sink)
    shapes = [network.layer(name).shape_out for name in network.watched]
    layers = tuple(((f - 1) // READOUT_SPREAD + 1, (y, x)) for f, y, x in shapes)
    classes, size = layers[0]
    if len(sinks) != 1 or size != (1, 1) or classes > READOUT_CLASSES:
        log.add(Readout(where=next(iter(sinks.values())).origins[0], layers=layers))


def _window(program: Program, network: Network, log: Log) -> Dvs | None:
    """Return the window in the middle of the camera for the model's input, or report S720.

    Pooling right after the input is done by the camera layer. It comes before the cut, so the
    window is in pooled pixels. For one channel, polarities are merged.
    """
    sources = program.nodes(Source)
    if len(sources) != 1:
        log.add(InputTooLarge(where="inputs", found=f"{len(sources)} inputs", limit="one input"))
        return None
    (name, source), *_ = sources.items()
    where = source.origins[0]
    arrows = [arrow for _, arrow in network.leaving(name)]
    poolings = {arrow.pooling for arrow in arrows}
    if len(poolings) != 1:
        different = "branches that pool the input differently"
        log.add(InputTooLarge(where=where, found=different, limit="one pooling"))
        return None
    (pool, across), *_ = poolings
    shape = planes(source.shape)
    if (
        shape[0] > 2
        or max(shape[1:]) > DVS_SIZE
        or pool != across
        or any(arrow.shape != shape for arrow in arrows)
    ):
        limit = f"(1 or 2, y, x) with sides up to {DVS_SIZE}"
        log.add(InputTooLarge(where=where, found=f"input of {shape}", limit=limit))
        return None
    return _middle(shape, pool)


def _middle(shape: Map, pool: int) -> Dvs:
    rows, columns = (n // pool for n in shape[1:])
    y, x = ((DVS_SIZE // pool - n) // 2 for n in (rows, columns))
    return Dvs(
        origin=(y, x), cut=(y + rows - 1, x + columns - 1), pooling=pool, merge=shape[0] == 1
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
            one_core=readout and layer.name in network.watched,
        )
        for layer in network.layers
    )
    problem = PlaceProblem(demands, free)
    answer = place(problem, seed=search.seed, work=search.work, seconds=search.seconds)
    if isinstance(answer, Placement):
        return answer
    origins = {layer.name: layer.origin for layer in network.layers}
    for conflict in answer:
        log.add(explain(conflict, problem, CORES, origins))
    return None


def _clock_hz(network: Network, dt_s: float | None, log: Log, *, as_in_model: bool) -> float | None:
    """Return the ticks per second of the slow clock, which adds biases: one tick in every step.

    None if no layer has a bias or the step is unknown. Report the meaning of a bias on the chip
    (D415), or a clock out of range (S718).
    """
    biased = [layer for layer in network.layers if layer.has_bias]
    if not biased:
        return None
    where = biased[0].origin
    clock_hz = None
    if dt_s is not None:
        clock_hz = round(1 / dt_s, 3)
        if not SLOW_CLOCK_HZ[0] <= clock_hz <= SLOW_CLOCK_HZ[1]:
            log.add(ClockTooSlow(where=where, dt_s=dt_s, clock_hz=clock_hz))
            return None
    biases = {layer.name: (int(layer.bias.min()), int(layer.bias.max())) for layer in biased}
    log.add(ConstantByTicks(where=where, biases=biases, clock_hz=clock_hz, as_in_model=as_in_model))
    return clock_hz


def _report_split(placed: Placement, log: Log) -> None:
    cores: dict[str, list[int]] = {}
    for part in placed.parts:
        cores.setdefault(part.name, []).append(part.core)
    for name, its_cores in cores.items():
        if len(its_cores) > 1:
            log.add(LayerSplit(layer=name, cores=tuple(its_cores)))


def _neurons(
    chip: Configuration, placed: Placement, program: Program, *, monitored: bool
) -> dict[str, Int]:
    """Return the places of a population's neurons among those of all (or all monitored) cores."""
    start = 0
    indices: dict[int, Int] = {}
    for core in chip.layers:
        if core.monitor or not monitored:
            index = start + np.arange(core.neurons).reshape(core.shape_out)
            indices[core.core] = index[::READOUT_SPREAD] if core.core == chip.readout else index
            start += core.neurons
    places: dict[str, list[Int]] = {}
    for part in placed.parts:
        if part.core in indices:
            places.setdefault(part.name, []).append(indices[part.core].ravel())
    return {name: np.concatenate(parts) for name, parts in places.items()}


def _utilisation(network: Network, placed: Placement) -> dict[str, tuple[int, int]]:
    used = {"cores": (len(placed.parts), len(CORES))}
    for part in sorted(placed.parts, key=lambda p: p.core):
        kernel, neuron = _words(network, part)
        core = f"core {part.core}"
        used[f"{core} kernel words ({part.name})"] = (kernel, CORES[part.core].kernel)
        used[f"{core} neuron words ({part.name})"] = (neuron, CORES[part.core].neuron)
    return used


def _words(network: Network, part: Part) -> tuple[int, int]:
    """Return the words of kernel and neuron memory of a part."""
    layer = network.layer(part.name)
    channels = part.stop - part.first
    kernel = kernel_words(layer.shape_in[0], channels, layer.kernel_size)
    return kernel, neuron_words((channels, *layer.shape_out[1:]))


def _floorplan(network: Network, placed: Placement) -> Floorplan:
    """Return the cores in a row. Their memories differ, so their use is in percent.

    Layers send through one router, of whose load nothing is public.
    """
    cores = []
    for part in placed.parts:
        kernel, neuron = _words(network, part)
        core = CORES[part.core]
        sides = ((0, n) for n in network.layer(part.name).shape_out[1:])
        use = {"kernel memory": kernel / core.kernel, "neuron memory": neuron / core.neuron}
        cores.append(
            floorplan.Core(
                0,
                (part.core, 0, 0),
                (floorplan.Part(part.name, ((part.first, part.stop), *sides)),),
                {name: round(100 * share, 2) for name, share in use.items()},
            )
        )
    grid = (len(CORES), 1, 1)
    limits = dict.fromkeys(("kernel memory", "neuron memory"), (100.0, "%"))
    return Floorplan(size=grid, chip=grid, router=grid, limits=limits, cores=tuple(cores))
