"""Renders deploy.py, which hands network.npz to py-spinnaker2."""

from __future__ import annotations

from nirc.backends.spinnaker2 import limits, mapping, tables
from nirc.files.chipfiles import deploy_script


def deploy_py() -> bytes:
    """A self-contained script (numpy and py-spinnaker2, no nirc): checks the bundle, builds, runs a raster.

    The same for every network and either system: it reads network.npz, mapping.json and manifest.json.
    """
    return deploy_script(
        "nirc.backends.spinnaker2",
        files=[tables.NETWORK, mapping.MAPPING],
        modules=["nirc.files.members", "nirc.backends.spinnaker2.checks"],
        pes=limits.PES,
        chips=limits.CHIPS,
    )
