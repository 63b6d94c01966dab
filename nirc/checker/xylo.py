"""The checker's reader of Xylo: config.json and specification.npz."""

from __future__ import annotations

import itertools

import numpy as np

from nirc.checker.bundle import Bundle
from nirc.checker.compare import Chip
from nirc.checker.values import Array, Node

# Hidden and output neurons, targets of a neuron, recurrent entries, neurons in reach of inputs and
# outputs, part number. Source: rockpool 3.1.0, docs/devices/xylo-overview.ipynb and, for entries,
# RAM addresses in devices/xylo/*/ram.py and *_devkit_utils.py.
XYLO = {
    "audio2": (1000, 8, 64, 32000, 1000, "SYNS61201"),
    "audio3": (992, 32, 1024, 31744, 128, "SYNS65302"),
    "imu": (496, 16, 512, 31744, 128, "SYNS63300"),
}
XYLO_CLOCK = 50_000_000  # Hz. Source: rockpool, power_cycles_model.py
XYLO_CLOCKS = "bias_clock_enable hm_clock_enable isyn_clock_enable ra_clock_enable ram_power_enable"
XYLO_DEBUG = {
    "audio2": f"{XYLO_CLOCKS} isyn2_clock_enable",
    "audio3": "",
    "imu": f"{XYLO_CLOCKS} always_update_omp_stat",
}
XYLO_STEP = "add x->i, decay i, decay v, add i->v"  # then up to 31 spikes, 1 of a readout neuron


def xylo(bundle: Bundle) -> Chip:
    """Rebuild the network of a Xylo."""
    variant = bundle.manifest["target"].one_of(*(f"xylo:{name}" for name in XYLO)).partition(":")[2]
    config = bundle.json("config.json")
    config["variant"].one_of(variant)
    block = config["reservoir" if variant == "audio2" else "hidden"]
    two = variant != "imu"
    names = ["weights", "syn2_weights"] if two else ["weights"]
    window = XYLO[variant][4]
    n, m = len(block["neurons"].list()), len(config["readout"]["neurons"].list())
    reach = min(n, window)
    into = [config["input"][name].integers(-128, 127, None, reach) for name in names]
    within = [block[name].integers(-128, 127, n, n) for name in names]
    out = config["readout"]["weights"].integers(-128, 127, reach, m)
    channels = len(into[0])
    _xylo_limits(bundle, XYLO[variant], (channels, n, m), np.stack(within))
    alias = _xylo_aliases(block, n)
    fields = _xylo_fields(bundle, block, config["readout"], channels, two)
    _xylo_switches(bundle, config, variant, block, fields, into, within, alias)
    _xylo_specification(bundle, config, block, into, within, out, alias)
    parts = _xylo_synapses(config, block, into, within)
    # A relay is fired by the neuron whose alias it is, in the same step, and has no synapses.
    relays = alias[alias >= 0]
    fired_by = np.arange(n)
    fired_by[relays] = np.flatnonzero(alias >= 0)
    _xylo_relays(bundle, relays + channels, fields, parts)
    source, target = np.nonzero(out)
    value = out[source, target] << config["readout"]["weight_bit_shift"].integer(0, 7)
    parts.append((fired_by[source + n - reach] + channels, target + channels + n, 0, 1, value))
    silent = bundle.manifest["output_kind"].value == "membrane"
    last = XYLO_STEP + ("" if silent else ", fire >= 1, subtract, emit")
    idle = np.zeros(channels + n + m, bool)
    idle[relays + channels] = True
    chip = Chip(
        channels=channels,
        parts={"hidden": n, "readout": m},
        fields=fields,
        absent={"tau_syn_2": 2 * bundle.dt, "w_in_2": 2, "v_threshold": 32767, "v_reset": 0},
        rules=np.array(
            [""] * channels + [f"{XYLO_STEP}, fire >= 31, subtract, emit"] * n + [last] * m
        ),
        synapses=[np.concatenate(c) for c in zip(*(np.broadcast_arrays(*part) for part in parts))],
        columns=np.arange(m) + channels + n,
        idle=idle,
    )
    _xylo_bounds(bundle, chip)
    return chip


