"""The comparison of the chip with the quantised network."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nirc.checker.bundle import Bundle, files_of
from nirc.checker.network import FILE, Population
from nirc.checker.values import Array, Finding, demand, fit

# fmt: off
# Sources, targets, receptors and steps of delay that synapses can have. A delay is counted from
# -LEAD on, since the comparison may shift populations. An input without a channel is number -1.
SYNAPSES, LEAD = (1 << 22, 1 << 22, 4, 1 << 16), 1 << 12


@dataclass
class Chip:
    """The network that a chip's reader rebuilds from the chip's files.

    Neurons have one number each: channels first, then those of each part in a row.
    """

    channels: int
    parts: dict[str, int]  # the neurons of each part, as the manifest names them
    fields: dict[str, Array]  # field of NIR -> (channels + neurons,)
    absent: dict[str, float]  # what a field is that a population has not, if it is not 0
    rules: Array  # (channels + neurons,) text of the update rule
    synapses: list[Array]  # source, target, receptor, delay, weight
    columns: Array  # the neuron of each column of the answer
    idle: Array  # (channels + neurons,) True where no population needs to be
    bound: Callable[[Bundle, Chip], None] | None = None  # bounds its states, once it is compared

    def numbers(self, population: Population) -> Array:
        """Return the numbers of a population's neurons."""
        place = f"populations.{population.name}"
        part = fit("manifest.json", population.part, self.parts.keys(), f"{place}.part")
        inside = population.at.max(initial=0) < self.parts[part]
        demand(inside, "manifest.json", f"{place}.index", "a number points to nothing")
        before = list(self.parts.values())[:list(self.parts).index(part)]
        return population.at + self.channels + sum(before)


def compare(bundle: Bundle, chip: Chip) -> None:
    """Compare the chip's network with network.nir, by the relation in the manifest."""
    network, file, wires = bundle.network, "manifest.json", bundle.manifest["input_map"]
    place = [fit(file, -1 if n is None else n, (-1, chip.channels - 1), "input_map") for n in wires]
    complete = len(place) == sum(map(math.prod, network.inputs.values()))
    demand(complete, file, "input_map", "there is no channel for each input", len(place))
    at = np.concatenate([np.array(place, int), *map(chip.numbers, network.populations.values())])
    counts = np.bincount(at[at >= chip.channels], minlength=len(chip.idle))
    bad = (counts > 1) | ((counts == 0) & ~chip.idle)
    bad[: chip.channels] = False
    for i in np.flatnonzero(bad)[:3]:
        bundle.note("network", file, "populations", "neurons on a place", counts[i], f"1 on {i}")
    if not bad.any():
        compare_neurons(bundle, chip, at)
        compare_synapses(bundle, chip, at)
        compare_ends(bundle, chip, at)


def compare_neurons(bundle: Bundle, chip: Chip, place: Array) -> None:
    """Compare the update rule and every parameter of every neuron."""
    for name, population in bundle.network.populations.items():
        at = place[bundle.network.offsets()[name]:][:population.n]
        rows = {"rule": (chip.rules[at], np.full(population.n, population.rule))}
        for key in sorted({*population.fields, *chip.fields}):
            have = chip.fields.get(key, np.zeros(len(chip.rules)))[at]
            want = np.broadcast_to(chip.absent.get(key, 0.0), population.n)
            rows[key] = np.nan_to_num(have), population.fields.get(key, want)
        for key, (have, want) in rows.items():
            for i in np.flatnonzero(want != have)[:1]:
                spot = f"{name}.{key}[{i}]"
                bundle.note("network", FILE, spot, "the chip differs", have[i], want[i])


def joined(rows: list[Any]) -> list[Array]:
    """Return synapses that stand in several rows of columns."""
    spread = [np.broadcast_arrays(*row) for row in [[np.zeros(0, int)] * 5, *rows]]
    return [np.concatenate(column) for column in zip(*spread)]


