"""A placed network as files: network.npz, network.net if it is a chain, deploy.py, mapping.json.

Pure functions.
"""

from __future__ import annotations

from functools import cache

from nirc.backends.loihi2.chip import Chip
from nirc.backends.loihi2.mapping import MAPPING, mapping_json
from nirc.backends.loihi2.netx import network_net
from nirc.backends.loihi2.tables import FILE, NETWORK, to_npz
from nirc.files.chipfiles import deploy_script


def emit(chip: Chip, *, dt_s: float | None) -> dict[str, bytes]:
    """The chip's files by name."""
    files = {
        FILE: to_npz(chip.tables),
        "mapping.json": mapping_json(chip, dt_s),
        "deploy.py": deploy_py(),
    }
    chain = network_net(chip.tables)
    return files if chain is None else {**files, "network.net": chain}


@cache  # it is the same for every network
def deploy_py() -> bytes:
    """A self-contained script (numpy and Lava, no nirc): checks the bundle, builds the processes,
    runs a raster.

    It is the same for every network: it reads network.npz, mapping.json and manifest.json.
    """
    return deploy_script(
        "nirc.backends.loihi2",
        files=[NETWORK, MAPPING],
        modules=["nirc.files.members", "nirc.backends.loihi2.checks"],
    )
