"""From a model to discrete populations, stage by stage."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nirc.chip.backend import Backend
from nirc.chip.target import Target
from nirc.diagnostics.errors import NircError
from nirc.diagnostics.log import Log
from nirc.frontend.load import load_raw, to_layers
from nirc.frontend.raw import RawGraph, is_outline, with_known_rows
from nirc.ir.program import Program
from nirc.options import Options
from nirc.passes import pipeline
from nirc.passes.add_readout import Readout
from nirc.passes.keep_first_rows import KeepFirstRows
from nirc.passes.pipeline import Observer, passes_to, run_passes
from nirc.writers.reading import reading_of
from nirc.writers.writer import Reading


@dataclass(frozen=True)
class Stages:
    """A model from the file to discrete populations.

    ``reading``: the writer's rule. ``continuous``: populations with the parameters of the file.
    ``reference``: the float stage. Each step is that of the simulator, and the chip is compared
    with it.
    """

    reading: Reading
    layers: Program
    continuous: Program
    reference: Program
    discrete: Program


def load_as(
    model: object, options: Options, *, log: Log, observe: Observer | None = None
) -> tuple[Program, Reading]:
    """Return canonical layers and the reading. Raises ``InputError``, ``UsageError`` (U607)."""
    return read_as(*load_raw(model, log), options, log=log, observe=observe)


def read_as(
    raw: RawGraph, name: str, options: Options, *, log: Log, observe: Observer | None = None
) -> tuple[Program, Reading]:
    """Return canonical layers of a raw graph and the reading, as ``load_as`` does."""
    reading = reading_of(
        with_known_rows(raw) if is_outline(raw) else raw,
        asked=options.writer,
        reset=None if options.reset == "model" else options.reset,
        discretise=options.discretise,
        dt_s=options.dt_s or options.data_dt_s,
        log=log,
    )
    typed = to_layers(reading.writer.repair(raw, log), log, name=name)
    pipeline.ended(observe, "load")
    return canonical(reading.writer.rewire(typed, log), log, observe), reading


def canonical(typed: Program, log: Log, observe: Observer | None = None) -> Program:
    """Return canonical layers from typed, nested layers. Raises ``InputError``."""
    return run_passes(typed, passes_to("layers"), log, observe)


def lower(model: object, options: Options, *, log: Log, observe: Observer | None = None) -> Stages:
    """Return discrete populations. Raises ``InputError`` or ``CompileError``."""
    layers, reading = load_as(model, options, log=log, observe=observe)
    return lower_layers(layers, reading, options, log=log, observe=observe)


def lower_layers(
    layers: Program,
    reading: Reading,
    options: Options,
    *,
    log: Log,
    observe: Observer | None = None,
    of_outline: bool = False,
) -> Stages:
    """Return discrete populations from canonical layers and their reading.

    ``of_outline``: the layers are those of an outline, and only known synapses are kept.
    """
    readout = None if options.readout is None else Readout.parse(options.readout)
    settings: dict[str, Any] = {"dt_s": options.dt_s, "data_dt_s": options.data_dt_s}
    settings |= {"reading": reading, "readout": readout}
    to_continuous = passes_to("continuous", **settings)
    if of_outline:
        to_continuous.insert(1, KeepFirstRows())  # behind ``to-populations``
    continuous = run_passes(layers, to_continuous, log, observe)
    reference = run_passes(continuous, passes_to("reference", **settings), log, observe)
    discrete = run_passes(reference, passes_to("discrete", **settings), log, observe)
    return Stages(reading, layers, continuous, reference, discrete)


def load_to_fit(
    model: object, backend: Backend, candidates: Sequence[Target], options: Options, log: Log
) -> tuple[RawGraph, str]:
    """Return the raw graph of a model as ``load_raw`` does.

    Raises ``CompileError`` before large matrices are read, if the shapes of the network alone rule
    out all ``candidates``.
    """
    raw, name = load_raw(model, log, outline=True)
    if not is_outline(raw):
        return raw, name
    _refuse_outline(raw, name, backend, candidates, options, log)
    again = Log()
    try:
        return load_raw(model, again)
    finally:
        log.add_all(each for each in again.diagnostics if each not in log.diagnostics)


def _refuse_outline(
    raw: RawGraph,
    name: str,
    backend: Backend,
    candidates: Sequence[Target],
    options: Options,
    log: Log,
) -> None:
    """Raise ``CompileError`` if none of ``candidates`` can hold the known part of the network.

    This takes no time for the large matrices of which ``raw`` has the first row only. Anything else
    that is wrong with the model is found when the whole model is read.
    """
    attempt = log.attempt()
    with contextlib.suppress(NircError):
        layers, reading = read_as(raw, name, options, log=attempt)
        discrete = lower_layers(layers, reading, options, log=attempt, of_outline=True).discrete
        attempt = log.attempt()
        if backend.cannot_hold(discrete, candidates, attempt):
            log.add_all(attempt.diagnostics)
    log.raise_if_errors()
