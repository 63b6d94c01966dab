"""Files for a simulator: their nodes, names and order, and the refusals."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

from nirc.api import Options, lower
from nirc.diagnostics.errors import Diagnostic, NircError
from nirc.diagnostics.log import Log
from nirc.exporting.assembly import fault, run_order
from nirc.exporting.export import Exported, exported, for_simulator
from nirc.exporting.importable import as_stepped
from nirc.frontend.raw import RawGraph, RawNode
from nirc.semantics.run import run
from nirc.writers.writer import installed_writers
from tests.build import (
    affine,
    cuba,
    delay,
    graph,
    if_,
    inp,
    lif,
    linear,
    lowered,
    node,
    out,
    written_by,
)
from tests.commands import nirc
from tests.models import DATA, raster

RNG = np.random.default_rng(0)
SIMULATORS = ("snntorch", "norse", "sinabs", "rockpool", "spyx", "nengo", "lava")


def weights(*shape: int) -> np.ndarray:
    return RNG.normal(0.3, 0.7, shape)


def file_for(
    simulator: str, raw: RawGraph, path: Path, writer: str = "nir", **options: Any
) -> tuple[Path, Exported]:
    """The network's float stage as a file for ``simulator``, which nir.read has opened."""
    made = lowered(raw, **options) if writer == "nir" else written_by(writer, raw)
    done = for_simulator(simulator, made.reference, Log())
    path.write_bytes(done.data)
    nir.read(path)
    return path, done


def nodes(path: Path) -> dict[str, Any]:
    return dict(nir.read(path).nodes)


def refused(simulator: str, raw: RawGraph, writer: str = "nir", **options: Any) -> list[Diagnostic]:
    """Return the findings on a network that ``simulator`` cannot load."""
    made = lowered(raw, **options) if writer == "nir" else written_by(writer, raw)
    log = Log()
    with pytest.raises(NircError):
        for_simulator(simulator, made.reference, log)
    assert {d.code for d in log.errors} == {"P317"}
    return log.errors


def two_layers(first: RawNode, last: RawNode) -> RawGraph:
    layers = {
        "in": inp(6),
        "w1": affine(weights(8, 6), weights(8)),
        "first": first,
        "w2": linear(weights(3, 8)),
    }
    return graph({**layers, "last": last, "out": out(3)}, "in w1 first w2 last out")


# --- nodes, names, order ---


def test_nodes_are_named_as_signals_reach_them(tmp_path: Path) -> None:
    """Names that are words of Python or of torch modules, or have dots, are none in the file."""
    layers = {
        "in": inp(3),
        "if.weight": linear(weights(3, 3)),
        "forward": lif(3),
        "lambda": linear(weights(2, 3)),
    }
    raw = graph({**layers, "1.lif": lif(2), "out": out(2)}, "in if.weight forward lambda 1.lif out")
    path, _ = file_for("snntorch", raw, tmp_path / "x.nir")
    assert list(nodes(path)) == [
        "1_forward_linear",
        "2_forward",
        "3_1_lif_linear",
        "4_1_lif",
        "input",
        "output",
    ]


def test_scales_go_into_weights(tmp_path: Path) -> None:
    """No importer knows a Scale: a gain behind the synapse and different thresholds are folded."""
    thresholds = np.array([1.0, 2.0, 4.0])
    raw = graph(
        {
            "in": inp(3),
            "w": linear(np.eye(3)),
            "s": node("Scale", scale=np.full(3, 0.5)),
            "pop": lif(3, v_threshold=thresholds),
            "out": out(3),
        },
        "in w s pop out",
    )
    path, _ = file_for("snntorch", raw, tmp_path / "x.nir")
    found = nodes(path)
    assert [type(n).__name__ for n in found.values()] == ["Linear", "LIF", "Input", "Output"]
    np.testing.assert_allclose(found["1_pop_linear"].weight, np.diag(0.5 / thresholds))
    assert (found["2_pop"].v_threshold == 1).all()


def test_sinabs_gets_affine_nodes_with_a_bias(tmp_path: Path) -> None:
    path, _ = file_for("sinabs", two_layers(if_(8, 1.0), if_(3, 1.0)), tmp_path / "x.nir", "sinabs")
    kinds = [type(n).__name__ for n in nodes(path).values()]
    assert kinds == ["Affine", "LIF", "Affine", "LIF", "Input", "Output"]


