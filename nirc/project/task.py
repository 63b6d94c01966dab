"""One compilation as a message: files go in, a bundle and its figures come out.

Task and answer hold bytes and plain data, so that any machine with the same nirc can do the work.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from importlib.metadata import entry_points, version
from pathlib import Path
from typing import Any

from nirc.api import Compiled, Options, compile_model
from nirc.diagnostics.errors import Diagnostic, NircError
from nirc.diagnostics.log import Log
from nirc.diagnostics.policy import Policy, known_of
from nirc.diagnostics.usage import Bug, NoMemory, UnreadableBaseline
from nirc.files.bounds import RefusalError
from nirc.files.data import read_data
from nirc.files.foreign import check_file
from nirc.semantics.threads import with_one_thread
from nirc.stages import load_as
from nirc.verification.costs import activity
from nirc.verification.verify import compile_and_verify
from nirc.version import __version__

MAX_CAUSE = 300  # characters of an unexpected exception's text
ENERGY = "J"  # the unit of an estimate that is an energy
CHIPS = "chips"  # of which one may be all that there is


@dataclass(frozen=True)
class Task:
    """``files``: bytes by role (model, data, calibrate, baseline). ``names``: their file names."""

    name: str
    target: str
    options: Options
    files: Mapping[str, bytes]
    names: Mapping[str, str]
    accepted: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()

    @cached_property
    def fingerprint(self) -> str:
        """Return the SHA-256 of everything that the answer depends on."""
        tree = {
            "target": self.target,
            "options": asdict(self.options),
            "files": {role: hashlib.sha256(data).hexdigest() for role, data in self.files.items()},
            "model": Path(self.names["model"]).stem,
            "accepted": sorted(self.accepted),
            "refused": sorted(self.refused),
            "versions": versions(),
        }
        return hashlib.sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Answer:
    """``files``: the bundle with its manifest, None without one. ``figures``: for gates."""

    name: str
    version: str  # of the nirc that answered
    findings: tuple[Diagnostic, ...]
    files: Mapping[str, bytes] | None = None
    figures: Mapping[str, Any] = field(default_factory=dict)
    stages: tuple[Mapping[str, Any], ...] = ()


def read_files(
    given: Mapping[str, Path | None], log: Log
) -> tuple[dict[str, bytes], dict[str, str]]:
    """Return bytes and names by role. Raises ``InputError`` in the words of the role's reader."""
    files = {}
    for role, path in given.items():
        if path is None:
            continue
        try:
            check_file(path)
            files[role] = path.read_bytes()
        except RefusalError as refusal:
            _refuse(role, path, refusal.finding.words().message, log)
        except OSError as error:
            _refuse(role, path, error.strerror or str(error), log)
    log.raise_if_errors()
    return files, {role: str(path) for role, path in given.items() if path is not None}


def _refuse(role: str, path: Path, reason: str, log: Log) -> None:
    """Log the findings of the reader of this kind of file."""
    attempt = Log(file=str(path))
    with contextlib.suppress(NircError):
        if role == "model":
            load_as(path, Options(), log=attempt)
        elif role in ("data", "calibrate"):
            read_data(path, attempt)
    if not attempt.errors:
        attempt.add(UnreadableBaseline(file=str(path), reason=reason))
    log.add_all(replace(finding, file=str(path)) for finding in attempt.errors)


def versions() -> dict[str, str]:
    """Return the versions of all distributions that decide about the bytes of a bundle."""
    plugins = (each.dist for each in entry_points(group="nirc.backends"))
    found = {each.name: each.version for each in plugins if each is not None}
    return found | {"nirc": __version__, "ortools": version("ortools"), "numpy": version("numpy")}


@with_one_thread
def perform(task: Task) -> Answer:
    """Compile, verify where there is data, and return the answer. Never raises ``Exception``."""
    log = Log(file=task.names["model"])
    try:
        with tempfile.TemporaryDirectory(prefix="nirc-") as folder:
            log.policy = _policy(task)
            compiled, result = _compiled(task, _written(task, Path(folder)), log)
            files = _contents(compiled)
            figures = _figures(compiled, result)
            stages = tuple(result.get("stages", ()))
        return Answer(task.name, __version__, _findings(log, task), files, figures, stages)
    except NircError as refusal:
        log.add_all(d for d in refusal.diagnostics if d not in log.diagnostics)
    except MemoryError:
        log.add(NoMemory(where=task.name))
    except Exception as error:  # a bug must not take the other rows along
        text = str(error)[:MAX_CAUSE]
        log.add(Bug(where=task.name, exception=type(error).__name__, text=text))
    return Answer(task.name, __version__, _findings(log, task))


