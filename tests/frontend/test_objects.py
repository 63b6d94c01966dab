"""A graph of the nir package means the same whether it is handed over or written and read."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nir
import numpy as np
import pytest

from nirc.diagnostics.errors import Diagnostic, InputError
from nirc.diagnostics.log import Log
from nirc.frontend.hdf5 import read_raw
from nirc.frontend.objects import raw_from_object
from nirc.frontend.raw import RawGraph

ONE = np.ones(4)
WEIGHT = np.arange(12.0).reshape(4, 3)
KERNEL = np.ones((2, 1, 3, 3), np.float32)
PRIMITIVES: dict[str, Any] = {
    "Affine": nir.Affine(WEIGHT, ONE),
    "Linear": nir.Linear(WEIGHT.astype(np.float16)),
    "Scale": nir.Scale(ONE),
    "Conv1d": nir.Conv1d(9, np.ones((2, 1, 3)), 1, "same", 1, 1, np.zeros(2)),
    "Conv2d": nir.Conv2d((8, 8), KERNEL, 1, (1, 1), 1, 1, np.zeros(2)),
    "Conv2d text": nir.Conv2d((8, 8), KERNEL, (1, 1), "valid", (1, 1), 1, np.zeros(2)),
    "SumPool2d": nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])),
    "AvgPool2d": nir.AvgPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])),
    "Flatten": nir.Flatten({"input": np.array([2, 4, 4])}, 0, -1),
    "Delay": nir.Delay(ONE),
    "I": nir.I(ONE),
    "LI": nir.LI(ONE, ONE, ONE),
    "IF": nir.IF(ONE, ONE),
    "LIF": nir.LIF(ONE, ONE, ONE, ONE, v_reset=-ONE),
    "CubaLI": nir.CubaLI(ONE, ONE, ONE, ONE, 2.0),
    "CubaLIF": nir.CubaLIF(ONE, ONE, ONE, ONE, ONE),
    "Threshold": nir.Threshold(ONE),
    "Input": nir.Input({"input": np.array([3])}),
    "Output": nir.Output({"output": np.array([4])}),
}


def graph(**nodes: Any) -> Any:
    """``nodes`` between an Input and an Output that nothing checks."""
    ends = {"input": nir.Input(np.array([3])), "output": nir.Output(np.array([4]))}
    edges = [("input", name) for name in nodes] + [(name, "output") for name in nodes]
    return nir.NIRGraph({**ends, **nodes}, edges, type_check=False)


def assert_same(a: RawGraph, b: RawGraph) -> None:
    """Names in the same order, paths, types, fields with their types, edges, version."""
    assert (list(a.nodes), a.edges, a.version) == (list(b.nodes), b.edges, b.version)
    for left, right in zip(a.nodes.values(), b.nodes.values(), strict=True):
        assert (left.path, left.type, sorted(left.fields)) == (
            right.path,
            right.type,
            sorted(right.fields),
        )
        for name, value in left.fields.items():
            assert type(value) is type(right.fields[name]), name
            np.testing.assert_array_equal(
                value, right.fields[name], err_msg=name, strict=not isinstance(value, str)
            )
        assert (left.graph is None) == (right.graph is None)
        if left.graph is not None and right.graph is not None:
            assert_same(left.graph, right.graph)


def errors(model: object) -> list[Diagnostic]:
    with pytest.raises(InputError) as caught:
        raw_from_object(model, Log())
    return list(caught.value.diagnostics)


@pytest.mark.parametrize("kind", PRIMITIVES)
def test_each_primitive_is_as_read_from_its_file(tmp_path: Path, kind: str) -> None:
    model = graph(x=PRIMITIVES[kind])
    nir.write(tmp_path / "m.nir", model)
    raw = raw_from_object(model, Log())
    assert raw.nodes["x"].type == kind.removesuffix(" text")
    assert_same(raw, read_raw(tmp_path / "m.nir", Log()))


def test_all_primitives_of_nir_are_tried() -> None:
    kinds = {n.removesuffix(" text") for n in PRIMITIVES} | {
        "NIRGraph",
        "NIRNode",
        "str2NIRNode",
        "dict2NIRNode",
    }
    assert kinds == set(nir.ir.__all__)


def test_a_nested_graph_is_as_read_from_its_file(tmp_path: Path) -> None:
    model = graph(b=graph(lif=PRIMITIVES["LIF"]), a=PRIMITIVES["Linear"])
    nir.write(tmp_path / "m.nir", model)
    assert_same(raw_from_object(model, Log()), read_raw(tmp_path / "m.nir", Log()))


def test_fields_that_are_none_are_absent() -> None:
    raw = raw_from_object(
        graph(c=nir.Conv2d(None, KERNEL, 1, 0, 1, 1, np.zeros(2)), f=nir.Flatten(None)), Log()
    )
    assert "input_shape" not in raw.nodes["c"].fields and "input_type" not in raw.nodes["f"].fields


def test_tensors_become_arrays() -> None:
    class Tensor:
        """As torch: no numpy before detach()."""

        def __init__(self, attached: bool = True) -> None:
            self.attached = attached

        def detach(self) -> Tensor:
            return Tensor(False)

        def cpu(self) -> Tensor:
            return self

        def __array__(self, dtype: object = None, copy: object = None) -> Any:
            if self.attached:
                raise RuntimeError("Can't call numpy() on Tensor that requires grad.")
            return np.ones(4, np.float32)

    raw = raw_from_object(graph(t=nir.Threshold(ONE), s=SimpleNamespace(scale=Tensor())), Log())
    assert np.array_equal(raw.nodes["s"].fields["scale"], np.ones(4))


@pytest.mark.parametrize(
    "model", [None, {"nodes": {}}, nir.Threshold(ONE), SimpleNamespace(nodes={}, edges=[])]
)
def test_anything_else_is_no_graph(model: object) -> None:
    assert [d.code for d in errors(model)] == ["F103"]


def test_a_field_that_is_not_numbers_is_named() -> None:
    class Odd:
        def __array__(self, dtype: object = None, copy: object = None) -> Any:
            raise ZeroDivisionError("no")

    said = errors(
        graph(a=SimpleNamespace(r=object()), b=SimpleNamespace(r=Odd()), c=SimpleNamespace(r=1j))
    )
    assert [(d.code, d.where) for d in said] == [("F107", f"nodes/{n}/r") for n in "abc"]


def test_names_that_are_not_text_are_refused() -> None:
    model = graph()
    model.nodes[3] = model.nodes["input"]
    assert [d.code for d in errors(model)] == ["F113"]
    model = graph()
    model.edges = [("input", "output", "input")]
    assert [d.code for d in errors(model)] == ["F113"]


def test_a_graph_inside_itself_ends() -> None:
    model = graph()
    model.nodes["again"] = model
    assert [d.code for d in errors(model)] == ["F106"]
