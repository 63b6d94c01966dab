"""The checker's reader of Xylo: config.json and specification.npz."""

from __future__ import annotations

from typing import Any

import numpy as np

from nirc.checker.bundle import Bundle
from nirc.checker.compare import Chip
from nirc.checker.values import Array, Refused, fit, shaped

# Hidden and output neurons, targets of a neuron, recurrent entries, neurons in reach of inputs and
# outputs, part number. Source: rockpool 3.1.0, docs/devices/xylo-overview.ipynb and, for entries,
# RAM addresses in devices/xylo/*/ram.py and *_devkit_utils.py.
XYLO = {
    "audio2": (1000, 8, 64, 32000, 1000, "SYNS61201"),
    "audio3": (992, 32, 1024, 31744, 128, "SYNS65302"),
    "imu": (496, 16, 512, 31744, 128, "SYNS63300"),
}
XYLO_CLOCK = 50_000_000  # Hz. Source: rockpool, power_cycles_model.py
XYLO_CLOCKS = "hm_clock_enable isyn_clock_enable ra_clock_enable ram_power_enable"
XYLO_WEIGHTS, XYLO_SHIFT = (-128, 127, 2), (0, 7)
XYLO_NEURON = {
    **dict.fromkeys(("i_syn_decay", "v_mem_decay"), (0, 15)),
    **{"threshold": (1, 32767), "v_mem_bias": (-128, 127)},
}
XYLO_STEP = "add x->i, decay i, decay v, add i->v"  # then up to 31 spikes, 1 of a readout neuron


def xylo(bundle: Bundle) -> Chip:
    """Rebuild the network of a Xylo."""
    names, file = {f"xylo:{name}" for name in XYLO}, "config.json"
    variant = fit("manifest.json", bundle.manifest["target"], names, "target").partition(":")[2]
    *most, window, part = XYLO[variant]
    fit("manifest.json", bundle.manifest["part"], part, "part")
    config = bundle.json(file, _xylo_pattern(bundle, variant, bool, bool, bool))
    block = config["reservoir" if variant == "audio2" else "hidden"]
    hidden, readout, two = block["neurons"], config["readout"]["neurons"], variant != "imu"
    channels, n, m = len(config["input"]["weights"]), len(hidden), len(readout)
    reach, keys = min(n, window), ["weights", "syn2_weights"][: 1 + two]
    into = [shaped(file, f"input.{key}", config["input"][key], channels, reach) for key in keys]
    within = [shaped(file, f"hidden.{key}", block[key], n, n) for key in keys]
    out = shaped(file, "readout.weights", config["readout"]["weights"], reach, m)
    alias = _xylo_aliases(file, hidden)
    relays = alias[alias >= 0]

    fields = _xylo_fields(bundle.dt, channels, hidden, readout)
    second = any(matrix.any() for matrix in (*into[1:], *within[1:]))
    bias = bool(np.nan_to_num(fields["v_leak"]).any())
    bundle.json(file, _xylo_pattern(bundle, variant, bias, second, len(relays) > 0))
    _xylo_counts(bundle, within, (n, m, channels), (*most, 16))
    whole = np.zeros((n, m), int)
    whole[n - reach :] = out
    weights = {"weights_in": np.stack(into, -1), "weights_rec": np.stack(within, -1)}
    if not two:
        weights = {key: array[..., 0] for key, array in weights.items()}
    weights |= {"weights_out": whole, **({"aliases": alias} if len(relays) else {})}
    _xylo_specification(bundle, config, block, weights)

    groups = ((into, config["input"], 0, 0), (within, block, channels, 1))
    parts = _xylo_synapses(groups, channels)
    _xylo_relays(bundle, relays + channels, fields, parts)
    # A relay is fired by the neuron whose alias it is, in the same step, and has no synapses.
    fired_by = np.arange(n)
    fired_by[relays] = np.flatnonzero(alias >= 0)
    frm, to = np.nonzero(whole)
    value = whole[frm, to] << config["readout"]["weight_bit_shift"]
    parts.append((fired_by[frm] + channels, to + channels + n, 0, 1, value))
    silent = bundle.manifest["output_kind"] == "membrane"
    last = XYLO_STEP + ("" if silent else ", fire >= 1, subtract, emit")
    rules = ["", f"{XYLO_STEP}, fire >= 31, subtract, emit", last]
    chip = Chip(
        channels=channels,
        parts={"hidden": n, "readout": m},
        fields=fields,
        absent={"tau_syn_2": 2 * bundle.dt, "w_in_2": 2, "v_threshold": 32767, "v_reset": 0},
        rules=np.repeat(np.array(rules), (channels, n, m)),
        synapses=[np.concatenate(c) for c in zip(*(np.broadcast_arrays(*row) for row in parts))],
        columns=np.arange(m) + channels + n,
        idle=np.isin(np.arange(channels + n + m), relays + channels),
    )
    _xylo_bounds(bundle, chip)
    return chip


