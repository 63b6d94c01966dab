"""The exception of an error whose code is a string. It goes when the last such call is a class."""

from __future__ import annotations

from nirc.diagnostics.errors import CompileError, InputError, NircError, UsageError

_USAGE = {"U601", "U602", "U606", "U607", "U608", "U610", "U611", "U613", "U614", "U615"}


def error_class(code: str) -> type[NircError]:
    """Return the exception, and so the exit status, of an error with this code."""
    if code[0] in "FG" or (code[0] == "U" and code not in _USAGE):
        return InputError
    return UsageError if code in _USAGE else CompileError
