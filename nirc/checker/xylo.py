"""The checker's reader of Xylo: config.json and specification.npz."""

from __future__ import annotations

from typing import Any

import numpy as np

from nirc.checker.bundle import Bundle
from nirc.checker.compare import Chip, joined
from nirc.checker.configs import CONFIG, compare_archive, shaped
from nirc.checker.values import Array, demand, fit

# fmt: off
# Hidden and output neurons, targets of a neuron, recurrent entries, neurons in reach of inputs and
# outputs, part number. Source: rockpool 3.1.0, docs/devices/xylo-overview.ipynb and, for entries,
# RAM addresses in devices/xylo/*/ram.py and *_devkit_utils.py.
XYLO = {
    "audio2": (1000, 8, 64, 32000, 1000, "SYNS61201"),
    "audio3": (992, 32, 1024, 31744, 128, "SYNS65302"),
    "imu": (496, 16, 512, 31744, 128, "SYNS63300")}
XYLO_CHANNELS = 16
XYLO_CLOCK = 50_000_000  # Hz. Source: rockpool, power_cycles_model.py
XYLO_CLOCKS = "hm_clock_enable isyn_clock_enable ra_clock_enable ram_power_enable"
XYLO_WEIGHTS, XYLO_SHIFT = (-128, 127, 2), (0, 7)
XYLO_NEURON = {"i_syn_decay": (0, 15), "v_mem_decay": (0, 15), "threshold": (1, 32767),
               "v_mem_bias": (-128, 127)}
XYLO_COLUMNS = {  # of specification.npz, by field of a neuron
    "v_mem_decay": "dash_mem", "i_syn_decay": "dash_syn", "i_syn2_decay": "dash_syn_2",
    "threshold": "threshold", "v_mem_bias": "bias"}
XYLO_STEP = "add x->i, decay i, decay v, add i->v"  # then up to 31 spikes, 1 of a readout neuron


def xylo(bundle: Bundle) -> Chip:
    """Rebuild the network of a Xylo."""
    targets = {f"xylo:{name}" for name in XYLO}
    variant = fit("manifest.json", bundle.manifest["target"], targets, "target")[5:]
    *limits, window, part = XYLO[variant]
    fit("manifest.json", bundle.manifest["part"], part, "part")
    config = bundle.json(CONFIG, _xylo_pattern(bundle, variant, bool, bool, bool))
    block = config["reservoir" if variant == "audio2" else "hidden"]
    hidden, readout = block["neurons"], config["readout"]["neurons"]
    channels, n, m = len(config["input"]["weights"]), len(hidden), len(readout)
    reach, keys = min(n, window), ["weights", "syn2_weights"][: 1 + (variant != "imu")]
    into = [shaped(f"input.{key}", config["input"][key], channels, reach) for key in keys]
    within = [shaped(f"hidden.{key}", block[key], n, n) for key in keys]
    out = np.zeros((n, m), int)
    out[n - reach:] = shaped("readout.weights", config["readout"]["weights"], reach, m)
    alias = _xylo_aliases(hidden)
    relays = alias[alias >= 0]
    fields = _xylo_fields(bundle.dt, channels, [*hidden, *readout])

    # Switches follow from what the network uses.
    second = any(matrix.any() for matrix in (*into[1:], *within[1:]))
    bias = bool(np.nan_to_num(fields["v_leak"]).any())
    bundle.json(CONFIG, _xylo_pattern(bundle, variant, bias, second, len(relays) > 0))
    fan = (np.stack(within) != 0).any(0).sum(1)
    counts = {"hidden neurons": n, "output neurons": m, "targets": fan.max(initial=0),
              "recurrent entries": fan.sum(), "input channels": channels}
    for (what, number), limit in zip(counts.items(), (*limits, XYLO_CHANNELS)):
        bundle.most(CONFIG, what, number, limit)
    weights = {"in": np.stack(into, -1), "rec": np.stack(within, -1), "out": out}
    _xylo_specification(bundle, config, block, weights, alias)

    rows: list[Any] = []
    groups = ((into, config["input"], 0, 0), (within, block, channels, 1))
    for matrices, part, first, delay in groups:
        for receptor, matrix in enumerate(matrices):
            frm, to = np.nonzero(matrix)
            weight = matrix[frm, to] << part["weight_bit_shift"]
            rows.append((frm + first, to + channels, receptor, delay, weight))
    _xylo_relays(bundle, relays + channels, fields, joined(rows))
    # A relay is fired by the neuron whose alias it is, in the same step, and has no synapses.
    fired_by = np.arange(n)
    fired_by[relays] = np.flatnonzero(alias >= 0)
    frm, to = np.nonzero(out)
    weight = out[frm, to] << config["readout"]["weight_bit_shift"]
    rows.append((fired_by[frm] + channels, to + channels + n, 0, 1, weight))
    silent = bundle.manifest["output_kind"] == "membrane"
    last = XYLO_STEP + ("" if silent else ", fire >= 1, subtract, emit")
    rules = ["", f"{XYLO_STEP}, fire >= 31, subtract, emit", last]
    return Chip(
        channels=channels,
        parts={"hidden": n, "readout": m},
        fields=fields,
        absent={"tau_syn_2": 2 * bundle.dt, "w_in_2": 2, "v_threshold": 32767},
        rules=np.repeat(np.array(rules), (channels, n, m)),
        synapses=joined(rows),
        columns=np.arange(m) + channels + n,
        idle=np.isin(np.arange(channels + n + m), relays + channels),
        bound=_xylo_bounds)


