"""The checker's reader of Xylo: config.json and specification.npz."""

from __future__ import annotations

from typing import Any

import numpy as np

from nirc.checker.bundle import Bundle
from nirc.checker.compare import Chip, joined
from nirc.checker.configs import CONFIG, compare_archive, shaped
from nirc.checker.values import Array, demand, fit, parsed

# fmt: off
# Hidden and output neurons, targets of a neuron, recurrent entries, neurons in reach of inputs and
# outputs, part number. Source: rockpool 3.1.0, docs/devices/xylo-overview.ipynb and, for entries,
# RAM addresses in devices/xylo/*/ram.py and *_devkit_utils.py.
XYLO = {
    "audio2": (1000, 8, 64, 32000, 1000, "SYNS61201"),
    "audio3": (992, 32, 1024, 31744, 128, "SYNS65302"),
    "imu": (496, 16, 512, 31744, 128, "SYNS63300")}
XYLO_CHANNELS, XYLO_CLOCK = 16, 50_000_000  # Hz. Source: rockpool, power_cycles_model.py
XYLO_CLOCKS = "hm_clock_enable isyn_clock_enable ra_clock_enable ram_power_enable"
XYLO_WEIGHTS, XYLO_SHIFT = (-128, 127, 2), (0, 7)
XYLO_NEURON = {"i_syn_decay": (0, 15), "v_mem_decay": (0, 15), "threshold": (1, 32767),
               "v_mem_bias": (-128, 127)}
XYLO_RELAY = {"i_syn_decay": 1, "v_mem_decay": 0, "threshold": 32767, "v_mem_bias": 0,
              "alias_target": None, ...: 1}  # and i_syn2_decay
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
    config = parsed(CONFIG, bundle.read(CONFIG), _xylo_pattern(bundle, variant, bool, bool, bool))
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
    # Switches follow from what the network uses.
    second = any(matrix.any() for matrix in (*into[1:], *within[1:]))
    bias = any(row["v_mem_bias"] for row in (*hidden, *readout))
    pattern = _xylo_pattern(bundle, variant, bias, second, len(relays) > 0)
    parsed(CONFIG, bundle.read(CONFIG), pattern)
    fan = (np.stack(within) != 0).any(0).sum(1)
    counts = {"hidden neurons": n, "output neurons": m, "targets": fan.max(initial=0),
              "recurrent entries": fan.sum(), "input channels": channels}
    for (what, number), limit in zip(counts.items(), (*limits, XYLO_CHANNELS)):
        bundle.most(CONFIG, what, number, limit)
    parts = (config["input"], into), (block, within), (config["readout"], [out])
    _xylo_specification(bundle, parts, alias)
    # A relay is fired by the neuron whose alias it is, in the same step, and has no synapses.
    number = np.arange(channels + n + m)
    fired_by = number[channels:][:n].copy()
    fired_by[relays] = channels + np.flatnonzero(alias >= 0)
    rows: list[Any] = []
    for (part, matrices), first in zip(parts, (number, number[channels:], fired_by)):
        for receptor, matrix in enumerate(matrices):
            frm, to = np.nonzero(matrix)
            weight = matrix[frm, to] << part["weight_bit_shift"]
            to += channels + n * (matrix is out)
            rows.append((first[frm], to, receptor, first is not number, weight))
    synapses = joined(rows)
    alone = not np.isin(relays + channels, np.concatenate(synapses[:2])).any()
    demand(alone, CONFIG, "alias_target", "a relay has synapses", kind="network")
    last = ", fire >= 1, subtract, emit" * (bundle.manifest["output_kind"] == "spikes")
    rules = np.array(["", f"{XYLO_STEP}, fire >= 31, subtract, emit", XYLO_STEP + last])
    cells = _xylo_cells(channels, hidden, readout)
    syn, second, mem, bias, threshold, _ = cells
    fields = {"tau_mem": bundle.dt * mem, "r": mem, "v_leak": bias * mem, "v_reset": 0 * mem,
              "tau_syn": bundle.dt * syn, "w_in": syn, "tau_syn_2": bundle.dt * second,
              "w_in_2": second, "v_threshold": threshold}
    chip = Chip(
        channels=channels, parts={"hidden": number[channels:][:n]}, synapses=synapses,
        fields={**fields, "rule": np.repeat(rules, (channels, n, m))},
        absent={"tau_syn_2": 2 * bundle.dt, "w_in_2": 2, "v_threshold": 32767},
        columns=number[channels + n:], idle=np.isin(number, relays + channels))
    _xylo_bounds(bundle, chip, cells)
    return chip


