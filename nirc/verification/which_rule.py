"""The rule of a file, found by running every rule on recorded inputs.

The outputs are compared with the recorded outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirc import api
from nirc.chip.running import flat_raster
from nirc.diagnostics.errors import NircError
from nirc.diagnostics.log import Log
from nirc.files.data import Data
from nirc.frontend.load import load_raw, to_layers
from nirc.ir.populations import Discrete, Population
from nirc.ir.program import Program
from nirc.semantics.run import run
from nirc.verification.recorded import Recording, lost_layer, recording
from nirc.writers.reading import reading_of
from nirc.writers.writer import Choice, Clues, Reading, Writer, installed_writers

Array = NDArray[Any]
Row = dict[str, Any]
MOST_SAMPLES = 64  # for every rule
MOST_STARTS = 3  # rules from which numbers are searched
SEARCH_VALUES = 1 << 22  # steps times weights of a run in the search
HALVINGS = 12  # of the interval in which a number is searched
MOST_THRESHOLDS = 3  # of a model, as clues


@dataclass(frozen=True)
class Comparison:
    """Every rule with its share of the recorded outputs, the best first, and advice."""

    rows: list[Row]
    advice: tuple[str, ...]


class _Trials:
    """A file, a recording, and the rules that were tried on them."""

    def __init__(self, model: object, options: api.Options, data: Data, log: Log) -> None:
        assert data.outputs is not None
        self.raw, self.name = load_raw(model, Log())
        self.options = replace(options, writer=None)
        self.log = log
        self.outputs = data.outputs[:MOST_SAMPLES]
        self.data = replace(data, inputs=data.inputs[:MOST_SAMPLES], outputs=self.outputs)
        channels = int(np.prod(data.inputs.shape[2:]))
        self.raster = flat_raster(self.data.inputs, channels, log, data.file)
        self.rows: list[Row] = []
        self.lost = ""  # a sentence about a layer that the file lacks
        self._layers: dict[str, Program] = {}

    def program(self, reading: Reading) -> Program:
        """Return the float stage. Raises ``NircError`` if the file lacks a part of the reading."""
        writer = reading.writer
        if writer.name not in self._layers:
            typed = to_layers(writer.repair(self.raw, Log()), Log(), name=self.name)
            self._layers[writer.name] = api.canonical(writer.rewire(typed, Log()), Log())
        return api.lower_layers(
            self._layers[writer.name], reading, self.options, log=Log()
        ).reference

    def add(self, reading: Reading, program: Program, **more: bool) -> Row:
        """Run a rule and add its row. Raises ``InputError`` (U604) for outputs that do not fit."""
        recorded = self._recorded(program)
        output = run(program, self.raster).outputs
        row: Row = {
            "from": reading.text,
            "equal": recorded.share(output),
            "active": recorded.active(output),
            "silent": not output.any(),
            "first_difference": recorded.first_difference(output),
        }
        self.rows.append(row | more)
        self.lost = self.lost or lost_layer(program, recorded, output)
        return row

    def active(self, reading: Reading, samples: list[int]) -> float:
        """Return the share of the active entries of some samples that a rule gives."""
        try:
            program = self.program(reading)
        except NircError:
            return -1.0
        recorded = self._recorded(program)
        recorded = replace(recorded, outputs=recorded.outputs[samples])
        return recorded.active(run(program, self.raster[samples]).outputs)

    def most_wrong(self, reading: Reading) -> list[int]:
        """Return the samples in which a rule differs most, as many as a search can afford."""
        program = self.program(reading)
        recorded = self._recorded(program)
        wrong = (~recorded.equal(run(program, self.raster).outputs)).sum(axis=(1, 2))
        weights = sum(max((op.entries for op in p.ops), default=1) for _, _, p in program.edges())
        affordable = SEARCH_VALUES // max(1, self.raster.shape[1] * weights)
        return [int(k) for k in np.argsort(-wrong, kind="stable")[:affordable]]

    def _recorded(self, program: Program) -> Recording:
        recorded = recording(self.data, program, self.log)
        assert recorded is not None
        return recorded


def compare(
    model: object,
    options: api.Options,
    data: Data,
    log: Log,
    progress: Callable[[int], None] | None = None,
) -> Comparison:
    """Run every rule of the file on the inputs of ``data``, which has recorded outputs.

    A row has ``from``, and ``equal``, the share of equal entries. ``active``: the share among
    entries in which either is not zero, by which rules are ranked. ``silent``: the rule gives only
    zeros. ``default``: the reading of a run without ``--from``. ``first_difference``: None where
    all is equal. At most ``MOST_SAMPLES`` samples are run. Raises ``NircError`` if the file cannot
    be read or the outputs do not fit.
    """
    trials = _Trials(model, options, data, log)
    usual = reading_of(
        trials.raw,
        asked=options.writer,
        reset=None if options.reset == "model" else options.reset,
        discretise=options.discretise,
        log=Log(),
    )
    clues = _clues(trials, usual, data)
    every = [usual] if options.writer is not None else list(_readings(usual, clues))
    for done, reading in enumerate(every):
        if progress is not None:
            progress(100 * done // len(every))
        try:
            program = trials.program(reading)
        except NircError:
            if options.writer is not None:
                raise
            continue  # the file lacks a part of this reading
        default = reading is usual and options.writer is None
        trials.add(reading, program, **({"default": True} if default else {}))
    likely = [usual.writer.name, *usual.candidates]
    searched: list[Writer] = []
    if options.writer is None and trials.rows and not _exact(trials.rows):
        searched = _search(trials, _ranked(trials.rows, likely), clues, likely)
    rows = _ranked(trials.rows, likely)
    return Comparison(rows, _advice(rows, trials, searched))


def _exact(rows: list[Row]) -> bool:
    return any(row["equal"] == 1 for row in rows)


def _ranked(rows: list[Row], likely: list[str]) -> list[Row]:
    """Return the rows, the best first: by active entries. Rules that never fire are last."""

    def order(row: Row) -> tuple[Any, ...]:
        name = row["from"].partition(",")[0]
        rank = likely.index(name) if name in likely else len(likely)
        share = -row["active"], row["silent"], -row["equal"]
        return *share, not row.get("default", False), rank, row["from"].count(",")

    return sorted(rows, key=order)


def _clues(trials: _Trials, usual: Reading, data: Data) -> Clues:
    """Return values from model and recording for numbers that a file does not hold."""
    thresholds: set[float] = set()
    try:
        program = trials.program(usual)
    except NircError:
        return Clues(dt_s=data.dt_s)
    for population in program.nodes(Population).values():
        d = population.dynamics
        if isinstance(d, Discrete) and d.threshold is not None:
            thresholds.update(d.threshold.tolist())
    outputs = trials.outputs
    spikes = outputs.size and (outputs >= 0).all() and (outputs % 1 == 0).all()
    stride = max(1, len(thresholds) // MOST_THRESHOLDS)
    some = sorted(thresholds)[::stride][:MOST_THRESHOLDS]
    return Clues(int(outputs.max()) if spikes else 0, tuple(some), data.dt_s)


def _readings(usual: Reading, clues: Clues) -> Iterator[Reading]:
    """Yield every reading that a file may have, ``usual`` first."""
    yield usual
    for writer in installed_writers().values():
        for values in _values(writer, usual, clues):
            if (writer.name, values) != (usual.writer.name, dict(usual.values)):
                yield Reading(writer, values)


def _values(writer: Writer, usual: Reading, clues: Clues) -> Iterator[dict[str, str]]:
    """Yield the combinations of a writer's choices, with the likeliest number of each."""
    keys = [c.key for c in writer.choices]
    tried = [dict.fromkeys((*c.values, *c.tried, *_numbers(c, clues)[:1])) for c in writer.choices]
    for chosen in product(*tried):
        values = dict(zip(keys, chosen, strict=True))
        likely = (None, usual.values.get("discretise"))
        if writer.name != usual.writer.name or values.get("discretise") in likely:
            yield values


