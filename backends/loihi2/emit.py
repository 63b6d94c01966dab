"""A placed network as files: network.npz, network.net if it is a chain, deploy.py, mapping.json. Pure functions."""

from __future__ import annotations

from nirc.backends.loihi2.chip import Chip
from nirc.backends.loihi2.deploy import deploy_py
from nirc.backends.loihi2.mapping import mapping_json
from nirc.backends.loihi2.netx import network_net
from nirc.backends.loihi2.tables import FILE, to_npz


def emit(chip: Chip, *, dt_s: float | None) -> dict[str, bytes]:
    """The chip's files by name."""
    files = {FILE: to_npz(chip.tables), "mapping.json": mapping_json(chip, dt_s), "deploy.py": deploy_py()}
    chain = network_net(chip.tables)
    return files if chain is None else {**files, "network.net": chain}
