"""Foreign text in an output: what cannot be seen, or changes what is seen, is spelt out.

Escape sequences drive a terminal. Marks of direction change the order in which text is read. Bytes
of a name that are not UTF-8 cannot be written. Each output calls the function of its form.
"""

from __future__ import annotations

import json
import re

# Nothing here is printable by Python's rule, which follows the categories of Unicode.
_RUNS = re.compile(r"[^ -~\n]+")


def in_line(text: str) -> str:
    """Return ``text`` as one line for people."""
    return in_lines(text).replace("\n", "\\n")


def in_lines(text: str) -> str:
    """Return ``text`` with its ends of lines, for people: on a terminal or in a page."""
    return _RUNS.sub(lambda run: "".join(map(_spelt, run[0])), text)


def in_json(text: str) -> str:
    """Return JSON with the same meaning in which every character can be seen."""
    return _RUNS.sub(lambda run: "".join(map(_spelt_in_json, run[0])), text)


def _spelt(character: str) -> str:
    if character.isprintable():
        return character
    return character.encode("unicode_escape").decode("ascii")


def _spelt_in_json(character: str) -> str:
    return character if character.isprintable() else json.dumps(character)[1:-1]
