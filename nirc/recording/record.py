"""``nirc.record``: a network in its simulator becomes a NIR file and its recorded outputs."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nirc.api import Options, Stages, lower
from nirc.chip.running import flat_raster
from nirc.diagnostics.errors import Diagnostic, NircError, warn
from nirc.diagnostics.finding import Words
from nirc.diagnostics.log import Log
from nirc.diagnostics.outcome import NoAnswers
from nirc.diagnostics.usage import OptionMakesNoSense, PackageMissing
from nirc.diagnostics.writer import RuleDisagreesWithRecording
from nirc.files.bundle import save_bytes
from nirc.files.data import Data, data_of
from nirc.frontend.raw import FROM_KEY
from nirc.ir.populations import Population
from nirc.ir.program import Program
from nirc.nirfile.graph import nir_bytes
from nirc.semantics.run import run
from nirc.verification.recorded import Recording, is_analog, recording
from nirc.writers.writer import installed_writers

if TYPE_CHECKING:
    from nirc.recording.running import Runner, Step

Array = NDArray[Any]
Named = str | os.PathLike[str]


@dataclass(frozen=True)
class Recorded:
    """A recording on disk, and how well nirc reproduces it.

    ``text`` is in both files, in the form that ``--from`` takes. ``outputs`` (samples, steps,
    ...output shape) are those of the simulator. ``equal``: the share of them that nirc computes
    from the file, None if nirc cannot read the file or no sample was compared. ``diagnostics``:
    all findings. The warnings among them are Python warnings, too.
    """

    model: Path
    data: Path
    text: str
    outputs: Array = field(repr=False)
    equal: float | None
    diagnostics: tuple[Diagnostic, ...] = ()


def record(
    network: Any,
    inputs: ArrayLike,
    model: Named,
    data: Named,
    *,
    labels: ArrayLike | None = None,
    simulator: str | None = None,
    layout: str | None = None,
    step: Step | None = None,
    reset: Callable[[], object] | None = None,
    output: int | None = None,
    compare: int = 16,
) -> Recorded:
    """Run a torch network of snnTorch, Norse, Sinabs or Rockpool. Write ``model`` and ``data``.

    ``inputs``: spike counts (samples, steps, ...input shape). ``model`` is a NIR file. ``data``
    (.npz) gets ``inputs``, ``outputs``, ``labels`` if given, ``dt`` in seconds if the simulator has
    one, and ``from``: what the NIR file cannot say, read from the modules. The text is also in the
    NIR file (metadata ``nirc_from``), where nirc finds it.

    ``simulator``: its name, None to see it from the modules. ``layout``: what the network is called
    with. ``"step"`` is (samples, ...) once a step, ``"steps first"`` is (steps, samples, ...),
    ``"samples first"`` is (samples, steps, ...), ``"folded"`` is (samples * steps, ...), and None
    is the usual one of the simulator. A network that is called once a step gets the states that it
    returned in the step before. ``step(x, state)`` is your own function for one step, and returns
    output and state. The first state is None. ``reset()`` is called before every run, for states
    that no module of the simulator holds. ``output``: the place of the output among several
    returned values. ``compare``: the number of samples that nirc runs and compares.

    The network runs in evaluation mode without gradients, from its start states, and is left as it
    was. Raises ``UsageError`` (U607, U608, U613, U614), ``InputError`` (U603), or ``CompileError``
    for what a file cannot hold (W210 to W212), for a network that does not run (W214) and for one
    that loses its states (W215). Warns of what the file holds and the package's own exporter does
    not (W213).
    """
    log = Log(file=str(model))
    checked = _checked(inputs, labels, log)
    runner = _runner(network, simulator, layout, step, reset, output, log)
    recorded = _recorded(runner, checked, Path(model), Path(data), compare, log)
    warn(log.diagnostics)
    return recorded


def _checked(inputs: Any, labels: Any, log: Log) -> Data:
    """Return checked inputs and labels, from arrays or tensors."""
    arrays = {"inputs": inputs} if labels is None else {"inputs": inputs, "labels": labels}
    return data_of(
        {k: np.asarray(v.detach().cpu() if hasattr(v, "detach") else v) for k, v in arrays.items()},
        log,
    )


def _runner(
    network: Any,
    simulator: str | None,
    layout: str | None,
    step: Step | None,
    reset: Callable[[], object] | None,
    output: int | None,
    log: Log,
) -> Runner:
    """Return the network with what is needed to call it."""
    try:
        import torch  # noqa: F401
    except ImportError as error:
        log.add(PackageMissing(function="nirc.record", extra="record", reason=str(error)))
        log.raise_if_errors()
    from nirc.recording.running import LAYOUTS, Runner
    from nirc.recording.simulator import modules_of, simulator_of

    chosen = simulator_of(network, simulator, log)
    if layout not in (None, *LAYOUTS):
        limit = ", ".join(LAYOUTS)
        log.add(OptionMakesNoSense(problem="unknown layout", found=layout, limit=limit))
    log.raise_if_errors()
    usual = "step" if step is not None else chosen.layout(list(modules_of(network).values()))
    wanted = next((each for each in LAYOUTS if each == layout), usual)
    return Runner(network, chosen, wanted, step=step, reset=reset, output=output)


def _recorded(
    runner: Runner, data: Data, model: Path, path: Path, compare: int, log: Log
) -> Recorded:
    """Write the NIR file and the data, and compare them."""
    from nirc.recording.graph import neurons_of, parts_of, text_of, to_graph, within_bounds

    simulator = runner.simulator
    trace, wiring = runner.trace(data.inputs, log)
    parts = parts_of(wiring, simulator, log)
    writer = installed_writers()[simulator.name]
    text_of(parts, simulator, writer, log)  # refuses before the network runs on all inputs
    shape = trace.shapes[wiring.outputs[0]]
    outputs = runner.run(data.inputs, shape, log)
    text = text_of(within_bounds(parts, runner.fired), simulator, writer, log)
    graph = to_graph(parts, wiring, data.inputs.shape[2:], shape)
    save_bytes(model, nir_bytes(graph, {FROM_KEY: text}), log)
    data = replace(data, outputs=outputs.astype(np.float64), file=str(path))
    if not outputs.any():
        log.add(_NeverFires(where="outputs", silent=len(outputs), samples=len(outputs), most=0.0))
    stages = _read(model, log)
    equal: float | None = None
    dt_s: float | None = None
    if stages is not None:
        again = SecondRun(runner, neurons_of(parts), shape)
        equal = _compared(stages, data, compare, again, log)
        dt_s = stages.continuous.dt_s
    _save(path, data, outputs, text, dt_s, log)
    return Recorded(model, path, text, outputs, equal, tuple(log.diagnostics))


class _NeverFires(NoAnswers):
    def words(self) -> Words:
        return Words("no output fires on any sample, so that equal answers say nothing")


def _read(model: Path, log: Log) -> Stages | None:
    """Return the file as nirc reads it, None if nirc refuses it.

    The reasons become warnings: the file is right.
    """
    attempt = Log(file=str(model))
    try:
        return lower(str(model), Options(), log=attempt)
    except NircError as refusal:
        for each in refusal.diagnostics:
            if each.severity == "error":
                log.add(replace(each, severity="warning"))
        return None


def _compared(stages: Stages, data: Data, samples: int, again: SecondRun, log: Log) -> float | None:
    """Return the share of recorded outputs that the file gives. Warn if it is below 1 (W204)."""
    assert data.outputs is not None
    some = replace(data, inputs=data.inputs[:samples], outputs=data.outputs[:samples])
    kept = recording(some, stages.reference, log)
    if kept is None or not len(some.inputs):
        return None
    raster = flat_raster(some.inputs, int(np.prod(some.inputs.shape[2:])), log, data.file)
    computed = run(stages.reference, raster).outputs
    share, first = kept.share(computed), kept.first_difference(computed)
    if first is not None:
        log.add(
            _FileDisagrees(
                text=stages.reading.text,
                share=share,
                recorded=first["recorded"],
                computed=first["found"],
                sample=first["sample"],
                step=first["step"],
                output=first["output"],
                cause=again.cause(stages.reference, raster, some.inputs, computed, log),
            )
        )
    return share


class _FileDisagrees(RuleDisagreesWithRecording):
    cause: str

    def words(self) -> Words:
        return Words(
            f"the file read as {self.text} gives {self.share:.4%} of the recorded outputs",
            found=self.at,
            limit=f"{self.recorded:g}",
            help=self.cause,
        )


def _save(path: Path, data: Data, outputs: Array, text: str, dt_s: float | None, log: Log) -> None:
    smallest = np.min_scalar_type(int(data.inputs.max(initial=0)))
    arrays: dict[str, Any] = {"inputs": data.inputs.astype(smallest), "outputs": outputs}
    arrays["from"] = np.array(text)
    if data.labels is not None:
        arrays["labels"] = data.labels
    if dt_s is not None:
        arrays["dt"] = np.array(dt_s)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    save_bytes(path, buffer.getvalue(), log)


@dataclass(frozen=True)
class SecondRun:
    """A network that can be run once more, to find the cause of a difference.

    ``populations``: names of its neurons in the file by those of their modules. ``shape``: of its
    output.
    """

    runner: Runner
    populations: Mapping[str, str]
    shape: tuple[int, ...]

    def cause(
        self, program: Program, raster: Array, inputs: Array, computed: Array, log: Log
    ) -> str:
        """Return the reason why the network does not give ``computed`` (samples, steps, n).

        Rounding is proved by a run of the network in float64: it gives what nirc gives.
        """
        spikes = {
            self.populations[name]: each
            for name, each in self.runner.spikes(inputs, log).items()
            if name in self.populations
        }
        departure = first_departure(program, spikes, raster)
        where = "" if departure is None else f"{departure.text}. "
        try:
            exact = self.runner.run_in_float64(inputs, self.shape, Log())
        except NircError:
            return (
                f"{where}The network does not run in float64, which would tell whether "
                "rounding is the cause"
            )
        share = Recording(exact.reshape(computed.shape), analog=is_analog(program)).share(computed)
        if share == 1:
            return (
                f"{where}In float64 the network gives what nirc gives: rounding to float32 is "
                "the cause"
            )
        return (
            f"{where}In float64 {share:.4%} are equal, so that rounding is not all: report it "
            "to nirc"
        )


@dataclass(frozen=True)
class Departure:
    """A neuron that sends ``simulated`` spikes in its simulator, and ``computed`` ones in nirc."""

    population: str
    sample: int
    step: int
    neuron: int
    simulated: float
    computed: float

    @property
    def text(self) -> str:
        """A sentence of what departs."""
        return (
            f"`{self.population}`, neuron {self.neuron}, is the first to depart, at sample "
            f"{self.sample}, step {self.step}: {self.simulated:g} spike(s) in the simulator, "
            f"{self.computed:g} in nirc"
        )


def first_departure(
    program: Program, simulated: Mapping[str, Array], raster: Array
) -> Departure | None:
    """Return the earliest departure of any population, None if all fire as in the simulator.

    ``simulated``: spikes (samples, steps, n) by the names of populations. ``raster`` (samples,
    steps, channels).
    """
    known = program.nodes(Population)
    names = [
        name for name in known if name in simulated and simulated[name].shape[2] == known[name].n
    ]
    computed = run(program, raster, record=names).spikes
    first: Departure | None = None
    for name in names:
        wrong = np.argwhere(computed[name] != simulated[name])
        if not len(wrong):
            continue
        sample, step, neuron = at = tuple(int(k) for k in wrong[np.argmin(wrong[:, 1])])
        if first is None or step < first.step:
            values = float(simulated[name][at]), float(computed[name][at])
            first = Departure(name, sample, step, neuron, *values)
    return first
