"""The checker's reader of Loihi 2: network.npz and mapping.json."""

from __future__ import annotations

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
# Weights by sign mode, as synapses keep them. Source: lava-nc 0.10.0, utils/weightutils.py.
LOIHI2_SIGNS = {"mixed": (-256, 254, 2), "excitatory": (0, 255, 1), "inhibitory": (-255, 0, 1)}
# Chips, cores of a chip. Sources: constants.py of lava-nc's compiler; Intel on Hala Point.
LOIHI2_SYSTEMS = {"oheogulch": (1, 120), "kapohopoint": (8, 120), "halapoint": (1152, 122)}
# Of a core. Source: logs of Intel's partitioner in lava-dl 0.6.0, tutorials/lava/lib/dl/netx.
LOIHI2_CORE = {"neurons": 4096, "neuron groups": 8, "input axons": 16000, "axon maps": 16000,
               "output axons": 16000, "synapse memory": 12000, "shared memory": 120000}
LOIHI2_STATE = 2**23 - 1  # v saturates there, u wraps around beyond 2**23. Source: proc/lif/models.py
LOIHI2_BITS = {"synapse memory": "64-bit words", "shared memory": "bytes"}
LOIHI2_BLOCKS: dict[str, dict[str, Any]] = {
    "inputs": {"name": str}, "outputs": {"population": str},
    "populations": {"name": str, "du": (0, 4095), "dv": (0, 4096), "vth": (0, 131071), "spikes": bool},
    "projections": {"name": str, "source": str, "target": str, "kind": {"dense", "sparse", "conv"},
                    "geometry": object, "sign_mode": {*LOIHI2_SIGNS}, "num_weight_bits": 8,
                    "weight_exp": (-8, 7)}}
LOIHI2_GEOMETRY = {**dict.fromkeys(("shape_in", "shape_out"), [(1, 2**31)] * 3), "groups": (1, 127),
                   **dict.fromkeys(("stride", "dilation"), [(1, 127)] * 2), "padding": [(0, 127)] * 2}
Wire = dict[str, Any]


def loihi2(bundle: Bundle) -> Chip:
    """Rebuild the network of a Loihi 2."""
    fit("manifest.json", bundle.manifest["part"], "Loihi 2", "part")
    tree = network_file(bundle, "nirc-loihi2-1", LOIHI2_BLOCKS)
    ids = {b["name"]: b.array("channels", "<i4", (None,), 0, 2**31 - 1) for b in tree["inputs"]}
    channels = np.concatenate([np.zeros(0, int), *ids.values()])
    if channels.tolist() != list(range(tree["channels"])):
        raise Refused(NETWORK, "inputs", "the channels are not 0, 1, 2, ...")
    cells = _loihi2_cells(tree, ids)
    chip, number = numbered(tree, ids, {"neurons": cells.shape[1]}, cells[5] > 0)
    wires = [_loihi2_wire(block, ids) for block in tree["projections"]]
    chip.synapses = joined([(number[w["from"]], number[w["to"]], 0, w["delay"], w["weight"]) for w in wires])
    neuron = np.full(len(number), -1)
    neuron[number[chip.channels:][:cells.shape[1]]] = np.arange(cells.shape[1])
    for population in bundle.network.populations.values():
        at = chip.numbers(population)
        du, dv, theta, bias, v, spikes = cells[:, neuron[at]]
        start = v  # the membrane as the model's first step begins, from which NIR counts
        for _ in range(population.late):
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
        mant = block.array("bias_mant", "<i2", (None,), -4096, 4095)
        exp = block.array("bias_exp", "<i2", mant.shape, 0, 7)
        v = block.array("v_init", "<i4", mant.shape, -LOIHI2_STATE, LOIHI2_STATE)
        if ((exp > 0) & (abs(mant) < 2048)).any() or not (block["spikes"] or block["vth"] == 131071):
            raise block.refused("a bias has not the least exponent, or a readout a threshold")
        values = (block["du"], block["dv"], block["vth"] << 6, mant << exp, v, block["spikes"])
        cells.append(np.stack([np.broadcast_to(value, mant.shape) for value in values]))
        ids[block["name"]] = np.arange(first, first + mant.size)
        first += mant.size
    return np.concatenate(cells, 1)


