"""A writer: a simulator that writes NIR files, and the rule by which it steps them."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeGuard

import numpy as np

from nirc.diagnostics.log import Log
from nirc.files.plugins import Plugins
from nirc.frontend.raw import RawGraph
from nirc.ir.arrays import Float, frozen
from nirc.ir.populations import Continuous, Discrete
from nirc.ir.program import Program, Training
from nirc.ir.rules import LETTER, Rule
from nirc.writers.facts import Facts

if TYPE_CHECKING:
    from nirc.writers.importer import Importer

# Bounds of the spikes in a step, and time steps in seconds, that people choose.
USUAL_BOUNDS = (*range(3, 9), 10, 15, 16, 20, 31, 32, 50, 63, 64, 100, 127, 128, 255, 256)
USUAL_STEPS_S = (1e-3, 2e-3, 5e-3, 1e-4, 2e-4, 5e-4, 1e-2, 2e-2, 5e-2, 1e-5, 2e-5, 5e-5)


@dataclass(frozen=True)
class Clues:
    """Values that a recording and its model suggest for numbers that the file does not hold.

    ``most``: spikes of an output in a step, 0 if the recorded outputs are no spikes.
    ``thresholds``: some of the model's. ``dt_s``: of the recording, None if it has none.
    """

    most: int = 0
    thresholds: tuple[float, ...] = ()
    dt_s: float | None = None


@dataclass(frozen=True)
class Choice:
    """A choice that files of this writer leave open: ``--from NAME,KEY=VALUE``.

    ``form`` names the values that ``accepts`` takes beside ``values``, whose first is the
    simulator's default. ``tried``: values of that form with which recorded outputs are compared.
    ``numbers``: more of them, the likeliest first. ``continuous``: what lies between them may be
    meant as well. ``question`` ends the sentence "the file does not say ...". ``remedy``: what to
    do where no other value can be given.
    """

    key: str
    values: tuple[str, ...]
    question: str
    form: str = ""
    accepts: Callable[[str], bool] | None = None
    tried: tuple[str, ...] = ()
    numbers: Callable[[Clues], list[float]] | None = None
    continuous: bool = False
    remedy: str = "export another form of it"

    def takes(self, value: str) -> bool:
        """Return True if ``value`` may be given."""
        return value in self.values or (self.accepts is not None and self.accepts(value))

    @property
    def all_values(self) -> str:
        """``subtract|zero|none``."""
        return "|".join((*self.values, self.form) if self.form else self.values)


@dataclass(frozen=True)
class Evidence:
    """The evidence for a writer.

    ``conclusive``: no other writer, and no person with other numbers in mind, would have left this.
    ``reasons`` are plain sentences. A writer without reasons is no candidate. ``assumed``: values
    of choices that the file suggests. ``open``: keys of the choices that matter to this file and
    that it does not record. ``idle``: for some of them the other choices, as ``reset=none``, with
    which they change nothing. ``overrules``: writers whose fingerprints are among this one's.
    """

    conclusive: bool = False
    reasons: tuple[str, ...] = ()
    assumed: Mapping[str, str] = field(default_factory=dict)
    open: tuple[str, ...] = ()
    idle: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    overrules: tuple[str, ...] = ()


NO_EVIDENCE = Evidence()


@dataclass(frozen=True)
class Setting:
    """The values beside its own parameters on which a population's step depends."""

    dt_s: float | None
    values: Mapping[str, str]
    recurrent: bool = False  # the population feeds itself


Step = Callable[[Continuous, int, Setting], Discrete]


def unchanged(program: Program, log: Log) -> Program:
    """Return the program as it is: this simulator connects as it writes."""
    return program


def no_step(program: Program, values: Mapping[str, str]) -> float | None:
    """Return None: no parameter of the file tells the time step."""
    return None


def _as_stored(graph: RawGraph, log: Log) -> RawGraph:
    return graph


def _no_training(c: Continuous, setting: Setting) -> Training:
    return Training()


@dataclass(frozen=True)
class Writer:
    """A simulator that writes NIR files.

    ``evidence`` looks at the file. ``step`` gives one step of a population of ``n`` neurons. A
    Threshold is the same for all writers, so that ``step`` never gets one. ``time_step`` gives dt
    in seconds from the continuous program, None where no parameter tells it, 1.0 where the
    simulator counts in steps. ``repair`` brings numbers of the file into NIR's
    domain, where the simulator clips what its exporter writes unclipped. ``rewire`` mends what the
    exporter is known to connect or to order otherwise, on typed layers as nested in the file.
    ``importer``: how the simulator loads files, None where nothing is known of it. ``near`` says
    why no rule equals the simulator, "" where one does. ``training``: the simulator's time
    constants and resets, for advice.
    """

    name: str
    title: str  # as its authors spell it, with the version whose rule this is
    evidence: Callable[[Facts], Evidence]
    step: Step
    choices: tuple[Choice, ...] = ()
    time_step: Callable[[Program, Mapping[str, str]], float | None] = no_step
    repair: Callable[[RawGraph, Log], RawGraph] = _as_stored
    rewire: Callable[[Program, Log], Program] = unchanged
    importer: Importer | None = None
    near: str = ""
    training: Callable[[Continuous, Setting], Training] = _no_training

    @property
    def usual_step(self) -> str | None:
        """The simulator's own default dt, as ``--dt`` takes it.

        None for writers that leave no dt open.
        """
        return next((c.values[0] for c in self.choices if c.key == "dt"), None)

    def defaults(self) -> dict[str, str]:
        """Return every choice with the simulator's own default."""
        return {c.key: c.values[0] for c in self.choices}


