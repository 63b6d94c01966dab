"""The findings of a command. A stage ends with ``log.raise_if_errors()``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from nirc.diagnostics.errors import CompileError, Diagnostic
from nirc.diagnostics.finding import Finding
from nirc.diagnostics.policy import Policy


@dataclass
class Log:
    """Collects the diagnostics of one command. The same finding twice is kept once."""

    strict: bool = False
    file: str = ""
    policy: Policy = field(default_factory=Policy)
    diagnostics: list[Diagnostic] = field(default_factory=list)
    _known: set[Diagnostic] = field(default_factory=set, init=False, repr=False, compare=False)

    def add(self, finding: Finding | Diagnostic) -> None:
        """Keep ``finding`` unless it is there already."""
        if isinstance(finding, Finding):
            finding = self._graded(finding)
        finding = self.policy.graded(finding)
        if finding not in self._known:  # a set, because a hostile file may cause very many
            self._known.add(finding)
            self.diagnostics.append(finding)

    def _graded(self, finding: Finding) -> Diagnostic:
        """Return the diagnostic. With ``strict`` a difference is an error unless accepted."""
        plain = finding.diagnostic()
        return plain if self.policy.accepts(plain) else finding.diagnostic(strict=self.strict)

    def add_all(self, findings: Iterable[Finding | Diagnostic]) -> None:
        """Keep all ``findings``."""
        for finding in findings:
            self.add(finding)

    @property
    def errors(self) -> list[Diagnostic]:
        """The diagnostics that stop the command."""
        return [d for d in self.diagnostics if d.severity == "error"]

    def raise_if_errors(self) -> None:
        """Raise the exception with the highest exit status, if there is an error."""
        if errors := self.errors:
            classes = [Finding.by_code[d.code].raises for d in errors if d.code in Finding.by_code]
            raise max(classes, key=lambda kind: kind.exit_code, default=CompileError)(
                self.diagnostics
            )

    def attempt(self) -> Log:
        """Return an empty log with the same decisions, for an alternative that is tried."""
        return Log(strict=self.strict, policy=self.policy)

    def demoted(self) -> list[Diagnostic]:
        """Return all findings, with errors as notes: an alternative was tried and did not fit."""
        return [
            replace(d, severity="note") if d.severity == "error" else d for d in self.diagnostics
        ]
