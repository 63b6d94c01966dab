"""A specification as files: config.json (the vendor's field tree), specification.npz, deploy.py.

Field names: targets sheet, section 3, and the documentation of samna (`xyloCore2`, `xyloAudio3`,
`xyloImu`). A value is checked before it is written: no value is cut off or wraps around.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import numpy as np

from nirc.backends.xylo.config import (
    DEBUG,
    FORMAT,
    IntArray,
    Specification,
    block_of,
    config_file,
    two_synapses,
)
from nirc.backends.xylo.limits import FIRST, LAST, MAX_INPUT_SPIKES
from nirc.chip.target import Target
from nirc.files.chipfiles import assert_good, npz
from nirc.files.scripts import deploy_script


def emit(
    spec: Specification, target: Target, *, dt_s: float | None, clock_hz: int
) -> dict[str, bytes]:
    """Return the chip's files by name."""
    tree = config_tree(spec, target, dt_s=dt_s, clock_hz=clock_hz)
    return {
        "config.json": config_json(tree),
        "specification.npz": specification_npz(spec, target),
        "deploy.py": deploy_py(target),
    }


def window(n_hidden: int, target: Target, limit: str) -> int:
    """Return the number of hidden neurons in the input (or readout) matrix."""
    return min(n_hidden, target.max(limit))


def config_tree(
    spec: Specification, target: Target, *, dt_s: float | None, clock_hz: int
) -> dict[str, Any]:
    """Return the configuration object's fields.

    Raises ``AssertionError`` for a value out of range (a bug of nirc).
    """
    check(spec, target)
    n_hidden = spec.weights_in.shape[1]
    two = two_synapses(target)
    first = window(n_hidden, target, FIRST)
    last = window(n_hidden, target, LAST)
    block = block_of(target)
    tree: dict[str, Any] = {
        "format": FORMAT,
        "variant": target.variant,
        "input": {
            "weights": spec.weights_in[:, :first, 0].tolist(),
            "weight_bit_shift": spec.weight_shift_in,
        },
        block: {
            "weights": spec.weights_rec[:, :, 0].tolist(),
            "weight_bit_shift": spec.weight_shift_rec,
            "aliasing": bool((spec.aliases >= 0).any()),
            "neurons": _hidden(spec, two),
        },
        "readout": {
            "weights": spec.weights_out[n_hidden - last :].tolist(),
            "weight_bit_shift": spec.weight_shift_out,
            "neurons": _readout(spec),
        },
        "bias_enable": spec.uses_bias,
        "operation_mode": "AcceleratedTime",
        "debug": _debug(spec, target),
    }
    if two:
        tree["input"]["syn2_weights"] = spec.weights_in[:, :first, 1].tolist()
        tree[block]["syn2_weights"] = spec.weights_rec[:, :, 1].tolist()
        tree["synapse2_enable"] = spec.uses_synapse_2
    if target.variant == "audio3":
        tree["input_source"] = "SpikeEvents"
    if target.variant == "imu":
        tree["imu_if_input_enable"] = False  # spikes come from the host, not from the sensor
    if target.variant != "audio2" and dt_s is not None:
        tree["time_resolution_wrap"] = round(dt_s * clock_hz)
    assert_good(config_file(target), tree)
    return tree


def check(spec: Specification, target: Target) -> None:
    """Raise ``AssertionError`` if the file has no place for something."""
    n_hidden = spec.weights_in.shape[1]
    first = window(n_hidden, target, FIRST)
    last = window(n_hidden, target, LAST)
    if spec.weights_in[:, first:].any() or spec.weights_out[: n_hidden - last].any():
        raise AssertionError(
            "a weight lies outside the neurons that inputs reach or outputs leave from"
        )
    if not two_synapses(target) and spec.uses_synapse_2:
        raise AssertionError("this variant has no second synapse")


def _hidden(spec: Specification, two: bool) -> list[dict[str, int | None]]:
    columns = {
        "i_syn_decay": spec.dash_syn.tolist(),
        "v_mem_decay": spec.dash_mem.tolist(),
        "threshold": spec.threshold.tolist(),
        "v_mem_bias": spec.bias_hidden.tolist(),
        "alias_target": [None if alias == -1 else alias for alias in spec.aliases.tolist()],
    }
    if two:
        columns["i_syn2_decay"] = spec.dash_syn_2.tolist()
    return _neurons(columns)