def _xylo_limits(bundle: Bundle, most: Array, sizes: tuple[int, int, int], within: Array) -> None:
    """Count what the chip has room for."""
    targets = (within != 0).any(0).sum(1)
    counts = (*sizes, targets.max(initial=0), targets.sum())
    names = ("input channels", "hidden neurons", "output neurons", "targets", "recurrent entries")
    for name, number, limit in zip(names, counts, (16, *most)):
        bundle.most("config.json", name, number, limit)


def _xylo_synapses(
    config: Node, block: Node, into: list[Array], within: list[Array]
) -> list[Array]:
    """Return source, target, receptor, delay and weights of the synapses to hidden neurons."""
    parts = []
    channels = len(into[0])
    for weights, part, first, delay in (
        (into, config["input"], 0, 0),
        (within, block, channels, 1),
    ):
        shift = part["weight_bit_shift"].integer(0, 7)
        for receptor, matrix in enumerate(weights):
            source, target = np.nonzero(matrix)
            value = matrix[source, target] << shift
            parts.append((source + first, target + channels, receptor, delay, value))
    return parts


def _xylo_aliases(block: Node, n: int) -> Array:
    """Return the alias of each hidden neuron, -1 for none."""
    rows = [row["alias_target"] for row in block["neurons"].list()]
    alias = np.array([-1 if r.value is None else r.integer(0, n - 1) for r in rows], np.int64)
    relays = alias[alias >= 0]
    if len(set(relays)) < len(relays) or (alias[relays] >= 0).any():
        raise block["neurons"].refused("one neuron for each relay")
    block["aliasing"].one_of(len(relays) > 0)
    return alias


def _xylo_fields(
    bundle: Bundle, block: Node, readout: Node, channels: int, two: bool
) -> dict[str, Array]:
    """Return the NIR fields of all neurons. A dash k takes 2**-k of a state in a step."""
    fields: dict[str, list[Array]] = {}
    common = "i_syn_decay v_mem_decay threshold v_mem_bias"
    for part, names in (
        (block, f"{common} alias_target{' i_syn2_decay' * two}"),
        (readout, common),
    ):
        rows = part["neurons"]
        for row in rows.list():
            row.has(names)
        n = len(rows.list())
        mem = 2.0 ** rows.column("v_mem_decay", 0, 15)
        syn = 2.0 ** rows.column("i_syn_decay", 0, 15)
        second = 2.0 ** rows.column("i_syn2_decay", 0, 15) if "i_syn2" in names else np.full(n, 2.0)
        values = {
            "tau_mem": bundle.dt * mem,
            "r": mem,
            "v_leak": rows.column("v_mem_bias", -128, 127) * mem,
            "tau_syn": bundle.dt * syn,
            "w_in": syn,
            "tau_syn_2": bundle.dt * second,
            "w_in_2": second,
            "v_threshold": rows.column("threshold", 1, 32767).astype(np.float64),
            "v_reset": np.zeros(n),
        }
        for name, value in values.items():
            fields.setdefault(name, [np.full(channels, np.nan)]).append(value)
    return {name: np.concatenate(values) for name, values in fields.items()}


def _xylo_relays(
    bundle: Bundle, relays: Array, fields: dict[str, Array], parts: list[Array]
) -> None:
    """Note relays that do more than repeat a neuron's spikes."""
    ends = np.concatenate([np.concatenate(part[:2]) for part in parts])
    for i in np.intersect1d(relays, ends)[:3]:
        bundle.note("network", "config.json", f"number {i}", "a relay has synapses")
    dt = bundle.dt
    for name, want in {
        "tau_mem": dt, "v_leak": 0, "tau_syn": 2 * dt, "tau_syn_2": 2 * dt, "v_threshold": 32767
    }.items():  # fmt: skip
        for i in relays[fields[name][relays] != want][:1]:
            have = fields[name][i]
            bundle.note("network", "config.json", f"number {i}", f"a relay's {name}", have, want)


