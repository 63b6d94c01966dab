"""Kernels answer alike in plain Python and in machine code, and little work loads no numba."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from nirc.mapping import compiled
from nirc.mapping.routing import Nets, Routes, deadlock
from nirc.mapping.routing import walk as walk_trees
from nirc.mapping.routing.links import LinkGraph, mesh
from nirc.mapping.routing.route import route
from nirc.mapping.tables import Tables, tables_for
from nirc.mapping.tables.keys import Keys, allocate
from nirc.mapping.tables.minimise import minimised
from nirc.mapping.tables.walk import walk

SIDE = 6
NETS = 60


def board() -> LinkGraph:
    """Return a triangular board with two faulty routers and a faulty link."""
    broken = {"faulty_routers": [7, 8], "faulty_links": [(20, 0)]}
    return mesh(SIDE, SIDE, triangular=True, **broken)  # type: ignore[arg-type]


def nets_on(links: LinkGraph) -> tuple[Nets, np.ndarray]:
    """Return nets between routers that work, and the core of each target."""
    rng = np.random.default_rng(3)
    works = np.flatnonzero(links.works)
    source = rng.choice(works, NETS)
    target = rng.choice(works, 4 * NETS)
    nets = Nets(source, np.arange(0, 4 * NETS + 1, 4), target, np.ones(NETS))
    return nets, rng.integers(0, 20, target.size)


def mapped() -> tuple[Routes, Tables, Tables, str, Keys, Any]:
    """Route nets and make their tables."""
    links = board()
    nets, cores = nets_on(links)
    routes = route(nets, links)
    walk_trees(nets, links, routes)
    keys = allocate(np.arange(NETS) // 3, np.full(NETS, 50))
    long = tables_for(nets, routes, links, keys, cores)
    short = minimised(long)
    return (
        routes,
        long,
        short,
        deadlock.check(links, routes).text,
        keys,
        walk(short, nets, links, keys, cores),
    )


def test_plain_python_gives_the_answers_of_machine_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "_rounds_left", [0])
    fast = mapped()
    monkeypatch.setattr(compiled, "_rounds_left", [10**12])
    monkeypatch.setattr(compiled, "_waiting", [object()])  # something is not compiled
    for name, module in list(sys.modules.items()):
        if name.startswith(compiled.PACKAGE):
            for attribute, value in list(vars(module).items()):
                kernel = compiled._kernels.get(compiled._python_of(value))
                if kernel is not None:
                    monkeypatch.setattr(module, attribute, kernel)
    monkeypatch.setattr(compiled, "_machine_code", None)
    slow = mapped()
    assert not fast[5] and not slow[5]
    assert fast[3] == slow[3]
    assert len(fast[2].key) < len(fast[1].key)
    for a, b in zip(fast[:3], slow[:3], strict=True):
        for name, value in vars(a).items():
            np.testing.assert_array_equal(value, getattr(b, name))


def test_little_work_does_not_load_numba_and_much_work_does() -> None:
    program = """
import sys
import numpy as np
from nirc.mapping import compiled
for rounds in (10, 10**9):
    with compiled.little_work(rounds):
        print(int(compiled.following_linear(np.uint64(7))), "numba" in sys.modules)
"""
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    little, much = (line.split() for line in run.stdout.splitlines())
    assert little[0] == much[0]
    assert (little[1], much[1]) == ("False", "True")


def test_blocks_of_little_work_share_one_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "_rounds_left", [100])
    monkeypatch.setattr(compiled, "_waiting", [object()])  # something is not compiled
    plain = []
    for _ in range(3):
        with compiled.little_work(40):
            plain.append(compiled._plain.get())
    assert plain == [True, True, False]


def test_without_numba_the_answer_is_the_same_and_a_warning_says_why_it_is_slow() -> None:
    script = """
import importlib.util, sys, warnings
import numpy as np
found = importlib.util.find_spec
if sys.argv[1] == "without":
    importlib.util.find_spec = lambda name, *rest: None if name == "numba" else found(name, *rest)
from nirc.mapping import compiled
compiled._rounds_left[0] = 0
with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    answer = int(compiled.following_linear(np.uint64(7)))
codes = [str(each.message)[:6] for each in seen]
print(answer, "[U617]" in codes, "numba" in sys.modules)
"""
    done = [
        subprocess.run(
            [sys.executable, "-c", script, how], capture_output=True, text=True, check=True
        ).stdout.split()
        for how in ("with", "without")
    ]
    assert done[0][0] == done[1][0]
    assert done[0][1:] == ["False", "True"] and done[1][1:] == ["True", "False"]
