"""Payloads of the population forms: sources, populations, sinks and projections."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Generic, TypeVar

from nirc.ir.arrays import Float, Shape, size
from nirc.ir.layers import NeuronKind
from nirc.ir.linear import LinearOp
from nirc.ir.program import Program
from nirc.ir.rules import LETTER, Rule

D = TypeVar("D")
E = TypeVar("E")


@dataclass(frozen=True)
class Source:
    """An input of the network."""

    shape: Shape
    origins: tuple[str, ...]

    @property
    def n(self) -> int:
        """Return the number of channels."""
        return size(self.shape)


@dataclass(frozen=True)
class Sink:
    """An output of the network. It shows its input ``delay_steps`` later."""

    shape: Shape
    origins: tuple[str, ...]
    delay_steps: int = 0

    @property
    def n(self) -> int:
        """Return the number of channels."""
        return size(self.shape)


@dataclass(frozen=True)
class Continuous:
    """Physical parameters, each (n,) or None where the kind has none.

    ``per_step``: an integrate-and-fire gain ``r`` is added once per step instead of ``r * dt``.
    """

    kind: NeuronKind
    tau_syn_s: Float | None = None
    tau_mem_s: Float | None = None
    r: Float | None = None
    w_in: Float | None = None
    v_leak: Float | None = None
    v_threshold: Float | None = None
    v_reset: Float | None = None
    per_step: bool = False

    @property
    def fires(self) -> bool:
        """Return True if the population sends spikes, False for its membrane potential."""
        return self.v_threshold is not None


@dataclass(frozen=True)
class Discrete:
    """Coefficients of one step for the operations of ``rule``, all (n,).

    ``decay v``: v = decay_mem * v + drift. ``add ...->v``: v += gain_mem * (i or x). ``decay i``: i
    = decay_syn * i. ``add x->i``: i += gain_syn * x. A second receptor (``decay_syn_2``,
    ``gain_syn_2``) has another current. A receptor without a decay passes on its input.
    ``v_start``: v before the first step, None for 0. ``v_least``: the lower bound of v where the
    rule has one. ``v_reset``: None for 0. ``grain``: a decay cuts its state towards 0 to a multiple
    of this many volts, None where states are real numbers.
    """

    decay_mem: Float
    gain_mem: Float
    drift: Float
    decay_syn: Float | None = None
    gain_syn: Float | None = None
    threshold: Float | None = None
    v_reset: Float | None = None
    decay_syn_2: Float | None = None
    gain_syn_2: Float | None = None
    rule: Rule = LETTER
    v_least: Float | None = None
    v_start: Float | None = None
    grain: float | None = None

    @property
    def fires(self) -> bool:
        """Return True if the population sends spikes, False for its membrane potential."""
        return self.threshold is not None

    @property
    def resets_to(self) -> Float | None:
        """Return the potential (n,) that a spike sets v to, None for 0 or if no spike sets v."""
        if self.rule.reset != "set" or self.v_reset is None or not self.v_reset.any():
            return None
        return self.v_reset


class Role(Enum):
    """The reason for a population. Passes never read it from the population's name."""

    MODEL = "model"  # the model's neurons, and readouts that are added for its outputs
    RELAY = "relay"  # added: repeats the spikes that reach it, and keeps nothing from step to step
    CLOCK = "clock"  # added: fires by itself, and brings constants to others


@dataclass(frozen=True)
class Population(Generic[D]):
    """Neurons with one dynamics: ``Continuous``, ``Discrete`` or a backend's integer payload."""

    shape: Shape
    dynamics: D
    origins: tuple[str, ...]
    role: Role = Role.MODEL

    @property
    def n(self) -> int:
        """Return the number of neurons."""
        return size(self.shape)

    def with_dynamics(self, dynamics: E) -> Population[E]:
        """Return the same population with other dynamics."""
        return Population(self.shape, dynamics, self.origins, self.role)


def populations_of(program: Program, kind: type[D]) -> dict[str, Population[D]]:
    """Return the populations whose dynamics is of one type, by name, in program order."""
    return {n: p for n, p in program.nodes(Population).items() if isinstance(p.dynamics, kind)}


@dataclass(frozen=True)
class Bias:
    """A constant that a projection delivers too, from ``onset_s`` (``onset_steps``) on."""

    value: Float  # (n,)
    onset_s: float = 0.0
    onset_steps: int = 0


@dataclass(frozen=True)
class Projection:
    """Linear operators applied in order to a delayed signal, plus biases. No operator: one to one.

    ``feedback``: the projection closes a cycle and acts one step later. No exporter lets a spike
    act on itself in its own step. ``synapse``: the receptor of the target, 0 or 1. ``delay_steps``:
    valid from the discrete form on, without the step of feedback.
    """

    ops: tuple[LinearOp, ...] = ()
    delay_s: float = 0.0
    delay_steps: int = 0
    feedback: bool = False
    synapse: int = 0
    biases: tuple[Bias, ...] = ()
    origins: tuple[str, ...] = field(default=())

    @property
    def lag(self) -> int:
        """Return the steps from the source's signal to its effect, feedback included."""
        return self.delay_steps + int(self.feedback)

    @property
    def is_wire(self) -> bool:
        """Return True if the signal arrives unchanged."""
        return not self.ops and not self.biases and not self.lag
