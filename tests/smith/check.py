"""What must hold of any graph: nirc against slow definitions, vendors' simulators and itself."""

from __future__ import annotations

import os
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from nirc.api import Bundle, Compiled, Options, Stages, compile_model, lower
from nirc.backends.xylo.limits import MAX_INPUT_SPIKES, STATE
from nirc.backends.xylo.neuron import XyloNeuron
from nirc.diagnostics.errors import NircError
from nirc.diagnostics.log import Log
from nirc.exporting.export import exported
from nirc.ir.populations import Discrete, Population, populations_of
from nirc.ir.program import Program
from nirc.ir.text import digest
from nirc.passes.discretise import Discretise
from nirc.semantics.run import run
from tests import deployed
from tests.reference.nir_graph import Reference, late
from tests.reference.rule_graph import RuleReference
from tests.smith.case import Case, as_object, write_nir
from tests.smith.changes import RELATIONS, Relation
from tests.smith.vendors import VENDORS

CHIPS = ("loihi2", "spinnaker2", "speck", "xylo")
LEFT_OUT = {"P315", "P316"}  # an export that says what NIR cannot hold
CLOSE = 1e-9  # relative: sums in another order


class Mismatch(Exception):
    """Two answers that must be one differ."""


@dataclass(frozen=True)
class Failure:
    """``check``: by its name, as ``xylo: renumbered``."""

    check: str
    detail: str

    @property
    def kind(self) -> str:
        """The sort of failure: a mismatch, or the code or exception that came instead."""
        words = self.detail.split()
        if self.detail.startswith("refused"):
            return f"{self.check} {words[1]}"
        return f"{self.check} {words[0]}" if "Traceback" in self.detail else self.check


@dataclass
class Tally:
    """What was compared."""

    graphs: int = 0
    comparisons: Counter[str] = field(default_factory=Counter)
    compiled: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    spiking: int = 0

    def lines(self) -> Iterator[str]:
        """The counts in words."""
        total = sum(self.comparisons.values())
        yield f"{self.graphs} graphs, {self.spiking} of them not silent, {total} comparisons"
        counted = {"compared": self.comparisons, "compiled": self.compiled}
        for title, counts in {**counted, "refused": self.refused}.items():
            yield f"  {title}: " + ", ".join(f"{n} {name}" for name, n in sorted(counts.items()))


