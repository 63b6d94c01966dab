"""The limits of the C program, declared once, each with its reason."""

from __future__ import annotations

from collections.abc import Iterable

from nirc.chip.target import Limit, Target, excesses
from nirc.diagnostics.log import Log
from nirc.diagnostics.passes import ChipLacks
from nirc.ir.linear import weights_of
from nirc.ir.populations import Population
from nirc.ir.program import Program
from nirc_target_c.bounds import largest_input, weighted

# Two states, or a state and the summed input of a step, add up within 32 bits. States saturate
# here. The quantiser scales weights so that no input is larger.
STATE = (1 << 30) - 1
# What a decay keeps is a multiple of 1 / DECAY_ONE. A state times a decay has 53 bits: exact in
# the 64 bits of the C program, and in the double precision of the emulator.
DECAY_ONE = 1 << 23
# Largest weight by the number of its bits.
WEIGHT = {8: 127, 16: 32767}
# A weight is stored without so many zero bits at its end.
SHIFT = 16
# Places, and numbers in tables: with more a product of two would not fit into 32 bits.
MOST = 1 << 24

WORDS = "C99: int32_t and int64_t, two states add up without overflow"
PATIENCE = "gcc 12 takes some 110 bytes of memory and 3 us for each number of a table"
INDEX = "C99: sums and products of places in int32_t"


def inputs(program: Program) -> Iterable[tuple[str, int]]:
    """Measure the largest input of a step of each population."""
    for name in program.nodes(Population):
        yield f"`{name}`", int(largest_input(program, name).max(initial=0))


def neurons(program: Program) -> Iterable[tuple[str, int]]:
    """Measure the neurons of each population."""
    for name, population in program.nodes(Population).items():
        yield f"`{name}`", population.n


def weights(program: Program) -> Iterable[tuple[str, int]]:
    """Measure the weights of all projections."""
    stored = [weights_of(weighted(p)).size for _, _, p in program.edges() if p.ops]
    yield "the whole network", sum(stored)


def kept(program: Program) -> Iterable[tuple[str, int]]:
    """Measure the bytes that delays keep of each node's spikes."""
    for source, target, projection in program.edges():
        yield f"from `{source}` to `{target}`", projection.lag * program[source].n


C99 = Target(
    "c",
    "c99",
    "ISO C99",
    "one C file for any processor with 32-bit integers",
    (
        Limit("summed input of a neuron", STATE, "P320", WORDS, measure=inputs),
        Limit("neurons of a population", MOST, "P320", INDEX, measure=neurons),
        Limit("weights", MOST, "P320", f"{INDEX}; {PATIENCE}", "M", measure=weights),
        Limit("spikes kept for delays", MOST, "P320", INDEX, unit="bytes", measure=kept),
    ),
)


def report_excesses(program: Program, target: Target, log: Log) -> None:
    """Report (P320) every limit of ``target`` that the integer program exceeds."""
    for each in excesses(program, target):
        limit = each.limit
        lacks = ChipLacks(
            problem=f"the {limit.name} is above the limit: {each.where}",
            found=each.found,
            limit=limit.max,
            source=limit.source,
        )
        log.add(lacks)


def utilisation(program: Program, target: Target) -> dict[str, tuple[int, int]]:
    """Return the largest value of each limit, and the limit."""
    used = {}
    for limit in target.limits:
        measured = limit.measure(program) if limit.measure is not None else ()
        used[limit.name] = (max((n for _, n in measured), default=0), limit.max)
    return used