def _loihi2_wire(block: Block, ids: dict[str, Array]) -> Wire:
    """Return the synapses of a projection, those of weight 0, too, in the order of the file."""
    kind, exp = block["kind"], fit(NETWORK, block["weight_exp"], 0 if block["kind"] == "conv" else int)
    source, target = (ids[fit(NETWORK, block[end], ids.keys(), block.place)] for end in ("source", "target"))
    shape = {"dense": (len(target), len(source)), "sparse": (None,), "conv": (None,) * 4}[kind]
    low, high, step = LOIHI2_SIGNS[block["sign_mode"]]
    w = block.array("weights", "<i2", shape, low, high)
    if (w % step).any() or not w.any():
        raise block.refused("synapses keep other weights, or none")
    later = block.array("delays", "<i2", w.shape, 1, 63) if "delays" in block.arrays else np.zeros(1)
    if (later != later.flat[0]).any() or (kind == "conv" and later.any()):
        raise block.refused("there is more than one delay")
    wire: Wire = {"delay": 1 + later.flat[0], "conv": kind == "conv", "taps": w[0].size}
    g = fit(NETWORK, block["geometry"], LOIHI2_GEOMETRY if kind == "conv" else None, block.place)
    if kind == "conv":
        before, behind = g["shape_in"], g["shape_out"]
        if (np.prod(before), np.prod(behind)) != (len(source), len(target)) or max(before[1:]) > 256:
            raise block.refused("the maps are not those of the populations")
        to, frm, w = kernel(block, w, before, behind, g["padding"] * 2, g["stride"], g["dilation"], g["groups"])
    elif kind == "dense":
        to, frm = np.divmod(np.arange(w.size), len(source))
    else:
        to = block.array("rows", "<i4", w.shape, 0, len(target) - 1)
        frm = block.array("cols", "<i4", w.shape, 0, len(source) - 1)
        if (np.diff(to * len(source) + frm) <= 0).any() or not w.all():
            raise block.refused("synapses are not by target, then source, or have weight 0")
    return {**wire, "ends": (source, target), "from": source[frm], "to": target[to], "weight": w.ravel() * 2.0**exp}