def _xylo_pattern(bundle: Bundle, variant: str, bias: Any, second: Any, aliases: Any) -> Any:
    """Return the pattern of config.json, with these switches."""
    drive: dict[str, Any] = {"weights": XYLO_WEIGHTS, "weight_bit_shift": XYLO_SHIFT}
    two = {**drive, "syn2_weights": XYLO_WEIGHTS} if variant != "imu" else drive
    more = {} if variant == "imu" else {"i_syn2_decay": (0, 15)}
    neurons = [{**XYLO_NEURON, "alias_target": object, **more}, ...]
    clocks = {"bias_clock_enable": bias, "isyn2_clock_enable": second}
    clocks |= dict.fromkeys(XYLO_CLOCKS.split(), True)
    if variant == "imu":
        del clocks["isyn2_clock_enable"]
        clocks |= {"bias_clock_enable": True, "always_update_omp_stat": True}
    special = {
        "audio2": {"synapse2_enable": second},
        "audio3": {"synapse2_enable": second, "input_source": "SpikeEvents"},
        "imu": {"imu_if_input_enable": False},
    }[variant]
    if variant != "audio2" and bundle.manifest["dt"] is not None:
        special["time_resolution_wrap"] = round(bundle.dt * XYLO_CLOCK)
    return {
        **{"format": "nirc-xylo-config/1", "variant": variant, "operation_mode": "AcceleratedTime"},
        **{"bias_enable": bias, "debug": {} if variant == "audio3" else clocks, **special},
        "input": two,
        "reservoir" if variant == "audio2" else "hidden": {
            **two,
            "aliasing": aliases,
            "neurons": neurons,
        },
        "readout": {**drive, "neurons": [XYLO_NEURON, ...]},
    }


def _xylo_synapses(groups: Any, channels: int) -> list[Any]:
    """Return source, target, receptor, delay and weight of the synapses of each matrix."""
    parts = []
    for matrices, part, start, delay in groups:
        for receptor, matrix in enumerate(matrices):
            frm, to = np.nonzero(matrix)
            weight = matrix[frm, to] << part["weight_bit_shift"]
            parts.append((frm + start, to + channels, receptor, delay, weight))
    return parts


def _xylo_aliases(file: str, hidden: list[Any]) -> Array:
    """Return the relay of each neuron, -1 for none."""
    targets = [-1 if row["alias_target"] is None else row["alias_target"] for row in hidden]
    for i, target in enumerate(targets):
        last = (0, len(hidden) - 1) if target != -1 else None
        fit(file, hidden[i]["alias_target"], last, f"alias of {i}")
    alias = np.array(targets, int)
    relays = alias[alias >= 0]
    if len(set(relays)) < len(relays) or (alias[relays] >= 0).any():
        raise Refused(file, "alias_target", "a relay repeats two neurons, or another relay")
    return alias


def _xylo_counts(bundle: Bundle, within: list[Array], size: tuple[int, ...], limits: Any) -> None:
    """Compare counts with the limits of the variant. ``size``: hidden, outputs, channels."""
    fan = (np.stack(within) != 0).any(0).sum(1)
    counts = {"hidden neurons": size[0], "output neurons": size[1], "targets": fan.max(initial=0)}
    counts = {**counts, "recurrent entries": fan.sum(), "input channels": size[2]}
    for (what, number), limit in zip(counts.items(), limits):
        bundle.most("config.json", what, number, limit)