def _xylo_pattern(bundle: Bundle, variant: str, bias: Any, second: Any, aliases: Any) -> Any:
    """Return the pattern of config.json, with these switches."""
    drive: dict[str, Any] = {"weights": XYLO_WEIGHTS, "weight_bit_shift": XYLO_SHIFT}
    two = {**drive, "syn2_weights": XYLO_WEIGHTS} if variant != "imu" else drive
    more = {"i_syn2_decay": (0, 15)} if variant != "imu" else {}
    clocks = {"bias_clock_enable": bias, "isyn2_clock_enable": second}
    clocks |= dict.fromkeys(XYLO_CLOCKS.split(), True)
    special = {"synapse2_enable": second}
    if variant == "imu":
        del clocks["isyn2_clock_enable"]
        clocks |= {"bias_clock_enable": True, "always_update_omp_stat": True}
        special = {"imu_if_input_enable": False}
    if variant == "audio3":
        special["input_source"] = "SpikeEvents"
    if variant != "audio2" and bundle.manifest["dt"] is not None:
        special["time_resolution_wrap"] = round(bundle.dt * XYLO_CLOCK)
    neurons = [{**XYLO_NEURON, "alias_target": object, **more}, ...]
    hidden = {**two, "aliasing": aliases, "neurons": neurons}
    return {
        "format": "nirc-xylo-config/1", "variant": variant, "operation_mode": "AcceleratedTime",
        "bias_enable": bias, "debug": {} if variant == "audio3" else clocks, **special,
        "input": two, "readout": {**drive, "neurons": [XYLO_NEURON, ...]},
        "reservoir" if variant == "audio2" else "hidden": hidden}


def _xylo_aliases(hidden: list[Any]) -> Array:
    """Return the relay of each neuron, -1 for none."""
    rows = [row["alias_target"] for row in hidden]
    last = (0, len(rows) - 1)
    alias = [-1 if row is None else fit(CONFIG, row, last, "alias_target") for row in rows]
    relays = [target for target in alias if target >= 0]
    plain = len(set(relays)) == len(relays) and all(alias[relay] < 0 for relay in relays)
    demand(plain, CONFIG, "alias_target", "a relay repeats two neurons, or another relay")
    return np.array(alias, int)


def _xylo_fields(dt: float, channels: int, rows: list[Any]) -> dict[str, Array]:
    """Return the NIR fields of all neurons. A dash k takes 2**-k of a state in a step."""
    def column(key: str, absent: int = 0) -> Array:
        return np.array([np.nan] * channels + [row.get(key, absent) for row in rows])

    dashes = ("v_mem_decay", "i_syn_decay", "i_syn2_decay")
    mem, syn, second = (2 ** column(key, 1) for key in dashes)
    return {"tau_mem": dt * mem, "r": mem, "v_leak": column("v_mem_bias") * mem,
            "tau_syn": dt * syn, "w_in": syn, "tau_syn_2": dt * second, "w_in_2": second,
            "v_threshold": column("threshold"), "v_reset": 0 * mem}


def _xylo_relays(bundle: Bundle, relays: Array, fields: Any, synapses: list[Array]) -> None:
    """Note relays that do more than repeat a neuron's spikes."""
    for i in np.intersect1d(relays, np.concatenate(synapses[:2]))[:3]:
        bundle.note("network", CONFIG, f"number {i}", "a relay has synapses")
    dt = bundle.dt
    wanted = {"tau_mem": dt, "v_leak": 0, "tau_syn": 2 * dt, "tau_syn_2": 2 * dt}
    for name, want in {**wanted, "v_threshold": 32767}.items():
        for i in relays[fields[name][relays] != want][:1]:
            have = fields[name][i]
            bundle.note("network", CONFIG, f"number {i}", f"a relay's {name}", have, want)


def _xylo_specification(
        bundle: Bundle, config: Any, block: Any, weights: Any, alias: Array) -> None:
    """Compare specification.npz, the arguments of the vendor's function, with config.json."""
    want: dict[str, Any] = {"aliases": alias} if (alias >= 0).any() else {}
    for name, part in (("in", config["input"]), ("rec", block), ("out", config["readout"])):
        two = "syn2_weights" in part or name == "out"
        want[f"weights_{name}"] = weights[name] if two else weights[name][..., 0]
        want[f"weight_shift_{name}"] = part["weight_bit_shift"]
        for key, column in XYLO_COLUMNS.items() if name != "in" else ():
            if key != "i_syn2_decay" or "syn2_weights" in part:
                end = "_out" if name == "out" else "_hidden" * (column == "bias")
                want[column + end] = [row[key] for row in part["neurons"]]
    arrays = {name: np.array(value, np.int16) for name, value in want.items()}
    compare_archive(bundle, "specification.npz", arrays)


def _xylo_bounds(bundle: Bundle, chip: Chip) -> None:
    """Bound every synaptic state and membrane. Look for inputs that saturate the others."""
    fields = {name: np.nan_to_num(value, nan=1.0) for name, value in chip.fields.items()}
    open_states = _xylo_unproved(chip, fields, 15)
    if open_states.any():
        few = _xylo_unproved(chip, fields, 1).sum()
        problem = f"{open_states.sum()} of {open_states.size} states are not proved to stay in 16"
        problem += f" bits, {few} if inputs fire once a step at most"
        found = _xylo_leaving(chip, fields, open_states)
        bundle.note("overflow", CONFIG, "isyn, isyn2, v", problem, found)
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

    A run has 15 spikes a step on all channels that excite, or inhibit, one neuron, and after half
    of its steps on the others.
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
        x = np.roll(x, len(aims), 1) if step == 50 else x
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
