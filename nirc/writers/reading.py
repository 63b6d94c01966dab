"""The choice of a writer: by the user, by the file's own note, or by its fingerprints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from nirc.diagnostics.errors import UsageError
from nirc.diagnostics.log import Log
from nirc.diagnostics.similar import did_you_mean
from nirc.diagnostics.usage import OptionMakesNoSense
from nirc.diagnostics.writer import (
    ChoiceNotRecorded,
    NoteOverruled,
    NoteUnusable,
    ReadOtherwise,
    WriterRecognised,
    WriterUnsure,
)
from nirc.files.bounds import printable
from nirc.frontend.raw import FROM_PLACE, RawGraph
from nirc.writers.facts import Facts
from nirc.writers.importer import AS, LOADED, loaded
from nirc.writers.writer import WRITERS, Evidence, Reading, Writer, installed_writers

LETTER_NAME = "nir"
Values = Mapping[str, str]


def parse_from(text: str, log: Log) -> tuple[Writer, dict[str, str]]:
    """Return writer and given values of ``NAME[,KEY=VALUE]...``. Raise ``UsageError`` (U607).

    With ``as=loaded`` the writer is what the simulator's importer makes of a file.
    """
    known = installed_writers()
    if f"{AS.key}={LOADED}" in text.replace(" ", "").split(","):
        known = {name: loaded(w) for name, w in known.items() if w.importer is not None}
    return _parsed(text, known, "--from", log)


def parse_for(text: str, log: Log) -> tuple[Writer, dict[str, str]]:
    """Return the simulator that is to load a file, and given values of its importer's choices.

    Raises as ``parse_from``.
    """
    every = installed_writers()
    known = {
        name: replace(w, choices=w.importer.choices)
        for name, w in every.items()
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
        letter = f"{option} nir is the letter of NIR" * (LETTER_NAME in known)
        log.add(
            OptionMakesNoSense(
                problem=f"unknown writer in {option}",
                found=name[:60],
                limit=", ".join(known),
                help=did_you_mean(name, known, letter),
            )
        )
        log.raise_if_errors()
    writer = known[name]
    given: dict[str, str] = {}
    for pair in pairs:
        key, _, value = (part.strip() for part in pair.partition("="))
        _check(writer, key, value, log, option)
        if key in given:
            problem = f"{option} gives `{key}` twice"
            log.add(OptionMakesNoSense(problem=problem, found=text[:80], limit="once"))
        given[key] = value
    log.raise_if_errors()
    return writer, given


def _check(writer: Writer, key: str, value: str, log: Log, option: str = "--from") -> None:
    choice = next((c for c in writer.choices if c.key == key), None)
    if choice is None:
        keys = ", ".join(f"{c.key}={c.all_values}" for c in writer.choices) or "none"
        problem = f"{writer.name} has no choice `{key[:40]}`"
        nearest = did_you_mean(key, [c.key for c in writer.choices])
        log.add(
            OptionMakesNoSense(
                problem=problem, found=f"{key}={value}"[:80], limit=keys, help=nearest
            )
        )
    elif not choice.takes(value):
        problem = f"{option} {writer.name}: unknown value of `{key}`"
        nearest = did_you_mean(value, choice.values)
        log.add(
            OptionMakesNoSense(
                problem=problem, found=value[:40], limit=choice.all_values, help=nearest
            )
        )


def _evidence_of(writer: Writer, facts: Facts) -> Evidence:
    """Return the evidence for ``writer``. Numbers that make no sense raise no warning of numpy."""
    with np.errstate(all="ignore"):
        return writer.evidence(facts)


def evidence_in(facts: Facts, log: Log | None = None) -> dict[str, Evidence]:
    """Return the evidence for each writer that has reasons, conclusive evidence first.

    Warns as U615.
    """
    every = {name: _evidence_of(w, facts) for name, w in installed_writers(log).items()}
    names = [name for name, e in every.items() if e.reasons]
    names.sort(key=lambda name: (not every[name].conclusive, -len(every[name].reasons), name))
    return {name: every[name] for name in names}


def _conclusive(evidence: Mapping[str, Evidence]) -> str | None:
    """Return the one writer whose evidence is conclusive, None if none or several are."""
    sure = [name for name, e in evidence.items() if e.conclusive]
    sure = [name for name in sure if not any(name in evidence[other].overrules for other in sure)]
    return sure[0] if len(sure) == 1 else None


def _is_another(writer: Writer, given: Values, conclusive: str) -> bool:
    """Return True if ``writer`` is not the simulator that the fingerprints show.

    Files for an importer look like any other's.
    """
    return writer.name not in (conclusive, LETTER_NAME) and given.get(AS.key) != LOADED


def _report_other(conclusive: str, read: str, found: str, log: Log, help_: str = "") -> None:
    """Report (W208) that the file is read by another rule than that of its simulator."""
    title = installed_writers()[conclusive].title
    log.add(ReadOtherwise(simulator=title, writer=conclusive, read=read, found=found, help=help_))


def reading_of(
    graph: RawGraph,
    *,
    asked: str | None,
    reset: str | None,
    discretise: str | None,
    dt_s: float | None = None,
    log: Log,
) -> Reading:
    """Return the reading of a file, and report it to ``log`` (W201 to W203, W207, W208).

    ``asked``: ``--from``. ``reset`` and ``discretise``: the options of these names, None if not
    given. ``dt_s``: the step of the user or of the data. Raises ``UsageError`` (U607) for a choice
    that the writer does not have, or ``CompileError`` (W202, W203) under --strict.
    """
    facts = Facts(graph)
    # A broken writer matters where nobody is named.
    evidence = evidence_in(facts, log if asked is None else None)
    conclusive = _conclusive(evidence)
    options = {k: v for k, v in (("reset", reset), ("discretise", discretise)) if v is not None}
    if asked is None and discretise is not None:
        if conclusive is not None:
            option = f"--discretise {discretise}"
            read = f"{option} reads it by the letter of NIR"
            _report_other(conclusive, read, option, log, "leave it out")
        asked = LETTER_NAME  # other writers know how their states decay
    if asked is not None:
        return _asked(asked, facts, conclusive, options, log)
    noted = _recorded(graph.recorded, facts, conclusive, options, log) if graph.recorded else None
    if noted is not None:
        return noted
    if conclusive is None:
        return _by_letter(facts, evidence, options, dt_s, log)
    writer, seen = installed_writers()[conclusive], evidence[conclusive]
    reading = _chosen(writer, seen, {}, "conclusive", options, log)
    log.add(WriterRecognised(simulator=writer.title, reasons=seen.reasons))
    _report_open(reading, log)
    return reading


def _asked(text: str, facts: Facts, conclusive: str | None, options: Values, log: Log) -> Reading:
    """Return the reading by the writer that the user names."""
    writer, given = parse_from(text, log)
    reading = _chosen(writer, _evidence_of(writer, facts), given, "given", options, log)
    if conclusive is not None and _is_another(writer, given, conclusive):
        _report_other(conclusive, f"it is read as {writer.title} steps", f"--from {text}", log)
    _report_open(reading, log)
    return reading


def _by_letter(
    facts: Facts, evidence: Mapping[str, Evidence], options: Values, dt_s: float | None, log: Log
) -> Reading:
    """Return the reading by NIR's letter. Report W203 if there is evidence for some writers."""
    writers = installed_writers()
    letter = writers[LETTER_NAME]
    reading = _chosen(letter, Evidence(), {}, "open" if evidence else "none", options, log)
    if not evidence:
        return reading
    reasons: list[str] = []
    for name, each in evidence.items():
        reasons += [f"{name}: {reason}" for reason in each.reasons]
    log.add(
        WriterUnsure(
            writers={name: writers[name].title for name in evidence},
            reasons=tuple(reasons),
            by_letter=_letter_option(facts, evidence, dt_s),
        )
    )
    return replace(reading, evidence=tuple(reasons), candidates=tuple(evidence))


