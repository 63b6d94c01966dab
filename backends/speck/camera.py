"""The event camera as the model's input: which of its pixels, and how they are pooled."""

from __future__ import annotations

from nirc.backends.speck.configuration import Dvs
from nirc.backends.speck.convolve import planes
from nirc.backends.speck.geometry import Map
from nirc.backends.speck.limits import DATASHEET, DVS_SIZE
from nirc.backends.speck.network import Network
from nirc.diagnostics.log import Log
from nirc.ir.populations import Source
from nirc.ir.program import Program


def camera(program: Program, network: Network, log: Log) -> Dvs | None:
    """The window in the middle of the sensor that is as large as the model's input, or errors
    (S720).

    Pooling right after the input is done by the camera layer; it comes before the cut, so the
    window is in pooled pixels. One channel: polarities are merged.
    """
    sources = program.nodes(Source)
    if len(sources) != 1:
        _refuse(f"{len(sources)} inputs", "one input", "inputs", log)
        return None
    (name, source), *_ = sources.items()
    arrows = [arrow for _, arrow in network.leaving(name)]
    where = source.origins[0]
    shape, pools = planes(source.shape), {arrow.pooling for arrow in arrows}
    if len(pools) != 1:
        _refuse("branches that pool the input differently", "one pooling", where, log)
        return None
    (pool, across), *_ = pools
    wide = max(shape[1:])
    if (
        shape[0] > 2
        or wide > DVS_SIZE
        or pool != across
        or any(arrow.shape != shape for arrow in arrows)
    ):
        _refuse(f"input of {shape}", f"(1 or 2, y, x) with sides up to {DVS_SIZE}", where, log)
        return None
    return _window(shape, pool)


def _window(shape: Map, pool: int) -> Dvs:
    channels, *sides = shape
    pooled = [n // pool for n in sides]
    y, x = ((DVS_SIZE // pool - n) // 2 for n in pooled)
    return Dvs(
        origin=(y, x), cut=(y + pooled[0] - 1, x + pooled[1] - 1), pooling=pool, merge=channels == 1
    )


def _refuse(found: str, limit: str, where: str, log: Log) -> None:
    log.error(
        "S720",
        "the input does not fit the event camera",
        where=where,
        found=found,
        limit=limit,
        source=DATASHEET,
        help="give --input host, or train on events of the sensor: two polarities (or one, "
        "merged), y, x",
    )
