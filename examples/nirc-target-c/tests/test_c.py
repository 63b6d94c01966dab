"""The laws that every chip keeps, and the C program against the emulator and the integer program.

Programs run under gcc's sanitizers, which stop at anything that C does not define.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from nirc_target_c import BACKEND, board, compiled, source, tables
from nirc_target_c.legalise import CLegalise
from nirc_target_c.limits import STATE
from nirc_target_c.quantise import CQuantise
from nirc_target_c.text import identifiers

import nirc
from nirc.chip.backend import Emulation
from nirc.diagnostics.log import Log
from nirc.files.board import DeployError
from nirc.ir.linear import Conv, Dense, Pool, Sparse
from nirc.ir.populations import Bias, Discrete, Population, Projection, Sink, Source
from nirc.ir.program import Form, Program
from nirc.ir.rules import MEMBRANE, parse, plain
from nirc.semantics.raster import Run
from nirc.semantics.run import run
from nirc.verification.laws import LAWS, Law, network

SANITIZERS = ("-O1", "-fsanitize=undefined,address", "-fno-sanitize-recover=all")
DELAYED = parse("fire > 1, decay i, add x->i, decay v, add i->v, subtract, fire > 1, restore, emit")
MANY = parse("decay i, add x->i, decay v, add i->v, fire >= many, subtract, bound, emit")

needs_gcc = pytest.mark.skipif(compiled.COMPILER is None, reason="there is no C compiler")
dice = np.random.default_rng(0)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_law(law: Law) -> None:
    law(BACKEND)


def neurons(n: int, **fields: object) -> Population[Discrete]:
    """Neurons that lose a tenth of their membrane in a step."""
    ones = np.ones(n)
    d = Discrete(0.9 * ones, ones, 0 * ones, threshold=ones, v_reset=0 * ones)
    return Population((n,), replace(d, **fields), ("neurons",))


def dense(n_out: int, n_in: int) -> Dense:
    """Weights, more of them positive."""
    return Dense(dice.normal(0.2, 0.4, (n_out, n_in)))


def layered() -> Program:
    """Two inputs; recurrence; delays; every rule; a readout, and outputs that are delayed sums."""
    half, tenth = np.full(4, 0.5), np.full(4, 0.1)
    synapse = {"decay_syn": half, "gain_syn": half + 1}
    nodes = {
        "eye": Source((3,), ("eye",)),
        "ear": Source((2,), ("ear",)),
        "plain": neurons(4, v_start=half, drift=np.array([0.0, 0.05, -0.02, 0.1])),
        "set": neurons(4, v_reset=-tenth, gain_mem=np.array([1.0, 0.5, 2.0, -1.0])),
        "delayed": neurons(4, rule=DELAYED, **synapse),
        "many": neurons(
            4, rule=MANY, v_least=-half, decay_syn_2=1 - tenth, gain_syn_2=tenth, **synapse
        ),
        "read": neurons(4, rule=MEMBRANE, threshold=None),
        "spikes": Sink((4,), ("spikes",)),
        "sum": Sink((4,), ("sum",)),
        "membranes": Sink((4,), ("membranes",)),
    }
    late = Bias(0.3 * half, onset_steps=5)
    synapses = Sparse(np.array([0, 1, 3]), np.array([2, 0, 1]), np.array([0.7, -0.4, 1.1]), 4, 4)
    edges = [
        ("eye", "plain", Projection((dense(4, 3),))),
        ("ear", "set", Projection((dense(4, 2),), delay_steps=2, biases=(Bias(tenth), late))),
        ("plain", "plain", Projection((synapses,), feedback=True)),
        ("plain", "delayed", Projection((dense(4, 4),), delay_steps=3)),
        ("set", "delayed", Projection()),
        ("delayed", "many", Projection((dense(4, 4),))),
        ("set", "many", Projection((dense(4, 4),), synapse=1)),
        ("many", "set", Projection((dense(4, 4),), delay_steps=1)),
        ("many", "read", Projection((dense(4, 4),))),
        ("many", "spikes", Projection()),
        ("many", "sum", Projection(delay_steps=2)),
        ("plain", "sum", Projection()),
        ("read", "membranes", Projection()),
    ]
    return Program.of(Form.DISCRETE, nodes, edges)


def kernels() -> Program:
    """Pools and convolutions of all kinds, over two axes and one."""
    none = ((0, 0), (0, 0))
    pool = Pool((2, 7, 6), (2, 3, 3), (2, 2), (2, 2), none, 0.25)
    strided = Conv(
        dice.normal(0.5, 1, (4, 1, 2, 3)), (2, 7, 6), (4, 4, 5), (2, 1), ((1, 1), (0, 1)), (1, 1), 2
    )
    behind = Conv(
        dice.normal(1, 1, (3, 2, 2, 2)), (2, 3, 3), (3, 4, 4), (1, 1), ((1, 1), (1, 1)), (1, 1), 1
    )
    line = Conv(dice.normal(0.5, 1, (2, 4, 3)), (4, 20), (2, 16), (1,), ((0, 0),), (2,), 1)
    overlapping = Pool((3, 4, 4), (3, 3, 3), (2, 2), (1, 1), none, 1.0)
    nodes = {
        "picture": Source((2, 7, 6), ("picture",)),
        "strided": neurons(80),
        "behind": neurons(48),
        "line": neurons(32, threshold=np.linspace(0.5, 1.5, 32)),
        "pooled": neurons(27),
        "dense": neurons(3),
        "spikes": Sink((32,), ("spikes",)),
        "others": Sink((3,), ("others",)),
    }
    edges = [
        ("picture", "strided", Projection((strided,))),
        ("picture", "behind", Projection((pool, behind))),
        ("strided", "line", Projection((line,), delay_steps=1)),
        ("behind", "pooled", Projection((overlapping,))),
        ("picture", "dense", Projection((pool, dense(3, 18)))),
        ("pooled", "dense", Projection((dense(3, 27),))),
        ("line", "spikes", Projection()),
        ("dense", "others", Projection()),
    ]
    return Program.of(Form.DISCRETE, nodes, edges)


@dataclass(frozen=True)
class Made:
    """An integer program, its files, and the label of each node in them."""

    integer: Program
    files: Mapping[str, bytes]
    labels: Mapping[str, str]

    def emulated(self, counts: np.ndarray, mode: str = "synchronous") -> Run:
        """Run the files."""
        return BACKEND.emulate(self.files, counts, Emulation(mode, record=True), Log())


def made(program: Program, bits: int = 16) -> Made:
    """Round and write."""
    integer = CQuantise(bits).run(CLegalise().run(program, Log()), Log())
    chip, labels = tables.tables_of(integer)
    files = {tables.FILE: tables.to_npz(chip), **source.files_of(chip)}
    return Made(integer, files, labels)


def one_neuron(weights: list[float], **fields: object) -> Program:
    """A neuron behind some inputs."""
    nodes = {
        "in": Source((len(weights),), ("in",)),
        "one": neurons(1, **fields),
        "out": Sink((1,), ("out",)),
    }
    projection = Projection((Dense(np.array([weights])),))
    return Program.of(
        Form.DISCRETE, nodes, [("in", "one", projection), ("one", "out", Projection())]
    )


@needs_gcc
@pytest.mark.parametrize(("network", "channels", "bits"), [(layered, 5, 8), (kernels, 84, 16)])
def test_program_emulator_and_integer_program_are_equal(
    network: object, channels: int, bits: int, tmp_path: Path
) -> None:
    chip = made(network(), bits)
    counts = dice.poisson(0.5, (2, 40, channels))
    counts[1] = 255
    emulated = chip.emulated(counts)
    program = compiled.build(tmp_path, chip.files, *SANITIZERS)
    read = tables.from_npz(chip.files[tables.FILE])
    got = compiled.parsed(read, compiled.started(program, counts), counts.shape[:2])
    assert (got.outputs == emulated.outputs).all()
    names = [n for n, p in chip.integer.nodes(Population).items()]
    integer = run(chip.integer, counts, record=names)
    for name in names:
        label = chip.labels[name]
        assert (got.spikes[label] == emulated.spikes[label]).all()
        assert (got.v[label] == emulated.v[label]).all()
        assert (integer.v[name] == emulated.v[label]).all()
        assert emulated.spikes[label].any(), f"{name} sends nothing, so nothing was compared"


@needs_gcc
def test_states_stop_at_their_bounds_and_never_overflow(tmp_path: Path) -> None:
    integrator = {"decay_mem": np.ones(1), "decay_syn": np.ones(1), "gain_syn": np.ones(1)}
    rule = plain("subtract", synapse=True)
    chip = made(one_neuron([-3.0, 3.0], rule=rule, **integrator))
    counts = np.zeros((2, 300, 2), int)
    counts[0, :, 0] = counts[1, :, 1] = 255
    emulated = chip.emulated(counts)
    assert emulated.v["one"].min() == -STATE and emulated.v["one"].max() > STATE // 2
    program = compiled.build(tmp_path, chip.files, *SANITIZERS)
    read = tables.from_npz(chip.files[tables.FILE])
    got = compiled.parsed(read, compiled.started(program, counts), (2, 300))
    assert (got.v["one"] == emulated.v["one"]).all()


def test_binary_fractions_stay_what_they_are() -> None:
    program = one_neuron([0.25, -0.5, 0.75], rule=plain("subtract", synapse=False))
    program = program.mapped(
        {"one": neurons(1, decay_mem=np.ones(1), rule=plain("subtract", synapse=False))}
    )
    counts = dice.poisson(1, (4, 200, 3))
    for bits in (8, 16):
        assert (
            run(made(program, bits).integer, counts).outputs == run(program, counts).outputs
        ).all()


def test_the_files_hold_no_floating_point_and_ask_for_no_memory() -> None:
    text = made(layered()).files["network.c"].decode()
    program = text[text.index("#include") : text.index("#ifdef NIRC_MAIN")]
    assert program.count("#include") == 1
    assert not any(word in program for word in ("float", "double", "malloc", ".0", "main"))


@needs_gcc
def test_names_of_a_model_are_no_c(tmp_path: Path) -> None:
    names = ["*/ int x;", "int", "x", "9", "Über", "a.b", "a/b", "", "uint8_t", "NULL", "a_b_2"]
    found = identifiers(names)
    assert len(set(found.values())) == len(names)
    program = one_neuron([1.0])
    nodes = {"in": program["in"], **dict.fromkeys(names, program["one"]), "out": program["out"]}
    edges = [("in", name, Projection((Dense(np.ones((1, 1))),))) for name in names]
    chip = made(Program.of(Form.DISCRETE, nodes, [*edges, (names[0], "out", Projection())]))
    compiled.build(tmp_path, chip.files)


def test_a_file_that_was_changed_is_refused() -> None:
    chip = made(layered())
    text = chip.files["network.c"].replace(b"0, 255", b"0, 254", 1) + b" "
    changed = replace(chip, files={**chip.files, "network.c": text})
    with pytest.raises(nirc.InputError, match="U605"):
        changed.emulated(np.zeros((1, 1, 5), int), "compiled")


@pytest.mark.parametrize(
    ("kind", "change", "code"),
    [
        ("populations", {"rule": "decay v, add x->v, fire > 256, set, emit"}, "U605"),
        ("populations", {"rule": "emit, decay v, add x->v, fire > 1, set"}, "U605"),
        ("populations", {"threshold": np.array([STATE + 1], np.int32)}, "P320"),
        ("projections", {"lag": 0, "source": "one"}, "U605"),
        ("projections", {"weight": np.full((1, 2), 32767, np.int16), "shift": 16}, "P320"),
        ("projections", {"receptor": 1}, "U605"),
        ("projections", {"target": "another"}, "U605"),
    ],
)
def test_tables_that_would_overflow_or_contradict_themselves_are_refused(
    kind: str, change: dict[str, object], code: str
) -> None:
    chip = tables.from_npz(made(one_neuron([2.0, 1.0])).files[tables.FILE])
    broken = replace(chip, **{kind: (replace(getattr(chip, kind)[0], **change),)})
    with pytest.raises(nirc.NircError, match=code):
        tables.program_of(tables.from_npz(tables.to_npz(broken)))


@needs_gcc
@pytest.mark.parametrize("line", [b"1", b"1 2 3", b"1 256", b"1 -1", b"a b", b"-x"])
def test_the_program_refuses_a_line_that_is_no_step(line: bytes, program: Path) -> None:
    done = subprocess.run(
        [program], input=b"1 2\n" + line + b"\n", capture_output=True, check=False
    )
    assert done.returncode == 1 and b"line 2: 2 counts from 0 to 255" in done.stderr


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program with two inputs."""
    return compiled.build(tmp_path_factory.mktemp("program"), made(one_neuron([1.0, 2.0])).files)


