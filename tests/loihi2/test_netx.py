"""network.net: what lava-dl's netx reads, or a reason why it could not be exact."""

from __future__ import annotations

import io
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import h5py
import nir
import numpy as np
import pytest

import nirc
from nirc.backends.loihi2 import netx
from nirc.backends.loihi2.netx import network_net, why_no_net
from nirc.backends.loihi2.tables import Input, Output, Population, Projection, Tables, from_npz
from tests import models
from tests.loihi2.chains import FLAVOURS, random_chain
from tests.models import DATA

TWO = np.zeros(2, np.int64)


def cells(name: str, **fields: Any) -> Population:
    return replace(Population(name, 4095, 100, 500, TWO, TWO, TWO), **fields)


def resting(name: str, row: int, **fields: Any) -> Population:
    """With a bias, and from a start that it makes up for in ``row`` steps without a leak."""
    return cells(name, dv=0, bias_mant=TWO + 64, v_init=TWO - 64 * row, **fields)


def way(source: str, target: str, weights: Any = ((2, 4), (-6, 8)), **fields: Any) -> Projection:
    return replace(
        Projection(f"{source} {target}", source, target, "dense", np.array(weights), "mixed"),
        **fields,
    )


def chain(*projections: Projection, **fields: Any) -> Tables:
    """in -> a -> b, two of each, unless said otherwise."""
    ways = projections or (way("in", "a"), way("a", "b"))
    made = Tables(
        2,
        (Input("in", np.arange(2)),),
        (cells("a"), cells("b")),
        ways,
        (Output("b", np.arange(2)),),
    )
    return replace(made, **fields)


def read(tables: Tables) -> dict[str, Any]:
    """All of the file by path."""
    data = network_net(tables)
    assert data is not None, why_no_net(tables)
    found: dict[str, Any] = {}
    with h5py.File(io.BytesIO(data)) as file:
        file.visititems(
            lambda name, node: (
                found.update({name: node[()]}) if isinstance(node, h5py.Dataset) else None
            )
        )
    return found


def test_a_chain_layer_by_layer() -> None:
    biased = cells("b", bias_mant=np.array([192, 3]), bias_exp=np.array([0, 6]))
    delayed = way("a", "b", delays=np.array([[0, 1], [62, 3]]))
    found = read(chain(way("in", "a"), delayed, populations=(cells("a", du=0, dv=4096), biased)))
    assert {path: value.tolist() for path, value in found.items()} == {
        "layer/0/type": [b"input"],
        "layer/0/shape": [2],
        "layer/1/type": [b"dense"],
        "layer/1/shape": [2],
        "layer/1/weight": [[2, 4], [-6, 8]],
        "layer/1/neuron/type": [b"CUBA"],
        "layer/1/neuron/iDecay": 1,
        "layer/1/neuron/vDecay": 4096,
        "layer/1/neuron/vThMant": 500,
        "layer/2/type": [b"dense"],
        "layer/2/shape": [2],
        "layer/2/weight": [[2, 4], [-6, 8]],
        "layer/2/delay": [[0, 1], [62, 3]],
        "layer/2/bias": [3, 3],
        "layer/2/neuron/type": [b"CUBA"],
        "layer/2/neuron/iDecay": 4096,
        "layer/2/neuron/vDecay": 100,
        "layer/2/neuron/vThMant": 500,
    }


def test_maps_are_flattened_before_a_dense_layer() -> None:
    found = read(random_chain(np.random.default_rng(0), "convolutional"))
    assert [found[f"layer/{i}/type"][0] for i in range(5)] == [
        b"input",
        b"conv",
        b"flatten",
        b"dense",
        b"dense",
    ]
    assert found["layer/0/shape"].tolist() == [2, 6, 5] and found["layer/1/weight"].shape == (
        4,
        1,
        3,
        2,
    )
    assert found["layer/1/stride"].tolist() == [2, 1] and found["layer/1/groups"] == 2


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_same_tables_same_bytes(flavour: str) -> None:
    for seed in range(3):
        tables = random_chain(np.random.default_rng(seed), flavour)
        first = network_net(tables)
        assert first is not None and first == network_net(tables)


