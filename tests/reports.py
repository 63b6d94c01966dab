"""A log that keeps findings with their fields, for tests of what is reported."""

from __future__ import annotations

from typing import Any


class Reports:
    """What was reported: findings, not yet printed."""

    def __init__(self) -> None:
        self.found: list[Any] = []
        self.add = self.found.append
        self.add_all = self.found.extend