def _xylo_switches(
    bundle: Bundle, config: Node, variant: str, block: Node, fields: dict[str, Array],
    into: list[Array], within: list[Array], alias: Array,
) -> None:  # fmt: skip
    """Demand the switches that the network needs, and no other fields."""
    second = any(matrix.any() for matrix in (*into[1:], *within[1:]))
    bias = bool(np.nan_to_num(fields["v_leak"]).any())
    wanted: dict[str, object] = {"format": "nirc-xylo-config/1", "variant": variant}
    wanted |= {"bias_enable": bias, "operation_mode": "AcceleratedTime"}
    if variant != "imu":
        wanted["synapse2_enable"] = second
    if variant == "audio3":
        wanted["input_source"] = "SpikeEvents"
    if variant == "imu":
        wanted["imu_if_input_enable"] = False
    if variant != "audio2" and bundle.manifest["dt"].value is not None:
        wanted["time_resolution_wrap"] = round(bundle.dt * XYLO_CLOCK)
    for name, want in wanted.items():
        config[name].one_of(want)
    config.has(" ".join(["input readout debug", block.path, *wanted]))
    syn2 = "" if variant == "imu" else "syn2_weights"
    config["input"].has(f"weights {syn2} weight_bit_shift")
    config["readout"].has("weights weight_bit_shift neurons")
    block.has(f"weights {syn2} weight_bit_shift aliasing neurons")
    clocks = dict.fromkeys(XYLO_DEBUG[variant].split(), True)
    if variant == "audio2":
        clocks |= {"bias_clock_enable": bias, "isyn2_clock_enable": second}
    debug = config["debug"].has(XYLO_DEBUG[variant])
    for name, want in clocks.items():
        debug[name].one_of(want)
    bundle.manifest["part"].one_of(XYLO[variant][5])


def _xylo_specification(
    bundle: Bundle, config: Node, block: Node, into: list[Array], within: list[Array], out: Array,
    alias: Array,
) -> None:  # fmt: skip
    """Compare specification.npz, the arguments of the vendor's function, with config.json."""
    hidden, readout = block["neurons"], config["readout"]["neurons"]
    rows = np.zeros((len(alias), out.shape[1]), np.int64)
    rows[len(alias) - len(out) :] = out
    last = (lambda w: np.stack(w, -1)) if len(into) > 1 else (lambda w: w[0])
    want = {"weights_in": last(into), "weights_rec": last(within), "weights_out": rows}
    for part, name in ((config["input"], "in"), (block, "rec"), (config["readout"], "out")):
        want[f"weight_shift_{name}"] = np.array(part["weight_bit_shift"].value)
    names = {"dash_mem": "v_mem_decay", "dash_syn": "i_syn_decay", "threshold": "threshold"}
    for name, key in names.items():
        want[name] = hidden.column(key, -(1 << 15), 1 << 15)
        want[f"{name}_out"] = readout.column(key, -(1 << 15), 1 << 15)
    want["bias_hidden"] = hidden.column("v_mem_bias", -128, 127)
    want["bias_out"] = readout.column("v_mem_bias", -128, 127)
    want["aliases"] = alias
    if len(into) > 1:
        want["dash_syn_2"] = hidden.column("i_syn2_decay", 0, 15)
    bundle.same("specification.npz", {name: array.astype(np.int16) for name, array in want.items()})


def _xylo_bounds(bundle: Bundle, chip: Chip) -> None:
    """Bound every synaptic state and membrane. Look for an input that saturates one of them."""
    fields = {name: np.nan_to_num(value, nan=1.0) for name, value in chip.fields.items()}
    open_states, drive = _xylo_unproved(chip, fields, 15)
    if open_states:
        found = _xylo_saturating(chip, fields, np.argsort(-drive)[:3])
        few, _ = _xylo_unproved(chip, fields, 1)
        total = 3 * (len(chip.rules) - chip.channels)
        problem = f"{open_states} of {total} states are not proved to stay in 16 bits"
        problem += f", {few} if inputs fire once a step at most"
        bundle.note("overflow", "config.json", "isyn, isyn2, v", problem, found)


