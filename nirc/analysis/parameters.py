"""Parameters of neuron, Scale and Delay nodes over a signal, stored or after a certain repair."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nirc.diagnostics.shapes import (
    AmbiguousParameter,
    BatchAxisDropped,
    EqualParameters,
    LeadingAxesOfOne,
    ParameterPerChannel,
    ParameterReadAs,
    ScalarParameter,
    ShapeContradiction,
    ShapeFinding,
)
from nirc.ir.arrays import Float, Shape, size
from nirc.ir.layers import Delay, Neuron, Scale

Elementwise = Neuron | Scale | Delay


class MisfitError(Exception):
    """No single reading makes a layer take the arriving signal."""

    def __init__(self, finding: ShapeFinding) -> None:
        super().__init__(finding.message())
        self.finding = finding


@dataclass(frozen=True)
class Reading:
    """A parameter's ``values`` in a shape that broadcasts over the signal, and the repairs."""

    values: Float
    findings: tuple[ShapeFinding, ...] = ()


def strip(shape: Shape) -> Shape:
    """Drop leading axes of length 1, but keep one axis: (1, 1, 7) -> (7,), (1, 1) -> (1,)."""
    while len(shape) > 1 and shape[0] == 1:
        shape = shape[1:]
    return shape


def parameters(layer: Elementwise) -> dict[str, Float]:
    """Return the arrays of a layer by their names in the file."""
    if isinstance(layer, Neuron):
        return {layer.file_field(name): values for name, values in layer.parameters().items()}
    return {"scale": layer.scale} if isinstance(layer, Scale) else {"delay": layer.delay_s}


def fullest(layer: Elementwise) -> tuple[str, Float] | None:
    """Return name and values of the parameter with most values. None if all are scalars.

    Parameters with different values come first, since they cannot be one value.
    """
    full = {name: values for name, values in parameters(layer).items() if values.size > 1}
    if len(full) > 1:
        full = {name: values for name, values in full.items() if not are_equal(values)} or full
    return max(full.items(), key=lambda item: (item[1].size, item[1].ndim), default=None)


def could_be_one(layer: Elementwise) -> bool:
    """Return True if each parameter has equal values: their number is weak evidence."""
    return all(are_equal(values) for values in parameters(layer).values())


def are_equal(values: Float) -> bool:
    """Return True if all values are the same number."""
    return bool(values.flat[0] == values.flat[-1] and (values == values.flat[0]).all())


def parameter_reading(values: Float, signal: Shape) -> Reading:
    """Fit a parameter to ``signal``.

    Tried in order: the stored shape, one value for all, axes of length 1 or another layout of as
    many values, a batch axis that repeats its rows, one value per channel, equal values in another
    number.
    Raises ``MisfitError`` (G252, G255) if no reading fits, or more than one.
    """
    stored = values.shape
    if stored == signal:
        return Reading(values)
    if values.size == 1:
        return _scalar(values, signal)
    if strip(stored) == strip(signal) or values.size == size(signal):
        reshaped = ParameterReadAs(stored=stored, expected=signal)
        return Reading(values.reshape(signal), (reshaped,))
    if len(stored) > len(signal) and stored[-len(signal) :] == signal:
        return _without_batch(values, signal)
    core = strip(stored)
    per_channel = core[0] == signal[0] and set(core[1:]) <= {1}
    if per_channel and not (len(core) == 1 and core[0] in signal[1:]):
        by_channel = values.reshape(signal[0], *(1,) * (len(signal) - 1))
        return Reading(by_channel, (ParameterPerChannel(stored=stored, expected=signal),))
    if are_equal(values):
        one = values.reshape(-1)[:1].reshape((1,) * len(signal))
        return Reading(one, (EqualParameters(stored=stored, expected=signal),))
    if len(stored) > len(signal):
        return _without_batch(values, signal)
    if per_channel:
        raise MisfitError(AmbiguousParameter(stored=stored, expected=signal))
    raise _misfit("the signal that arrives has another shape", stored, signal)


def _misfit(problem: str, stored: Shape, signal: Shape) -> MisfitError:
    found, limit = f"shape {stored}", f"shape {signal}"
    return MisfitError(ShapeContradiction(problem=problem, found=found, limit=limit))


def _scalar(values: Float, signal: Shape) -> Reading:
    stored = values.shape
    one = values.reshape((1,) * len(signal))
    if size(signal) > 1:
        return Reading(one, (ScalarParameter(stored=stored, expected=signal),))
    if len(stored) > 1:
        return Reading(one, (LeadingAxesOfOne(stored=stored, expected=signal),))
    return Reading(one)


def _without_batch(values: Float, signal: Shape) -> Reading:
    """Drop the axes before those of ``signal``, if the values repeat along them."""
    lead, rest = values.shape[: -len(signal)], values.shape[-len(signal) :]
    rows = values.reshape(-1, *rest)
    if not (rows == rows[0]).all():
        problem = (
            f"its values differ along the leading axes {lead}, which a batch axis would repeat"
        )
        raise _misfit(problem, values.shape, signal)
    reading = parameter_reading(np.ascontiguousarray(rows[0]), signal)
    dropped = BatchAxisDropped(stored=values.shape, expected=signal)
    return Reading(reading.values, (dropped, *reading.findings))


def parameter_findings(layer: Elementwise, signal: Shape) -> tuple[ShapeFinding, ...]:
    """Return the repairs that fit all parameters to ``signal``, with parameter names.

    Raises ``MisfitError`` like ``parameter_reading``.
    """
    repaired: dict[ShapeFinding, list[str]] = {}
    refused: dict[ShapeFinding, list[str]] = {}
    for name, values in parameters(layer).items():
        try:
            for finding in parameter_reading(values, signal).findings:
                repaired.setdefault(finding, []).append(name)
        except MisfitError as misfit:
            refused.setdefault(misfit.finding, []).append(name)
    for finding, names in refused.items():
        raise MisfitError(_named(finding, names))
    return tuple(_named(finding, names) for finding, names in repaired.items())


def _named(finding: ShapeFinding, names: list[str]) -> ShapeFinding:
    return finding.with_fields(parameters=tuple(names), field=names[0])


def broadcast(values: Float, signal: Shape) -> Float:
    """Return a parameter as (n,) for a signal of this shape. Raises ``MisfitError``."""
    return np.ascontiguousarray(
        np.broadcast_to(parameter_reading(values, signal).values, signal)
    ).reshape(-1)
