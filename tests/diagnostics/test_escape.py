"""Foreign text is spelt out in each output, and JSON keeps its meaning."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from nirc.diagnostics.escape import in_json, in_line, in_lines

ANY = st.text(st.characters())  # surrogates, marks of direction and unassigned characters too


@given(ANY)
def test_nothing_invisible_is_left(text: str) -> None:
    assert in_line(text).isprintable()
    assert in_lines(text).replace("\n", "").isprintable()


@given(ANY)
def test_json_has_the_same_meaning(text: str) -> None:
    written = in_json(json.dumps({text: [text]}, indent=1, ensure_ascii=False))
    assert json.loads(written) == {text: [text]} and written.replace("\n", "").isprintable()


def test_letters_of_any_script_stay() -> None:
    assert in_line("mödel ニューロン 🧠") == "mödel ニューロン 🧠"
    assert in_line("a\x1b[31m\u202eb\n\udcff") == "a\\x1b[31m\\u202eb\\n\\udcff"
