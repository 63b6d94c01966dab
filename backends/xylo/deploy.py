"""Renders deploy.py, the loader for the vendor's tools; the limits in it come from limits.py."""

from __future__ import annotations

from nirc.backends.xylo import limits
from nirc.chip.target import Target
from nirc.files.chipfiles import script

# Names in the vendor's package, by variant. Source: rockpool, devices/xylo/*/xylo_samna.py and *_devkit_utils.py.
SAMNA = {
    "audio2": {
        "module": "xyloCore2",
        "block": "reservoir",
        "neuron": "ReservoirNeuron",
        "board": "XyloA2TestBoard",
    },
    "audio3": {
        "module": "xyloAudio3",
        "block": "hidden",
        "neuron": "HiddenNeuron",
        "board": "XyloAudio3TestBoard",
    },
    "imu": {"module": "xyloImu", "block": "hidden", "neuron": "HiddenNeuron", "board": "XyloImuTestBoard"},
}


def deploy_py(target: Target) -> bytes:
    """A self-contained script: checks config.json, builds the vendor's object, uploads, runs a raster."""
    ranges = {
        "weight": limits.WEIGHT_WORD,
        "threshold": limits.THRESHOLD,
        "dash": limits.DASH,
        "bias": limits.BIAS,
        "shift": limits.WEIGHT_SHIFT,
    }
    return script(
        "nirc.backends.xylo",
        "deploy.py.j2",
        variant=target.variant,
        part=target.part,
        samna=SAMNA[target.variant],
        synapse_2=target.max("synaptic states per neuron") > 1,
        ranges=ranges,
        limits={x.name: x.max for x in target.limits},
        max_input_spikes=limits.MAX_INPUT_SPIKES,
    )
