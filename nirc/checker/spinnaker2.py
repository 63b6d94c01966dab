"""The checker's reader of SpiNNaker2: network.npz and mapping.json."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nirc.checker.bundle import Bundle
from nirc.checker.compare import Chip, joined
from nirc.checker.kernels import windows
from nirc.checker.networks import (
    FLOORPLAN,
    MAPPING,
    NETWORK,
    Block,
    add_neurons,
    network_file,
    numbered,
)
from nirc.checker.values import Array, demand, fit, parsed

# fmt: off
# Largest weight and delay. Source: users' scripts and s2_nir.py of py-spinnaker2.
SPIN_MODELS = {
    "spike_list": (0, 0), "lif": (15, 7), "lif_curr_exp": (15, 7), "lif_no_delay": (127, 0),
    "lif_curr_exp_no_delay": (127, 0), "lif_conv2d": (127, 0)}
# Neurons of a PE, without and with a convolution (NESTML's class for py-spinnaker2), PEs and
# routing entries of a chip, quad x and y of cores 1..4, 5..8, ..., steps of links (SpiNNMachine
# 7.4.1).
SPIN_ATOMS, SPIN_PES, SPIN_ENTRIES = (250, 256), 148, 16384
SPIN_QUADS = ("77666553453412121231212123534534767665", "65654466655566554441122333111222112233")
SPIN_LINKS = ((1, 0), (1, 1), (0, 1), (-1, 0), (-1, -1), (0, -1))
# Bytes of a PE and of what it holds, spikes of a neuron in a step, events of a PE in a second: on
# the safe side, as no public source has them (docs/reference/spinnaker2.md).
SPIN_PRICES = {
    "dyn_bytes": 44928, "mpt_words": 3, "mpt_factor": 4, "row_header": 4, "synapse_bytes": 4,
    "spike_bytes": 4, "slots": 8, "signs": 2, "slot_bytes": 2, "state_words": 2,
    "state_words_exp": 4}
SPIN_RATE, SPIN_EVENTS, SPIN_RING = 0.1, 6e6, 2**15 - 1
SPIN_TERMS = ("table", "rows", "ring", "state", "recording", "kernel", "spikes")
SPIN_WINDOW = ("in_height", "in_width", "stride_y", "stride_x", "pool_y", "pool_x")
SPIN_PADS = ("pad_top", "pad_left", "pad_bottom", "pad_right")
SPIN_ENDS = {"name": str, "source": str, "target": str}
SPIN_COUNT = ("<i4", (1,), 0, 2**31 - 1)  # type, axes, least, most
SPIN_FLOAT, SPIN_DECAY = ("<f4", (1,), -3.4028235e38, 3.4028235e38), ("<f4", (1,), 0, 1)
SPIN_FIELDS = ["threshold", "alpha_decay", "i_offset", "v_init", "v_reset"]
SPIN_DECAYS = ["exc_decay", "inh_decay"]  # of synapses
SPIN_BLOCKS: dict[str, Any] = {  # fields and arrays
    "inputs": ({"name": str, "atoms": int}, {"channels": SPIN_COUNT}),
    "outputs": ({"population": str}, {"neurons": SPIN_COUNT}),
    "populations": (
        {"name": str, "model": {*SPIN_MODELS} - {"spike_list"}, "n": (1, 2**31 - 1), "atoms": int,
         "reset": {"reset_to_v_reset", "reset_by_subtraction"}, "spikes": bool,
         "arrays": [str, ...]},
        {**dict.fromkeys(SPIN_FIELDS, SPIN_FLOAT), "alpha_decay": SPIN_DECAY,
         **dict.fromkeys(SPIN_DECAYS, SPIN_DECAY)}),
    "projections": (
        SPIN_ENDS, {"pre": SPIN_COUNT, "post": SPIN_COUNT, "weight": ("<i2", (1,), -127, 127),
                    "delay": ("<i2", (1,), 0, 7)}),
    "convolutions": (
        {**SPIN_ENDS, **{key: (int("pad" not in key), 4096) for key in (*SPIN_WINDOW, *SPIN_PADS)}},
        {"weight": ("|i1", (4,), -127, 127)})}


def spinnaker2(bundle: Bundle) -> Chip:
    """Rebuild the network of a SpiNNaker2."""
    fit("manifest.json", bundle.manifest["part"], "SpiNNaker2", "part")
    targets = {"spinnaker2:chip", "spinnaker2:board"}
    fit("manifest.json", bundle.manifest["target"], targets, "target")
    tree = network_file(bundle, "nirc-spinnaker2-1", SPIN_BLOCKS)
    ids, number, chip = numbered(tree, {b["name"]: b["n"] for b in tree["populations"]})
    known = [b["channels"] for b in tree["inputs"][:len(bundle.network.inputs)]]  # then copies
    given = sorted(np.concatenate([np.zeros(0, int), *known]).tolist())
    sound = given == list(range(chip.channels))
    sound = sound and all(b["channels"].max(initial=-1) < chip.channels for b in tree["inputs"])
    demand(sound, NETWORK, "inputs", "a channel is missing or there twice")
    chip.absent = {"v_threshold": float(np.float32(1e30))}
    for block in tree["populations"]:
        _spinnaker2_neurons(bundle, block, chip, number[ids[block["name"]]])
    models = {block["name"]: block.get("model", "spike_list") for block in tree["nodes"]}
    wires = [_spinnaker2_wire(block, models, ids) for block in tree["projections"]]
    wires += [_spinnaker2_kernel(block, models, ids) for block in tree["convolutions"]]
    chip.synapses = joined([(number[w["from"]], number[w["to"]], w["receptor"], w["delay"] + 1,
                             w["weight"]) for w in wires])
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
    """Add a population's update rule and fields of NIR."""
    names, place = SPIN_FIELDS + SPIN_DECAYS * ("curr" in block["model"]), block["place"]
    fit(NETWORK, block["arrays"], names, place)
    values = [block[name] for name in names]
    for name, value in zip(names, values):
        sound = value.size in (1, len(at)) and (value == value[0]).all() == (value.size == 1)
        problem = "neither a value for all neurons, nor different ones"
        demand(sound, NETWORK, f"{place}/{name}", problem)
    threshold, decay, drift, v, v_reset, *syn = (np.broadcast_to(each, len(at)) for each in values)
    reset = "set" if block["reset"] == "reset_to_v_reset" else "subtract"
    demand(block["spikes"] or reset == "set", NETWORK, place, "a readout has no reset")
    last = f", fire >= 1, {reset}, emit" if block["spikes"] else ""
    same = len(syn) == 2 and (syn[0] == syn[1]).all()
    others = {"v_init": v, "v_threshold": threshold, "v_reset": v_reset}
    add_neurons(chip, at, bundle.dt, decay, drift, syn[:1] if same else syn, 1.0, last, others)


