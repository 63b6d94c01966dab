"""The checker's reader of SpiNNaker2: network.npz and mapping.json."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np

from nirc.checker.bundle import Bundle
from nirc.checker.compare import Chip, joined
from nirc.checker.kernels import windows
from nirc.checker.networks import (
    COUNT,
    MAPPING,
    NETWORK,
    Block,
    add_neurons,
    array,
    either,
    network_file,
)
from nirc.checker.pools import pooled
from nirc.checker.values import Array, demand, fit, parsed

# fmt: off
# Largest weight and delay. Source: users' scripts and s2_nir.py of py-spinnaker2.
SPIN_MODELS = {
    "lif": (15, 7), "lif_curr_exp": (15, 7), "lif_no_delay": (127, 0), "lif_conv2d": (127, 0),
    "lif_curr_exp_no_delay": (127, 0)}
# Neurons of a PE, without and with a convolution (NESTML's class for py-spinnaker2), PEs and
# routing entries of a chip, steps of links (SpiNNMachine 7.4.1).
SPIN_ATOMS, SPIN_PES, SPIN_ENTRIES = (250, 256), 148, 16384
SPIN_LINKS = ((1, 0), (1, 1), (0, 1), (-1, 0), (-1, -1), (0, -1))
# Bytes of a PE and of what it holds, spikes of a neuron in a step, events of a PE in a second: on
# the safe side, as no public source has them (docs/reference/spinnaker2.md).
SPIN_PRICES = {
    "dyn_bytes": 44928, "mpt_words": 3, "mpt_factor": 4, "row_header": 4, "synapse_bytes": 4,
    "spike_bytes": 4, "slots": 8, "signs": 2, "slot_bytes": 2, "state_words": 2,
    "state_words_exp": 4}
SPIN_RATE, SPIN_EVENTS, SPIN_RING = 0.1, 6e6, 2**15 - 1
SPIN_WINDOW = ("in_height", "in_width", "stride_y", "stride_x", "pool_y", "pool_x")
SPIN_PADS = ("pad_top", "pad_left", "pad_bottom", "pad_right")
SPIN_ENDS = {"name": str, "source": str, "target": str}
SPIN_FLOAT = array("<f4", (1,), -3.4028235e38, 3.4028235e38)
SPIN_DECAY = array("<f4", (1,), 0, 1)
SPIN_CELL: dict[str, Any] = {
    "name": str, "n": (1, 2**31 - 1), "atoms": int, "spikes": bool, "threshold": SPIN_FLOAT,
    "reset": {"reset_to_v_reset", "reset_by_subtraction"}, "alpha_decay": SPIN_DECAY,
    "i_offset": SPIN_FLOAT, "v_init": SPIN_FLOAT, "v_reset": SPIN_FLOAT}
SPIN_FILTERED = {**SPIN_CELL, "exc_decay": SPIN_DECAY, "inh_decay": SPIN_DECAY}
SPIN_CELLS = {each: SPIN_FILTERED if "curr" in each else SPIN_CELL for each in SPIN_MODELS}
SPIN_KINDS: dict[str, Any] = {  # of blocks: fields and arrays
    "inputs": {"name": str, "atoms": int, "channels": COUNT},
    "outputs": {"population": str, "neurons": COUNT},
    "populations": either("model", SPIN_CELLS, {}),
    "projections": {**SPIN_ENDS, "pre": COUNT, "post": COUNT, "delay": array("<i2", (1,), 0, 7),
                    "weight": array("<i2", (1,), -127, 127)},
    "convolutions": {
        **SPIN_ENDS, **{key: (int("pad" not in key), 4096) for key in (*SPIN_WINDOW, *SPIN_PADS)},
        "weight": array("|i1", (4,), -127, 127)}}


def spinnaker2(bundle: Bundle) -> Chip:
    """Rebuild the network of a SpiNNaker2."""
    fit("manifest.json", bundle.manifest["part"], "SpiNNaker2", "part")
    targets = {"spinnaker2:chip", "spinnaker2:board"}
    fit("manifest.json", bundle.manifest["target"], targets, "target")
    tree, ids, number, chip = network_file(bundle, "nirc-spinnaker2-1", SPIN_KINDS)
    given = number[:sum(len(block["channels"]) for block in tree["inputs"])].tolist()  # then copies
    sound = sorted(given[:chip.channels]) == [*range(chip.channels)] == sorted({*given})
    demand(sound, NETWORK, "inputs", "a channel is missing or there twice")
    chip.absent = {"v_threshold": float(np.float32(1e30))}
    for block in tree["populations"]:
        at = chip.parts[block["name"]] = number[ids[block["name"]]]
        _spinnaker2_neurons(bundle, block, chip, at)
    models = {block["name"]: block.get("model", "") for block in tree["nodes"]}
    rows = [_spinnaker2_wire(block, models, ids) for block in tree["projections"]]
    rows += [_spinnaker2_kernel(block, models, ids) for block in tree["convolutions"]]
    wires = [joined([row]) for row in rows]
    frm, to, *others = joined(wires)
    chip.synapses = [number[frm], number[to], *others]
    # A ring buffer sums the weights of a sign that act in a step. States are float32, which neither
    # wrap around nor saturate.
    for sign in (1, -1):
        total = np.bincount(chip.synapses[1], np.maximum(sign * chip.synapses[4], 0))
        if total.max(initial=0) > SPIN_RING:
            problem = "a buffer overflows if all weights of a sign act in a step"
            neuron = f"neuron {total.argmax() - chip.channels}"
            bundle.note("overflow", NETWORK, neuron, problem, sign * total.max())
    _spinnaker2_mapping(bundle, tree, models, ids, wires)
    return chip


def _spinnaker2_neurons(bundle: Bundle, block: Block, chip: Chip, at: Array) -> None:
    """Add a population's update rule and fields of NIR. An array has one value for all, or each."""
    keys = ["threshold", "alpha_decay", "i_offset", "v_init", "v_reset", "exc_decay", "inh_decay"]
    values = [np.broadcast_to(block[key], len(at)) for key in keys if key in block]
    threshold, decay, drift, v, v_reset, *syn = values
    reset = "set" if block["reset"] == "reset_to_v_reset" else "subtract"
    demand(block["spikes"] or reset == "set", NETWORK, block["name"], "a readout has no reset")
    last = f", fire >= 1, {reset}, emit" if block["spikes"] else ""
    same = len(syn) == 2 and (syn[0] == syn[1]).all()
    others = {"v_init": v, "v_threshold": threshold, "v_reset": v_reset}
    add_neurons(chip, at, bundle.dt, decay, drift, syn[:1] if same else syn, 1.0, last, others)


