"""The comparison of the chip with the quantised network."""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from nirc.checker.bundle import Bundle, files_of
from nirc.checker.network import FILE, Population
from nirc.checker.values import Array, Finding, Refused, fit

SYNAPSES = (1 << 22, 1 << 22, 4, 1 << 16)  # more than sources, targets, receptors, steps of delay
LEAD = 1 << 12  # a delay is counted from -LEAD on: the comparison may shift populations


@dataclass
class Chip:
    """The network that a chip's reader rebuilds from the chip's files.

    Neurons have one number each: channels first, then those of each part in a row.
    """

    channels: int
    parts: dict[str, int]  # the neurons of each part, as the manifest names them
    fields: dict[str, Array]  # field of NIR -> (channels + neurons,)
    absent: dict[str, float]  # the value that stands for a field which a population has not
    rules: Array  # (channels + neurons,) text of the update rule
    synapses: list[Array]  # source, target, receptor, delay, weight
    columns: Array  # the neuron of each column of the answer
    idle: Array  # (channels + neurons,) True where no population needs to be

    @cached_property
    def firsts(self) -> dict[str, int]:
        """The number of each part's first neuron."""
        sums = itertools.accumulate([self.channels, *self.parts.values()])
        return dict(zip(self.parts, sums))

    def numbers(self, population: Population) -> Array:
        """Return the numbers of a population's neurons."""
        place = f"populations.{population.name}"
        part = fit("manifest.json", population.part, self.parts.keys(), f"{place}.part")
        if population.at.max(initial=0) >= self.parts[part]:
            raise Refused("manifest.json", f"{place}.index", "a number points to nothing")
        return self.firsts[part] + population.at


def compare(bundle: Bundle, chip: Chip) -> None:
    """Compare the chip's network with network.nir, by the relation in the manifest."""
    network, file, wires = bundle.network, "manifest.json", bundle.manifest["input_map"]
    place = [fit(file, -1 if n is None else n, (-1, chip.channels - 1), "input_map") for n in wires]
    if len(place) != sum(map(math.prod, network.inputs.values())):
        raise Refused(file, "input_map", "there is no channel for each input", len(place))
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
    offsets = bundle.network.offsets()
    for name, population in bundle.network.populations.items():
        at = place[offsets[name] : offsets[name] + population.n]
        rows = {"rule": (chip.rules[at], np.full(population.n, population.rule))}
        absent = {key: chip.absent.get(key, np.nan) for key in chip.fields}
        for key in sorted({*population.fields, *chip.fields}):
            want = population.fields.get(key, np.full(population.n, absent.get(key)))
            have = chip.fields[key][at] if key in chip.fields else np.full(population.n, np.nan)
            rows[key] = np.where(np.isnan(have) & np.isnan(want), 0, have), np.nan_to_num(want)
        for key, (have, want) in rows.items():
            for i in np.flatnonzero(want != have)[:1]:
                spot = f"{name}.{key}[{i}]"
                bundle.note("network", FILE, spot, "the chip differs", have[i], want[i])


def compare_synapses(bundle: Bundle, chip: Chip, place: Array) -> None:
    """Compare source, target, receptor, delay and weight of every synapse."""
    network = bundle.network
    offsets = network.offsets()
    rows = [(*chip.synapses[:4], np.asarray(chip.synapses[4], float))]
    for p in network.projections:
        to, frm, weight = p.synapses
        delay = p.lag + network.late(p.target) - network.late(p.source)
        delay += bundle.retimed.get((p.source, p.target), 0)  # delivered later on purpose
        ends = place[frm + offsets[p.source]], place[to + offsets[p.target]]
        rows.append((*ends, p.receptor, delay, -1.0 * weight))
    spread = [np.broadcast_arrays(*row) for row in rows]
    for key, weight in zip(*merged([np.concatenate(column) for column in zip(*spread)], 6)):
        frm, to, receptor, delay = (int(n) for n in np.unravel_index(key, SYNAPSES))
        spot = f"{named(bundle, place, frm - 1)} to {named(bundle, place, to)}"
        problem = f"receptor {receptor}, delay {delay - LEAD}: the weight on the chip differs"
        bundle.note("network", FILE, spot, problem, f"{weight:+g}", "no difference")


def merged(synapses: Sequence[Array], most: int) -> tuple[Array, Array]:
    """Return keys and weights of the first synapses whose weights, added up, are not 0."""
    key = np.zeros(len(synapses[0]), np.int64)
    # A model input without a channel is number -1.
    for column, size, least in zip(synapses, SYNAPSES, (-1, 0, 0, -LEAD)):
        key *= size
        key += np.asarray(column).astype(np.int64) - least
    order = np.argsort(key, kind="stable")  # in runs: fast
    key, weight = key[order], synapses[4][order]
    first = np.flatnonzero(np.diff(key, prepend=-1))
    total = np.add.reduceat(weight, first) if len(key) else weight
    there = np.flatnonzero(total)[:most]
    return key[first][there], total[there]


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
        neurons.append(place[offsets[source] :][: population.n])
        steps += [population.late - delay] * population.n
        kind = kind if "v_threshold" in population.fields else "membrane"
    at = (0, len(chip.columns) - 1, 1)
    at = fit("manifest.json", manifest["output_map"], at, "output_map")
    if not np.array_equal(chip.columns[at], np.concatenate(neurons)):
        bundle.note("network", "manifest.json", "output_map", "a column is of another neuron")
    wanted = {"latency_steps": max(steps, default=0), "output_kind": kind}
    for key, want in {**wanted, "output_latency_steps": steps}.items():
        fit("manifest.json", manifest[key], want, key)
    inputs, outputs = network.inputs.values(), [network.shapes[s] for s, _ in network.ends.values()]
    for key, shapes in (("input_shape", inputs), ("output_shape", outputs)):
        have, want = ([math.prod(shape) for shape in each] for each in (manifest[key], shapes))
        if have != want:
            raise Refused("manifest.json", key, "the numbers of neurons are others", have, want)


def check(read: Callable[[str], bytes], rebuild: Callable[[Bundle], Chip]) -> list[Finding]:
    """Return all that is wrong with a bundle. ``read`` returns the bytes of a file."""
    findings: list[Finding] = []
    try:
        bundle = Bundle(read, findings)
        compare(bundle, rebuild(bundle))
    except Refused as refused:
        findings.append(refused)
    except MemoryError:
        raise
    except Exception as error:  # the last resort: values that fit no file of nirc
        findings.append(Refused("the bundle", "a file", "it cannot be understood", repr(error)))
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