def test_exponents_become_whole_weights() -> None:
    found = read(
        chain(way("in", "a", [[4, 8], [-12, 16]], weight_exp=-1), way("a", "b", weight_exp=3))
    )
    assert found["layer/1/weight"].tolist() == [[2, 4], [-6, 8]]
    assert found["layer/2/weight"].tolist() == [[16, 32], [-48, 64]]


NO_CHAINS: dict[str, tuple[Tables, str]] = {
    "two inputs": (
        chain(inputs=(Input("in", np.arange(2)), Input("more", np.arange(2)))),
        "several inputs",
    ),
    "other lines": (chain(inputs=(Input("in", np.array([1, 0])),)), "channels of the raster"),
    "a branch": (chain(way("in", "a"), way("in", "b")), "2 projections lead on"),
    "a dead end": (chain(way("in", "a")), "0 projections lead on"),
    "a skip": (chain(way("in", "a"), way("a", "b"), way("b", "a")), "lead back"),
    "two loops": (
        chain(way("in", "a"), way("a", "a"), way("a", "a", name="again"), way("a", "b")),
        "several recurrent",
    ),
    "an output inside": (chain(outputs=(Output("a", np.arange(2)),)), "last population"),
    "a rounded sum": (
        chain(way("in", "a", weight_exp=-2), way("a", "b")),
        "rounded by its negative exponent",
    ),
    "large weights": (
        chain(way("in", "a", [[200, 2], [2, -2]], weight_exp=2), way("a", "b")),
        "8 bits",
    ),
    "no weights": (chain(way("in", "a", [[0, 0], [0, 0]]), way("a", "b")), "without weights"),
    "a delay of 63": (
        chain(way("in", "a", delays=np.array([[0, 0], [63, 0]])), way("a", "b")),
        "clips delays",
    ),
    "a delayed loop": (
        chain(way("in", "a"), way("a", "a", delays=np.ones((2, 2), np.int64)), way("a", "b")),
        "recurrent layer wrong",
    ),
    "a start": (chain(populations=(cells("a"), cells("b", v_init=TWO + 100))), "start at 0"),
    "a start that some have not": (
        chain(populations=(resting("a", 1), cells("b", bias_mant=TWO + 64))),
        "of `b`",
    ),
    "a spike before the reset": (
        chain(populations=(resting("a", 1, vth=0), resting("b", 2))),
        "of `a`",
    ),
    "a fine bias": (
        chain(populations=(cells("a"), cells("b", bias_mant=TWO + 32))),
        "multiple of 64",
    ),
    "a large bias": (
        chain(populations=(cells("a"), cells("b", bias_mant=TWO + 4095, bias_exp=TWO + 7))),
        "multiple of 64",
    ),
    "odd beside signed": (
        chain(
            way("in", "a", [[253, 1], [1, 1]], sign_mode="excitatory"), way("a", "a"), way("a", "b")
        ),
        "ninth bit",
    ),
}


@pytest.mark.parametrize("case", NO_CHAINS)
def test_what_netx_would_change_is_not_written_and_the_reason_is_told(case: str) -> None:
    tables, reason = NO_CHAINS[case]
    assert network_net(tables) is None
    assert reason in why_no_net(tables)


def test_starts_that_biases_make_up_for_are_a_reset() -> None:
    data = network_net(chain(populations=(resting("a", 1), resting("b", 2))))
    assert data is not None
    with h5py.File(io.BytesIO(data)) as file:
        assert file.attrs["load"].endswith(
            '(net_config="network.net", reset_interval=STEPS, reset_offset=1)'
        )
    plain = network_net(chain())
    assert plain is not None
    with h5py.File(io.BytesIO(plain)) as file:
        assert file.attrs["load"] == 'lava.lib.dl.netx.hdf5.Network(net_config="network.net")'


