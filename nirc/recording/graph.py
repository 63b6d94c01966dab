"""A watched network as a NIR graph, and the text that says what the graph cannot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from nirc.diagnostics.log import Log
from nirc.export.graph import Graph
from nirc.recording.parts import Part, Shape, Site, flatten
from nirc.recording.simulator import Simulator, agreed
from nirc.recording.trace import INPUT, Call, Wiring
from nirc.writers.importer import Fields
from nirc.writers.writer import Writer

OUTPUT = "output"


def parts_of(wiring: Wiring, simulator: Simulator, log: Log) -> dict[str, Part]:
    """The nodes of every module that leads to the output.

    Raises ``CompileError`` with every finding (W212).
    """

    def passes(name: str) -> bool:
        module = wiring.calls[name].module
        return module is None or simulator.kind(module) != "neuron"

    parts = {}
    for name, call in wiring.calls.items():
        site = Site(name, call.shape_in, call.shape_out, log, wiring.feeds_itself(name, passes))
        part = _part(call, site, simulator)
        if part is not None:
            parts[name] = part
    log.raise_if_errors()
    return parts


def _part(call: Call, site: Site, simulator: Simulator) -> Part | None:
    if call.module is None:
        return flatten(call.shape_in)
    try:
        return simulator.convert(call.module, membrane=call.membrane)(call.module, site)
    except (
        AttributeError,
        TypeError,
        ValueError,
        KeyError,
        RuntimeError,
    ) as error:  # a module that was changed by hand
        kind = type(call.module).__name__
        site.refuse(
            f"it is not as {kind} usually is: {error}",
            found=kind,
            help=f"make it anew by {kind}(...)",
        )
        return None


def text_of(parts: Mapping[str, Part], simulator: Simulator, writer: Writer, log: Log) -> str:
    """Return the text that ``--from`` takes, with every choice of the writer.

    Raises ``CompileError``: W211 where two modules differ, W212 for a value that nirc does not
    read.
    """
    values = agreed({name: part.choices for name, part in parts.items()}, log)
    texts = [writer.name]
    for choice in writer.choices:
        value = _as_known(values.get(choice.key, choice.values[0]), (*choice.values, *choice.tried))
        if not choice.takes(value):
            log.error(
                "W212",
                f"nirc has no rule for {choice.key}={value}",
                found=value,
                limit=choice.all_values,
            )
        texts.append(f"{choice.key}={value}")
    log.raise_if_errors()
    return ",".join(texts)


def within_bounds(parts: Mapping[str, Part], fired: Mapping[str, float]) -> dict[str, Part]:
    """The parts with the bound of their spikes in a step where a neuron reached it. ``fired``: the
    most, by name.

    Where none did, ``many`` is as right as the bound, and other layers may have another one.
    """
    found = {}
    for name, part in parts.items():
        numbers = [v for v in part.choices.get("spikes", ()) if v.isdigit()]
        reached = [v for v in numbers if fired.get(name, 0.0) >= int(v)]
        found[name] = (
            replace(part, choices={**part.choices, "spikes": tuple(reached)}) if reached else part
        )
    return found


def _as_known(value: str, known: Sequence[str]) -> str:
    """Return a number as it is usually written: 1e-3 for 0.001."""
    try:
        number = float(value)
        return next((k for k in known if k[-1].isdigit() and float(k) == number), value)
    except ValueError:
        return value


def to_graph(parts: Mapping[str, Part], wiring: Wiring, shape_in: Shape, shape_out: Shape) -> Graph:
    """Nodes by the names of their modules, between ``input`` and ``output``, without batch and
    time.
    """
    names = file_names(parts)
    nodes: dict[str, Fields] = {INPUT: {"type": "Input", "shape": np.array(shape_in)}}
    edges: list[tuple[str, str]] = []
    for name, part in parts.items():
        nodes |= {_join(names[name], suffix): fields for suffix, fields in part.nodes.items()}
        edges += [(_join(names[name], a), _join(names[name], b)) for a, b in part.edges]
    exits = {name: _join(names[name], part.exit) for name, part in parts.items()} | {INPUT: INPUT}
    edges += [
        (exits[source], _join(names[target], parts[target].entry))
        for source, target in wiring.edges
    ]
    nodes[OUTPUT] = {"type": "Output", "shape": np.array(shape_out)}
    edges += [(exits[source], OUTPUT) for source in wiring.outputs]
    return Graph(nodes, tuple(edges))


def file_names(parts: Mapping[str, Part]) -> dict[str, str]:
    """Names of modules as a file may have them, without slashes and apart from the ports."""
    names: dict[str, str] = {}
    taken = {INPUT, OUTPUT}
    for name in parts:
        free = name.replace("/", "_")
        while free in taken:
            free += "_"
        taken.add(free)
        names[name] = free
    return names


def neurons_of(parts: Mapping[str, Part]) -> dict[str, str]:
    """The name in the file of the neurons of each module that fires, by the module's name."""
    names = file_names(parts)
    firing = {
        name: [s for s, fields in part.nodes.items() if "v_threshold" in fields]
        for name, part in parts.items()
    }
    return {name: _join(names[name], suffixes[0]) for name, suffixes in firing.items() if suffixes}


def _join(name: str, suffix: str) -> str:
    return f"{name}.{suffix}" if suffix else name
