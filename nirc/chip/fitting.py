"""The first variant of a chip that a network fits on."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

from nirc.chip.backend import Backend, Mapped, Search
from nirc.chip.target import Target
from nirc.diagnostics.log import Log
from nirc.diagnostics.passes import VariantChosen
from nirc.ir.program import Program


def first_fit(
    backend: Backend,
    candidates: Sequence[Target],
    integer: Program,
    legal: Program,
    search: Search,
    log: Log,
) -> Mapped:
    """Return the first variant that fits. The errors of those before it become notes.

    Raises ``CompileError`` with all errors if none fits.
    """
    refused: list[Log] = []
    for target in candidates:
        attempt = log.attempt()
        mapped = backend.fit(integer, legal, target, search, attempt)
        if mapped is None:
            refused.append(attempt)
            continue
        log.add_all(chain.from_iterable(earlier.demoted() for earlier in refused))
        log.add_all(attempt.diagnostics)
        if len(candidates) > 1:
            errors = chain.from_iterable(earlier.errors[:1] for earlier in refused)
            reasons = [(error.message, error.found, error.limit) for error in errors]
            log.add(VariantChosen(target=target.name, part=target.part, refused=reasons))
        log.raise_if_errors()
        return mapped
    log.add_all(chain.from_iterable(attempt.diagnostics for attempt in refused))
    log.raise_if_errors()
    raise AssertionError("a backend refused a network without saying why")
