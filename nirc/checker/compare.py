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
from nirc.checker.values import Array, Finding, Refused

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

    def first(self, part: str) -> int:
        """Return the number of a part's first neuron."""
        return self._firsts[part]

    @cached_property
    def _firsts(self) -> dict[str, int]:
        sums = itertools.accumulate(self.parts.values(), initial=self.channels)
        return dict(zip(self.parts, sums))


def compare(bundle: Bundle, chip: Chip) -> None:
    """Compare the chip's network with network.nir, by the relation in the manifest."""
    network, inputs = bundle.network, bundle.manifest["input_map"].flat()
    place = [
        -1 if row.value is None else row.integer(0, chip.channels - 1) for row in inputs.list()
    ]
    if len(place) != sum(map(math.prod, network.inputs.values())):
        raise inputs.refused("a channel for each input")
    blocks = bundle.blocks
    for name, population in network.populations.items():
        part = blocks[name]["part"].name_in(chip.parts)
        index = blocks[name]["index"].flat().integers(0, chip.parts[part] - 1, population.n)
        place += (index + chip.first(part)).tolist()
        if blocks[name]["scale"].flat().value != population.scale:
            bundle.note("network", "manifest.json", blocks[name].path, "another scale")
    at = np.array(place, np.int64)
    counts = np.bincount(at[at >= chip.channels], minlength=len(chip.idle))
    counts[: chip.channels] = 1
    bad = np.flatnonzero((counts > 1) | ((counts == 0) & ~chip.idle))
    for i in bad[:3]:
        bundle.note("network", "manifest.json", "populations", f"{counts[i]} neurons on number {i}")
    if not len(bad):
        compare_neurons(bundle, chip, at)
        compare_synapses(bundle, chip, at)
        compare_ends(bundle, chip, at)


def compare_neurons(bundle: Bundle, chip: Chip, place: Array) -> None:
    """Compare the update rule and every parameter of every neuron."""
    offsets = bundle.network.offsets()
    for name, population in bundle.network.populations.items():
        at = place[offsets[name] : offsets[name] + population.n]
        rows: dict[str, tuple[Array, Array]] = {}
        rows["rule"] = (chip.rules[at], np.full(population.n, population.rule))
        for key in sorted({*population.fields, *chip.fields}):
            want = population.fields.get(key, np.full(population.n, chip.absent.get(key, np.nan)))
            have = chip.fields[key][at] if key in chip.fields else np.full(population.n, np.nan)
            rows[key] = (np.where(np.isnan(have) & np.isnan(want), 0, have), np.nan_to_num(want))
        for key, (have, want) in rows.items():
            for i in np.flatnonzero(want != have)[:1]:
                place_of = f"{name}.{key}[{i}]"
                bundle.note(
                    "network", "network.nir", place_of, "the chip differs", have[i], want[i]
                )


def compare_synapses(bundle: Bundle, chip: Chip, place: Array) -> None:
    """Compare source, target, receptor, delay and weight of every synapse."""
    offsets, late, retimed = bundle.network.offsets(), latencies(bundle), {}
    for row in bundle.certificate["retimed"].list():  # projections that the chip delivers later
        source, target, steps = row.list() if len(row.list()) == 3 else [row] * 3
        retimed[source.of(str), target.of(str)] = steps.integer(-65536, 65536)
    wanted: list[Sequence[Array]] = [[np.zeros(0, np.int64)] * 5]
    for p in bundle.network.projections:
        to, frm, weight = p.synapses()
        delay = p.lag + late[p.target] - late[p.source] + retimed.get((p.source, p.target), 0)
        ends = (place[frm + offsets[p.source]], place[to + offsets[p.target]])
        wanted.append(np.broadcast_arrays(*ends, p.receptor, delay, weight))
    want = merged([np.concatenate(column) for column in zip(*wanted)])
    have = merged(chip.synapses)
    if all(map(np.array_equal, want, have)):
        return
    needed, there = (set(zip(*(column.tolist() for column in each))) for each in (want, have))
    for key, weight in sorted(needed ^ there)[:6]:
        problem = (
            f"a synapse is {'not on the chip' if (key, weight) in needed else 'on the chip only'}"
        )
        frm, to, receptor, delay = (int(n) for n in np.unravel_index(key, SYNAPSES))
        spot = f"{named(bundle, place, frm - 1)} to {named(bundle, place, to)}"
        text = f"receptor {receptor}, delay {delay - LEAD}, weight {weight:g}"
        bundle.note("network", "network.nir", spot, problem, text)