def _letter_option(facts: Facts, candidates: Iterable[str], dt_s: float | None) -> str:
    """Return ``--from nir``, with a step if the file has none."""
    option = f"--from {LETTER_NAME}"
    if dt_s is not None or not facts.needs_step():
        return option
    writers = installed_writers()
    usual = (step for name in candidates if (step := writers[name].usual_step) is not None)
    return f"{option} --dt {next(usual, 'SECONDS')}"


def _recorded(
    note: str, facts: Facts, conclusive: str | None, options: Values, log: Log
) -> Reading | None:
    """Return the reading that the file itself records, None with a W207 for a useless note."""
    try:
        writer, given = parse_from(note, Log())
    except UsageError as refusal:
        first = refusal.diagnostics[0]
        log.add(
            NoteUnusable(
                where=FROM_PLACE,
                problem=first.message,
                found=printable(note),
                limit=first.limit,
                help="say it with --from, or record the network again with nirc.record",
            )
        )
        return None
    reset = options.get("reset", given.get("reset"))
    if "reset" in given and reset is not None and reset != given["reset"]:
        log.add(NoteOverruled(where=FROM_PLACE, reset=reset, recorded=given["reset"]))
    given = {k: v for k, v in given.items() if k not in options}  # the user's --reset wins
    seen = _evidence_of(writer, facts)
    if conclusive is not None and _is_another(writer, given, conclusive):
        read = f"it records that {writer.title} wrote it"
        _report_other(conclusive, read, printable(note), log)
        seen = replace(seen, open=tuple(c.key for c in writer.choices))
    reading = _chosen(writer, seen, given, "recorded", options, log)
    log.add(WriterRecognised(where=FROM_PLACE, simulator=writer.title, recorded=note))
    _report_open(reading, log)
    return replace(reading, evidence=(f"{FROM_PLACE} is `{note}`", *reading.evidence))


