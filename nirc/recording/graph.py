"""A watched network as a NIR graph, and the text that says what the graph cannot."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from nirc.diagnostics.log import Log
from nirc.diagnostics.writer import ChoicesDiffer, ModuleComputesOtherwise, PartWithoutWords
from nirc.nirfile.graph import Graph, port
from nirc.recording.signals import Signal
from nirc.recording.simulator import Part, Shape, Simulator, Site, flatten
from nirc.recording.trace import INPUT, Call
from nirc.writers.importer import Fields
from nirc.writers.writer import Writer

OUTPUT = "output"


@dataclass(frozen=True)
class Wiring:
    """A network as nodes and edges.

    ``calls``: in the order of the network, without the input. ``delayed``: edges that carry what
    their source sent in the step before.
    """

    calls: dict[str, Call]
    edges: tuple[tuple[str, str], ...]
    delayed: frozenset[tuple[str, str]]
    outputs: tuple[str, ...]

    def feeds_itself(self, name: str, passes: Callable[[str], bool]) -> bool:
        """Return True if a node's output comes back through nodes of which ``passes`` is true."""
        reached, new = set(), [name]
        while new:
            here = new.pop()
            for target in (t for s, t in self.edges if s == here and t not in reached):
                reached.add(target)
                if passes(target):
                    new.append(target)
        return name in reached


def wiring_of(every: Mapping[str, Call], output: Signal, log: Log) -> Wiring:
    """Return the part of the network that leads to ``output``, by the last call of every node.

    Raises ``CompileError`` (W210).
    """
    calls: dict[str, Call] = {}
    edges: list[tuple[str, str]] = []
    delayed: set[tuple[str, str]] = set()
    new = list(output.nodes)
    while new:
        name = new.pop()
        if name == INPUT or name in calls:
            continue
        call = calls[name] = every[name]
        if call.signal is None or not call.signal.sources:
            what = f"what arrives at `{name}`, which no module gave"
            log.add(PartWithoutWords(where=name, what=what))
            continue
        for source, number in call.signal.sources:
            edges.append((source, name))
            new.append(source)
            if source == INPUT or number == every[source].number:
                continue
            delayed.add((source, name))
            if number != every[source].before:
                what = f"what `{name}` gets from `{source}`, several steps late"
                log.add(PartWithoutWords(where=name, what=what))
    if not log.errors and INPUT not in {source for source, _ in edges}:
        log.add(PartWithoutWords(what="a network whose output does not depend on its input"))
    log.raise_if_errors()
    wiring = Wiring(
        dict(sorted(calls.items(), key=lambda item: item[1].number)),
        tuple(sorted(edges)),
        frozenset(delayed),
        tuple(sorted(output.nodes)),
    )
    _check_delayed(wiring, log)
    return wiring


def _check_delayed(wiring: Wiring, log: Log) -> None:
    """Refuse an edge that carries the step before and closes no loop.

    It would be a delay, which NIR's edges cannot say.
    """
    forward = [edge for edge in wiring.edges if edge not in wiring.delayed]
    for source, target in sorted(wiring.delayed):
        reached, new = {target}, [target]
        while new:
            here = new.pop()
            following = [t for s, t in forward if s == here and t not in reached]
            reached.update(following)
            new += following
        if source not in reached:
            what = f"what `{target}` gets from `{source}`, a step late and in no loop"
            help_ = f"give `{target}` the output of the same step"
            log.add(PartWithoutWords(where=target, what=what, help=help_))
    log.raise_if_errors()


