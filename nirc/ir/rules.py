"""A neuron's update rule as data: an ordered list of named operations on its states.

The states of a neuron are the membrane potential ``v`` and the synaptic current ``i``. NIR's
letter, each simulator that writes NIR, and each chip has its ``Rule``.
``nirc.semantics.neuron`` runs any of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

State = Literal["i", "v"]
Comparison = Literal[">", ">="]
Reset = Literal["set", "subtract", "none"]
MANY = "many"  # in the text of a rule: spikes in a step without a bound


@dataclass(frozen=True)
class Decay:
    """The state decays towards its leak."""

    state: State

    @property
    def text(self) -> str:
        """Return ``decay v``."""
        return f"decay {self.state}"


@dataclass(frozen=True)
class Add:
    """The input ``x``, or the synaptic current, is added to a state with the gain of that state."""

    source: Literal["x", "i"]
    to: State

    @property
    def text(self) -> str:
        """Return ``add x->v``."""
        return f"add {self.source}->{self.to}"


@dataclass(frozen=True)
class Fire:
    """Neurons fire if v is above the threshold. ``>=``: also at the threshold.

    They fire floor(v / threshold) times, at most ``most``. None: any number of times in a step.
    """

    at: Comparison = ">"
    most: int | None = 1

    @property
    def text(self) -> str:
        """Return ``fire >= many``."""
        return f"fire {self.at} {MANY if self.most is None else self.most}"


@dataclass(frozen=True)
class Act:
    """An operation without options.

    ``subtract``: v loses the threshold for each spike of the last ``fire``. ``set``: v becomes
    v_reset where the last ``fire`` had a spike. ``restore``: v gains the threshold for each spike
    of the ``fire`` before the last. ``bound``: v is bounded from below. ``emit``: the spikes of the
    last ``fire`` leave the neuron, which may be of the step before. Without ``fire`` the membrane
    leaves.
    """

    text: Literal["subtract", "set", "restore", "bound", "emit"]


Operation = Decay | Add | Fire | Act
SUBTRACT = Act("subtract")
SET = Act("set")
RESTORE = Act("restore")
BOUND = Act("bound")
EMIT = Act("emit")
_INTO_MEMBRANE = (Add("x", "v"), Add("i", "v"))
_ON_MEMBRANE = (Decay("v"), *_INTO_MEMBRANE)
_ACTS = (SUBTRACT, SET, RESTORE, BOUND, EMIT)
_WITHOUT_OPTIONS: tuple[Operation, ...] = (Decay("i"), *_ON_MEMBRANE, Add("x", "i"), *_ACTS)
_PLAIN = {op.text: op for op in _WITHOUT_OPTIONS}
_FIRE = re.compile(r"fire (>=?) (many|[1-9][0-9]{0,8})")


@dataclass(frozen=True)
class Rule:
    """One step of a neuron. A population that never fires sends its membrane potential."""

    operations: tuple[Operation, ...]

    @property
    def text(self) -> str:
        """Return the operations in order, as ``parse`` reads them."""
        return ", ".join(op.text for op in self.operations)

    @property
    def fires(self) -> Fire | None:
        """Return the operation that decides on the spikes that leave, None without spikes."""
        if EMIT not in self.operations:
            return None
        at = self.operations.index(EMIT)
        before = (*self.operations[at:], *self.operations[:at])
        return next((op for op in reversed(before) if isinstance(op, Fire)), None)

    @property
    def has_synapse(self) -> bool:
        """Return True if the input passes a synaptic current."""
        return Add("x", "i") in self.operations

    @property
    def reset(self) -> Reset:
        """Return the effect of a spike on the membrane potential."""
        if SUBTRACT in self.operations:
            return "subtract"
        return "set" if SET in self.operations else "none"

    @property
    def reset_is_delayed(self) -> bool:
        """Return True if a spike acts only in the next step, after its decay and input."""
        ops = self.operations
        if RESTORE in ops:
            return False
        acts = [i for i, op in enumerate(ops) if op in (SUBTRACT, SET)]
        fires = [i for i, op in enumerate(ops) if isinstance(op, Fire)]
        if not acts or not fires:
            return False
        last_fire = max(i for i in fires if i < acts[0])
        return any(op in _ON_MEMBRANE for op in ops[last_fire : acts[0]])

    @property
    def restores(self) -> bool:
        """Return True if a threshold is taken before the comparison and given back after."""
        return RESTORE in self.operations

    @property
    def emission_is_delayed(self) -> bool:
        """Return True if spikes or membrane leave as they were before this step's input."""
        if EMIT not in self.operations:
            return False
        before = self.operations[: self.operations.index(EMIT)]
        compared = [k for k, op in enumerate(before) if isinstance(op, Fire)]
        if self.fires is not None:
            before = before[: compared[-1]] if compared else ()
        return not any(op in _INTO_MEMBRANE for op in before)

    @property
    def bounded(self) -> bool:
        """Return True if the membrane potential has a lower bound."""
        return BOUND in self.operations

    def without_bound(self) -> Rule:
        """Return the rule with no lower bound of the membrane potential."""
        return Rule(tuple(op for op in self.operations if op != BOUND))

    def without_reset(self) -> Rule:
        """Return the rule with no effect of a spike on the membrane."""
        return Rule(tuple(op for op in self.operations if op not in (SUBTRACT, SET, RESTORE)))

    def with_reset(self, reset: Reset) -> Rule:
        """Return the rule with another reset, at once after the comparison."""
        ops = list(self.without_reset().operations)
        if reset != "none":
            last = max(i for i, op in enumerate(ops) if isinstance(op, Fire))
            ops.insert(last + 1, SUBTRACT if reset == "subtract" else SET)
        return Rule(tuple(ops))

    def at_once(self, reset: Reset | None = None) -> Rule:
        """Return NIR's order of operations with this reset, or a rule without spikes unchanged.

        By default, spikes subtract the threshold if they do so in this rule, and set v otherwise.
        """
        fire = self.fires
        if fire is None:
            return self
        if reset is None:
            reset = "subtract" if self.reset == "subtract" else "set"
        return plain(reset, synapse=self.has_synapse, at=fire.at, most=fire.most)

    def with_fire(self, fire: Fire) -> Rule:
        """Return the rule with another comparison or number of spikes."""
        return Rule(tuple(fire if isinstance(op, Fire) else op for op in self.operations))

    def with_bound(self) -> Rule:
        """Return the rule with a lower bound of v, just before the spikes leave."""
        at = self.operations.index(EMIT)
        return Rule((*self.operations[:at], BOUND, *self.operations[at:]))

    def with_synapse(self) -> Rule:
        """Return the rule with a synaptic current, which decays before the input is added."""
        if self.has_synapse:
            return self
        operations: list[Operation] = []
        for op in self.operations:
            if op == Decay("v"):
                operations += [Decay("i"), Add("x", "i")]
            operations.append(Add("i", "v") if op == Add("x", "v") else op)
        return Rule(tuple(operations))

    def without_synapse(self) -> Rule:
        """Return the rule with an input that reaches the membrane at once."""
        kept = [op for op in self.operations if op not in (Decay("i"), Add("x", "i"))]
        return Rule(tuple(Add("x", "v") if op == Add("i", "v") else op for op in kept))


