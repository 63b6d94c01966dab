"""Small good bundles of every chip, and what each test of deploy.py needs to know of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nirc.backends.loihi2 import emit as loihi2_emit
from nirc.backends.loihi2 import tables as loihi2_tables
from nirc.backends.speck import config as speck_config
from nirc.backends.speck.configuration import Configuration
from nirc.backends.speck.emit import emit as speck_emit
from nirc.backends.speck.limits import VARIANTS as SPECK
from nirc.backends.spinnaker2 import mapping as spinnaker2_mapping
from nirc.backends.spinnaker2 import tables as spinnaker2_tables
from nirc.backends.xylo import config as xylo_config
from nirc.backends.xylo.emit import emit as xylo_emit
from nirc.backends.xylo.limits import IMU
from nirc.backends.xylo.limits import VARIANTS as XYLO
from nirc.chip.target import Target
from nirc.files import chipfiles
from nirc.files.description import File
from tests import deployed
from tests.loihi2.bundles import lines_and_neurons, sparse_and_delayed
from tests.loihi2.bundles import write as loihi2_bundle
from tests.loihi2.test_emulate import convolution
from tests.speck.test_deploy import configuration, with_camera, with_readout
from tests.spinnaker2.bundles import written as spinnaker2_bundle
from tests.spinnaker2.networks import convolutional, network
from tests.xylo.test_emit import specification


@dataclass(frozen=True)
class Chip:
    """``write``: a good bundle.

    ``read``: nirc's reader. ``files``: what deploy.py checks field by field.
    """

    name: str
    write: Callable[[Path], Path]
    read: Callable[[Mapping[str, bytes]], object]
    files: tuple[File, ...]
    vendor: str  # the package that deploy.py says is missing
    run: tuple[str, ...] = ()  # options that lead to the vendor's package
    options: Mapping[str, Any] = field(default_factory=dict)  # the same for ``load``
    channels: int = 3  # of the model's inputs
    most: int = 1 << 20  # spikes of a channel in a step
    bare: bool = True  # to check needs no package, not even numpy


def xylo(target: Target) -> Chip:
    def write(directory: Path) -> Path:
        spec = specification(two=target is not IMU)
        files = xylo_emit(spec, target, dt_s=1e-3, clock_hz=50_000_000)
        populations = {
            "hidden": {"part": "hidden", "index": [0, 4], "scale": [2.0, 4.0], "latency_steps": 0},
            "out": {"part": "readout", "index": [0, 1], "scale": [1.0, 8.0], "latency_steps": 1},
        }
        return deployed.bundle(directory, files, 3, 2, target=target.name, populations=populations)

    return Chip(
        name=target.name,
        write=write,
        read=lambda files: xylo_config.read_config(files["config.json"]),
        files=(xylo_config.config_file(target),),
        vendor="samna",
        most=15,
    )


def speck(configuration: Configuration, what: str = "") -> Chip:
    def write(directory: Path) -> Path:
        populations = {
            "out": {"part": "neurons", "index": [60, 63], "scale": [1.0, 8.0], "latency_steps": 0}
        }
        files = speck_emit(configuration, dt_s=1e-3)
        return deployed.bundle(
            directory, files, configuration.input_channels, 4, populations=populations
        )

    target = next(target for target in SPECK if target.variant == configuration.variant)
    return Chip(
        name=target.name + what,
        write=write,
        read=lambda files: speck_config.read_config(files["config.json"]),
        files=(speck_config.config_file(target),),
        vendor="samna",
        channels=160,
    )


def spinnaker2(tables: spinnaker2_tables.Tables, what: str = "") -> Chip:
    def read(files: Mapping[str, bytes]) -> object:
        network = spinnaker2_tables.from_npz(files["network.npz"])
        return spinnaker2_mapping.from_json(files["mapping.json"], network)

    return Chip(
        name="spinnaker2" + what,
        write=lambda directory: spinnaker2_bundle(tables, directory),
        read=read,
        files=(spinnaker2_tables.NETWORK, spinnaker2_mapping.MAPPING),
        vendor="spinnaker2",
        run=("--chip", "a"),
        options={"chip": "a"},
        channels=tables.channels + 1,
        bare=False,
    )


def loihi2(tables: loihi2_tables.Tables, what: str = "") -> Chip:
    """nirc reads mapping.json for people only: it is checked here as it would be read."""

    def read(files: Mapping[str, bytes]) -> object:
        _, network = chipfiles.read(files["network.npz"], loihi2_tables.NETWORK)
        chipfiles.read(files["mapping.json"], loihi2_emit.MAPPING, trees={"network.npz": network})
        return loihi2_tables.from_npz(files["network.npz"])

    return Chip(
        name="loihi2" + what,
        write=lambda directory: loihi2_bundle(directory, tables),
        read=read,
        files=(loihi2_tables.NETWORK, loihi2_emit.MAPPING),
        vendor="lava",
        channels=tables.channels,
        bare=False,
    )


CHIPS = [
    *(xylo(target) for target in XYLO),
    speck(configuration("2f")),
    speck(configuration("2e")),
    speck(with_camera("2f"), " with a camera"),
    speck(with_readout("2e"), " with a readout layer"),
    spinnaker2(network(2)),
    spinnaker2(convolutional(), " with a convolution"),
    loihi2(lines_and_neurons()),
    loihi2(sparse_and_delayed(), " with a list of synapses"),
    loihi2(convolution(), " with a convolution"),
]
