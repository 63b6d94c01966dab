"""Renders deploy.py, the loader for the vendor's tools."""

from __future__ import annotations

from functools import cache

from nirc.backends.speck import limits
from nirc.backends.speck.config import config_file
from nirc.files.chipfiles import deploy_script

# Boards as samna names them, the usual one first. Source: sinabs, backend/dynapcnn/io.py.
BOARDS = {"2f": ("Speck2fDevKit", "Speck2fModuleDevKit"), "2e": ("Speck2eDevKit", "Speck2eTestBoard")}


@cache  # it is the same for every network
def deploy_py(variant: str) -> bytes:
    """A self-contained script: checks the bundle, builds the vendor's object, uploads, runs a raster."""
    target = next(target for target in limits.VARIANTS if target.variant == variant)
    return deploy_script(
        "nirc.backends.speck",
        files=[config_file(target)],
        modules=["nirc.backends.speck.geometry", "nirc.backends.speck.checks"],
        part=target.part,
        variant=target.variant,
        boards=BOARDS[target.variant],
        slow_clock_hz=limits.SLOW_CLOCK_HZ,
    )
