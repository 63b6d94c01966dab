"""The comparison of the chip with the quantised network."""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nirc.checker.bundle import Bundle, files_of
from nirc.checker.values import Array, Finding, Refused


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
        before = itertools.takewhile(lambda name: name != part, self.parts)
        return self.channels + sum(self.parts[name] for name in before)


def compare(bundle: Bundle, chip: Chip) -> None:
    """Compare the chip's network with network.nir, by the relation in the manifest."""
    rows = bundle.manifest["input_map"].list()
    place = [[-1 if r.value is None else r.integer(0, chip.channels - 1) for r in rows]]
    blocks = bundle.manifest["populations"].has(" ".join(bundle.network.populations))
    for name, population in bundle.network.populations.items():
        part = blocks[name]["part"].one_of(*chip.parts)
        index = blocks[name]["index"].integers(0, chip.parts[part] - 1, population.n)
        place.append((index + chip.first(part)).tolist())
        if blocks[name]["scale"].value != population.scale:
            bundle.note("network", "manifest.json", blocks[name].path, "another scale")
    if len(rows) != sum(map(math.prod, bundle.network.inputs.values())):
        raise bundle.manifest["input_map"].refused("a channel for each input")
    at = np.array(list(itertools.chain(*place)), np.int64)
    counts = np.bincount(at[at >= chip.channels], minlength=len(chip.idle))
    counts[: chip.channels] = 1
    for i in np.flatnonzero((counts > 1) | ((counts == 0) & ~chip.idle))[:3]:
        bundle.note("network", "manifest.json", "populations", f"{counts[i]} neurons on number {i}")
    if not bundle.findings:
        compare_neurons(bundle, chip, at)
        compare_synapses(bundle, chip, at)
        compare_ends(bundle, chip, at)


def compare_neurons(bundle: Bundle, chip: Chip, place: Array) -> None:
    """Compare the update rule and every parameter of every neuron."""
    offsets = bundle.network.offsets()
    for name, population in bundle.network.populations.items():
        at = place[offsets[name] : offsets[name] + population.n]
        for i in np.flatnonzero(chip.rules[at] != population.rule)[:1]:
            rules = chip.rules[at[i]], population.rule
            bundle.note(
                "network", "network.nir", f"{name}.rule", "another rule on the chip", *rules
            )
        for key in sorted({*population.fields, *chip.fields}):
            want = population.fields.get(key, np.full(population.n, chip.absent.get(key, np.nan)))
            have = chip.fields[key][at] if key in chip.fields else np.full(population.n, np.nan)
            for i in np.flatnonzero((want != have) & ~(np.isnan(want) & np.isnan(have)))[:1]:
                spot = f"{name}.{key}[{i}]"
                bundle.note(
                    "network", "network.nir", spot, "another value on the chip", have[i], want[i]
                )


def compare_synapses(bundle: Bundle, chip: Chip, place: Array) -> None:
    """Compare source, target, receptor, delay and weight of every synapse."""
    offsets, late, retimed = bundle.network.offsets(), latencies(bundle), {}
    for row in bundle.certificate["retimed"].list():  # projections that the chip delivers later
        source, target, steps = row.list() if len(row.list()) == 3 else [row] * 3
        retimed[source.text(), target.text()] = steps.integer(-65536, 65536)
    columns: list[list[Array]] = [[] for _ in range(5)]
    for p in bundle.network.projections:
        to, frm, weight = p.synapses()
        delay = p.lag + late[p.target] - late[p.source] + retimed.get((p.source, p.target), 0)
        source, target = place[frm + offsets[p.source]], place[to + offsets[p.target]]
        values = (source, target, np.full(len(to), p.receptor), np.full(len(to), delay), weight)
        for column, value in zip(columns, values):
            column.append(value)
    want = merged([np.concatenate(column) if column else np.zeros(0) for column in columns])
    have = merged(chip.synapses)
    if want.shape == have.shape and (want == have).all():
        return
    rest = set(map(tuple, want.T.tolist())) ^ set(map(tuple, have.T.tolist()))
    wanted = set(map(tuple, want.T.tolist()))
    for values in sorted(rest)[:6]:
        where = "not on the chip" if values in wanted else "on the chip only"
        problem = f"a synapse is {where} ({len(rest)} differ)"
        spot = " to ".join(named(bundle, place, i) for i in values[:2])
        text = "receptor {:g}, delay {:g}, weight {:g}".format(*values[2:])
        bundle.note("network", "network.nir", spot, problem, text)


