"""The checker's reader of SpiNNaker2: network.npz and mapping.json."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from nirc.checker.bundle import Bundle
from nirc.checker.compare import Chip
from nirc.checker.networks import (
    FLOORPLAN,
    NETWORK,
    Block,
    add_neurons,
    joined,
    kernel,
    network_file,
    numbered,
)
from nirc.checker.values import Array, Refused, fit

# fmt: off
# Largest weight and delay. Source: users' scripts and s2_nir.py of py-spinnaker2.
SPIN_MODELS = {"spike_list": (0, 0), "lif": (15, 7), "lif_curr_exp": (15, 7), "lif_no_delay": (127, 0),
               "lif_curr_exp_no_delay": (127, 0), "lif_conv2d": (127, 0)}
# Neurons of a PE, without and with a convolution (NESTML's class for py-spinnaker2), PEs and routing
# entries of a chip, quad x and y of cores 1..4, 5..8, ..., steps of links (SpiNNMachine 7.4.1).
SPIN_ATOMS, SPIN_PES, SPIN_ENTRIES = (250, 256), 148, 16384
SPIN_QUADS = ("77666553453412121231212123534534767665", "65654466655566554441122333111222112233")
SPIN_LINKS = ((1, 0), (1, 1), (0, 1), (-1, 0), (-1, -1), (0, -1))
# Bytes of a PE and of what it holds, spikes of a neuron in a step, events of a PE in a second: on
# the safe side, as no public source has them (docs/reference/spinnaker2.md).
SPIN_PRICES = {"dyn_bytes": 44928, "mpt_words": 3, "mpt_factor": 4, "row_header": 4, "synapse_bytes": 4,
               "slots": 8, "signs": 2, "slot_bytes": 2, "state_words": 2, "state_words_exp": 4, "spike_bytes": 4}
SPIN_RATE, SPIN_EVENTS, SPIN_RING = 0.1, 6e6, 2**15 - 1
SPIN_TERMS = ("table", "rows", "ring", "state", "recording", "kernel", "spikes")
SPIN_WINDOW = ("in_height", "in_width", "stride_y", "stride_x", "pool_y", "pool_x")
SPIN_PADS = ("pad_top", "pad_left", "pad_bottom", "pad_right")
SPIN_ENDS = {"name": str, "source": str, "target": str}
SPIN_BLOCKS: dict[str, dict[str, Any]] = {
    "inputs": {"name": str, "atoms": int}, "outputs": {"population": str}, "projections": SPIN_ENDS,
    "populations": {"name": str, "model": {*SPIN_MODELS} - {"spike_list"}, "n": (1, 2**31 - 1), "atoms": int,
                    "reset": {"reset_to_v_reset", "reset_by_subtraction"}, "spikes": bool},
    "convolutions": {**SPIN_ENDS, **dict.fromkeys(SPIN_WINDOW, (1, 4096)), **dict.fromkeys(SPIN_PADS, (0, 4096))}}
Wire = dict[str, Any]


def spinnaker2(bundle: Bundle) -> Chip:
    """Rebuild the network of a SpiNNaker2."""
    for key, want in {"part": "SpiNNaker2", "target": {"spinnaker2:chip", "spinnaker2:board"}}.items():
        fit("manifest.json", bundle.manifest[key], want, key)
    tree = network_file(bundle, "nirc-spinnaker2-1", SPIN_BLOCKS)
    n = tree["channels"]
    ids = {b["name"]: b.array("channels", "<i4", (None,), 0, n - 1) for b in tree["inputs"]}
    first = list(ids.values())[:len(bundle.network.inputs)]  # other inputs copy some channels
    if sorted(np.concatenate([np.zeros(0, int), *first]).tolist()) != list(range(n)):
        raise Refused(NETWORK, "inputs", "a channel is missing or there twice")
    for block in tree["populations"]:
        ids[block["name"]], n = np.arange(n, n + block["n"]), n + block["n"]
    spikes = [np.full(b["n"], b["spikes"]) for b in tree["populations"]]
    parts = {b["name"]: b["n"] for b in tree["populations"]}
    chip, number = numbered(tree, ids, parts, np.concatenate([np.zeros(0, bool), *spikes]))
    chip.absent = {"v_threshold": float(np.float32(1e30)), "v_reset": 0.0}
    for block in tree["populations"]:
        _spinnaker2_neurons(bundle, block, chip, number[ids[block["name"]]])
    models = {b["name"]: b.fields.get("model", "spike_list") for b in tree["nodes"]}
    wires = [_spinnaker2_wire(block, models, ids) for block in tree["projections"]]
    wires += [_spinnaker2_kernel(block, models, ids) for block in tree["convolutions"]]
    chip.synapses = joined([
        (number[ids[w["source"]][w["pre"]]], number[ids[w["target"]][w["post"]]],
         (w["weight"] < 0) & ("curr" in models[w["target"]]), w["delay"] + 1, w["weight"]) for w in wires])
    # A ring buffer sums the weights of a sign that act in a step. States are float32, which neither
    # wrap around nor saturate.
    for sign in (1, -1):
        total = np.bincount(chip.synapses[1], np.maximum(sign * chip.synapses[4], 0), len(number))
        if total.max(initial=0) > SPIN_RING:
            bundle.note("overflow", NETWORK, f"neuron {total.argmax() - chip.channels}",
                        "a buffer overflows if all weights of a sign act in a step", sign * total.max())
    _spinnaker2_mapping(bundle, tree, models, ids, wires)
    return chip


def _spinnaker2_neurons(bundle: Bundle, block: Block, chip: Chip, ids: Array) -> None:
    """Add a population's update rule and fields of NIR."""
    names = ["threshold", "alpha_decay", "i_offset", "v_init", "v_reset"]
    names += ["exc_decay", "inh_decay"] * ("curr" in block["model"])
    fit(NETWORK, block["arrays"], names, block.place)
    values = []
    for name in names:
        low, high = (0, 1) if "decay" in name else (-3.4028235e38, 3.4028235e38)
        value = block.array(name, "<f4", (None,), low, high)
        if value.size not in (1, len(ids)) or (value == value[0]).all() != (value.size == 1):
            raise block.refused(f"{name}: neither a value for all neurons, nor different ones")
        values.append(np.broadcast_to(value, len(ids)))
    threshold, decay, drift, v, v_reset, *syn = values
    reset = "set" if block["reset"] == "reset_to_v_reset" else "subtract"
    last = f", fire >= 1, {reset}, emit" if block["spikes"] else ""
    if not block["spikes"] and reset != "set":
        raise block.refused("a readout has no reset")
    same = len(syn) == 2 and (syn[0] == syn[1]).all()
    add_neurons(chip, ids, bundle.dt, decay, drift, syn[:1] if same else syn, 1.0, last,
                {"v_init": v, "v_threshold": threshold, "v_reset": v_reset})


