"""A table that fits the terminal, and rows as paragraphs where it does not."""

from __future__ import annotations

from nirc.report.table import table

HEAD = ("model", "target", "accuracy", "fullest")
ROWS = [["vowels", "loihi2", "0.8000 (model 0.8500)", "neurons of a core 75%"], ["a", "b", "", "-"]]


def test_a_wide_terminal_gets_one_line_for_each_row() -> None:
    lines = table(HEAD, ROWS, 120).splitlines()
    [row] = [line for line in lines if "vowels" in line]
    assert all(text in row for text in ROWS[0])


def test_words_are_never_cut() -> None:
    for width in range(10, 121):
        text = table(HEAD, ROWS, width)
        words = " ".join(" ".join(row) for row in ROWS).split()
        assert {*words} <= {*text.replace(":", "").split()}, width


def test_a_narrow_terminal_gets_a_line_for_each_figure() -> None:
    first, second = table(HEAD, ROWS, 20).split("\n\n")
    assert first.splitlines() == [
        "model: vowels",
        "  target: loihi2",
        "  accuracy: 0.8000 (model 0.8500)",
        "  fullest: neurons of a core 75%",
    ]
    assert second.splitlines() == ["model: a", "  target: b", "  fullest: -"]