def test_no_reason_where_there_is_a_file() -> None:
    assert why_no_net(chain()) == ""


@pytest.mark.parametrize("netx", ["chains", "never"])
def test_a_bundle_has_the_file_or_says_why_not(netx: str) -> None:
    made = nirc.compile(DATA / "paper/lif_norse.nir", "loihi2", dt=1e-4, chip={"netx": netx})
    notes = [d.message for d in made.diagnostics if d.code == "L813"]
    if netx == "chains":
        assert not notes and "network.net" in made.files
    else:
        assert "network.net" not in made.files and "do not fit into 8 bits" in notes[0]


def test_a_chain_whose_weights_are_far_above_its_threshold_keeps_its_exponents() -> None:
    """Without them a threshold would have a unit or two."""
    model = models.chain(
        2, nir.Linear(np.array([[200.0, 1.0], [1.0, 1.0]])), models.lif(2), n_out=2
    )
    made = nirc.compile(model, "loihi2", dt=models.DT)
    assert "network.net" not in made.files
    (population,) = from_npz(made.files["network.npz"]).populations
    assert population.vth > 64


@pytest.mark.parametrize(
    ("weights", "reason"),
    [
        ([[0, 0]], "without weights"),
        ([[1, 0]], ""),
        ([[-1, 0]], "would change weights"),
        ([[-1, -3]], ""),
        ([[255, 0]], ""),
        ([[256, 0]], "do not fit into 8 bits"),
        ([[-256, 0]], "would change weights"),
        ([[-257, 0]], "do not fit into 8 bits"),
        ([[-254, 254]], ""),
        ([[-254, 255]], "do not fit into 8 bits"),
        ([[-253, 127]], "a ninth bit"),
        ([[-256, -3, 0]], "a ninth bit"),
        ([[-1, 1]], ""),
    ],
)
def test_netx_takes_weights_that_it_keeps(weights: list[list[int]], reason: str) -> None:
    matrix = np.array(weights)
    if not reason:
        netx._unchanged([matrix], "w")
        return
    with pytest.raises(netx._NotAChainError, match=reason):
        netx._unchanged([matrix], "w")


def test_a_layer_of_two_matrices_is_read_with_one_scale() -> None:
    netx._unchanged([np.array([[2]]), np.array([[4]])], "w")
    with pytest.raises(netx._NotAChainError):
        netx._unchanged([np.array([[200]]), np.array([[-3]])], "w")


def test_a_list_becomes_a_matrix_up_to_a_size(monkeypatch: pytest.MonkeyPatch) -> None:
    values, sizes = np.array([5, -6]), {"a": 3, "b": 2}
    listed = Projection("w", "a", "b", "sparse", values, "mixed", rows=np.array([0, 1]),
                        cols=np.array([2, 0]))  # fmt: skip
    monkeypatch.setattr(netx, "MAX_MATRIX", 6)
    assert netx._matrix(listed, values, sizes).tolist() == [[0, 0, 5], [-6, 0, 0]]
    monkeypatch.setattr(netx, "MAX_MATRIX", 5)
    with pytest.raises(netx._NotAChainError, match="too large"):
        netx._matrix(listed, values, sizes)


@pytest.mark.parametrize(
    ("wires", "line"),
    [
        (["in a", "a a", "a out"], True),
        (["in a", "in b", "b out"], False),
        (["in b", "a b", "b out"], False),
    ],
)
def test_a_line_has_no_node_with_two_before_or_behind(wires: list[str], line: bool) -> None:
    """A wire of a node to itself does not count."""
    program = SimpleNamespace(edges=lambda: [(*wire.split(), None) for wire in wires])
    assert netx.is_line(cast(Any, program)) == line
