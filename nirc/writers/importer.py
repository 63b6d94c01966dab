"""The importer of a simulator: the neuron that it builds from a file, and the file for a step.

A simulator's importer is no inverse of its exporter. It chooses resets, bounds and numbers of
spikes of its own, so that a file which is to compute a step has to be written for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from nirc.diagnostics.log import Log
from nirc.ir.arrays import Float, frozen
from nirc.ir.populations import Continuous, Discrete
from nirc.ir.program import Program
from nirc.ir.rules import Comparison
from nirc.writers.writer import NO_EVIDENCE, Choice, Setting, Step, Writer, no_step, unchanged

ENDLESS = 2.0**40  # steps of a state that does not decay, where the node must have a time constant
NEIGHBOURS = 4  # numbers of float32 on either side, among which the best one is looked for

Float32 = NDArray[np.float32]
Fields = dict[str, Any]  # of a node: numbers, arrays and text, with its type under "type"
Order = Literal["depth first", "ready", "path"]
Loops = Literal["none", "any", "long", "pair", "nested"]


@dataclass(frozen=True)
class Cell:
    """A population as a node for an importer.

    ``fields`` has arrays (n,). ``gain`` (n,) multiplies what arrives, ``constant`` (n,) is added to
    it then, None for 1 and 0. ``threshold`` (n,): of a Threshold node behind this one. ``values``:
    choices of the importer that the cell needs. ``flat``: the importer takes no maps of these
    neurons.
    """

    fields: Fields
    gain: Float | None = None
    constant: Float | None = None
    threshold: Float | None = None
    values: Mapping[str, str] = field(default_factory=dict)
    flat: bool = False


@dataclass(frozen=True)
class Importer:
    """The importer of a simulator.

    ``call`` gives the Python that loads a file, for the values of ``choices``. These are arguments
    of the importer, or what has to be set afterwards, and the simulator's own default comes first.
    ``step`` gives one step of a loaded population, from the parameters in the file. ``write`` is
    its inverse: a step to a ``Cell``, or the reason why the importer builds no neuron like it. What
    ``write`` leaves out is found by comparing ``step`` of its cell with the step that was asked
    for. ``nodes``: NIR types that become layers, beside neurons and ports.

    ``order``: how the graph is run. *depth first*: nodes in the order of a depth-first walk along
    the edges, each once a step. *ready*: a node as soon as its inputs are there. *path*: the first
    edge of each node is followed. ``loops``: which cycles act one step later. *any*, *long* (of
    three nodes or more), *pair* (neurons and one matrix), *nested* (the same as a graph of its own)
    or *none*.

    ``pads_pools`` and ``dilates``: whether pools have a padding and kernels a dilation.
    ``map_order``: of the values that Flatten gives. ``single``: arrays have to be float32.
    ``remark``: how the network is run.
    """

    call: Callable[[Mapping[str, str]], str]
    step: Step
    write: Callable[[Discrete], Cell | str]
    nodes: frozenset[str]
    order: Order = "depth first"
    loops: Loops = "none"
    choices: tuple[Choice, ...] = ()
    time_step: Callable[[Program, Mapping[str, str]], float | None] = no_step
    rewire: Callable[[Program, Log], Program] = unchanged
    pads_pools: bool = False
    dilates: bool = True
    map_order: str = "channels first"
    single: bool = False
    remark: str = ""

    def defaults(self) -> dict[str, str]:
        """Return every choice with the simulator's own default."""
        return {c.key: c.values[0] for c in self.choices}


SAVED, LOADED = "saved", "loaded"
AS = Choice("as", (SAVED, LOADED), "whether the simulator wrote the file or loads it")


def loaded(writer: Writer) -> Writer:
    """Return ``writer`` as a reader of files: a step is what its importer builds.

    It has the importer's choices.
    """
    importer = writer.importer
    assert importer is not None
    return replace(
        writer,
        evidence=lambda facts: NO_EVIDENCE,
        step=importer.step,
        choices=(AS, *importer.choices),
        time_step=importer.time_step,
        repair=Writer.repair,
        rewire=importer.rewire,
        training=Writer.training,
    )


def setting(importer: Importer, values: Mapping[str, str]) -> Setting:
    """Return the setting of a population that is loaded with these values."""
    return Setting(None, importer.defaults() | {AS.key: LOADED} | dict(values))


def parameters(cell: Cell) -> Continuous:
    """Return the parameters in the fields of ``cell``, by nirc's names."""
    f = cell.fields
    return Continuous(
        f["type"],
        tau_syn_s=f.get("tau_syn"),
        tau_mem_s=f.get("tau_mem", f.get("tau")),
        r=f.get("r"),
        w_in=f.get("w_in"),
        v_leak=f.get("v_leak"),
        v_threshold=f.get("v_threshold"),
        v_reset=f.get("v_reset"),
    )


