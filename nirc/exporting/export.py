"""`nirc export`: a stage of a compilation as a NIR file."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path

from nirc.api import Compiled, Options, Stages, compile_model, lower
from nirc.chip.running import Samples
from nirc.chip.trained import packed
from nirc.diagnostics.log import Log
from nirc.diagnostics.outcome import LeftOutOfExport, LoadWithArgument
from nirc.diagnostics.usage import OptionMakesNoSense
from nirc.exporting.importable import to_importable
from nirc.frontend.raw import FROM_KEY, INTEGERS_KEY
from nirc.ir.arrays import Shape
from nirc.ir.populations import Discrete, Population
from nirc.ir.program import Program
from nirc.ir.rules import Reset, plain
from nirc.nirfile.graph import Graph, nir_bytes, stepped, to_graph
from nirc.passes.pipeline import run_passes
from nirc.writers.reading import LETTER_NAME, parse_for
from nirc.writers.writer import Writer

_RESETS: tuple[Reset, ...] = ("set", "subtract")
_LETTERS = [plain(reset, synapse=filtered) for reset, filtered in product(_RESETS, (False, True))]
STAGES = ("float", "discrete", "legal", "integer")


@dataclass(frozen=True)
class Exported:
    """A NIR file, and what a user has to know of it.

    ``loading``: the Python that loads it, if it is for a simulator. ``remark``: how the network is
    run then. ``values``: choices of the importer that the file needs. ``shape``: of the Input,
    which importers take as it is.
    """

    data: bytes
    loading: str = ""
    remark: str = ""
    values: Mapping[str, str] = field(default_factory=dict)
    shape: Shape = ()


def exported(
    model: object,
    stage: str,
    target: str | None,
    options: Options,
    *,
    simulator: str | None = None,
    log: Log,
    calibration: Samples | None = None,
    progress: Callable[[int], None] | None = None,
) -> Exported:
    """Return a stage as NIR.

    ``float`` and ``discrete`` need no target. ``legal`` is what the backend quantises. At
    ``integer`` weights, thresholds and decays are those that the chip uses, in its own units: a
    simulator that reads the file sees the rounding, but not what NIR cannot say (P315).
    ``simulator``: ``NAME[,KEY=VALUE]...``, whose importer is to compute the stage. Raises
    ``NircError``: P317 for what that importer does not have.
    """
    if simulator is not None:
        parse_for(simulator, log)  # a mistake there is reported before the work
    if stage not in ("float", "discrete") and target is None:
        problem, help_ = f"stage `{stage}` depends on the chip", "nirc targets lists them"
        log.add(OptionMakesNoSense(problem=problem, found="no --target", help=help_))
        log.raise_if_errors()
    if target is None:
        log.strict = options.strict
        options.checked(log)
        stages, compiled = lower(model, options, log=log), None
    else:
        compiled = compile_model(
            model, target, options, log=log, calibration=calibration, progress=progress
        )
        stages = compiled.stages
    programs = {"float": stages.continuous, "discrete": stages.discrete}
    if compiled is not None:
        programs |= {"legal": compiled.legal, "integer": compiled.integer}
    if simulator is not None:
        programs["float"] = stages.reference
        return for_simulator(simulator, programs[stage], log)
    if stage == "float":
        return Exported(float_stage(stages, log))
    graph = to_graph(programs[stage], log)
    return Exported(nir_bytes(graph, {FROM_KEY: _letter_for(programs[stage])}))


def float_stage(stages: Stages, log: Log, notes: Mapping[str, bytes] | None = None) -> bytes:
    """Return the model with physical parameters as NIR. ``notes``: for the metadata of the file."""
    graph = to_graph(stages.continuous, log)
    return nir_bytes(graph, {**_as_read(stages, graph, log), **(notes or {})})


def with_integers(compiled: Compiled, integer: Program, log: Log) -> bytes:
    """Return the model as NIR that carries ``integer``, an integer form for the chip, as a note.

    A compilation for the chip takes the integers as they are, with the options of ``compiled``. The
    note holds the digest of the network as the file gives it.
    """
    options = replace(compiled.options, writer=None, reset="model", discretise=None)
    with tempfile.TemporaryDirectory(prefix="nirc-") as folder:
        path = Path(folder) / "model.nir"
        path.write_bytes(float_stage(compiled.stages, log))
        discrete = lower(path, options, log=Log()).discrete
    legal = run_passes(discrete, compiled.backend.legalise(), Log())
    note = packed(integer, legal, compiled.backend.name)
    return float_stage(compiled.stages, Log(), {INTEGERS_KEY: note})


def for_simulator(simulator: str, program: Program, log: Log) -> Exported:
    """Return ``program``, in the discrete form or a later one, for the importer of ``simulator``.

    Raises as ``exported``.
    """
    writer, values = parse_for(simulator, log)
    importable = to_importable(program, writer, values, log)
    importer = importable.importer
    plain_call = importer.call(importer.defaults())
    loading = importer.call(importable.values)
    if loading != plain_call:
        choices = ", ".join(importable.choices)
        log.add(LoadWithArgument(simulator=writer.title, choices=choices, plain_call=plain_call))
    (entry,) = (f for f in importable.graph.nodes.values() if f["type"] == "Input")
    return Exported(
        nir_bytes(importable.graph, {FROM_KEY: importable.reading}),
        loading,
        importer.remark,
        importable.values,
        tuple(int(n) for n in entry["shape"]),
    )


def _as_read(stages: Stages, graph: Graph, log: Log) -> dict[str, str]:
    """Return the note that physical parameters are read as the model was.

    It is NIR's letter, with the model's reset, if that reader would order the values of a map
    again. Steps that the letter does not have are reported (P315).
    """
    mends = stages.reading.writer.rewire is not Writer.rewire
    if mends and any(fields["type"] == "Flatten" for fields in graph.nodes.values()):
        title = stages.reading.writer.title
        for name, population in stages.discrete.nodes(Population).items():
            d = stepped(population.dynamics)
            if isinstance(d, Discrete) and d.fires and d.rule not in _LETTERS:
                log.add(LeftOutOfExport(what=f"how {title} steps `{name}`"))
        return {FROM_KEY: _letter_for(stages.discrete)}
    return {FROM_KEY: stages.reading.text}


def _letter_for(program: Program) -> str:
    """Return the letter of NIR, with a subtraction if every spike subtracts."""
    resets = set()
    for population in program.nodes(Population).values():
        d = stepped(population.dynamics)
        if isinstance(d, Discrete) and d.fires and d.decay_mem.any():
            resets.add(d.rule.reset)
    return f"{LETTER_NAME},reset=subtract" if resets == {"subtract"} else LETTER_NAME
