"""The files of a bundle: network.npz, mapping.json, deploy.py."""

from __future__ import annotations

from nirc.backends.spinnaker2 import mapping, tables
from nirc.backends.spinnaker2.deploy import deploy_py
from nirc.backends.spinnaker2.fit import Chip


def emit(chip: Chip) -> dict[str, bytes]:
    """Files by name; the same for the same network."""
    return {
        tables.FILE: tables.to_npz(chip.tables),
        mapping.FILE: chip.mapping.to_json(),
        "deploy.py": deploy_py(),
    }