def _spinnaker2_wire(block: Block, models: Any, ids: dict[str, Array]) -> tuple[Any, ...]:
    """Return source, target, receptor, delay and weight of the synapses of a projection."""
    keys = ("source", "target", "pre", "post", "weight", "delay")
    source, target, pre, post, weight, delay = (block[key] for key in keys)
    most, model = (abs(weight).max(initial=0), delay.max(initial=0)), models[target]
    sound = pre.shape == post.shape == weight.shape == delay.shape and model in SPIN_MODELS
    sound = sound and model != "lif_conv2d" and (np.array(most) <= SPIN_MODELS[model]).all()
    demand(sound, NETWORK, block["name"], "synapses that their target cannot have", most)
    key = (pre * len(ids[target]) + post) * 8 + delay
    sound = (np.diff(key) > 0).all() and weight.all()
    demand(sound, NETWORK, block["name"], "synapses are not by pre, post, delay, or have weight 0")
    receptor = (weight < 0) & ("curr" in model)
    return ids[source][pre], ids[target][post], receptor, delay + 1, weight


def _spinnaker2_kernel(block: Block, models: Any, ids: dict[str, Array]) -> tuple[Any, ...]:
    """Return the same of a convolution, which sums over windows of its source first."""
    w, source, target = block["weight"].swapaxes(0, 1), ids[block["source"]], ids[block["target"]]
    height, width, *stride, py, px = (block[name] for name in SPIN_WINDOW)
    before, pads = (w.shape[1], height // py, width // px), [block[name] for name in SPIN_PADS]
    shape, post, middle, tap = windows(w != 0, before, stride, pads, (1, 1))
    sound = (w.shape[1] * height * width, math.prod(shape)) == (len(source), len(target))
    sound = sound and models[block["target"]] == "lif_conv2d"
    demand(sound, NETWORK, block["name"], "the convolution does not fit its populations", shape)
    sources = pooled(source.reshape(-1, height, width), py, px).reshape(-1, py * px)
    return sources[middle].T, target[post], 0, 1, w[w != 0][tap]


def _spinnaker2_mapping(
        bundle: Bundle, tree: Any, models: Any, ids: Any, wires: Any) -> None:
    """Follow the packets of each slice of a population, and count what each PE takes."""
    word, options = (0, 2**32 - 1), bundle.manifest["options"]["chip"]
    root = parsed(MAPPING, bundle.read(MAPPING), {
        "format": "nirc-spinnaker2-mapping/2", "steps": int(options["steps"]),
        "routes": [{"links": [(0, 5), ...], "cores": [(1, 152), ...]}, ...],
        "slices": (*word, 2), "entries": (*word, 2), "tick": dict})
    owner, count = np.zeros(sum(map(len, ids.values())), int), 0  # the slice of each neuron
    for block in tree["nodes"]:
        at, most = ids[block["name"]], SPIN_ATOMS[models[block["name"]] == "lif_conv2d"]
        atoms = fit(NETWORK, block["atoms"], (1, min(len(at), most)), block["name"])
        owner[at] = count + np.arange(len(at)) // atoms
        count += -(-len(at) // atoms)
    chip, core, key, mask = root["slices"].reshape(count, 4).T
    _spinnaker2_places(bundle, options["bad"], chip, core)
    order, room = np.argsort(key), 2**32 - mask
    apart = not (key & ~mask | room & (room - 1)).any() and (np.bincount(owner) <= room).all()
    apart = apart and (np.diff(key[order]) >= room[order[:-1]]).all()
    demand(apart, MAPPING, "slices", "blocks of keys overlap")
    pairs = [np.unique(owner[frm] * count + owner[to]) for frm, to, *_ in wires]
    every = np.unique(np.concatenate([[], *pairs])).astype(int)
    _spinnaker2_walk(bundle, root, root["slices"].reshape(-1, 4), every)
    use, events, most = _spinnaker2_usage(options, tree, ids, owner, wires, pairs)
    bundle.most(MAPPING, "slices[{}]: bytes", use, most)
    tick = max(1e-3, round(1e-4 * math.ceil(events.max(initial=0) / SPIN_EVENTS / 1e-4), 4))
    chosen = options["tick"] != "auto"
    tick = float(options["tick"]) if chosen else tick
    late = int((events > SPIN_EVENTS * tick).sum()) * chosen
    fit(MAPPING, root["tick"], {"seconds": tick, "late_cores": late}, "tick")


def _spinnaker2_places(bundle: Bundle, bad: str, chip: Array, core: Array) -> None:
    """Demand that each slice has a PE of its own, which is on the board and not reported bad."""
    broken = {*re.sub(r"\b0+(?=[0-9])", "", bad).split(",")}
    places = [f"{at}:{pe}" for at, pe in zip(chip.tolist(), core.tolist())]
    sound = len({*places}) == len(places) and not broken & {*places, *map(str, chip.tolist())}
    last = 63 * (bundle.manifest["target"] == "spinnaker2:board")
    there = (chip <= last) & (abs(chip // 8 - chip % 8 + .5) < 4) & (core > 0) & (core < 153)
    demand(sound and there.all(), MAPPING, "slices", "there is no working PE for each slice")
    bundle.most(MAPPING, "PEs of chip {}", np.bincount(chip), SPIN_PES)


def _spinnaker2_usage(options: Any, tree: Any, ids: Any, owner: Array, wires: Any,
                      pairs: list[Array]) -> Any:
    """Return the bytes and the events in a step of each slice, and the bytes of a PE."""
    asked = [each.split(":") for each in options["prices"].split(",") if ":" in each]
    price = {**SPIN_PRICES, **{name.strip(): int(value) for name, value in asked}}
    if int(options["memory"]) != SPIN_PRICES["dyn_bytes"]:
        price["dyn_bytes"] = int(options["memory"])
    sizes = np.bincount(owner)  # neurons of the slices
    use, events = np.zeros(len(sizes), int), np.zeros(len(sizes))
    read, steps = {block["population"] for block in tree["outputs"]}, int(options["steps"])
    for block in tree["nodes"]:
        model, mine = block.get("model"), np.unique(owner[ids[block["name"]]])
        n = sizes[mine]
        if model is None:  # an input
            use[mine] = np.ceil(n * steps * SPIN_RATE) * price["spike_bytes"]
            continue
        slots = price["slots"] if SPIN_MODELS[model][1] else 1
        state = 4 * price["state_words_exp" if "curr" in model else "state_words"]
        words = -(-n // 32) if block["spikes"] else n  # of a step that is recorded
        use[mine] = n * (slots * price["signs"] * price["slot_bytes"] + state)
        use[mine] += steps * 4 * words * (block["name"] in read)
    blocks = [*tree["projections"], *tree["convolutions"]]
    for block, (frm, to, *_), pair in zip(blocks, wires, pairs):
        sources = np.bincount(pair % len(sizes), minlength=len(sizes))
        events += np.bincount(owner[to], minlength=len(sizes))
        use += sources * price["mpt_words"] * 4 * price["mpt_factor"]
        if block["weight"].ndim == 4:  # a kernel
            mine, count = np.unique(owner[ids[block["target"]]], return_counts=True)
            use[mine] += block["weight"].size + count
        else:
            row, fan = np.unique(owner[to] * len(owner) + frm, return_counts=True)
            size = price["row_header"] + price["synapse_bytes"] * fan
            np.add.at(use, row // len(owner), -(-size // 4) * 4)
    return use, np.round(SPIN_RATE * events, 3), price["dyn_bytes"]


def _spinnaker2_walk(bundle: Bundle, root: Any, slices: Array, pairs: Array) -> None:
    """Demand that the packets of each slice reach the PEs with synapses for them, each once."""
    entries = root["entries"].reshape(-1, 4)
    tables = {at: entries[entries[:, 0] == at, 1:] for at in range(64)}
    sizes = [len(table) for table in tables.values()]
    bundle.most(MAPPING, "entries of the router of chip {}", sizes, SPIN_ENTRIES)
    source, target = np.divmod(pairs, len(slices))
    targets = np.split(target, np.searchsorted(source, np.arange(1, len(slices))))
    for (start, _, key, mask), heard in zip(slices.tolist(), targets):
        want = sorted(map(tuple, slices[heard, :2].tolist()))
        waiting, seen, reached = [(start % 8, start // 8)], set(), []
        while waiting:
            x, y = waiting.pop()
            here, place = x + 8 * y, f"packets {key:#x}"
            inside = 0 <= x < 8 and 0 <= y < 8 and -4 <= y - x <= 3
            demand(inside, MAPPING, place, "they leave the board", (x, y), kind="route")
            keys, masks, _ = tables[here].T
            can = keys & ~masks == 0  # packet & mask == key can be true
            hit = tables[here][can & ((key ^ keys) & masks & mask == 0)][:1].tolist()
            known = here not in seen and hit and not hit[0][1] & ~mask
            known = known and hit[0][2] < len(root["routes"])
            demand(known, MAPPING, place, "they go round, or nowhere, at chip", here, kind="route")
            seen.add(here)
            route = root["routes"][hit[0][2]]
            reached += [(here, pe) for pe in route["cores"]]
            waiting += [(x + SPIN_LINKS[k][0], y + SPIN_LINKS[k][1]) for k in route["links"]]
        right = sorted(reached) == want
        demand(right, MAPPING, place, "they reach other PEs", sorted(reached), want, kind="route")
