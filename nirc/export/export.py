"""`nirc export`: a stage of a compilation as a NIR file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from nirc.api import Compiled, Options, Stages, compile_model, lower
from nirc.chip.running import Samples
from nirc.diagnostics.log import Log
from nirc.export.graph import Graph, nir_bytes, to_graph
from nirc.export.importable import to_importable
from nirc.frontend.raw import FROM_KEY
from nirc.ir.arrays import Shape
from nirc.ir.populations import Discrete, Population
from nirc.ir.program import Program
from nirc.writers.reading import LETTER_NAME, parse_for
from nirc.writers.writer import Reading, Writer

STAGES = ("float", "discrete", "legal", "integer")


@dataclass(frozen=True)
class Exported:
    """A NIR file, and what a user has to know of it.

    ``loading``: the Python that loads it, where it is for a simulator. ``remark``: how the network
    is run then. ``values``: choices of the importer that the file needs. ``shape``: of the Input,
    which importers take as it is.
    """

    data: bytes
    loading: str = ""
    remark: str = ""
    values: Mapping[str, str] = field(default_factory=dict)
    shape: Shape = ()


def export(
    model: object,
    stage: str,
    target: str | None,
    options: Options,
    *,
    simulator: str | None = None,
    log: Log,
    calibration: Samples | None = None,
    progress: Callable[[int], None] | None = None,
) -> bytes:
    """The file of ``exported``."""
    made = exported(
        model,
        stage,
        target,
        options,
        simulator=simulator,
        log=log,
        calibration=calibration,
        progress=progress,
    )
    return made.data


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
    """A stage as NIR. ``float`` and ``discrete`` need no target; ``legal`` is what the backend
    quantises.

    At ``integer`` weights, thresholds and decays are those that the chip uses, in its own units: a
    simulator that reads the file sees the rounding, but not what NIR cannot say (P315).
    ``simulator``: ``NAME[,KEY=VALUE]...``, whose importer is to compute the stage. Raises
    ``NircError``: P317 for what that importer cannot be told.
    """
    if simulator is not None:
        parse_for(simulator, log)  # a mistake there is told before the work
    if stage not in ("float", "discrete") and target is None:
        log.error(
            "U607",
            f"stage `{stage}` depends on the chip",
            found="no --target",
            help="nirc targets lists them",
        )
        log.raise_if_errors()
    if target is None:
        log.strict = options.strict
        options.checked(log)
        stages, made = lower(model, options, log=log), None
    else:
        made = compile_model(
            model, target, options, log=log, calibration=calibration, progress=progress
        )
        stages = made.stages
    if simulator is not None:
        return for_simulator(simulator, _program(stage, stages.reference, stages, made), log)
    program = _program(stage, stages.continuous, stages, made)
    graph = to_graph(program, log)
    return Exported(
        nir_bytes(graph, _record(stages.reading, graph) if stage == "float" else _read_by(program))
    )


def _program(stage: str, first: Program, stages: Stages, made: Compiled | None) -> Program:
    if made is None:
        return first if stage == "float" else stages.discrete
    return {
        "float": first,
        "discrete": stages.discrete,
        "legal": made.legal,
        "integer": made.integer,
    }[stage]


def for_simulator(simulator: str, program: Program, log: Log) -> Exported:
    """``program`` in the discrete form or a later one, for the importer of ``simulator``.

    Raises as ``exported``.
    """
    writer, values = parse_for(simulator, log)
    made = to_importable(program, writer, values, log)
    importer = made.importer
    plain_call = importer.call({c.key: c.values[0] for c in importer.choices})
    loading = importer.call(made.values)
    if loading != plain_call:
        log.warning(
            "P319",
            f"the file computes the stage only if {writer.title} loads it with "
            f"{_choices_of(made.reading)}",
            limit=plain_call,
            help="load it with the lines that `nirc export` prints",
        )
    (entry,) = (fields for fields in made.graph.nodes.values() if fields["type"] == "Input")
    shape = tuple(int(n) for n in entry["shape"])
    return Exported(
        nir_bytes(made.graph, {FROM_KEY: made.reading}),
        loading,
        importer.remark,
        made.values,
        shape,
    )


def _choices_of(reading: str) -> str:
    return ", ".join(reading.split(",")[2:])


def _record(reading: Reading, graph: Graph) -> dict[str, str]:
    """Physical parameters are read as the model was, unless that reader would order the values of a
    map again.
    """
    mends = reading.writer.rewire is not Writer.rewire
    if mends and any(fields["type"] == "Flatten" for fields in graph.nodes.values()):
        return {}
    return {FROM_KEY: reading.text}


def _read_by(program: Program) -> dict[str, str]:
    """The letter of NIR, with a subtraction where every spike subtracts."""
    resets = set()
    for population in program.nodes(Population).values():
        d = population.dynamics
        d = d.as_discrete() if hasattr(d, "as_discrete") else d
        if isinstance(d, Discrete) and d.fires and d.decay_mem.any():
            resets.add(d.rule.reset)
    return {FROM_KEY: f"{LETTER_NAME},reset=subtract" if resets == {"subtract"} else LETTER_NAME}