def _xylo_fields(dt: float, channels: int, *parts: list[Any]) -> dict[str, Array]:
    """Return the NIR fields of all neurons. A dash k takes 2**-k of a state in a step."""
    rows: list[Any] = []
    for part in parts:
        rows += part

    def column(key: str, absent: int = 0) -> Array:
        values = [row.get(key, absent) for row in rows]
        return np.concatenate([np.full(channels, np.nan), np.array(values, float)])

    mem, syn = 2 ** column("v_mem_decay"), 2 ** column("i_syn_decay")
    second = 2 ** column("i_syn2_decay", 1)
    return {
        **{"tau_mem": dt * mem, "r": mem, "v_leak": column("v_mem_bias") * mem},
        **{"tau_syn": dt * syn, "w_in": syn, "tau_syn_2": dt * second, "w_in_2": second},
        **{"v_threshold": column("threshold"), "v_reset": 0 * mem},
    }


def _xylo_relays(bundle: Bundle, relays: Array, fields: Any, parts: list[Any]) -> None:
    """Note relays that do more than repeat a neuron's spikes."""
    ends = np.concatenate([np.concatenate(part[:2]) for part in parts])
    for i in np.intersect1d(relays, ends)[:3]:
        bundle.note("network", "config.json", f"number {i}", "a relay has synapses")
    dt = bundle.dt
    wanted = {"tau_mem": dt, "v_leak": 0, "tau_syn": 2 * dt, "tau_syn_2": 2 * dt}
    for name, want in {**wanted, "v_threshold": 32767}.items():
        for i in relays[fields[name][relays] != want][:1]:
            have = fields[name][i]
            bundle.note("network", "config.json", f"number {i}", f"a relay's {name}", have, want)


def _xylo_specification(bundle: Bundle, config: Any, block: Any, weights: dict[str, Array]) -> None:
    """Compare specification.npz, the arguments of the vendor's function, with config.json."""
    parts = {"in": config["input"], "rec": block, "out": config["readout"]}
    want = {f"weight_shift_{key}": part["weight_bit_shift"] for key, part in parts.items()}
    names = {"dash_mem": "v_mem_decay", "dash_syn": "i_syn_decay", "threshold": "threshold"}
    hidden = {**names, "bias_hidden": "v_mem_bias"}
    if "syn2_weights" in block:
        hidden["dash_syn_2"] = "i_syn2_decay"
    readout = {**{f"{name}_out": key for name, key in names.items()}, "bias_out": "v_mem_bias"}
    for part, columns in ((block, hidden), (config["readout"], readout)):
        for name, key in columns.items():
            want[name] = [row[key] for row in part["neurons"]]
    arrays = {name: np.array(value, np.int16) for name, value in {**want, **weights}.items()}
    bundle.same("specification.npz", arrays)


def _xylo_bounds(bundle: Bundle, chip: Chip) -> None:
    """Bound every synaptic state and membrane. Look for inputs that saturate the others."""
    fields = {name: np.nan_to_num(value, nan=1.0) for name, value in chip.fields.items()}
    open_states = _xylo_unproved(chip, fields, 15)
    if open_states.any():
        few = _xylo_unproved(chip, fields, 1).sum()
        problem = f"{open_states.sum()} of {open_states.size} states are not proved to stay in 16"
        problem += f" bits, {few} if inputs fire once a step at most"
        found = _xylo_leaving(chip, fields, open_states)
        bundle.note("overflow", "config.json", "isyn, isyn2, v", problem, found)