class Checks:
    """All checks of one case.

    ``vendors``: also run the chips' simulators. ``share``: of a chip's relations, how many are
    tried. ``only``: the one check to run.
    """

    def __init__(
        self,
        case: Case,
        tally: Tally,
        *,
        seed: int = 0,
        chips: Sequence[str] = CHIPS,
        vendors: bool = True,
        share: float = 1.0,
        only: str | None = None,
    ) -> None:
        self.case, self.tally, self.seed, self.chips = case, tally, seed, chips
        self.vendors, self.share, self.only = vendors, share, only
        self.dice = np.random.default_rng((seed, 1))
        self.failures: list[Failure] = []

    def all(self) -> list[Failure]:
        """Run them. What is no ``NircError`` and no mismatch is a failure, too."""
        self.tally.graphs += 1
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            stages = self.check("lowering", lambda: lowered(self.case), needed=True)
            if stages is not None:
                self._stages(stages)
                self._related(stages)
                for chip in self.chips:
                    self._chip(chip)
        return self.failures

    def check(self, name: str, work: Callable[[], Any], *, needed: bool = False) -> Any:
        """Return what ``work`` gives, None if it is not asked for or fails.

        ``needed``: other checks start from it.
        """
        asked = self.only in (None, name)
        if not asked and not needed:
            return None
        try:
            found = work()
        except Mismatch as different:
            why = str(different)
        except NircError as error:
            codes = [f"{d.code} {d.message}" for d in error.diagnostics if d.severity == "error"]
            why = f"refused: {'; '.join(codes[:3])}"
        except Exception as error:
            why = f"{type(error).__name__}: {error}\n{traceback.format_exc()[-1500:]}"
        else:
            self.tally.comparisons[name.rpartition(": ")[2]] += 1
            return found
        if asked:
            self.failures.append(Failure(name, why))
        return None

    def _stages(self, stages: Stages) -> None:
        case, x = self.case, self.case.inputs
        ran = self.check("running", lambda: run(stages.reference, x), needed=True)
        if ran is None:
            return
        got = ran.outputs
        self.tally.spiking += bool(got.any())
        if case.writer == "nir":
            self.check("slow definition", lambda: _defined(got, case, stages.layers))
        else:
            self.check("slow rule", lambda: _same(got, by_rule(case, stages), exact=False))
        self.check("discrete", lambda: _same(run(stages.discrete, x).outputs, got, exact=False))
        # BLAS sums real numbers in an order that depends on the number of samples.
        self.check(
            "batches",
            lambda: _batches(case, lambda x: run(stages.reference, x).outputs, exact=case.exact),
        )
        self.check("file", lambda: _read_again(case, stages))
        for stage in ("float", "discrete"):
            self.check(f"export of {stage}", partial(_exported, case, stages, stage))

    def _related(self, stages: Stages) -> None:
        got = run(stages.reference, self.case.inputs).outputs
        for relation, other in self._others():
            self.check(relation.name, partial(_related, other, got))

    def _others(self) -> Iterator[tuple[Relation, Case]]:
        """The case written in other ways."""
        for number, relation in enumerate(RELATIONS):
            if self.only is None or self.only.endswith(relation.name):
                other = relation.change(np.random.default_rng((self.seed, number)), self.case)
                if other is not None:
                    yield relation, other

    def _chip(self, chip: str) -> None:
        if self.only is not None and not self.only.startswith(f"{chip}: "):
            return
        case = self.case
        made = self.check(f"{chip}: compiling", lambda: compiled(case, chip), needed=True)
        if isinstance(made, str):
            self.tally.refused[f"{chip} {made}"] += 1
        elif made is not None:
            self.tally.compiled[chip] += 1
            self._compiled(chip, made)

    def _compiled(self, chip: str, made: Compiled) -> None:
        inputs = self.case.inputs
        ran = self.check(
            f"{chip}: running", lambda: made.bundle.run(inputs, log=Log()), needed=True
        )
        if ran is None:
            return
        self._bundle(chip, made, ran.outputs)
        for relation, other in self._others():
            if relation.name == "renumbered" and _order_counts(made):
                continue
            if relation.chips and self.dice.random() <= self.share:
                self.check(
                    f"{chip}: {relation.name}", partial(_related_on, chip, other, ran.outputs)
                )

    def _bundle(self, chip: str, made: Compiled, device: np.ndarray) -> None:
        case, bundle = self.case, made.bundle

        def answer(inputs: np.ndarray) -> np.ndarray:
            return bundle.run(inputs, log=Log()).outputs

        if not _acts_early(made):
            integer = run(made.integer, case.inputs).outputs
            self.check(f"{chip}: integer form", lambda: _same(device, integer, exact=True))
            self.check(f"{chip}: batches", lambda: _batches(case, answer, exact=True))
        with mock.patch.dict(os.environ, {"NIRC_NATIVE": "0"}):
            self.check(f"{chip}: without C", lambda: _same(answer(case.inputs), device, exact=True))
        self.check(f"{chip}: same bytes", lambda: _same_bytes(bundle, compiled(case, chip).bundle))
        self.check(f"{chip}: deploy.py", lambda: _deployed(bundle))
        self.check(f"{chip}: what-ifs", lambda: _named(made, case.inputs))
        if self.vendors:
            dice = np.random.default_rng(self.seed)
            self.check(f"{chip}: vendor", lambda: VENDORS[chip](bundle.files, dice))


def _acts_early(made: Compiled) -> bool:
    """True where Xylo's integer form leaves something out.

    Signals come before others of their step (D407), or biases act before the first inputs arrive.
    """
    neurons = {name: made.integer[name].dynamics for name in made.mapped.blocks}
    biased = [n for n, d in neurons.items() if isinstance(d, XyloNeuron) and d.bias.any()]
    late = any(made.mapped.blocks[name].latency_steps > 0 for name in biased)
    return late or any(d.code == "D407" for d in made.bundle.diagnostics)


def _order_counts(made: Compiled) -> bool:
    """True where a sum of Xylo's may reach the end of its range: it takes its inputs in order."""
    if made.backend.name != "xylo":
        return False
    for source, _, projection in made.integer.edges():
        sender = made.integer[source]
        spikes = sender.dynamics.max_spikes if isinstance(sender, Population) else MAX_INPUT_SPIKES
        for op in projection.ops:
            target, _, weight = op.coo()
            if np.bincount(target, np.abs(weight) * spikes).max(initial=0) > STATE[1]:
                return True
    return False


def lowered(case: Case) -> Stages:
    """All stages. Raises ``NircError``: no case deserves it."""
    return lower(as_object(case.graph), case.options(), log=Log())


def compiled(case: Case, chip: str) -> Any:
    """The compilation, or the first code for which the chip refuses.

    A bundle that the checker refuses, or does not understand, is a fault of nirc's.
    """
    try:
        return compile_model(as_object(case.graph), chip, case.options(chip), log=Log())
    except NircError as refusal:
        code = next(d.code for d in refusal.diagnostics if d.severity == "error")
        if code.startswith("C9"):
            raise
        return code


def by_definition(case: Case, layers: Program) -> np.ndarray:
    """The answer of the slow definition of NIR's letter."""
    answers = [
        Reference(layers, x, dt=case.dt_s, reset=case.reset, late=late(layers)).output()
        for x in case.inputs.astype(float)
    ]
    return np.array(answers)