def parts_of(wiring: Wiring, simulator: Simulator, log: Log) -> dict[str, Part]:
    """Return the nodes of every module that leads to the output.

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
    except (AttributeError, TypeError, ValueError, KeyError, RuntimeError) as error:
        # A module that was changed by hand.
        kind = type(call.module).__name__
        problem = f"it is not as {kind} usually is: {error}"
        site.refuse(problem, found=kind, help=f"make it anew by {kind}(...)")
        return None


def text_of(parts: Mapping[str, Part], simulator: Simulator, writer: Writer, log: Log) -> str:
    """Return the text that ``--from`` takes, with every choice of the writer.

    Raises ``CompileError``: W211 where two modules differ, W212 for a value that nirc does not
    read.
    """
    values = _agreed({name: part.choices for name, part in parts.items()}, log)
    texts = [writer.name]
    for choice in writer.choices:
        value = values.get(choice.key, choice.values[0])
        value = _as_known(value, (*choice.values, *choice.tried))
        if not choice.takes(value):
            problem = f"nirc has no rule for {choice.key}={value}"
            limit = choice.all_values
            log.add(ModuleComputesOtherwise(problem=problem, found=value, limit=limit))
        texts.append(f"{choice.key}={value}")
    log.raise_if_errors()
    return ",".join(texts)


def _agreed(values: Mapping[str, Mapping[str, tuple[str, ...]]], log: Log) -> dict[str, str]:
    """Return one value for each choice, given the values that fit each module, by its name.

    Raises ``CompileError`` (W211) where two modules compute by different ones.
    """
    fitting: dict[str, tuple[str, ...]] = {}
    first: dict[str, str] = {}
    for name, choices in values.items():
        for key, fit in choices.items():
            before = fitting.get(key, fit)
            both = tuple(v for v in before if v in fit)
            if not both:
                differ = ChoicesDiffer(
                    where=name,
                    key=key,
                    module=name,
                    value=fit[0],
                    other=first[key],
                    value_of_other=before[0],
                )
                log.add(differ)
                continue
            fitting[key] = both
            first.setdefault(key, name)
    log.raise_if_errors()
    return {key: both[0] for key, both in fitting.items()}


def within_bounds(parts: Mapping[str, Part], fired: Mapping[str, float]) -> dict[str, Part]:
    """Return the parts with the bound of their spikes in a step where a neuron reached it.

    ``fired``: the most spikes, by name. Where no neuron reached the bound, ``many`` is as right as
    the bound, and other layers may have another one.
    """
    bounded = {}
    for name, part in parts.items():
        numbers = [v for v in part.choices.get("spikes", ()) if v.isdigit()]
        reached = tuple(v for v in numbers if fired.get(name, 0.0) >= int(v))
        choices = {**part.choices, "spikes": reached} if reached else part.choices
        bounded[name] = replace(part, choices=choices)
    return bounded


def _as_known(value: str, known: Sequence[str]) -> str:
    """Return a number as it is usually written: 1e-3 for 0.001."""
    try:
        number = float(value)
        return next((k for k in known if k[-1].isdigit() and float(k) == number), value)
    except ValueError:
        return value


def to_graph(parts: Mapping[str, Part], wiring: Wiring, shape_in: Shape, shape_out: Shape) -> Graph:
    """Return nodes by the names of their modules, between ``input`` and ``output``.

    Shapes are without samples and steps.
    """
    names = file_names(parts)
    nodes: dict[str, Fields] = {INPUT: port("Input", shape_in)}
    edges: list[tuple[str, str]] = []
    exits = {INPUT: INPUT}
    for name, part in parts.items():
        nodes |= {_join(names[name], suffix): fields for suffix, fields in part.nodes.items()}
        edges += [(_join(names[name], a), _join(names[name], b)) for a, b in part.edges]
        exits[name] = _join(names[name], part.exit)
    for source, target in wiring.edges:
        edges.append((exits[source], _join(names[target], parts[target].entry)))
    nodes[OUTPUT] = port("Output", shape_out)
    edges += [(exits[source], OUTPUT) for source in wiring.outputs]
    return Graph(nodes, tuple(edges))


def file_names(parts: Mapping[str, Part]) -> dict[str, str]:
    """Return names of modules as a file may have them, without slashes and unlike the ports'."""
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
    """Return the name in the file of the neurons of each module that fires, by module."""
    names, neurons = file_names(parts), {}
    for name, part in parts.items():
        suffixes = [s for s, fields in part.nodes.items() if "v_threshold" in fields]
        if suffixes:
            neurons[name] = _join(names[name], suffixes[0])
    return neurons


def _join(name: str, suffix: str) -> str:
    return f"{name}.{suffix}" if suffix else name