def _findings(log: Log, task: Task) -> tuple[Diagnostic, ...]:
    """Return what the policy does not accept. Temporary folders are named as the user's files."""
    new = [d for d in log.diagnostics if not log.policy.accepts(d)]
    return tuple(d if not d.file else _named(d, task) for d in new)


def _named(finding: Diagnostic, task: Task) -> Diagnostic:

    names = {Path(name).name: name for name in task.names.values()}
    return replace(finding, file=names.get(Path(finding.file).name, finding.file))


def _policy(task: Task) -> Policy:
    known: frozenset[str] = frozenset()
    if "baseline" in task.files:
        try:
            known = known_of(task.files["baseline"])
        except ValueError as error:
            wrong = UnreadableBaseline(file=task.names["baseline"], reason=str(error))
            raise wrong.refusal() from None
    return Policy(_codes(task.accepted), _codes(task.refused), known)


def _codes(texts: tuple[str, ...]) -> frozenset[str]:
    from nirc.chip.explain import finding_class

    return frozenset(finding_class(text).code for text in texts)


def _written(task: Task, folder: Path) -> dict[str, Path]:
    """Write the files into a folder for each role. The model keeps its name, which bundles hold."""
    paths = {}
    for role, data in task.files.items():
        (folder / role).mkdir()
        paths[role] = folder / role / Path(task.names[role]).name
        paths[role].write_bytes(data)
    return paths


def _compiled(
    task: Task, paths: Mapping[str, Path], log: Log
) -> tuple[Compiled, Mapping[str, Any]]:
    """Return the compiled model and the JSON of its verification, which is empty without data."""
    dt_s = task.options.dt_s
    data, sample = (
        read_data(paths[role], log, dt_s) if role in paths else None
        for role in ("data", "calibrate")
    )
    if data is None:
        compiled = compile_model(
            paths["model"], task.target, task.options, log=log, calibration=sample
        )
        return compiled, {}
    compiled, result = compile_and_verify(
        paths["model"],
        task.target,
        data,
        task.options,
        log=log,
        calibration=sample,
        estimates=True,
    )
    log.raise_if_errors()
    return compiled, result


def _contents(compiled: Compiled) -> dict[str, bytes]:
    from nirc.files.bundle import contents

    return dict(contents(compiled.bundle.manifest, compiled.bundle.files))


def _figures(compiled: Compiled, result: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures of ``nirc.project.gates``. What is not known is left out."""
    figures: dict[str, Any] = {"latency": compiled.bundle.manifest["latency_steps"]}
    use = {n: u / of for n, (u, of) in compiled.mapped.utilisation.items() if of and n != CHIPS}
    if use:
        figures["fullest"] = max(sorted(use), key=lambda name: use[name])
        figures["utilisation"] = use[figures["fullest"]]
    by_name = {stage["name"]: stage for stage in result.get("stages", ())}
    if by_name:
        device = by_name["device"]
        reference = by_name.get("recorded", by_name["float"])
        figures["agreement"] = device["agreement"]
        if device["accuracy"] is not None:
            figures["accuracy"] = device["accuracy"]
            figures["accuracy_of_model"] = reference["accuracy"]
            figures["accuracy_drop"] = reference["accuracy"] - device["accuracy"]
    figures |= _energy(compiled, result.get("estimates"))
    return figures


def _energy(compiled: Compiled, estimates: Sequence[Mapping[str, Any]] | None) -> dict[str, Any]:
    """Return the energy of a step. Without ``estimates`` of a verification inputs are assumed."""
    if estimates is None:
        discrete = compiled.stages.discrete
        assumed = activity(discrete, None)
        found = compiled.backend.estimate(compiled.mapped, assumed, discrete.dt_s)
        estimates = [vars(figure) for figure in found]
    for figure in estimates:
        if figure["unit"] == ENERGY:
            return {"energy": figure["value"], "energy_source": figure["source"]}
    return {}
