"""Payloads of the population forms: sources, populations, sinks, and the projections between
them.
"""

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
        """Channels."""
        return size(self.shape)


@dataclass(frozen=True)
class Sink:
    """An output of the network, which shows what reaches it ``delay_steps`` later."""

    shape: Shape
    origins: tuple[str, ...]
    delay_steps: int = 0

    @property
    def n(self) -> int:
        """Channels."""
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
        """Whether the population sends spikes (else its membrane potential)."""
        return self.v_threshold is not None


@dataclass(frozen=True)
class Discrete:
    """Coefficients of one step for the operations of ``rule``, all (n,).

    ``decay v``: v = decay_mem * v + drift. ``add ...->v``: v += gain_mem * (i or x). ``decay i``: i
    = decay_syn * i. ``add x->i``: i += gain_syn * x. A second receptor (``decay_syn_2``,
    ``gain_syn_2``) has a current of its own. A receptor without a decay passes on what comes in.
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
        """Whether the population sends spikes (else its membrane potential)."""
        return self.threshold is not None

    @property
    def resets_to(self) -> Float | None:
        """(n,) the potential that a spike sets v to; None if that is 0 or a spike does not set
        v.
        """
        held = self.rule.reset == "set" and self.v_reset is not None and bool(self.v_reset.any())
        return self.v_reset if held else None


class Role(Enum):
    """The reason why a population is there.

    Passes read it here, never from the population's name.
    """

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
        """Neurons."""
        return size(self.shape)

    def with_dynamics(self, dynamics: E) -> Population[E]:
        """The same population, computed otherwise."""
        return Population(self.shape, dynamics, self.origins, self.role)


def populations_of(program: Program, kind: type[D]) -> dict[str, Population[D]]:
    """Populations whose dynamics is of one type, by name, in program order."""
    return {n: p for n, p in program.nodes(Population).items() if isinstance(p.dynamics, kind)}


@dataclass(frozen=True)
class Bias:
    """A constant added to what a projection delivers, from ``onset_s`` seconds (``onset_steps``)
    on.
    """

    value: Float  # (n,)
    onset_s: float = 0.0
    onset_steps: int = 0


@dataclass(frozen=True)
class Projection:
    """Linear operators applied in order to a delayed signal, plus biases. No operator: one to one.

    ``feedback``: closes a cycle, so it acts one step later (no exporter lets a spike act in its own
    step on itself). ``synapse``: the receptor of the target, 0 or 1. ``delay_steps`` is valid from
    the discrete form on and excludes the step of feedback.
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
        """Steps from the source's signal to its effect, feedback included."""
        return self.delay_steps + int(self.feedback)

    @property
    def is_wire(self) -> bool:
        """Whether the signal arrives as it was sent."""
        return not self.ops and not self.biases and not self.lag
