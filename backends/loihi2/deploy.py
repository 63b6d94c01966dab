"""Renders deploy.py, which runs network.npz through Intel's Lava."""

from __future__ import annotations

from nirc.backends.loihi2 import mapping, tables
from nirc.files.chipfiles import deploy_script


def deploy_py() -> bytes:
    """A self-contained script (numpy and Lava, no nirc): checks the bundle, builds the processes, runs a raster.

    It is the same for every network: it reads network.npz, mapping.json and manifest.json.
    """
    return deploy_script(
        "nirc.backends.loihi2",
        files=[tables.NETWORK, mapping.MAPPING],
        modules=["nirc.files.members", "nirc.backends.loihi2.checks"],
    )
