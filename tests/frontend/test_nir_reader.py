"""Wherever the reader of package `nir` succeeds, nirc reads the same graph: nodes, values, edges,
shapes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nirc.diagnostics.log import Log
from nirc.frontend.load import from_nir, load_layers
from nirc.ir.layers import (
    Conv,
    Delay,
    Flatten,
    Input,
    Layer,
    LayerNode,
    Linear,
    Neuron,
    Output,
    Pool,
    Scale,
)
from nirc.ir.program import Program
from nirc.ir.text import digest, text
from nirc.passes.pipeline import run_passes
from tests.build import made

READ = [
    "paper/braille_noDelay_bias_zero", "paper/braille_noDelay_noBias_subtract", "paper/cnn_sinabs",
    "paper/lif_norse",
    "zoo/basicmotions_lif_ff", "zoo/digits_if_cnn", "zoo/digits_lif_mlp", "zoo/japanesevowels_rsnn",
]  # fmt: skip
Named = tuple[str, Any]


def named_nodes(graph: Any, prefix: str = "") -> Iterator[Named]:
    """nir's nodes by their flattened names."""
    for name, node in graph.nodes.items():
        if isinstance(node, nir.NIRGraph):
            yield from named_nodes(node, f"{prefix}{name}.")
        else:
            yield prefix + name, node


