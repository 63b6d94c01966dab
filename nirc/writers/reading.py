"""The choice of a writer: the one that the user names, that the file records, or that its
fingerprints show.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from nirc.diagnostics.errors import UsageError
from nirc.diagnostics.log import Log
from nirc.diagnostics.similar import did_you_mean
from nirc.files.bounds import printable
from nirc.frontend.raw import FROM_PLACE, RawGraph
from nirc.writers.facts import Facts
from nirc.writers.importer import AS, LOADED, loaded
from nirc.writers.writer import WRITERS, Evidence, Reading, Writer, installed_writers

LETTER_NAME = "nir"
Values = Mapping[str, str]


def parse_from(text: str, log: Log) -> tuple[Writer, dict[str, str]]:
    """Writer and given values of ``NAME[,KEY=VALUE]...``. Raises ``UsageError`` (U607).

    With ``as=loaded`` the writer is what the simulator's importer makes of a file.
    """
    known = installed_writers()
    if f"{AS.key}={LOADED}" in text.replace(" ", "").split(","):
        known = {
            name: loaded(writer) for name, writer in known.items() if writer.importer is not None
        }
    return _parsed(text, known, "--from", log)


def parse_for(text: str, log: Log) -> tuple[Writer, dict[str, str]]:
    """The simulator that is to load a file, and given values of its importer's choices.

    Raises as ``parse_from``.
    """
    every = installed_writers()
    known = {
        n: replace(w, choices=w.importer.choices)
        for n, w in every.items()
        if w.importer is not None
    }
    writer, given = _parsed(text, known, "--for", log)
    return every[writer.name], given


def _parsed(
    text: str, known: Mapping[str, Writer], option: str, log: Log
) -> tuple[Writer, dict[str, str]]:
    name, *pairs = (part.strip() for part in text.split(","))
    if name not in known:
        WRITERS.one(name)  # raises where the writer is installed and broken
        help_ = did_you_mean(
            name, known, f"{option} nir is the letter of NIR" * (LETTER_NAME in known)
        )
        log.error(
            "U607",
            f"unknown writer in {option}",
            found=name[:60],
            limit=", ".join(known),
            help=help_,
        )
        log.raise_if_errors()
    writer, given = known[name], {}
    for pair in pairs:
        key, _, value = pair.partition("=")
        _check(writer, key.strip(), value.strip(), log, option)
        if key.strip() in given:
            log.error(
                "U607", f"{option} gives `{key.strip()}` twice", found=text[:80], limit="once"
            )
        given[key.strip()] = value.strip()
    log.raise_if_errors()
    return writer, given


def _check(writer: Writer, key: str, value: str, log: Log, option: str = "--from") -> None:
    choice = next((c for c in writer.choices if c.key == key), None)
    if choice is None:
        keys = ", ".join(f"{c.key}={c.all_values}" for c in writer.choices) or "none"
        log.error(
            "U607",
            f"{writer.name} has no choice `{key[:40]}`",
            found=f"{key}={value}"[:80],
            limit=keys,
        )
    elif not choice.takes(value):
        message = f"{option} {writer.name}: unknown value of `{key}`"
        log.error("U607", message, found=value[:40], limit=choice.all_values)


def evidence_of(writer: Writer, facts: Facts) -> Evidence:
    """Return the evidence for ``writer``. Numbers that make no sense raise no warning of numpy."""
    with np.errstate(all="ignore"):
        return writer.evidence(facts)


def found_in(facts: Facts, log: Log | None = None) -> dict[str, Evidence]:
    """Return the evidence for each writer that has reasons, conclusive evidence first.

    Warns as U615.
    """
    found = {name: evidence_of(w, facts) for name, w in installed_writers(log).items()}
    named = {name: e for name, e in found.items() if e.reasons}
    return dict(
        sorted(
            named.items(), key=lambda item: (not item[1].conclusive, -len(item[1].reasons), item[0])
        )
    )


def _conclusive(found: Mapping[str, Evidence]) -> str | None:
    """The one writer whose evidence is conclusive, None if none or several are."""
    sure = [name for name, e in found.items() if e.conclusive]
    sure = [name for name in sure if not any(name in found[other].overrules for other in sure)]
    return sure[0] if len(sure) == 1 else None


def _is_another(writer: Writer, given: Values, conclusive: str) -> bool:
    """Return whether another simulator's step is named.

    Files for an importer look like any other's.
    """
    return writer.name not in (conclusive, LETTER_NAME) and given.get(AS.key) != LOADED


def _report_other(conclusive: str, read: str, found: str, help_: str, log: Log) -> None:
    """Report (W208) that the file is read by another rule than that of the simulator that wrote
    it.
    """
    title = installed_writers()[conclusive].title
    advice = "; ".join(
        x for x in (help_, f"--from {conclusive} reads it as its simulator does") if x
    )
    log.warning(
        "W208", f"{title} wrote the file, and {read}", found=found, limit=conclusive, help=advice
    )


def reading_of(
    graph: RawGraph,
    *,
    asked: str | None,
    reset: str | None,
    discretise: str | None,
    dt_s: float | None = None,
    log: Log,
) -> Reading:
    """The reading of a file, told to ``log`` (W201 to W203, W207).

    ``asked``: ``--from``. ``reset`` and ``discretise``: the options of these names, None if not
    given. ``dt_s``: the step of the user or of the data. Raises ``UsageError`` (U607) for a choice
    that the writer does not have, or ``CompileError`` (W202, W203) under --strict.
    """
    facts = Facts(graph)
    found = found_in(
        facts, log if asked is None else None
    )  # a broken writer matters where nobody is named
    conclusive = _conclusive(found)
    if asked is None and discretise is not None:
        if conclusive is not None:
            option = f"--discretise {discretise}"
            _report_other(
                conclusive, f"{option} reads it by the letter of NIR", option, "leave it out", log
            )
        asked = LETTER_NAME  # other writers know how their states decay
    if asked is not None:
        writer, given = parse_from(asked, log)
        reading = _chosen(
            writer, evidence_of(writer, facts), given, "given", log, reset, discretise
        )
        if conclusive is not None and _is_another(writer, given, conclusive):
            _report_other(
                conclusive, f"it is read as {writer.title} steps", f"--from {asked}", "", log
            )
        _say_open(reading, log)
        return reading
    noted = _recorded(graph, facts, conclusive, reset, log) if graph.recorded else None
    if noted is not None:
        return noted
    if conclusive is not None:
        writer, seen = installed_writers()[conclusive], found[conclusive]
        reading = _chosen(writer, seen, {}, "conclusive", log, reset, None)
        log.note("W201", f"the file was written by {writer.title}: {'; '.join(seen.reasons)}")
        _say_open(reading, log)
        return reading
    letter = installed_writers()[LETTER_NAME]
    reading = _chosen(letter, Evidence(), {}, "open" if found else "none", log, reset, discretise)
    if not found:
        return reading
    reasons = tuple(f"{name}: {reason}" for name, e in found.items() for reason in e.reasons)
    log.differs(
        "W203",
        f"the file may be by {_either([installed_writers()[n].title for n in found])}, and is "
        "read by NIR's letter",
        found="; ".join(reasons),
        help=f"say who wrote it: {', '.join(f'--from {n}' for n in found)}, "
        f"{_by_letter(facts, found, dt_s)}",
    )
    return Reading(letter, reading.values, "open", reasons, (), tuple(found))


def _by_letter(facts: Facts, candidates: Iterable[str], dt_s: float | None) -> str:
    """``--from nir``, with a step if the file has none."""
    option = f"--from {LETTER_NAME}"
    if dt_s is not None or not facts.needs_step():
        return option
    writers = installed_writers()
    usual = (step for name in candidates if (step := writers[name].usual_step) is not None)
    return f"{option} --dt {next(usual, 'SECONDS')}"


def _recorded(
    graph: RawGraph, facts: Facts, conclusive: str | None, reset: str | None, log: Log
) -> Reading | None:
    """The reading that the file itself records, or None with a warning (W207) if its text means
    nothing.
    """
    attempt = Log()
    try:
        writer, given = parse_from(graph.recorded, attempt)
    except UsageError:
        first = attempt.errors[0]
        log.warning(
            "W207",
            f"the file's note of who wrote it is ignored: {first.message}",
            where=FROM_PLACE,
            found=printable(graph.recorded),
            limit=first.limit,
            help="say it with --from, or record the network again with nirc.record",
        )
        return None
    kept = {
        k: v for k, v in given.items() if k != "reset" or reset is None
    }  # the user's --reset wins
    if kept != given and given["reset"] != reset:
        log.warning(
            "W208",
            f"--reset {reset} is used, and the file records another reset",
            where=FROM_PLACE,
            found=f"reset={given['reset']}",
            help="leave --reset out to read the network as it was recorded",
        )
    seen = evidence_of(writer, facts)
    if conclusive is not None and _is_another(writer, given, conclusive):
        _report_other(
            conclusive,
            f"it records that {writer.title} wrote it",
            printable(graph.recorded),
            "",
            log,
        )
        seen = replace(seen, open=tuple(c.key for c in writer.choices))
    reading = _chosen(writer, seen, kept, "recorded", log, reset, None)
    note = f"the file records that {writer.title} wrote it: {graph.recorded}"
    log.note("W201", note, where=FROM_PLACE)
    _say_open(reading, log)
    return replace(reading, evidence=(f"{FROM_PLACE} is `{graph.recorded}`", *reading.evidence))


def _chosen(
    writer: Writer,
    seen: Evidence,
    given: Values,
    confidence: str,
    log: Log,
    reset: str | None,
    discretise: str | None,
) -> Reading:
    options = {k: v for k, v in (("reset", reset), ("discretise", discretise)) if v is not None}
    keys = {c.key for c in writer.choices}
    for key, value in options.items():
        if key not in keys:
            log.error(
                "U607",
                f"--{key} {value} goes with other writers: {writer.name}'s networks have no such "
                "choice",
                found=f"--{key} {value}",
                limit=", ".join(
                    n
                    for n, w in installed_writers().items()
                    if any(c.key == key for c in w.choices)
                ),
                help=f"leave it out, or read the file by NIR's letter: --from {LETTER_NAME}",
            )
        else:
            _check(writer, key, value, log)
            if confidence == "given" and given.get(key, value) != value:
                other = f"--from {writer.name},{key}={given[key]}"
                log.error(
                    "U607",
                    f"--{key} {value} contradicts {other}",
                    found=value,
                    limit=given[key],
                    help="give one",
                )
    log.raise_if_errors()
    values = writer.defaults() | dict(seen.assumed) | options | dict(given)
    open_ = tuple(k for k in seen.open if k not in given and k not in options)
    if writer.name == LETTER_NAME:
        open_ = ()
    return Reading(writer, values, confidence, seen.reasons, open_)


def _say_open(reading: Reading, log: Log) -> None:
    """W202 for each choice that the file does not record, with the value taken and the option that
    changes it.

    A note where the user has named the writer, and with it the simulator's defaults.
    """
    choices = {c.key: c for c in reading.writer.choices}
    for key in reading.open_keys:
        choice = choices[key]
        others = [v for v in choice.values if v != reading.values[key]] + (
            [choice.form] if choice.form else []
        )
        this = f"--from {reading.writer.name},{key}="
        change = f"{this}{'|'.join(others)}" if others else choice.remedy
        say = log.note if reading.confidence == "given" else log.differs
        say(
            "W202",
            f"the file does not say {choice.question}: {key}={reading.values[key]} is taken",
            found=f"{reading.writer.name},{key}={reading.values[key]}",
            limit=choice.all_values,
            help=f"if the network differs: {change}; if not, {this}{reading.values[key]} says so",
        )


def _either(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
