"""Programs in a line: raw graphs as a file would give them, and what the compiler makes of them.

    nodes = {"in": inp(3), "w": linear(np.ones((2, 3))), "pop": lif(2), "out": out(2)}
    net = graph(nodes, "in w pop out")
    stages = lowered(net)

dt is 1e-4 s unless told otherwise. Arguments that are shapes are the file's own; parameters are
arrays or numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nirc.api import Options, lower_layers
from nirc.diagnostics.errors import Diagnostic, NircError
from nirc.diagnostics.log import Log
from nirc.frontend.load import to_layers
from nirc.frontend.raw import Field, RawGraph, RawNode
from nirc.ir.arrays import Float
from nirc.ir.program import Program
from nirc.passes.pipeline import PIPELINE, Pass, passes_to, run_passes
from nirc.semantics.run import run
from nirc.writers.nir import WRITER as LETTER
from nirc.writers.reading import parse_from
from nirc.writers.writer import Reading

DT = 1e-4


def node(kind: str, **fields: object) -> RawNode:
    """A node of any kind; ``graph`` fills in its path."""
    return RawNode(
        "", kind, {k: v if isinstance(v, str) else np.asarray(v) for k, v in fields.items()}
    )


def nested(inner: RawGraph) -> RawNode:
    """A graph as a node."""
    return RawNode("", "NIRGraph", graph=inner)


def graph(nodes: Mapping[str, RawNode], *ways: str | tuple[str, str]) -> RawGraph:
    """Nodes by name, sorted as readers give them.

    A way ``"a b c"`` is the edges a -> b and b -> c; a pair is one edge, for names with blanks.
    """
    edges: list[tuple[str, str]] = []
    for way in ways:
        if isinstance(way, str):
            names = way.split()
            edges += pairwise(names)
        else:
            edges.append(way)
    return _placed(RawGraph(dict(sorted(nodes.items())), tuple(edges)), "")


def _placed(raw: RawGraph, place: str) -> RawGraph:
    def at(name: str, item: RawNode) -> RawNode:
        path = f"{place}nodes/{name}"
        return replace(item, path=path, graph=item.graph and _placed(item.graph, f"{path}/"))

    return replace(raw, nodes={name: at(name, item) for name, item in raw.nodes.items()})


def inp(*shape: int) -> RawNode:
    """Input; without a shape it declares none."""
    return node("Input", **({"shape": shape} if shape else {}))


def out(*shape: int) -> RawNode:
    """Output; without a shape it declares none."""
    return node("Output", **({"shape": shape} if shape else {}))


def linear(weight: ArrayLike) -> RawNode:
    """Linear."""
    return node("Linear", weight=np.asarray(weight, float))


def affine(weight: ArrayLike, bias: ArrayLike) -> RawNode:
    """Affine."""
    return node("Affine", weight=np.asarray(weight, float), bias=np.asarray(bias, float))


def scale(factor: ArrayLike) -> RawNode:
    """Scale."""
    return node("Scale", scale=np.asarray(factor, float))


def delay(seconds: ArrayLike) -> RawNode:
    """Delay."""
    return node("Delay", delay=np.asarray(seconds, float))


def adder(n: int = 1) -> RawNode:
    """n integrators without a threshold: their membrane is the sum of all that arrived so far."""
    return node("I", r=np.ones(n))


def if_(n: int = 1, threshold: float = 0.5) -> RawNode:
    """n integrate-and-fire neurons with a gain of 1 per step; each spike of weight 1 makes one at
    once.
    """
    return node("IF", r=np.ones(n), v_threshold=np.full(n, threshold), v_reset=np.zeros(n))


def lif(n: int = 1, steps: float = 8.0, threshold: float = 1.0, **fields: object) -> RawNode:
    """n LIF neurons with a time constant of ``steps`` steps, exported as snnTorch does it;
    ``fields`` replace.
    """
    one = np.ones(n)
    usual: dict[str, object] = {"tau": one * steps * DT, "r": one * steps, "v_leak": one * 0}
    return node("LIF", **(usual | {"v_threshold": one * threshold, "v_reset": one * 0} | fields))


def cuba(n: int = 1, steps: float = 8.0, synapse: float = 4.0, **fields: object) -> RawNode:
    """n CubaLIF neurons."""
    one = np.ones(n)
    usual: dict[str, object] = {
        "tau_mem": one * steps * DT,
        "tau_syn": one * synapse * DT,
        "r": one * steps,
    }
    usual |= {"w_in": one * synapse, "v_leak": one * 0, "v_threshold": one, "v_reset": one * 0}
    return node("CubaLIF", **(usual | fields))


def changed(item: RawNode, **fields: Field | ArrayLike | None) -> RawNode:
    """``item`` with other fields; None takes one away."""
    kept = {k: v for k, v in item.fields.items() if k not in fields}
    new = {
        k: v if isinstance(v, str) else np.asarray(v) for k, v in fields.items() if v is not None
    }
    return replace(item, fields=kept | new)


def refusals(raw: RawGraph, *, dt: float | None = DT) -> list[tuple[str, str]]:
    """(code, where) of every error."""
    return [(d.code, d.where) for d in said(raw, dt=dt) if d.severity == "error"]


@dataclass(frozen=True)
class Made:
    """A network on its way, and what was said about it."""

    layers: Program
    continuous: Program
    reference: Program
    discrete: Program
    said: list[Diagnostic]

    def outputs(self, inputs: ArrayLike) -> Float:
        """Output of the discrete stage, after checking that the float stage gives the same up to
        rounding.
        """
        raster: NDArray[np.float64] = np.asarray(inputs, float)
        exact, got = run(self.reference, raster).outputs, run(self.discrete, raster).outputs
        np.testing.assert_allclose(exact, got, rtol=1e-9, atol=1e-9)
        return got


def layers(raw: RawGraph, log: Log | None = None) -> Program:
    """Canonical layers. Raises ``InputError``."""
    log = log or Log()
    return run_passes(to_layers(raw, log), passes_to("layers"), log)


def lowered(
    raw: RawGraph, *, dt: float | None = DT, reset: str = "model", discretise: str = "euler"
) -> Made:
    """Everything up to discrete populations, by the letter of NIR. Raises ``NircError``."""
    return _lowered(raw, Reading(LETTER, {"reset": reset, "discretise": discretise}), dt)


def written_by(writer: str, raw: RawGraph, *, dt: float | None = None) -> Made:
    """Everything up to discrete populations, by the rule of ``writer`` as ``--from`` takes it.

    Raises ``NircError``.
    """
    named, given = parse_from(writer, Log())
    return _lowered(raw, Reading(named, named.defaults() | given), dt)


def _lowered(raw: RawGraph, reading: Reading, dt: float | None) -> Made:
    log = Log()
    canonical = layers(raw, log)
    stages = lower_layers(canonical, reading, Options(dt_s=dt), log=log)
    return Made(canonical, stages.continuous, stages.reference, stages.discrete, log.diagnostics)


def said(raw: RawGraph, *, dt: float | None = DT) -> list[Diagnostic]:
    """What compiling says, whether it succeeds or not."""
    try:
        return lowered(raw, dt=dt).said
    except NircError as error:
        return list(error.diagnostics)


def findings(raw: RawGraph, *, dt: float | None = DT) -> list[tuple[str, str]]:
    """(code, where) of every warning and error, in the order of saying."""
    return [(d.code, d.where) for d in said(raw, dt=dt) if d.severity != "note"]


def made(name: str, **options: object) -> Pass:
    """A pass of the table by name."""
    (entry,) = [entry for entry in PIPELINE if entry.name == name]
    return entry.pass_class(**options)


def steps(*spikes: ArrayLike) -> Float:
    """(1, steps, channels): what arrives at each step."""
    return np.asarray(spikes, float).reshape(1, len(spikes), -1)
