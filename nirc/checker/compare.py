"""The comparison of the chip with the quantised network."""

from __future__ import annotations

import argparse
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nirc.checker.bundle import Bundle, files_of
from nirc.checker.network import FILE
from nirc.checker.values import Array, Finding, demand, fit, understood

# fmt: off
# Sources, targets, receptors and steps of delay that synapses can have. A delay is counted from
# -LEAD on, since the comparison may shift populations. An input without a channel is number -1.
SYNAPSES, LEAD = (1 << 22, 1 << 22, 4, 1 << 16), 1 << 12


@dataclass
class Chip:
    """The network on the chip. Neurons have one number each: channels first, then part by part."""
    channels: int
    parts: dict[str, int]  # the neurons of each part, as the manifest names them
    fields: dict[str, Array]  # "rule" and fields of NIR -> (channels + neurons,)
    absent: dict[str, float]  # what a field is that a population has not, if it is not 0
    synapses: list[Array]  # source, target, receptor, delay, weight
    columns: Array  # the neuron of each column of the answer
    idle: Array  # (channels + neurons,) True where no population needs to be

    def numbers(self, block: Any) -> Array:
        """Return the numbers of the neurons of a population in the manifest."""
        place, at = f"populations.{block['name']}", block["index"]
        part = fit("manifest.json", block["part"], {*self.parts}, f"{place}.part")
        inside = at.max(initial=0) < self.parts[part]
        demand(inside, "manifest.json", f"{place}.index", "a number points to nothing")
        before = list(self.parts.values())[:list(self.parts).index(part)]
        return at + self.channels + sum(before)


def compare(bundle: Bundle, chip: Chip) -> None:
    """Compare the chip's network with network.nir, by the relation in the manifest."""
    network, file, wires = bundle.network, "manifest.json", bundle.manifest["input_map"]
    place = [fit(file, -1 if n is None else n, (-1, chip.channels - 1), "input_map") for n in wires]
    demand(not network.lists, FILE, "".join([*network.lists][:1]), "a dataset belongs to nothing")
    complete = len(place) == sum(map(math.prod, network.inputs.values()))
    demand(complete, file, "input_map", "there is no channel for each input", len(place))
    at = np.concatenate([np.array(place, int), *map(chip.numbers, bundle.blocks.values())])
    counts = np.bincount(at[at >= chip.channels], minlength=len(chip.idle))
    bad = (counts > 1) | ((counts == 0) & ~chip.idle)
    for i in chip.channels + np.flatnonzero(bad[chip.channels:])[:3]:
        bundle.note("network", file, "populations", "neurons on a place", counts[i], f"1 on {i}")
    if not bad[chip.channels:].any():
        compare_neurons(bundle, chip, at)
        compare_synapses(bundle, chip, at)
        compare_ends(bundle, chip, at)


def compare_neurons(bundle: Bundle, chip: Chip, place: Array) -> None:
    """Compare the update rule and every parameter of every neuron."""
    for name, fields in bundle.network.populations.items():
        at = place[bundle.offsets[name]:][:len(fields["rule"])]
        for key in sorted({*fields, *chip.fields}):
            have = np.nan_to_num(chip.fields.get(key, np.zeros(len(chip.idle)))[at])
            want = fields.get(key, np.full(len(at), chip.absent.get(key, 0.0)))
            for i in np.flatnonzero(want != have)[:1]:
                bundle.note("network", FILE, f"{name}.{key}[{i}]", "it differs", have[i], want[i])


def joined(rows: list[Any]) -> list[Array]:
    """Return synapses that stand in several rows of columns."""
    spread = [np.broadcast_arrays(*row) for row in [[np.zeros(0, int)] * 5, *rows]]
    return [np.concatenate(column) for column in zip(*spread)]


def compare_synapses(bundle: Bundle, chip: Chip, place: Array) -> None:
    """Compare source, target, receptor, delay and weight of every synapse."""
    offsets, late = bundle.offsets, bundle.late
    rows: list[Any] = [(*chip.synapses[:4], np.asarray(chip.synapses[4], float))]
    for source, target, receptor, lag, (to, frm, weight) in bundle.network.projections:
        delay = lag + late.get(target, 0) - late.get(source, 0)
        delay += bundle.retimed.get((source, target), 0)  # delivered later on purpose
        ends = place[frm + offsets[source]], place[to + offsets[target]]
        rows.append((*ends, receptor, delay, -1.0 * weight))
    frm, to, receptor, delay, weight = joined(rows)
    columns = [frm + 1, to, receptor, delay + LEAD]
    key = np.ravel_multi_index(columns, SYNAPSES, ("raise", "raise", "raise", "clip"))
    order = np.argsort(key, kind="stable")  # in runs: fast
    first = np.flatnonzero(np.diff(key[order], prepend=-1))
    total = np.add.reduceat(weight[order], first) if len(key) else weight
    for i in order[first[np.flatnonzero(total)[:6]]]:
        spot = f"{named(bundle, place, frm[i])} to {named(bundle, place, to[i])}"
        problem = f"receptor {receptor[i]}, delay {delay[i]}: the weight on the chip differs"
        bundle.note("network", FILE, spot, problem, f"by {weight[key == key[i]].sum():+g}")


def named(bundle: Bundle, place: Array, number: int) -> str:
    """Return the name of a neuron of the chip."""
    at = np.append(np.flatnonzero(place == number), -1)[0]
    names = [f"{name}[{at - start}]" for name, start in bundle.offsets.items() if start <= at]
    return names[-1] if names else f"number {number}"


def compare_ends(bundle: Bundle, chip: Chip, place: Array) -> None:
    """Compare the outputs: their columns, their steps, and whether they are membranes."""
    network, offsets, manifest = bundle.network, bundle.offsets, bundle.manifest
    neurons, steps, kind, sizes = [np.zeros(0, int)], [], "spikes", []
    for source, delay in network.ends.values():
        fields = network.populations[source]
        sizes.append(len(fields["rule"]))
        neurons.append(place[offsets[source]:][:sizes[-1]])
        steps += [bundle.late[source] - delay] * sizes[-1]
        kind = kind if "v_threshold" in fields else "membrane"
    at = fit("manifest.json", manifest["output_map"], (0, len(chip.columns) - 1, 1), "output_map")
    if not np.array_equal(chip.columns[at], np.concatenate(neurons)):
        bundle.note("network", "manifest.json", "output_map", "a column is of another neuron")
    shapes = {key: [*map(math.prod, manifest[key])] for key in ("input_shape", "output_shape")}
    fit("manifest.json", manifest | shapes, {
        "input_shape": [*map(math.prod, network.inputs.values())], "output_shape": sizes,
        "latency_steps": max(steps, default=0), "output_latency_steps": steps,
        "output_kind": kind, ...: object})


def check(read: Any, rebuild: Any) -> list[Finding]:
    """Return all that is wrong with a bundle. ``read`` returns the bytes of a file."""
    findings: list[Finding] = []
    try:
        with understood("the bundle"):
            bundle = Bundle(read, findings)
            compare(bundle, rebuild(bundle))
    except Finding as last:
        findings.append(last)
    return findings


def start(rebuild: Any) -> None:
    """Run as a program: print a line for each finding."""
    form, here = argparse.RawTextHelpFormatter, Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    parser.add_argument("directory", nargs="?", type=Path, default=here, help="by default its own")
    findings = check(files_of(parser.parse_args().directory), rebuild)
    wrong = any(each.kind != "overflow" for each in findings)
    print("\n".join([*map(str, findings), *["the chip gets the network in network.nir"][wrong:]]))
    sys.exit(int(wrong))