def _xylo_unproved(chip: Chip, fields: dict[str, Array], inputs: int) -> Array:
    """Return which of isyn, isyn2 and v of each neuron may leave 16 bits.

    A state that gains at most h a step and loses x >> k climbs to h << k, and one that gains at
    least l < 0 falls to ((l + 1) << k) - 1. A channel fires ``inputs`` times in a step at most. A
    neuron fires as often as its threshold fits into its bound, 31 times at most. A membrane that
    fires is left below its threshold, and gains a step's current.
    """
    source, target, receptor, _, weight = chip.synapses
    n, number = len(chip.rules), np.arange(len(chip.rules))
    key = (receptor * n + target).astype(int)
    tau, mem = np.stack([fields["w_in"], fields["w_in_2"]]), fields["r"]  # 2 ** dash
    bias, threshold = fields["v_leak"] / mem, fields["v_threshold"]
    cap = np.where(number < n - chip.parts["readout"], 31, 1)
    spikes = before = np.where(number < chip.channels, inputs, cap)
    for _ in range(20):
        most = spikes[source] * weight
        gain = np.bincount(key, np.maximum(most, 0), 2 * n).reshape(2, n)
        loss = np.bincount(key, np.minimum(most, 0), 2 * n).reshape(2, n)
        high, low = gain * tau, np.where(loss < 0, (loss + 1) * tau - 1, 0)
        rise, fall = (high - gain).sum(0) + bias, (low - loss).sum(0) + bias
        firing, silent = threshold - 1 + rise, np.maximum(rise, 0) * mem
        top = np.where(firing < (cap + 1) * threshold, np.minimum(firing, silent), silent)
        fits = np.floor(np.minimum(top, 32767) / threshold)
        before, spikes = spikes, np.where(number < chip.channels, inputs, np.minimum(spikes, fits))
        if (before == spikes).all():
            break
    bottom = np.where(fall < 0, (fall + 1) * mem - 1, 0)
    wide = (np.stack([*high, top]) > 32767) | (np.stack([*low, bottom]) < -32768)
    return wide[:, chip.channels :]


def _xylo_leaving(chip: Chip, fields: dict[str, Array], open_states: Array) -> str:
    """Return how many states leave 16 bits in runs from cleared states, and an input.

    A run has 15 spikes a step on all channels that excite, or inhibit, one neuron.
    """
    source, target, receptor, _, weight = chip.synapses
    n, first = len(chip.rules), chip.channels
    w = np.zeros((2, n, n))
    np.add.at(w, (receptor.astype(int), target, source), weight)
    into = w.sum(0)[:, :first]
    into += (w.sum(0)[:, first:] @ into[first:]) * (into == 0)  # through another neuron
    aims = first + np.argsort(-open_states.sum(0), kind="stable")[: max(2, 2000000 // n**2)]
    x = np.zeros((n, 2 * len(aims)))
    x[:first] = 15 * (np.concatenate([into[aims], -into[aims]]).T > 0)
    tau, mem = np.stack([fields["w_in"], fields["w_in_2"]])[..., None], fields["r"][:, None]
    bias, threshold = fields["v_leak"][:, None] / mem, fields["v_threshold"][:, None]
    most = np.where(np.arange(n) < n - chip.parts["readout"], 31, 1)[:, None]
    v, isyn, spikes, left, said = 0 * x, np.zeros((2, *x.shape)), 0 * x, open_states & False, ""

    def leak(x: Array, tau: Array) -> Array:
        return np.maximum(np.floor(x / tau), np.minimum(x, 1))

    for step in range(100):
        isyn += w @ (x + spikes)
        after = isyn - leak(isyn, tau)
        v += after.sum(0) + bias - leak(v, mem)
        gone = (abs(np.stack([*isyn, v])) > 32768)[:, first:]
        if gone.any() and not said:
            state, i, run = np.argwhere(gone)[0]
            spikes_on = np.flatnonzero(x[:, run]).tolist()
            name = ("isyn", "isyn2", "v")[state]
            said = f", {name} of neuron {i} in step {step}: 15 spikes on {spikes_on}"
        left |= gone.any(-1)
        isyn, spikes = np.clip(after, -32768, 32767), np.clip(v // threshold, 0, most)
        spikes[:first] = 0
        v = np.clip(v - spikes * threshold, -32768, 32767)
    return f"{left.sum()} leave in {x.shape[1]} runs{said}"