def parse(text: str) -> Rule:
    """Return the rule of ``Rule.text``. Raises ``ValueError`` for an unknown operation."""
    return Rule(tuple(_operation(part.strip()) for part in text.split(",")))


def _operation(text: str) -> Operation:
    if text in _PLAIN:
        return _PLAIN[text]
    match = _FIRE.fullmatch(text)
    if match is None:
        raise ValueError(f"`{text}` is no operation of an update rule")
    most = None if match[2] == MANY else int(match[2])
    return Fire(">=" if match[1] == ">=" else ">", most)


@lru_cache  # large networks have many populations and few rules
def faults(rule: Rule, *, synapse: bool, fires: bool) -> tuple[str, ...]:
    """Return contradictions inside ``rule``, and with a population's synapse and threshold."""
    ops = rule.operations
    found = []
    if sum(op in (Add("x", "i"), Add("x", "v")) for op in ops) != 1:
        found.append("the rule does not add the input exactly once")
    if rule.has_synapse != (Add("i", "v") in ops) or rule.has_synapse != (Decay("i") in ops):
        found.append("the rule uses a part of the synaptic current only")
    if rule.has_synapse != synapse:
        number = "a" if rule.has_synapse else "no"
        found.append(f"the rule has {number} synaptic current, the parameters do not agree")
    if (rule.fires is not None) != fires:
        verb = "fires" if rule.fires else "never fires"
        found.append(f"the rule {verb}, the parameters do not agree")
    if any(isinstance(op, Fire) for op in ops) and EMIT not in ops:
        found.append("the rule compares with the threshold and nothing leaves")
    if ops.count(Decay("v")) != 1:
        found.append("the rule does not decay the membrane exactly once")
    once = (Decay("i"), Add("i", "v"), SET, RESTORE, BOUND, EMIT)
    found += [f"`{op.text}` comes {ops.count(op)} times" for op in once if ops.count(op) > 1]
    return (*found, *_unsupported(ops))


def _unsupported(ops: Iterable[Operation]) -> list[str]:
    """Return operations that need a comparison before them and have none."""
    seen = 0
    found = []
    for op in ops:
        seen += isinstance(op, Fire)
        need = {SUBTRACT: 1, SET: 1, RESTORE: 2}.get(op, 0) if isinstance(op, Act) else 0
        if seen < need:
            found.append(f"`{op.text}` comes before the comparison that it needs")
    return found


# NIR's letter: decay and input, then v > v_threshold, then v := v_reset. Source:
# docs/reference/semantics.md.
LETTER = parse("decay v, add x->v, fire > 1, set, emit")

MEMBRANE = parse("decay v, add x->v")  # a leaky integrator, which sends its membrane potential


def plain(reset: Reset, *, synapse: bool, at: Comparison = ">", most: int | None = 1) -> Rule:
    """Return NIR's order of operations with another comparison and reset, which acts at once."""
    rule = LETTER.with_fire(Fire(at, most)).with_reset(reset)
    return rule.with_synapse() if synapse else rule
