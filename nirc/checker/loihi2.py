"""The checker's reader of Loihi 2: network.npz and mapping.json."""

from __future__ import annotations

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
from nirc.checker.values import Array, demand, fit, parsed

# fmt: off
# Weights by sign mode, as synapses keep them. Source: lava-nc 0.10.0, utils/weightutils.py.
LOIHI2_SIGNS = {"mixed": (-256, 254, 2), "excitatory": (0, 255, 1), "inhibitory": (-255, 0, 1)}
# Cores. Sources: constants.py of lava-nc's compiler; Intel on Hala Point.
LOIHI2_SYSTEMS = {"oheogulch": 120, "kapohopoint": 8 * 120, "halapoint": 1152 * 122}
# Of a core, the memories in 64-bit words and bytes. Source: logs of Intel's partitioner in lava-dl
# 0.6.0, tutorials/lava/lib/dl/netx.
LOIHI2_LIMITS = {
    "neurons": 4096, "neuron groups": 8, "input axons": 16000, "axon maps": 16000,
    "output axons": 16000, "synapse memory": 12000, "shared memory": 120000}
LOIHI2_STATE = 2**23 - 1  # v saturates there, u wraps around beyond. Source: proc/lif/models.py
LOIHI2_WIRE: dict[str, Any] = {
    "name": str, "source": str, "target": str, "sign_mode": {*LOIHI2_SIGNS}, "num_weight_bits": 8}
LOIHI2_PLAIN = {**LOIHI2_WIRE, "weight_exp": (-8, 7), "geometry": None}
LOIHI2_WIRES = {
    "dense": {**LOIHI2_PLAIN, "weights": array("<i2", (2,), -256, 255)},
    "sparse": {**LOIHI2_PLAIN, "weights": array("<i2", (1,), -256, 255), "rows": COUNT,
               "cols": COUNT},
    "conv": {**LOIHI2_WIRE, "weights": array("<i2", (4,), -256, 255), "weight_exp": 0, "geometry": {
        "shape_in": [(1, 2**31 - 1)] * 3, "shape_out": [(1, 2**31 - 1)] * 3, "groups": (1, 127),
        "stride": [(1, 127)] * 2, "dilation": [(1, 127)] * 2, "padding": [(0, 127)] * 2}}}
LOIHI2_KINDS = {  # of blocks: fields and arrays
    "inputs": {"name": str, "channels": COUNT}, "outputs": {"population": str, "neurons": COUNT},
    "populations": {
        "name": str, "du": (0, 4095), "dv": (0, 4096), "vth": (0, 131071), "spikes": bool,
        "bias_mant": array("<i2", (1,), -4096, 4095), "bias_exp": array("<i2", (1,), 0, 7),
        "v_init": array("<i4", (1,), -LOIHI2_STATE, LOIHI2_STATE)},
    "projections": either("kind", LOIHI2_WIRES, {"delays": array("<i2", (1, 2), 1, 63)})}


