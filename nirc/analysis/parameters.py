"""Parameters of neuron, Scale and Delay nodes over a signal, as stored or after a certain
repair.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from nirc.analysis.remark import MisfitError, Remark
from nirc.ir.arrays import Float, Shape, size
from nirc.ir.layers import Delay, Neuron, Scale

Elementwise = Neuron | Scale | Delay


@dataclass(frozen=True)
class Reading:
    """A parameter's ``values`` in a shape that broadcasts over the signal, and the repairs."""

    values: Float
    remarks: tuple[Remark, ...] = ()


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
    found, limit = f"shape {stored}", f"shape {signal}"
    if values.size == 1:
        return _scalar(values, signal)
    if strip(stored) == strip(signal) or values.size == size(signal):
        message = f"read as shape {signal}"
        return Reading(values.reshape(signal), (Remark("G205", message, found=found, limit=limit),))
    if len(stored) > len(signal) and stored[-len(signal) :] == signal:
        return _without_batch(values, signal)
    core = strip(stored)
    per_channel = core[0] == signal[0] and set(core[1:]) <= {1}
    if per_channel and not (len(core) == 1 and core[0] in signal[1:]):
        remark = Remark("G216", "read as one value per channel", found=found, limit=limit)
        return Reading(values.reshape(signal[0], *(1,) * (len(signal) - 1)), (remark,))
    if are_equal(values):
        message = (
            f"its {values.size} values are equal and are read as one value for all "
            f"{size(signal)} neurons"
        )
        one = values.reshape(-1)[:1].reshape((1,) * len(signal))
        return Reading(one, (Remark("G221", message, found=found, limit=limit, overrules=True),))
    if len(stored) > len(signal):
        return _without_batch(values, signal)
    if per_channel:
        raise MisfitError(
            Remark("G255", "one value per channel, or one per row or column?", "", found, limit)
        )
    raise MisfitError(Remark("G252", "the signal that arrives has another shape", "", found, limit))


def _scalar(values: Float, signal: Shape) -> Reading:
    stored, found, limit = values.shape, f"shape {values.shape}", f"shape {signal}"
    one = values.reshape((1,) * len(signal))
    if size(signal) > 1:
        message = f"one value stands for all {size(signal)} neurons"
        return Reading(one, (Remark("G206", message, found=found, limit=limit),))
    message = "leading axes of length 1 are dropped"
    return Reading(
        one, (Remark("G205", message, found=found, limit=limit),) if len(stored) > 1 else ()
    )


def _without_batch(values: Float, signal: Shape) -> Reading:
    """Drop the axes before those of ``signal``, if the values repeat along them."""
    lead, rest = values.shape[: -len(signal)], values.shape[-len(signal) :]
    rows = values.reshape(-1, *rest)
    found, limit = f"shape {values.shape}", f"shape {signal}"
    if not (rows == rows[0]).all():
        message = (
            f"its values differ along the leading axes {lead}, which a batch axis would repeat"
        )
        raise MisfitError(Remark("G252", message, "", found, limit))
    reading = parameter_reading(np.ascontiguousarray(rows[0]), signal)
    message = f"the leading axes {lead} repeat the same values: a batch axis, which is dropped"
    return Reading(
        reading.values, (Remark("G222", message, found=found, limit=limit), *reading.remarks)
    )


def parameter_remarks(layer: Elementwise, signal: Shape) -> tuple[Remark, ...]:
    """Return the repairs that fit all parameters to ``signal``, with parameter names.

    Raises ``MisfitError`` like ``parameter_reading``.
    """
    repaired: dict[Remark, list[str]] = {}
    refused: dict[Remark, list[str]] = {}
    for name, values in parameters(layer).items():
        try:
            for remark in parameter_reading(values, signal).remarks:
                repaired.setdefault(remark, []).append(name)
        except MisfitError as misfit:
            refused.setdefault(misfit.remark, []).append(name)
    for remark, names in refused.items():
        raise MisfitError(_named(remark, names))
    return tuple(_named(remark, names) for remark, names in repaired.items())


def _named(remark: Remark, names: list[str]) -> Remark:
    listed = ", ".join(f"`{name}`" for name in names)
    return replace(remark, message=f"{listed}: {remark.message}", field=names[0])


def broadcast(values: Float, signal: Shape) -> Float:
    """Return a parameter as (n,) for a signal of this shape. Raises ``MisfitError``."""
    return np.ascontiguousarray(
        np.broadcast_to(parameter_reading(values, signal).values, signal)
    ).reshape(-1)
