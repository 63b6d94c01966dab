"""Findings as a person sees them.

The expected texts are whole screens: read them before changing them.
"""

from __future__ import annotations

import json
import subprocess
import sys

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nirc.diagnostics.errors import Diagnostic
from nirc.diagnostics.human import as_json, render

FAN_OUT = Diagnostic(
    "X504",
    "error",
    "neuron 12 of `hidden2` has more targets than xylo:audio2 can store",
    where="nodes/hidden_rec/weight",
    found="78",
    limit="64",
    source="rockpool docs, Xylo overview",
    help="prune 14 weights, or compile for xylo:audio3 (limit 1024)",
)
NO_RESET = [
    Diagnostic(
        "G218",
        "warning",
        "`v_reset` is absent and read as 0",
        where=f"nodes/{n}/v_reset",
        source="NIR",
    )
    for n in ("lif1", "lif2", "lif3")
]
STEP = Diagnostic("P309", "note", "dt = 0.0001 s, from tau / r", where="nodes/lif1/r")
texts = st.text(st.characters(), max_size=60)
severities = st.sampled_from(["error", "warning", "note"])
hostile = st.builds(
    Diagnostic, st.just("F110"), severities, texts, texts, texts, texts, texts, texts
)


def test_nothing_found_says_nothing() -> None:
    assert render([], file="model.nir") == ""


def test_an_error_says_what_where_value_limit_and_help() -> None:
    expected = """\
error[X504]: neuron 12 of `hidden2` has more targets than xylo:audio2 can store
  --> model.nir: nodes/hidden_rec/weight
   = found 78, limit 64 (rockpool docs, Xylo overview)
   = help: prune 14 weights, or compile for xylo:audio3 (limit 1024).  nirc explain X504

1 error
"""
    assert render([FAN_OUT], file="model.nir") == expected


def test_errors_stand_last_and_the_same_finding_in_several_places_is_one_block() -> None:
    expected = """\
warning[G218]: `v_reset` is absent and read as 0
  --> model.nir: nodes/lif1/v_reset, and 2 more places
   = source: NIR
   = help: nirc explain G218

error[X504]: neuron 12 of `hidden2` has more targets than xylo:audio2 can store
  --> model.nir: nodes/hidden_rec/weight
   = found 78, limit 64 (rockpool docs, Xylo overview)
   = help: prune 14 weights, or compile for xylo:audio3 (limit 1024).  nirc explain X504

1 note: -v shows it
1 error, 1 warning in 3 places
"""
    assert render([FAN_OUT, STEP, *NO_RESET], file="model.nir") == expected


def test_verbose_shows_notes_and_every_place() -> None:
    expected = """\
note[P309]: dt = 0.0001 s, from tau / r
  --> model.nir: nodes/lif1/r
   = help: nirc explain P309

warning[G218]: `v_reset` is absent and read as 0
  --> model.nir: nodes/lif1/v_reset
  --> model.nir: nodes/lif2/v_reset
  --> model.nir: nodes/lif3/v_reset
   = source: NIR
   = help: nirc explain G218

1 warning in 3 places, 1 note
"""
    assert render([*NO_RESET, STEP], file="model.nir", verbose=True) == expected


def test_verbose_gives_each_place_its_own_value() -> None:
    values = {"a": "-1", "b": "0"}
    found = [
        Diagnostic("F110", "error", "`LIF`: bad", where=f"nodes/{n}", found=v)
        for n, v in values.items()
    ]
    expected = """\
error[F110]: `LIF`: bad
  --> m.nir: nodes/a
   = found -1
  --> m.nir: nodes/b
   = found 0
   = help: nirc explain F110

1 error in 2 places
"""
    assert render(found, file="m.nir", verbose=True) == expected


def test_findings_with_different_messages_stay_apart() -> None:
    both = [
        Diagnostic("G204", "warning", "`a` is dropped"),
        Diagnostic("G204", "warning", "`b` is dropped"),
    ]
    assert render(both, file="").count("warning[G204]") == 2


def test_only_notes_are_counted_in_one_line() -> None:
    assert (
        render([STEP, Diagnostic("X513", "note", "audio2")], file="m.nir")
        == "2 notes: -v shows them\n"
    )


def test_a_finding_about_no_place_names_the_file_alone() -> None:
    assert "\n  --> model.nir\n" in render(
        [Diagnostic("F104", "error", "damaged")], file="model.nir"
    )
    assert "-->" not in render([Diagnostic("U601", "error", "no such target")], file="")


def test_a_question_needs_no_full_stop() -> None:
    shown = render([Diagnostic("F108", "error", "unknown", help="did you mean LIF?")], file="m.nir")
    assert "help: did you mean LIF?  nirc explain F108" in shown


def test_folding_keeps_names_whole_and_indents() -> None:
    message = "the signal that arrives at `a rather long name` has another shape"
    long = Diagnostic("G252", "error", message, help=", ".join(["mend it"] * 8))
    expected = """\
error[G252]: the signal that arrives at
  `a rather long name` has another shape
  --> m.nir
   = help: mend it, mend it, mend it, mend
     it, mend it, mend it, mend it, mend it.
     nirc explain G252

1 error
"""
    assert render([long], file="m.nir", width=44) == expected


def test_colours_change_nothing_but_colours() -> None:
    plain, coloured = (
        render([FAN_OUT, *NO_RESET], file="m.nir", color=c, width=60) for c in (False, True)
    )
    assert "\x1b[" in coloured
    assert click.unstyle(coloured) == plain


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J\x1b]0;owned\x07", r"\x1b[2J\x1b]0;owned\x07"),
        ("two\nlines\r\t", r"two\nlines\r\t"),
        ("\u202egnp.exe\u2028", r"\u202egnp.exe\u2028"),
        ("\x9b31m\x00\udc80", r"\x9b31m\x00\udc80"),
        ("Größe µ 神経", "Größe µ 神経"),
    ],
)
def test_hostile_names_are_spelt_out(text: str, shown: str) -> None:
    lines = render(
        [Diagnostic("F113", "error", f"a name is `{text}`", where=text)], file=text
    ).splitlines()
    assert lines[0] == f"error[F113]: a name is `{shown}`"
    assert lines[1] == f"  --> {shown}: {shown}"


@given(st.lists(hostile, max_size=4), texts, st.booleans(), st.none() | st.integers(1, 80))
def test_no_text_can_drive_the_terminal(
    found: list[Diagnostic], file: str, verbose: bool, width: int | None
) -> None:
    shown = render(found, file=file, verbose=verbose, width=width)
    assert all(line.isprintable() for line in shown.split("\n"))
    shown.encode("utf-8")


def test_endless_names_are_cut() -> None:
    shown = render([Diagnostic("F113", "error", "x" * 5_000_000)], file="m.nir")
    assert "... (4999000 characters more)" in shown
    assert len(shown) < 2000


def test_json_has_the_fields_that_say_something() -> None:
    assert as_json([STEP, FAN_OUT])[0] == {
        "code": "P309",
        "severity": "note",
        "message": "dt = 0.0001 s, from tau / r",
        "where": "nodes/lif1/r",
    }
    assert json.loads(json.dumps(as_json([FAN_OUT]))) == as_json([FAN_OUT])


def test_plain_text_needs_no_colour_library() -> None:
    program = (
        "import sys, nirc.diagnostics.human; print({'click', 'rich', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"
