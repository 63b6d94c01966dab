"""One typed class for each diagnostic: its fields, severity, words and page stand together.

A subclass declares ``code``, ``title`` and the four parts of its page, annotates its fields and
returns its words:

    class DelayTooLong(Finding):
        code = "L809"
        title = "a delay is longer than a synapse holds a spike"
        meaning = ...
        population: str
        steps: int

        def words(self) -> Words:
            return Words(f"`{self.population}` has a delay of {self.steps} steps", limit=62)

``log.add(DelayTooLong(where="nodes/d/delay", population="d", steps=70))`` reports it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from inspect import cleandoc, get_annotations
from types import ModuleType
from typing import Any, ClassVar, Literal, Self, dataclass_transform

from nirc.diagnostics.errors import CompileError, Diagnostic, NircError, Severity

Grade = Literal["error", "warning", "note", "differs"]  # differs: an error under --strict
MOST_OF_A_CODE = 100  # findings of one code that are reported one by one


@dataclass(frozen=True)
class Words:
    """The words of one finding: the message, the value, the limit with its source, the advice."""

    message: str
    found: object = ""
    limit: object = ""
    source: str = ""
    help: str = ""


@dataclass_transform(kw_only_default=True, frozen_default=True)
class _Record:
    """Marks subclasses for type checkers: annotations are keywords of the constructor."""


class Finding(_Record):
    """A diagnostic with typed fields. ``where``: a path in the model. ``file``: see ``Diagnostic``.

    The constructor takes every annotated field by keyword. A field without a value is required.
    """

    code: ClassVar[str]
    title: ClassVar[str]
    severity: ClassVar[Grade] = "error"
    expects: ClassVar[bool] = False  # the limit in its words is the value that is expected
    raises: ClassVar[type[NircError]] = CompileError  # the exception of an error, see ``errors``
    meaning: ClassVar[str]
    example: ClassVar[str]
    what_to_do: ClassVar[str]
    sources: ClassVar[str]
    by_code: ClassVar[dict[str, type[Finding]]] = {}  # every class that was imported

    where: str = ""
    file: str = ""

    _fields: ClassVar[frozenset[str]] = frozenset({"where", "file"})

    def __init_subclass__(cls) -> None:
        bases = [base._fields for base in cls.__bases__ if issubclass(base, Finding)]
        cls._fields = frozenset(get_annotations(cls)).union(*bases)
        code = cls.__dict__.get("code")
        if code is None:
            return
        other = cls.by_code.setdefault(code, cls)
        if (other.__module__, other.__qualname__) != (cls.__module__, cls.__qualname__):
            raise TypeError(f"{cls.__qualname__} and {other.__qualname__} have one code, {code}")

    def __init__(self, **fields: Any) -> None:
        if unknown := fields.keys() - self._fields:
            raise TypeError(f"{type(self).__name__} has no field {', '.join(sorted(unknown))}")
        self.__dict__.update(fields)
        if missing := [name for name in self._fields if not hasattr(self, name)]:
            raise TypeError(f"{type(self).__name__} lacks {', '.join(sorted(missing))}")

    def placed(self, where: str) -> Self:
        """Return the finding with ``where``, unless it has a place."""
        return self if self.where else self.with_fields(where=where)

    def with_fields(self, **fields: Any) -> Self:
        """Return a copy with other values of ``fields``."""
        return type(self)(**(vars(self) | fields))

    def words(self) -> Words:
        """Return the words of this finding."""
        raise NotImplementedError(f"{type(self).__name__} has no words")

    def grade(self) -> Grade:
        """Return the severity. A class overrides this where the values decide."""
        return self.severity

    def diagnostic(self, *, strict: bool = False) -> Diagnostic:
        """Return the finding as it is printed."""
        grade, words = self.grade(), self.words()
        limit = _text(words.limit)
        differs: Severity = "error" if strict else "warning"
        return Diagnostic(
            self.code,
            differs if grade == "differs" else grade,
            words.message,
            where=self.where,
            found=_text(words.found),
            source=words.source,
            help=words.help,
            file=self.file,
            limit="" if self.expects else limit,
            expected=limit if self.expects else "",
        )

    def refusal(self) -> NircError:
        """Return the exception that reports this finding alone."""
        return self.raises([self.diagnostic()])

    @classmethod
    def page(cls) -> str:
        """Return the page of ``nirc explain CODE`` as Markdown."""
        parts = {
            "What it means.": cls.meaning,
            "Example.": cls.example,
            "What to do.": cls.what_to_do,
            "Source.": cls.sources,
        }
        texts = [f"**{title}** {cleandoc(text)}" for title, text in parts.items()]
        return "\n\n".join([f"# {cls.code}: {cls.title}", *texts]) + "\n"


class Repeated(Finding):
    """A base for codes that a network may have very often.

    ``others``: findings of the code that are not reported one by one.
    """

    others: int = 0

    def diagnostic(self, *, strict: bool = False) -> Diagnostic:
        """Return the finding as it is printed, with the number of others."""
        return replace(super().diagnostic(strict=strict), others=self.others)

    @classmethod
    def some(cls, every: Sequence[Self]) -> list[Self]:
        """Return the first ``MOST_OF_A_CODE``. The last has the number of all others."""
        some = list(every[:MOST_OF_A_CODE])
        if len(every) > MOST_OF_A_CODE:
            some[-1] = some[-1].with_fields(others=len(every) - MOST_OF_A_CODE)
        return some

    def and_others(self, noun: str) -> str:
        """Return a clause about the others, "" if there are none."""
        return f"; so do {self.others} other {noun}" if self.others else ""


class Stated(Finding):
    """A base for codes with many problems of one kind: each place words its own problem."""

    problem: str
    found: object = ""
    limit: object = ""
    source: str = ""
    help: str = ""

    def words(self) -> Words:
        """Return the words that the place gave."""
        return Words(self.problem, self.found, self.limit, self.source, self.help)


def declared(module: ModuleType) -> tuple[type[Finding], ...]:
    """Return the diagnostics that ``module`` declares, by code."""
    found = [
        each
        for each in vars(module).values()
        if isinstance(each, type) and issubclass(each, Finding) and "code" in vars(each)
    ]
    return tuple(sorted(found, key=lambda each: each.code))


def _text(value: object) -> str:
    return "" if value is None else str(value)