def convolutional(neuron: Any) -> RawGraph:
    kernel = {
        "stride": [1, 1],
        "padding": [1, 1],
        "dilation": [1, 1],
        "groups": 1,
        "bias": np.zeros(4),
    }
    layers = {
        "in": inp(2, 4, 4),
        "c": node("Conv2d", weight=weights(4, 2, 3, 3), input_shape=[4, 4], **kernel),
        "pop": neuron(4, 4, 4),
        "p": node("AvgPool2d", kernel_size=[2, 2], stride=[2, 2], padding=[0, 0]),
        "f": node("Flatten", start_dim=0, end_dim=-1, input_type=[4, 2, 2]),
        "w": linear(weights(3, 16)),
        "last": neuron(3),
        "out": out(3),
    }
    return graph(layers, "in c pop p f w last out")


def if_map(*shape: int) -> RawNode:
    return node("IF", r=np.ones(shape), v_threshold=np.ones(shape), v_reset=np.zeros(shape))


@pytest.mark.parametrize(
    ("simulator", "writer", "kinds"),
    [
        ("snntorch", "nir", ["Conv2d", "LIF", "AvgPool2d", "Flatten", "Linear", "LIF"]),
        ("norse", "nir", ["Conv2d", "IF", "SumPool2d", "Flatten", "Linear", "IF"]),
        ("sinabs", "sinabs,floor=-1", ["Conv2d", "IF", "SumPool2d", "Flatten", "Affine", "IF"]),
        ("sinabs", "sinabs", ["Conv2d", "Flatten", "LIF", "Affine", "LIF"]),
        ("rockpool", "sinabs", ["Linear", "CubaLIF", "Linear", "CubaLIF"]),
        ("spyx", "spyx", ["Conv2d", "LIF", "SumPool2d", "Flatten", "Linear", "LIF"]),
        ("nengo", "nir", ["Affine", "IF", "Affine", "IF"]),
        ("lava", "nir", ["Affine", "CubaLIF", "Affine", "CubaLIF"]),
    ],
)
def test_each_simulator_gets_the_nodes_that_it_builds(
    simulator: str, writer: str, kinds: list[str], tmp_path: Path
) -> None:
    """Averages become sums with a factor in the weights. Vectors get matrices."""
    raw = convolutional(if_map)
    path, made = file_for(
        simulator, raw, tmp_path / "x.nir", writer, **({"dt": None} if writer == "nir" else {})
    )
    found = nodes(path)
    assert [
        type(n).__name__ for n in found.values() if not isinstance(n, nir.Input | nir.Output)
    ] == kinds
    assert made.shape == ((32,) if "Conv2d" not in kinds else (2, 4, 4))


def test_columns_for_spyx_count_the_channel_last(tmp_path: Path) -> None:
    path, _ = file_for("spyx", convolutional(if_map), tmp_path / "x.nir", "spyx")
    plain, _ = file_for("norse", convolutional(if_map), tmp_path / "y.nir", dt=None)
    matrix = next(n.weight for n in nodes(path).values() if isinstance(n, nir.Linear))
    other = next(n.weight for n in nodes(plain).values() if isinstance(n, nir.Linear))
    assert matrix.shape == other.shape == (3, 16)
    rows = [m.weight for p in (path, plain) for m in nodes(p).values() if isinstance(m, nir.Linear)]
    assert not np.array_equal(rows[0], rows[1])


def recurrent(neuron: RawNode) -> RawGraph:
    layers = {
        "in": inp(6),
        "w1": linear(weights(8, 6)),
        "pop": neuron,
        "rec": affine(weights(8, 8), weights(8)),
    }
    ways = ("in w1 pop w2 last out", "pop rec pop")
    return graph({**layers, "w2": linear(weights(3, 8)), "last": lif(3), "out": out(3)}, *ways)


@pytest.mark.parametrize("neuron", [lif(8), cuba(8)], ids=["LIF", "CubaLIF"])
def test_snntorch_does_not_take_a_loop_for_a_cell_of_its_own(
    neuron: RawNode, tmp_path: Path
) -> None:
    """A cell of two nodes would be imported with its input in the wrong place. It has three."""
    path, _ = file_for("snntorch", recurrent(neuron), tmp_path / "x.nir")
    edges = nir.read(path).edges
    assert all((b, a) not in edges for a, b in edges)
    back = nodes(path)["4_pop_linear"]
    assert (back.weight == np.eye(8)).all()


