"""Renders deploy.py, the loader for the vendor's tools."""

from __future__ import annotations

from functools import cache

from nirc.backends.xylo import limits
from nirc.backends.xylo.config import block_of, config_file, two_synapses
from nirc.chip.target import Target
from nirc.files.chipfiles import deploy_script

# Names in the vendor's package, by variant. Source: rockpool, devices/xylo/*/xylo_samna.py and *_devkit_utils.py.
SAMNA = {
    "audio2": {"module": "xyloCore2", "neuron": "ReservoirNeuron", "board": "XyloA2TestBoard"},
    "audio3": {"module": "xyloAudio3", "neuron": "HiddenNeuron", "board": "XyloAudio3TestBoard"},
    "imu": {"module": "xyloImu", "neuron": "HiddenNeuron", "board": "XyloImuTestBoard"},
}


@cache  # it is the same for every network
def deploy_py(target: Target) -> bytes:
    """A self-contained script: checks the bundle, builds the vendor's object, uploads, runs a raster."""
    return deploy_script(
        "nirc.backends.xylo",
        files=[config_file(target)],
        modules=["nirc.backends.xylo.checks"],
        variant=target.variant,
        part=target.part,
        samna=SAMNA[target.variant],
        block=block_of(target),
        synapse_2=two_synapses(target),
        max_input_spikes=limits.MAX_INPUT_SPIKES,
    )