def by_rule(case: Case, stages: Stages) -> np.ndarray:
    """The answer of the slow definition of the writer's rule, with nirc's coefficients."""
    discrete = Discretise(stages.reading).run(stages.continuous, Log())
    dynamics = {n: p.dynamics for n, p in populations_of(discrete, Discrete).items()}
    layers, dt = stages.layers, discrete.dt_s or case.dt_s
    answers = [
        RuleReference(layers, x, dt=dt, late=late(layers), dynamics=dynamics).output()
        for x in case.inputs.astype(float)
    ]
    return np.array(answers)


def _defined(got: np.ndarray, case: Case, layers: Program) -> None:
    _same(got, by_definition(case, layers), exact=case.exact)


def _ordered(output: np.ndarray, other: Case) -> np.ndarray:
    return output if other.columns is None else output[..., list(other.columns)]


def _same(got: np.ndarray, wanted: np.ndarray, *, exact: bool) -> None:
    if got.shape != wanted.shape:
        raise Mismatch(f"shape {got.shape}, not {wanted.shape}")
    equal = got == wanted if exact else np.isclose(got, wanted, rtol=CLOSE, atol=CLOSE)
    if not equal.all():
        first = tuple(int(i) for i in np.argwhere(~equal)[0])
        place = f"first (sample, step, output) {first}: {got[first]!r}, not {wanted[first]!r}"
        raise Mismatch(f"{int((~equal).sum())} of {equal.size} values differ, {place}")


def _read_again(case: Case, stages: Stages) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.nir"
        write_nir(case.graph, path)
        read = lower(str(path), case.options(), log=Log())
        _equal(digest(read.layers), digest(stages.layers), "digests of the layers")


def _exported(case: Case, stages: Stages, stage: str) -> None:
    """A stage as NIR, read again, answers as the model."""
    log = Log()
    made = exported(as_object(case.graph), stage, None, case.options(), log=log)
    if {d.code for d in log.diagnostics} & LEFT_OUT:
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "exported.nir"
        path.write_bytes(made.data)
        again = lower(str(path), Options(dt_s=case.dt_s), log=Log())
    got, wanted = (run(s.reference, case.inputs).outputs for s in (again, stages))
    _same(got, wanted, exact=False)


def _related(other: Case, got: np.ndarray) -> None:
    answer = run(lowered(other).reference, other.inputs).outputs
    _same(answer, _ordered(got, other), exact=other.exact)


def _related_on(chip: str, other: Case, device: np.ndarray) -> None:
    made = compile_model(as_object(other.graph), chip, other.options(chip), log=Log())
    _same(made.bundle.run(other.inputs, log=Log()).outputs, _ordered(device, other), exact=True)


def _same_bytes(first: Bundle, second: Bundle) -> None:
    _equal(first.files, second.files, "files")
    _equal(first.manifest, second.manifest, "manifests")


def _equal(got: object, wanted: object, what: str) -> None:
    if got != wanted:
        raise Mismatch(f"{what} differ")


def _batches(case: Case, answer: Callable[[np.ndarray], np.ndarray], *, exact: bool) -> None:
    """One sample at a time, and the first steps of a longer run, give the same."""
    whole = answer(case.inputs)
    for i in range(len(case.inputs)):
        _same(answer(case.inputs[i : i + 1])[0], whole[i], exact=exact)
    longer = np.pad(case.inputs, ((0, 0), (0, 3), (0, 0)), constant_values=1)
    _same(answer(longer)[:, : whole.shape[1]], whole, exact=exact)


def _deployed(bundle: Bundle) -> None:
    with tempfile.TemporaryDirectory() as folder:
        directory = bundle.save(Path(folder) / "bundle")
        files = {path.name: path.read_bytes() for path in directory.iterdir()}
        faults = deployed.faults(files, deployed.loaded(directory))
        if faults:
            raise Mismatch("; ".join(faults[:3]))
        _equal(Bundle.open(directory).files, bundle.files, "files after reading")


def _named(made: Compiled, inputs: np.ndarray) -> None:
    """Where the integer form differs from the model, there is a what-if.

    One alone need not change an output: several may do so together.
    """
    model = made.stages.discrete
    what_ifs = made.backend.approximations(model)
    answers = {name: run(program, inputs).outputs for name, program in what_ifs}
    wild = [name for name, answer in answers.items() if not np.isfinite(answer).all()]
    if wild:
        raise Mismatch(f"{wild} are not finite")
    exact, integer = run(model, inputs).outputs, run(made.integer, inputs).outputs
    if not answers and not np.allclose(integer, exact, rtol=1e-6, atol=1e-6):
        raise Mismatch("the integer form differs from the model, and no what-if says why")


def failures_of(case: Case, check: str, *, seed: int) -> list[Failure]:
    """Run one check alone."""
    return Checks(case, Tally(), seed=seed, only=check).all()
