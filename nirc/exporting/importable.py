"""A program as a file that a simulator loads as it is meant, or a refusal that names the node."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import Any

from nirc.diagnostics.errors import NircError
from nirc.diagnostics.finding import Grade, Words
from nirc.diagnostics.log import Log
from nirc.diagnostics.outcome import LeftOutOfExport, SimulatorLacks
from nirc.exporting.assembly import Assembly, place_of
from nirc.exporting.loading import Loaded, load
from nirc.ir.populations import Discrete, Population, Projection, Sink, Source, populations_of
from nirc.ir.program import Form, Program
from nirc.nirfile.graph import Graph, stepped
from nirc.passes.normalise_rules import NormaliseRules
from nirc.writers.importer import AS, LOADED, Importer
from nirc.writers.writer import Writer, installed_writers

OTHERWISE = "leave --for out: the file then says what NIR can say, and P315 names the rest"


@dataclass(frozen=True)
class Importable:
    """A graph for a simulator's importer, and the choices with which it has to be loaded."""

    graph: Graph
    writer: Writer
    values: Mapping[str, str]

    @property
    def importer(self) -> Importer:
        """The importer that the graph is for."""
        assert self.writer.importer is not None
        return self.writer.importer

    @property
    def reading(self) -> str:
        """As ``--from`` takes it."""
        return ",".join((self.writer.name, f"{AS.key}={LOADED}", *self.choices))

    @property
    def choices(self) -> list[str]:
        """The choices that are not the importer's defaults, as ``KEY=VALUE``."""
        return _other_than(self.importer.defaults(), self.values)


def to_importable(
    program: Program, writer: Writer, values: Mapping[str, str], log: Log
) -> Importable:
    """Return ``program`` in the discrete form or a later one, for the importer of ``writer``.

    ``values``: choices of the importer that the user made. Raises ``CompileError``: P317 for each
    node that the importer would make another one of, P307 for a matrix that is too large. Warns
    (P315) of limits of a chip's numbers.
    """
    export = _Export(as_stepped(program, log), writer, dict(values), log)
    importable = export.importable()
    populations = program.nodes(Population)
    cuts = {name: export.loaded[name].cuts for name in populations}
    if any(_is_rounded(p) and not cuts[name] for name, p in populations.items()):
        what = "that the chip rounds states between steps"
        help_ = "the loaded network may differ from the chip in single spikes: `nirc run` is exact"
        log.add(LeftOutOfExport(what=what, help=help_))
    if any(cuts[name] and _is_exact(p) for name, p in populations.items()):
        log.add(_StatesCut(simulator=writer.title))
    return importable


class _StatesCut(LeftOutOfExport):
    what: str = ""
    simulator: str

    def words(self) -> Words:
        return Words(
            f"{self.simulator} cuts what a neuron keeps, and the stage does not",
            help="the loaded network may differ in single spikes, where a weight is no multiple "
            "of 1 / 4096",
        )


class _LimitLeftOut(LeftOutOfExport):
    help: str = "the file computes the stage as long as this does not happen"

    def grade(self) -> Grade:
        return "differs"


def _is_exact(population: Population[Any]) -> bool:
    """Return True if the stage keeps states in floating point."""
    d = population.dynamics
    return isinstance(d, Discrete) and d.grain is None


def _is_rounded(population: Population[Any]) -> bool:
    """Return True if a chip keeps fractions of its states, which it has to round."""
    if isinstance(population.dynamics, Discrete):
        return False
    d = stepped(population.dynamics)
    decays = [decay for decay in (d.decay_mem, d.decay_syn) if decay is not None]
    return any(((decay > 0) & (decay < 1)).any() for decay in decays)


