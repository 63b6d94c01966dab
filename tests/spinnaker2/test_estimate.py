"""The system tick, by the events of the busiest processing element."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nirc.backends.spinnaker2.estimate import events, tick
from nirc.backends.spinnaker2.limits import EVENTS_PER_S, PLANNED, TICK_S
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
