"""Does a network fit a variant, and in which order of neurons? All limits are reported, not just
the first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from nirc.backends.xylo import cycles, differences, latency, usage
from nirc.backends.xylo.assemble import Channels, assemble, channels
from nirc.backends.xylo.legalise import XyloLegalise
from nirc.backends.xylo.limits import VARIANTS
from nirc.backends.xylo.lower import Reservoir, lower
from nirc.backends.xylo.neuron import XyloNeuron
from nirc.backends.xylo.place import Conflict, Placement, PlaceProblem, place
from nirc.backends.xylo.specification import Specification
from nirc.chip.backend import Block, Mapped, Search
from nirc.chip.target import Excess, Target, excesses
from nirc.diagnostics.log import Log
from nirc.ir.populations import populations_of
from nirc.ir.program import Program

# Limits that no rounding of weights can bring down.
SIZES = ("X501", "X502", "X503")

HELP = {
    "X501": "join channels before the network, or prune all weights of some; `--target all` shows "
    "chips that take more",
    "X502": "make the hidden layers smaller",
    "X503": "make the output layer smaller",
    "X504": "prune weights of this neuron",
    "X505": "prune recurrent and layer-to-layer weights, or make the layers smaller",
    "X509": "use one synaptic time constant for each neuron",
}


def cannot_fit(discrete: Program, targets: Sequence[Target], log: Log) -> bool:
    """Report every limit of all ``targets`` if each of them lacks channels, neurons or outputs."""
    reservoir = lower(XyloLegalise().run(discrete, Log()), Log())
    found = {t.variant: excesses(reservoir, t) for t in targets}
    if not all(any(f.limit.code in SIZES for f in fs) for fs in found.values()):
        return False
    for target in targets:
        say(found[target.variant], reservoir, target, log)
    return True


def fit(
    program: Program, discrete: Program, target: Target, search: Search, log: Log
) -> Mapped | None:
    """Tables for ``target``, or None with the reasons in ``log``.

    ``discrete`` is legalised, ``program`` integer.
    """
    reservoir = lower(program, log)
    over = excesses(reservoir, target)
    say(over, reservoir, target, log)
    # A network of too many neurons has no order; asking for one would report the cause a second
    # time.
    placed = (
        None
        if any(f.limit.code == "X502" for f in over)
        else _ordered(reservoir, target, search, log)
    )
    if over or placed is None:
        return None
    late = latency.latencies(discrete)
    latency.report(discrete, late, log)
    differences.report(discrete, log)
    channel = channels(reservoir, target.max("input channels"))
    chip = assemble(reservoir, placed, channel)
    cycles.report(chip, target, discrete.dt_s, log)
    if placed.relay_of.size:
        last = target.max("neurons that outputs leave from")
        log.note(
            "X515",
            f"{placed.relay_of.size} alias neurons carry outputs from the last {last} places",
        )
    return Mapped(
        target,
        chip,
        _input_map(channel),
        tuple(range(reservoir.n_readout)),
        _latency(reservoir, late),
        _placed_blocks(reservoir, placed, late),
        _utilisation(reservoir, placed, channel, chip, target),
        _silent(reservoir),
    )


def say(over: list[Excess], reservoir: Reservoir, target: Target, log: Log) -> None:
    """One error for each limit: the model's number beside it."""
    for f in over:
        more = f" ({f.others} more above it)" if f.others else ""
        if f.limit.code == "X501" and f.found < reservoir.channels:
            more = (
                f" of {reservoir.channels} (no weight leads on from the other "
                f"{reservoir.channels - f.found})"
            )
        log.error(
            f.limit.code,
            f"{target.name} has fewer {f.limit.name} than the model needs"
            if "fan-out" not in f.limit.name
            else f"{f.where} has more targets than {target.name} can store",
            where=f.where,
            found=f"{f.found}{more}",
            limit=f"{f.limit.max} ({target.part})",
            source=f.limit.source,
            help=_help(f),
        )


def _help(f: Excess) -> str:
    roomier = [t for t in VARIANTS if t.max(f.limit.name) >= f.found]
    other = (
        f", or compile for {roomier[0].name} (limit {roomier[0].max(f.limit.name)})"
        if roomier
        else ""
    )
    return HELP[f.limit.code] + other


def _ordered(reservoir: Reservoir, target: Target, search: Search, log: Log) -> Placement | None:
    n = reservoir.n_hidden
    receives, read_out = np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
    receives[reservoir.from_input.target] = True
    read_out[reservoir.to_readout.source] = True
    answer = place(
        PlaceProblem(receives, read_out),
        target,
        seed=search.seed,
        work=search.work,
        seconds=search.seconds,
    )
    if isinstance(answer, Conflict):
        answer.report(log)
        return None
    return answer


def _input_map(channel: Channels) -> tuple[int | None, ...]:
    return tuple(None if c < 0 else int(c) for c in channel.of_input)


def _latency(reservoir: Reservoir, late: dict[str, int]) -> tuple[int, ...]:
    return tuple(late[sink] for sink in reservoir.sinks for _ in range(reservoir.program[sink].n))


def _placed_blocks(
    reservoir: Reservoir, placed: Placement, late: dict[str, int]
) -> dict[str, Block]:
    blocks, neurons = {}, populations_of(reservoir.program, XyloNeuron)
    for part, parts in (("hidden", reservoir.hidden), ("readout", reservoir.readout)):
        for b in parts:
            scale = neurons[b.name].dynamics.scale
            index = (
                placed.index[b.start : b.stop] if part == "hidden" else np.arange(b.start, b.stop)
            )
            blocks[b.name] = Block(part, tuple(index.tolist()), tuple(scale.tolist()), late[b.name])
    return blocks


def _silent(reservoir: Reservoir) -> bool:
    return any(reservoir.program[b.name].dynamics.silent for b in reservoir.readout)


def _utilisation(
    reservoir: Reservoir, placed: Placement, channel: Channels, chip: Specification, target: Target
) -> dict[str, tuple[int, int]]:
    def most(measure: Callable[[Reservoir], usage.Measure]) -> int:
        return max((n for _, n in measure(reservoir)), default=0)

    used = {
        "input channels": channel.used,
        "hidden neurons": placed.hidden,
        "output neurons": reservoir.n_readout,
        "fan-out of one neuron": most(usage.fan_out),
        "recurrent entries": most(usage.entries),
        "neurons that inputs reach": int(np.unique(reservoir.from_input.target).size),
        "neurons that outputs leave from": int(np.count_nonzero(chip.weights_out.any(axis=1))),
    }
    return {name: (n, target.max(name)) for name, n in used.items()}
