"""canonicalise."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, assert_never

import numpy as np

from nirc.analysis.parameters import broadcast
from nirc.diagnostics.file import ValueOutsideDomain
from nirc.diagnostics.graph import InfiniteTimeConstant
from nirc.diagnostics.log import Log
from nirc.ir.arrays import Float, Shape, frozen
from nirc.ir.layers import (
    Conv,
    Delay,
    Flatten,
    Input,
    Layer,
    LayerNode,
    Linear,
    Neuron,
    NeuronKind,
    Output,
    Pool,
    Scale,
    Subgraph,
)
from nirc.ir.program import Program

MEMBRANE_ONLY: dict[str, NeuronKind] = {"LIF": "IF", "LI": "I"}


@dataclass(frozen=True)
class Canonicalise:
    """Give every neuron its parameters, and turn neurons with tau = inf into integrators."""

    name: ClassVar[str] = "canonicalise"

    def run(self, program: Program, log: Log) -> Program:
        """Make parameters (n,) float64. Warns G211 for tau = inf, raises ``InputError`` (F110)."""
        changed = {}
        for node, payload in program.nodes(LayerNode).items():
            layer = _broadcast(payload.layer, payload.shape_in or (1,))
            if isinstance(layer, Neuron):
                layer = _integrators(layer, payload.origins[0], log)
            changed[node] = replace(payload, layer=layer)
        log.raise_if_errors()
        return program.mapped(changed)


def _broadcast(layer: Layer, shape: Shape) -> Layer:
    match layer:
        case Neuron():
            return _with(
                layer, {k: frozen(broadcast(v, shape)) for k, v in layer.parameters().items()}
            )
        case Scale():
            return Scale(frozen(broadcast(layer.scale, shape)))
        case Delay():
            return Delay(frozen(broadcast(layer.delay_s, shape)))
        case Linear() if layer.weight.ndim > 2 and set(layer.weight.shape[:-2]) == {1}:
            weight = layer.weight.reshape(layer.weight.shape[-2:])
            bias = None if layer.bias is None else frozen(layer.bias.reshape(-1))
            return Linear(weight, bias)
        case Linear() | Conv() | Pool() | Flatten() | Input() | Output() | Subgraph():
            return layer
        case _:
            assert_never(layer)


def _integrators(neuron: Neuron, origin: str, log: Log) -> Neuron:
    """Read tau = inf, the export of beta = 1. With it, r (or w_in) = inf is a gain of 1 a step."""
    for tau_name, gain_name in (("tau_mem_s", "r"), ("tau_syn_s", "w_in")):
        tau: Float | None = getattr(neuron, tau_name)
        if tau is None or not np.isinf(tau).any():
            continue
        infinite = np.isinf(tau)
        gain: Float = getattr(neuron, gain_name)
        where = f"{origin}/{neuron.file_field(tau_name)}"
        count = int(infinite.sum())
        log.add(InfiniteTimeConstant(where=where, infinite=count, of=tau.size))
        neuron = _with(neuron, {gain_name: frozen(np.where(infinite & np.isinf(gain), 1.0, gain))})
    _refuse_infinite(neuron, origin, log)
    kind = MEMBRANE_ONLY.get(neuron.kind)
    if kind is None or neuron.tau_mem_s is None or not np.isinf(neuron.tau_mem_s).all():
        return neuron
    return replace(neuron, kind=kind, tau_mem_s=None, v_leak=None)


def _refuse_infinite(neuron: Neuron, origin: str, log: Log) -> None:
    """Report F110 for each infinite parameter that is no time constant."""
    for field, values in neuron.parameters().items():
        if not field.startswith("tau") and not np.isfinite(values).all():
            log.add(
                ValueOutsideDomain(
                    where=f"{origin}/{field}",
                    problem=f"field `{field}` is infinite where the time constant is finite",
                    found="inf",
                    limit="finite",
                    help="check the export",
                )
            )


def _with(neuron: Neuron, parameters: dict[str, Float]) -> Neuron:
    changes: dict[str, Any] = dict(parameters)
    return replace(neuron, **changes)
