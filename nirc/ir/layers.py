"""Payloads of the *layers* form: NIR's primitives with typed fields.

Linear is ``Linear`` without a bias, Conv1d and Conv2d are one ``Conv``, the seven neuron models are
one ``Neuron`` whose ``kind`` is the NIR name. A parameter that the kind lacks is None. Units as NIR
means them: seconds for time constants and delays, volts for potentials. Source: NIR specification,
Nat. Commun. 15:8122 (2024); reader of package nir 1.0.8.
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
    """Where signals enter; ``shape`` as declared, None if the file does not say."""

    shape: Shape | None


@dataclass(frozen=True)
class Output:
    """Where signals leave; ``shape`` as declared, None if the file does not say."""

    shape: Shape | None


@dataclass(frozen=True)
class Linear:
    """``y = W x + b``; weight (..., out, in), bias (..., out) or None."""

    weight: Float
    bias: Float | None = None


@dataclass(frozen=True)
class Scale:
    """``y = s * x`` element by element."""

    scale: Float


@dataclass(frozen=True)
class Conv:
    """Cross-correlation in PyTorch's layout: weight (C_out, C_in / groups, *kernel), bias (C_out,)
    or None.

    ``input_shape`` are the declared spatial sizes, None if they must be inferred.
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
        """Number of spatial axes: 1 or 2."""
        return self.weight.ndim - 2


@dataclass(frozen=True)
class Pool:
    """Sum or average over windows; the average divides by the kernel's size, padding included
    (PyTorch).
    """

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
    """A population of one neuron model.

    Before `broadcast` parameters have the file's shapes, after it (n,).
    """

    kind: NeuronKind
    tau_syn_s: Float | None = None
    tau_mem_s: Float | None = None
    r: Float | None = None
    w_in: Float | None = None
    v_leak: Float | None = None
    v_threshold: Float | None = None
    v_reset: Float | None = None

    def parameters(self) -> dict[str, Float]:
        """The parameters that this kind has, by name."""
        return {k: v for k, v in self.__dict__.items() if k != "kind" and v is not None}

    def file_field(self, parameter: str) -> str:
        """What NIR calls ``parameter`` for this kind: tau_mem_s is ``tau`` in a LIF."""
        if self.kind == "Threshold":
            return "threshold"
        if parameter == "tau_mem_s" and self.kind in ("LI", "LIF"):
            return "tau"
        return parameter.removesuffix("_s")


@dataclass(frozen=True)
class Subgraph:
    """A nested graph; `flatten-nesting` dissolves it."""

    program: Program


Layer = Input | Output | Linear | Scale | Conv | Pool | Flatten | Delay | Neuron | Subgraph


@dataclass(frozen=True)
class LayerNode:
    """A layer with its shapes (None until inferred) and the places in the file that it came
    from.
    """

    layer: Layer
    origins: tuple[str, ...]
    shape_in: Shape | None = None
    shape_out: Shape | None = None
