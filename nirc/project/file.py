"""The project file: models, targets, options, data and gates, read from ``nirc.toml``.

The options are those of the command line by their long names. Paths are relative to the file.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from nirc.chip import registry
from nirc.chip.explain import finding_class
from nirc.diagnostics.errors import NircError
from nirc.diagnostics.log import Log
from nirc.diagnostics.project import EXAMPLE, UnreadableProject
from nirc.diagnostics.similar import did_you_mean
from nirc.files.bounds import RefusalError, printable
from nirc.files.foreign import check_file
from nirc.options import Options, is_finite
from nirc.project.gates import GATES, SHARES, SLACK

MAX_BYTES = 1 << 20  # of the file: a line for each option of thousands of models
MAX_ROWS = 10_000  # models x targets
MAX_NAME = 150  # bytes of a model's name, which names a folder

Table = Mapping[str, Any]

# Keys of a table that are options of a compilation: the field of ``Options``, and its types.
NUMBER = (int, float)
OPTIONS: dict[str, tuple[str, tuple[type, ...]]] = {
    "dt": ("dt_s", NUMBER),
    "reset": ("reset", (str,)),
    "discretise": ("discretise", (str,)),
    "readout": ("readout", (str,)),
    "from": ("writer", (str,)),
    "strict": ("strict", (bool,)),
    "allow-silent": ("allow_silent", (bool,)),
    "seed": ("seed", (int,)),
    "effort": ("effort", (str,)),
    "time-limit": ("time_limit_s", NUMBER),
    "weight-bits": ("weight_bits", (int,)),
}
PATHS = ("path", "data", "calibrate", "baseline")
LISTS = ("targets", "allow", "refuse")
KEYS = (*PATHS, *LISTS, *OPTIONS, "set", "input", "gate")
NAMES = {bool: "true or false", str: "a text", int: "an integer", float: "a number"}


@dataclass(frozen=True)
class Row:
    """One model for one target, as the project file asks for it. ``name``: of its folder."""

    model: str
    target: str
    path: Path
    options: Options
    data: Path | None = None
    calibrate: Path | None = None
    baseline: Path | None = None  # of accepted findings
    accepted: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    gates: Mapping[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name of the row, and of its bundle's folder: ``MODEL.TARGET``."""
        return f"{self.model}.{self.target.replace(':', '-')}"


@dataclass(frozen=True)
class Project:
    """``rows``: in the order of the file. ``folder``: of the file."""

    file: Path
    rows: tuple[Row, ...]

    @property
    def folder(self) -> Path:
        """The folder of the file, to which its paths are relative."""
        return self.file.parent


def read_project(file: Path, log: Log) -> Project:
    """Return the project. Raises ``InputError`` (U620) with all faults of the file."""
    return Project(file, tuple(_Reader(file, log).rows()))