def _xylo_pattern(bundle: Bundle, variant: str, bias: Any, second: Any, aliases: Any) -> Any:
    """Return the pattern of config.json, with these switches."""
    two: dict[str, Any] = {"weights": XYLO_WEIGHTS, "weight_bit_shift": XYLO_SHIFT}
    drive, neuron = dict(two), {**XYLO_NEURON, "alias_target": object}
    clocks = {**dict.fromkeys(XYLO_CLOCKS.split(), True), "bias_clock_enable": bias}
    special: dict[str, Any] = {"synapse2_enable": second}
    if variant == "imu":
        clocks |= {"bias_clock_enable": True, "always_update_omp_stat": True}
        special = {"imu_if_input_enable": False}
    else:
        two["syn2_weights"], neuron["i_syn2_decay"] = XYLO_WEIGHTS, (0, 15)
        clocks["isyn2_clock_enable"] = second
    if variant == "audio3":
        special["input_source"], clocks = "SpikeEvents", {}
    if variant != "audio2" and bundle.manifest["dt"] is not None:
        special["time_resolution_wrap"] = round(bundle.dt * XYLO_CLOCK)
    hidden = {**two, "aliasing": aliases, "neurons": [neuron, ...]}
    return {
        "format": "nirc-xylo-config/1", "variant": variant, "operation_mode": "AcceleratedTime",
        "bias_enable": bias, "debug": clocks, **special, "input": two,
        "reservoir" if variant == "audio2" else "hidden": hidden,
        "readout": {**drive, "neurons": [XYLO_NEURON, ...]}}


def _xylo_aliases(hidden: list[Any]) -> Array:
    """Return the relay of each neuron, -1 for none. A relay repeats one neuron, and has none."""
    rows, last = [row["alias_target"] for row in hidden], len(hidden) - 1
    alias = [-1 if row is None else fit(CONFIG, row, (0, last), "alias_target") for row in rows]
    relays = [relay for relay in alias if relay >= 0]
    demand(len(set(relays)) == len(relays), CONFIG, "alias_target", "a relay repeats two neurons")
    for relay in relays:
        fit(CONFIG, hidden[relay], XYLO_RELAY, f"relay {relay}")
    return np.array(alias, int)


def _xylo_cells(channels: int, hidden: list[Any], readout: list[Any]) -> Array:
    """Return 2 ** dash of isyn, isyn2 and v, bias, threshold and most spikes, each (numbers,).

    A dash k takes 2 ** -k of a state in a step.
    """
    cells = np.ones((6, channels + len(hidden) + len(readout)))
    keys = ("i_syn_decay", "i_syn2_decay", "v_mem_decay", "v_mem_bias", "threshold")
    for cell, key in zip(cells, keys):
        cell[channels:] = [row.get(key, 1) for row in (*hidden, *readout)]
    cells[:3] = 2 ** cells[:3]
    cells[5, channels:][:len(hidden)] = 31
    return cells


def _xylo_specification(bundle: Bundle, parts: Any, alias: Array) -> None:
    """Compare specification.npz, the arguments of the vendor's function, with config.json."""
    want: dict[str, Any] = {"aliases": alias} if (alias >= 0).any() else {}
    for name, (part, matrices) in zip(("in", "rec", "out"), parts):
        second = len(matrices) == 2
        want[f"weights_{name}"] = np.stack(matrices, -1) if second else matrices[0]
        want[f"weight_shift_{name}"] = part["weight_bit_shift"]
        for key, column in XYLO_COLUMNS.items() if name != "in" else ():
            if second or key != "i_syn2_decay":
                end = "_out" if name == "out" else "_hidden" * (column == "bias")
                want[column + end] = [row[key] for row in part["neurons"]]
    arrays = {name: np.array(value, np.int16) for name, value in want.items()}
    compare_archive(bundle, "specification.npz", arrays)