def merged(synapses: Sequence[Array]) -> Array:
    """Return (5, synapses) in order, parallel synapses added up, none with a weight of 0."""
    *keys, weight = (np.asarray(column, np.float64) for column in synapses)
    order = np.lexsort(keys)
    rows = np.stack([key[order] for key in keys])
    new = np.concatenate([np.ones(min(1, len(order)), bool), (rows[:, 1:] != rows[:, :-1]).any(0)])
    total = np.add.reduceat(weight[order], np.flatnonzero(new)) if len(order) else weight
    return np.concatenate([rows[:, new], total[None]])[:, total != 0]


def named(bundle: Bundle, place: Array, number: float) -> str:
    """Return the name of a neuron of the chip."""
    found = np.flatnonzero(place == number)[:1].tolist()
    for name, start in reversed(list(bundle.network.offsets().items())):
        if found and name and start <= found[0]:
            return f"{name}[{found[0] - start}]"
    return f"number {number:g}"


def compare_ends(bundle: Bundle, chip: Chip, place: Array) -> None:
    """Compare the outputs: their columns, their steps, and whether they are membranes."""
    offsets, late = bundle.network.offsets(), latencies(bundle)
    neurons: list[Array] = []
    steps: list[int] = []
    for source, delay in bundle.network.outputs:
        n = bundle.network.populations[source].n
        neurons.append(place[offsets[source] : offsets[source] + n])
        steps += [late[source] - delay] * n
    silent = any(
        "v_threshold" not in bundle.network.populations[s].fields for s, _ in bundle.network.outputs
    )
    columns = bundle.manifest["output_map"].integers(0, len(chip.columns) - 1, len(steps))
    for i in np.flatnonzero(chip.columns[columns] != np.concatenate([*neurons, np.zeros(0)]))[:3]:
        bundle.note("network", "manifest.json", f"output_map[{i}]", "it is another neuron's column")
    for name, want in (
        ("output_latency_steps", steps),
        ("latency_steps", max(steps, default=0)),
        ("output_kind", "membrane" if silent else "spikes"),
    ):
        if bundle.manifest[name].value != want:
            bundle.note(
                "network", "manifest.json", name, "it differs", bundle.manifest[name].value, want
            )


def latencies(bundle: Bundle) -> dict[str, int]:
    """Return the steps by which each node is later on the chip. Inputs are not."""
    blocks = bundle.manifest["populations"]
    late = {name: blocks[name]["latency_steps"].integer(-1024, 65536) for name in blocks.names()}
    return {**dict.fromkeys(bundle.network.inputs, 0), **late}


def check(read: Callable[[str], bytes], rebuild: Callable[[Bundle], Chip]) -> list[Finding]:
    """Return all that is wrong with a bundle. ``read`` returns the bytes of a file."""
    findings: list[Finding] = []
    try:
        bundle = Bundle(read, findings)
        compare(bundle, rebuild(bundle))
    except Refused as refused:
        findings.append(refused.finding)
    return findings


def start(rebuild: Callable[[Bundle], Chip]) -> None:
    """Run as a program: print a line for each finding."""
    names = sys.argv[1:]
    if len(names) > 1 or "".join(names).startswith("-"):
        print(__doc__)
        sys.exit(2)
    directory = Path(names[0]) if names else Path(__file__).resolve().parent
    findings = check(files_of(directory), rebuild)
    print("\n".join(map(str, findings)) or "the chip gets the network in network.nir")
    sys.exit(1 if findings else 0)
