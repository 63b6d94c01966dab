"""Manchester's compressors, PACMAN 7.4.1 (Apache-2.0), behind our tables.

Called as they are, nothing is copied.
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nirc.mapping.tables import Tables

INSTALL = "pip install 'SpiNNaker_PACMAN==1!7.4.1'"
ONE_CHIP, BOARD = 201, 248  # versions of SpiNNaker2 machines


def require_pacman() -> SimpleNamespace:
    """What the tests use of PACMAN.

    Missing: the test is skipped, or fails under NIRC_REQUIRE_ORACLES=1.
    """
    try:
        return load()
    except ImportError as error:
        reason = f"PACMAN is missing ({error}); install it: {INSTALL}"
        if os.environ.get("NIRC_REQUIRE_ORACLES") == "1":
            pytest.fail(reason)
        pytest.skip(reason)


@functools.cache
def load() -> SimpleNamespace:
    """PACMAN's names, or ``ImportError``."""
    from pacman.config_setup import unittest_setup
    from pacman.data.pacman_data_writer import PacmanDataWriter
    from pacman.model.routing_tables import (
        MulticastRoutingTables,
        UnCompressedMulticastRoutingTable,
    )
    from pacman.operations.router_compressors.ordered_covering_router_compressor import (
        ordered_covering_compressor,
    )
    from pacman.operations.router_compressors.pair_compressor import pair_compressor
    from pacman.operations.router_compressors.ranged_compressor import range_compressor
    from spinn_machine import MulticastRoutingEntry, RoutingEntry
    from spinn_machine.virtual_machine import virtual_machine
    from spinn_utilities.config_holder import set_config

    return SimpleNamespace(
        setup=unittest_setup,
        writer=PacmanDataWriter.mock,
        tables=MulticastRoutingTables,
        table=UnCompressedMulticastRoutingTable,
        entry=MulticastRoutingEntry,
        route=RoutingEntry,
        machine=virtual_machine,
        set_config=set_config,
        compressors={
            "pair": pair_compressor,
            "ordered covering": ordered_covering_compressor,
            "range": range_compressor,
        },
    )


def start(version: int, width: int, height: int) -> Any:
    """A machine of this version and size in PACMAN's global state; its compressors go as far as
    they can.
    """
    pacman = load()
    pacman.setup()
    pacman.set_config("Machine", "version", str(version))
    pacman.set_config("Mapping", "router_table_compress_as_far_as_possible", "True")
    writer = pacman.writer()
    writer.set_machine(pacman.machine(width, height))
    return writer


def compress(tables: Tables, width: int, method: str, writer: Any) -> tuple[Tables, float]:
    """Our tables through one of PACMAN's compressors, and the CPU seconds that it took, conversions
    apart.

    ``width``: router x + width * y is chip (x, y). No entry counts as defaultable: every one stays
    explicit.
    """
    pacman = load()
    given = pacman.tables()
    words = [sum(int(w) << 64 * i for i, w in enumerate(row)) for row in tables.routes]
    for router in range(tables.routers):
        begin, end = tables.first[router], tables.first[router + 1]
        if begin == end:
            continue
        table = pacman.table(router % width, router // width)
        for i in range(begin, end):
            route = pacman.route(spinnaker_route=words[tables.route[i]], defaultable=False)
            table.add_multicast_routing_entry(
                pacman.entry(int(tables.key[i]), int(tables.mask[i]), route)
            )
        given.add_routing_table(table)
    writer.set_uncompressed(given)
    writer.set_precompressed(given)
    made, seconds = timed(pacman.compressors[method])
    result = tables_of(made, width, tables.routers)
    return result, seconds


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    """Result and CPU seconds, without the progress bars."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        begin = time.process_time()
        result = call()
        return result, time.process_time() - begin


def tables_of(pacman_tables: Any, width: int, routers: int) -> Tables:
    """PACMAN's tables as ours."""
    found: list[list[Any]] = [[] for _ in range(routers)]
    for table in pacman_tables:
        found[table.x + width * table.y] = list(table.multicast_routing_entries)
    entries = [entry for table in found for entry in table]
    rows: dict[int, int] = {}
    route = [rows.setdefault(e.spinnaker_route, len(rows)) for e in entries]
    words = (max(rows, default=0).bit_length() + 63) // 64
    routes = np.array(
        [[word >> 64 * i & (1 << 64) - 1 for i in range(words)] for word in rows], np.uint64
    )
    return Tables(
        np.cumsum([0, *(len(table) for table in found)]),
        np.array([e.key for e in entries], np.uint32),
        np.array([e.mask for e in entries], np.uint32),
        np.array(route, np.int32),
        routes,
        6,
    )