def _spinnaker2_wire(block: Block, models: dict[str, str], ids: dict[str, Array]) -> Block:
    """Return the synapses of a projection."""
    place, pre, post = block["place"], block["pre"], block["post"]
    ends = [ids[fit(NETWORK, block[end], {*ids}, place)] for end in ("source", "target")]
    model, weight, delay = models[block["target"]], block["weight"], block["delay"]
    sound = pre.shape == post.shape == weight.shape == delay.shape and model != "lif_conv2d"
    sound = sound and pre.max(initial=0) < len(ends[0]) and post.max(initial=0) < len(ends[1])
    most = (abs(weight).max(initial=0), delay.max(initial=0))
    sound = sound and (np.array(most) <= SPIN_MODELS[model]).all()
    demand(sound, NETWORK, place, "synapses that their target cannot have", most)
    key = (pre * len(ends[1]) + post) * 8 + delay
    sound = (np.diff(key) > 0).all() and weight.all()
    demand(sound, NETWORK, place, "synapses are not by pre, post and delay, or have weight 0")
    receptor = (weight < 0) & ("curr" in model)
    return {"from": ends[0][pre], "to": ends[1][post], "weight": weight, "delay": delay,
            "receptor": receptor, "ends": ends, "kernel": 0}


def _spinnaker2_kernel(block: Block, models: dict[str, str], ids: dict[str, Array]) -> Block:
    """Return the synapses of a convolution, which sums over windows of its source first."""
    place, w = block["place"], block["weight"].swapaxes(0, 1)  # out, in, y, x
    ends = [ids[fit(NETWORK, block[end], {*ids}, place)] for end in ("source", "target")]
    height, width, *stride, py, px = (block[name] for name in SPIN_WINDOW)
    before, pads = (w.shape[1], height // py, width // px), [block[name] for name in SPIN_PADS]
    shape, post, middle, tap = windows(w != 0, before, stride, pads, (1, 1))
    sound = (w.shape[1] * height * width, math.prod(shape)) == tuple(map(len, ends))
    sound = sound and models[block["target"]] == "lif_conv2d"
    demand(sound, NETWORK, place, "the convolution does not fit its populations", shape)
    channel, y, x = np.unravel_index(middle, before)
    dy, dx = (each.reshape(-1, 1) for each in np.indices((py, px)))
    pre = ((channel * height + y * py + dy) * width + x * px + dx).ravel()
    post, weight = np.tile(post, py * px), np.tile(w.ravel()[tap], py * px)
    return {"from": ends[0][pre], "to": ends[1][post], "weight": weight, "delay": 0 * post,
            "receptor": 0, "ends": ends, "kernel": w.size}


def _spinnaker2_mapping(
        bundle: Bundle, tree: Any, models: Any, ids: Any, wires: list[Block]) -> None:
    """Follow the packets of each slice of a population, and count what each PE takes."""
    board, word = bundle.manifest["target"] == "spinnaker2:board", (0, 2**32 - 1)
    words: Any = {**dict.fromkeys(("steps", "memory", "prices", "tick"), str), ...: object}
    options = fit("manifest.json", bundle.manifest["options"]["chip"], words, "options.chip")
    cut = {"population": {*ids}, "from": int, "to": int, "key": word, "mask": word,
           "chip": (0, 63 * board), "core": (1, 152)}
    size = [64, 56, 4] if board else [8, 7, 4]
    plan = {**FLOORPLAN, "chip": [8, 7, 4], "router": [8, 7, 4], "size": size, "cores": list,
            "faulty": (0, 255, 2), "absent": (0, 255, 2),
            "limits": {...: {"max": object, "unit": str}}}
    root = parsed(MAPPING, bundle.read(MAPPING), {
        "format": "nirc-spinnaker2-mapping/1", "steps": int(options["steps"]), "slices": [cut, ...],
        "routes": [{"links": [(0, 5), ...], "cores": [(1, 152), ...]}, ...],
        "routers": [{"chip": (0, 63 * board), "entries": (*word, 2)}, ...], "floorplan": plan,
        "tick": {"seconds": float, "reason": str, "late_cores": (0, 2**32 - 1)}})
    rows = root["slices"]
    cuts = [(row["population"], row["from"], row["to"]) for row in rows]
    wanted, owner = [], np.zeros(sum(map(len, ids.values())), int)
    for block in tree["nodes"]:
        name, n = block["name"], block["n"]
        most = min(n, SPIN_ATOMS[models[name] == "lif_conv2d"])
        atoms = fit(NETWORK, block["atoms"], (1, most), block["place"])
        wanted += [(name, k, min(k + atoms, n)) for k in range(0, n, atoms)]
    right = sorted(wanted) == sorted(cuts)
    demand(right, MAPPING, "slices", "they are not as atoms cut them", cuts, wanted)
    for i, (name, start, end) in enumerate(cuts):
        owner[ids[name][start:end]] = i
    columns = ([row[name] for row in rows] for name in ("key", "mask", "chip", "core"))
    key, mask, chip, core = map(np.array, columns)
    lengths, room = np.array([end - start for _, start, end in cuts]), 2**32 - mask
    apart = not (key & ~mask | room & (room - 1)).any() and (lengths <= room).all()
    apart = apart and (np.diff(key) >= room[:-1]).all()
    demand(apart, MAPPING, "slices", "blocks of keys overlap, or are not in order")
    pairs = [np.unique(owner[w["from"]] * len(rows) + owner[w["to"]]) for w in wires]
    every = np.unique(np.concatenate([np.zeros(0, int), *pairs]))
    _spinnaker2_walk(bundle, root, key, mask, chip, core, every)
    use, events, most = _spinnaker2_usage(options, tree, models, owner, wires, pairs, cuts)
    at = _spinnaker2_at(chip, core)
    working = _spinnaker2_working(root["floorplan"], board)[at @ (1, size[0], size[0] * size[1])]
    alone = working.all() and len(np.unique(at, axis=0)) == len(at)
    demand(alone, MAPPING, "slices", "there is no working PE for each slice")
    wants = []
    for i in np.lexsort(at.T):
        used = {"neurons": int(lengths[i]), "memory": int(use[:, i].sum()), "events": events[i]}
        used |= {term: int(n) for term, n in zip(SPIN_TERMS, use[:, i]) if n}
        part = {"population": cuts[i][0], "box": [list(cuts[i][1:])]}
        wants.append({"at": at[i].tolist(), "chip": int(chip[i]), "usage": used, "parts": [part]})
        bundle.most(MAPPING, f"slices[{i}]: bytes", used["memory"], most)
    fit(MAPPING, root["floorplan"]["cores"], wants, "floorplan.cores")
    tick = max(1e-3, round(1e-4 * math.ceil(max(events) / SPIN_EVENTS / 1e-4), 4))
    tick = tick if options["tick"] == "auto" else float(options["tick"])
    fit(MAPPING, root["tick"]["seconds"], tick, "tick.seconds")
    limits: Any = {term: {"max": most, "unit": "bytes"} for term in ("memory", *SPIN_TERMS)}
    limits["neurons"] = {"max": SPIN_ATOMS[bool(tree["convolutions"])], "unit": "neurons"}
    asked = root["floorplan"]["limits"].get("events", {}).get("max")
    limits["events"] = {"max": asked, "unit": "a tick, expected"}
    demand(asked == SPIN_EVENTS * tick, MAPPING, "floorplan.limits.events", "another number", asked)
    fit(MAPPING, root["floorplan"]["limits"], limits, "floorplan.limits")


def _spinnaker2_at(chip: Array, core: Array) -> Array:
    """Return the cells of PEs in the grid of the floorplan, (n, 3)."""
    quad = np.array([list(map(int, row)) for row in SPIN_QUADS])[:, (core - 1) // 4]
    return np.stack([chip % 8 * 8 + quad[0], chip // 8 * 7 + quad[1], (core - 1) % 4], 1)


def _spinnaker2_working(plan: Any, board: bool) -> Array:
    """Return which cells are working PEs for users: as many of a chip as the vendor's tools use."""
    size = plan["size"]
    grid = np.stack(np.unravel_index(np.arange(np.prod(size)), size[::-1])[::-1], 1)
    places = (1, size[0], size[0] * size[1])
    chips = [chip for chip in range(64 if board else 1) if -4 <= chip // 8 - chip % 8 <= 3]
    chip_of, marks = np.full(len(grid), -1), np.zeros((2, len(grid)), int)
    for chip in chips:
        chip_of[_spinnaker2_at(np.full(152, chip), np.arange(1, 153)) @ places] = chip
    for mark, name in zip(marks, ("faulty", "absent")):
        cells = plan[name].reshape(-1, 3)
        demand((cells < size).all(), MAPPING, f"floorplan.{name}", "a cell is not there")
        np.add.at(mark, cells @ places, 1)
    good = (chip_of >= 0) & (marks[0] == 0)
    users = good & (marks[1] == 0)
    have, most = (np.bincount(chip_of[each], minlength=64) for each in (users, good))
    sound = (have == np.minimum(most, SPIN_PES)).all() and marks[0].max() <= 1
    wanted = grid[~users & (marks[0] == 0)]
    sound = sound and np.array_equal(plan["absent"].reshape(-1, 3), wanted)
    demand(sound, MAPPING, "floorplan.absent", "they are not the cells without a PE for users")
    return users


def _spinnaker2_usage(options: Any, tree: Any, models: Any, owner: Array, wires: list[Block],
                      pairs: list[Array], cuts: list[Any]) -> Any:
    """Return (terms, slices) bytes of each slice, its events in a step, and the bytes of a PE."""
    price = {**SPIN_PRICES, "dyn_bytes": int(options["memory"])}
    asked = [each.split(":") for each in options["prices"].split(",") if ":" in each]
    for name, value in asked:
        if price["dyn_bytes"] == SPIN_PRICES["dyn_bytes"] or "dyn" not in name:
            price[name.strip()] = int(value)
    use, events = np.zeros((7, len(cuts)), int), np.zeros(len(cuts))
    spikes = {block["name"]: block["spikes"] for block in tree["populations"]}
    read, steps = {block["population"] for block in tree["outputs"]}, int(options["steps"])
    for i, (name, start, end) in enumerate(cuts):
        model, n = models[name], end - start
        if model == "spike_list":
            use[6, i] = math.ceil(n * steps * SPIN_RATE) * price["spike_bytes"]
            continue
        slots = price["slots"] if SPIN_MODELS[model][1] else 1
        words = -(-n // 32) if spikes[name] else n
        use[2, i] = n * slots * price["signs"] * price["slot_bytes"]
        use[3, i] = n * 4 * price["state_words_exp" if "curr" in model else "state_words"]
        use[4, i] = steps * 4 * words * (name in read)
    for w, pair in zip(wires, pairs):
        to, sources = owner[w["to"]], np.bincount(pair % len(cuts), minlength=len(cuts))
        events += np.bincount(to, minlength=len(cuts))
        use[0] += sources * price["mpt_words"] * 4 * price["mpt_factor"]
        if w["kernel"]:
            mine, count = np.unique(owner[w["ends"][1]], return_counts=True)
            use[5, mine] = w["kernel"] + count
        else:
            row, fan = np.unique(to * len(owner) + w["from"], return_counts=True)
            size = price["row_header"] + price["synapse_bytes"] * fan
            np.add.at(use[1], row // len(owner), -(-size // 4) * 4)
    events = np.round(SPIN_RATE * events, 3).tolist()  # as JSON has them
    return use, [int(n) if n == int(n) else n for n in events], price["dyn_bytes"]


def _spinnaker2_walk(bundle: Bundle, root: Any, key: Array, mask: Array, chip: Array, core: Array,
                     pairs: Array) -> None:
    """Demand that the packets of each slice reach the PEs with synapses for them, each once."""
    tables = {row["chip"]: row["entries"].reshape(-1, 3) for row in root["routers"]}
    demand(len(tables) == len(root["routers"]), MAPPING, "routers", "a chip has two")
    for at, table in tables.items():
        bundle.most(MAPPING, f"entries of the router of chip {at}", len(table), SPIN_ENTRIES)
    routes = root["routes"]
    source, target = np.divmod(pairs, len(key))
    for i, reached in enumerate(np.split(target, np.searchsorted(source, np.arange(1, len(key))))):
        want: dict[int, list[int]] = {}
        for j in reached:
            want.setdefault(int(chip[j]), []).append(int(core[j]))
        waiting, seen, spot = [int(chip[i])], set(), f"packets {key[i]:#x}"
        while waiting:
            here = waiting.pop()
            table = tables.get(here, np.zeros((0, 3), int))
            sound = table[:, 0] & ~table[:, 1] == 0  # packet & mask == key can be true
            hit = np.flatnonzero(sound & ((key[i] ^ table[:, 0]) & table[:, 1] & mask[i] == 0))[:1]
            known = here not in seen and hit.size and not (table[hit, 1] & ~mask[i]).any()
            known = known and table[hit[0], 2] < len(routes)
            demand(known, MAPPING, spot, "they go round, or nowhere, at chip", here, kind="route")
            seen.add(here)
            links, cores = (routes[table[hit[0], 2]][name] for name in ("links", "cores"))
            right = sorted(want.pop(here, [])) == sorted(cores) and len(set(links)) == len(links)
            problem = f"they reach other PEs of chip {here}"
            demand(right, MAPPING, spot, problem, cores, kind="route")
            for link in links:
                x, y = here % 8 + SPIN_LINKS[link][0], here // 8 + SPIN_LINKS[link][1]
                inside = 0 <= x < 8 and 0 <= y < 8 and -4 <= y - x <= 3
                demand(inside, MAPPING, spot, "they leave the board at chip", here, kind="route")
                waiting.append(x + 8 * y)
        demand(not want, MAPPING, spot, "they miss PEs of chips", sorted(want), kind="route")
