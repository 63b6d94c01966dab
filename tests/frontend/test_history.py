"""Published files, old and new, are all read; every deviation is named by code, node and field.

Their writers are recognised where the file shows them, and what it does not say is asked for.
"""

from __future__ import annotations

from pathlib import Path

import pytest

import nirc
from nirc.api import Options, load_as
from nirc.diagnostics.log import Log
from nirc.ir.layers import Conv, LayerNode, Neuron
from nirc.ir.program import Program


def read(path: Path) -> tuple[Program, set[tuple[str, str]]]:
    """The canonical layers, and (code, where) of all that was said about the file's form."""
    log = Log()
    program = nirc.load(path, log=log)
    return program, {(d.code, d.where) for d in log.diagnostics if not d.code.startswith("W")}


def asked(path: Path) -> tuple[str, list[str]]:
    """Who wrote the file, and what it leaves open, as W201 to W203 say it."""
    log = Log()
    _, reading = load_as(path, Options(), log=log)
    said = [(d.code, d.found) for d in log.diagnostics if d.code.startswith("W")]
    codes = {
        "conclusive": ["W201", *["W202"] * len(reading.open_keys)],
        "open": ["W203"],
        "none": [],
    }
    assert [code for code, _ in said] == codes[reading.confidence]
    return reading.text, [found for code, found in said if code == "W202"]


def absent(*nodes: str, fields: tuple[str, ...] = ("v_reset", "w_in")) -> set[tuple[str, str]]:
    codes = {"v_reset": "G218", "w_in": "G219"}
    return {(codes[field], f"nodes/{node}/{field}") for node in nodes for field in fields}


def neurons(program: Program) -> dict[str, tuple[int, ...] | None]:
    return {
        n: p.shape_out for n, p in program.nodes(LayerNode).items() if isinstance(p.layer, Neuron)
    }


def test_flattened_braille_has_scalars_for_whole_populations(data: Path) -> None:
    program, said = read(data / "history/braille_flattened-190043.nir")
    assert said == absent("lif1", "lif2") | {
        ("G206", "nodes/lif1/tau_syn"),
        ("G206", "nodes/lif2/tau_syn"),
    }
    assert neurons(program) == {"lif1": (38,), "lif2": (7,)}
    assert program["lif1"].layer.tau_syn_s.shape == (38,)


def test_nested_braille_has_an_inner_input_of_the_wrong_shape(data: Path) -> None:
    program, said = read(data / "history/braille_subgraph-77b4a8.nir")
    assert said == absent("hidden/nodes/lif", "lif2") | {("G207", "nodes/hidden/nodes/input/shape")}
    assert neurons(program) == {"hidden.lif": (38,), "lif2": (7,)}


def test_braille_flattened_by_name_is_reached_through_its_ports(data: Path) -> None:
    program, said = read(data / "history/braille_v2-50b2fc.nir")
    assert said == absent("lif1.lif", "lif2") | {("G202", "edges"), ("G207", "nodes/input/shape")}
    assert neurons(program) == {"lif1.lif": (38,), "lif2": (7,)}
    edges = {(s, t) for s, t, _ in program.edges()}
    assert ("lif1.w_rec", "lif1.lif") in edges and ("lif1.lif", "lif1.w_rec") in edges


def test_rockpool_has_leading_ones_everywhere(data: Path) -> None:
    program, said = read(data / "history/lif_rockpool-d70a32.nir")
    (name,) = neurons(program)
    assert said == absent(name, fields=("v_reset",)) | {("G207", "nodes/output/shape")}
    assert neurons(program) == {name: (1,)}


def test_an_old_convolutional_net_leaves_its_shapes_to_us(data: Path) -> None:
    program, said = read(data / "history/scnn_mnist-669fbf.nir")
    firing, convolutions = ("1", "10", "12", "3", "6"), ("0", "2", "5")
    assert said == (
        absent(*firing, fields=("v_reset",))
        | {("G205", f"nodes/{n}/r") for n in firing}
        | {("G214", f"nodes/{n}/input_shape") for n in convolutions}
        | {
            ("G207", "nodes/input/shape"),
            ("G207", "nodes/output/shape"),
            ("G209", "nodes/8/start_dim"),
        }
    )
    shapes = {"1": (16, 16, 16), "3": (16, 16, 16), "6": (8, 8, 8), "10": (256,), "12": (10,)}
    assert neurons(program) == shapes
    assert sum(isinstance(p.layer, Conv) for p in program.nodes(LayerNode).values()) == 3


@pytest.mark.parametrize(
    ("name", "nodes"),
    [
        ("braille_noDelay_bias_zero", ("lif1.lif", "lif2")),
        ("braille_noDelay_noBias_subtract", ("lif1.lif", "lif2")),
        ("cnn_sinabs", ("1", "3", "6", "10", "12")),
        ("lif_norse", ("1",)),
    ],
)
def test_the_paper_s_files_lack_v_reset_and_nothing_else(
    data: Path, name: str, nodes: tuple[str, ...]
) -> None:
    _, said = read(data / f"paper/{name}.nir")
    assert said == absent(*nodes, fields=("v_reset",))


@pytest.mark.parametrize(
    "name", ["basicmotions_lif_ff", "digits_if_cnn", "digits_lif_mlp", "japanesevowels_rsnn"]
)
def test_what_today_s_exporters_write_is_read_without_a_word(data: Path, name: str) -> None:
    _, said = read(data / f"zoo/{name}.nir")
    assert said == set()


SNNTORCH = ["snntorch,reset=subtract", "snntorch,reset_delay=yes"]


@pytest.mark.parametrize(
    ("file", "writer", "open_choices"),
    [
        ("history/braille_v2-50b2fc", "snntorch", SNNTORCH),
        ("history/lif_rockpool-d70a32", "rockpool", ["rockpool,spikes=many"]),
        ("paper/braille_noDelay_bias_zero", "snntorch", SNNTORCH),
        ("paper/braille_noDelay_noBias_subtract", "snntorch", SNNTORCH),
        (
            "paper/cnn_sinabs",
            "sinabs",
            ["sinabs,spikes=many", "sinabs,reset=subtract", "sinabs,floor=none"],
        ),
        ("zoo/basicmotions_lif_ff", "snntorch", SNNTORCH),
        ("zoo/digits_lif_mlp", "snntorch", SNNTORCH),
        ("zoo/japanesevowels_rsnn", "snntorch", SNNTORCH),
    ],
)
def test_a_writer_is_recognised_and_its_open_choices_are_named(
    data: Path, file: str, writer: str, open_choices: list[str]
) -> None:
    assert asked(data / f"{file}.nir") == (writer, open_choices)


@pytest.mark.parametrize(
    "file",
    [
        "history/braille_flattened-190043",
        "history/braille_subgraph-77b4a8",
        "history/scnn_mnist-669fbf",
        "paper/lif_norse",
        "zoo/digits_if_cnn",
    ],
)
def test_where_nothing_is_certain_the_letter_of_nir_is_read(data: Path, file: str) -> None:
    assert asked(data / f"{file}.nir") == ("nir", [])
