"""The system tick, by the events of the busiest processing element."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nirc.backends.spinnaker2.estimate import estimate, events, tick
from nirc.backends.spinnaker2.limits import EVENTS_PER_S, PLANNED, TICK_S
from nirc.backends.spinnaker2.mapping import Tick
from nirc.backends.spinnaker2.tables import Input, Projection, Tables
from nirc.chip.estimate import Activity
from tests.spinnaker2.test_places import slices


def test_a_tick_is_long_enough_for_the_events_of_the_busiest_pe() -> None:
    """A tenth of the neurons fire in a step."""
    parts = slices(np.array([[0, 1], [1, 1], [0, 2]]), 3)
    assert events(replace(parts, synapses=np.array([70, 10, 20]))).tolist() == [0, 9, 1]
    planned = EVENTS_PER_S * PLANNED
    for share, seconds in ((1.0, TICK_S), (1.01, 1.1e-3), (2.5, 2.5e-3), (2.55, 2.6e-3)):
        synapses = np.array([1, round(share * planned * TICK_S * 10), 0])
        found = tick(replace(parts, synapses=synapses), None)
        assert found.seconds == pytest.approx(seconds) and found.late_cores == 0
        assert f"of p, has {share * planned * TICK_S:,.0f} events a step" in found.reason
        assert ("1 ms" in found.reason) == (share == 1)
        assert (f"{planned:,.0f} a second are planned" in found.reason) == (share > 1)
    busy = replace(parts, synapses=np.array([0, round(2.5 * planned * TICK_S * 10), 1]))
    assert tick(busy, 2e-3).late_cores == 1 and tick(busy, 3e-3).late_cores == 0
    assert tick(busy, 2e-3).seconds == 2e-3


def test_a_tick_says_which_pe_it_waits_for() -> None:
    """6,000 events a step take a millisecond."""
    parts = replace(slices(np.array([[0, 1], [1, 2]]), 3), names=("idle", "p"))
    parts = replace(parts, owner=np.array([0, 1, 0]), synapses=np.array([60_000, 50_000]))
    busiest = "the busiest PE, of p, has 6,000 events a step at 0.1 spikes a neuron"
    assert tick(parts, None) == Tick(1e-3, f"users' scripts run at 1 ms; {busiest}", 0)
    assert tick(parts, 9e-4) == Tick(9e-4, f"as asked; {busiest}", 1)
    assert tick(parts, 8e-4) == Tick(8e-4, f"as asked; {busiest}", 2)
    busy = replace(parts, synapses=np.array([60_001, 50_000]))
    planned = f"{busiest}; 6,000,000 a second are planned"
    assert tick(busy, None) == Tick(1.1e-3, planned, 0)
    silent = replace(parts, pair_source=parts.pair_source[:0], pair_target=parts.pair_target[:0])
    found = tick(replace(silent, synapses=parts.synapses[:0]), None)
    assert found.seconds == TICK_S and "of idle, has 0 events" in found.reason


def test_a_step_costs_ten_picojoules_an_operation_and_takes_a_tick() -> None:
    """Copies of an input bring as much as its average channel, by their own synapses."""
    ones = np.ones(7, np.int64)

    def wires(source: str, synapses: int) -> Projection:
        every = ones[:synapses]
        return Projection(source, source, "p", every * 0, every, every, every * 0)

    inputs = (
        Input("x", np.arange(4), 4),
        Input("y", np.array([4, 5]), 2),
        Input("x.copies", np.array([2, 0]), 2),
        Input("y.copies", np.array([5]), 1),
        Input("z.copies", np.array([9]), 1),  # of a channel that plays nothing
    )
    lists = [wires(source.name, 3 + i) for i, source in enumerate(inputs)]
    tables = Tables(10, inputs, (), tuple(lists), (), ())
    labels = {"in x": "x", "in y": "y", "p": "p"}
    time = Tick(2e-3, "as asked", 0)
    chip: Any = SimpleNamespace(tables=tables, labels=labels, mapping=SimpleNamespace(tick=time))
    busy = Activity({"in x": 2.0, "in y": 0.8, "p": 5.0}, {"p": 100.0, "q": 11.0}, {}, "")
    mapped: Any = SimpleNamespace(chip=chip)
    energy, duration = estimate(mapped, busy)
    copied = 2.0 / 4 * 5 + 0.8 / 2 * 6
    assert energy.value == pytest.approx((111 + copied) * 10e-12)
    assert (energy.unit, energy.certainty) == ("J", "S")
    assert energy.name == "energy of synaptic operations per step"
    assert "synaptic operations only" in energy.source
    assert (duration.name, duration.value, duration.unit) == ("time per step", 2e-3, "s")
    assert (duration.source, duration.certainty) == ("system tick: as asked", "I")