def _numbers(choice: Choice, clues: Clues) -> list[str]:
    """Return numbers that a choice may have, the likeliest first, as the choice spells them."""
    if choice.numbers is None:
        return []
    known = {float(v): v for v in (*choice.values, *choice.tried) if v[-1].isdigit()}
    numbers = dict.fromkeys(choice.numbers(clues))
    return [known.get(number, f"{number:.6g}") for number in numbers]


def _search(trials: _Trials, ranked: list[Row], clues: Clues, likely: list[str]) -> list[Writer]:
    """Search the numbers of likely writers from their best rules, and return these writers."""
    best = ranked[0]["from"].partition(",")[0]
    known = installed_writers()
    searched = [
        known[n] for n in dict.fromkeys((*likely, best)) if any(c.numbers for c in known[n].choices)
    ]
    for writer in searched:
        starts = [row for row in ranked if row["from"].partition(",")[0] == writer.name]
        for row in starts[:MOST_STARTS]:
            start = _reading(row, writer)
            samples = trials.most_wrong(start)
            best_found = _improved(trials, start, clues, samples) if samples else start
            if best_found.text in {row["from"] for row in trials.rows}:
                continue
            if trials.add(best_found, trials.program(best_found))["equal"] == 1:
                return searched
    return searched


def _reading(row: Row, writer: Writer) -> Reading:
    given = dict(pair.split("=", 1) for pair in row["from"].split(",")[1:])
    return Reading(writer, writer.defaults() | given)


