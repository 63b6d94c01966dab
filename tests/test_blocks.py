"""Every block of code in the documentation runs in a test, or stands in one list with a reason.

Most pages are followed word by word by a test of their own. The blocks of the others run here.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.commands import NIRC
from tests.deploy.chips import CHIPS
from tests.deployed import loaded
from tests.mapping.tables.networks import network
from tests.recording.networks import require
from tests.xylo import samna_mock
from tests.xylo.oracle import require_xylosim
from tests.xylo.rockpool_oracle import rockpool

ROOT = Path(__file__).parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "examples").rglob("*.md")),
]
# Pages whose blocks a test of their own follows from the first to the last.
FOLLOWED = {
    "docs/how-to/*.md": "tests/test_how_to.py",
    "docs/tutorial.md": "tests/test_how_to.py",
    "docs/coherent.md": "tests/test_how_to.py",
    "docs/reference/export.md": "tests/test_how_to.py",
    "docs/reference/writers.md": "tests/test_how_to.py",
    "examples/nirc-target-c/README.md": "tests/test_how_to.py",
    "docs/from-your-simulator.md": "tests/recording/test_from_your_simulator.py",
    "docs/how-to/gate-in-ci.md": "tests/project/test_ci_files.py",
}
# Blocks that no test runs: page, the words at their start, and why.
NOT_RUN = {
    ("README.md", "python3 -m venv .venv"): ".ci/run runs it word for word, in a fresh clone",
    ("README.md", ". .venv/bin/activate"): ".ci/run runs it word for word, as its last step",
    ("CONTRIBUTING.md", "python3 -m venv .venv"): ".ci/run installs the same from an index",
    ("CONTRIBUTING.md", "ruff check ."): "they are steps of .ci/run, one by one",
    ("docs/install.md", "pip install"): ".ci/run and tests/test_packaging.py install the wheel",
    ("docs/reference/fit.md", "nirc fit MODEL"): "it is the form of the command, with its options",
    ("docs/reference/fit.md", "python benchmarks/strangers.py"): "it trains eleven networks",
    ("docs/reference/loihi2-files.md", "pip install"): "it installs Lava; .ci/run does the same",
    ("docs/from-your-simulator.md", "import nirc\n\nnirc.record("): "the blocks below it are whole",
    ("docs/from-your-simulator.md", "pip install"): "it installs Lava-DL; .ci/run does the same",
}
# Sections of docs/from-your-simulator.md that run where the package is, which CI does not install.
NOT_IN_CI = {
    "Spyx": "it needs jax and flax",
    "Nengo": "its plugin of pytest does not load in pytest 9",
    "Lava-DL": "its slayer needs OpenCV",
}


@dataclass(frozen=True)
class Block:
    """A block of code of a page. ``kind``: the words behind its fence."""

    page: str
    kind: str
    text: str


def blocks_of(page: Path) -> list[Block]:
    """The fenced blocks in the order of the page."""
    fences = re.finditer(r"^ *```([^\n`]*)\n(.*?)^ *```$", page.read_text(), re.M | re.S)
    name = page.relative_to(ROOT).as_posix()
    return [Block(name, match[1].strip(), match[2]) for match in fences]


BLOCKS = [block for page in PAGES for block in blocks_of(page)]


def followed(page: str) -> list[str]:
    """The tests that follow the page."""
    return [test for pattern, test in FOLLOWED.items() if Path(page).match(pattern)]


def reason(block: Block) -> str:
    """Why no test runs the block, "" where one should."""
    reasons = [
        why
        for (page, start), why in NOT_RUN.items()
        if page == block.page and block.text.startswith(start)
    ]
    return reasons[0] if reasons else ""


# The blocks that run here.


def run_readme(code: str, folder: Path, names: dict[str, Any]) -> None:
    """A model of snnTorch and its data are there, under the names of the page."""
    zoo = ROOT / "tests/data/zoo/japanesevowels_rsnn"
    shutil.copy(zoo.with_suffix(".nir"), folder / "model.nir")
    shutil.copy(zoo.with_suffix(".npz"), folder / "data.npz")
    names["inputs"] = np.load(folder / "data.npz")["inputs"]
    exec(code, names)
    assert names["out"].outputs.shape[:2] == names["inputs"].shape[:2]
    assert (folder / "model.xylo/manifest.json").is_file()


def run_deploy(code: str, folder: Path, names: dict[str, Any]) -> None:
    """The board is the strict stand-in of samna."""
    chip = next(chip for chip in CHIPS if chip.name == "xylo:audio2")
    chip.write(folder / "bundle")
    inputs = np.random.default_rng(0).integers(0, 3, (2, 9, 3))
    names |= {"inputs": inputs, "chunks": [inputs[0, :4], inputs[0, 4:]]}
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "samna", samna_mock.make("audio2"))
        exec(code, names)
    assert names["answer"]["spikes"].shape == (2, 9, 2)


def run_partition(code: str, folder: Path, names: dict[str, Any]) -> None:
    exec(code, names)
    assert names["found"].count >= names["found"].bound > 0


def run_tables(code: str, folder: Path, names: dict[str, Any]) -> None:
    from nirc.mapping import tables
    from nirc.mapping.routing.links import mesh
    from nirc.mapping.tables import keys, minimise, walk

    made = network(mesh(3, 3, triangular=True, wraps=False), [(0, [(4, 1), (8, 2)]), (4, [(0, 3)])])
    names |= {"allocate": keys.allocate, "spread": keys.spread, "tables_for": tables.tables_for}
    names |= {"minimised": minimise.minimised, "walk": walk.walk}
    names |= {"nets": made.nets, "routes": made.routes, "links": made.links}
    names |= {"population": np.arange(2), "atoms": np.full(2, 16), "local_cores": made.cores}
    exec(code, names)


def run_specification(code: str, folder: Path, names: dict[str, Any]) -> None:
    """samna is a stand-in, Rockpool and its simulator are theirs."""
    require_xylosim()
    chip = next(chip for chip in CHIPS if chip.name == "xylo:audio2")
    chip.write(folder / "bundle")
    assert loaded(folder / "bundle").specification()
    with rockpool("audio2") as module:
        functions = sys.modules[f"{module.__name__}.xylo_samna"]
        names["config_from_specification"] = functions.config_from_specification
        names["XyloSim"] = module.XyloSim
        exec(code, names)
    assert names["ok"], names["message"]


def run_torch(code: str, folder: Path, names: dict[str, Any]) -> None:
    """Two samples are enough for a step of training."""
    torch = require("torch")
    zoo = ROOT / "tests/data/zoo/japanesevowels_rsnn"
    shutil.copy(zoo.with_suffix(".nir"), folder / "model.nir")
    with np.load(zoo.with_suffix(".npz")) as data:
        counts, labels = data["inputs"][:2].astype(np.int64), data["labels"][:2]
    names["batches"] = [(torch.tensor(counts), torch.tensor(labels).long())]
    exec(code, names)
    assert (folder / "trained.xylo/manifest.json").is_file()


Run = Callable[[str, Path, dict[str, Any]], None]
RUN_HERE: dict[tuple[str, str], Run] = {
    ("README.md", "import nirc"): run_readme,
    ("docs/reference/deploy.md", "import runpy"): run_deploy,
    ("docs/reference/mapping.md", "from nirc.mapping.partition"): run_partition,
    ("docs/reference/mapping.md", "keys = allocate"): run_tables,
    ("docs/reference/torch.md", "import nirc.torch"): run_torch,
    ("docs/reference/xylo-config.md", "import runpy"): run_specification,
}


README = ("nirc inspect", "braille -> xylo")  # the two tests below


def runs_here(block: Block) -> bool:
    """Return True for a block that this file runs or compares."""
    known = [start for page, start in RUN_HERE if page == block.page]
    known += README if block.page == "README.md" else ()
    return block.text.startswith(tuple(known)) if known else False


@pytest.mark.parametrize(("page", "start"), RUN_HERE, ids=lambda value: value[:30])
def test_the_block_of_the_page_runs(
    page: str, start: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [block] = [b for b in BLOCKS if b.page == page and b.text.startswith(start)]
    monkeypatch.chdir(tmp_path)
    RUN_HERE[page, start](block.text, tmp_path, {})


def test_the_readme_shows_what_its_first_command_prints(tmp_path: Path) -> None:
    first, shown = [b for b in BLOCKS if b.page == "README.md"][:2]
    command = first.text.strip().rpartition("&& nirc ")[2].split()
    done = subprocess.run(
        [*NIRC, str(ROOT / command[0]), *command[1:]],
        cwd=tmp_path,
        env=os.environ | {"COLUMNS": "120"},
        capture_output=True,
        text=True,
        check=True,
    )
    printed = done.stdout.splitlines()
    assert shown.kind == "text"
    for line in shown.text.splitlines():
        start = line.removesuffix("...").rstrip(", ")
        assert any(each.startswith(start) for each in printed), line


def test_the_readme_finds_the_rule_of_a_recording(tmp_path: Path) -> None:
    [command] = [b.text for b in BLOCKS if b.page == "README.md" and b.text.startswith("nirc ")]
    for name, at in (("model.nir", ".nir"), ("recorded.npz", ".npz")):
        shutil.copy(ROOT / f"tests/data/simulators/snntorch/leaky_none{at}", tmp_path / name)
    done = subprocess.run(
        [*NIRC, *command.split()[1:]], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "snntorch,reset=none" in done.stdout


# All blocks.


@pytest.mark.parametrize(
    "block", BLOCKS, ids=lambda block: f"{block.page}: {block.text[:30].splitlines()[0]}"
)
def test_every_block_runs_or_says_why_not(block: Block) -> None:
    assert block.kind, "say what it is: sh, python, text"
    assert followed(block.page) or runs_here(block) or reason(block), "no test runs it"
    assert ("notest" in block.kind) <= bool(reason(block))


def test_no_reason_is_left_behind() -> None:
    for page, start in (*NOT_RUN, *RUN_HERE):
        assert [b for b in BLOCKS if b.page == page and b.text.startswith(start)], (page, start)
    for pattern, test in FOLLOWED.items():
        name = Path(pattern).name
        assert name in (ROOT / test).read_text(), f"{test} does not name {name}"
    page = (ROOT / "docs/from-your-simulator.md").read_text()
    assert all(f"\n## {section}\n" in page for section in NOT_IN_CI)


def test_the_pages_install_the_versions_that_ci_has() -> None:
    ci = (ROOT / ".ci/run").read_text() + (ROOT / "pyproject.toml").read_text()
    for block in BLOCKS:
        if block.text.startswith("pip install --no-deps"):
            for wanted in re.findall(r"[\w-]+==[\w.]+", block.text):
                assert wanted in ci, f"{block.page}: {wanted}"