def _loihi2_mapping(bundle: Bundle, tree: Any, ids: dict[str, Array], wires: list[Wire]) -> None:
    """Follow the spikes of each part of a population to cores, and count what each core takes."""
    file, spot, cell = "mapping.json", "routing.parts", [(0, 2**20)] * 3
    system = fit("manifest.json", bundle.manifest["target"], {f"loihi2:{name}" for name in LOIHI2_SYSTEMS})
    chips, cores = LOIHI2_SYSTEMS[system[7:]]
    names = [f"{what} of a core" for what in LOIHI2_CORE]
    units = [LOIHI2_BITS.get(what, "") for what in LOIHI2_CORE]
    limits: Any = {name: {"max": n, "unit": unit} for name, n, unit in zip(names, LOIHI2_CORE.values(), units)}
    plan = {**FLOORPLAN, "chip": [16, 8, 1], "router": [1, 1, 1], "limits": limits, "absent": list,
            "faulty": [], "size": cell, "cores": [{"at": cell, "chip": int, "parts": list, "usage": dict}, ...]}
    part = {"population": {b["name"] for b in tree["populations"]}, "box": [[(0, 2**40)] * 2, ...], "core": (0, 2**20), "targets": list}
    late = {population.name: population.late for population in bundle.network.populations.values()}
    root = bundle.json(file, {
        "format": "nirc-loihi2-mapping/1", "dt": bundle.manifest["dt"], "latency_steps": {**late, ...: int},
        "floorplan": plan, "cores": {"used": int, "bound": object}, "note": str, "largest_u": dict,
        "routing": {"parts": [part, ...], "order": str, "spikes_a_step_between_cores": object}})
    rows, parts = root["floorplan"]["cores"], root["routing"]["parts"]
    fit(file, root["cores"]["used"], len(rows), "cores.used")
    core = np.array([fit(file, row["core"], (0, len(rows) - 1), spot) for row in parts], int)
    owner, wide = np.full(sum(map(len, ids.values())), -1), np.ones(len(parts), np.int64)
    of: dict[str, list[int]] = {}
    for i, row in enumerate(parts):
        of.setdefault(row["population"], []).append(i)
    for block in tree["populations"]:
        mine = of.pop(block["name"], [])
        boxes = [parts[i]["box"] for i in mine]
        axes = set(map(len, boxes))
        shape = np.max(boxes, 0)[:, 1] if len(axes) == 1 and 0 not in axes else [0]
        if np.prod(shape) != len(ids[block["name"]]):
            raise Refused(file, spot, "no core for some neurons of " + block["name"])
        grid = ids[block["name"]].reshape(shape)
        for i, box in zip(mine, boxes):
            at = grid[tuple(slice(*pair) for pair in box)]
            if not at.size or (owner[at] >= 0).any():
                raise Refused(file, spot, "a neuron is on two cores", box)
            owner[at], wide[i] = i, len(at)
    if (owner[tree["channels"]:] < 0).any():
        raise Refused(file, spot, "a neuron is on no core")
    used, targets = _loihi2_usage(owner, wide, core, len(rows), wires)
    fit(file, [row["targets"] for row in parts], targets, f"{spot}.targets")
    size, at = np.array(root["floorplan"]["size"]), np.array([row["at"] for row in rows])
    grid = np.stack(np.unravel_index(np.arange(np.prod(size)), size[::-1])[::-1], 1)
    gone = (grid % (16, 8, 1) @ (1, 16, 0)) >= cores
    fit(file, root["floorplan"]["absent"], grid[gone].tolist(), "floorplan.absent")
    places = at @ (1, size[0], size[0] * size[1])
    if (at >= size).any() or (np.diff(places) <= 0).any() or gone[places].any() or np.prod(size) > chips * 128:
        raise Refused(file, "floorplan.cores", "cores are not on places of their own, in order")
    for i, row in enumerate(rows):
        own = [{"population": parts[j]["population"], "box": parts[j]["box"]} for j in np.flatnonzero(core == i)]
        chip = int(at[i] // (16, 8, 1) @ (1, size[0] // 16, size[0] * size[1] // 128))
        usage = {name: int(n) for name, n in zip(names, used[i])}
        fit(file, row, {"at": row["at"], "chip": chip, "usage": usage, "parts": own}, f"floorplan.cores[{i}]")
        for what, n in usage.items():
            bundle.most(file, f"floorplan.cores[{i}]: {what}", n, limits[what]["max"])


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

    pattern = {"largest_u": {"goes_round_after": {...: (1, 2**30)}, "proven": dict, "limit": 2**23}, ...: object}
    largest, claims = high(total), bundle.json("mapping.json", pattern)["largest_u"]
    lowest = (down * total + own - np.minimum(bias, 0)) * 4096 / np.maximum(dv, 2.0**-20)
    proven, after = {}, {}
    for block in tree["populations"]:
        at, name = ids[block["name"]] - first, block["name"]
        if largest[at].max() < 2**23:
            proven[name] = int(largest[at].max())
        else:
            k = after[name] = claims["goes_round_after"].get(name, 1)
            held = [np.where(total <= n, total, total * (1 - (1 - 1 / total) ** n)) for n in (k, k + 1)]
            if not high(held[0])[at].max() < 2**23 <= high(held[1])[at].max():
                raise Refused("mapping.json", f"largest_u.goes_round_after.{name}", "u has room for other steps", k)
        for sign, bound in ((1, up), (-1, down)):
            if largest[at].max() >= 2**23 or (sign < 0 and lowest[at].max() > LOIHI2_STATE):
                _loihi2_drive(bundle, name, sign, [each[at] for each in (bound.astype(int), du, dv, bias, v)])
    fit("mapping.json", claims, {"proven": proven, "goes_round_after": after, "limit": 2**23}, "largest_u")


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