def _readout(spec: Specification) -> list[dict[str, int | None]]:
    return _neurons(
        {
            "i_syn_decay": spec.dash_syn_out.tolist(),
            "v_mem_decay": spec.dash_mem_out.tolist(),
            "threshold": spec.threshold_out.tolist(),
            "v_mem_bias": spec.bias_out.tolist(),
        }
    )


def _neurons(columns: dict[str, list[int | None]]) -> list[dict[str, int | None]]:
    """Return the fields of each neuron from the values of each field."""
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _debug(spec: Specification, target: Target) -> dict[str, bool]:
    """Switch all clocks on, on Audio 2 those of biases and second synapses only if used."""
    flags = dict.fromkeys(DEBUG[target.variant], True)
    if target.variant == "audio2":
        flags |= {"bias_clock_enable": spec.uses_bias, "isyn2_clock_enable": spec.uses_synapse_2}
    return flags


def config_json(tree: dict[str, Any]) -> bytes:
    """Return JSON with sorted keys. A matrix or list of neurons has one row a line."""
    return (_json(tree, "") + "\n").encode()


def _json(value: Any, indent: str) -> str:
    inner = indent + " "
    if isinstance(value, dict) and any(isinstance(v, dict | list) for v in value.values()):
        parts = [f"{inner}{json.dumps(k)}: {_json(value[k], inner)}" for k in sorted(value)]
        return "{\n" + ",\n".join(parts) + "\n" + indent + "}"
    if isinstance(value, list) and value:
        text = [inner + json.dumps(row, sort_keys=True, separators=(",", ":")) for row in value]
        return "[\n" + ",\n".join(text) + "\n" + indent + "]"
    return json.dumps(value, sort_keys=True)


def specification_npz(spec: Specification, target: Target) -> bytes:
    """Return the arguments of the vendor's ``config_from_specification``: same arrays, same bytes.

    ``weights_in`` has only the neurons that inputs reach. Without a second synapse (IMU) the last
    axis is left out. ``weights_out`` has a row for every hidden neuron, which all three of the
    vendor's functions take. The bit shifts have no axis. ``aliases`` (Nhid,) has -1 for none, and
    is left out where no neuron has one: the vendor turns aliasing on wherever it gets them.
    """
    arrays: dict[str, IntArray] = {k: np.asarray(v) for k, v in vars(spec).items()}
    if not (spec.aliases >= 0).any():
        del arrays["aliases"]
    first = window(spec.weights_in.shape[1], target, FIRST)
    arrays["weights_in"] = spec.weights_in[:, :first]
    if target.variant == "imu":
        del arrays["dash_syn_2"]
        arrays["weights_in"] = arrays["weights_in"][..., 0]
        arrays["weights_rec"] = arrays["weights_rec"][..., 0]
    # ascontiguousarray would add an axis to a shift.
    return npz({name: np.array(array, dtype=np.int16, order="C") for name, array in arrays.items()})


# Names in the vendor's package, by variant. Source: rockpool, devices/xylo/*/xylo_samna.py and
# *_devkit_utils.py.
SAMNA = {
    "audio2": {
        "module": "xyloCore2",
        "neuron": "ReservoirNeuron",
        "board": "XyloA2TestBoard",
        "power": "xyloA2TestBoard",
        "nets": ("Io", "Logic", "IoAfe", "LogicAfe"),
    },
    "audio3": {
        "module": "xyloAudio3",
        "neuron": "HiddenNeuron",
        "board": "XyloAudio3TestBoard",
        "power": "xyloAudio3",
        "nets": ("Io", "AnalogLogic", "DigitalLogic"),
    },
    "imu": {
        "module": "xyloImu",
        "neuron": "HiddenNeuron",
        "board": "XyloImuTestBoard",
        "power": "xyloImuBoards",
        "nets": ("Io", "Core"),
    },
}


@cache  # it is the same for every network
def deploy_py(target: Target) -> bytes:
    """Return a script that checks the bundle, uploads the vendor's object and runs a raster."""
    return deploy_script(
        "nirc.backends.xylo",
        files=[config_file(target)],
        modules=["nirc.files.samna", "nirc.backends.xylo.checks"],
        variant=target.variant,
        part=target.part,
        samna=SAMNA[target.variant],
        block=block_of(target),
        synapse_2=two_synapses(target),
        max_input_spikes=MAX_INPUT_SPIKES,
        clock_hz=target.max("clock"),
    )
