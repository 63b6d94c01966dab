"""The checker's reader of Loihi 2: network.npz and mapping.json."""

from __future__ import annotations

from typing import Any

import numpy as np

from nirc.checker.bundle import Bundle
from nirc.checker.compare import Chip, latencies
from nirc.checker.networks import Block, add_neurons, kernel, network_file, numbered
from nirc.checker.values import Array, Refused

# fmt: off
# Weights by sign mode, as synapses keep them. Source: lava-nc 0.10.0, utils/weightutils.py.
LOIHI2_SIGNS = {"mixed": (-256, 254, 2), "excitatory": (0, 255, 1), "inhibitory": (-255, 0, 1)}
# Chips, cores of a chip. Sources: constants.py of lava-nc's compiler; Intel on Hala Point.
LOIHI2_SYSTEMS = {"oheogulch": (1, 120), "kapohopoint": (8, 120), "halapoint": (1152, 122)}
# Of a core. Source: logs of Intel's partitioner in lava-dl 0.6.0, tutorials/lava/lib/dl/netx.
LOIHI2_CORE = {"neurons": 4096, "neuron groups": 8, "input axons": 16000, "axon maps": 16000,
               "output axons": 16000, "synapse memory": 12000, "shared memory": 120000}
LOIHI2_STATE = 2**23 - 1  # v saturates there, u wraps around beyond 2**23. Source: proc/lif/models.py
Wire = dict[str, Any]


