"""The checker's reader of SpiNNaker2: network.npz and mapping.json."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nirc.checker.bundle import Bundle
from nirc.checker.compare import Chip
from nirc.checker.networks import Block, add_neurons, kernel, network_file, numbered
from nirc.checker.values import Array, Node, Refused

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
Wire = dict[str, Any]


def spinnaker2(bundle: Bundle) -> Chip:
    """Rebuild the network of a SpiNNaker2."""
    bundle.manifest["part"].one_of("SpiNNaker2")
    bundle.manifest["target"].one_of("spinnaker2:chip", "spinnaker2:board")
    ends, sizes = "name source target", "in_height in_width stride_y stride_x pool_y pool_x"
    tree = network_file(bundle, "nirc-spinnaker2-1", {
        "inputs": "name atoms", "populations": "name model n atoms reset spikes", "outputs": "population",
        "projections": ends, "convolutions": f"{ends} {sizes} pad_top pad_left pad_bottom pad_right"})
    n = tree["channels"]
    ids = {b["name"]: b.array("channels", "<i4", (None,), 0, n - 1) for b in tree["inputs"]}
    first = list(ids.values())[:len(bundle.network.inputs)]  # other inputs copy some channels
    if sorted(np.concatenate([np.zeros(0, int), *first]).tolist()) != list(range(n)):
        raise Refused("network.npz", "inputs", "a channel is missing or there twice")
    for block in tree["populations"]:
        ids[block["name"]] = np.arange(n, n + block.node["n"].integer(1, 2**31 - 1))
        n += block["n"]
    spikes = [np.full(b["n"], b.node["spikes"].one_of(True, False)) for b in tree["populations"]]
    parts = {b["name"]: b["n"] for b in tree["populations"]}
    chip, number = numbered(tree, ids, parts, np.concatenate([np.zeros(0, bool), *spikes]))
    chip.absent = {"v_threshold": float(np.float32(1e30)), "v_reset": 0.0}
    for block in tree["populations"]:
        _spinnaker2_neurons(bundle, block, chip, number[ids[block["name"]]])
    models = {b["name"]: b.node.value.get("model", "spike_list") for b in tree["nodes"]}
    wires = [_spinnaker2_wire(bundle, block, models, ids) for block in tree["projections"]]
    wires += [_spinnaker2_kernel(bundle, block, models, ids) for block in tree["convolutions"]]
    rows = [(number[ids[w["source"]][w["pre"]]], number[ids[w["target"]][w["post"]]],
             (w["weight"] < 0) & ("curr" in models[w["target"]]), w["delay"] + 1, w["weight"]) for w in wires]
    spread: list[Any] = [np.broadcast_arrays(*row) for row in rows]
    columns = zip(*(spread or [[np.zeros(0, np.int64)] * 5]))
    chip.synapses = [np.concatenate(column) for column in columns]
    # A ring buffer sums the weights of a sign that act in a step. States are float32, which neither
    # wrap around nor saturate.
    for sign in (1, -1):
        total = np.bincount(chip.synapses[1], np.maximum(sign * chip.synapses[4], 0), len(number))
        if total.max(initial=0) > SPIN_RING:
            bundle.note("overflow", "network.npz", f"neuron {total.argmax() - chip.channels}",
                        "a buffer overflows if all weights of a sign act in a step", sign * total.max())
    _spinnaker2_mapping(bundle, tree, models, ids, wires)
    return chip


def _spinnaker2_neurons(bundle: Bundle, block: Block, chip: Chip, ids: Array) -> None:
    """Add a population's update rule and fields of NIR."""
    node = block.node
    filtered = "curr" in node["model"].one_of(*list(SPIN_MODELS)[1:])
    names = ["threshold", "alpha_decay", "i_offset", "v_init", "v_reset"]
    names += ["exc_decay", "inh_decay"] * filtered
    node["arrays"].one_of(names)
    values = []
    for name in names:
        low, high = (0, 1) if "decay" in name else (-3.4028235e38, 3.4028235e38)
        value = block.array(name, "<f4", (None,), low, high)
        if value.size not in (1, len(ids)) or (value == value[0]).all() != (value.size == 1):
            raise node["arrays"].refused(f"{name}: a value for all neurons, or different ones")
        values.append(np.broadcast_to(value, len(ids)))
    threshold, decay, drift, v, v_reset, *syn = values
    resets = {"reset_to_v_reset": "set", "reset_by_subtraction": "subtract"}
    reset = resets[node["reset"].one_of(*list(resets)[:2 if block["spikes"] else 1])]
    last = f", fire >= 1, {reset}, emit" if block["spikes"] else ""
    same = len(syn) == 2 and (syn[0] == syn[1]).all()
    add_neurons(chip, ids, bundle.dt, decay, drift, syn[:1] if same else syn, 1.0, last,
                {"v_init": v, "v_threshold": threshold, "v_reset": v_reset})


