"""What Xylo computes, written for reading: plain Python numbers, one neuron and one source at a
time.
"""

from __future__ import annotations

import numpy as np

from nirc.backends.xylo.config import Specification

Trace = dict[str, list[list[int]]]


def sat(x: int) -> int:
    return max(-32768, min(32767, x))


def leak(x: int, dash: int) -> int:
    lost = x >> dash
    return 1 if dash > 0 and x > 0 and lost == 0 else lost


def membrane(v: int, isyn: int, dash: int, bias: int) -> int:
    lost = leak(v, dash)
    minus = -32768 if lost == -32768 else -lost  # -(-32768) does not fit in 16 bits
    return sat(v + sat(sat(isyn + minus) + bias))


def fire(v: int, threshold: int, room: int) -> int:
    return min(v // threshold, room) if v >= threshold else 0


def run_sample(spec: Specification, raster: np.ndarray) -> Trace:
    """``raster`` (steps, inputs) counts.

    Returns each state as a list over steps of lists over neurons.
    """
    inputs, hidden, _ = spec.weights_in.shape
    outputs = spec.weights_out.shape[1]
    w_in = (spec.weights_in << spec.weight_shift_in).tolist()
    w_rec = (spec.weights_rec << spec.weight_shift_rec).tolist()
    w_out = (spec.weights_out << spec.weight_shift_out).tolist()
    dashes = (spec.dash_syn.tolist(), spec.dash_syn_2.tolist())
    isyn = [[0] * hidden, [0] * hidden]
    isyn_out, v, v_out, count = [0] * outputs, [0] * hidden, [0] * outputs, [0] * hidden
    names = (
        "isyn/hidden",
        "isyn2/hidden",
        "isyn/readout",
        "v/hidden",
        "v/readout",
        "hidden",
        "readout",
    )
    trace: Trace = {name: [] for name in names}

    for frame in raster.tolist():
        before, count = count, [0] * hidden
        for j in range(hidden):
            for k in (0, 1):
                for c in range(inputs):
                    isyn[k][j] = sat(isyn[k][j] + min(frame[c], 15) * w_in[c][j][k])
                for i in range(hidden):
                    isyn[k][j] = sat(isyn[k][j] + before[i] * w_rec[i][j][k])
                isyn[k][j] -= leak(isyn[k][j], dashes[k][j])
            v[j] = membrane(
                v[j], isyn[0][j] + isyn[1][j], int(spec.dash_mem[j]), int(spec.bias_hidden[j])
            )
        for j in range(hidden):  # in index order: aliases of lower neurons have arrived
            n = fire(v[j], int(spec.threshold[j]), 31 - count[j])
            v[j] -= n * int(spec.threshold[j])
            count[j] += n
            target = int(spec.aliases[j])
            if target >= 0:
                count[target] = min(31, count[target] + count[j])

        spikes_out = [0] * outputs
        for o in range(outputs):
            for i in range(hidden):
                isyn_out[o] = sat(isyn_out[o] + before[i] * w_out[i][o])
            isyn_out[o] -= leak(isyn_out[o], int(spec.dash_syn_out[o]))
            v_out[o] = membrane(
                v_out[o], isyn_out[o], int(spec.dash_mem_out[o]), int(spec.bias_out[o])
            )
            spikes_out[o] = fire(v_out[o], int(spec.threshold_out[o]), 1)
            v_out[o] -= spikes_out[o] * int(spec.threshold_out[o])

        now = (*isyn, isyn_out, v, v_out, count, spikes_out)
        for name, values in zip(names, now, strict=True):
            trace[name].append(list(values))
    return trace


def emulate(spec: Specification, raster: np.ndarray) -> dict[str, np.ndarray]:
    """``raster`` (samples, steps, inputs). Each state as (samples, steps, neurons)."""
    traces = [run_sample(spec, sample) for sample in raster]
    return {name: np.array([trace[name] for trace in traces]) for name in traces[0]}