def loihi2(bundle: Bundle) -> Chip:
    """Rebuild the network of a Loihi 2."""
    fit("manifest.json", bundle.manifest["part"], "Loihi 2", "part")
    tree, ids, number, chip = network_file(bundle, "nirc-loihi2-1", LOIHI2_KINDS)
    sound = (number == np.arange(len(number))).all()
    demand(sound, NETWORK, "inputs", "channels are not 0, 1, 2, ...")
    chip.parts = {"neurons": number[chip.channels:]}
    cells = _loihi2_cells(tree, ids, len(number))
    wires = [_loihi2_wire(block, ids) for block in tree["projections"]]
    chip.synapses = joined(wires)
    for name, block in bundle.blocks.items():
        at = chip.numbers(block)
        du, dv, theta, bias, v, spikes = cells[:, at]
        start = v  # the membrane as the model's first step begins, from which NIR counts
        for _ in range(bundle.late[name]):
            before, start = start, np.sign(start) * (abs(start) * (4096 - dv) // 4096) + bias
            start = np.clip(start, -LOIHI2_STATE, LOIHI2_STATE) * (start <= theta)
            if (start == before).all():  # and so after all further steps
                break
        fires = bool(spikes.all())
        ends = {"v_threshold": theta - start, "v_reset": -start} if fires else {}
        filters = [1 - (du + 1) / 4096] * bool((du < 4095).any())
        add_neurons(chip, at, bundle.dt, 1 - dv / 4096, bias - dv / 4096 * start, filters, 64.0,
                    ", fire > 1, set, emit" * fires, {"v_init": v, **ends})
    _loihi2_mapping(bundle, tree, ids, wires)
    _loihi2_bounds(bundle, tree, ids, cells, wires)
    return chip


def _loihi2_cells(tree: Any, ids: dict[str, Array], n: int) -> Array:
    """Return du, dv, theta, bias, v_init and spikes of all neurons, (6, n)."""
    cells = np.zeros((6, n), int)
    for block in tree["populations"]:
        mant, exp, v = block["bias_mant"], block["bias_exp"], block["v_init"]
        sound = mant.shape == exp.shape == v.shape and (block["spikes"] or block["vth"] == 131071)
        sound = sound and not ((exp > 0) & (abs(mant) < 2048)).any()
        problem = "a bias has not the least exponent, or a readout a threshold"
        demand(sound, NETWORK, block["name"], problem)
        decays, ends = (block["du"], block["dv"]), (block["vth"] << 6, mant << exp)
        cells[:, ids[block["name"]]] = np.broadcast_arrays(*decays, *ends, v, block["spikes"])
    return cells


def _loihi2_wire(block: Block, ids: dict[str, Array]) -> tuple[Any, ...]:
    """Return the synapses of a projection, those of weight 0, too, in the order of the file."""
    kind, place, g, w = (block[key] for key in ("kind", "name", "geometry", "weights"))
    source, target = ids[block["source"]], ids[block["target"]]
    low, high, step = LOIHI2_SIGNS[block["sign_mode"]]
    later, ends = block.get("delays", 0 * w), (w.min(initial=0), w.max(initial=0))
    sound = w.any() and not (w % step).any() and low <= w.min() and w.max() <= high
    demand(sound, NETWORK, place, "synapses keep other weights, or none", ends, (low, high))
    sound = later.shape == w.shape and (later == later.flat[0]).all()
    demand(sound, NETWORK, place, "there is more than one delay")
    n_in, n_out = len(source), len(target)
    if kind == "conv":
        before, behind, groups = g["shape_in"], g["shape_out"], g["groups"]
        sound = (np.prod(before), np.prod(behind)) == (n_in, n_out) and max(before[1:]) <= 256
        sound = sound and w.shape[1] * groups == before[0] and len(w) % groups == 0
        demand(sound, NETWORK, place, "the maps are not those of the populations")
        own = np.ones((len(w) // groups, *w.shape[1:]))  # taps of a group, the others have none
        there = np.kron(np.eye(groups)[:, :, None, None], own) > 0
        shape, to, frm, tap = windows(there, before, g["stride"], g["padding"] * 2, g["dilation"])
        demand([*shape] == behind, NETWORK, place, "the kernel does not fit its maps", shape)
        w = w.ravel()[tap]
    elif kind == "dense":
        demand(w.shape == (n_out, n_in), NETWORK, place, "another shape", w.shape, (n_out, n_in))
        to, frm = np.divmod(np.arange(w.size), n_in)
    else:
        to, frm = block["rows"], block["cols"]
        sound = w.shape == to.shape == frm.shape and (np.diff(to * n_in + frm) > 0).all()
        sound = sound and w.all() and to.max() < n_out and frm.max() < n_in
        demand(sound, NETWORK, place, "synapses are not by target, then source, or have weight 0")
    weight = w.ravel() * 2.0**block["weight_exp"]
    return source[frm], target[to], 0, 1 + later.flat[0], weight


def _loihi2_mapping(bundle: Bundle, tree: Any, ids: dict[str, Array], wires: Any) -> None:
    """Follow the spikes of each part of a population to cores, and count what each core takes."""
    part = {"population": {block["name"] for block in tree["populations"]}, "core": (0, 2**20),
            "box": [[(0, 2**40)] * 2, ...], "targets": [(0, 2**20), ...]}
    pattern = {"format": "nirc-loihi2-mapping/2", "parts": [part, ...]}
    parts = parsed(MAPPING, bundle.read(MAPPING), pattern)["parts"]
    core = np.array([row["core"] for row in parts], int)
    cores = np.unique(core)
    sound = (cores == np.arange(len(cores))).all()
    demand(sound, MAPPING, "parts", "cores are not 0, 1, 2, ...", cores)
    system = fit("manifest.json", bundle.manifest["target"][7:], {*LOIHI2_SYSTEMS}, "target")
    bundle.most(MAPPING, "cores", len(cores), LOIHI2_SYSTEMS[system])

    # The part of each neuron, and the length of a part along its first axis.
    owner, wide = np.full(sum(map(len, ids.values())), -1), np.ones(len(parts), int)
    ends: dict[str, Any] = {block["name"]: [] for block in tree["populations"]}
    for row in parts:
        ends[row["population"]].append([end for _, end in row["box"]])
    grids = {name: ids[name].reshape(np.max(each, 0)) for name, each in ends.items()}
    for i, row in enumerate(parts):
        at = grids[row["population"]][tuple(slice(*pair) for pair in row["box"])]
        alone = at.size and (owner[at] < 0).all()
        demand(alone, MAPPING, f"parts[{i}].box", "a neuron is on two cores", row["box"])
        owner[at], wide[i] = i, len(at)
    demand((owner[tree["channels"]:] >= 0).all(), MAPPING, "parts", "a neuron is on no core")
    used, targets = _loihi2_usage(tree, ids, owner, wide, core, wires)
    for i, (row, want) in enumerate(zip(parts, targets)):
        right, place = row["targets"] == want, f"parts[{i}].targets"
        demand(right, MAPPING, place, "other cores", row["targets"], want, kind="route")
    for (what, most), numbers in zip(LOIHI2_LIMITS.items(), used.T):
        bundle.most(MAPPING, f"{what} of core {{}}", numbers, most)


def _loihi2_usage(tree: Any, ids: Any, owner: Array, wide: Array, core: Array, wires: Any) -> Any:
    """Return (cores, 7) what the parts take of cores, and the cores that each part sends to."""
    volume, cores = np.bincount(owner[owner >= 0], minlength=len(core)), core.max(initial=-1) + 1
    use, sent = np.zeros((len(core), 7), int), [np.zeros(0, int)]
    use[:, 0], use[:, 1] = volume, 1
    for block, (source, target, *_) in zip(tree["projections"], wires):
        to, frm = owner[target], owner[source]
        sent.append(np.unique(frm[frm >= 0] * cores + core[to[frm >= 0]]))
        mine, into = (np.unique(owner[ids[block[end]]]) for end in ("source", "target"))
        mine = mine[mine >= 0]
        if block["kind"] == "conv":
            maps = volume[mine] // wide[mine]
            use[mine, 3] += 2 * maps
            use[mine, 4] += maps
            use[into, 2] += 2
            use[into, 5] += -(-wide[into] * block["weights"][0].size // 8)
        else:
            use[mine, 3] += volume[mine]
            key, fan = np.unique(to * len(owner) + source, return_counts=True)
            use[:, 2] += np.bincount(key // len(owner), minlength=len(core))
            np.add.at(use[:, 5], key // len(owner), -(-(20 * fan + 12) // 64))
    use[:, 3] += volume * (use[:, 3] == 0)  # an output
    use[:, 6] = 6 * use[:, [0, 2, 3, 4]].sum(1) + 8 * use[:, 5]
    part, reached = np.divmod(np.unique(np.concatenate(sent)), cores)
    total = np.zeros((cores, 7), int)
    np.add.at(total, core, use)
    ends = np.searchsorted(part, np.arange(1, len(core)))
    return total, [each.tolist() for each in np.split(reached, ends)]


def _loihi2_bounds(bundle: Bundle, tree: Any, ids: Any, cells: Array, wires: Any) -> None:
    """Bound u and v for any input, or find how all spikes of one sign drive them out of 24 bits."""
    du, dv, theta, bias, _, spikes = cells
    up, down, own = np.zeros((3, len(du)))
    for frm, to, _, delay, weight in wires:
        signs = (weight * 64 * sign for sign in (1, -1))
        plus, minus = (np.bincount(to, np.maximum(each, 0), len(du)) for each in signs)
        alone = not plus.any() and delay == 1 and (dv + spikes)[to].min() == 4097  # v = u
        alone &= ((frm == to) | (weight == 0)).all()
        up, own, down = up + plus, own + minus * alone, down + minus * (not alone)
    kept, total = 1 - (du + 1) / 4096, 4096 / (du + 1)  # u is at most a step's weights times total
    near = np.minimum(up * total, kept * theta + up + np.maximum(up - own, 0) * total)
    excess = np.where(own > 0, np.maximum(own - kept * theta, 0), 0)
    largest = np.maximum(np.where(own > 0, near, up * total), down * total + excess)
    lowest = (down * total + own - np.minimum(bias, 0)) * 4096 / np.maximum(dv, 2.0**-20)
    for block in tree["populations"]:
        at = ids[block["name"]]
        for sign, bound in ((1, up), (-1, down)):
            if largest[at].max() >= 2**23 or (sign < 0 and lowest[at].max() > LOIHI2_STATE):
                rows = [row[at] for row in (bound.astype(int), *cells)]
                _loihi2_drive(bundle, block["name"], sign, rows)


def _loihi2_drive(bundle: Bundle, name: str, sign: int, cells: list[Array]) -> None:
    """Let all synapses of one sign act in each step. Note where u wraps around or v saturates."""
    push, du, dv, _, bias, v, _ = cells
    u, word = 0 * push, "excitatory" if sign > 0 else "inhibitory"
    for step in range(1, 1 << 14):
        before, u = (u, v), u * (4095 - du) // 4096 + push
        v = np.sign(v) * (abs(v) * (4096 - dv) // 4096) + sign * u + bias
        gone = {"u wraps around": u > 2**23, "v saturates": (sign == -1) & (-v > LOIHI2_STATE)}
        for what, where in gone.items():
            if where.any():
                problem = f"{what} if all {word} synapses act for {step} steps"
                bundle.note("overflow", NETWORK, f"{name}[{where.argmax()}]", problem)
                return
        v = np.where(v > 0, 0, v) if sign > 0 else v
        if (u == before[0]).all() and (v == before[1]).all():
            return
