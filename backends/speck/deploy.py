"""Renders deploy.py, the loader for the vendor's tools; the numbers in it come from limits.py."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import fill

from nirc.backends.speck import emit as files
from nirc.backends.speck import limits
from nirc.backends.speck.configuration import Configuration
from nirc.chip.target import Target
from nirc.files.chipfiles import script

# Boards as samna names them, the usual one first. Source: sinabs, backend/dynapcnn/io.py.
BOARDS = {"2f": ("Speck2fDevKit", "Speck2fModuleDevKit"), "2e": ("Speck2eDevKit", "Speck2eTestBoard")}


def deploy_py(configuration: Configuration) -> bytes:
    """A self-contained script: checks config.json, builds the vendor's object, uploads, runs a raster."""
    target = _target(configuration.variant)
    return script(
        "nirc.backends.speck",
        "deploy.py.j2",
        part=target.part,
        variant=target.variant,
        boards=BOARDS[target.variant],
        limits=vars(limits),
        fixed=_fixed(),
        input_map=target.max("input map"),
        output_map=target.max("output map"),
        channels=target.max("input channels"),
    )


def _fixed() -> dict[str, object]:
    """Parts of config.json that are the same in all files; objects as the inside of a Python dict, in lines."""
    parts: dict[str, Mapping[str, object]] = {
        "core": files.CORE_FIXED,
        "dvs": files.DVS_FIXED,
        "filter": files.DVS_FILTER,
        "readout": files.readout_layer(enabled=False),
    }
    return {name: _lines(part) for name, part in parts.items()} | {"pins": files.READOUT_PINS}


def _lines(part: Mapping[str, object]) -> str:
    text = repr(dict(part))[1:-1].replace("'", '"').replace(": ", ":~")  # a line must not end between name and value
    return fill(text, 116, initial_indent="    ", subsequent_indent="    ").replace("~", " ")


def _target(variant: str) -> Target:
    return next(target for target in limits.VARIANTS if target.variant == variant)
