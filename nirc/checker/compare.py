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
from nirc.checker.network import FILE, Network
from nirc.checker.values import Array, Finding, demand, fit

# fmt: off
# Sources, targets, receptors and steps of delay that synapses can have. A delay is counted from
# -LEAD on, since the comparison may shift populations. An input without a channel is number -1.
SYNAPSES, LEAD = (1 << 22, 1 << 22, 4, 1 << 16), 1 << 12
PASSED = "passed: the chip gets the network in network.nir"


@dataclass
class Chip:
    """The network on the chip. Neurons have one number each, channels come first."""
    channels: int
    parts: dict[str, Array]  # the numbers of each part's neurons, as the manifest names parts
    fields: dict[str, Array]  # "rule" and fields of NIR -> (channels + neurons,)
    absent: dict[str, float]  # what a field is that a population has not, if it is not 0
    synapses: list[Array]  # source, target, receptor, delay, weight
    columns: Array  # the neuron of each column of the answer, part "readout"
    idle: Array  # (channels + neurons,) True where no population needs to be

    def numbers(self, block: Any) -> Array:
        """Return the numbers of the neurons of a population in the manifest."""
        parts, place = {**self.parts, "readout": self.columns}, f"populations.{block['name']}"
        part = parts[fit("manifest.json", block["part"], {*parts}, f"{place}.part")]
        inside = block["index"].max(initial=-1) < len(part)
        demand(inside, "manifest.json", f"{place}.index", "a number points to nothing")
        return part[block["index"]]


def compare(bundle: Bundle, chip: Chip) -> None:
    """Compare the chip's network with network.nir, by the relation in the manifest."""
    network, file = bundle.network, "manifest.json"
    wires = [-1 if n is None else n for n in bundle.manifest["input_map"]]
    inputs = fit(file, wires, (-1, chip.channels - 1, 1), "input_map")
    complete = len(inputs) == sum(map(math.prod, network.inputs.values()))
    demand(complete, file, "input_map", "there is no channel for each input", len(inputs))
    place = np.concatenate([inputs, *map(chip.numbers, bundle.blocks.values())])
    counts = np.bincount(place[place >= 0], minlength=len(chip.idle))[chip.channels:]
    odd = (counts > 1) | ((counts == 0) & ~chip.idle[chip.channels:])
    what = "populations", "neurons on a place", counts[odd][:3], 1
    demand(not odd.any(), file, *what, kind="network")
    for name, fields in network.populations.items():
        at = place[network.first[name]:][:len(fields["rule"])]
        for key in sorted({*fields, *chip.fields}):
            have = np.nan_to_num(chip.fields.get(key, np.zeros(len(chip.idle)))[at])
            want = fields.get(key, np.full(len(at), chip.absent.get(key, 0.0)))
            for i in np.flatnonzero(want != have)[:1]:
                bundle.note("network", FILE, f"{name}.{key}[{i}]", "it differs", have[i], want[i])
    compare_synapses(bundle, chip, place)
    compare_ends(bundle, chip, place)


def joined(rows: list[Any]) -> list[Array]:
    """Return synapses that stand in several rows of columns."""
    spread = [np.broadcast_arrays(*row) for row in [[np.zeros(0, int)] * 5, *rows]]
    return [np.concatenate([each.ravel() for each in column]) for column in zip(*spread)]


def compare_synapses(bundle: Bundle, chip: Chip, place: Array) -> None:
    """Compare source, target, receptor, delay and weight of every synapse."""
    network, names = bundle.network, [*bundle.network.first]
    sizes = [math.prod(network.shapes[name]) for name in names]
    node = np.repeat(np.arange(len(names)), sizes)  # of each neuron
    late = np.array([bundle.late[name] for name in names], int)[node]
    frm, to, receptor, lag, weight = joined(network.synapses)
    delay = lag + late[to] - late[frm]
    for source, target, more in bundle.retimed:  # delivered later on purpose
        delay[(node[frm] == names.index(source)) & (node[to] == names.index(target))] += more
    chips = (*chip.synapses[:4], np.asarray(chip.synapses[4], float))
    rows: list[Any] = [chips, (place[frm], place[to], receptor, delay, -1.0 * weight)]
    frm, to, receptor, delay, weight = joined(rows)
    columns = [frm + 1, to, receptor, delay + LEAD]
    key = np.ravel_multi_index(columns, SYNAPSES, ("raise", "raise", "raise", "clip"))
    order = np.argsort(key, kind="stable")  # in runs: fast
    first = np.flatnonzero(np.diff(key[order], prepend=-1))
    total = np.add.reduceat(weight[order], first) if len(key) else weight
    for i in order[first[np.flatnonzero(total)[:6]]]:
        ends = " to ".join(named(network, place, number[i]) for number in (frm, to))
        problem = f"receptor {receptor[i]}, delay {delay[i]}: the weight on the chip differs"
        bundle.note("network", FILE, ends, problem, f"by {weight[key == key[i]].sum():+g}")


def named(network: Network, place: Array, number: int) -> str:
    """Return the name of a neuron of the chip."""
    at = np.append(np.flatnonzero(place == number), -1)[0]
    names = [f"{name}[{at - start}]" for name, start in network.first.items() if start <= at]
    return names[-1] if names else f"number {number}"


def compare_ends(bundle: Bundle, chip: Chip, place: Array) -> None:
    """Compare the outputs: their columns, their steps, and whether they are membranes."""
    network, manifest = bundle.network, bundle.manifest
    steps, kind, neurons, sizes = [], "spikes", [np.zeros(0, int)], []
    for source, delay in network.ends.values():
        sizes.append(math.prod(network.shapes[source]))
        neurons.append(place[network.first[source]:][:sizes[-1]])
        steps += [bundle.late[source] - delay] * sizes[-1]
        kind = kind if "v_threshold" in network.populations[source] else "membrane"
    at = fit("manifest.json", manifest["output_map"], (0, len(chip.columns) - 1, 1), "output_map")
    same = np.array_equal(chip.columns[at], np.concatenate(neurons))
    demand(same, "manifest.json", "output_map", "a column is of another neuron", kind="network")
    shapes = {key: [*map(math.prod, manifest[key])] for key in ("input_shape", "output_shape")}
    fit("manifest.json", manifest | shapes, {
        "input_shape": [*map(math.prod, network.inputs.values())], "output_shape": sizes,
        "latency_steps": max(steps, default=0), "output_latency_steps": steps,
        "output_kind": kind, ...: object})


def check(read: Any, rebuild: Any) -> list[Finding]:
    """Return all that is wrong with a bundle. ``read`` returns the bytes of a file."""
    findings, names = list[Finding](), ["the bundle"]
    def reading(name: str) -> Any:
        names.append(name)
        return read(name)
    try:
        bundle = Bundle(reading, findings)
        compare(bundle, rebuild(bundle))
    except Finding as last:
        findings.append(last)
    except MemoryError:
        raise
    except Exception as error:  # whatever Python and numpy raise about values of no file of nirc
        what = names[-1], "the file", "it makes no sense", repr(error)
        findings.append(Finding("unreadable", *what))
    return findings


def start(rebuild: Any) -> None:
    """Run as a program: print a line for each finding."""
    form, here = argparse.RawTextHelpFormatter, Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    parser.add_argument("directory", nargs="?", type=Path, default=here, help="by default its own")
    findings = check(files_of(parser.parse_args().directory), rebuild)
    wrong = any(each.kind != "overflow" for each in findings)
    print("\n".join([*map(str, findings), *[PASSED][wrong:]]))
    sys.exit(int(wrong))
