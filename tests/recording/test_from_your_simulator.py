"""The page docs/from-your-simulator.md: its code runs, and its files are read as it says.

CI installs snnTorch, Sinabs, Norse and Rockpool. Other sections are skipped without their package.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.recording.networks import require

PAGE = Path(__file__).parents[2] / "docs" / "from-your-simulator.md"
SECTIONS = dict(s.split("\n", 1) for s in re.split(r"^## ", PAGE.read_text(), flags=re.M)[1:])
NEAR = {"Nengo": 0.98}  # its spikes have times between steps
TORCH = ("snnTorch", "Norse", "Sinabs", "Rockpool")
WHERE = {
    **{
        "snnTorch": "snntorch",
        "Sinabs": "sinabs",
        "Norse": "norse.torch",
        "Rockpool": "rockpool.nn.modules",
    },
    **{"Spyx": "spyx.nn", "Nengo": "nengo", "Lava-DL": "lava.lib.dl.slayer"},
}


def blocks(section: str, language: str) -> list[str]:
    """The code of a section in a language, block by block."""
    return re.findall(rf"^```{language}\n(.*?)^```", SECTIONS[section], flags=re.M | re.S)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty current directory. Warnings of the simulators' deprecated functions are not ours."""
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield tmp_path


def nirc(command: str) -> str:
    """The output of a command line of the page."""
    words = command.split()
    assert words[0] == "nirc"
    start = f"import sys; sys.path[:] = {sys.path!r}; from nirc.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", start, *words[1:]], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_page_has_a_section_for_each_of_the_seven() -> None:
    assert set(WHERE) <= set(SECTIONS)


@pytest.mark.parametrize(
    ("section", "number"),
    [
        *(
            pytest.param(s, n, marks=[pytest.mark.oracle])
            for s in ("snnTorch", "Sinabs")
            for n in (0, 1)
        ),
        *((s, n) for s in ("Norse", "Rockpool") for n in (0, 1)),
        *((s, 0) for s in ("Spyx", "Nengo", "Lava-DL")),
    ],
)
def test_what_a_section_writes_is_read_as_it_says(section: str, number: int, here: Path) -> None:
    """Block 0 needs no option. Block 1 uses the simulator's exporter and has choices."""
    require(WHERE[section])
    names: dict[str, object] = {}
    for code in blocks(section, "python")[: number + 1]:
        exec(compile(code, f"{PAGE.name}: {section}", "exec"), names)
    commands = "".join(blocks(section, "sh") or blocks("Check", "sh")).splitlines()
    assert [c.split()[:3] for c in commands] == [
        ["nirc", "inspect", "network.nir"],
        ["nirc", "verify", "network.nir"],
    ]
    inspected = json.loads(nirc(f"{commands[0]} --format json"))
    rows = inspected["recorded"]
    assert rows[0]["equal"] >= NEAR.get(section, 1.0)
    if number == 0 and section in TORCH:
        assert inspected["writer"]["confidence"] == "recorded" and rows[0]["default"]
        text = str(getattr(names["recorded"], "text", ""))
        assert f"# {text}" in blocks(section, "python")[0]
    assert "recorded" in nirc(commands[1])


@pytest.mark.parametrize("section", TORCH)
def test_tables_name_choices_that_nirc_has(section: str) -> None:
    from nirc.writers.writer import installed_writers

    options = re.findall(r"--from (\w+),(\w+)=(\S+?)`", SECTIONS[section])
    assert options
    for writer, key, values in options:
        (choice,) = [c for c in installed_writers()[writer].choices if c.key == key]
        for value in values.split("\\|"):
            assert value.isupper() or choice.takes(value), (writer, key, value)
    assert {key for _, key, _ in options} == {
        c.key for c in installed_writers()[options[0][0]].choices
    }
