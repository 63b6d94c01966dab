"""Two recordings of one network: emulator and board, board and simulator, two boards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirc.diagnostics.log import Log
from nirc.diagnostics.usage import RecordingsDoNotMatch
from nirc.files.recordings import OUTPUT, Recording
from nirc.verification.populations import van_rossum

Array = NDArray[Any]


@dataclass(frozen=True)
class Signal:
    """One signal (samples, steps, neurons) in both recordings. ``kind``: spikes or membrane."""

    population: str
    kind: str
    first: Array
    second: Array

    def differs(self, tolerance: float) -> Array:
        """Return where the signals differ, (samples, steps, neurons).

        With a tolerance, spikes that come earlier or later are equal: a neuron differs in a sample
        where its counts are more than ``tolerance`` apart.
        """
        apart: Array = self.first != self.second
        if tolerance == 0:
            return apart
        counts = self.first.sum(axis=1, dtype=float) - self.second.sum(axis=1, dtype=float)
        within: Array = abs(counts) <= tolerance
        return apart & ~within[:, None]


def compare(
    a: Recording,
    b: Recording,
    *,
    tolerance: float = 0,
    order: Sequence[str] | None = None,
    log: Log | None = None,
) -> dict[str, Any]:
    """Return the JSON of `nirc compare`.

    ``tolerance``: spikes of a neuron in a sample that may be too many or too few, in any step.
    0: every signal is equal in every step, also membranes of integers. ``order``: populations from
    inputs to outputs, default: the order of ``a``. Raises ``InputError`` (U603) if the recordings
    have nothing in common, or other shapes.
    """
    signals = list(_signals(a, b, tolerance, order, log or Log()))
    first = _first_difference(signals, tolerance)
    return {
        "files": [a.file, b.file],
        "tolerance": tolerance,
        "equal": first is None,
        "first_difference": first,
        "populations": [_row(signal, tolerance) for signal in signals if signal.kind == "spikes"],
        "in_one_only": sorted(a.spikes.keys() ^ b.spikes.keys()),
        "record_next": None if first is None or order is None else _next(first, signals, order),
    }


def _signals(
    a: Recording, b: Recording, tolerance: float, order: Sequence[str] | None, log: Log
) -> Iterator[Signal]:
    """Yield what both recordings have, from inputs to outputs, spikes before membranes."""
    inner = {*a.spikes, *b.spikes} - {OUTPUT}
    if order is not None and inner and not inner & {*order}:
        problem = "the bundle has none of the populations of the recordings"
        log.add(
            RecordingsDoNotMatch(problem=problem, found=", ".join(order), limit=", ".join(inner))
        )
    names = [name for name in (*(order or ()), *a.spikes) if name in a.spikes and name in b.spikes]
    names = sorted(dict.fromkeys(names), key=lambda name: name == OUTPUT)
    if not names:
        log.add(
            RecordingsDoNotMatch(
                problem="the recordings have no population in common",
                found=f"{', '.join(a.spikes) or 'none'} and {', '.join(b.spikes) or 'none'}",
            )
        )
    for name in names:
        if _same_shape(name, a.spikes, b.spikes, log):
            yield Signal(name, "spikes", a.spikes[name], b.spikes[name])
        if tolerance or name not in a.membranes or name not in b.membranes:
            continue
        v_a, v_b = a.membranes[name], b.membranes[name]
        if _integers(v_a) and _integers(v_b) and _same_shape(name, a.membranes, b.membranes, log):
            yield Signal(name, "membrane", v_a, v_b)
    log.raise_if_errors()


def _integers(values: Array) -> bool:
    """Return True for a chip's units. Volts of a simulator have another scale."""
    return values.dtype.kind in "biu" or bool((values == np.floor(values)).all())


def _same_shape(name: str, a: Mapping[str, Array], b: Mapping[str, Array], log: Log) -> bool:
    if a[name].shape == b[name].shape:
        return True
    problem = f"`{name}` has another shape in the second recording"
    log.add(
        RecordingsDoNotMatch(problem=problem, found=f"{b[name].shape}", limit=f"{a[name].shape}")
    )
    return False


def _first_difference(signals: Sequence[Signal], tolerance: float) -> dict[str, Any] | None:
    """Return the earliest step that differs, there the population nearest to the inputs."""
    best: tuple[int, int] | None = None
    found: dict[str, Any] | None = None
    for place, signal in enumerate(signals):
        differs = signal.differs(tolerance)
        steps = np.flatnonzero(differs.any(axis=(0, 2)))
        if not len(steps) or (best is not None and (int(steps[0]), place) >= best):
            continue
        step = int(steps[0])
        sample, neuron = (int(i) for i in np.argwhere(differs[:, step])[0])
        best = step, place
        found = {
            "sample": sample,
            "step": step,
            "population": signal.population,
            "neuron": neuron,
            "kind": signal.kind,
            "first": float(signal.first[sample, step, neuron]),
            "second": float(signal.second[sample, step, neuron]),
        }
    return found


def _row(signal: Signal, tolerance: float) -> dict[str, Any]:
    a, b = signal.first, signal.second
    differs = signal.differs(tolerance)
    return {
        "name": signal.population,
        "neurons": a.shape[2],
        "rates": [_rate(a), _rate(b)],
        "neurons_that_differ": int(differs.any(axis=(0, 1)).sum()),
        "samples_that_differ": int(differs.any(axis=(1, 2)).sum()),
        "distance": float(van_rossum(a, b).mean()) if a.size else 0.0,
    }


def _rate(spikes: Array) -> float:
    """Return the spikes per neuron and step."""
    return float(spikes.mean(dtype=np.float64)) if spikes.size else 0.0


def _next(first: Mapping[str, Any], signals: Sequence[Signal], order: Sequence[str]) -> str | None:
    """Return the population to record next: in the middle of those before the first difference.

    None if the population before the one that differs is recorded and agrees.
    """
    seen = {signal.population for signal in signals}
    end = order.index(first["population"]) if first["population"] in order else len(order)
    agreeing = [place for place in range(end) if order[place] in seen]
    unknown = range(agreeing[-1] + 1 if agreeing else 0, end)
    return order[unknown[len(unknown) // 2]] if unknown else None