def test_what_the_program_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = nirc.compile(network(), "c", writer="nir", reset="subtract")
    counts = np.full((1, 5, 3), 256)
    with pytest.warns(UserWarning, match="K101"):
        over = bundle.run(counts)
    assert (over.outputs == bundle.run(np.minimum(counts, 255)).outputs).all()
    monkeypatch.setattr(compiled, "COMPILER", None)
    with pytest.raises(nirc.UsageError, match="C compiler"):
        bundle.run(counts[:, :, :3], mode="compiled")


def test_a_membrane_cannot_drive_neurons() -> None:
    program = layered()
    nodes = dict(program.graph.nodes(data="payload"))
    edges = [*program.edges(), ("read", "plain", Projection((dense(4, 4),), feedback=True))]
    with pytest.raises(nirc.CompileError, match="P306"):
        CLegalise().run(Program.of(Form.DISCRETE, nodes, edges), Log())


@needs_gcc
def test_a_program_is_a_board(tmp_path: Path) -> None:
    bundle = nirc.compile(network(recurrent=True), "c", writer="nir", reset="subtract")
    where = bundle.save(tmp_path / "bundle")
    counts = dice.poisson(0.5, (2, 9, 3))
    local = board.script(where).load(None, {})
    answer = local.run(counts, record="all")
    wanted = bundle.run(counts, record=["hidden", "last"])
    assert (answer["spikes"] == wanted.outputs).all() and wanted.outputs.any()
    assert (answer["v/hidden"] == wanted.v["hidden"]).all()
    for command, message in (("true", "prints something else"), ("false", "status 1")):
        other = board.script(where).load(None, {"program": command})
        with pytest.raises(DeployError, match=message):
            other.run(counts)