def merged(synapses: Sequence[Array]) -> tuple[Array, Array]:
    """Return keys in order and weights, parallel synapses added up, none with a weight of 0."""
    key = np.zeros(len(synapses[0]), np.int64)
    # A model input without a channel is number -1.
    for column, size, least in zip(synapses, SYNAPSES, (-1, 0, 0, -LEAD)):
        key *= size
        key += np.asarray(column).astype(np.int64) - least
    order = np.argsort(key, kind="stable")  # in runs: fast
    key, weight = key[order], synapses[4][order].astype(np.float64)
    first = np.flatnonzero(np.diff(key, prepend=-1))
    total = np.add.reduceat(weight, first) if len(key) else weight
    return key[first][total != 0], total[total != 0]


def named(bundle: Bundle, place: Array, number: float) -> str:
    """Return the name of a neuron of the chip."""
    found = np.flatnonzero(place == number)[:1].tolist()
    for name, start in reversed(list(bundle.network.offsets().items())):
        if found and name and start <= found[0]:
            return f"{name}[{found[0] - start}]"
    return f"number {number:g}"


def compare_ends(bundle: Bundle, chip: Chip, place: Array) -> None:
    """Compare the outputs: their columns, their steps, and whether they are membranes."""
    network, manifest = bundle.network, bundle.manifest
    offsets, late = network.offsets(), latencies(bundle)
    neurons, steps, kind = [np.zeros(0)], [], "spikes"
    for source, delay in network.outputs:
        n = network.populations[source].n
        neurons.append(place[offsets[source] : offsets[source] + n])
        steps += [late[source] - delay] * n
        if "v_threshold" not in network.populations[source].fields:
            kind = "membrane"
    columns = manifest["output_map"].flat().integers(0, len(chip.columns) - 1, len(steps))
    for i in np.flatnonzero(chip.columns[columns] != np.concatenate(neurons))[:3]:
        bundle.note("network", "manifest.json", f"output_map[{i}]", "it is another neuron's column")
    manifest["latency_steps"].one_of(max(steps, default=0))
    manifest["output_latency_steps"].flat().one_of(steps)
    manifest["output_kind"].one_of(kind)
    shapes = {"input_shape": [math.prod(shape) for shape in network.inputs.values()]}
    shapes["output_shape"] = [network.populations[source].n for source, _ in network.outputs]
    for name, sizes in shapes.items():
        if [math.prod(row.of(list)) for row in manifest[name].list()] != sizes:
            raise manifest[name].refused(f"shapes of {sizes} neurons")


def latencies(bundle: Bundle) -> dict[str, int]:
    """Return the steps by which each node is later on the chip. Inputs are not."""
    blocks = bundle.blocks.items()
    late = {name: block["latency_steps"].integer(-1024, 65536) for name, block in blocks}
    return {**dict.fromkeys(bundle.network.inputs, 0), **late}


def check(read: Callable[[str], bytes], rebuild: Callable[[Bundle], Chip]) -> list[Finding]:
    """Return all that is wrong with a bundle. ``read`` returns the bytes of a file."""
    return checked(read, rebuild)[0]


def checked(
    read: Callable[[str], bytes], rebuild: Callable[[Bundle], Chip], *, sealed: bool = True
) -> tuple[list[Finding], str]:
    """Return all that is wrong with a bundle, and the digest of what is read and not proven.

    ``sealed``: the certificate has that digest.
    """
    findings: list[Finding] = []
    digest = ""
    try:
        bundle = Bundle(read, findings)
        chip = rebuild(bundle)
        digest = bundle.digest_of_rest()
        compare(bundle, chip)
        # The compiler, which makes the digest, and large networks have none.
        may_lack = not sealed or len(chip.synapses[0]) > 1 << 16
        bundle.certificate["rest"].one_of(digest, *[""] * may_lack)
    except Refused as refused:
        findings.append(refused)
    except MemoryError:
        raise
    except Exception as error:  # the last resort: values that fit no file of nirc
        findings.append(Refused("the bundle", "a file", "it cannot be understood", repr(error)))
    return findings, digest


def start(rebuild: Callable[[Bundle], Chip]) -> None:
    """Run as a program: print a line for each finding."""
    names = sys.argv[1:]
    if len(names) > 1 or "".join(names).startswith("-"):
        print(__doc__)
        sys.exit(2)
    directory = Path(names[0]) if names else Path(__file__).resolve().parent
    findings = check(files_of(directory), rebuild)
    wrong = any(each.kind != "overflow" for each in findings)
    good = [] if wrong else ["the chip gets the network in network.nir"]
    print("\n".join([*map(str, findings), *good]))
    sys.exit(int(wrong))
