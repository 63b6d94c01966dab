"""Runs a specification bit for bit as the chip would, many samples at once.

The chip adds one source after another to a synaptic state and saturates after each. Where no order
of the additions could leave the 16-bit range, one matrix product gives the same. A bound finds
these states, and the others are added in the chip's order. Inside, arrays are (neurons, samples),
so a neuron's parameter is constant along the inner axis. Source of the rule: ``neuron.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nirc.backends.xylo.limits import MAX_HIDDEN_SPIKES, MAX_INPUT_SPIKES, MAX_OUTPUT_SPIKES, STATE
from nirc.backends.xylo.neuron import accumulate, decay, fire, membrane_step
from nirc.native.library import library
from nirc.native.networks import Chip, Lines, Network
from nirc.semantics.raster import Run, spike_counts
from nirc.semantics.threads import with_one_thread

if TYPE_CHECKING:
    from nirc.backends.xylo.config import Specification

Int32 = NDArray[np.int32]
Float32 = NDArray[np.float32]

CHUNK_VALUES = 1 << 16  # states held at once, so that they stay in the processor's cache
CHUNK_SAMPLES = 64  # but at least so many samples, to be worth a matrix product


@with_one_thread
def emulate(
    spec: Specification,
    raster: ArrayLike,
    *,
    record: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Run:
    """Run ``raster`` (samples, steps, Nin), spike counts. Every sample starts from zero states.

    Counts above 15 are clipped as the chip does. ``Run.outputs`` (samples, steps, Nout) int8 is 0
    or 1. With ``record``: ``spikes`` (int8) and ``v`` (int32, after spiking) of "hidden"
    and "readout", and in ``extra`` the synaptic states "isyn/hidden", "isyn2/hidden",
    "isyn/readout" (int32, after decay). Each is (samples, steps, neurons). ``progress`` is
    called with the number of samples done. Raises ``InputError`` (U604) if the raster does not fit.
    """
    inputs = spike_counts(raster, spec.weights_in.shape[0])
    if library() is not None and (spec.aliases < 0).all():
        return _run_in_c(spec, inputs, record=record, progress=progress)
    chip = _Chip(spec)
    recorder = _Recorder(chip, inputs.shape[0], inputs.shape[1], record)
    chunk = max(CHUNK_SAMPLES, CHUNK_VALUES // len(chip.dash_syn))
    for start in range(0, len(inputs), chunk):
        part = inputs[start : start + chunk]
        chip.reset(len(part))
        for step, counts in enumerate(np.minimum(part, MAX_INPUT_SPIKES).transpose(1, 2, 0)):
            chip.step(counts)
            recorder.write(chip, slice(start, start + len(part)), step)
        if progress is not None:
            progress(start + len(part))
    return recorder.run()


CHIP = Chip(
    "run_xylo",
    ("dash_syn", "dash_mem", "bias", "threshold", "most", "hidden"),
    v=np.int32,
    output=np.int32,
    most_count=MAX_INPUT_SPIKES,
    currents=True,
)


def _run_in_c(
    spec: Specification,
    inputs: NDArray[Any],
    *,
    record: bool,
    progress: Callable[[int], None] | None,
) -> Run:
    """Run the library. A place is a synaptic state, in the order of ``_Chip``."""
    channels, hidden, synapses = spec.weights_in.shape
    synapses = synapses if spec.uses_synapse_2 else 1
    neurons = hidden + spec.weights_out.shape[1]
    weights = _stacked_weights(spec, synapses)
    line, place = np.nonzero(weights.T)
    values = weights[place, line].astype(np.int64)
    second = (spec.dash_syn_2,) if synapses == 2 else ()
    parameters = {
        "dash_syn": _column(spec.dash_syn, spec.dash_syn_out, *second),
        "dash_mem": _column(spec.dash_mem, spec.dash_mem_out),
        "bias": _column(spec.bias_hidden, spec.bias_out),
        "threshold": _column(spec.threshold, spec.threshold_out),
        "most": np.repeat(
            np.array([MAX_HIDDEN_SPIKES, MAX_OUTPUT_SPIKES], np.int32), [hidden, neurons - hidden]
        ),
        "hidden": np.array([hidden], np.int32),
    }
    lines = Lines(line, place, values, channels + neurons, divide=False)
    network = Network(CHIP, lines, channels, neurons, len(weights), parameters)
    columns = np.arange(hidden, neurons, dtype=np.int32)
    fires = np.ones(len(columns), np.bool_)
    output, kept = network.run(inputs, columns, fires, record=record, progress=progress)
    output = output.astype(np.int8)
    if not record:
        return Run(output)
    isyn = kept["u"]
    isyn_2 = isyn[:, :, neurons:] if synapses == 2 else np.zeros_like(isyn[:, :, :hidden])
    return Run(
        output,
        spikes={"hidden": kept["spikes"][:, :, :hidden], "readout": output},
        v={"hidden": kept["v"][:, :, :hidden], "readout": kept["v"][:, :, hidden:]},
        extra={
            "isyn/hidden": isyn[:, :, :hidden],
            "isyn2/hidden": isyn_2,
            "isyn/readout": isyn[:, :, hidden:neurons],
        },
    )


class _Chip:
    """The network as stacked arrays, and its states for one batch.

    Neurons: hidden, then readout. Synaptic states: one for each neuron, then the second of each
    hidden one. Sources: input channels, then hidden neurons with their counts of the step before.
    """

    def __init__(self, spec: Specification) -> None:
        self.inputs, self.hidden, synapses = spec.weights_in.shape
        self.neurons = self.hidden + spec.weights_out.shape[1]
        self.synapses = synapses if spec.uses_synapse_2 else 1
        self.weights = _stacked_weights(spec, self.synapses)
        self.excitatory = np.maximum(self.weights, 0).astype(np.float32)
        reach = np.abs(self.weights).max(axis=0)
        # The last row bounds all the others.
        self.drive = np.vstack([self.weights, reach]).astype(np.float32)
        second = (spec.dash_syn_2,) if self.synapses == 2 else ()
        self.dash_syn = _column(spec.dash_syn, spec.dash_syn_out, *second)
        self.dash_mem = _column(spec.dash_mem, spec.dash_mem_out)
        self.bias = _column(spec.bias_hidden, spec.bias_out)
        self.threshold = _column(spec.threshold, spec.threshold_out)
        self.alias = spec.aliases.tolist()
        aliased = np.union1d(np.flatnonzero(spec.aliases >= 0), spec.aliases[spec.aliases >= 0])
        self.in_order: list[int] = aliased.tolist()
        self.max_spikes = np.full_like(self.threshold, MAX_HIDDEN_SPIKES)
        self.max_spikes[self.hidden :] = MAX_OUTPUT_SPIKES
        self.max_spikes[self.in_order] = 0  # these fire one after another, in _fire_aliased

    def reset(self, samples: int) -> None:
        """Set all states to zero for a batch of ``samples``."""
        self.sources = np.zeros((self.inputs + self.hidden, samples), np.float32)
        self.isyn = np.zeros((len(self.dash_syn), samples), np.int32)
        self.v = np.zeros((self.neurons, samples), np.int32)
        self.spikes = self.v

    def step(self, counts: NDArray[np.generic]) -> None:
        """Run one time step. ``counts`` (Nin, samples): clipped input counts."""
        self.sources[: self.inputs] = counts
        self.isyn = decay(self._received(), self.dash_syn)
        current = self.isyn[: self.neurons]
        if self.synapses == 2:
            current = current.copy()
            current[: self.hidden] += self.isyn[self.neurons :]
        v = membrane_step(self.v, current, self.dash_mem, self.bias)
        self.spikes, self.v = fire(v, self.threshold, self.max_spikes)
        self._fire_aliased()
        self.sources[self.inputs :] = self.spikes[: self.hidden]

    def _received(self) -> Int32:
        """Return the synaptic states after this step's input, before decay."""
        # float32 holds integers up to 2^24. A sum within the bound below stays far under that.
        drive = self.drive @ self.sources
        reach = drive[-1]
        received = self.isyn + drive[:-1].astype(np.int32)
        room = STATE[1] - max(int(self.isyn.max(initial=0)), -int(self.isyn.min(initial=0)))
        suspects = np.flatnonzero(reach > room)
        if len(suspects):
            self._receive_in_order(received, drive[:-1, suspects], suspects)
        return received

    def _receive_in_order(self, received: Int32, drive: Float32, samples: NDArray[np.intp]) -> None:
        """Correct ``received`` for those of ``samples`` in which an addition might saturate."""
        up = self.excitatory @ self.sources[:, samples]
        isyn = self.isyn[:, samples]
        may_saturate = (isyn + up > STATE[1]) | (isyn - (up - drive) < STATE[0])
        rows = np.flatnonzero(may_saturate.any(axis=1))
        samples = samples[may_saturate.any(axis=0)]
        counts = self.sources[:, samples].astype(np.int32)
        active = np.flatnonzero(counts.any(axis=1))
        block = np.ix_(rows, samples)
        parts = (np.multiply.outer(self.weights[rows, source], counts[source]) for source in active)
        received[block] = accumulate(self.isyn[block], parts)

    def _fire_aliased(self) -> None:
        """Fire neurons with aliases in index order. Spikes that have arrived lower the cap."""
        for neuron in self.in_order:
            room = MAX_HIDDEN_SPIKES - self.spikes[neuron]
            fired, self.v[neuron] = fire(self.v[neuron], self.threshold[neuron], room)
            self.spikes[neuron] += fired
            target = self.alias[neuron]
            if target >= 0:
                total = self.spikes[target] + self.spikes[neuron]
                self.spikes[target] = np.minimum(total, MAX_HIDDEN_SPIKES)