class _Reader:
    """Reads one file. Every fault goes to the log."""

    def __init__(self, file: Path, log: Log) -> None:
        self.file = file
        self.log = log

    def rows(self) -> list[Row]:
        tree = self._tree()
        self._check_keys(tree, ("defaults", "model"), "")
        defaults = self._table(tree, "defaults", "")
        self._check_keys(defaults, [key for key in KEYS if key != "path"], "defaults")
        models = self._table(tree, "model", "")
        if not models:
            self._wrong("the file names no model", help=f"add a table such as {EXAMPLE}")
        rows: list[Row] = []
        for name in models:
            rows += self._rows_of(str(name), self._table(models, name, "model"), defaults)
            if len(rows) > MAX_ROWS:
                self._wrong("too many rows", found=len(rows), limit=MAX_ROWS)
                break
        folders: dict[str, Row] = {}
        for row in rows:
            if folders.setdefault(row.name, row) is not row:
                self._wrong(
                    "two rows would be written into one folder",
                    f"model.{row.model}",
                    found=row.name,
                    help="rename a model",
                )
        self.log.raise_if_errors()
        return rows

    def _tree(self) -> Table:
        try:
            check_file(self.file)
            with self.file.open("rb") as opened:
                text = opened.read(MAX_BYTES + 1)
            if len(text) > MAX_BYTES:
                self._refuse("the project file is too large", limit=f"{MAX_BYTES} bytes")
            return tomllib.loads(text.decode())
        except RefusalError as refusal:
            words = refusal.finding.words()
            self._refuse(
                f"the project file cannot be read: {words.message}",
                found=words.found,
                help=f"write nirc.toml: {EXAMPLE}",
            )
        except OSError as error:
            reason = error.strerror or str(error)
            self._refuse(
                f"the project file cannot be read: {reason}",
                help=f"write nirc.toml: {EXAMPLE}",
            )
        except (ValueError, RecursionError) as error:  # of tomllib, and no UTF-8
            self._refuse("the project file is no TOML", found=printable(str(error), 200))

    def _rows_of(self, name: str, table: Table, defaults: Table) -> Iterator[Row]:
        where = f"model.{name}"
        self._check_keys(table, KEYS, where)
        if not _names_a_folder(name):
            self._wrong(
                "the name of a model names a folder",
                where,
                found=printable(name),
                limit=f"1 to {MAX_NAME} bytes of printable text, no `/`, no `.` in front",
            )
            return
        merged = {_key(key): value for key, value in {**defaults, **table}.items()}
        given = {**_nested(defaults, "set"), **_nested(table, "set")}
        gates = self._gates({**_nested(defaults, "gate"), **_nested(table, "gate")}, where)
        paths = {key: self._path(merged.get(key), f"{where}.{key}") for key in PATHS}
        if paths["path"] is None and "path" not in merged:
            self._wrong("a model has no `path`", where, help='add path = "model.nir"')
        lists = {key: self._texts(merged.get(key, []), f"{where}.{key}") for key in LISTS}
        if not lists["targets"]:
            self._wrong("a model has no `targets`", where, help='add targets = ["xylo"]')
        options = self._options(merged, where)
        self._check_codes((*lists["allow"], *lists["refuse"]), where)
        chip = self._chip(given, merged.get("input"), where)
        options_of = {each: self._known(each, f"{where}.targets") for each in lists["targets"]}
        self._check_chip(chip, set().union(*(names or () for names in options_of.values())), where)
        for target, known in options_of.items():
            if known is None or paths["path"] is None:
                continue
            own = tuple(sorted(pair for pair in chip.items() if pair[0] in known))
            yield Row(
                name,
                target,
                paths["path"],
                Options(**options, chip=own),
                paths["data"],
                paths["calibrate"],
                paths["baseline"],
                lists["allow"],
                lists["refuse"],
                gates,
            )

    def _check_codes(self, codes: Sequence[str], where: str) -> None:
        for code in codes:
            try:
                finding_class(code)
            except NircError as refusal:
                for d in refusal.diagnostics:
                    self._wrong(d.message, where, found=d.found, help=d.help)

    def _known(self, target: str, where: str) -> set[str] | None:
        """Return the names of a chip's options, None if there is no such target."""
        try:
            return registry.option_names(target)
        except NircError as refusal:
            for d in refusal.diagnostics:
                self._wrong(
                    d.message, where, found=d.found, limit=d.limit or d.expected, help=d.help
                )
            return None

    def _check_chip(self, chip: Mapping[str, str], known: set[str], where: str) -> None:
        """Report an option that no target has. An option of one chip is left out for others."""
        for name in chip.keys() - known:
            self._wrong(
                f"no target has an option `{printable(name)}`",
                f"{where}.set",
                limit=", ".join(sorted(known)),
                help=did_you_mean(name, known),
            )

    def _options(self, merged: Table, where: str) -> dict[str, Any]:
        options: dict[str, Any] = {}
        for key, (name, kinds) in OPTIONS.items():
            if key not in merged:
                continue
            value = merged[key]
            if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
                self._wrong(
                    f"`{key}` has the wrong type",
                    f"{where}.{key}",
                    found=printable(repr(value)),
                    limit=NAMES[kinds[-1]],
                )
                continue
            options[name] = value
        attempt = Log()
        try:
            Options(**options).checked(attempt)
        except NircError as refusal:
            for d in refusal.diagnostics:
                self._wrong(
                    d.message, where, found=d.found, limit=d.limit or d.expected, help=d.help
                )
        return options

    def _chip(self, given: Table, camera: object, where: str) -> dict[str, str]:
        chip = {}
        for name, value in given.items():
            if not isinstance(value, (str, int, float)):
                self._wrong(
                    "an option of a chip has one value",
                    f"{where}.set.{printable(name)}",
                    found=printable(repr(value)),
                    limit="a text or a number",
                )
                continue
            chip[name] = str(value).lower() if isinstance(value, bool) else str(value)
        if isinstance(camera, str):
            chip["input"] = camera
        elif camera is not None:
            self._wrong("`input` has the wrong type", f"{where}.input", limit="a text")
        return chip

    def _gates(self, given: Table, where: str) -> dict[str, float]:
        known = [*(gate.name for gate in GATES), SLACK]
        self._check_keys(given, known, f"{where}.gate", normal=str)
        gates = {}
        for name in known:
            value = given.get(name)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, NUMBER) or not is_finite(value):
                self._wrong(
                    "a gate is a number", f"{where}.gate.{name}", found=printable(repr(value))
                )
            elif name in SHARES and not SHARES[name] <= value <= 1:
                self._wrong(
                    "this gate is a share",
                    f"{where}.gate.{name}",
                    found=f"{value:g}",
                    limit=f"{SHARES[name]:g} to 1",
                )
            else:
                gates[name] = float(value)
        return gates

    def _path(self, value: object, where: str) -> Path | None:
        if value is None:
            return None
        if not isinstance(value, str) or not value or "\0" in value:
            self._wrong("a path is a text", where, found=printable(repr(value)))
            return None
        return self.file.parent / value

    def _texts(self, value: object, where: str) -> tuple[str, ...]:
        given = [value] if isinstance(value, str) else value
        if isinstance(given, list) and all(isinstance(each, str) for each in given):
            return tuple(given)
        self._wrong("a list of texts is needed", where, found=printable(repr(value)))
        return ()

    def _table(self, tree: Table, name: str, where: str) -> Table:
        value = tree.get(name, {})
        if isinstance(value, dict):
            return value
        self._wrong(
            "a table is needed", f"{where}.{name}".lstrip("."), found=printable(repr(value))
        )
        return {}

    def _check_keys(
        self, table: Table, known: Sequence[str], where: str, normal: Any = None
    ) -> None:
        normal = normal or _key
        seen: set[str] = set()
        for key, value in table.items():
            if normal(key) in seen:
                self._wrong(f"`{printable(key)}` is given twice", where, help="leave one away")
            seen.add(normal(key))
            if normal(key) not in known:
                shown = printable(key)
                self._wrong(
                    f"there is no key `{shown}`",
                    f"{where}.{shown}".lstrip("."),
                    limit=", ".join(known),
                    help=did_you_mean(key, known),
                )
            elif key in ("set", "gate") and not isinstance(value, dict):
                self._wrong("a table is needed", f"{where}.{key}", found=printable(repr(value)))

    def _wrong(
        self, problem: str, where: str = "", *, found: object = "", limit: object = "",
        help: str = "",
    ) -> None:  # fmt: skip
        self.log.add(
            UnreadableProject(
                problem=problem,
                where=where,
                found=found,
                limit=limit,
                help=help,
                file=str(self.file),
            )
        )

    def _refuse(
        self, problem: str, *, found: object = "", limit: object = "", help: str = ""
    ) -> NoReturn:
        self._wrong(problem, found=found, limit=limit, help=help)
        self.log.raise_if_errors()
        raise AssertionError("an error was logged")


def _key(name: str) -> str:
    """Return the long name of an option as the command line writes it."""
    return name.replace("_", "-")


def _names_a_folder(name: str) -> bool:
    size = len(name.encode(errors="surrogateescape"))
    return (
        0 < size <= MAX_NAME
        and name.isprintable()
        and not name.startswith(".")
        and set(name).isdisjoint("/\\")
    )


def _nested(table: Table, name: str) -> Table:
    value = table.get(name, {})
    return value if isinstance(value, dict) else {}