def _spinnaker2_wire(bundle: Bundle, block: Block, models: dict[str, str], ids: dict[str, Array]) -> Wire:
    """Return the synapses of a projection."""
    source, target = (block.node[end].name_in(ids) for end in ("source", "target"))
    weight, delay = SPIN_MODELS[models[target]]
    pre = block.array("pre", "<i4", (None,), 0, len(ids[source]) - 1)
    wire = {"post": block.array("post", "<i4", pre.shape, 0, len(ids[target]) - 1), "pre": pre,
            "weight": block.array("weight", "<i2", pre.shape, -weight, weight),
            "delay": block.array("delay", "<i2", pre.shape, 0, delay)}
    key = (pre * len(ids[target]) + wire["post"]) * 8 + wire["delay"]
    if (np.diff(key) <= 0).any() or not wire["weight"].all() or models[target] == "lif_conv2d":
        raise block.node.refused("synapses by pre, post and delay, none of weight 0")
    bundle.rest.append(block["name"])
    return {**wire, "source": source, "target": target, "kernel": 0}


def _spinnaker2_kernel(bundle: Bundle, block: Block, models: dict[str, str], ids: dict[str, Array]) -> Wire:
    """Return the synapses of a convolution, which sums over windows of its source first."""
    node = block.node
    source, target = (node[end].name_in(ids) for end in ("source", "target"))
    names = ("in_height", "in_width", "stride_y", "stride_x", "pool_y", "pool_x")
    height, width, *stride, py, px = (node[name].integer(1, 4096) for name in names)
    pads = [node[f"pad_{side}"].integer(0, 4096) for side in ("top", "left", "bottom", "right")]
    w = block.array("weight", "|i1", (None,) * 4, -127, 127).transpose(1, 0, 2, 3)
    before = [w.shape[1], height // py, width // px]
    side = [(n + a + b - k) // s + 1 for n, a, b, k, s in zip(before[1:], pads, pads[2:], w.shape[2:], stride)]
    fits = w.shape[1] * height * width == len(ids[source]) and len(w) * math.prod(side) == len(ids[target])
    if not fits or min(side) < 1 or models[target] != "lif_conv2d":
        raise node.refused("a convolution that fits its populations")
    post, middle, weight = kernel(node, w, before, [len(w), *side], pads, stride, [1, 1], 1)
    post, middle, weight = (each[weight != 0] for each in (post, middle, weight))
    channel, y, x = np.unravel_index(middle, before)
    dy, dx = (each.reshape(-1, 1) for each in np.indices((py, px)))
    pre = ((channel * height + y * py + dy) * width + x * px + dx).ravel()
    bundle.rest.append(node.value)
    return {"pre": pre, "post": np.tile(post, py * px), "weight": np.tile(weight, py * px),
            "delay": np.zeros(pre.size, int), "source": source, "target": target, "kernel": w.size}


def _spinnaker2_mapping(bundle: Bundle, tree: Any, models: dict[str, str], ids: dict[str, Array],
                        wires: list[Wire]) -> None:
    """Follow the packets of each slice of a population, and count what each PE takes."""
    root, options = bundle.json("mapping.json"), bundle.manifest["options"]["chip"]
    rows = root["slices"].list()
    cuts = [(row["population"].name_in(ids), row["from"].value, row["to"].value) for row in rows]
    wanted, owner = [], {name: np.zeros(len(each), int) for name, each in ids.items()}
    for block in tree["nodes"]:
        name, n = block["name"], len(ids[block["name"]])
        atoms = block.node["atoms"].integer(1, min(n, SPIN_ATOMS[models[name] == "lif_conv2d"]))
        wanted += [(name, k, min(k + atoms, n)) for k in range(0, n, atoms)]
    for i, (name, start, end) in enumerate(cuts):
        owner[name][start:end] = i
    if sorted(wanted) != sorted(cuts):
        raise root["slices"].refused(f"slices as atoms cut them: {wanted}")
    size = np.array([end - start for _, start, end in cuts])
    key, mask = (root["slices"].column(name, 0, 2**32 - 1) for name in ("key", "mask"))
    board = bundle.manifest["target"].value == "spinnaker2:board"
    root["floorplan"]["size"].one_of([64, 56, 4] if board else [8, 7, 4])
    chip = root["slices"].column("chip", 0, 63 * board)
    core = root["slices"].column("core", 1, 152)
    room = 2**32 - mask
    if (key & ~mask | room & (room - 1)).any() or (size > room).any() or (np.diff(key) < room[:-1]).any():
        raise root["slices"].refused("blocks of keys that do not overlap, in order")
    many, pairs = len(rows), []
    for w in wires:
        w["to"] = owner[w["target"]][w["post"]]
        pairs.append(np.unique(owner[w["source"]][w["pre"]] * many + w["to"]))
    _spinnaker2_walk(root, key, mask, chip, core, np.unique(np.concatenate([np.zeros(0, int), *pairs])))
    steps = root["steps"].one_of(int(options["steps"].of(str)))
    use, events, most = _spinnaker2_usage(options, tree, models, wires, pairs, cuts, size, steps)
    quad = np.array([list(map(int, row)) for row in SPIN_QUADS])[:, (core - 1) // 4]
    at = np.stack([chip % 8 * 8 + quad[0], chip // 8 * 7 + quad[1], (core - 1) % 4], 1)
    plan, order = root["floorplan"]["cores"], np.lexsort(at.T)
    gone = [root["floorplan"][name].integers(0, 255, None, 3) for name in ("faulty", "absent")]
    off = set(map(tuple, np.concatenate([cells.reshape(-1, 3) for cells in gone]).tolist()))
    if len(set(map(tuple, at.tolist())) - off) < many or np.bincount(chip).max(initial=0) > SPIN_PES:
        raise root["slices"].refused("a working PE for each slice")
    events = [int(n) if n == int(n) else n for n in events.tolist()]  # as JSON has them
    used = [{"neurons": int(size[i]), "memory": int(use[:, i].sum()), "events": events[i],
             **{term: int(n) for term, n in zip(SPIN_TERMS, use[:, i]) if n}} for i in order]
    wants = [{"at": at[i].tolist(), "chip": int(chip[i]), "usage": usage, "parts": [
        {"population": cuts[i][0], "box": [list(cuts[i][1:])]}]} for i, usage in zip(order, used)]
    for row, want in zip(plan.list(), wants):
        row.one_of(want)
        bundle.most("mapping.json", f"{row.path}: bytes", want["usage"]["memory"], most)
    auto = max(1e-3, round(1e-4 * math.ceil(max(events) / SPIN_EVENTS / 1e-4), 4))
    root["tick"]["seconds"].one_of(auto if options["tick"].value == "auto" else float(options["tick"].of(str)))
    plan.one_of(wants)
    for row in root["routers"].list():
        bundle.most("mapping.json", f"{row.path}: entries", len(row["entries"].list()), SPIN_ENTRIES)
    bundle.rest.append({**root.value, "floorplan": {**root["floorplan"].value, "cores": None}})


def _spinnaker2_usage(options: Node, tree: Any, models: dict[str, str], wires: list[Wire], pairs: list[Array],
                      cuts: list[Any], size: Array, steps: int) -> tuple[Array, Array, int]:
    """Return (terms, slices) bytes of each slice, its events in a step, and the bytes of a PE."""
    asked = [each.split(":") for each in options["prices"].of(str).split(",") if ":" in each]
    price = {**SPIN_PRICES, "dyn_bytes": int(options["memory"].of(str))}
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


def _spinnaker2_walk(root: Node, key: Array, mask: Array, chip: Array, core: Array, pairs: Array) -> None:
    """Demand that the packets of each slice reach the PEs with synapses for them, each once."""
    routes = [(row["links"].integers(0, 5, None).tolist(), row["cores"].integers(1, 152, None).tolist())
              for row in root["routes"].list()]
    tables = {row["chip"].integer(0, 63): row["entries"].integers(0, 2**32 - 1, None, 3)
              for row in root["routers"].list()}
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
            links, cores = routes[table[hit[0], 2]]
            if sorted(want.pop(here, [])) != sorted(cores) or len(set(links)) < len(links):
                raise Refused("mapping.json", spot, f"they reach other PEs of chip {here}", cores)
            for link in links:
                x, y = here % 8 + SPIN_LINKS[link][0], here // 8 + SPIN_LINKS[link][1]
                if not (0 <= x < 8 and 0 <= y < 8 and -4 <= y - x <= 3):
                    raise Refused("mapping.json", spot, "they leave the board at chip", here)
                waiting.append(x + 8 * y)
        if want:
            raise Refused("mapping.json", spot, "they miss PEs of chips", sorted(want))