def test_a_constant_on_the_way_back_acts_from_the_first_step(tmp_path: Path) -> None:
    """A loop has sent nothing at the first step: its bias goes to the way forward."""
    path, _ = file_for("norse", recurrent(lif(8)), tmp_path / "x.nir")
    found = nodes(path)
    assert isinstance(found["1_pop_affine"], nir.Affine)
    assert isinstance(found["3_pop_linear"], nir.Linear)


def test_rockpool_gets_a_graph_for_each_recurrent_population(tmp_path: Path) -> None:
    synapse = {"r": np.full(8, 4.5), "w_in": np.ones(8)}
    net = recurrent(cuba(8, 5, 3, **synapse))
    pop = net.nodes["pop"]
    net = RawGraph(
        {**net.nodes, "last": cuba(3, 5, 3, r=np.full(3, 4.5), w_in=np.ones(3))}, net.edges
    )
    assert pop.type == "CubaLIF"
    path, _ = file_for("rockpool", net, tmp_path / "x.nir", "rockpool")
    inner = nodes(path)["2_pop"]
    assert isinstance(inner, nir.NIRGraph)
    assert sorted(type(n).__name__ for n in inner.nodes.values()) == [
        "CubaLIF",
        "Input",
        "Linear",
        "Output",
    ]


def test_a_clock_takes_nothing_of_the_input(tmp_path: Path) -> None:
    """A population that a constant alone drives is wired to the Input by zeros."""
    layers = {
        "in": inp(2),
        "w": linear(weights(3, 2)),
        "pop": lif(3),
        "last": linear(weights(2, 3)),
        "l": lif(2),
    }
    made = lowered(graph({**layers, "out": out(2)}, "in w pop last l out")).reference
    clock = made["pop"]
    nodes_ = dict(made.graph.nodes(data="payload")) | {"clock": clock}
    (projection,) = [p for s, t, p in made.edges() if (s, t) == ("pop", "l")]
    biased = type(clock)(clock.shape, with_drift(clock.dynamics), clock.origins)
    program = made.rebuilt({**nodes_, "clock": biased}, [*made.edges(), ("clock", "l", projection)])
    (tmp_path / "x.nir").write_bytes(for_simulator("snntorch", program, Log()).data)
    affine_ = [n for n in nodes(tmp_path / "x.nir").values() if isinstance(n, nir.Affine)]
    assert [(n.weight.any(), n.bias.tolist()) for n in affine_] == [(False, [0.7] * 3)]


def with_drift(d: Any) -> Any:
    from dataclasses import replace

    return replace(d, drift=np.full(d.decay_mem.size, 0.7))


# --- what is read again ---


@pytest.mark.parametrize(
    ("simulator", "writer", "raw"),
    [
        ("snntorch", "nir", two_layers(lif(8), lif(3))),
        ("snntorch,reset=subtract,reset_delay=yes", "snntorch", two_layers(lif(8), cuba(3))),
        ("snntorch", "nir", recurrent(lif(8))),
        ("norse", "nir", two_layers(lif(8, v_leak=np.full(8, 0.2)), cuba(3))),
        ("norse", "nir,reset=subtract", two_layers(lif(8), cuba(3))),
        ("sinabs", "sinabs", two_layers(if_(8, 1.0), if_(3, 1.0))),
        ("sinabs", "sinabs,floor=-1", two_layers(if_(8, 1.0), if_(3, 1.0))),
        (
            "rockpool",
            "rockpool",
            two_layers(cuba(8, r=np.full(8, 7.0)), cuba(3, r=np.full(3, 7.0))),
        ),
        ("spyx", "spyx", two_layers(lif(8, r=np.full(8, 0.875)), lif(3, r=np.full(3, 0.875)))),
        ("spyx", "spyx", convolutional(if_map)),
        ("nengo", "nir", two_layers(if_(8, 1.0), if_(3, 1.0))),
    ],
)
def test_nirc_reads_the_file_as_the_simulator_loads_it(
    simulator: str, writer: str, raw: RawGraph, tmp_path: Path
) -> None:
    """The file records for whom it is, and by which choices."""
    made = written_by(writer, raw, dt=1e-4 if writer.startswith("nir") else None)
    path = tmp_path / "x.nir"
    path.write_bytes(for_simulator(simulator, made.reference, Log()).data)
    log = Log()
    stages = lower(path, Options(), log=log)
    name, _, choices = simulator.partition(",")
    assert stages.reading.writer.name == name and stages.reading.confidence == "recorded"
    assert "as=loaded" in stages.reading.text and all(
        c in stages.reading.text for c in choices.split(",")
    )
    assert [d.code for d in log.diagnostics if d.severity != "note" and d.code != "W205"] == []
    inputs = raster(RNG, 2, 30, 32 if raw.nodes["in"].fields["shape"].size == 3 else 6)
    wanted, got = (
        run(p, inputs).outputs for p in (as_stepped(made.reference, Log()), stages.reference)
    )
    assert wanted.any() and (np.isclose(wanted, got, atol=1e-4)).mean() > 0.99


