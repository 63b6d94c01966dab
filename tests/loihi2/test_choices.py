"""What is chosen or refused before a search: units of a population, cores of a system."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import nir
import numpy as np
import pytest

from nirc.api import Options, compile_model
from nirc.backends.loihi2 import BACKEND
from nirc.backends.loihi2 import fit as module
from nirc.backends.loihi2.fit import cannot_fit
from nirc.backends.loihi2.limits import HALA_POINT, KAPOHO_POINT, OHEO_GULCH, VARIANTS
from nirc.backends.loihi2.quantise import LoihiQuantise, _Population
from nirc.chip.backend import Search
from nirc.chip.target import Target
from nirc.diagnostics.log import Log
from nirc.ir.program import Program
from tests.models import DT, chain, lif

WRAP = 2**23


def chosen(
    most: float = 1000.0,
    reach: float = 131071 / 100,
    largest: list[float] | None = None,
    *,
    fires: bool = False,
    grain: float | None = None,
    twice: bool = False,
    u: float = 0.0,
) -> tuple[float, float]:
    """The unit and the share of sources that may fire. ``u``: of a unit of k."""
    plan = SimpleNamespace(
        fires=fires,
        self_inhibition=None,
        largest_k=lambda: most,
        readout_reach=lambda: reach,
        reduce_weights=lambda: False,
        grain_k=lambda k: grain,
        best_k=lambda k: k,
        drives=[SimpleNamespace(largest=x) for x in largest or []],
    )
    population: Any = SimpleNamespace(plan=plan, twice=twice, share=1.0, _largest_u=lambda k: u * k)
    population._smaller = lambda k: _Population._smaller(population, k)
    return _Population._choose_k(population), population.share


def test_a_readout_has_room_for_its_sources_if_weights_keep_six_bits() -> None:
    assert chosen(largest=[1.0]) == (100, 1)
    assert chosen(largest=[0.1]) == (640, 100 / 640)
    assert chosen(largest=[0.1, 1.0]) == (100, 1)
    assert chosen(1e6, largest=[0.001]) == (6400, 1 / 64)  # a share of less is too little
    assert chosen(300, largest=[0.1]) == (300, 1 / 3)
    assert chosen(50, largest=[1.0]) == (50, 1)
    assert chosen() == (1000, 0.1)


def test_spiking_neurons_take_the_largest_unit_of_one_at_least() -> None:
    assert chosen(1000.5, fires=True) == (1000.5, 1)
    assert chosen(0.25, fires=True) == (1, 1)
    assert chosen(1000.5, fires=True, twice=True) == (1000, 1)
    assert chosen(1000.5, largest=[1.0], twice=True) == (100, 1)


def test_the_models_grain_is_taken_where_there_is_room_for_it() -> None:
    assert chosen(largest=[1.0], grain=100.0) == (100, 1)
    assert chosen(largest=[1.0], grain=101.0) == (100, 1)
    assert chosen(largest=[1.0], grain=7.0) == (7, 1)
    assert chosen(largest=[1.0], grain=7.0, twice=True) == (100, 1)
    assert chosen(fires=True, grain=999.5) == (999.5, 1)


def test_a_unit_is_made_less_until_u_has_room() -> None:
    """By 2 % at a time. A threshold is an integer."""
    u = WRAP / 98.5
    assert chosen(largest=[1.0], u=u)[0] == pytest.approx(98)
    assert chosen(100, fires=True, u=u)[0] == 98
    assert chosen(100, fires=True, u=(WRAP - 2) / 100)[0] == 100
    assert chosen(3, fires=True, u=WRAP)[0] == 1


@pytest.mark.parametrize(
    ("k", "fires", "grain", "coarse"),
    [
        (63.9, True, None, True),
        (64.0, True, None, False),
        (63.9, False, None, False),
        (2.0, True, 2.0, False),
    ],
)
def test_a_chain_needs_64_units_a_threshold_or_the_models_grain(
    k: float, fires: bool, grain: float | None, coarse: bool
) -> None:
    population: Any = SimpleNamespace(k=k, grain_k=grain, plan=SimpleNamespace(fires=fires))
    assert _Population.too_coarse.fget(population) == coarse  # type: ignore[attr-defined]


def test_another_rounding_changes_nothing_else() -> None:
    rounding: Any = object()
    made = LoihiQuantise(True, False, True, bits=5).rounding_by(rounding)
    assert made == LoihiQuantise(True, False, True, rounding, 5)


# Cores.


def neurons(*sizes: int) -> Program:
    populations = {str(i): SimpleNamespace(n=n) for i, n in enumerate(sizes)}
    return cast(Program, SimpleNamespace(nodes=lambda kind: populations))


@pytest.mark.parametrize(
    ("n", "targets", "needs", "advice"),
    [
        (120 * 4096, [OHEO_GULCH], [], ""),
        (120 * 4096 + 1, [OHEO_GULCH], ["121 cores"], "kapohopoint"),
        (120 * 4096 + 1, [OHEO_GULCH, KAPOHO_POINT], [], ""),
        (960 * 4096 + 1, [OHEO_GULCH, KAPOHO_POINT], ["961 cores"] * 2, "halapoint"),
        (960 * 4096 + 1, list(VARIANTS), [], ""),
        (140_544 * 4096 + 1, [HALA_POINT], ["140545 cores"], "of the memory"),
    ],
)
def test_too_many_neurons_are_refused_by_their_number(
    n: int, targets: list[Target], needs: list[str], advice: str
) -> None:
    log = Log()
    assert cannot_fit(neurons(n - 7, 7), targets, log) == bool(needs)
    found = [d.found for d in log.diagnostics]
    assert found == [f"{each} ({n} neurons need at least so many)" for each in needs]
    for error, target in zip(log.diagnostics, targets if needs else [], strict=True):
        assert (error.code, error.where) == ("L801", "the whole network")
        assert error.limit.startswith(f"{target.max('cores')} (")
        assert advice in error.help or advice == "of the memory"
        assert ("or compile for" in error.help) == (target is not HALA_POINT)


def test_a_larger_system_gets_the_cores_that_were_found_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = compile_model(
        chain(2, nir.Linear(weight=np.eye(2)), lif(2), n_out=2), "loihi2", Options(dt_s=DT)
    )
    searches = []
    search = module.partition
    monkeypatch.setattr(
        module, "partition", lambda *x, **how: searches.append(how) or search(*x, **how)
    )
    program = replace(made.integer)  # another one with the same contents
    for target, asked, count in (
        (OHEO_GULCH, Search(), 1),
        (KAPOHO_POINT, Search(), 1),
        (KAPOHO_POINT, Search(seed=1), 2),
        (KAPOHO_POINT, Search(effort="quick", seed=1), 3),
        (OHEO_GULCH, Search(effort="quick", seed=1), 3),
    ):
        mapped = BACKEND.fit(program, made.legal, target, asked, Log())
        assert mapped is not None and mapped.target is target
        assert mapped.utilisation["cores"] == (1, target.max("cores"))
        assert mapped.chip.placed.partition.cores.count == target.max("cores")
        assert len(searches) == count
    assert searches[-1] == {"effort": "quick", "seed": 1}
    BACKEND.fit(made.integer, made.legal, OHEO_GULCH, Search(effort="quick", seed=1), Log())
    assert len(searches) == 4
