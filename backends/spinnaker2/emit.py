"""The files of a bundle: network.npz, mapping.json, deploy.py."""

from __future__ import annotations

from functools import cache

from nirc.backends.spinnaker2 import limits, mapping, tables
from nirc.backends.spinnaker2.fit import Chip
from nirc.files.chipfiles import deploy_script


def emit(chip: Chip) -> dict[str, bytes]:
    """Files by name; the same for the same network."""
    return {
        tables.FILE: tables.to_npz(chip.tables),
        mapping.FILE: chip.mapping.to_json(),
        "deploy.py": deploy_py(),
    }


@cache  # it is the same for every network
def deploy_py() -> bytes:
    """A self-contained script (numpy and py-spinnaker2, no nirc): checks the bundle, builds, runs a
    raster.

    The same for every network and either system: it reads network.npz, mapping.json and
    manifest.json.
    """
    return deploy_script(
        "nirc.backends.spinnaker2",
        files=[tables.NETWORK, mapping.MAPPING],
        modules=["nirc.files.members", "nirc.backends.spinnaker2.checks"],
        pes=limits.PES,
        chips=limits.CHIPS,
    )
