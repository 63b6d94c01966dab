"""What a graph computes where each population steps by an update rule of its own.

Signals travel as in ``nir_graph``, and neurons step as in ``rules``. A population whose rule emits
before it takes its input sends the same whatever arrives. So nothing has to be heard a step later
for its sake.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np

from nirc.ir import layers as nir
from tests.reference.nir_graph import Array, Reference
from tests.reference.rules import Neuron, one_by_one


class RuleReference(Reference):
    """``dynamics``: of each population, with a rule and coefficients for ``one_by_one``."""

    def __init__(self, *given: Any, dynamics: Mapping[str, Any], **options: Any) -> None:
        super().__init__(*given, **options)
        self.cells: dict[str, list[Neuron]] = {n: one_by_one(d) for n, d in dynamics.items()}
        self.early = {n for n, d in dynamics.items() if _emits_first(d.rule.text)}
        self.advanced = dict.fromkeys(dynamics, 0)  # steps that each population has made

    def signal(self, node: str, t: int, listener: str | None, delayed: bool) -> Array:
        if node in self.early and isinstance(self.nodes[node].layer, nir.Neuron) and t >= 0:
            return self.fire(node, t).reshape(self.nodes[node].shape_out or (1,))
        return super().signal(node, t, listener, delayed)

    def fire(self, node: str, t: int) -> Array:
        if t < 0:
            return super().fire(node, t)
        if (node, t) not in self.spikes:
            self._advance(node, t if node in self.early else t + 1)
            if node in self.early:  # what it would send with any input
                sent = [copy.deepcopy(cell).step(0.0) for cell in self.cells[node]]
                self.spikes[node, t] = np.array(sent)
        return self.spikes[node, t]

    def _advance(self, node: str, steps: int) -> None:
        while self.advanced[node] < steps:
            t = self.advanced[node]
            if node in self.early:
                self.fire(node, t)
            x = self.sum(node, t, node, False).ravel()
            sent = [cell.step(value) for cell, value in zip(self.cells[node], x, strict=True)]
            self.spikes[node, t] = np.array(sent)
            self.advanced[node] = t + 1


def _emits_first(text: str) -> bool:
    words = [part.split() for part in text.split(",")]
    adds = [i for i, (verb, *rest) in enumerate(words) if verb == "add" and rest[0].startswith("x")]
    return ["emit"] in words and words.index(["emit"]) < min(adds)