# --- refusals ---


def test_a_refusal_names_the_node_and_the_reason_and_what_to_do() -> None:
    (first, last) = refused("snntorch", two_layers(lif(8), lif(3)), "snntorch")
    assert [first.where, last.where] == ["nodes/first", "nodes/last"]
    assert "subtracts the threshold in the step after a spike" in first.message
    assert "loaded it sets the membrane at once" in first.message
    assert "--for snntorch,reset=subtract,reset_delay=yes" in first.help


@pytest.mark.parametrize("simulator", ["sinabs", "rockpool"])
def test_a_bound_of_spikes_that_the_simulator_does_not_know_is_refused(
    simulator: str, tmp_path: Path
) -> None:
    """Both importers build neurons without a bound. 31 is only the width of a chip's counter."""
    (first, *_) = refused(simulator, two_layers(if_(8), if_(3)), "sinabs,spikes=3")
    assert "up to 3 times" in first.message
    file_for(simulator, two_layers(if_(8), if_(3)), tmp_path / "n.nir", "sinabs,spikes=31")


def test_a_refusal_names_simulators_that_can_be_told() -> None:
    first, _ = refused("sinabs", two_layers(lif(8), lif(3)))
    assert "--for norse, snntorch can be told" in first.help


@pytest.mark.parametrize(
    ("last", "takers"),
    [
        (
            node("LI", tau=[8e-4] * 3, r=[8.0] * 3, v_leak=[0.0] * 3),
            [],
        ),  # rockpool and sinabs take it, not the others
        (lif(3), ["norse", "snntorch"]),
    ],
    ids=["li", "lif"],
)
def test_only_simulators_that_take_the_whole_network_are_named(
    last: RawNode, takers: list[str]
) -> None:
    """Every refusal of a network names the same simulators, whatever of it they are about."""
    raw = two_layers(lif(8), last)
    for each in refused("spyx", raw):
        named = each.help.partition(" can be told")[0] if "can be told" in each.help else ""
        assert [n for n in named.removeprefix("--for ").split(", ") if n] == takers
    for taker in takers:
        for_simulator(taker, lowered(raw).reference, Log())


def shortcut(*ways: str) -> RawGraph:
    """Three populations, and more than one way from the first to the last."""
    layers = {f"w{i}": linear(weights(4, 4)) for i in range(4)} | {name: lif(4) for name in "abc"}
    return graph({"in": inp(4), **layers, "out": out(4)}, "in w0 a w1 b w2 c out", *ways)


def test_a_shortcut_one_to_one_is_run_in_order(tmp_path: Path) -> None:
    raw = shortcut("a c")
    raw = RawGraph({n: x for n, x in raw.nodes.items() if n != "w3"}, raw.edges)
    for simulator in ("snntorch", "norse"):
        file_for(simulator, raw, tmp_path / "x.nir")


def test_branches_that_meet_are_refused_where_they_are_run_too_late(tmp_path: Path) -> None:
    """nirtorch.load walks depth first: `c` would be run before one of its inputs."""
    raw = shortcut("a w3 c")
    file_for("snntorch", raw, tmp_path / "x.nir")
    (only,) = refused("norse", raw)
    assert "`c` would be run before all its inputs are there" in only.message


def test_delays_are_refused() -> None:
    layers = {
        "in": inp(2),
        "w": linear(weights(3, 2)),
        "a": lif(3),
        "d": delay(np.full(3, 2e-4)),
        "b": lif(3),
    }
    raw = graph({**layers, "out": out(3)}, "in w a d b out")
    (only,) = refused("norse", raw)
    assert only.found == "2 step(s) from `a` to `b`"


def test_two_inputs_are_refused() -> None:
    layers = {
        "x": inp(2),
        "y": inp(2),
        "w": linear(weights(2, 2)),
        "v": linear(weights(2, 2)),
        "a": lif(2),
    }
    raw = graph({**layers, "out": out(2)}, "x w a out", "y v a")
    (only,) = refused("norse", raw)
    assert "2 nodes of type Input" in only.message and only.found == "`x`, `y`"


