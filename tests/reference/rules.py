"""The slow definition of an update rule: one neuron, one step, one operation after the other, in
words.

It reads the text of a rule, so that neither the parser nor the interpreter of nirc is used.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


@dataclass
class Coefficients:
    """Numbers of one neuron. None: the neuron has no such part."""

    decay_mem: float = 1.0
    gain_mem: float = 1.0
    drift: float = 0.0
    decay_syn: float | None = None
    gain_syn: float | None = None
    decay_syn_2: float | None = None
    gain_syn_2: float | None = None
    threshold: float | None = None
    v_reset: float | None = None
    v_least: float | None = None
    v_start: float | None = None
    grain: float | None = None


class Neuron:
    """One neuron under the rule of this text."""

    def __init__(self, rule: str, c: Coefficients) -> None:
        self.words, self.c = [part.split() for part in rule.split(",")], c
        self.v = 0.0 if c.v_start is None else c.v_start
        self.i, self.i_2 = 0.0, 0.0
        self.fired: list[float] = [
            0.0,
            0.0,
        ]  # spikes of the comparison before the last, and of the last

    def step(self, x: float, second: float = 0.0) -> float:
        """What leaves in this step: spikes, or v of a neuron without a threshold."""
        c, sent = self.c, None
        for verb, *rest in self.words:
            if (verb, *rest) == ("decay", "i"):
                self.i = 0.0 if c.decay_syn is None else self._cut(c.decay_syn * self.i)
                self.i_2 = 0.0 if c.decay_syn_2 is None else self._cut(c.decay_syn_2 * self.i_2)
            elif (verb, *rest) == ("decay", "v"):
                self.v = self._cut(c.decay_mem * self.v) + c.drift
            elif (verb, *rest) == ("add", "x->i"):
                self.i += x if c.gain_syn is None else c.gain_syn * x
                self.i_2 += 0.0 if c.gain_syn_2 is None else c.gain_syn_2 * second
            elif (verb, *rest) == ("add", "i->v"):
                self.v += c.gain_mem * (self.i + self.i_2)
            elif (verb, *rest) == ("add", "x->v"):
                self.v += c.gain_mem * x
            elif verb == "fire":
                self.fired = [self.fired[1], self._spikes(*rest)]
            elif verb == "subtract":
                assert c.threshold is not None
                self.v -= self.fired[1] * c.threshold
            elif verb == "restore":
                assert c.threshold is not None
                self.v += self.fired[0] * c.threshold
            elif verb == "set":
                self.v = self.v if self.fired[1] == 0 else c.v_reset or 0.0
            elif verb == "bound":
                self.v = self.v if c.v_least is None else max(self.v, c.v_least)
            elif verb == "emit":
                sent = self.v if c.threshold is None else self.fired[1]
            else:
                raise AssertionError(f"{verb} {rest}")
        return self.v if sent is None else sent

    def _cut(self, state: float) -> float:
        grain = self.c.grain
        return state if grain is None else math.trunc(state / grain) * grain

    def _spikes(self, comparison: str, most: str) -> float:
        """As many as the membrane holds thresholds, one at least where it is past the threshold."""
        threshold = self.c.threshold
        assert threshold is not None
        if not (self.v > threshold or (comparison == ">=" and self.v == threshold)):
            return 0.0
        whole = math.floor(self.v / threshold) if threshold > 0 else 1
        return float(max(1, whole if most == "many" else min(whole, int(most))))


def one_by_one(d: object) -> list[Neuron]:
    """The neurons of a population: anything with a ``rule`` and the coefficients, each (n,), one
    number or None.
    """
    n = np.size(d.decay_mem)  # type: ignore[attr-defined]
    numbers = {k: getattr(d, k) for k in Coefficients.__dataclass_fields__}
    full = {k: None if v is None else np.broadcast_to(v, n) for k, v in numbers.items()}
    made = [{k: None if v is None else float(v[j]) for k, v in full.items()} for j in range(n)]
    return [Neuron(d.rule.text, Coefficients(**each)) for each in made]  # type: ignore[attr-defined,arg-type]
