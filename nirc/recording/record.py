"""``nirc.record``: a network in its simulator to a NIR file, recorded outputs, and the choices that
NIR cannot say.
"""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nirc.api import Options, Stages, lower
from nirc.chip.running import flat_raster
from nirc.diagnostics.errors import Diagnostic, NircError
from nirc.diagnostics.log import Log
from nirc.export.file import nir_bytes
from nirc.files.bundle import save_bytes
from nirc.files.data import Data, data_of
from nirc.frontend.raw import FROM_KEY
from nirc.verification.recorded import recording
from nirc.writers.writer import installed_writers

if TYPE_CHECKING:
    from nirc.recording.departure import SecondRun
    from nirc.recording.running import Step

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
    outputs: Array
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
    """Run a torch network of snnTorch, Norse, Sinabs or Rockpool, and write ``model`` (NIR) and
    ``data`` (.npz).

    ``inputs``: spike counts (samples, steps, ...input shape). ``data`` gets ``inputs``,
    ``outputs``, ``labels`` if given, ``dt`` in seconds if the simulator has one, and ``from``: what
    the NIR file cannot say, read from the modules. The text is also in the NIR file (metadata
    ``nirc_from``), where nirc finds it.

    ``simulator``: its name, None to see it from the modules. ``layout``: what the network is called
    with. ``"step"`` is (samples, ...) once a step, ``"steps first"`` is (steps, samples, ...),
    ``"samples first"`` is (samples, steps, ...), ``"folded"`` is (samples * steps, ...), and None
    is the usual one of the simulator. A network that is called once a step gets the states that it
    returned in the step before. ``step(x, state)`` makes one step of the network in your own way
    and returns output and state. The first state is None. ``reset()`` is called before every run,
    for states that no module of the simulator holds. ``output``: the place of the output among
    several returned values. ``compare``: the number of samples that nirc runs and compares.

    The network runs in evaluation mode without gradients, from its start states, and is left as it
    was. Raises ``UsageError`` (U607, U608, U613, U614), ``InputError`` (U603), or ``CompileError``
    for what a file cannot hold (W210 to W212), for a network that does not run (W214) and for one
    that loses its states (W215). Warns of what the file holds and the package's own exporter does
    not (W213).
    """
    log = Log(file=str(model))
    given = _given(inputs, labels, log)
    _require_torch(log)
    from nirc.recording.departure import SecondRun
    from nirc.recording.graph import neurons_of, parts_of, text_of, to_graph, within_bounds
    from nirc.recording.running import LAYOUTS, Runner
    from nirc.recording.simulator import modules_of, simulator_of

    chosen = simulator_of(network, simulator, log)
    usual = chosen.layout(list(modules_of(network).values()))
    if layout not in (None, *LAYOUTS):
        log.error("U607", "unknown layout", found=layout, limit=", ".join(LAYOUTS))
    log.raise_if_errors()
    wanted = next(
        (each for each in LAYOUTS if each == layout), "step" if step is not None else usual
    )
    runner = Runner(network, chosen, wanted, step=step, reset=reset, output=output)
    trace, wiring = runner.trace(given.inputs, log)
    parts = parts_of(wiring, chosen, log)
    writer = installed_writers()[chosen.name]
    text_of(parts, chosen, writer, log)  # refuses before the network runs on all inputs
    shape = trace.shapes[wiring.outputs[0]]
    outputs = runner.run(given.inputs, shape, log)
    text = text_of(within_bounds(parts, runner.fired), chosen, writer, log)
    file = nir_bytes(to_graph(parts, wiring, given.inputs.shape[2:], shape), {FROM_KEY: text})
    save_bytes(Path(model), file, log)
    given = replace(given, outputs=outputs.astype(np.float64), file=str(data))
    if not outputs.any():
        log.warning(
            "P316",
            "no output fires on any sample, so that equal answers say nothing",
            where="outputs",
        )
    stages = _read(Path(model), log)
    equal = None
    if stages is not None:
        equal = _compared(stages, given, compare, SecondRun(runner, neurons_of(parts), shape), log)
    _save(Path(data), given, outputs, text, None if stages is None else stages.continuous.dt_s, log)
    for each in log.diagnostics:
        if each.severity == "warning":
            found = f" (found {each.found})" if each.found else ""
            warnings.warn(
                f"{each.code}: {each.message}{found}. nirc explain {each.code}", stacklevel=2
            )
    return Recorded(Path(model), Path(data), text, outputs, equal, tuple(log.diagnostics))


def _given(inputs: Any, labels: Any, log: Log) -> Data:
    """Checked inputs and labels, from arrays or tensors."""
    arrays = {"inputs": inputs} if labels is None else {"inputs": inputs, "labels": labels}
    return data_of(
        {k: np.asarray(v.detach().cpu() if hasattr(v, "detach") else v) for k, v in arrays.items()},
        log,
    )


def _require_torch(log: Log) -> None:
    try:
        import torch  # noqa: F401
    except ImportError as error:
        log.error(
            "U614",
            f"nirc.record needs torch: {error}",
            help="pip install -e '.[record]' in nirc's directory, into the environment of the "
            "simulator",
        )
        log.raise_if_errors()


def _read(model: Path, log: Log) -> Stages | None:
    """The file as nirc reads it, None if nirc refuses it.

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
    """The share of recorded outputs that the file gives. Warns if it is not all of them (W204)."""
    from nirc.semantics.run import run

    assert data.outputs is not None
    some = replace(data, inputs=data.inputs[:samples], outputs=data.outputs[:samples])
    kept = recording(some, stages.reference, log)
    if kept is None or not len(some.inputs):
        return None
    raster = flat_raster(some.inputs, int(np.prod(some.inputs.shape[2:])), log, data.file)
    computed = run(stages.reference, raster).output
    share, first = kept.share(computed), kept.first_difference(computed)
    if first is not None:
        log.warning(
            "W204",
            f"the file read as {stages.reading.text} gives {share:.4%} of the recorded outputs",
            found=f"{first['found']:g} at sample {first['sample']}, step {first['step']}, output "
            f"{first['output']}",
            limit=f"{first['recorded']:g}",
            help=again.cause(stages.reference, raster, some.inputs, computed, log),
        )
    return share


def _save(path: Path, data: Data, outputs: Array, text: str, dt_s: float | None, log: Log) -> None:
    arrays: dict[str, Any] = {
        "inputs": _small(data.inputs),
        "outputs": outputs,
        "from": np.array(text),
    }
    arrays |= {} if data.labels is None else {"labels": data.labels}
    arrays |= {} if dt_s is None else {"dt": np.array(dt_s)}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    save_bytes(path, buffer.getvalue(), log)


def _small(counts: NDArray[np.int64]) -> Array:
    """Counts in the smallest type that holds them."""
    return counts.astype(np.min_scalar_type(int(counts.max(initial=0))))
