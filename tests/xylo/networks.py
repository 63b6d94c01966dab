"""Random Xylo networks, rasters that drive them, and their configuration as JSON."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from hypothesis import strategies as st

from nirc.backends.xylo.config import IntArray, Specification

CLOCKS = (
    "isyn_clock_enable",
    "ra_clock_enable",
    "hm_clock_enable",
    "bias_clock_enable",
    "ram_power_enable",
)
DEBUG = {
    "audio2": (*CLOCKS, "isyn2_clock_enable"),
    "audio3": (),
    "imu": (*CLOCKS, "always_update_omp_stat"),
}
FLAVOURS = ("calm", "busy", "saturated", "ties")


def random_network(
    rng: np.random.Generator,
    *,
    inputs: int,
    hidden: int,
    outputs: int,
    flavour: str = "calm",
    aliases: bool = True,
    synapse_2: bool = True,
) -> Specification:
    """A network over the whole range of every field; ``flavour`` says how hard it is driven."""
    size = {"calm": 25, "busy": 127, "saturated": 127, "ties": 3}[flavour]
    shift = {"calm": 2, "busy": 3, "saturated": 7, "ties": 0}[flavour]
    threshold = {"calm": 2000, "busy": 32767, "saturated": 32767, "ties": 6}[flavour]

    def weights(*shape: int) -> IntArray:
        dense = rng.integers(-size - 1, size + 1, shape)
        return np.where(rng.random(shape) < rng.choice([0.2, 0.6, 1.0]), dense, 0)

    def dashes(n: int) -> IntArray:
        return rng.integers(0, 16, n) if rng.random() < 0.7 else rng.integers(1, 6, n)

    def thresholds(n: int) -> IntArray:
        return np.exp(rng.uniform(0, np.log(threshold + 0.99), n)).astype(np.int64)

    def biases(n: int) -> IntArray:
        return rng.integers(-128, 128, n) * rng.integers(0, 2, n)

    used = np.array([1, synapse_2])
    return Specification(
        weights_in=weights(inputs, hidden, 2) * used,
        weights_rec=weights(hidden, hidden, 2) * used,
        weights_out=weights(hidden, outputs),
        dash_mem=dashes(hidden),
        dash_mem_out=dashes(outputs),
        dash_syn=dashes(hidden),
        dash_syn_2=dashes(hidden),
        dash_syn_out=dashes(outputs),
        threshold=thresholds(hidden),
        threshold_out=thresholds(outputs),
        bias_hidden=biases(hidden),
        bias_out=biases(outputs),
        weight_shift_in=int(rng.integers(0, shift + 1)),
        weight_shift_rec=int(rng.integers(0, shift + 1)),
        weight_shift_out=int(rng.integers(0, shift + 1)),
        aliases=_random_aliases(rng, hidden) if aliases else np.full(hidden, -1),
    )


def _random_aliases(rng: np.random.Generator, hidden: int) -> IntArray:
    """Any other neuron for some of them: up, down, chains, circles and several sources of one
    target.
    """
    if hidden == 1:
        return np.array([-1])
    step = rng.integers(1, hidden, hidden)  # 1..hidden-1 places on: never itself
    target = (np.arange(hidden) + step) % hidden
    return np.where(rng.random(hidden) < rng.choice([0.0, 0.3, 0.8]), target, -1)


def random_raster(rng: np.random.Generator, samples: int, steps: int, inputs: int) -> IntArray:
    """Counts 0..40 in bursts and silences: some are above the chip's 15."""
    rate = rng.choice([0.05, 0.3, 0.9])
    highest = rng.choice([1, 4, 40])
    busy = rng.random((samples, steps, inputs)) < rate
    return np.where(busy, rng.integers(1, highest + 1, busy.shape), 0)


@st.composite
def networks_and_rasters(
    draw: st.DrawFn, *, max_hidden: int = 25, max_samples: int = 4, max_steps: int = 20
) -> tuple[Specification, IntArray]:
    """Sizes and flavour are drawn (and shrunk) by Hypothesis, the numbers inside by a drawn
    seed.
    """
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1), label="seed"))
    inputs = draw(st.integers(1, 6), label="inputs")
    spec = random_network(
        rng,
        inputs=inputs,
        hidden=draw(st.integers(1, max_hidden), label="hidden"),
        outputs=draw(st.integers(1, 4), label="outputs"),
        flavour=draw(st.sampled_from(FLAVOURS), label="flavour"),
        synapse_2=draw(st.booleans(), label="synapse 2"),
    )
    samples = draw(st.integers(1, max_samples), label="samples")
    steps = draw(st.integers(1, max_steps), label="steps")
    return spec, random_raster(rng, samples, steps, inputs)


def config_tree(spec: Specification, variant: str = "audio2") -> dict[str, Any]:
    """The field tree of config.json, spelt out; the emitter of nirc has its own."""
    two = variant != "imu"
    reach = spec.weights_in.shape[1] if variant == "audio2" else 128
    hidden: dict[str, Any] = {
        "weights": spec.weights_rec[..., 0].tolist(),
        "weight_bit_shift": spec.weight_shift_rec,
        "aliasing": bool((spec.aliases >= 0).any()),
        "neurons": [
            {
                "alias_target": None if spec.aliases[i] < 0 else int(spec.aliases[i]),
                "i_syn_decay": int(spec.dash_syn[i]),
                "v_mem_decay": int(spec.dash_mem[i]),
                "threshold": int(spec.threshold[i]),
                "v_mem_bias": int(spec.bias_hidden[i]),
                **({"i_syn2_decay": int(spec.dash_syn_2[i])} if two else {}),
            }
            for i in range(len(spec.threshold))
        ],
    }
    tree: dict[str, Any] = {
        "format": "nirc-xylo-config/1",
        "variant": variant,
        "operation_mode": "AcceleratedTime",
        "input": {
            "weights": spec.weights_in[:, :reach, 0].tolist(),
            "weight_bit_shift": spec.weight_shift_in,
        },
        "reservoir" if variant == "audio2" else "hidden": hidden,
        "readout": {
            "weights": spec.weights_out[-reach:].tolist(),
            "weight_bit_shift": spec.weight_shift_out,
            "neurons": [
                {
                    "i_syn_decay": int(spec.dash_syn_out[i]),
                    "v_mem_decay": int(spec.dash_mem_out[i]),
                    "threshold": int(spec.threshold_out[i]),
                    "v_mem_bias": int(spec.bias_out[i]),
                }
                for i in range(len(spec.threshold_out))
            ],
        },
        "bias_enable": spec.uses_bias,
        "debug": dict.fromkeys(DEBUG[variant], True),
    }
    if variant == "audio3":
        tree["input_source"] = "SpikeEvents"
    if variant == "imu":
        tree["imu_if_input_enable"] = False
    if two:
        tree["synapse2_enable"] = spec.uses_synapse_2
        tree["input"]["syn2_weights"] = spec.weights_in[:, :reach, 1].tolist()
        hidden["syn2_weights"] = spec.weights_rec[..., 1].tolist()
    return tree


def as_json(tree: object) -> bytes:
    """The bytes of a bundle's config.json."""
    return json.dumps(tree, sort_keys=True).encode()
