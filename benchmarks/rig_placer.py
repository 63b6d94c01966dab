"""rig 2.4.1, the SpiNNaker research placer, on the same problem: ``pip install rig rig_c_sa`` (its
kernel in C).

rig is of 2018. Three names that today's Python and setuptools lack are put back before it is
imported.
"""

from __future__ import annotations

import inspect
import random
import sys
import time
import types
from collections import namedtuple

from nirc.mapping.placement import Cells, Traffic, cost

EFFORT = 10.0  # of its annealing; 1 is rig's default
ArgSpec = namedtuple("ArgSpec", "args varargs keywords defaults")


def rig_cost(traffic: Traffic, cells: Cells, effort: float = EFFORT) -> tuple[int, float] | None:
    """(cost, seconds) of rig's simulated annealing on a plain mesh; None if rig or its C kernel is
    not installed.
    """
    try:
        put_back_what_is_gone()
        from rig.links import Links
        from rig.netlist import Net
        from rig.place_and_route import Cores, Machine
        from rig.place_and_route.place.sa import place
        from rig.place_and_route.place.sa.c_kernel import CKernel
    except ImportError:
        return None
    width, height, _ = cells.shape
    steps = {
        Links.east: (1, 0),
        Links.north_east: (1, 1),
        Links.north: (0, 1),
        Links.west: (-1, 0),
        Links.south_west: (-1, -1),
        Links.south: (0, -1),
    }
    outside = {
        (x, y, link)
        for x in range(width)
        for y in range(height)
        for link, (dx, dy) in steps.items()
        if not (0 <= x + dx < width and 0 <= y + dy < height)
    }
    machine = Machine(width, height, chip_resources={Cores: 1}, dead_links=outside)
    nets = [
        Net(a, [b], float(w))
        for a, b, w in zip(*(ends.tolist() for ends in traffic.edges()), strict=True)
    ]
    needs = {node: {Cores: 1} for node in range(traffic.nodes)}
    begin = time.perf_counter()
    found = place(needs, nets, machine, [], effort=effort, random=random.Random(0), kernel=CKernel)
    seconds = time.perf_counter() - begin
    at = [found[node][0] + width * found[node][1] for node in range(traffic.nodes)]
    return cost(traffic, cells, at), seconds


def put_back_what_is_gone() -> None:
    if not hasattr(inspect, "getargspec"):
        inspect.getargspec = lambda f: ArgSpec(*inspect.getfullargspec(f)[:4])  # type: ignore[attr-defined]
    try:
        import pkg_resources  # noqa: F401
    except ImportError:
        stand_in = types.ModuleType("pkg_resources")
        stand_in.require = lambda *names: []  # type: ignore[attr-defined]
        sys.modules["pkg_resources"] = stand_in
