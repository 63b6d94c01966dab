"""Spyx numbers its layers, and its exporter leaves out those that NIR has no node for."""

from __future__ import annotations

import numpy as np
import pytest

from nirc.api import Options, lower
from nirc.diagnostics.log import Log
from tests.build import graph, if_, inp, linear, out
from tests.smith.case import as_object


@pytest.mark.parametrize(
    ("numbers", "missing", "present"),
    [
        ((0, 1), "", ""),
        ((0, 3), "1, 2", "layer_0, layer_3"),
        ((1, 2), "0", "layer_1, layer_2"),
    ],
)
def test_a_layer_that_the_exporter_left_out_is_named(
    numbers: tuple[int, int], missing: str, present: str
) -> None:
    weights, neurons = (f"layer_{number}" for number in numbers)
    nodes = {"input": inp(2), weights: linear(np.eye(2)), neurons: if_(2), "output": out(2)}
    log = Log()
    model = as_object(graph(nodes, f"input {weights} {neurons} output"))
    lower(model, Options(writer="spyx"), log=log)
    found = [d for d in log.diagnostics if d.code == "W206"]
    assert [(d.where, d.found) for d in found] == ([("nodes", present)] if missing else [])
    assert all(f"lacks layer {missing}: " in d.message for d in found)
