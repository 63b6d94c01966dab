"""The equations of the chip's neurons in Brian 2, written from the sheet alone: many networks in
one run.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType
from typing import Any

import numpy as np
import pytest

from nirc.backends.spinnaker2.tables import FILTERED, Population, Tables

# In a step Brian updates state, then tests thresholds, then delivers spikes, then resets. Weights
# that a spike delivers wait in `excited` and `inhibited` for the update of the next step, so a
# delay of 0 is one step.
EQUATIONS = """
v : 1
i_exc : 1
i_inh : 1
excited : 1
inhibited : 1
alpha : 1 (constant)
keep_exc : 1 (constant)
keep_inh : 1 (constant)
offset : 1 (constant)
theta : 1 (constant)
bottom : 1 (constant)
subtracts : 1 (constant)
"""
UPDATE = """
i_exc = keep_exc * i_exc + excited
i_inh = keep_inh * i_inh + inhibited
v = alpha * v + (i_exc + i_inh) + offset
excited = 0
inhibited = 0
"""
Trace = dict[str, tuple[np.ndarray, np.ndarray]]  # by population: spikes and v, (steps, neurons)


def require_brian() -> Any:
    """Brian 2. Missing: the test is skipped, or fails under NIRC_REQUIRE_ORACLES=1."""
    try:
        return _brian()
    except ImportError as error:
        if os.environ.get("NIRC_REQUIRE_ORACLES") == "1":
            pytest.fail(f"Brian 2 is missing ({error}); install it: pip install -e '.[oracles]'")
        pytest.skip(f"Brian 2 is missing ({error})")


@functools.cache
def _brian() -> Any:
    """Brian 2.9.0 names a method of arrays that numpy 2.4 no longer has; it is not used here."""
    if not hasattr(np.ndarray, "ptp"):
        sys.meta_path.insert(0, _WithoutPtp())
    import brian2

    return brian2


class _WithoutPtp(SourceFileLoader, MetaPathFinder):
    """Loads the one module of Brian 2 that names it."""

    NAME = "brian2.units.fundamentalunits"

    def __init__(self, path: str = "") -> None:
        super().__init__(self.NAME, path)

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: Any = None
    ) -> ModuleSpec | None:
        if name != self.NAME or not path:
            return None
        file = str(Path(path[0]) / "fundamentalunits.py")
        return spec_from_file_location(name, file, loader=_WithoutPtp(file))

    def get_code(self, fullname: str) -> CodeType:
        source = self.get_data(self.path).replace(b"np.ndarray.ptp", b"np.ptp")
        return compile(source, self.path, "exec", dont_inherit=True)


def run_brian(networks: Sequence[Tables], rasters: Sequence[np.ndarray]) -> list[Trace]:
    """Each network on its raster (steps, channels) of zeros and ones; all rasters are equally
    long.
    """
    b = require_brian()
    b.start_scope()
    b.prefs.codegen.target = "numpy"
    b.prefs.core.default_float_dtype = np.float32
    b.defaultclock.dt = dt = 1 * b.ms
    steps = len(rasters[0])
    populations = [(k, p) for k, t in enumerate(networks) for p in t.populations]
    first = dict(
        zip(
            [(k, p.name) for k, p in populations],
            _starts([p.n for _, p in populations]),
            strict=True,
        )
    )
    total = sum(p.n for _, p in populations)
    cells = b.NeuronGroup(
        total,
        EQUATIONS,
        threshold="v >= theta",
        reset="v = subtracts * (v - theta) + (1 - subtracts) * bottom",
        method="exact",
    )
    cells.run_regularly(UPDATE, dt=dt, when="groups")
    for name, values in _parameters([p for _, p in populations]).items():
        setattr(cells, name, values)

    sources = [(k, s) for k, t in enumerate(networks) for s in t.inputs]
    first_in = dict(
        zip([(k, s.name) for k, s in sources], _starts([s.n for _, s in sources]), strict=True)
    )
    rows = [rasters[k][:, s.channels] for k, s in sources]
    step, index = np.nonzero(np.concatenate(rows, axis=1))
    inputs = b.SpikeGeneratorGroup(sum(s.n for _, s in sources), index, step * dt)
    objects: list[Any] = [cells, inputs]
    for group, starts in ((cells, first), (inputs, first_in)):
        wires = [
            (k, p) for k, t in enumerate(networks) for p in t.projections if (k, p.source) in starts
        ]
        if not wires:
            continue
        pre = np.concatenate([p.pre + starts[k, p.source] for k, p in wires])
        post = np.concatenate([p.post + first[k, p.target] for k, p in wires])
        weight, delay = (
            np.concatenate([getattr(p, name) for _, p in wires]) for name in ("weight", "delay")
        )
        for sign, variable in ((1, "excited"), (-1, "inhibited")):
            chosen = np.sign(weight) == sign
            if not chosen.any():
                continue
            synapses = b.Synapses(group, cells, "w : 1", on_pre=f"{variable}_post += w")
            synapses.connect(i=pre[chosen], j=post[chosen])
            synapses.w = weight[chosen]
            synapses.delay = delay[chosen] * dt
            objects.append(synapses)
    spikes = b.SpikeMonitor(cells)
    states = b.StateMonitor(cells, "v", record=True, when="end")
    b.Network(*objects, spikes, states).run(steps * dt)
    fired = np.zeros((steps, total), bool)
    fired[np.rint(np.asarray(spikes.t / dt)).astype(int), np.asarray(spikes.i)] = True
    v = np.asarray(states.v).T
    return [
        {
            p.name: (_part(fired, first[k, p.name], p), _part(v, first[k, p.name], p))
            for p in t.populations
        }
        for k, t in enumerate(networks)
    ]


def _starts(sizes: Sequence[int]) -> list[int]:
    return [0, *np.cumsum(sizes)[:-1].tolist()]


def _part(values: np.ndarray, start: int, population: Population) -> np.ndarray:
    return values[:, start : start + population.n]


def _parameters(populations: Sequence[Population]) -> dict[str, np.ndarray]:
    """Each population's, one after the other. Without synaptic currents nothing of them is kept."""
    none = np.zeros(1, np.float32)

    def joined(name: str, *, filtered: bool = False) -> np.ndarray:
        return np.concatenate(
            [
                np.broadcast_to(
                    none if filtered and p.model not in FILTERED else getattr(p, name), p.n
                )
                for p in populations
            ]
        )

    modes = [np.full(p.n, p.reset == "reset_by_subtraction", np.float32) for p in populations]
    return {
        "alpha": joined("alpha_decay"),
        "keep_exc": joined("exc_decay", filtered=True),
        "keep_inh": joined("inh_decay", filtered=True),
        "offset": joined("i_offset"),
        "theta": joined("threshold"),
        "bottom": joined("v_reset"),
        "v": joined("v_init"),
        "subtracts": np.concatenate(modes),
    }