def _xylo_unproved(chip: Chip, fields: dict[str, Array], inputs: int) -> tuple[int, Array]:
    """Return how many states may leave 16 bits, and the largest drive of each neuron.

    A state that gains at most h a step and loses x >> k climbs to h << k, and one that gains at
    least l < 0 falls to ((l + 1) << k) - 1. A channel fires ``inputs`` times in a step at most. A
    neuron fires as often as its threshold fits into its bound, 31 times at most. A membrane that
    fires is left below its threshold, and gains a step's current.
    """
    source, target, receptor, _, weight = chip.synapses
    n = len(chip.rules)
    key = (receptor * n + target).astype(int)
    tau, mem = np.stack([fields["w_in"], fields["w_in_2"]]), fields["r"]  # 2 ** dash
    bias, threshold = fields["v_leak"] / mem, fields["v_threshold"]
    cap = np.where(np.arange(n) < n - chip.parts["readout"], 31, 1)
    spikes = np.where(np.arange(n) < chip.channels, inputs, cap)
    for _ in range(20):
        most = spikes[source] * weight
        gain = np.bincount(key, np.maximum(most, 0), 2 * n).reshape(2, n)
        loss = np.bincount(key, np.minimum(most, 0), 2 * n).reshape(2, n)
        high, low = gain * tau, np.where(loss < 0, (loss + 1) * tau - 1, 0)
        rise, fall = (high - gain).sum(0) + bias, (low - loss).sum(0) + bias
        firing, silent = threshold - 1 + rise, np.maximum(rise, 0) * mem
        top = np.where(firing < (cap + 1) * threshold, np.minimum(firing, silent), silent)
        fits = np.floor(np.minimum(top, 32767) / threshold)
        fewer = np.where(np.arange(n) < chip.channels, inputs, np.minimum(spikes, fits))
        if (fewer == spikes).all():
            break
        spikes = fewer
    bottom = np.where(fall < 0, (fall + 1) * mem - 1, 0)
    wide = (np.stack([*high, top]) > 32767) | (np.stack([*low, bottom]) < -32768)
    return int(wide[:, chip.channels :].sum()), (gain - loss).sum(0)


def _xylo_saturating(chip: Chip, fields: dict[str, Array], neurons: Array) -> str:
    """Return an input that saturates a state, as a run from cleared states shows."""
    source, target, receptor, _, weight = chip.synapses
    n = len(chip.rules)
    w = np.zeros((2, n, n))
    np.add.at(w, (receptor.astype(int), target, source), weight)
    tau, mem = np.stack([fields["w_in"], fields["w_in_2"]]), fields["r"]
    most = np.where(np.arange(n) < n - chip.parts["readout"], 31, 1)

    def leak(x: Array, tau: Array) -> Array:
        return np.maximum(np.floor(x / tau), np.minimum(x, 1))

    for sign, neuron in itertools.product((1, -1), neurons.tolist()):
        x = np.zeros(n)
        x[: chip.channels] = 15 * (sign * w[:, neuron, : chip.channels].sum(0) > 0)
        spikes, isyn, v = np.zeros(n), np.zeros((2, n)), np.zeros(n)
        for step in range(100):
            isyn += w @ (x + spikes)
            after = isyn - leak(isyn, tau)
            v += after.sum(0) + fields["v_leak"] / mem - leak(v, mem)
            for name, state in (("isyn", isyn[0]), ("isyn2", isyn[1]), ("v", v)):
                i = int(np.argmax(np.abs(state[chip.channels :])))
                if abs(state[chip.channels + i]) > 32768:
                    channels = np.flatnonzero(x).tolist()
                    return f"{name} of neuron {i} leaves in step {step}: 15 spikes on {channels}"
            isyn = after
            spikes = np.clip(v // fields["v_threshold"], 0, most)
            spikes[: chip.channels] = 0
            v -= spikes * fields["v_threshold"]
    return "no input tried leaves them"