@dataclass(frozen=True)
class Reading:
    """The reading of a file: the writer, the values of its choices, and the reasons.

    ``confidence``: given (by the user), recorded (in the file), conclusive, open (evidence for
    ``candidates``, none of it conclusive: the letter of NIR is used) or none. ``open_keys``:
    choices that the file does not record.
    """

    writer: Writer
    values: Mapping[str, str]
    confidence: str = "none"
    evidence: tuple[str, ...] = ()
    open_keys: tuple[str, ...] = ()
    candidates: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """As ``--from`` takes it, with every choice that is not the default."""
        return self.text_without(())

    def text_without(self, keys: Container[str]) -> str:
        """Return the text for ``--from`` without the choices ``keys``."""
        usual = self.writer.defaults()
        pairs = [(k, v) for k, v in self.values.items() if usual.get(k) != v and k not in keys]
        return ",".join((self.writer.name, *(f"{key}={value}" for key, value in pairs)))

    def training(self, c: Continuous, setting: Setting) -> Training:
        """Return what the writer calls time constants and resets of a population."""
        return replace(self.writer.training(c, setting), simulator=self.writer.title)

    @property
    def assumed(self) -> dict[str, str]:
        """Choices that neither the file nor the user made, with the values taken."""
        return {k: self.values[k] for k in self.open_keys}


def is_step(text: str) -> bool:
    """Return True if ``text`` is a time step in seconds, at most 1."""
    try:
        return 0 < float(text) <= 1
    except ValueError:
        return False


def is_count(text: str) -> bool:
    """Return True if ``text`` is a number of spikes from 1 on."""
    return text.isascii() and text.isdecimal() and len(text) < 10 and int(text) >= 1


def counts(clues: Clues) -> list[float]:
    """Return bounds of the spikes in a step that a recording does not rule out."""
    least = max(2, clues.most)
    return [least, *(n for n in USUAL_BOUNDS if n > least)]


def steps(clues: Clues) -> list[float]:
    """Return time steps that people choose, in seconds, that of the recording first."""
    return [*([] if clues.dt_s is None else [clues.dt_s]), *USUAL_STEPS_S]


def discrete(
    c: Continuous,
    n: int,
    rule: Rule,
    *,
    decay_mem: Float | float = 1.0,
    gain_mem: Float | float = 1.0,
    decay_syn: Float | float | None = None,
    gain_syn: Float | float = 1.0,
    v_least: Float | None = None,
    starts_at_leak: bool = False,
) -> Discrete:
    """Return ``n`` neurons with these coefficients, each (n,) or one number.

    v_leak and thresholds are those of ``c``. With a ``decay_syn`` the rule gets a synaptic current.
    """

    def full(value: Float | float) -> Float:
        return frozen(np.broadcast_to(np.asarray(value, np.float64), (n,)))

    decay = full(decay_mem)
    leak = np.zeros(n) if c.v_leak is None else c.v_leak
    drift = np.where(decay == 1.0, 0.0, (1.0 - decay) * leak)
    return Discrete(
        decay,
        full(gain_mem),
        frozen(drift),
        None if decay_syn is None else full(decay_syn),
        None if decay_syn is None else full(gain_syn),
        c.v_threshold,
        c.v_reset,
        rule=rule if decay_syn is None else rule.with_synapse(),
        v_least=v_least,
        v_start=frozen(leak) if starts_at_leak and leak.any() else None,
    )


def memoryless(c: Continuous, n: int) -> Discrete:
    """Return NIR's Threshold: a spike where the input of this step is above the threshold."""
    return discrete(reset_to_zero(c, n), n, LETTER, decay_mem=0.0)


def reset_to_zero(c: Continuous, n: int) -> Continuous:
    """Return the same neurons with a reset potential of 0."""
    return replace(c, v_reset=frozen(np.zeros(n)))


def _is_writer(plugin: object) -> TypeGuard[Writer]:
    return isinstance(plugin, Writer)


WRITERS = Plugins("nirc.writers", _is_writer)


def installed_writers(log: Log | None = None) -> dict[str, Writer]:
    """Return the installed writers by name, the letter of NIR last. Warn of broken ones (U615)."""
    writers = WRITERS.all(log or Log())
    return dict(sorted(writers.items(), key=lambda item: item[0] == "nir"))
