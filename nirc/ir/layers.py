"""Payloads of the *layers* form: NIR's primitives with typed fields.

NIR's Linear is a ``Linear`` without a bias. Conv1d and Conv2d are one ``Conv``. The seven neuron
models are one ``Neuron``, whose ``kind`` is the NIR name. A parameter that the kind lacks is None.
Units are NIR's: seconds for time constants and delays, volts for potentials. Sources: NIR
specification, Nat. Commun. 15:8122 (2024), and the reader of package nir 1.0.8.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from nirc.ir.arrays import Float, Shape

if TYPE_CHECKING:
    from nirc.ir.program import Program

NeuronKind = Literal["I", "LI", "IF", "LIF", "CubaLI", "CubaLIF", "Threshold"]
Pads = tuple[tuple[int, int], ...]  # per spatial axis: before, after


@dataclass(frozen=True)
class Input:
    """An entry of signals. ``shape``: as declared, None for an undeclared shape."""

    shape: Shape | None


@dataclass(frozen=True)
class Output:
    """An exit of signals. ``shape``: as declared, None for an undeclared shape."""

    shape: Shape | None


@dataclass(frozen=True)
class Linear:
    """``y = W x + b``. Weight (..., out, in), bias (..., out) or None."""

    weight: Float
    bias: Float | None = None


@dataclass(frozen=True)
class Scale:
    """``y = s * x`` element by element."""

    scale: Float


@dataclass(frozen=True)
class Conv:
    """Cross-correlation in PyTorch's layout.

    Weight (C_out, C_in / groups, *kernel), bias (C_out,) or None. ``input_shape``: the declared
    spatial sizes, None if they must be inferred.
    """

    weight: Float
    bias: Float | None
    stride: Shape
    padding: Pads
    dilation: Shape
    groups: int
    input_shape: Shape | None

    @property
    def axes(self) -> int:
        """Return the number of spatial axes: 1 or 2."""
        return self.weight.ndim - 2


@dataclass(frozen=True)
class Pool:
    """Sum or average over windows. The average divides by the kernel's size, also at borders."""

    kind: Literal["sum", "avg"]
    kernel: Shape
    stride: Shape
    padding: Pads


@dataclass(frozen=True)
class Flatten:
    """Merges axes ``start_dim`` to ``end_dim``, counted without a batch axis."""

    start_dim: int
    end_dim: int
    input_shape: Shape | None


@dataclass(frozen=True)
class Delay:
    """``y(t) = x(t - d)``, seconds."""

    delay_s: Float


@dataclass(frozen=True)
class Neuron:
    """A population of one neuron model. Parameters have the file's shapes, later (n,)."""

    kind: NeuronKind
    tau_syn_s: Float | None = None
    tau_mem_s: Float | None = None
    r: Float | None = None
    w_in: Float | None = None
    v_leak: Float | None = None
    v_threshold: Float | None = None
    v_reset: Float | None = None

    def parameters(self) -> dict[str, Float]:
        """Return the parameters that this kind has, by name."""
        return {k: v for k, v in self.__dict__.items() if k != "kind" and v is not None}

    def file_field(self, parameter: str) -> str:
        """Return NIR's name of ``parameter`` for this kind: tau_mem_s is ``tau`` in a LIF."""
        if self.kind == "Threshold":
            return "threshold"
        if parameter == "tau_mem_s" and self.kind in ("LI", "LIF"):
            return "tau"
        return parameter.removesuffix("_s")


@dataclass(frozen=True)
class Subgraph:
    """A nested graph. `flatten-nesting` dissolves it."""

    program: Program


Layer = Input | Output | Linear | Scale | Conv | Pool | Flatten | Delay | Neuron | Subgraph


@dataclass(frozen=True)
class LayerNode:
    """A layer with its shapes (None until inferred) and its places in the file."""

    layer: Layer
    origins: tuple[str, ...]
    shape_in: Shape | None = None
    shape_out: Shape | None = None