def as_stepped(program: Program, log: Log) -> Program:
    """Return every population by what it does in a step, with normalised rules.

    Populations have one receptor where currents decay alike.
    """
    nodes: dict[str, object] = dict(program.graph.nodes(data="payload"))
    for name, population in program.nodes(Population).items():
        nodes[name] = population.with_dynamics(stepped(population.dynamics))
    discrete = program.rebuilt(nodes, program.edges(), form=Form.DISCRETE)
    single = {
        n for n, p in populations_of(discrete, Discrete).items() if p.dynamics.decay_syn_2 is None
    }
    edges = [(s, t, replace(p, synapse=0) if t in single else p) for s, t, p in program.edges()]
    return NormaliseRules().run(discrete.rebuilt(nodes, edges), log)


class _Export:
    """A network on its way into the words of an importer.

    ``help_``: of refusals, None to find other simulators and choices.
    """

    def __init__(
        self,
        program: Program,
        writer: Writer,
        values: dict[str, str],
        log: Log,
        help_: str | None = None,
    ) -> None:
        assert writer.importer is not None
        self.program, self.writer, self.values = program, writer, values
        self.importer, self.log, self.help = writer.importer, log, help_
        self.loaded: dict[str, Loaded] = {}

    def importable(self) -> Importable:
        """Return the graph. Raises ``CompileError`` with every finding."""
        self._check_ports()
        for name, population in populations_of(self.program, Discrete).items():
            self.loaded[name] = self._load(name, population)
        self._add_choices()
        loops = {(s, t) for s, t, p in self.program.edges() if self._closes(s, t, p)}
        for source, target, projection in self.program.edges():
            loop = (source, target) in loops
            self._check_lag(source, target, projection, loop=loop)
            if loop:
                self._check_loop(source, target, projection)
            self._check_onsets(target, projection, loop=loop)
        self.log.raise_if_errors()
        assembly = Assembly(self.program, self.importer, self.loaded, loops, self._refuse, self.log)
        return Importable(assembly.graph(), self.writer, self.values)

    def _refuse(self, problem: str, where: str, found: str, limit: str, help_: str = "") -> None:
        self.log.add(
            SimulatorLacks(
                where=where,
                simulator=self.writer.title,
                problem=problem,
                found=found,
                limit=limit,
                help=help_ or (self._alternatives if self.help is None else self.help),
            )
        )

    @cached_property
    def _alternatives(self) -> str:
        """Choices of this simulator, or else other simulators, that load the whole network."""
        fitting = [
            text
            for text, writer, values in _every_choice(self.writer)
            if self._takes_all(writer, values)
        ]
        for text in fitting:
            if text.startswith(f"{self.writer.name},"):
                return (
                    f"--for {text} writes the file all the same, and prints what has to be set "
                    "once it is loaded"
                )
        if not fitting:
            return OTHERWISE
        return f"--for {', '.join(fitting)} can be told of this network; or {OTHERWISE}"

    def _takes_all(self, writer: Writer, values: dict[str, str]) -> bool:
        attempt = _Export(self.program, writer, values, self.log.attempt(), OTHERWISE)
        try:
            attempt.importable()
        except NircError:
            return False
        return True

    def _check_ports(self) -> None:
        for kind, name in ((Source, "Input"), (Sink, "Output")):
            ports = self.program.nodes(kind)
            if len(ports) != 1:
                problem = f"the network has {len(ports)} nodes of type {name}"
                names = ", ".join(f"`{n}`" for n in ports)
                self._refuse(problem, "nodes", names, f"one {name}")

    def _load(self, name: str, population: Population[Discrete]) -> Loaded:
        d, where = population.dynamics, place_of(self.program, name)
        if d.decay_syn_2 is not None:
            problem, help_ = f"`{name}` has two receptors", "export an earlier stage"
            self._refuse(problem, where, "two synaptic filters", "one", help_)
            return Loaded(None, ("two receptors",))
        loaded = load(self.importer, d, self.values)
        if loaded.refused:
            problem = f"the neurons would be others: {'; '.join(loaded.refused)}"
            rule = loaded.rule and f"loaded by [{loaded.rule}]"
            self._refuse(problem, where, f"`{name}` by [{d.rule.text}]", rule)
        for remark in loaded.remarks:
            self.log.add(_LimitLeftOut(where=where, what=f"that `{name}` {remark}"))
        return loaded

    def _add_choices(self) -> None:
        """Add the choices that cells need, which have to agree."""
        questions = {choice.key: choice.question for choice in self.importer.choices}
        needed: dict[str, tuple[str, str]] = {}
        for name, loaded in self.loaded.items():
            for key, value in (loaded.cell.values if loaded.cell is not None else {}).items():
                other, before = needed.setdefault(key, (name, value))
                if before != value:
                    self._refuse(
                        f"`{name}` and `{other}` need another {key} each",
                        place_of(self.program, name),
                        f"{key}={value} and {key}={before}",
                        f"one for the network: {questions[key]}",
                    )
        self.values |= {key: value for key, (_, value) in needed.items()}

    def _spikes_late(self, name: str) -> bool:
        return name in self.loaded and self.loaded[name].delayed

    def _lag(self, source: str, target: str, p: Projection) -> int:
        """Return the steps between two populations as they are loaded."""
        payload = self.program[target]
        lag = p.lag + (payload.delay_steps if isinstance(payload, Sink) else 0)
        return lag - (1 if self._spikes_late(source) and source != target else 0)

    def _closes(self, source: str, target: str, p: Projection) -> bool:
        """Return True if the projection leads back, a step later."""
        if source == target:
            return True
        return self._lag(source, target, p) == 1 and source in self._behind(target)

    def _behind(self, start: str) -> set[str]:
        """Return the nodes that signals of ``start`` reach in their own step."""
        reached, stack = {start}, [start]
        while stack:
            node = stack.pop()
            for target, p in self.program.out_of(node):
                if target not in reached and self._lag(node, target, p) == 0:
                    reached.add(target)
                    stack.append(target)
        return reached

    def _place(self, target: str, p: Projection) -> str:
        return p.origins[0] if p.origins else place_of(self.program, target)

    def _check_lag(self, source: str, target: str, p: Projection, *, loop: bool) -> None:
        lag, where = self._lag(source, target, p), self._place(target, p)
        if lag == (1 if loop else 0):
            return
        edge = f"from `{source}` to `{target}`"
        if self._spikes_late(source):
            problem = "its neurons spike a step later than they are read here"
            self._refuse(problem, where, f"{lag + 1} step(s) {edge}", "1 step")
        else:
            self._refuse("signals cannot be delayed", where, f"{lag} step(s) {edge}", "none")

    def _check_loop(self, source: str, target: str, p: Projection) -> None:
        where, found = self._place(target, p), f"`{source}` -> `{target}`"
        if self.importer.loops == "none":
            problem = "layers are run one after the other, without a way back"
            self._refuse(problem, where, found, "")
        if source != target and self.importer.loops in ("pair", "nested"):
            problem = "neurons feed themselves by one matrix at most"
            self._refuse(problem, where, found, "a population that feeds itself")

    def _check_onsets(self, target: str, p: Projection, *, loop: bool) -> None:
        for bias in p.biases:
            if bias.onset_steps > (1 if loop else 0):
                problem = f"a constant input of `{target}` begins late"
                found = f"from step {bias.onset_steps} on"
                self._refuse(problem, self._place(target, p), found, "from the first step on")


def _every_choice(writer: Writer) -> Iterator[tuple[str, Writer, dict[str, str]]]:
    """Yield ``writer`` with every value of its choices, then the other simulators.

    The texts are as --for takes them.
    """
    others = [w for w in installed_writers().values() if w.name != writer.name]
    for each in (writer, *others):
        if each.importer is None:
            continue
        usual = each.importer.defaults()
        for chosen in product(*(c.values for c in each.importer.choices)):
            values = dict(zip(usual, chosen, strict=True))
            other = _other_than(usual, values)
            if not other or each is writer:
                yield ",".join((each.name, *other)), each, values


def _other_than(usual: Mapping[str, str], values: Mapping[str, str]) -> list[str]:
    return [f"{key}={value}" for key, value in values.items() if usual.get(key) != value]
