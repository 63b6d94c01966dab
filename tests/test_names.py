"""A name means nothing: networks with hostile names get the same answer, findings and refusals as
with plain ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import nir
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from nirc.api import Compiled, Options, compile_model
from nirc.diagnostics.errors import NircError
from nirc.diagnostics.log import Log
from nirc.files.bounds import MAX_NAME
from nirc.ir.populations import Population
from nirc.semantics.run import run
from tests.models import DT, cuba, graph, lif, linear

CHIPS: dict[str, tuple[tuple[str, str], ...]] = {
    "xylo": (),
    "speck": (),
    "loihi2": (),
    "spinnaker2": (("copies", "4"), ("delays", "relays")),
}
STEPS = 24
MOST_ADDED = 4  # names of added populations that are tried, the shortest
Edges = list[tuple[str, str]]


@dataclass(frozen=True)
class Net:
    """A network whose nodes are called by letters, and how it is compiled."""

    nodes: Mapping[str, nir.NIRNode]
    edges: tuple[tuple[str, str], ...]
    reset: str = "model"
    readout: str | None = None
    strict: bool = False

    def renamed(self, names: Mapping[str, str]) -> nir.NIRGraph:
        """The same graph with other names."""
        edges = [(names[s], names[t]) for s, t in self.edges]
        return graph({names[n]: node for n, node in self.nodes.items()}, edges)


def li(n: int) -> nir.LI:
    one = np.ones(n)
    return nir.LI(tau=one * 8 * DT, r=one * 8, v_leak=one * 0)


def if_(n: int) -> nir.IF:
    return nir.IF(r=np.ones(n), v_threshold=np.ones(n))


def dense(n_out: int, n_in: int, seed: int = 0, scale: float = 0.5) -> nir.Linear:
    return linear(np.random.default_rng(seed), n_out, n_in, scale)


def affine(n_out: int, n_in: int) -> nir.Affine:
    return nir.Affine(dense(n_out, n_in, 1).weight, np.linspace(-0.2, 0.3, n_out))


def net(nodes: Mapping[str, nir.NIRNode], *ways: str, **options: Any) -> Net:
    """Letters in alphabetical order; a way ``"abc"`` is the edges a -> b and b -> c."""
    edges = tuple(edge for way in ways for edge in pairwise(way))
    return Net(dict(sorted(nodes.items())), edges, **options)


ENDS = {"a": nir.Input(np.array([3])), "z": nir.Output(np.array([2]))}
NETS = {
    "a chain": net(ENDS | {"b": dense(4, 3), "c": if_(4), "d": dense(2, 4), "e": if_(2)}, "abcdez",
    reset="subtract"),
    "filters and constants": net(
        ENDS | {"b": affine(4, 3), "c": cuba(4), "d": affine(2, 4), "e": cuba(2)}, "abcdez",
        reset="subtract"
    ),
    "a loop, and an output that feeds others": net(
        ENDS | {"b": dense(2, 3), "c": lif(2), "d": dense(2, 2, 2), "y": nir.Output(np.array([2]))},
        "abcdc", "cz", "cy", strict=True,
    ),
    "a membrane of an input": net(ENDS | {"b": dense(2, 3), "c": li(2)}, "abcz"),
    "a membrane that is read twice": net(
        ENDS | {"b": dense(4, 3), "c": lif(4), "d": dense(2, 4), "e": li(2),
        "y": nir.Output(np.array([2]))},
        "abcdez", "ey",
    ),
    "a sum": net(ENDS | {"b": dense(2, 3), "c": lif(2), "d": dense(2, 2)}, "abcdz", "cz"),
    "added readouts": net(ENDS | {"b": dense(4, 3), "c": if_(4), "d": dense(2, 4)}, "abcdz",
    readout="li:8"),
    "an output that is an input": net(
        ENDS | {"b": dense(2, 3), "c": lif(2), "y": nir.Output(np.array([3]))}, "abcz", "ay"
    ),
    "long delays": net(
        ENDS
        | {"b": dense(4, 3), "c": lif(4), "d": affine(2, 4), "e": lif(2),
        "f": nir.Delay(np.full(4, 150 * DT))}
        | {"g": dense(2, 4, 3)},
        "abcdez", "cfge",
    ),
    "spikes two ways": net(
        ENDS | {"b": dense(4, 3, scale=3.0), "c": lif(4), "d": dense(2, 4), "e": cuba(2),
        "f": dense(2, 3)},
        "abcdez", "afe",
    ),
}  # fmt: skip
# What passes and backends call, or called, what they add; words of manifests; and what is hard to
# hold.
SUFFIXES = (
    ".relay", ".spikes", ".sum", ".copy2", ".delayed63.1", ".delayed150.1", ".copies", ".readout",
    ".capped", "2", "'",
    ".", "/0", "~2", " -> a",
)  # fmt: skip
WORDS = (
    "in", "out", "input", "output", "always", "bias", "readout", "hidden", "neurons", "reservoir",
    "w0", "c",
    "__proto__", "", " ", "λ.ü", "脉冲", "\n", "\u202e", "x" * 255, "x" * 254 + "y",
)  # fmt: skip


@st.composite
def hostile(draw: st.DrawFn, n: int) -> list[str]:
    """``n`` names from few words, so that what is added for one node is called as another."""
    words = draw(st.lists(st.sampled_from(WORDS), min_size=1, max_size=3, unique=True))
    suffixes = st.lists(st.sampled_from(SUFFIXES), max_size=2).map("".join)
    name = st.builds(
        lambda word, suffix: (word + suffix)[:MAX_NAME], st.sampled_from(words), suffixes
    )
    return draw(st.lists(name, min_size=n, max_size=n, unique=True))


@dataclass(frozen=True)
class Outcome:
    """What must not depend on names: codes with severities, and if it compiles, what comes out."""

    said: list[tuple[str, str]]
    output: Any = None
    populations: Any = None
    alone: Any = None


def compiled(net: Net, chip: str, names: Mapping[str, str], log: Log) -> Compiled:
    options = Options(
        dt_s=DT,
        reset=net.reset,
        readout=net.readout,
        strict=net.strict,
        writer="nir",
        chip=CHIPS[chip],
    )
    return compile_model(net.renamed(names), chip, options, log=log)


def outcome(net: Net, chip: str, names: Mapping[str, str]) -> Outcome:
    log = Log()
    try:
        made = compiled(net, chip, names, log)
    except NircError as refusal:
        return Outcome(sorted((d.code, d.severity) for d in refusal.diagnostics))
    found = sorted((d.code, d.severity) for d in log.diagnostics)
    return Outcome(found, *_answers(made, net, names))


def _answers(made: Compiled, net: Net, names: Mapping[str, str]) -> tuple[Any, Any, Any]:
    """Outputs and spikes of populations of the device, and outputs of the what-if programs."""
    inputs = np.random.default_rng(3).poisson(0.3, (2, STEPS, 3))
    # As nirc calls them: what cannot be printed is replaced.
    names = dict(
        zip(sorted(net.nodes, key=names.__getitem__), made.stages.layers.graph, strict=True)
    )
    known = made.bundle.manifest["populations"].keys() & made.stages.discrete.nodes(Population)
    model = [n for n in net.nodes if names[n] in known]
    device = made.bundle.run(inputs, record=[names[n] for n in model])
    spikes = {n: device.spikes[names[n]].tolist() for n in model}
    alone = {
        about: run(p, inputs).outputs.tolist()
        for about, p in made.backend.approximations(made.stages.discrete)
    }
    return device.outputs.tolist(), spikes, alone


@cache
def plain(kind: str, chip: str) -> Outcome:
    return outcome(NETS[kind], chip, {n: n for n in NETS[kind].nodes})


def assigned(net: Net, names: list[str]) -> dict[str, str]:
    """New names. Inputs keep their order, and outputs: a NIR file gives it by names only."""
    made = dict(zip(net.nodes, names, strict=True))
    for kind in (nir.Input, nir.Output):
        ports = [n for n, node in net.nodes.items() if isinstance(node, kind)]
        made |= dict(zip(ports, sorted(made[n] for n in ports), strict=True))
    return made


@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize("kind", NETS)
def test_what_nirc_adds_may_be_called_so_already(kind: str, chip: str) -> None:
    """A population gets, one after the other, each name that nirc gives to what it adds to the
    network.
    """
    network, same = NETS[kind], {n: n for n in NETS[kind].nodes}
    try:
        made = compiled(network, chip, same, Log())
    except NircError:
        return
    alone = [program for _, program in made.backend.approximations(made.stages.discrete)]
    programs = [made.stages.discrete, made.legal, made.integer, *alone]
    added = sorted(
        {name for program in programs for name in program.graph} - same.keys(),
        key=lambda n: (len(n), n),
    )
    for name in added[:MOST_ADDED]:
        populations = [n for n in network.nodes if n in made.stages.discrete.nodes(Population)]
        others = [n for n in populations if not name.startswith(f"{n}.")]
        assert outcome(network, chip, same | {others[-1]: name}) == plain(kind, chip)


@pytest.mark.parametrize("chip", CHIPS)
@given(kind=st.sampled_from(sorted(NETS)), data=st.data())
@settings(max_examples=25, phases=[Phase.explicit, Phase.generate])
def test_hostile_names_change_nothing(chip: str, kind: str, data: st.DataObject) -> None:
    network = NETS[kind]
    names = data.draw(hostile(len(network.nodes)), label="names")
    assert outcome(network, chip, assigned(network, names)) == plain(kind, chip)


BEFORE = (
    ("xylo", "a membrane of an input", {"a": "in", "c": "in.relay"}),
    ("xylo", "a chain", {"c": "block.relay"}),
    ("xylo", "a loop, and an output that feeds others", {"c": "out.relay", "z": "out", "y": "x"}),
    ("loihi2", "a chain", {"a": "in", "c": "in.spikes"}),
    ("loihi2", "a sum", {"z": "out", "c": "out.sum"}),
    ("spinnaker2", "filters and constants", {"c": "readout", "e": "bias"}),
)


@pytest.mark.parametrize(("chip", "kind", "names"), BEFORE, ids=str)
def test_names_that_once_meant_something(chip: str, kind: str, names: dict[str, str]) -> None:
    network = NETS[kind]
    given_ = {n: names.get(n, n) for n in network.nodes}
    assert outcome(network, chip, given_) == plain(kind, chip)