def _xylo_bounds(bundle: Bundle, chip: Chip, cells: Array) -> None:
    """Bound every synaptic state and membrane. Look for inputs that saturate the others."""
    open_states = _xylo_unproved(chip, cells, 15)
    if open_states.any():
        few = _xylo_unproved(chip, cells, 1).sum()
        problem = f"{open_states.sum()} of {open_states.size} states are not proved to stay in 16"
        problem += f" bits, {few} if inputs fire once a step at most"
        found = _xylo_leaving(chip, cells, open_states)
        bundle.note("overflow", CONFIG, "isyn, isyn2, v", problem, found)


def _xylo_unproved(chip: Chip, cells: Array, inputs: int) -> Array:
    """Return which of isyn, isyn2 and v of each neuron may leave 16 bits.

    A state that gains at most h a step and loses x >> k climbs to h << k, and one that gains at
    least l < 0 falls to ((l + 1) << k) - 1. A channel fires ``inputs`` times in a step at most. A
    neuron fires as often as its threshold fits into its bound, 31 times at most. A membrane that
    fires is left below its threshold, and gains a step's current.
    """
    source, target, receptor, _, weight = chip.synapses
    tau, (mem, bias, threshold, most), n = cells[:2], cells[2:], cells.shape[1]
    key = (receptor * n + target).astype(int)
    spikes, before = np.where(np.arange(n) < chip.channels, inputs, most), np.zeros(n)
    for _ in range(20):
        if (before == spikes).all():
            break
        rate = spikes[source] * weight
        gain = np.bincount(key, np.maximum(rate, 0), 2 * n).reshape(2, n)
        loss = np.bincount(key, np.minimum(rate, 0), 2 * n).reshape(2, n)
        high, low = gain * tau, np.where(loss < 0, (loss + 1) * tau - 1, 0)
        rise, fall = (high - gain).sum(0) + bias, (low - loss).sum(0) + bias
        firing, silent = threshold - 1 + rise, np.maximum(rise, 0) * mem
        top = np.where(firing < (most + 1) * threshold, np.minimum(firing, silent), silent)
        fits = np.floor(np.minimum(top, 32767) / threshold)
        before, spikes = spikes, np.minimum(spikes, fits)
        spikes[:chip.channels] = inputs
    bottom = np.where(fall < 0, (fall + 1) * mem - 1, 0)
    wide = (np.stack([*high, top]) > 32767) | (np.stack([*low, bottom]) < -32768)
    return wide[:, chip.channels :]


def _xylo_leaving(chip: Chip, cells: Array, open_states: Array) -> str:
    """Return how many states leave 16 bits in runs from cleared states, and an input.

    A run has 15 spikes a step on all channels that excite, or inhibit, one neuron, and after half
    of its steps on the others.
    """
    source, target, receptor, _, weight = chip.synapses
    n, first, cells = cells.shape[1], chip.channels, cells[..., None]
    tau, (mem, bias, threshold, most) = cells[:2], cells[2:]
    w = np.zeros((2, n, n))
    np.add.at(w, (receptor.astype(int), target, source), weight)
    into = w.sum(0)[:, :first]
    into += (w.sum(0)[:, first:] @ into[first:]) * (into == 0)  # through another neuron
    aims = first + np.argsort(-open_states.sum(0), kind="stable")[: max(2, 2000000 // n**2)]
    x = np.zeros((n, 2 * len(aims)))
    x[:first] = 15 * (np.concatenate([into[aims], -into[aims]]).T > 0)
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
            name, channels = ("isyn", "isyn2", "v")[state], np.flatnonzero(x[:, run]).tolist()
            said = f", {name} of neuron {i} in step {step}: 15 spikes on {channels}"
        left |= gone.any(-1)
        isyn, spikes = np.clip(after, -32768, 32767), np.clip(v // threshold, 0, most)
        spikes[:first] = 0
        v = np.clip(v - spikes * threshold, -32768, 32767)
    return f"{left.sum()} leave in {x.shape[1]} runs{said}"