def test_a_loop_is_refused_where_layers_run_one_after_the_other() -> None:
    errors = refused(
        "nengo",
        graph(
            {"in": inp(2), "a": if_(2), "w": linear(weights(2, 2)), "out": out(2)},
            "in a out",
            "a w a",
        ),
    )
    assert "without a way back" in errors[0].message


def test_choices_that_contradict_each_other_name_both_nodes() -> None:
    """Norse's reset_method is one for all neurons with a synapse."""
    made = lowered(two_layers(cuba(8), cuba(3)))
    subtract = lowered(two_layers(cuba(8), cuba(3)), reset="subtract").reference
    mixed = made.reference.mapped({"last": subtract["last"]})
    log = Log()
    with pytest.raises(NircError):
        for_simulator("norse", mixed, log)
    (only,) = log.errors
    assert "`last` and `first` need another reset each" in only.message


def test_an_argument_of_the_importer_is_told(tmp_path: Path) -> None:
    log = Log()
    made = for_simulator(
        "norse", lowered(two_layers(cuba(8), cuba(3)), reset="subtract").reference, log
    )
    assert [d.code for d in log.diagnostics] == ["P319"]
    assert "reset_method" in made.loading


# --- the order in which nodes are run ---

DIAMOND = [("in", "a"), ("in", "b"), ("a", "c"), ("b", "c"), ("c", "out")]


@pytest.mark.parametrize(
    ("order", "names"),
    [
        ("depth first", ["in", "a", "c", "out", "b"]),
        ("ready", ["in", "a", "b", "c", "out"]),
        ("path", ["in", "a", "c", "out"]),
    ],
)
def test_a_diamond_is_run_in_the_simulators_order(order: Any, names: Sequence[str]) -> None:
    assert run_order(order, ["a", "b", "c", "in", "out"], DIAMOND, "in") == names
    wrong = {"depth first": "c", "ready": "", "path": "b"}[order]
    assert fault(names, DIAMOND, [], "out") == wrong


def test_a_node_that_is_never_ready_is_left_out() -> None:
    edges = [("in", "a"), ("b", "a"), ("c", "b"), ("b", "c")]
    assert run_order("ready", ["a", "b", "c", "in"], edges, "in") == ["in"]


def test_what_leads_back_has_to_run_later() -> None:
    assert (
        fault(["in", "a", "w", "out"], [("in", "a"), ("a", "w"), ("a", "out")], [("w", "a")], "out")
        == ""
    )
    assert fault(["in", "w", "a", "out"], [("in", "a"), ("a", "out")], [("w", "a")], "out") == "a"


# --- the command line ---


def test_the_command_prints_how_the_file_is_loaded(tmp_path: Path) -> None:
    model = DATA / "zoo/digits_if_cnn.nir"
    done = nirc("export", model, "--stage", "float", "--for", "norse", "-o", "n.nir", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "norse.torch.from_nir(nir.read('n.nir'))" in done.stdout
    told = json.loads(nirc("inspect", "n.nir", "--format", "json", cwd=tmp_path).stdout)
    assert (told["writer"]["name"], told["writer"]["confidence"]) == ("norse", "recorded")


def test_the_command_refuses_and_writes_nothing(tmp_path: Path) -> None:
    model = DATA / "zoo/basicmotions_lif_ff.nir"
    done = nirc(
        "export", model, "--stage", "float", "--for", "snntorch", "-o", "n.nir", cwd=tmp_path
    )
    assert done.returncode == 1 and "P317" in done.stderr and "nodes/1" in done.stderr
    assert not (tmp_path / "n.nir").exists()
    choices = "snntorch,reset=subtract,reset_delay=yes"
    done = nirc("export", model, "--stage", "float", "--for", choices, "-o", "n.nir", cwd=tmp_path)
    assert done.returncode == 0 and "P319" in done.stderr and "_base_sub" in done.stdout


@pytest.mark.parametrize(
    "asked", ["foo", "nir", "norse,foo=1", "norse,reset=none", "norse,reset=zero,reset=zero", ""]
)
def test_a_simulator_that_does_not_exist_is_a_mistake_of_usage(asked: str) -> None:
    log = Log()
    with pytest.raises(NircError) as refusal:
        exported(DATA / "zoo/digits_if_cnn.nir", "float", None, Options(), simulator=asked, log=log)
    assert refusal.value.exit_code == 2 and log.errors[0].code == "U607"


def test_every_writer_but_the_letter_says_how_it_loads() -> None:
    assert {n for n, w in installed_writers().items() if w.importer is not None} == set(SIMULATORS)
