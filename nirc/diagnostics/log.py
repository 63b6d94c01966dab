"""The findings of a command. A stage ends with ``log.raise_if_errors()``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from nirc.diagnostics.codes import error_class
from nirc.diagnostics.errors import Diagnostic
from nirc.diagnostics.finding import Finding


@dataclass
class Log:
    """Collects the diagnostics of one command. The same finding twice is kept once."""

    strict: bool = False
    file: str = ""
    diagnostics: list[Diagnostic] = field(default_factory=list)
    _known: set[Diagnostic] = field(default_factory=set, init=False, repr=False, compare=False)

    def add(self, finding: Finding | Diagnostic) -> None:
        """Keep ``finding`` unless it is there already."""
        if isinstance(finding, Finding):
            finding = finding.diagnostic(strict=self.strict)
        if finding not in self._known:  # a set, because a hostile file may cause very many
            self._known.add(finding)
            self.diagnostics.append(finding)

    def add_all(self, findings: Iterable[Finding | Diagnostic]) -> None:
        """Keep all ``findings``."""
        for finding in findings:
            self.add(finding)

    def error(self, code: str, message: str, **fields: object) -> None:
        """Something that stops the command, once the stage has looked at everything."""
        self.add(Diagnostic(code, "error", message, **_text(fields)))

    def warning(self, code: str, message: str, **fields: object) -> None:
        """Something the user must know; the command goes on."""
        self.add(Diagnostic(code, "warning", message, **_text(fields)))

    def note(self, code: str, message: str, **fields: object) -> None:
        """A choice that was made, with its reason."""
        self.add(Diagnostic(code, "note", message, **_text(fields)))

    def differs(self, code: str, message: str, **fields: object) -> None:
        """The chip's dynamics differ in kind from the model's: a warning, an error under
        ``--strict``.
        """
        self.add(Diagnostic(code, "error" if self.strict else "warning", message, **_text(fields)))

    @property
    def errors(self) -> list[Diagnostic]:
        """The diagnostics that stop the command."""
        return [d for d in self.diagnostics if d.severity == "error"]

    def raise_if_errors(self) -> None:
        """Raise the exception with the highest exit status, if there is an error."""
        if self.errors:
            raise max((error_class(d.code) for d in self.errors), key=lambda e: e.exit_code)(
                self.diagnostics
            )

    def demoted(self) -> list[Diagnostic]:
        """Return all findings, with errors as notes: an alternative was tried and did not fit."""
        return [
            replace(d, severity="note") if d.severity == "error" else d for d in self.diagnostics
        ]


def _text(fields: dict[str, object]) -> dict[str, str]:
    return {k: "" if v is None else str(v) for k, v in fields.items()}