def _chosen(
    writer: Writer, seen: Evidence, given: Values, confidence: str, options: Values, log: Log
) -> Reading:
    keys = {c.key for c in writer.choices}
    for key, value in options.items():
        if key not in keys:
            log.add(_of_other_writers(writer, key, value))
            continue
        _check(writer, key, value, log)
        if confidence == "given" and given.get(key, value) != value:
            other = f"--from {writer.name},{key}={given[key]}"
            problem = f"--{key} {value} contradicts {other}"
            log.add(
                OptionMakesNoSense(problem=problem, found=value, limit=given[key], help="give one")
            )
    log.raise_if_errors()
    values = writer.defaults() | dict(seen.assumed) | dict(options) | dict(given)
    taken = {f"{key}={value}" for key, value in values.items()}
    open_ = tuple(
        key
        for key in seen.open
        if key not in given and key not in options and taken.isdisjoint(seen.idle.get(key, ()))
    )
    if writer.name == LETTER_NAME:
        open_ = ()
    return Reading(writer, values, confidence, seen.reasons, open_)


def _of_other_writers(writer: Writer, key: str, value: str) -> OptionMakesNoSense:
    """Return the refusal of an option that is no choice of this writer."""
    every = installed_writers().items()
    return OptionMakesNoSense(
        problem=f"--{key} {value} goes with other writers: {writer.name}'s networks have no such "
        "choice",
        found=f"--{key} {value}",
        limit=", ".join(name for name, w in every if any(c.key == key for c in w.choices)),
        help=f"leave it out, or read the file by NIR's letter: --from {LETTER_NAME}",
    )


def _report_open(reading: Reading, log: Log) -> None:
    """Report W202 for each choice that the file does not record.

    Where the user has named the writer, --strict does not refuse the simulator's defaults.
    """
    choices = {c.key: c for c in reading.writer.choices}
    for key in reading.open_keys:
        choice, value = choices[key], reading.values[key]
        others = [v for v in (*choice.values, choice.form) if v and v != value]
        given = reading.text_without(reading.open_keys)
        option = f"--from {given},{key}="
        log.add(
            ChoiceNotRecorded(
                writer=given,
                key=key,
                value=value,
                question=choice.question,
                values=choice.all_values,
                change=f"{option}{'|'.join(others)}" if others else choice.remedy,
                named=reading.confidence == "given",
            )
        )