def named_edges(graph: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """nir's edges by flattened names: a subgraph is entered by its Input and left by its Output."""

    def end(name: str, kind: type) -> str:
        node = graph.nodes[name]
        inner = (
            [n for n, each in node.nodes.items() if isinstance(each, kind)]
            if hasattr(node, "nodes")
            else []
        )
        return f"{prefix}{name}.{inner[0]}" if inner else prefix + name

    for source, target in graph.edges:
        yield end(source, nir.Output), end(target, nir.Input)
    for name, node in graph.nodes.items():
        if isinstance(node, nir.NIRGraph):
            yield from named_edges(node, f"{prefix}{name}.")


def values(layer: Layer) -> dict[str, Any]:
    """A layer's values under NIR's names."""
    match layer:
        case Neuron():
            return {layer.file_field(k): v for k, v in layer.parameters().items()}
        case Linear():
            return {"weight": layer.weight} | ({} if layer.bias is None else {"bias": layer.bias})
        case Conv():
            pads = {"padding": [before for before, _ in layer.padding]}
            assert all(before == after for before, after in layer.padding)
            rest = {k: v for k, v in vars(layer).items() if k not in ("padding", "input_shape")}
            return {**rest, **pads}
        case Pool():
            return {
                "kernel_size": layer.kernel,
                "stride": layer.stride,
                "padding": tuple(n for n, _ in layer.padding),
            }
        case Flatten():
            return {"start_dim": layer.start_dim, "end_dim": layer.end_dim}
        case Scale():
            return {"scale": layer.scale}
        case Delay():
            return {"delay": layer.delay_s}
    return {}


def assert_same_values(name: str, layer: Layer, node: Any) -> None:
    """Equal, a number of theirs standing for an axis each."""
    kinds = {
        Linear: ("Affine", "Linear"),
        Conv: ("Conv1d", "Conv2d"),
        Pool: ("AvgPool2d", "SumPool2d"),
    }
    kind = type(node).__name__
    assert kind in kinds.get(type(layer), (getattr(layer, "kind", type(layer).__name__),)), name
    if isinstance(layer, Pool):
        assert {"avg": "AvgPool2d", "sum": "SumPool2d"}[layer.kind] == kind
    theirs = {
        k: v
        for k, v in vars(node).items()
        if k not in ("input_type", "output_type", "metadata", "input_shape")
    }
    theirs = {
        k: {"valid": 0, "same": 1}.get(v, v) if isinstance(v, str) else v for k, v in theirs.items()
    }  # 3 taps
    ours = values(layer)
    assert set(ours) == set(theirs), name
    for field, value in ours.items():
        np.testing.assert_array_equal(
            np.broadcast_to(theirs[field], np.shape(value)), value, f"{name}/{field}"
        )


def shaped(program: Program, log: Log) -> Program:
    """With the shapes of all signals, parameters as in the file."""
    return run_passes(
        program, [made(n) for n in ("flatten-nesting", "complete-ports", "infer-shapes")], log
    )


def assert_same(program: Program, graph: Any, log: Log) -> None:
    """``program`` as loaded is what nir read as ``graph``."""
    flat = shaped(program, log)
    theirs, ours = dict(named_nodes(graph)), flat.nodes(LayerNode)
    assert set(ours) == set(theirs)
    assert {(s, t) for s, t, _ in flat.edges()} == set(named_edges(graph))
    for name, payload in ours.items():
        assert_same_values(name, payload.layer, theirs[name])
        if isinstance(
            payload.layer, Input | Output | Conv | Neuron | Linear
        ):  # nir leaves out the others at times
            assert payload.shape_in == tuple(theirs[name].input_type["input"]), name
            assert payload.shape_out == tuple(theirs[name].output_type["output"]), name


@pytest.mark.parametrize("name", READ)
def test_files_that_nir_reads_are_read_alike(data: Path, name: str) -> None:
    log, path = Log(), data / f"{name}.nir"
    assert_same(load_layers(path, log), nir.read(path), log)


def test_nir_refuses_the_old_files(data: Path) -> None:
    """Else they belong above: `test_history.py` says how each is read."""
    old = sorted((data / "history").glob("*.nir"))
    assert len(old) == 5
    for path in old:
        with pytest.raises((ValueError, TypeError)):
            nir.read(path)


def ports(n_in: Any, n_out: Any) -> dict[str, Any]:
    return {"input": nir.Input(np.array(n_in)), "output": nir.Output(np.array(n_out))}


def every_primitive() -> Any:
    """All 19 of them; the subgraph is recurrent."""
    rng, one = np.random.default_rng(0), np.ones(6)
    recurrent = {
        **ports([6], [6]),
        "lif": nir.LIF(one, one * 2, one * 0, one * 3),
        "rec": nir.Linear(rng.random((6, 6))),
    }
    inner = [("input", "lif"), ("lif", "rec"), ("rec", "lif"), ("lif", "output")]
    pool = [np.array([2, 2]), np.array([2, 2]), np.array([0, 0])]
    nodes: dict[str, Any] = {
        **ports([2, 16, 16], [2]),
        "conv": nir.Conv2d((16, 16), rng.random((3, 2, 3, 3)), 1, 1, 1, 1, rng.random(3)),
        "fire": nir.IF(np.ones((3, 16, 16)), rng.random((3, 16, 16))),
        "sum": nir.SumPool2d(*pool),
        "avg": nir.AvgPool2d(*pool),
        "flat": nir.Flatten(np.array([3, 4, 4]), 1, 2),
        "line": nir.Conv1d(16, rng.random((2, 3, 3)), 2, "valid", 1, 1, rng.random(2)),
        "flat2": nir.Flatten(np.array([2, 7]), 0, -1),
        "affine": nir.Affine(rng.random((6, 14)), rng.random(6)),
        "cuba": nir.CubaLIF(one, one * 2, one * 3, one * 0, one * 4, one * 0.5, one * 5),
        "sub": nir.NIRGraph(recurrent, inner),
        "li": nir.LI(one, one * 2, one * 0),
        "step": nir.Threshold(one),
        "wait": nir.Delay(one),
        "scale": nir.Scale(one * 3),
        "integrate": nir.I(one * 2),
        "last": nir.Linear(rng.random((2, 6))),
        "read": nir.CubaLI(np.ones(2), np.ones(2), np.ones(2), np.zeros(2), np.ones(2)),
    }
    names = ["input", *(n for n in nodes if n not in ("input", "output")), "output"]
    return nir.NIRGraph(nodes, list(pairwise(names)))


def kinds(graph: Any) -> set[str]:
    inside = {k for n in graph.nodes.values() if isinstance(n, nir.NIRGraph) for k in kinds(n)}
    return {type(n).__name__ for n in graph.nodes.values()} | inside


def test_every_primitive_is_written_and_read_alike(tmp_path: Path) -> None:
    graph = every_primitive()
    assert (
        kinds(graph) == set(nir.ir.__all__) - {"NIRNode", "str2NIRNode", "dict2NIRNode"}
        and len(kinds(graph)) == 19
    )
    nir.write(tmp_path / "all.nir", graph)
    log = Log()
    assert_same(load_layers(tmp_path / "all.nir", log), nir.read(tmp_path / "all.nir"), log)
    assert not log.diagnostics


def parameters(draw: st.DrawFn, shape: tuple[int, ...], count: int) -> list[Any]:
    rng = np.random.default_rng(draw(st.integers(0, 1 << 16)))
    return [
        rng.uniform(0.1, 2, shape).astype(draw(st.sampled_from([np.float32, np.float64])))
        for _ in range(count)
    ]


# How many parameters each has.
ELEMENTWISE = {
    nir.I: 1, nir.LI: 3, nir.IF: 3, nir.LIF: 5, nir.CubaLI: 5, nir.CubaLIF: 7, nir.Threshold: 1,
    nir.Scale: 1,
    nir.Delay: 1,
}  # fmt: skip


@st.composite
def chains(draw: st.DrawFn) -> Any:
    """Input, layers over maps of random size, Flatten, layers of neurons, perhaps a loop, Output;
    types checked.
    """
    rng = np.random.default_rng(draw(st.integers(0, 1 << 16)))
    channels, side = draw(st.integers(1, 3)), draw(st.integers(4, 7))
    nodes: dict[str, Any] = {"input": nir.Input(np.array([channels, side, side]))}
    for number in range(draw(st.integers(0, 3))):
        kind = draw(st.sampled_from(["conv", "pool", *ELEMENTWISE]))
        if kind == "conv":
            out, stride, padding = draw(
                st.tuples(st.integers(1, 3), st.integers(1, 2), st.integers(0, 2))
            )
            known = (side, side) if draw(st.booleans()) else None
            weight = rng.normal(size=(out, channels, 3, 3))
            made_node: Any = nir.Conv2d(known, weight, stride, padding, 1, 1, rng.normal(size=out))
            channels, side = out, (side + 2 * padding - 3) // stride + 1
        elif kind == "pool":
            pool = draw(st.sampled_from([nir.SumPool2d, nir.AvgPool2d]))
            made_node = pool(np.array([2, 2]), np.array([1, 1]), np.array([1, 1]))
            side += 1
        else:
            made_node = kind(*parameters(draw, (channels, side, side), ELEMENTWISE[kind]))
        nodes[f"map{number}"] = made_node
        if side < 3:
            break
    nodes["flat"] = nir.Flatten(np.array([channels, side, side]), 0, -1)
    n = channels * side**2
    for number in range(draw(st.integers(1, 3))):
        m = draw(st.integers(1, 4))
        nodes[f"w{number}"] = nir.Affine(rng.normal(size=(m, n)), rng.normal(size=m))
        kind = draw(st.sampled_from(list(ELEMENTWISE)))
        nodes[f"n{number}"], n = kind(*parameters(draw, (m,), ELEMENTWISE[kind])), m
    nodes["output"] = nir.Output(np.array([n]))
    edges = list(pairwise(nodes))
    if draw(st.booleans()):
        nodes["rec"] = nir.Linear(rng.normal(size=(n, n)))
        last = edges[-1][0]
        edges += [(last, "rec"), ("rec", last)]
    return nir.NIRGraph(nodes, draw(st.permutations(edges)))


@settings(max_examples=40)
@given(chains())
def test_random_graphs_are_written_and_read_alike(
    tmp_path_factory: pytest.TempPathFactory, graph: Any
) -> None:
    path = tmp_path_factory.mktemp("graph") / "g.nir"
    nir.write(path, graph)
    log = Log()
    program = load_layers(path, log)
    assert_same(program, nir.read(path), log)
    assert {d.code for d in log.diagnostics} <= {
        "G214"
    }  # nir leaves out input_shape when it is not known
    assert digest(from_nir(graph)) == digest(replace(program, name="model"))


def test_a_graph_that_is_handed_over_is_the_graph_that_was_written(tmp_path: Path) -> None:
    graph = every_primitive()
    nir.write(tmp_path / "all.nir", graph)
    written = replace(load_layers(tmp_path / "all.nir", Log()), name="model")
    assert text(from_nir(graph), origins=True) == text(written, origins=True)