def _spinnaker2_wire(block: Block, models: dict[str, str], ids: dict[str, Array]) -> Wire:
    """Return the synapses of a projection."""
    source, target = (fit(NETWORK, block[end], ids.keys(), block.place) for end in ("source", "target"))
    weight, delay = SPIN_MODELS[models[target]]
    pre = block.array("pre", "<i4", (None,), 0, len(ids[source]) - 1)
    wire = {"post": block.array("post", "<i4", pre.shape, 0, len(ids[target]) - 1), "pre": pre,
            "weight": block.array("weight", "<i2", pre.shape, -weight, weight),
            "delay": block.array("delay", "<i2", pre.shape, 0, delay)}
    key = (pre * len(ids[target]) + wire["post"]) * 8 + wire["delay"]
    if (np.diff(key) <= 0).any() or not wire["weight"].all() or models[target] == "lif_conv2d":
        raise block.refused("synapses are not by pre, post and delay, or have weight 0")
    return {**wire, "source": source, "target": target, "kernel": 0}


def _spinnaker2_kernel(block: Block, models: dict[str, str], ids: dict[str, Array]) -> Wire:
    """Return the synapses of a convolution, which sums over windows of its source first."""
    source, target = (fit(NETWORK, block[end], ids.keys(), block.place) for end in ("source", "target"))
    height, width, *stride, py, px = (block[name] for name in SPIN_WINDOW)
    pads, w = [block[name] for name in SPIN_PADS], block.array("weight", "|i1", (None,) * 4, -127, 127)
    w, before = w.transpose(1, 0, 2, 3), [len(w), height // py, width // px]
    side = [(n + a + b - k) // s + 1 for n, a, b, k, s in zip(before[1:], pads, pads[2:], w.shape[2:], stride)]
    fits = w.shape[1] * height * width == len(ids[source]) and len(w) * math.prod(side) == len(ids[target])
    if not fits or min(side) < 1 or models[target] != "lif_conv2d":
        raise block.refused("the convolution does not fit its populations")
    post, middle, weight = kernel(block, w, before, [len(w), *side], pads, stride, [1, 1], 1)
    post, middle, weight = (each[weight != 0] for each in (post, middle, weight))
    channel, y, x = np.unravel_index(middle, before)
    dy, dx = (each.reshape(-1, 1) for each in np.indices((py, px)))
    pre = ((channel * height + y * py + dy) * width + x * px + dx).ravel()
    return {"pre": pre, "post": np.tile(post, py * px), "weight": np.tile(weight, py * px),
            "delay": np.zeros(pre.size, int), "source": source, "target": target, "kernel": w.size}


def _spinnaker2_mapping(bundle: Bundle, tree: Any, models: dict[str, str], ids: dict[str, Array],
                        wires: list[Wire]) -> None:
    """Follow the packets of each slice of a population, and count what each PE takes."""
    file, board, word = "mapping.json", bundle.manifest["target"] == "spinnaker2:board", (0, 2**32 - 1)
    options = fit("manifest.json", bundle.manifest["options"]["chip"], {
        **dict.fromkeys(("steps", "memory", "prices", "tick"), str), ...: object}, "options.chip")
    cut = {"population": ids.keys(), "from": int, "to": int, "key": word, "mask": word,
           "chip": (0, 63 * board), "core": (1, 152)}
    plan = {**FLOORPLAN, "chip": [8, 7, 4], "router": [8, 7, 4], "size": [64, 56, 4] if board else [8, 7, 4],
            "cores": list, "limits": {...: {"max": object, "unit": str}}, **{key: [[(0, 255)] * 3, ...] for key in ("faulty", "absent")}}
    root = bundle.json(file, {
        "format": "nirc-spinnaker2-mapping/1", "steps": int(options["steps"]), "slices": [cut, ...],
        "routes": [{"links": [(0, 5), ...], "cores": [(1, 152), ...]}, ...],
        "routers": [{"chip": (0, 63 * board), "entries": (*word, 2)}, ...], "floorplan": plan,
        "tick": {"seconds": float, "reason": str, "late_cores": (0, 2**32 - 1)}})
    rows = root["slices"]
    cuts = [(row["population"], row["from"], row["to"]) for row in rows]
    wanted, owner = [], {name: np.zeros(len(each), int) for name, each in ids.items()}
    for block in tree["nodes"]:
        name, n = block["name"], len(ids[block["name"]])
        most = min(n, SPIN_ATOMS[models[name] == "lif_conv2d"])
        atoms = fit(NETWORK, block["atoms"], (1, most), block.place)
        wanted += [(name, k, min(k + atoms, n)) for k in range(0, n, atoms)]
    if sorted(wanted) != sorted(cuts):
        raise Refused(file, "slices", "they are not as atoms cut them", cuts, wanted)
    for i, (name, start, end) in enumerate(cuts):
        owner[name][start:end] = i
    size = np.array([end - start for _, start, end in cuts])
    key, mask, chip, core = (np.array([row[name] for row in rows]) for name in ("key", "mask", "chip", "core"))
    room = 2**32 - mask
    if (key & ~mask | room & (room - 1)).any() or (size > room).any() or (np.diff(key) < room[:-1]).any():
        raise Refused(file, "slices", "blocks of keys overlap, or are not in order")
    many, pairs = len(rows), []
    for w in wires:
        w["to"] = owner[w["target"]][w["post"]]
        pairs.append(np.unique(owner[w["source"]][w["pre"]] * many + w["to"]))
    _spinnaker2_walk(root, key, mask, chip, core, np.unique(np.concatenate([np.zeros(0, int), *pairs])))
    use, events, most = _spinnaker2_usage(options, tree, models, wires, pairs, cuts, size, root["steps"])
    at = _spinnaker2_at(chip, core)
    if len(_spinnaker2_cells(file, root["floorplan"], board) & set(map(tuple, at.tolist()))) < many:
        raise Refused(file, "slices", "there is no working PE for each slice")
    events = [int(n) if n == int(n) else n for n in events.tolist()]  # as JSON has them
    wants = []
    for i in np.lexsort(at.T):
        used = {"neurons": int(size[i]), "memory": int(use[:, i].sum()), "events": events[i]}
        used |= {term: int(n) for term, n in zip(SPIN_TERMS, use[:, i]) if n}
        part = {"population": cuts[i][0], "box": [list(cuts[i][1:])]}
        wants.append({"at": at[i].tolist(), "chip": int(chip[i]), "usage": used, "parts": [part]})
        bundle.most(file, f"slices[{i}]: bytes", used["memory"], most)
    fit(file, root["floorplan"]["cores"], wants, "floorplan.cores")
    auto = max(1e-3, round(1e-4 * math.ceil(max(events) / SPIN_EVENTS / 1e-4), 4))
    tick = auto if options["tick"] == "auto" else float(options["tick"])
    fit(file, root["tick"]["seconds"], tick, "tick.seconds")
    _spinnaker2_limits(bundle, root, most, SPIN_ATOMS[bool(tree["convolutions"])], SPIN_EVENTS * tick)


def _spinnaker2_limits(bundle: Bundle, root: Any, most: int, atoms: int, events: float) -> None:
    """Compare the limits in the floorplan, and count the entries of each router."""
    file = "mapping.json"
    limits = {term: {"max": most, "unit": "bytes"} for term in ("memory", *SPIN_TERMS)}
    limits["neurons"] = {"max": atoms, "unit": "neurons"}
    limits["events"] = {"max": root["floorplan"]["limits"]["events"]["max"], "unit": "a tick, expected"}
    fit(file, root["floorplan"]["limits"], limits, "floorplan.limits")
    if limits["events"]["max"] != events:
        raise Refused(file, "floorplan.limits.events", "another number", limits["events"])
    for row in root["routers"]:
        bundle.most(file, f"entries of the router of chip {row['chip']}", len(row["entries"]), SPIN_ENTRIES)


def _spinnaker2_at(chip: Array, core: Array) -> Array:
    """Return the cells of PEs in the grid of the floorplan, (n, 3)."""
    quad = np.array([list(map(int, row)) for row in SPIN_QUADS])[:, (core - 1) // 4]
    return np.stack([chip % 8 * 8 + quad[0], chip // 8 * 7 + quad[1], (core - 1) % 4], 1)


def _spinnaker2_cells(file: str, plan: Any, board: bool) -> set[Any]:
    """Return the cells of working PEs for users: as many of each chip as the vendor's tools use."""
    faulty, absent = ([tuple(cell) for cell in plan[name]] for name in ("faulty", "absent"))
    users: set[Any] = set()
    for chip in range(64 if board else 1):
        if -4 <= chip // 8 - chip % 8 <= 3:
            at = set(map(tuple, _spinnaker2_at(np.full(152, chip), np.arange(1, 153)).tolist())) - {*faulty}
            mine = at - {*absent}
            users |= mine
            if len(mine) != min(SPIN_PES, len(at)):
                raise Refused(file, "floorplan.absent", f"PEs of chip {chip} for users", len(mine), SPIN_PES)
    grid = itertools.product(*map(range, plan["size"][::-1]))
    wanted = [cell for cell in ((x, y, z) for z, y, x in grid) if cell not in users.union(faulty)]
    if absent != wanted or len({*faulty}) < len(faulty):
        raise Refused(file, "floorplan.absent", "they are not the cells without a PE for users")
    return users


def _spinnaker2_usage(options: dict[str, str], tree: Any, models: dict[str, str], wires: list[Wire], pairs: list[Array],
                      cuts: list[Any], size: Array, steps: int) -> tuple[Array, Array, int]:
    """Return (terms, slices) bytes of each slice, its events in a step, and the bytes of a PE."""
    asked = [each.split(":") for each in options["prices"].split(",") if ":" in each]
    price = {**SPIN_PRICES, "dyn_bytes": int(options["memory"])}
    price |= {name.strip(): int(value) for name, value in asked if price["dyn_bytes"] == 44928 or "dyn" not in name}
    use, events = np.zeros((7, len(size)), np.int64), np.zeros(len(size))
    spikes = {b["name"]: b["spikes"] for b in tree["populations"]}
    read = {b["population"] for b in tree["outputs"]}
    for i, (name, _, _) in enumerate(cuts):
        model, n = models[name], int(size[i])
        ring = n * (price["slots"] if SPIN_MODELS[model][1] else 1) * price["signs"] * price["slot_bytes"]
        state = n * 4 * price["state_words_exp" if "curr" in model else "state_words"]
        use[2:5, i] = ring, state, steps * 4 * (-(-n // 32) if spikes.get(name) else n) * (name in read)
        if model == "spike_list":
            use[2:, i] = 0, 0, 0, 0, math.ceil(n * steps * SPIN_RATE) * price["spike_bytes"]
    for w, pair in zip(wires, pairs):
        to, width = pair % len(size), 1 + w["pre"].max(initial=0)
        events += np.bincount(w["to"], minlength=len(size))
        use[0] += np.bincount(to, minlength=len(size)) * price["mpt_words"] * 4 * price["mpt_factor"]
        if w["kernel"]:
            mine = [name == w["target"] for name, _, _ in cuts]
            use[5, mine] = w["kernel"] + size[mine]
            continue
        row, fan = np.unique(w["to"] * width + w["pre"], return_counts=True)
        np.add.at(use[1], row // width, -(-(price["row_header"] + price["synapse_bytes"] * fan) // 4) * 4)
    return use, np.round(SPIN_RATE * events, 3), price["dyn_bytes"]


def _spinnaker2_walk(root: Any, key: Array, mask: Array, chip: Array, core: Array, pairs: Array) -> None:
    """Demand that the packets of each slice reach the PEs with synapses for them, each once."""
    tables = {row["chip"]: row["entries"].reshape(-1, 3) for row in root["routers"]}
    routes = root["routes"]
    source, target = np.divmod(pairs, len(key))
    for i, reached in enumerate(np.split(target, np.searchsorted(source, np.arange(1, len(key))))):
        want: dict[int, list[int]] = {}
        for j in reached:
            want.setdefault(int(chip[j]), []).append(int(core[j]))
        waiting, seen, spot = [int(chip[i])], set(), f"packets {key[i]:#x}"
        while waiting:
            here = waiting.pop()
            table = tables.get(here, np.zeros((0, 3), np.int64))
            sound = table[:, 0] & ~table[:, 1] == 0  # packet & mask == key can be true
            hit = np.flatnonzero(sound & ((key[i] ^ table[:, 0]) & table[:, 1] & mask[i] == 0))[:1]
            if here in seen or not hit.size or (table[hit, 1] & ~mask[i]).any() or table[hit[0], 2] >= len(routes):
                raise Refused("mapping.json", spot, "they go round, or nowhere, at chip", here)
            seen.add(here)
            links, cores = (routes[table[hit[0], 2]][name] for name in ("links", "cores"))
            if sorted(want.pop(here, [])) != sorted(cores) or len(set(links)) < len(links):
                raise Refused("mapping.json", spot, f"they reach other PEs of chip {here}", cores)
            for link in links:
                x, y = here % 8 + SPIN_LINKS[link][0], here // 8 + SPIN_LINKS[link][1]
                if not (0 <= x < 8 and 0 <= y < 8 and -4 <= y - x <= 3):
                    raise Refused("mapping.json", spot, "they leave the board at chip", here)
                waiting.append(x + 8 * y)
        if want:
            raise Refused("mapping.json", spot, "they miss PEs of chips", sorted(want))