def _improved(trials: _Trials, reading: Reading, clues: Clues, samples: list[int]) -> Reading:
    """Return the reading with the best numbers, found for one choice after the other."""
    for choice in reading.writer.choices:
        numbers = _numbers(choice, clues)
        if not numbers:
            continue

        def share(value: str, key: str = choice.key, now: Reading = reading) -> float:
            return trials.active(replace(now, values={**now.values, key: value}), samples)

        preferred = choice.values[0], reading.values[choice.key]  # among equals
        tried = {value: share(value) for value in dict.fromkeys((*preferred, *numbers))}
        if choice.continuous:
            tried |= _between(tried, share)
        best = max(tried, key=lambda value: (tried[value], value in preferred, -len(value)))
        reading = replace(reading, values={**reading.values, choice.key: best})
    return reading


def _between(tried: Mapping[str, float], share: Callable[[str], float]) -> dict[str, float]:
    """Return numbers around the best that was tried, by halving, and rounder numbers near it."""
    shares = {float(value): known for value, known in tried.items() if value[-1].isdigit()}
    for _ in range(HALVINGS):
        best = max(shares, key=lambda x: shares[x])
        if shares[best] == 1:
            break
        below = max((x for x in shares if x < best), default=2 * best)
        above = min((x for x in shares if x > best), default=best / 2)
        shares |= {x: share(f"{x:.6g}") for x in ((below + best) / 2, (above + best) / 2)}
    best = max(shares, key=lambda x: shares[x])
    rounded = [f"{float(f'{best:.{digits}g}'):g}" for digits in (1, 2, 3)]
    return {value: share(value) for value in rounded} | {f"{best:.6g}": shares[best]}


def _advice(rows: list[Row], trials: _Trials, searched: list[Writer]) -> tuple[str, ...]:
    if not rows:
        return ("the file cannot be read by any rule",)
    exact = [row["from"] for row in rows if row["equal"] == 1]
    if exact and rows[0]["silent"]:
        return (
            "the recording is silent, and cannot tell the rules apart: record inputs that make "
            "outputs fire",
        )
    if exact:
        several = f", and {len(exact) - 1} more rule(s) do" if len(exact) > 1 else ""
        return f"--from {exact[0]} gives every recorded entry{several}", *_nearby(exact[0])
    if trials.lost:
        return (trials.lost,)
    best = [row["from"] for row in rows if row["active"] == rows[0]["active"]]
    for text in best:  # another rule may compute the same
        near = installed_writers()[text.partition(",")[0]].near
        if near:
            return (f"--from {text} comes nearest: {near}",)
    return (
        "no rule gives every recorded entry: the export lost something, or the inputs are others",
        *(_not_tried(writer) for writer in searched),
    )


def _nearby(text: str) -> tuple[str, ...]:
    """Return the doubt about a rule that gives all: a number between others."""
    name, *pairs = text.split(",")
    continuous = {c.key for c in installed_writers()[name].choices if c.continuous}
    doubtful = [pair for pair in pairs if pair.partition("=")[0] in continuous]
    return tuple(
        f"other numbers near {pair} may give them as well: take that of the network"
        for pair in doubtful
    )


def _not_tried(writer: Writer) -> str:
    keys = ",".join(f"{c.key}={c.form}" for c in writer.choices if c.numbers is not None)
    return f"not every number was tried: --from {writer.name},{keys} takes others"
