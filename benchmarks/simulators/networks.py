"""Networks for ``loads.py``: every stage of each, exported for every simulator, with what nirc's
stage computes.

    NIRC_PYTHON benchmarks/simulators/networks.py DIR NAME...

Writes NUMBER.nir, NUMBER.npz (``inputs``, ``output``, ``chip``) and rows.json. ``output`` is the
stage by its update rules, ``chip`` the stage itself, whose states a chip rounds.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np

from nirc.api import Options, Stages, compile_model, lower
from nirc.diagnostics.errors import NircError
from nirc.diagnostics.log import Log
from nirc.exporting.export import for_simulator
from nirc.exporting.importable import as_stepped
from nirc.ir.populations import Population, Sink, Source
from nirc.ir.program import Program
from nirc.ir.verify import InvalidProgramError
from nirc.nirfile.graph import Graph, nir_bytes
from nirc.semantics.run import run
from nirc.writers.writer import installed_writers

DATA = Path(__file__).parents[2] / "tests/data"
CHIPS = ("xylo", "speck", "loihi2", "spinnaker2")
SAMPLES, STEPS, RATE = 3, 40, 0.3
DT_S = 1e-4
Fields = dict[str, Any]


@dataclass(frozen=True)
class Network:
    """A model by path or graph, and by whose rule it is read."""

    name: str
    model: Path | Graph
    reading: str

    @property
    def title(self) -> str:
        return f"{self.name}, {self.reading}"


class Maker:
    """Random nodes, the same in every run."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def weights(self, *shape: int, mean: float = 1.0) -> np.ndarray:
        fan_in = int(np.prod(shape[1:]))
        return (
            (mean / fan_in + self.rng.normal(0, 2.5 / np.sqrt(fan_in), shape))
            .astype(np.float32)
            .astype(float)
        )

    def affine(self, n_out: int, n_in: int, *, bias: bool = True) -> Fields:
        fields = {"type": "Linear", "weight": self.weights(n_out, n_in)}
        return (
            fields | {"type": "Affine", "bias": self.rng.uniform(-0.1, 0.2, n_out)}
            if bias
            else fields
        )

    def conv(self, c_out: int, c_in: int, size: int, **other: Any) -> Fields:
        kernel = other.pop("kernel", (3, 3))
        fields = {
            "weight": self.weights(c_out, c_in // other.get("groups", 1), *kernel),
            "bias": np.zeros(c_out),
        }
        fields |= {
            "stride": np.array([1, 1]),
            "padding": np.array([1, 1]),
            "dilation": np.array([1, 1]),
            "groups": 1,
        }
        return {"type": "Conv2d", **fields, "input_shape": np.array([size, size]), **other}

    def lif(self, *shape: int, even: bool = True, **other: Any) -> Fields:
        steps = np.full(shape, 5.0) if even else self.rng.uniform(2, 20, shape)
        threshold = np.ones(shape) if even else self.rng.uniform(0.5, 2, shape)
        zero = np.zeros(shape)
        fields = {
            "tau": steps * DT_S,
            "r": steps,
            "v_leak": zero,
            "v_threshold": threshold,
            "v_reset": zero,
        }
        return {"type": "LIF", **fields, **other}

    def cuba(
        self, n: int, *, even: bool = True, steps: float = 5.0, synapse: float = 3.0
    ) -> Fields:
        one = np.ones(n) if even else self.rng.uniform(0.7, 2, n)
        taus = {
            "tau_mem": one * steps * DT_S,
            "r": one * steps,
            "tau_syn": one * synapse * DT_S,
            "w_in": one * synapse,
        }
        return {
            "type": "CubaLIF",
            **taus,
            "v_leak": 0 * one,
            "v_threshold": 1.5 * one,
            "v_reset": 0 * one,
        }


def if_(*shape: int, threshold: float = 1.0) -> Fields:
    one = np.ones(shape)
    return {"type": "IF", "r": one, "v_threshold": one * threshold, "v_reset": 0 * one}


def steps_lif(*shape: int, tau: float = 5.0) -> Fields:
    """As Sinabs writes it: tau in steps, r = 1."""
    one = np.ones(shape)
    return {
        "type": "LIF",
        "tau": one * tau,
        "r": one,
        "v_leak": 0 * one,
        "v_threshold": one,
        "v_reset": 0 * one,
    }


def scaled_lif(n: int, gain: float = 0.2) -> Fields:
    """As Norse writes it: tau times dt, r = 1."""
    one = np.ones(n)
    tau = one * 1e-6 / gain
    return {
        "type": "LIF",
        "tau": tau,
        "r": one,
        "v_leak": 0 * one,
        "v_threshold": one,
        "v_reset": 0 * one,
    }


def spyx_lif(n: int, kind: str = "LIF", beta: float = 0.8, alpha: float = 0.6) -> Fields:
    one = np.ones(n)
    cuba = {"tau_mem": one / (1 - beta), "tau_syn": one / (1 - alpha), "w_in": one}
    taus = cuba if kind == "CubaLIF" else {"tau": one / (1 - beta)}
    return {
        "type": kind,
        **taus,
        "r": one * beta,
        "v_leak": 0 * one,
        "v_threshold": one,
        "v_reset": 0 * one,
    }


def rockpool(n: int, kind: str = "CubaLIF", dt: float = 1e-3) -> Fields:
    one = np.ones(n)
    tau = one * 5e-3
    cuba = {"tau_mem": tau, "tau_syn": one * 3e-3, "w_in": one}
    r = tau / dt * np.exp(-dt / tau)
    fires = {} if kind == "LI" else {"v_threshold": one, "v_reset": 0 * one}
    return {
        "type": kind,
        **(cuba if kind == "CubaLIF" else {"tau": tau}),
        "r": r,
        "v_leak": 0 * one,
        **fires,
    }


def chain(
    n_in: tuple[int, ...],
    n_out: tuple[int, ...],
    *layers: Fields,
    more: tuple[tuple[str, str], ...] = (),
) -> Graph:
    """Layers called 0, 1, ... one after the other; ``more`` edges."""
    nodes = {"input": {"type": "Input", "shape": np.array(n_in)}}
    nodes |= {str(i): layer for i, layer in enumerate(layers)}
    names = [*nodes, "output"]
    nodes["output"] = {"type": "Output", "shape": np.array(n_out)}
    edges = [e for e in pairwise(names) if e not in more]
    return Graph(nodes, (*edges, *(e for e in more if names.index(e[0]) + 1 != names.index(e[1]))))


def pool(kind: str = "SumPool2d") -> Fields:
    two = np.array([2, 2])
    return {"type": kind, "kernel_size": two, "stride": two, "padding": np.array([0, 0])}


def flatten(*shape: int) -> Fields:
    return {"type": "Flatten", "start_dim": 0, "end_dim": -1, "input_type": np.array(shape)}


def convolutional(
    m: Maker, neuron: Callable[..., Fields], pooled: str = "SumPool2d", **conv: Any
) -> Graph:
    """Two channels of 8 x 8, a convolution, a pool, a linear layer."""
    size = int(
        (8 + 2 * conv.get("padding", [1])[0] - conv.get("dilation", [1])[0] * 2 - 1)
        / conv.get("stride", [1])[0]
        + 1
    )
    n = 4 * (size // 2) ** 2
    first = m.conv(4, 2, 8, **conv)
    layers = (first, neuron(4, size, size), pool(pooled), flatten(4, size // 2, size // 2))
    return chain((2, 8, 8), (5,), *layers, m.affine(5, n), neuron(5))


def small() -> Iterator[Network]:
    """Networks of ours, by kind and by rule."""
    for reading in (
        "nir",
        "nir,reset=subtract",
        "snntorch,reset=zero",
        "snntorch",
        "snntorch,reset_delay=no",
    ):
        m = Maker(1)
        yield Network(
            "LIF",
            chain((12,), (5,), m.affine(16, 12), m.lif(16), m.affine(5, 16), m.lif(5)),
            reading,
        )
        m = Maker(2)
        layers = m.affine(16, 12, bias=False), m.cuba(16), m.affine(5, 16), m.cuba(5)
        yield Network("CubaLIF", chain((12,), (5,), *layers), reading)
    m = Maker(3)
    layers = m.affine(16, 12), m.lif(16, even=False), m.affine(5, 16), m.lif(5, even=False)
    yield Network("LIF, other numbers in each neuron", chain((12,), (5,), *layers), "nir")
    layers = m.affine(16, 12), m.cuba(16, even=False), m.affine(5, 16), m.cuba(5, even=False)
    yield Network("CubaLIF, other numbers in each neuron", chain((12,), (5,), *layers), "nir")
    layers = m.affine(16, 12), m.lif(16, v_leak=np.full(16, 0.4)), m.affine(5, 16), m.lif(5)
    yield Network("LIF with v_leak", chain((12,), (5,), *layers), "nir")
    layers = m.affine(16, 12), m.lif(16, v_reset=np.full(16, 0.2)), m.affine(5, 16), m.lif(5)
    yield Network("LIF with v_reset", chain((12,), (5,), *layers), "nir")
    for reading in ("nir", "nir,reset=subtract"):
        m = Maker(4)
        yield Network(
            "IF", chain((12,), (5,), m.affine(16, 12), if_(16), m.affine(5, 16), if_(5)), reading
        )
    yield from recurrent()
    yield from maps()
    yield from branches()
    yield from of_writers()


def recurrent() -> Iterator[Network]:
    m = Maker(5)
    loop = (("1", "2"), ("2", "1"), ("1", "3"))
    for name, neuron in (("LIF", m.lif), ("CubaLIF", m.cuba)):
        layers = m.affine(16, 12), neuron(16), m.affine(16, 16), m.affine(5, 16), neuron(5)
        graph = chain((12,), (5,), *layers, more=loop)
        graph = Graph(graph.nodes, tuple(e for e in graph.edges if e != ("2", "3")))
        yield Network(f"{name}, recurrent", graph, "nir")
    layers = (
        m.affine(8, 12),
        m.lif(8),
        m.affine(6, 8),
        m.lif(6),
        m.affine(5, 6),
        m.lif(5),
        m.affine(8, 6),
    )
    graph = chain((12,), (5,), *layers, more=(("3", "6"), ("6", "1"), ("5", "output")))
    edges = tuple(e for e in graph.edges if e not in (("5", "6"), ("6", "output")))
    yield Network("LIF, a loop over two populations", Graph(graph.nodes, edges), "nir")


def maps() -> Iterator[Network]:
    m = Maker(6)
    for pooled in ("SumPool2d", "AvgPool2d"):
        yield Network(f"convolution, {pooled}, IF", convolutional(m, if_, pooled), "nir")
    yield Network("convolution, SumPool2d, LIF", convolutional(m, m.lif), "nir")
    two = {"stride": np.array([2, 2])}
    for name, conv in (
        ("stride 2", two),
        ("dilation 2", {"dilation": np.array([2, 2]), "padding": np.array([2, 2])}),
        ("2 groups", {"groups": 2}),
        ("kernel 1 x 3", {"kernel": (1, 3), "padding": np.array([0, 1])}),
        ("kernel 2 x 3", {"kernel": (2, 3), "padding": np.array([0, 1])}),
    ):
        if name.startswith("kernel"):
            size = (8, 8) if name == "kernel 1 x 3" else (7, 8)
            n = 4 * size[0] * size[1]
            layers = (
                m.conv(4, 2, 8, **conv),
                if_(4, *size),
                flatten(4, *size),
                m.affine(5, n),
                if_(5),
            )
            yield Network(f"convolution, {name}, IF", chain((2, 8, 8), (5,), *layers), "nir")
        else:
            yield Network(f"convolution, {name}, IF", convolutional(m, if_, **conv), "nir")
    biased = convolutional(m, if_)
    biased = Graph(
        {**biased.nodes, "0": biased.nodes["0"] | {"bias": m.rng.uniform(-0.1, 0.2, 4)}},
        biased.edges,
    )
    yield Network("convolution with bias, IF", biased, "nir")


def branches() -> Iterator[Network]:
    m = Maker(7)
    layers = m.affine(12, 12), m.lif(12), m.affine(12, 12), m.lif(12), m.affine(5, 12), m.lif(5)
    yield Network(
        "LIF, a shortcut one to one", chain((12,), (5,), *layers, more=(("1", "3"),)), "nir"
    )
    graph = chain(
        (12,), (5,), *layers, m.affine(5, 12), more=(("1", "6"), ("6", "5"), ("5", "output"))
    )
    edges = tuple(e for e in graph.edges if e not in (("5", "6"), ("6", "output")))
    yield Network("LIF, a shortcut by a matrix", Graph(graph.nodes, edges), "nir")
    layers = (
        m.affine(16, 12),
        m.lif(16),
        {"type": "Delay", "delay": np.full(16, 2e-4)},
        m.affine(5, 16),
        m.lif(5),
    )
    yield Network("LIF with a delay", chain((12,), (5,), *layers), "nir")
    yield Network(
        "LIF, the last layer linear",
        chain((12,), (5,), m.affine(16, 12), m.lif(16), m.affine(5, 16)),
        "nir",
    )
    li = {k: v for k, v in m.lif(5).items() if k not in ("v_threshold", "v_reset")} | {"type": "LI"}
    layers = m.affine(16, 12), m.lif(16), m.affine(5, 16), li
    yield Network("LIF, the last layer LI", chain((12,), (5,), *layers), "nir")


def of_writers() -> Iterator[Network]:
    """Networks as the simulators themselves compute them."""
    m = Maker(8)
    for reading in ("norse", "norse,reset=subtract"):
        layers = m.affine(16, 12), scaled_lif(16), m.affine(5, 16), scaled_lif(5)
        yield Network("LIFBox", chain((12,), (5,), *layers), reading)
    for reading in ("sinabs", "sinabs,floor=-1", "sinabs,spikes=one", "sinabs,reset=zero"):
        layers = m.affine(16, 12), if_(16), m.affine(5, 16), if_(5)
        yield Network("IAF", chain((12,), (5,), *layers), reading)
    yield Network("IAF, convolution", convolutional(m, if_), "sinabs,floor=-1")
    for reading in ("sinabs", "sinabs,norm_input=no"):
        layers = m.affine(16, 12), steps_lif(16), m.affine(5, 16), steps_lif(5)
        yield Network("LIF of Sinabs", chain((12,), (5,), *layers), reading)
    last = {k: v for k, v in steps_lif(5).items() if k in ("tau", "r", "v_leak")} | {"type": "LI"}
    yield Network(
        "LIF, ExpLeak",
        chain((12,), (5,), m.affine(16, 12), steps_lif(16), m.affine(5, 16), last),
        "sinabs",
    )
    for reading in ("rockpool", "rockpool,spikes=1"):
        layers = m.affine(16, 12), rockpool(16), m.affine(5, 16), rockpool(5)
        yield Network("LIFTorch", chain((12,), (5,), *layers), reading)
    layers = m.affine(16, 12), rockpool(16, "LIF"), m.affine(5, 16), rockpool(5, "LIF")
    yield Network("LIFNeuronTorch", chain((12,), (5,), *layers), "rockpool")
    layers = m.affine(16, 12), rockpool(16), m.affine(5, 16), rockpool(5, "LI")
    yield Network("LIFTorch, ExpSynTorch", chain((12,), (5,), *layers), "rockpool")
    layers = (
        m.affine(16, 12),
        rockpool(16),
        m.affine(16, 16, bias=False),
        m.affine(5, 16),
        rockpool(5),
    )
    graph = chain((12,), (5,), *layers, more=(("1", "2"), ("2", "1"), ("1", "3")))
    yield Network(
        "LIFTorch, recurrent",
        Graph(graph.nodes, tuple(e for e in graph.edges if e != ("2", "3"))),
        "rockpool",
    )
    for kind in ("LIF", "CubaLIF"):
        layers = m.affine(16, 12), spyx_lif(16, kind), m.affine(5, 16), spyx_lif(5, kind)
        yield Network(f"{kind} of Spyx", chain((12,), (5,), *layers), "spyx")
        layers = (
            m.affine(16, 12),
            spyx_lif(16, kind),
            m.affine(16, 16, bias=False),
            m.affine(5, 16),
            spyx_lif(5, kind),
        )
        graph = chain((12,), (5,), *layers, more=(("1", "2"), ("2", "1"), ("1", "3")))
        edges = tuple(e for e in graph.edges if e != ("2", "3"))
        yield Network(f"{kind} of Spyx, recurrent", Graph(graph.nodes, edges), "spyx")
    yield Network("IF of Spyx, convolution", convolutional(m, if_), "spyx")
    li = {k: v for k, v in spyx_lif(5).items() if k in ("tau", "v_leak")} | {
        "type": "LI",
        "r": np.ones(5),
    }
    psu = m.affine(5, 12), li, {"type": "Threshold", "threshold": np.ones(5)}
    yield Network("PSU_LIF", chain((12,), (5,), *psu), "spyx")
    grid = (
        m.cuba(16, steps=4096 / 800, synapse=4096 / 1400),
        m.cuba(5, steps=4096 / 800, synapse=4096 / 1400),
    )
    weights = [
        {"type": "Linear", "weight": np.rint(64 * m.weights(*s)) / 64} for s in ((16, 12), (5, 16))
    ]
    yield Network(
        "CUBA on Loihi's grid", chain((12,), (5,), weights[0], grid[0], weights[1], grid[1]), "nir"
    )


def trained() -> Iterator[Network]:
    """The models in tests/data, by the readings that are right or usual for them."""
    readings = {
        "basicmotions_lif_ff": ("snntorch", "snntorch,reset=zero"),
        "japanesevowels_rsnn": ("snntorch", "snntorch,reset=zero"),
        "digits_lif_mlp": ("snntorch", "snntorch,reset=zero"),
        "digits_if_cnn": ("nir",),
        "cnn_sinabs": ("sinabs", "sinabs,floor=-1"),
        "lif_norse": ("norse",),
        "braille_noDelay_bias_zero": ("snntorch,reset=zero",),
        "braille_noDelay_noBias_subtract": ("snntorch",),
    }
    for path in (*sorted(DATA.glob("zoo/*.nir")), *sorted(DATA.glob("paper/*.nir"))):
        for reading in readings[path.stem]:
            yield Network(path.stem, path, reading)


def recorded() -> Iterator[Network]:
    """Networks that the simulators exported themselves, in tests/data/simulators."""
    for index in sorted(DATA.glob("simulators/*/cases.json")):
        for kind, row in json.loads(index.read_text()).items():
            path = index.with_name(f"{kind}.nir")
            if path.exists() and not row.get("lost"):
                yield Network(f"{index.parent.name}/{kind}", path, row["read"])


def stages_of(model: Path, options: Options) -> Iterator[tuple[str, Program]]:
    """(name, program) of every stage; a chip that does not take the model has none."""
    stages: Stages = lower(model, options, log=Log())
    yield "float", stages.reference
    for chip in CHIPS:
        try:
            made = compile_model(model, chip, options, log=Log())
        except (NircError, InvalidProgramError) as error:
            if isinstance(error, InvalidProgramError):
                print(f"{model.stem} on {chip}: {error}", file=sys.stderr)
            continue
        yield f"legal, {chip}", made.legal
        yield f"integer, {chip}", made.integer


def ways(name: str) -> Iterator[str]:
    """``--for`` with every value of the importer's choices, the plain name first."""
    importer = installed_writers()[name].importer
    assert importer is not None
    for chosen in product(*(c.values for c in importer.choices)):
        other = [
            f"{c.key}={v}"
            for c, v in zip(importer.choices, chosen, strict=True)
            if v != c.values[0]
        ]
        yield ",".join((name, *other))


def inputs_for(model: Path, program: Program) -> np.ndarray:
    """(samples, steps, ...input shape): recorded inputs, else random spikes."""
    shape = next(iter(program.nodes(Source).values())).shape
    kept = model.with_suffix(".npz")
    if kept.exists():
        inputs = np.load(kept)["inputs"][:SAMPLES, : 2 * STEPS]
        return inputs.reshape(*inputs.shape[:2], *shape)
    rng = np.random.default_rng(0)
    return (rng.random((SAMPLES, STEPS, *shape)) < RATE).astype(np.uint8)


def main() -> None:
    folder, names = Path(sys.argv[1]), sys.argv[2:]
    rows: list[dict[str, Any]] = []
    for network in (*small(), *trained(), *recorded()):
        model = network.model
        if isinstance(model, Graph):
            model = folder / "model.nir"
            model.write_bytes(nir_bytes(network.model))
        options = Options(writer=network.reading)
        for title, program in stages_of(model, options):
            inputs = inputs_for(model, program)
            flat = inputs.reshape(*inputs.shape[:2], -1)
            wanted = {
                "output": run(as_stepped(program, Log()), flat).outputs,
                "chip": run(program, flat).outputs,
            }
            for name in names:
                for simulator in ways(name):
                    row = {
                        "network": network.title,
                        "stage": title,
                        "for": name,
                        "simulator": simulator,
                    }
                    row |= written(folder / str(len(rows)), program, simulator)
                    if row["refused"] and simulator != name:
                        continue  # said once, for the plain name
                    row |= {"file": str(len(rows)), "analog": is_analog(program)}
                    if not row["refused"]:
                        np.savez_compressed(folder / f"{len(rows)}.npz", inputs=inputs, **wanted)
                    rows.append(row)
        print(f"{network.title}: {len(rows)} rows", file=sys.stderr, flush=True)
    (folder / "rows.json").write_text(json.dumps(rows, indent=1))


def is_analog(program: Program) -> bool:
    """Whether an output is no count of spikes."""
    stepped = as_stepped(program, Log())
    (sink,) = stepped.nodes(Sink)
    populations = stepped.nodes(Population)
    return any(
        p.ops or s not in populations or not populations[s].dynamics.fires
        for s, p in stepped.into(sink)
    )


def written(path: Path, program: Program, simulator: str) -> dict[str, Any]:
    """What became of one export: the shape of the Input and the importer's choices, or why it was
    refused.
    """
    try:
        made = for_simulator(simulator, program, Log())
    except NircError as error:
        return {
            "refused": next(
                f"{d.code} {d.message}: {d.found}"
                for d in error.diagnostics
                if d.severity == "error"
            )
        }
    path.with_suffix(".nir").write_bytes(made.data)
    return {"refused": "", "shape": list(made.shape), "values": dict(made.values)}


if __name__ == "__main__":
    main()
