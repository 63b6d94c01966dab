"""The diagnostics that only this target reports."""

from __future__ import annotations

from nirc.diagnostics.finding import Finding, Words
from nirc_target_c.bounds import COUNT
from nirc_target_c.limits import WORDS


class CountsAreBytes(Finding):
    """A raster with more spikes of a channel in a step than a byte holds."""

    code = "K101"
    title = "more spikes of an input in a step than a byte holds"
    severity = "warning"
    meaning = """
    A spike count of the C program is a `uint8_t`. `nirc run` takes larger counts as 255. The
    program itself cannot be given any.
    """
    example = "A raster with a count of 300."
    what_to_do = "Use shorter time steps, or several inputs with the same weights."
    sources = "`nirc_target_c/limits.py`."

    most: int  # spikes of a channel in a step

    def words(self) -> Words:
        """Return the words of this finding."""
        message = "counts above 255 are taken as 255"
        return Words(message, found=self.most, limit=COUNT, source=WORDS)