def loihi2(bundle: Bundle) -> Chip:
    """Rebuild the network of a Loihi 2."""
    bundle.manifest["part"].one_of("Loihi 2")
    if "network.net" in bundle.manifest["files"].of(dict):  # the network once more, for lava-dl
        bundle.rest.append(bundle.read("network.net").hex())
    tree = network_file(bundle, "nirc-loihi2-1", {
        "inputs": "name", "populations": "name du dv vth spikes", "outputs": "population",
        "projections": "name source target kind geometry sign_mode num_weight_bits weight_exp"})
    ids = {b["name"]: b.array("channels", "<i4", (None,), 0, 2**31 - 1) for b in tree["inputs"]}
    channels = np.concatenate([np.zeros(0, int), *ids.values()])
    if channels.tolist() != list(range(tree["channels"])):
        raise Refused("network.npz", "inputs", "the channels are not 0, 1, 2, ...")
    cells = _loihi2_cells(tree, ids)
    chip, number = numbered(tree, ids, {"neurons": cells.shape[1]}, cells[5] > 0)
    wires = [_loihi2_wire(bundle, block, ids) for block in tree["projections"]]
    rows = [(number[w["from"]], number[w["to"]], 0, w["delay"], w["weight"]) for w in wires]
    spread: list[Any] = [np.broadcast_arrays(*row) for row in rows]
    columns = zip(*(spread or [[np.zeros(0, np.int64)] * 5]))
    chip.synapses = [np.concatenate(column) for column in columns]
    neuron, blocks = np.full(len(number), -1), bundle.manifest["populations"]
    neuron[number[chip.channels:][:cells.shape[1]]] = np.arange(cells.shape[1])
    for name in blocks.of(dict):
        part = blocks[name]["part"].name_in(chip.parts)
        at = blocks[name]["index"].flat().integers(0, chip.parts[part] - 1, None) + chip.first(part)
        du, dv, theta, bias, v, spikes = cells[:, neuron[at]]
        start = v  # the membrane as the model's first step begins, from which NIR counts
        for _ in range(blocks[name]["latency_steps"].integer(0, 4096)):
            before, start = start, np.sign(start) * (abs(start) * (4096 - dv) // 4096) + bias
            start = np.clip(start, -LOIHI2_STATE, LOIHI2_STATE) * (start <= theta)
            if (start == before).all():  # and so after all further steps
                break
        ends = {"v_threshold": theta - start, "v_reset": -start} if spikes.all() else {}
        add_neurons(chip, at, bundle.dt, 1 - dv / 4096, bias - dv / 4096 * start,
                    [1 - (du + 1) / 4096] * bool((du < 4095).any()), 64.0,
                    ", fire > 1, set, emit" * bool(spikes.all()), {"v_init": v, **ends})
    _loihi2_mapping(bundle, tree, ids, wires)
    _loihi2_bounds(bundle, tree, ids, cells, wires)
    return chip


def _loihi2_cells(tree: dict[str, Any], ids: dict[str, Array]) -> Array:
    """Return du, dv, theta, bias, v_init and spikes of all neurons, (6, n)."""
    cells, first = [np.zeros((6, 0), np.int64)], tree["channels"]
    for block in tree["populations"]:
        node, mant = block.node, block.array("bias_mant", "<i2", (None,), -4096, 4095)
        exp = block.array("bias_exp", "<i2", mant.shape, 0, 7)
        if ((exp > 0) & (abs(mant) < 2048)).any():
            raise node["arrays"].refused("biases with the least exponents")
        spikes = node["spikes"].one_of(True, False)
        values = (node["du"].integer(0, 4095), node["dv"].integer(0, 4096),
                  node["vth"].integer(0 if spikes else 131071, 131071) << 6, mant << exp,
                  block.array("v_init", "<i4", mant.shape, -LOIHI2_STATE, LOIHI2_STATE), spikes)
        cells.append(np.stack([np.broadcast_to(value, mant.shape) for value in values]))
        ids[block["name"]] = np.arange(first, first + mant.size)
        first += mant.size
    return np.concatenate(cells, 1)


def _loihi2_wire(bundle: Bundle, block: Block, ids: dict[str, Array]) -> Wire:
    """Return the synapses of a projection, those of weight 0, too, in the order of the file."""
    node, kind = block.node, block.node["kind"].one_of("dense", "sparse", "conv")
    source, target = (ids[node[end].name_in(ids)] for end in ("source", "target"))
    shape = {"dense": (len(target), len(source)), "sparse": (None,), "conv": (None,) * 4}[kind]
    low, high, step = LOIHI2_SIGNS[node["sign_mode"].one_of(*LOIHI2_SIGNS)]
    w = block.array("weights", "<i2", shape, low, high)
    exp = node["weight_exp"].integer(*((0, 0) if kind == "conv" else (-8, 7)))
    if (w % step).any() or not w.any() or node["num_weight_bits"].one_of(8) != 8:
        raise node.refused("weights that synapses keep as they are")
    later = block.array("delays", "<i2", w.shape, 1, 63) if "delays" in block.arrays else np.zeros(1)
    if (later != later.flat[0]).any() or (kind == "conv" and later.any()):
        raise node.refused("one delay for all synapses of a projection")
    bundle.rest.append([node.value[key] for key in ("name", "geometry", "sign_mode")])
    wire: Wire = {"delay": 1 + later.flat[0], "conv": kind == "conv", "taps": w[0].size}
    if kind == "conv":
        g = node["geometry"].has("shape_in shape_out stride padding dilation groups")
        before, behind = (g[k].integers(1, 2**31, 3).tolist() for k in ("shape_in", "shape_out"))
        pads, stride, dilation = (g[k].integers(k != "padding", 127, 2).tolist()
                                  for k in ("padding", "stride", "dilation"))
        if (np.prod(before), np.prod(behind)) != (len(source), len(target)) or max(before[1:]) > 256:
            raise g.refused("maps of the populations")
        groups = g["groups"].integer(1, 127)
        to, frm, w = kernel(g, w, before, behind, pads * 2, stride, dilation, groups)
    elif kind == "dense":
        to, frm = np.divmod(np.arange(w.size), len(source))
    else:
        to = block.array("rows", "<i4", w.shape, 0, len(target) - 1)
        frm = block.array("cols", "<i4", w.shape, 0, len(source) - 1)
        if (np.diff(to * len(source) + frm) <= 0).any() or not w.all():
            raise node.refused("synapses by target, then source, none of weight 0")
    return {**wire, "ends": (source, target), "from": source[frm], "to": target[to], "weight": w.ravel() * 2.0**exp}


def _loihi2_mapping(bundle: Bundle, tree: Any, ids: dict[str, Array], wires: list[Wire]) -> None:
    """Follow the spikes of each part of a population to cores, and count what each core takes."""
    root = bundle.json("mapping.json")
    rows, parts = root["floorplan"]["cores"].list(), root["routing"]["parts"].list()
    core = root["routing"]["parts"].column("core", 0, len(rows) - 1)
    owner, wide = np.full(sum(map(len, ids.values())), -1), np.ones(len(parts), np.int64)
    of: dict[str, list[int]] = {}
    for i, part in enumerate(parts):
        of.setdefault(part["population"].of(str), []).append(i)
    for block in tree["populations"]:
        mine = of.pop(block["name"], [])
        boxes = [parts[i]["box"].integers(0, 2**40, None, 2) for i in mine]
        shape = np.max([box[:, 1] for box in boxes], 0) if boxes else np.zeros(1, int)
        if np.prod(shape) != len(ids[block["name"]]) or len(set(map(len, boxes))) > 1:
            raise root["routing"].refused("a core for each neuron of " + block["name"])
        grid = ids[block["name"]].reshape(shape)
        for i, box in zip(mine, boxes):
            at = grid[tuple(slice(*pair) for pair in box.tolist())]
            if not at.size or (owner[at] >= 0).any():
                raise parts[i]["box"].refused("neurons that are on no other core")
            owner[at], wide[i] = i, len(at)
    if (owner[tree["channels"]:] < 0).any():
        raise root["routing"].refused("a core for each neuron")
    used, targets = _loihi2_usage(owner, wide, core, len(rows), wires)
    for row, want in zip(parts, targets):
        row.has("population box core targets")["targets"].one_of(want)
    size = root["floorplan"]["size"].integers(1, 2**20, 3)
    at = np.array([row["at"].integers(0, 2**20, 3) for row in rows])
    target = bundle.manifest["target"].one_of(*(f"loihi2:{name}" for name in LOIHI2_SYSTEMS))
    chips, cores = LOIHI2_SYSTEMS[target[7:]]
    if len(np.unique(at, axis=0)) < len(rows) or (at >= size).any() or np.prod(size) > chips * 128 \
            or (at % (16, 8, 1) @ (1, 16, 0) >= cores).any():
        raise root["floorplan"].refused("cores on places of their own, on the system's chips")
    for i, row in enumerate(rows):
        usage = {f"{what} of a core": int(n) for what, n in zip(LOIHI2_CORE, used[i])}
        own = [{k: parts[j][k].value for k in ("population", "box")} for j in np.flatnonzero(core == i)]
        row.has("at chip parts usage")["usage"].one_of(usage)
        row["parts"].one_of(own)
        row["chip"].one_of(int(at[i] // (16, 8, 1) @ (1, size[0] // 16, size[0] * size[1] // 128)))
        for what, n in zip(LOIHI2_CORE, used[i]):
            bundle.most("mapping.json", f"{row.path}: {what}", n, LOIHI2_CORE[what])
    late = latencies(bundle)
    steps = {bundle.noted(name): late[name] for name in bundle.network.populations}
    root["latency_steps"].one_of({**root["latency_steps"].of(dict), **steps})
    root["dt"].one_of(bundle.manifest["dt"].value)
    places = [row["at"].value for row in rows]  # others would do as well
    bundle.rest.append({**root.value, "dt": None, "largest_u": None, "routing": {**root["routing"].value, "parts": None},
                        "floorplan": {**root["floorplan"].value, "cores": places}})


def _loihi2_usage(owner: Array, wide: Array, core: Array, cores: int, wires: list[Wire]) -> Any:
    """Return (cores, 7) what the parts take of cores, and the cores that each part sends to."""
    volume = np.bincount(owner[owner >= 0], minlength=len(core))
    use, sent = np.zeros((len(core), 7), np.int64), [np.zeros(0, np.int64)]
    use[:, 0], use[:, 1] = volume, 1
    for w in wires:
        to, frm = owner[w["to"]], owner[w["from"]]
        sent.append(np.unique(frm[frm >= 0] * cores + core[to[frm >= 0]]))
        mine, into = (np.unique(owner[each]) for each in w["ends"])
        mine = mine[mine >= 0]
        use[mine, 3] += 2 * volume[mine] // wide[mine] if w["conv"] else volume[mine]
        use[mine, 4] += volume[mine] // wide[mine] if w["conv"] else 0
        if w["conv"]:
            use[into, 2] += 2
            use[into, 5] += -(-wide[into] * w["taps"] // 8)
            continue
        key, fan = np.unique(to * len(owner) + w["from"], return_counts=True)
        use[:, 2] += np.bincount(key // len(owner), minlength=len(core))
        np.add.at(use[:, 5], key // len(owner), -(-(20 * fan + 12) // 64))
    use[:, 3] += volume * (use[:, 3] == 0)  # an output
    use[:, 6] = 6 * use[:, [0, 2, 3, 4]].sum(1) + 8 * use[:, 5]
    part, reached = np.divmod(np.unique(np.concatenate(sent)), cores)
    total = np.zeros((cores, 7), np.int64)
    np.add.at(total, core, use)
    ends = np.searchsorted(part, np.arange(1, len(core)))
    return total, [each.tolist() for each in np.split(reached, ends)]


def _loihi2_bounds(bundle: Bundle, tree: Any, ids: dict[str, Array], cells: Array, wires: list[Wire]) -> None:
    """Bound u and v for any input, or find how all spikes of one sign drive them out of 24 bits."""
    first, (du, dv, theta, bias, v, spikes) = tree["channels"], cells
    up, down, own = np.zeros((3, first + cells.shape[1]))
    for w in wires:
        plus, minus = (np.bincount(w["to"], np.maximum(sign * 64 * w["weight"], 0), up.size) for sign in (1, -1))
        alone = not plus.any() and w["delay"] == 1 and (w["from"] == w["to"])[w["weight"] != 0].all()
        alone &= bool((dv + spikes)[w["to"] - first].min() == 4097)  # v is u
        up, own, down = up + plus, own + minus * alone, down + minus * (not alone)
    up, down, own = (each[first:] for each in (up, down, own))
    kept, total = 1 - (du + 1) / 4096, 4096 / (du + 1)  # u is at most a step's weights times total

    def high(held: Array) -> Array:
        near = np.minimum(up * held, kept * theta + up + np.maximum(up - own, 0) * held)
        excess = np.where(own > 0, np.maximum(own - kept * theta, 0), 0)
        return np.maximum(np.where(own > 0, near, up * held), down * held + excess)

    largest, claims = high(total), bundle.json("mapping.json")["largest_u"].has("proven goes_round_after limit")
    lowest = (down * total + own - np.minimum(bias, 0)) * 4096 / np.maximum(dv, 2.0**-20)
    proven, after = {}, {}
    for block in tree["populations"]:
        at, name = ids[block["name"]] - first, block["name"]
        if largest[at].max() < 2**23:
            proven[name] = int(largest[at].max())
        else:
            k = after[name] = claims["goes_round_after"][name].integer(1, 2**30)
            held = [np.where(total <= n, total, total * (1 - (1 - 1 / total) ** n)) for n in (k, k + 1)]
            if not high(held[0])[at].max() < 2**23 <= high(held[1])[at].max():
                raise claims["goes_round_after"][name].refused("the steps that u has room for")
        for sign, bound in ((1, up), (-1, down)):
            if largest[at].max() >= 2**23 or (sign < 0 and lowest[at].max() > LOIHI2_STATE):
                _loihi2_drive(bundle, name, sign, [each[at] for each in (bound.astype(int), du, dv, bias, v)])
    claims["proven"].one_of(proven)
    claims["goes_round_after"].one_of(after)
    claims["limit"].one_of(2**23)


def _loihi2_drive(bundle: Bundle, name: str, sign: int, cells: list[Array]) -> None:
    """Let all synapses of one sign act in each step. Note where u wraps around or v saturates."""
    push, du, dv, bias, v = cells
    u, word = 0 * push, "excitatory" if sign > 0 else "inhibitory"
    for step in range(1, 1 << 14):
        before, u = (u, v), u * (4095 - du) // 4096 + push
        v = np.sign(v) * (abs(v) * (4096 - dv) // 4096) + sign * u + bias
        gone = {"u wraps around": u > 2**23, "v saturates": v * sign > LOIHI2_STATE + (sign > 0) * 2**62}
        for what, where in gone.items():
            if where.any():
                spot = f"{name}[{where.argmax()}]"
                bundle.note("overflow", "network.npz", spot, f"{what} if all {word} synapses act for {step} steps")
                return
        v = np.where(v > 0, 0, v) if sign > 0 else v
        if (u == before[0]).all() and (v == before[1]).all():
            return
