"""``nir.read`` opens what nirc writes, with its type checks on. nirc reads the same network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

from nirc.api import Options, compile_model, lower
from nirc.diagnostics.errors import NircError
from nirc.diagnostics.log import Log
from nirc.frontend.raw import RawNode
from nirc.ir.linear import Sparse
from nirc.ir.program import Program
from nirc.nirfile import operators
from nirc.nirfile.graph import nir_bytes, to_graph
from nirc.semantics.run import run
from tests.build import affine, graph, if_, inp, linear, lowered, node, out
from tests.models import DATA, raster

MODELS = [
    ("zoo/basicmotions_lif_ff", "xylo"),
    ("zoo/basicmotions_lif_ff", "speck"),
    ("zoo/basicmotions_lif_ff", "spinnaker2"),
    ("zoo/japanesevowels_rsnn", "loihi2"),
    ("zoo/digits_if_cnn", "speck"),
    ("zoo/digits_if_cnn", "spinnaker2"),
    ("paper/cnn_sinabs", "loihi2"),
]


def opened(program: Program, path: Path) -> Path:
    path.write_bytes(nir_bytes(to_graph(program, Log()), {"nirc_from": "nir"}))
    nir.read(path)
    return path


@pytest.mark.parametrize(("name", "chip"), MODELS)
def test_every_stage_of_a_chip_opens(name: str, chip: str, tmp_path: Path) -> None:
    made = compile_model(DATA / f"{name}.nir", chip, Options())
    for stage in (made.stages.continuous, made.stages.discrete, made.legal, made.integer):
        opened(stage, tmp_path / "x.nir")


def conv(weight: Any, size: tuple[int, int], **other: Any) -> RawNode:
    fields = {
        "bias": np.zeros(len(weight)),
        "stride": [1, 1],
        "padding": [0, 0],
        "dilation": [1, 1],
        "groups": 1,
    }
    return node("Conv2d", weight=weight, input_shape=size, **{**fields, **other})


RNG = np.random.default_rng(0)
KERNELS: Mapping[str, tuple[tuple[int, ...], dict[str, Any], tuple[int, int]]] = {
    "groups": ((4, 1, 3, 3), {"groups": 2}, (4, 4)),
    "more columns than rows": ((4, 2, 1, 3), {"padding": [0, 1]}, (6, 6)),
    "an even kernel beside an odd one": ((4, 2, 2, 3), {}, (5, 4)),
    "dilation": ((4, 2, 3, 3), {"dilation": [2, 1]}, (2, 4)),
    "stride and padding": ((4, 2, 3, 3), {"stride": [2, 1], "padding": [1, 0]}, (3, 4)),
}


@pytest.mark.parametrize("kind", KERNELS)
def test_every_kernel_opens_and_computes_the_same(kind: str, tmp_path: Path) -> None:
    """nir.read 1.0.8 counts the channels of one group only, and takes columns for rows."""
    shape, other, after = KERNELS[kind]
    n = 4 * after[0] * after[1]
    layers = {
        "in": inp(2, 6, 6),
        "c": conv(RNG.normal(0.1, 0.5, shape), (6, 6), **other),
        "pop": node(
            "IF",
            r=np.ones((4, *after)),
            v_threshold=np.ones((4, *after)),
            v_reset=np.zeros((4, *after)),
        ),
        "flat": node("Flatten", start_dim=0, end_dim=-1, input_type=[4, *after]),
        "w": linear(RNG.normal(0.1, 0.5, (3, n))),
        "last": if_(3),
        "out": out(3),
    }
    made = lowered(graph(layers, "in c pop flat w last out"), dt=None)
    inputs = raster(RNG, 2, 20, 72)
    expected = run(made.discrete, inputs).outputs
    path = opened(made.discrete, tmp_path / "x.nir")
    assert expected.any()
    assert (run(lower(path, Options(), log=Log()).discrete, inputs).outputs == expected).all()


def test_a_map_behind_a_vector_is_written_as_a_vector(tmp_path: Path) -> None:
    """NIR has no node that makes a map of a vector: the convolution behind becomes a matrix."""
    program = lowered(
        graph(
            {
                "in": inp(2, 4, 4),
                "c": conv(RNG.normal(0.3, 0.5, (2, 2, 3, 3)), (4, 4), padding=[1, 1]),
                "pop": node(
                    "IF",
                    r=np.ones((2, 4, 4)),
                    v_threshold=np.ones((2, 4, 4)),
                    v_reset=np.zeros((2, 4, 4)),
                ),
                "d": conv(RNG.normal(0.3, 0.5, (2, 2, 3, 3)), (4, 4), padding=[1, 1]),
                "last": node(
                    "IF",
                    r=np.ones((2, 4, 4)),
                    v_threshold=np.ones((2, 4, 4)),
                    v_reset=np.zeros((2, 4, 4)),
                ),
                "out": out(2, 4, 4),
            },
            "in c pop d last out",
        ),
        dt=None,
    ).discrete
    (source, target, projection), *_ = [e for e in program.edges() if e[1] == "pop"]
    (op,) = projection.ops
    unrolled = program.rebuilt(
        dict(program.graph.nodes(data="payload")),
        [
            (
                s,
                t,
                p if (s, t) != (source, target) else type(p)(ops=(unroll(op),), origins=p.origins),
            )
            for s, t, p in program.edges()
        ],
    )
    path = opened(unrolled, tmp_path / "x.nir")
    assert [n.weight.ndim for n in nir.read(path).nodes.values() if hasattr(n, "weight")] == [2, 2]
    inputs = raster(RNG, 2, 15, 32)
    expected = run(program, inputs).outputs
    assert expected.any()
    assert (run(lower(path, Options(), log=Log()).discrete, inputs).outputs == expected).all()


def unroll(op: Any) -> Sparse:
    target, source, value = op.coo()
    return Sparse(target, source, value, op.n_in, op.n_out)


def test_a_bias_of_each_neuron_of_a_map_opens(tmp_path: Path) -> None:
    """A convolution has a bias a channel: others become a matrix with the identity."""
    shape = (2, 4, 4)
    pop = node("IF", r=np.ones(shape), v_threshold=np.ones(shape), v_reset=np.zeros(shape))
    leaky = node(
        "LIF",
        tau=np.full(shape, 8e-4),
        r=np.full(shape, 8.0),
        v_leak=np.linspace(0, 0.5, 32).reshape(shape),
        v_threshold=np.ones(shape),
        v_reset=np.zeros(shape),
    )
    for last in (pop, leaky):
        layers = {
            "in": inp(2, 4, 4),
            "c": conv(RNG.normal(0.3, 0.5, (2, 2, 3, 3)), (4, 4), padding=[1, 1]),
        }
        made = lowered(graph({**layers, "pop": last, "out": out(*shape)}, "in c pop out"))
        opened(made.discrete, tmp_path / "x.nir")
        opened(made.continuous, tmp_path / "y.nir")


def test_names_with_a_slash_open(tmp_path: Path) -> None:
    layers = {
        "in": inp(2),
        "a/b": affine(np.eye(2), [0.1, 0]),
        "a.b": if_(2),
        "c/d": if_(2),
        "out": out(2),
    }
    ways = (("in", "a/b"), ("a/b", "a.b"), ("a.b", "c/d"), ("c/d", "out"))
    opened(lowered(graph(layers, *ways), dt=None).discrete, tmp_path / "x.nir")


def test_what_is_too_large_for_a_matrix_names_both_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operators, "MOST_ENTRIES", 8)
    net = graph(
        {"in": inp(3), "w": linear(np.ones((3, 3))), "pop": if_(3), "out": out(3)}, "in w pop out"
    )
    log = Log()
    with pytest.raises(NircError):
        to_graph(lowered(net, dt=None).discrete, log)
    assert [(d.code, d.where, d.found) for d in log.errors] == [("P307", "in -> pop", "3 x 3")]
