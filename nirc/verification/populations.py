"""The populations on the device beside the model's: rates, spike times, silence and its cause."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirc.analysis.judging import rate_distance
from nirc.analysis.relays import MOST_PRODUCTS, origin, repeated
from nirc.api import Compiled
from nirc.diagnostics.log import Log
from nirc.diagnostics.outcome import PopulationSilent
from nirc.ir.linear import composed
from nirc.ir.populations import Population
from nirc.ir.program import Program
from nirc.semantics.run import run
from nirc.verification.activity import DEVICE, Activity, Array

TAU_STEPS = 10.0  # spikes nearer to each other than about this count as partly the same


def table(activity: Activity) -> list[dict[str, Any]]:
    """Return a row for each population that is on the device under its name.

    ``rate`` and ``device_rate``: spikes per neuron and step. ``rate_error``: mean absolute
    difference of a neuron's rate. ``distance``: mean van Rossum distance of a neuron's train in a
    sample. ``several``: share of its spiking steps in which a neuron fires more than once.
    ``silent``: neurons that fire in the model and never on the device. ``always``: neurons that
    fire in every step on the device and not in the model. ``rate_distance``: the earth mover's
    distance of the distributions of rates.
    """
    rows = []
    for name, found in activity.device.items():
        expected = activity.reference[name]
        rates = _neuron_rates(expected), _neuron_rates(found)
        difference = rates[1] - rates[0]
        rows.append(
            {
                "name": name,
                "neurons": expected.shape[2],
                "rate": _rate(expected),
                "device_rate": _rate(found),
                "rate_error": float(np.abs(difference).mean()) if difference.size else 0.0,
                "distance": float(van_rossum(expected, found).mean()) if difference.size else 0.0,
                "silent": int((expected.any(axis=(0, 1)) & ~found.any(axis=(0, 1))).sum()),
                "always": int((_always(found) & ~_always(expected)).sum()),
                "rate_distance": rate_distance(*rates),
                "several": float((found > 1).sum() / max(1, (found > 0).sum())),
            }
        )
    return rows


def _always(spikes: Array) -> NDArray[np.bool_]:
    """Return the neurons that fire in every step of every sample."""
    return np.asarray((spikes > 0).all(axis=(0, 1)))


def _neuron_rates(spikes: Array) -> NDArray[np.float64]:
    rates: NDArray[np.float64] = spikes.mean(axis=(0, 1), dtype=np.float64)
    return rates


def _rate(spikes: Array) -> float:
    """Return the spikes per neuron and step."""
    return float(spikes.mean(dtype=np.float64)) if spikes.size else 0.0


def van_rossum(a: Array, b: Array, tau_steps: float = TAU_STEPS) -> NDArray[np.float64]:
    """Return the distances (samples, neurons) of spike counts (samples, steps, neurons) in time.

    The distance of equal trains is 0, of a spike too many or too few 1 / sqrt 2, of a spike far
    from its place 1. Each train is filtered by exp(-t / tau). The squared difference is summed,
    also beyond the last step. Source: M. C. W. van Rossum, "A novel spike distance", Neural
    Computation 13 (2001), in steps instead of seconds.
    """
    kept = np.exp(-1.0 / tau_steps)
    trace = np.zeros((a.shape[0], a.shape[2]))
    total = np.zeros_like(trace)
    for step in range(a.shape[1]):
        trace = kept * trace + (a[:, step].astype(np.float64) - b[:, step])
        total += trace**2
    total += trace**2 * kept**2 / (1 - kept**2)
    distance: NDArray[np.float64] = np.sqrt(total * (1 - kept**2) / 2)
    return distance


def not_compared(activity: Activity) -> list[str]:
    """Return populations that fire in the model and are not on the device under their names."""
    return [name for name in activity.reference if name not in activity.device]


def report_silent(
    activity: Activity,
    compiled: Compiled,
    what_ifs: Mapping[str, Program],
    rounded: Sequence[Mapping[str, Any]],
    raster: Array,
    log: Log,
) -> None:
    """Report the populations (P313) that fire in the model and never on the device, with causes.

    ``rounded``: the rows of ``rounded_to_zero``.
    """
    reference = activity.reference
    silent = [n for n, spikes in activity.device.items() if not spikes.any() and reference[n].any()]
    if not silent:
        return
    some = raster[: len(reference[silent[0]])]
    alone: dict[str, Mapping[str, Array]] = {}
    for about, program in what_ifs.items():
        names = [n for n in silent if n in program.nodes(Population)]
        alone[about] = run(program, some, record=names).spikes
    discrete = compiled.stages.discrete
    for name in silent:
        before = [s for s, _ in discrete.into(name) if s in silent and s != name]
        finding = PopulationSilent(
            where=discrete[name].origins[0],
            population=name,
            causes=tuple(_causes(name, before, activity, alone, rounded)),
            spikes=int(reference[name].sum()),
            samples=len(some),
            calibrated=compiled.calibrated,
        )
        log.add(finding)


def _causes(
    name: str,
    before: list[str],
    activity: Activity,
    alone: Mapping[str, Mapping[str, Array]],
    rounded: Sequence[Mapping[str, Any]],
) -> Iterator[str]:
    """Yield the causes of silence: a silent population before, or the pass, changes and weights."""
    if before:
        yield f"`{before[0]}`, which drives it, is silent"
        return
    first = next(
        (s for s, spikes in activity.stages if name in spikes and not spikes[name].any()), None
    )
    if first is not None:
        yield f"on the {DEVICE}" if first.program is None else f"from pass {first.after} on"
    blamed = [about for about, spikes in alone.items() if name in spikes and not spikes[name].any()]
    if blamed:
        yield f"this alone silences it: {' / '.join(blamed)}"
    for row in rounded:
        if row["to"] == name and row["zero"]:
            yield f"{row['zero']} of {row['synapses']} synapses from `{row['from']}` round to zero"


def rounded_to_zero(compiled: Compiled) -> list[dict[str, Any]]:
    """Return the number of synapses that round to zero, by the populations or input they join.

    Pairs that quantisation does not keep apart are left out.
    """
    legal = _synapses(compiled.legal, {})
    integer = _synapses(compiled.integer, repeated(compiled.legal, compiled.integer))
    return [
        {
            "from": source,
            "to": target,
            "synapses": len(pairs),
            "zero": len(np.setdiff1d(pairs, integer[source, target])),
        }
        for (source, target), pairs in legal.items()
        if (source, target) in integer
    ]


def _synapses(program: Program, relays: Mapping[str, str]) -> dict[tuple[str, str], Array]:
    """Return pairs of neurons with a synapse by (source, target), except projections too large."""
    pairs: dict[tuple[str, str], Array] = {}
    for source, target, projection in program.edges():
        if isinstance(program[target], Population) and projection.ops:
            op = composed(projection.ops, max_entries=MOST_PRODUCTS)
            if op is not None and op.entries <= MOST_PRODUCTS:
                row, column, value = op.coo()
                synapses = (row * op.n_in + column)[value != 0]
                key = (origin(source, relays), target)
                known = pairs.get(key)
                pairs[key] = np.unique(synapses) if known is None else np.union1d(known, synapses)
    return pairs
