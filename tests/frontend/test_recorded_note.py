"""The note of who wrote a file, ``node/metadata/nirc_from``: read as if hostile, believed if it
means something.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import pytest

from nirc.api import Options, load_as
from nirc.diagnostics.errors import Diagnostic
from nirc.diagnostics.log import Log
from nirc.frontend.raw import RawGraph, RawNode
from nirc.writers.reading import reading_of
from nirc.writers.writer import Reading
from tests.frontend.files import TEXT, found, small
from tests.models import graph, lif, linear

NOTE = "node/metadata/nirc_from"


def noted(path: Path, note: Any = "snntorch,reset=zero", **options: Any) -> Path:
    """A valid model with this note."""
    small(path)
    with h5py.File(path, "a") as file:
        file.require_group("node/metadata").create_dataset("nirc_from", data=note, **options)
    return path


def noted_object(note: object) -> nir.NIRGraph:
    """A graph of the nir package with this note."""
    ports = {"input": nir.Input(np.array([2])), "output": nir.Output(np.array([3]))}
    nodes = {**ports, "w": linear(np.random.default_rng(0), 3, 2), "lif": lif(3)}
    model = graph(nodes, [("input", "w"), ("w", "lif"), ("lif", "output")])
    model.metadata["nirc_from"] = note
    return model


def read(path: Path, **asked: Any) -> tuple[Reading, list[Diagnostic]]:
    """How a file is read, and what is said about it."""
    log = Log(strict=asked.pop("strict", False))
    _, reading = load_as(str(path), Options(**asked), log=log)
    return reading, log.diagnostics


def codes(diagnostics: list[Diagnostic]) -> list[str]:
    return [d.code for d in diagnostics if d.code.startswith("W")]


def test_a_note_is_believed_and_leaves_no_choice_open(tmp_path: Path) -> None:
    path = noted(tmp_path / "m.nir", "snntorch,reset=zero,reset_delay=no", dtype=TEXT)
    reading, diagnostics = read(path, strict=True)
    assert (reading.writer.name, reading.confidence) == ("snntorch", "recorded")
    assert reading.values == {"reset": "zero", "reset_delay": "no"} and not reading.open_keys
    assert reading.evidence[0] == "metadata/nirc_from is `snntorch,reset=zero,reset_delay=no`"
    assert codes(diagnostics) == ["W201"] and diagnostics[-1].severity == "note"


def test_a_choice_that_the_note_leaves_out_stays_open(tmp_path: Path) -> None:
    """The letters of a file's fingerprints tell which choices matter; the note makes one of
    them.
    """
    fields = {"r": np.ones(3, np.float32), "v_threshold": np.ones(3, np.float32)}
    neurons = RawNode("nodes/1", "IF", fields)
    raw = RawGraph({"1": neurons}, (), recorded="sinabs,spikes=one")
    log = Log()
    reading = reading_of(raw, asked=None, reset=None, discretise=None, log=log)
    assert reading.values["spikes"] == "one" and reading.open_keys == ("reset", "floor")
    assert codes(log.diagnostics) == ["W201", "W202", "W202"]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"writer": "nir"}, ("nir", "given", "model")),
        ({"writer": "snntorch,reset=none"}, ("snntorch", "given", "none")),
        ({"reset": "subtract"}, ("snntorch", "recorded", "subtract")),
        ({"discretise": "exponential"}, ("nir", "given", "model")),
    ],
)
def test_what_the_user_says_wins(
    asked: Any, expected: tuple[str, str, str], tmp_path: Path
) -> None:
    reading, _ = read(noted(tmp_path / "m.nir", dtype=TEXT), **asked)
    assert (reading.writer.name, reading.confidence, reading.values["reset"]) == expected


def as_group(file: Any) -> None:
    file.create_group(NOTE)


def as_link(file: Any) -> None:
    file.create_group("node/metadata")
    file[NOTE] = h5py.SoftLink("/version")


def as_external_link(file: Any) -> None:
    file.create_group("node/metadata")
    file[NOTE] = h5py.ExternalLink("/etc/passwd", "/")


def as_linked_metadata(file: Any) -> None:
    file["node/metadata"] = h5py.SoftLink("/node/nodes")


def as_value(value: Any, **options: Any) -> Callable[[Any], None]:
    def put(file: Any) -> None:
        file.create_group("node/metadata").create_dataset("nirc_from", data=value, **options)

    return put


@pytest.mark.parametrize(
    "put",
    [
        as_group,
        as_link,
        as_external_link,
        as_linked_metadata,
        as_value(7),
        as_value(np.ones(3)),
        as_value(["snntorch", "sinabs"], dtype=TEXT),
        as_value("", dtype=TEXT),
        as_value("s" * 201, dtype=TEXT),
        as_value("s" * 5000, dtype=TEXT),
        as_value("snntorch\x1b[2J", dtype=TEXT),
        as_value("snntorch\n", dtype=TEXT),
        as_value(np.void(b"snntorch")),
        as_value(b"\xff\xfe", dtype=TEXT),
        as_value(h5py.Empty("f")),
    ],
)
def test_what_is_no_such_text_is_ignored_with_a_warning(
    put: Callable[[Any], None], tmp_path: Path
) -> None:
    path = small(tmp_path / "m.nir")
    with h5py.File(path, "a") as file:
        put(file)
    raw, diagnostics = found(path)
    assert (
        raw is not None
        and raw.recorded == ""
        and set(raw.nodes) == {"input", "fc", "lif", "output"}
    )
    (warning,) = [d for d in diagnostics if d.code == "W207"]
    assert warning.severity == "warning" and warning.where == "metadata/nirc_from"
    assert all(c.isprintable() for c in warning.message + warning.found)


@pytest.mark.parametrize(
    "note", ["snntorch", "nir", np.bytes_("snntorch,reset=zero"), np.array(["spyx"], dtype=object)]
)
def test_text_of_any_storage_is_read(note: Any, tmp_path: Path) -> None:
    options = {} if isinstance(note, np.bytes_) else {"dtype": TEXT}
    raw, diagnostics = found(noted(tmp_path / "m.nir", note, **options))
    assert raw is not None and raw.recorded and not diagnostics


@pytest.mark.parametrize(
    ("note", "what"),
    [
        ("brian", "unknown writer"),
        ("snntorch,reset=never", "unknown value of `reset`"),
        ("snntorch,floor=1", "no choice `floor`"),
        ("snntorch,reset=zero,reset=none", "twice"),
        ("snntorch,reset", "unknown value"),
        (",", "unknown writer"),
    ],
)
def test_a_note_that_means_nothing_is_ignored_with_a_warning(
    note: str, what: str, tmp_path: Path
) -> None:
    reading, diagnostics = read(noted(tmp_path / "m.nir", note, dtype=TEXT), strict=True)
    assert reading.confidence != "recorded"
    (warning,) = [d for d in diagnostics if d.code == "W207"]
    assert what in warning.message and warning.found == note and warning.severity == "warning"


def test_metadata_of_nodes_and_of_inner_graphs_is_no_note(tmp_path: Path) -> None:
    path = small(tmp_path / "m.nir")
    with h5py.File(path, "a") as file:
        file.create_dataset("node/nodes/lif/metadata/nirc_from", data="snntorch", dtype=TEXT)
        file.create_dataset("node/metadata/author", data="me", dtype=TEXT)
    raw, diagnostics = found(path)
    assert raw is not None and raw.recorded == "" and not diagnostics


@pytest.mark.parametrize(
    ("note", "code"), [("snntorch,reset=zero", "W201"), (3, "W207"), ("x" * 300, "W207")]
)
def test_graph_objects_have_the_same_note(note: object, code: str) -> None:
    """nir keeps metadata when it writes and reads, and so does what compiles an object."""
    log = Log()
    _, reading = load_as(noted_object(note), Options(), log=log)
    assert codes(log.diagnostics)[0] == code
    assert (reading.confidence == "recorded") == (code == "W201")


def test_nir_itself_keeps_the_note(tmp_path: Path) -> None:
    nir.write(tmp_path / "one.nir", noted_object("snntorch"))
    nir.write(tmp_path / "two.nir", nir.read(tmp_path / "one.nir"))
    raw, _ = found(tmp_path / "two.nir")
    assert raw is not None and raw.recorded == "snntorch"
