"""The table of passes: one name in three spellings, one test file each, no pass that nothing
runs.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from nirc import api
from nirc.diagnostics.log import Log
from nirc.passes.pipeline import PIPELINE, Entry, Step


@pytest.mark.parametrize("entry", PIPELINE, ids=lambda entry: entry.name)
def test_a_pass_has_one_name_in_three_spellings_and_a_test_file(entry: Entry) -> None:
    name = entry.name
    module, _, class_name = entry.path.partition(":")
    assert entry.pass_class.name == name
    assert module == f"nirc.passes.{name.replace('-', '_')}"
    assert class_name == "".join(word.capitalize() for word in name.split("-"))
    assert (Path(__file__).parent / f"test_{name.replace('-', '_')}.py").exists()


def test_compiling_runs_them_all_in_the_order_of_the_table(data: Path) -> None:
    ran: list[str] = []

    def observe(step: Step) -> None:
        if step.program is not None:
            ran.append(step.name)

    api.lower(data / "zoo/digits_if_cnn.nir", api.Options(), log=Log(), observe=observe)
    assert ran == [entry.name for entry in PIPELINE]