def compare_synapses(bundle: Bundle, chip: Chip, place: Array) -> None:
    """Compare source, target, receptor, delay and weight of every synapse."""
    network, offsets = bundle.network, bundle.network.offsets()
    rows: list[Any] = [(*chip.synapses[:4], np.asarray(chip.synapses[4], float))]
    for source, target, receptor, lag, (to, frm, weight) in network.projections:
        delay = lag + network.late.get(target, 0) - network.late.get(source, 0)
        delay += bundle.retimed.get((source, target), 0)  # delivered later on purpose
        ends = place[frm + offsets[source]], place[to + offsets[target]]
        rows.append((*ends, receptor, delay, -1.0 * weight))
    *numbers, weight = joined(rows)
    least = (-1, 0, 0, -LEAD)
    columns = [column - low for column, low in zip(numbers, least)]
    key = np.ravel_multi_index(columns, SYNAPSES, ("raise", "raise", "raise", "clip"))
    order = np.argsort(key, kind="stable")  # in runs: fast
    first = np.flatnonzero(np.diff(key[order], prepend=-1))
    total = np.add.reduceat(weight[order], first) if len(key) else weight
    for i in np.flatnonzero(total)[:6]:
        frm, to, receptor, delay = np.unravel_index(key[order[first[i]]], SYNAPSES)
        spot = f"{named(bundle, place, frm - 1)} to {named(bundle, place, to)}"
        problem = f"receptor {receptor}, delay {delay - LEAD}: the weight on the chip differs"
        bundle.note("network", FILE, spot, problem, f"{total[i]:+g}", "no difference")


def named(bundle: Bundle, place: Array, number: int) -> str:
    """Return the name of a neuron of the chip."""
    found = np.flatnonzero(place == number)[:1].tolist()
    for name, start in reversed(bundle.network.offsets().items()):
        if found and start <= found[0]:
            return f"{name}[{found[0] - start}]"
    return f"number {number}"


def compare_ends(bundle: Bundle, chip: Chip, place: Array) -> None:
    """Compare the outputs: their columns, their steps, and whether they are membranes."""
    network, offsets, manifest = bundle.network, bundle.network.offsets(), bundle.manifest
    neurons, steps, kind = [np.zeros(0, int)], [], "spikes"
    for source, delay in network.ends.values():
        population = network.populations[source]
        neurons.append(place[offsets[source]:][:population.n])
        steps += [network.late[source] - delay] * population.n
        kind = kind if "v_threshold" in population.fields else "membrane"
    last = len(chip.columns) - 1
    at = fit("manifest.json", manifest["output_map"], (0, last, 1), "output_map")
    if not np.array_equal(chip.columns[at], np.concatenate(neurons)):
        bundle.note("network", "manifest.json", "output_map", "a column is of another neuron")
    wanted = {"latency_steps": max(steps, default=0), "output_kind": kind}
    for key, want in {**wanted, "output_latency_steps": steps}.items():
        fit("manifest.json", manifest[key], want, key)
    outputs = [network.shapes[source] for source, _ in network.ends.values()]
    for key, shapes in (("input_shape", network.inputs.values()), ("output_shape", outputs)):
        sizes = list(map(math.prod, shapes))
        fit("manifest.json", list(map(math.prod, manifest[key])), sizes, key)


def check(read: Callable[[str], bytes], rebuild: Callable[[Bundle], Chip]) -> list[Finding]:
    """Return all that is wrong with a bundle. ``read`` returns the bytes of a file."""
    findings: list[Finding] = []
    try:
        bundle = Bundle(read, findings)
        chip = rebuild(bundle)
        compare(bundle, chip)
        if chip.bound is not None and not findings:
            chip.bound(bundle, chip)
    except Finding as last:
        findings.append(last)
    except MemoryError:
        raise
    except Exception as error:  # the last resort: values that fit no file of nirc
        problem = "it cannot be understood"
        findings.append(Finding("unreadable", "the bundle", "a file", problem, repr(error)))
    return findings


def start(rebuild: Callable[[Bundle], Chip]) -> None:
    """Run as a program: print a line for each finding."""
    names = sys.argv[1:]
    asked = {"-h", "--help"}.intersection(names)
    if asked or len(names) > 1 or "".join(names).startswith("-"):
        print(__doc__, file=sys.stdout if asked else sys.stderr)
        sys.exit(0 if asked else 2)
    directory = Path(names[0]) if names else Path(__file__).resolve().parent
    findings = check(files_of(directory), rebuild)
    wrong = any(each.kind != "overflow" for each in findings)
    good = [] if wrong else ["the chip gets the network in network.nir"]
    print("\n".join([*map(str, findings), *good]))
    sys.exit(int(wrong))
