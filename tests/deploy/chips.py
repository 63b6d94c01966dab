"""Small good bundles of every chip, and what each test of deploy.py needs to know of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from nirc.backends.speck import config as speck_config
from nirc.backends.speck.configuration import Configuration
from nirc.backends.speck.emit import emit as speck_emit
from nirc.backends.speck.limits import VARIANTS as SPECK
from nirc.backends.xylo import config as xylo_config
from nirc.backends.xylo.emit import emit as xylo_emit
from nirc.backends.xylo.limits import IMU
from nirc.backends.xylo.limits import VARIANTS as XYLO
from nirc.chip.target import Target
from nirc.files.description import File
from tests import deployed
from tests.speck.test_deploy import configuration, with_camera, with_readout
from tests.xylo.test_emit import specification


@dataclass(frozen=True)
class Chip:
    """``write``: a good bundle. ``read``: nirc's reader. ``files``: what deploy.py checks field by field."""

    name: str
    write: Callable[[Path], Path]
    read: Callable[[Mapping[str, bytes]], object]
    files: tuple[File, ...]
    vendor: str  # the package that deploy.py says is missing
    run: tuple[str, ...] = ()  # options that lead to the vendor's package
    channels: int = 3  # of the model's inputs
    most: int = 1 << 20  # spikes of a channel in a step


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
        populations = {"out": {"part": "neurons", "index": [60, 63], "scale": [1.0, 8.0], "latency_steps": 0}}
        files = speck_emit(configuration, dt_s=1e-3)
        return deployed.bundle(directory, files, configuration.input_channels, 4, populations=populations)

    target = next(target for target in SPECK if target.variant == configuration.variant)
    return Chip(
        name=target.name + what,
        write=write,
        read=lambda files: speck_config.read_config(files["config.json"]),
        files=(speck_config.config_file(target),),
        vendor="samna",
        channels=160,
    )


CHIPS = [
    *(xylo(target) for target in XYLO),
    speck(configuration("2f")),
    speck(configuration("2e")),
    speck(with_camera("2f"), " with a camera"),
    speck(with_readout("2e"), " with a readout layer"),
]