class _Recorder:
    """Recordings of a run, (samples, steps, neurons): output spikes, and all states if asked."""

    def __init__(self, chip: _Chip, samples: int, steps: int, record: bool) -> None:
        hidden = slice(0, chip.hidden)
        readout = slice(chip.hidden, chip.neurons)
        # Empty if no weight uses the second synapse. Its recording stays 0.
        second = slice(chip.neurons, chip.neurons + chip.hidden)
        self.record = record
        self.tracks = [("spikes", "readout", readout)]
        if record:
            self.tracks += [
                ("spikes", "hidden", hidden),
                ("v", "hidden", hidden),
                ("v", "readout", readout),
                ("isyn", "hidden", hidden),
                ("isyn", "readout", readout),
                ("isyn", "second", second),
            ]
        self.kept: dict[tuple[str, str], NDArray[np.signedinteger[Any]]] = {}
        for state, block, rows in self.tracks:
            shape = (samples, steps, rows.stop - rows.start)
            self.kept[state, block] = np.zeros(shape, np.int8 if state == "spikes" else np.int32)

    def write(self, chip: _Chip, samples: slice, step: int) -> None:
        """Keep the chip's states after ``step``."""
        for state, block, rows in self.tracks:
            values = getattr(chip, state)[rows]
            self.kept[state, block][samples, step, : len(values)] = values.T

    def run(self) -> Run:
        """Return the recordings under their public names."""
        output = self.kept["spikes", "readout"]
        if not self.record:
            return Run(output)
        both = ("hidden", "readout")
        return Run(
            output,
            spikes={block: self.kept["spikes", block] for block in both},
            v={block: self.kept["v", block] for block in both},
            extra={
                "isyn/hidden": self.kept["isyn", "hidden"],
                "isyn2/hidden": self.kept["isyn", "second"],
                "isyn/readout": self.kept["isyn", "readout"],
            },
        )


def _column(*parts: NDArray[np.int64]) -> Int32:
    """Return parameters of stacked rows, which broadcast over samples."""
    return np.concatenate(parts).astype(np.int32)[:, None]


def _stacked_weights(spec: Specification, synapses: int) -> Int32:
    """Return shifted weights (synaptic states, sources) in ``_Chip``'s order."""
    inputs, hidden, _ = spec.weights_in.shape
    outputs = spec.weights_out.shape[1]
    weights = np.zeros((synapses * hidden + outputs, inputs + hidden), np.int32)
    first = slice(hidden)
    readout = slice(hidden, hidden + outputs)
    second = slice(hidden + outputs, None)
    for synapse, rows in enumerate((first, second)[:synapses]):
        weights[rows, :inputs] = spec.weights_in[..., synapse].T << spec.weight_shift_in
        weights[rows, inputs:] = spec.weights_rec[..., synapse].T << spec.weight_shift_rec
    weights[readout, inputs:] = spec.weights_out.T << spec.weight_shift_out
    return weights