def total_gain(d: Discrete) -> Float:
    """Return (n,) what an input of 1 adds to the membrane, before a synapse decays."""
    return d.gain_mem if d.gain_syn is None else d.gain_mem * d.gain_syn


def rescaled(d: Discrete, unit: Float) -> Discrete:
    """Return the same neurons with all potentials, and the gain, times ``unit`` (n,) > 0.

    The gain is that of the membrane. A synaptic current has a gain of 1.
    """

    def times(value: Float | None) -> Float | None:
        return None if value is None else frozen(value * unit)

    return replace(
        d,
        gain_mem=frozen(total_gain(d) * unit),
        gain_syn=None if d.gain_syn is None else frozen(np.ones(unit.size)),
        drift=frozen(d.drift * unit),
        threshold=times(d.threshold),
        v_reset=times(d.v_reset),
        v_least=times(d.v_least),
        v_start=times(d.v_start),
    )


def of_unit_gain(d: Discrete) -> tuple[Discrete, Float | None]:
    """Return neurons with a gain of 1, and the gain (n,) that is left for the input (None: 1).

    Thresholds take up the gain where neurons fire. It is left where a membrane is sent, or where it
    is not positive.
    """
    gain = total_gain(d)
    if (gain == 1).all():
        return d, None
    if d.fires and (gain > 0).all():
        return rescaled(d, 1 / gain), None
    ones = frozen(np.ones(gain.size))
    return replace(d, gain_mem=ones, gain_syn=None if d.gain_syn is None else ones), gain


def of_one_threshold(d: Discrete) -> tuple[Discrete, Float | None]:
    """Return neurons of one threshold and a gain of 1, and the gain (n,) that is left (None: 1)."""
    same, gain = of_unit_gain(d)
    threshold = same.threshold
    if threshold is None or (threshold == threshold[0]).all() or not (threshold > 0).all():
        return same, gain
    unit = 1 / threshold
    one = replace(
        rescaled(same, unit), gain_mem=same.gain_mem, threshold=frozen(np.ones(unit.size))
    )
    return one, frozen(unit if gain is None else unit * gain)


def threshold_for(d: Discrete, at: Comparison) -> Float:
    """Return (n,) the threshold at which ``at`` decides as ``d`` does in float32.

    The threshold of >= is that of > at the number of float32 before it.
    """
    assert d.threshold is not None
    assert d.rule.fires is not None
    if d.rule.fires.at == at:
        return d.threshold
    toward = np.float32(-np.inf if at == ">" else np.inf)
    return frozen(np.nextafter(d.threshold.astype(np.float32), toward).astype(np.float64))


def firing(d: Discrete, at: Comparison, *, leaks: bool = True) -> Fields:
    """Return the potentials of a node whose neurons rest at 0 and reset to 0."""
    zero = np.zeros(d.decay_mem.size)
    fields = {"v_threshold": threshold_for(d, at), "v_reset": zero}
    return fields | {"v_leak": zero} if leaks else fields


def euler_tau(decay: Float, dt_s: float) -> Float:
    """Return (n,) the seconds of a time constant that keeps ``decay`` by forward Euler."""
    return frozen(dt_s / np.maximum(1.0 - decay, 1.0 / ENDLESS))


def exact_tau(decay: Float, dt: float = 1.0) -> Float:
    """Return (n,) the time constants, in the unit of ``dt``, that keep ``decay`` exactly.

    Each is the number of float32 whose exponential, in float32, comes nearest.
    """
    kept = np.clip(decay, np.exp(-100.0), np.exp(-1.0 / ENDLESS))
    rate = np.where(decay >= 1.0, 1.0 / ENDLESS, -np.log(kept))
    return nearest_float32(dt / rate, decay, lambda tau: np.exp(-np.float32(dt) / tau))


def nearest_float32(first: Float, wanted: Float, computed: Callable[[Float32], Float32]) -> Float:
    """Return (n,) the numbers of float32 around ``first`` for which ``computed`` is best.

    That is nearest to ``wanted``, computed in float32.
    """
    best = np.asarray(first, np.float32)
    every = [best]
    for toward in (np.float32(0), np.float32(np.inf)):
        near = best
        for _ in range(NEIGHBOURS):
            near = np.nextafter(near, toward)
            every.append(near)
    numbers = np.stack(every)
    error = np.abs(computed(numbers).astype(np.float64) - wanted)
    return frozen(np.take_along_axis(numbers, error.argmin(axis=0)[None], axis=0)[0])


def constant_input(d: Discrete) -> Float | None:
    """Return (n,) the constant input that does what the drift of ``d`` does, with a gain of 1.

    Return None for 0, and behind a synaptic filter, where no constant input does the same.
    """
    return d.drift if d.drift.any() and not d.rule.has_synapse else None
