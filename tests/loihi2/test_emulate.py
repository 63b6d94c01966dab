"""The emulator against the slow definition and against recorded runs, and the file that it
reads.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from nirc.backends.loihi2 import emulate as machine
from nirc.backends.loihi2 import tables as module
from nirc.backends.loihi2.emulate import emulate
from nirc.backends.loihi2.limits import VARIANTS
from nirc.backends.loihi2.tables import (
    Geometry,
    Input,
    Output,
    Population,
    Projection,
    Tables,
    from_npz,
    to_npz,
)
from nirc.diagnostics.errors import CompileError, InputError, NircError
from nirc.native import networks
from nirc.semantics import delayed, synapses
from nirc.semantics.raster import Run
from tests.loihi2.reference import (
    FLAVOURS,
    random_convolutions,
    random_raster,
    random_tables,
    run_sample,
)

ZERO = np.zeros(1, np.int64)
LIF = Population("lif", du=4095, dv=163, vth=25, bias_mant=ZERO, bias_exp=ZERO, v_init=ZERO)
SYNAPSE = Projection("w", "in", "lif", "dense", np.array([[10]]), "mixed")
PAPER = Tables(1, (Input("in", ZERO),), (LIF,), (SYNAPSE,), (Output("lif", ZERO),))


def random_network(seed: int, flavour: str) -> Tables:
    return random_tables(np.random.default_rng(seed), flavour)


def without_c(tables: Tables, raster: np.ndarray) -> Run:
    """A run as of a network with very many synapses, in numpy."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(machine, "MAX_SYNAPSES", -1)
        return emulate(tables, raster, record=True)


def assert_equals_reference(tables: Tables, raster: np.ndarray) -> Run:
    run, slow = emulate(tables, raster, record=True), without_c(tables, raster)
    np.testing.assert_array_equal(slow.outputs, run.outputs)
    for found, wanted in ((slow.v, run.v), (slow.spikes, run.spikes), (slow.extra, run.extra)):
        assert list(found) == list(wanted)
        for name, values in wanted.items():
            np.testing.assert_array_equal(found[name], values, err_msg=name)
    for i, sample in enumerate(raster):
        for name, states in run_sample(tables, sample).items():
            got = {"u": run.extra[f"u/{name}"], "v": run.v[name], "spikes": run.spikes[name]}
            for state, values in states.items():
                np.testing.assert_array_equal(
                    got[state][i], values, err_msg=f"{state} of {name}, sample {i}"
                )
    return run


# Recorded runs.


@pytest.mark.parametrize(("file", "in_the_step_of_a_spike"), [("cpu", 0), ("loihi", 128)])
def test_the_recorded_runs_of_the_paper(data: Path, file: str, in_the_step_of_a_spike: int) -> None:
    """On the chip the voltage word holds a refractory counter, 128, in the step of a spike."""
    given_, voltage, spikes = np.loadtxt(data / f"paper/lif_lava_{file}_fixed.csv", delimiter=",").T
    run = emulate(PAPER, given_[None, :, None], record=True)
    assert (
        np.flatnonzero(run.outputs).tolist()
        == np.flatnonzero(spikes).tolist()
        == [461, 511, 711, 761]
    )
    expected = np.where(spikes > 0, 0, voltage)
    np.testing.assert_array_equal(run.v["lif"].ravel(), expected)
    assert set(voltage[spikes > 0]) == {in_the_step_of_a_spike}


@pytest.mark.parametrize("change", [{"dv": 164}, {"dv": 162}, {"vth": 24, "dv": 160}, {"du": 3000}])
def test_other_constants_give_another_run(data: Path, change: dict[str, int]) -> None:
    given_, voltage, _ = np.loadtxt(data / "paper/lif_lava_cpu_fixed.csv", delimiter=",").T
    run = emulate(
        replace(PAPER, populations=(replace(LIF, **change),)), given_[None, :, None], record=True
    )
    assert (run.v["lif"].ravel() != voltage).any()


# Against the definition.


@pytest.mark.parametrize("flavour", FLAVOURS)
@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), shape=st.tuples(st.integers(1, 3), st.integers(1, 30)))
def test_random_networks(flavour: str, seed: int, shape: tuple[int, int]) -> None:
    tables = random_network(seed, flavour)
    raster = random_raster(np.random.default_rng(seed), *shape, tables.channels)
    assert_equals_reference(tables, raster)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_convolutions(seed: int) -> None:
    rng = np.random.default_rng(seed)
    tables = random_convolutions(rng)
    raster = random_raster(rng, 2, 8, tables.channels)
    run = assert_equals_reference(from_npz(to_npz(tables)), raster)
    event(f"spikes: {bool(run.spikes['pop0'].any())}")


def test_a_convolution_in_parts_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    tables = random_convolutions(rng)
    raster = random_raster(rng, 5, 30, tables.channels)
    expected = emulate(tables, raster, record=True)
    assert expected.spikes["pop0"].any() and expected.outputs.any()
    for values in ({"MAX_VALUES": 8}, {"FLOAT32_INTEGERS": 0}):
        with monkeypatch.context() as patch:
            for name, value in values.items():
                patch.setattr(machine, name, value)
            np.testing.assert_array_equal(without_c(tables, raster).outputs, expected.outputs)


def test_a_convolution_goes_round_at_24_bits() -> None:
    """As Lava's model does; a dense one would go on to 32 bits."""
    n = 200 * 200
    kernel = np.full((1, n, 1, 1), 254)
    geometry = Geometry((n, 1, 1), (1, 1, 1))
    p = Projection("w", "in", "lif", "conv", kernel, "mixed", geometry=geometry)
    tables = replace(PAPER, inputs=(Input("in", np.zeros(n, np.int64)),), projections=(p,))
    run = emulate(tables, np.array([[[1], [0]]]), record=True)
    assert np.array_equal(
        without_c(tables, np.array([[[1], [0]]])).extra["u/lif"], run.extra["u/lif"]
    )
    total = n * 254 - 2**24
    u = (total * 64 + 2**31) % 2**32 - 2**31
    u += -(2**24) if u > 2**23 else 2**24 if u <= -(2**23) else 0
    assert run.extra["u/lif"][0, :, 0].tolist() == [0, u]


def test_the_random_networks_reach_what_they_are_for() -> None:
    """Spikes, wraps, saturation and long delays happen, so that the comparisons above mean
    something.
    """
    seen = dict.fromkeys(
        ("spikes", "wrap", "saturation", "delay 63", "empty", "readout", "walked"), 0
    )
    for seed in range(60):
        tables = random_network(seed, FLAVOURS[seed % len(FLAVOURS)])
        run = emulate(
            tables, random_raster(np.random.default_rng(seed), 2, 20, tables.channels), record=True
        )
        seen["spikes"] += sum(int(s.sum()) for s in run.spikes.values())
        seen["wrap"] += sum(
            int((np.abs(np.diff(u, axis=1)) > 2**23).sum()) for u in run.extra.values()
        )
        seen["saturation"] += sum(int((np.abs(v) == 2**23 - 1).sum()) for v in run.v.values())
        seen["delay 63"] += sum(p.delays is not None and 63 in p.delays for p in tables.projections)
        seen["empty"] += sum(p.weights.size == 0 for p in tables.projections)
        seen["readout"] += sum(not p.spikes for p in tables.populations)
        seen["walked"] += sum(
            type(machine._Bundle(p, tables.sizes()).synapses) is synapses._Lists
            for p in tables.projections
        )
    assert min(seen.values()) > 0, seen


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_every_way_of_summing_gives_the_same(monkeypatch: pytest.MonkeyPatch, flavour: str) -> None:
    """Matrices of both precisions, and spike by spike in batches of any size; samples in any
    chunks.
    """
    tables = random_network(7, flavour)
    raster = random_raster(np.random.default_rng(7), 5, 40, tables.channels)
    expected = emulate(tables, raster, record=True)
    settings_ = (
        {"SPARSE": 0},
        {"SPARSE": 0, "WALKED": 1},
        {"SPARSE": 0, "WALKED": 17},
        {"SPARSE": 1 << 40},
        {"SPARSE": 1 << 40, "FLOAT32_INTEGERS": 0},
        {"CHUNK_SAMPLES": 2, "CHUNK_VALUES": 1},
        {"MAX_VALUES": 1},
    )
    for values in settings_:
        with monkeypatch.context() as patch:
            for name, value in values.items():
                places = [
                    module for module in (machine, delayed, synapses) if hasattr(module, name)
                ]
                assert places
                for module in places:
                    patch.setattr(module, name, value)
            run = emulate(tables, raster, record=True)
        for got, want in (
            (run.v, expected.v),
            (run.spikes, expected.spikes),
            (run.extra, expected.extra),
        ):
            for name in want:
                np.testing.assert_array_equal(
                    got[name], want[name], err_msg=f"{name} with {values}"
                )


def test_more_sources_than_float32_can_count() -> None:
    """Sums beyond 2^24 stay exact, and wrap around at 32 bits behind the exponent."""
    n = 70_001  # times 255 is odd
    p = Projection("w", "in", "lif", "dense", np.full((1, n), 255), "excitatory", weight_exp=7)
    lif = replace(LIF, vth=131071, dv=4096)
    tables = replace(
        PAPER, channels=1, inputs=(Input("in", np.zeros(n, np.int64)),), populations=(lif,)
    )
    run = emulate(replace(tables, projections=(p,)), np.array([[[1], [0]]]), record=True)
    total = (n * 255) << 7 << 6
    u = (total + 2**31) % 2**32 - 2**31
    u += -(2**24) if u > 2**23 else 2**24 if u <= -(2**23) else 0
    assert run.extra["u/lif"][0, :, 0].tolist() == [0, u]


# Steps, inputs and outputs.


@pytest.mark.parametrize("delay", [None, 0, 1, 63])
def test_a_column_arrives_one_row_later_and_its_delay(delay: int | None) -> None:
    delays = None if delay is None else np.array([[delay]])
    tables = replace(PAPER, projections=(replace(SYNAPSE, delays=delays),))
    raster = np.zeros((1, 100, 1), np.int64)
    raster[0, 20] = 1
    run = emulate(tables, raster, record=True)
    assert np.flatnonzero(run.extra["u/lif"]).tolist() == [20 + 1 + (delay or 0)]


def test_a_chain_takes_a_step_a_synapse_and_counts_are_one_spike() -> None:
    second = replace(LIF, name="second")
    strong = replace(SYNAPSE, weights=np.array([[254]]))
    chain = replace(strong, name="w2", source="lif", target="second")
    tables = replace(
        PAPER,
        populations=(LIF, second),
        projections=(strong, chain),
        outputs=(Output("second", ZERO),),
    )
    raster = np.zeros((2, 10, 1), np.int64)
    raster[:, 3, 0] = 1, 7
    run = emulate(tables, raster)
    assert [np.flatnonzero(sample).tolist() for sample in run.outputs] == [[5], [5]]
    assert not run.spikes and not run.v and not run.extra


def test_outputs_stand_side_by_side_and_a_readout_gives_v() -> None:
    tables = random_network(11, "recurrent")
    first, last = tables.populations[0], tables.populations[-1]
    spiking = replace(first, spikes=True)
    readout = Population(
        "readout", 4095, 0, 131071, last.bias_mant, last.bias_exp, last.v_init, spikes=False
    )
    outputs = (Output("readout", np.array([0])), Output(spiking.name, np.arange(first.n)[::-1]))
    tables = replace(
        tables, populations=(spiking, *tables.populations[1:], readout), outputs=outputs
    )
    run = emulate(
        tables, random_raster(np.random.default_rng(0), 2, 9, tables.channels), record=True
    )
    assert run.outputs.dtype == np.int32
    np.testing.assert_array_equal(run.outputs[:, :, :1], run.v["readout"][:, :, :1])
    np.testing.assert_array_equal(run.outputs[:, :, 1:], run.spikes[spiking.name][:, :, ::-1])


def test_progress_is_told_the_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    for engine in (delayed, networks):
        monkeypatch.setattr(engine, "CHUNK_SAMPLES", 2)
    monkeypatch.setattr(delayed, "CHUNK_VALUES", 1)
    told: list[int] = []
    emulate(PAPER, np.zeros((5, 3, 1)), progress=told.append)
    assert told == [2, 4, 5]


WRONG_RASTERS = (
    np.zeros((3, 1)),
    np.zeros((1, 3, 2)),
    np.full((1, 3, 1), -1),
    np.full((1, 3, 1), 0.5),
    np.full((1, 3, 1), np.nan),
    np.array([[["a"]]]),
)


@pytest.mark.parametrize("raster", WRONG_RASTERS)
def test_a_raster_that_does_not_fit_is_refused(raster: np.ndarray) -> None:
    with pytest.raises(InputError, match="U604"):
        emulate(PAPER, raster)


def test_systems_grow_and_limits_are_declared_once() -> None:
    assert [t.name for t in VARIANTS] == [
        "loihi2:oheogulch",
        "loihi2:kapohopoint",
        "loihi2:halapoint",
    ]
    assert [(t.max("chips"), t.max("cores")) for t in VARIANTS] == [
        (1, 120),
        (8, 960),
        (1152, 140_544),
    ]
    for target in VARIANTS:
        assert len({limit.name for limit in target.limits}) == len(target.limits)
        assert all(limit.certainty in "SMI?" and limit.source for limit in target.limits)


# The file.


@pytest.mark.parametrize("flavour", FLAVOURS)
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_the_file_holds_the_network(flavour: str, seed: int) -> None:
    tables = random_network(seed, flavour)
    data = to_npz(tables)
    read = from_npz(data)
    assert to_npz(read) == data
    raster = random_raster(np.random.default_rng(seed), 2, 20, tables.channels)
    got, want = (emulate(t, raster, record=True) for t in (read, tables))
    np.testing.assert_array_equal(got.outputs, want.outputs)
    for name in want.extra:
        np.testing.assert_array_equal(got.extra[name], want.extra[name])


def test_plain_numpy_reads_the_file() -> None:
    with np.load(io.BytesIO(to_npz(PAPER)), allow_pickle=False) as file:
        structure = json.loads(file["network"].tobytes())
        assert structure["populations"][0]["dv"] == 163
        assert file["projections/0/weights"].tolist() == [[10]]


def test_the_bytes_do_not_depend_on_the_width_of_the_integers_or_the_time() -> None:
    narrow = replace(SYNAPSE, weights=SYNAPSE.weights.astype(np.int16))
    assert to_npz(replace(PAPER, projections=(narrow,))) == to_npz(PAPER)
    with zipfile.ZipFile(io.BytesIO(to_npz(PAPER))) as archive:
        assert {info.date_time[0] for info in archive.infolist()} == {1980}


def members(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(parts: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, part in parts.items():
            archive.writestr(name, part)
    return file.getvalue()


def npy_bytes(array: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def restructured(tables: Tables, change: Callable[[dict[str, Any]], object]) -> bytes:
    parts = members(to_npz(tables))
    tree = json.loads(parts["network.npy"][parts["network.npy"].index(b"\n") + 1 :])
    change(tree)
    parts["network.npy"] = npy_bytes(np.frombuffer(json.dumps(tree).encode(), np.uint8))
    return packed(parts)


def with_member(name: str, part: bytes) -> bytes:
    return packed({**members(to_npz(PAPER)), f"{name}.npy": part})


WEIGHTS = "projections/0/weights"
ONE = npy_bytes(np.zeros((1, 1), "<i2"))
HUGE = ONE.replace(b"(1, 1), }" + 22 * b" ", b"(90000000000, 90000000000), }  ")
DAMAGED = {
    "empty": b"",
    "not a zip": b"PK\x03\x04" + b"x" * 100,
    "cut off": to_npz(PAPER)[:-30],
    "a changed byte": to_npz(PAPER).replace(b"nirc-loihi2", b"nirc-loihi3"),
    "no structure": packed({k: v for k, v in members(to_npz(PAPER)).items() if k != "network.npy"}),
    "no weights": packed({k: v for k, v in members(to_npz(PAPER)).items() if "weights" not in k}),
    "one member more": with_member("more", npy_bytes(np.zeros(1))),
    "compressed": packed(members(to_npz(PAPER)), zipfile.ZIP_DEFLATED),
    "pickled": with_member(WEIGHTS, npy_bytes(np.array([[{}]]), allow_pickle=True)),
    "floats": with_member(WEIGHTS, npy_bytes(np.array([[10.0]]))),
    "wider integers": with_member(WEIGHTS, npy_bytes(np.array([[10]]))),
    "big-endian": with_member(WEIGHTS, npy_bytes(np.array([[10]], ">i2"))),
    "column order": with_member(WEIGHTS, ONE.replace(b"False", b"True ")),
    "another version of the format": with_member(
        WEIGHTS, ONE.replace(b"NUMPY\x01\x00", b"NUMPY\x01\x01")
    ),
    "negative sizes": with_member(WEIGHTS, ONE.replace(b"(1, 1), }  ", b"(-1, -1), }")),
    "three axes": with_member(WEIGHTS, npy_bytes(np.array([[[10]]], "<i2"))),
    "another shape": with_member(WEIGHTS, npy_bytes(np.array([[10, 10]], "<i2"))),
    "a header that asks for memory": with_member(WEIGHTS, HUGE),
    "too few bytes": with_member(WEIGHTS, ONE[:-1]),
    "too many bytes": with_member(WEIGHTS, ONE + b"x"),
    "no header": with_member(WEIGHTS, b"\x93NUMPY"),
    "a header that is code": with_member(WEIGHTS, ONE.replace(b"'descr'", b"exit(1)")),
    "structure not JSON": with_member("network", npy_bytes(np.frombuffer(b"{", np.uint8))),
    "structure not an object": with_member("network", npy_bytes(np.frombuffer(b"[]", np.uint8))),
    "structure nested deeply": with_member(
        "network", npy_bytes(np.frombuffer(b"[" * 100_000, np.uint8))
    ),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_a_damaged_file_is_refused(case: str) -> None:
    with pytest.raises(InputError) as refusal:
        from_npz(DAMAGED[case])
    assert [d.code for d in refusal.value.diagnostics] == ["U605"]


def test_the_same_member_twice_is_refused() -> None:
    parts = members(to_npz(PAPER))
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
        for name, part in [*parts.items(), *list(parts.items())[-1:]]:
            archive.writestr(name, part)
    with pytest.raises(InputError, match="U605"):
        from_npz(file.getvalue())


def test_a_file_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    data = to_npz(PAPER)
    monkeypatch.setattr(module, "NETWORK", replace(module.NETWORK, most_bytes=len(data)))
    from_npz(data)
    with pytest.raises(InputError, match="too large"):
        from_npz(data + b"x")


def test_members_that_overlap_are_refused_before_they_are_read() -> None:
    """The directory says that the first member goes on to the end of the file, over the others."""
    data = bytearray(to_npz(PAPER))
    entry = data.index(b"PK\x01\x02")
    data[entry + 20 : entry + 28] = 2 * len(data).to_bytes(4, "little")
    with pytest.raises(InputError, match="overlap"):
        from_npz(bytes(data))


def _at(*path: str | int, value: object) -> Callable[[dict[str, Any]], object]:
    def change(tree: dict[str, Any]) -> None:
        block: Any = tree
        for key in path[:-1]:
            block = block[key]
        block[path[-1]] = value

    return change


STRUCTURES: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "another format": (_at("format", value="nirc-loihi2-2"), "format"),
    "no inputs": (lambda tree: tree.pop("inputs"), "inputs"),
    "a field more": (_at("populations", 0, "leak", value=1), "populations[0].leak"),
    "a field less": (lambda tree: tree["populations"][0].pop("du"), "populations[0].du"),
    "not a list": (_at("projections", value={}), "projections"),
    "not an object": (_at("projections", 0, value=[]), "projections[0]"),
    "a fraction": (_at("populations", 0, "du", value=1.0), "populations[0].du"),
    "a truth for a number": (_at("populations", 0, "du", value=True), "populations[0].du"),
    "a number for a truth": (_at("populations", 0, "spikes", value=1), "populations[0].spikes"),
    "no name": (_at("populations", 0, "name", value=""), "populations[0].name"),
    "a long name": (_at("populations", 0, "name", value="x" * 300), "populations[0].name"),
    "a bell in a name": (_at("populations", 0, "name", value="\a"), "populations[0].name"),
    "a list for a name": (_at("populations", 0, "name", value=["lif"]), "populations[0].name"),
    "a name twice": (_at("inputs", 0, "name", value="lif"), ""),
    "an unknown kind": (_at("projections", 0, "kind", value="pool"), "projections[0].kind"),
    "a convolution without geometry": (
        _at("projections", 0, "kind", value="conv"),
        "projections[0].geometry",
    ),
    "an unknown sign mode": (
        _at("projections", 0, "sign_mode", value="null"),
        "projections[0].sign_mode",
    ),
    "an unknown source": (_at("projections", 0, "source", value="lof"), "projections[0].source"),
    "an input as target": (_at("projections", 0, "target", value="in"), "projections[0].target"),
    "an input as output": (_at("outputs", 0, "population", value="in"), "outputs[0].population"),
    "sparse without places": (
        _at("projections", 0, "kind", value="sparse"),
        "projections[0].weights",
    ),
    "an array not listed": (_at("projections", 0, "arrays", value=[]), "projections/0/weights.npy"),
    "an array listed twice": (
        _at("projections", 0, "arrays", value=["weights"] * 2),
        "projections[0].arrays",
    ),
    "channels beyond the raster": (_at("channels", value=0), "inputs[0].channels"),
}


@pytest.mark.parametrize("case", STRUCTURES)
def test_a_structure_that_makes_no_sense_is_refused(case: str) -> None:
    change, where = STRUCTURES[case]
    with pytest.raises(InputError) as refusal:
        from_npz(restructured(PAPER, change))
    (found,) = refusal.value.diagnostics
    assert (found.code, found.where) == ("U605", where)


def sparse(rows: list[int], cols: list[int]) -> Tables:
    places = {"rows": np.array(rows, np.int64), "cols": np.array(cols, np.int64)}
    entries = replace(SYNAPSE, kind="sparse", weights=np.full(len(rows), 10), **places)
    return replace(PAPER, projections=(entries,))


KERNEL = np.zeros((2, 2, 3, 3), np.int64)
CONV = Projection(
    "w",
    "in",
    "lif",
    "conv",
    KERNEL,
    "mixed",
    geometry=Geometry((2, 4, 4), (2, 2, 3), padding=(0, 1), stride=(1, 2)),
)


def convolution(geometry: dict[str, Any] | None = None, **fields: Any) -> Tables:
    """A convolution of 2 x 4 x 4 inputs to 2 x 2 x 2 neurons, with something changed."""
    before = Geometry((2, 4, 4), (2, 2, 2), stride=(1, 2), padding=(0, 1))
    p = replace(CONV, geometry=replace(before, **(geometry or {})))
    zeros = np.zeros(8, np.int64)
    cells = replace(LIF, bias_mant=zeros, bias_exp=zeros, v_init=zeros)
    tables = replace(PAPER, inputs=(Input("in", np.zeros(32, np.int64)),), populations=(cells,))
    return replace(tables, projections=(replace(p, **fields),))


def test_the_convolution_that_the_cases_change_is_sound() -> None:
    from_npz(to_npz(convolution()))


GEOMETRIES: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "no geometry": (_at("projections", 0, "geometry", value=None), "projections[0].geometry"),
    "a list": (_at("projections", 0, "geometry", value=[]), "projections[0].geometry"),
    "a field more": (_at("projections", 0, "geometry", "x", value=1), "projections[0].geometry.x"),
    "two axes": (
        _at("projections", 0, "geometry", "shape_in", value=[4, 4]),
        "projections[0].geometry.shape_in",
    ),
    "a fraction": (
        _at("projections", 0, "geometry", "stride", value=[1, 1.5]),
        "projections[0].geometry.stride[1]",
    ),
    "a truth": (
        _at("projections", 0, "geometry", "groups", value=True),
        "projections[0].geometry.groups",
    ),
    "a number": (
        _at("projections", 0, "geometry", "padding", value=1),
        "projections[0].geometry.padding",
    ),
    "of a dense projection": (
        _at("projections", 0, "kind", value="dense"),
        "projections[0].geometry",
    ),
}


@pytest.mark.parametrize("case", GEOMETRIES)
def test_a_geometry_that_makes_no_sense_is_refused(case: str) -> None:
    change, where = GEOMETRIES[case]
    with pytest.raises(InputError) as refusal:
        from_npz(restructured(convolution(), change))
    (found,) = refusal.value.diagnostics
    assert (found.code, found.where) == ("U605", where)


def lif(**fields: Any) -> Tables:
    return replace(PAPER, populations=(replace(LIF, **fields),))


TWO = np.zeros(2, np.int64)
CONTRADICTIONS = {
    "a row too high": sparse([1], [0]),
    "a negative column": sparse([0], [-1]),
    "a column too high": sparse([0], [1]),
    "a synapse twice": sparse([0, 0], [0, 0]),
    "fewer columns": sparse([0], []),
    "no columns": replace(
        PAPER, projections=(replace(sparse([0], [0]).projections[0], cols=None),)
    ),
    "places of dense weights": replace(PAPER, projections=(replace(SYNAPSE, rows=ZERO),)),
    "delays of another shape": replace(PAPER, projections=(replace(SYNAPSE, delays=ZERO),)),
    "biases of another shape": lif(bias_exp=TWO),
    "no neurons": lif(bias_mant=ZERO[:0]),
    "no lines": replace(PAPER, inputs=(Input("in", ZERO[:0]),)),
    "a projection from a readout": replace(
        lif(spikes=False), projections=(SYNAPSE, replace(SYNAPSE, name="w2", source="lif"))
    ),
    "two projections of one name": replace(PAPER, projections=(SYNAPSE, SYNAPSE)),
    "no outputs": replace(PAPER, outputs=()),
    "a convolution with columns": convolution(rows=ZERO, cols=ZERO),
    "a convolution with delays": convolution(delays=KERNEL),
    "a convolution with an exponent": convolution(weight_exp=1),
    "a convolution of few bits": convolution(num_weight_bits=7),
    "an excitatory convolution": convolution(sign_mode="excitatory"),
    "a flat kernel": convolution(weights=KERNEL[0]),
    "a kernel of other channels": convolution(weights=KERNEL[:, :1]),
    "groups that do not divide": convolution({"groups": 3}),
    "another output": convolution({"stride": (1, 1)}),
    "a map of another size": convolution({"shape_in": (1, 4, 4)}, weights=KERNEL[:, :1]),
    "a kernel that leaves nothing": convolution({"dilation": (2, 3)}),
    "more windows than memory": convolution({"padding": (127, 127), "shape_in": (2**28, 4, 4)}),
    "an output beyond the neurons": replace(PAPER, outputs=(Output("lif", ZERO + 1),)),
}


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_tables_that_contradict_themselves_are_not_written(case: str) -> None:
    with pytest.raises(InputError, match="U605"):
        to_npz(CONTRADICTIONS[case])


def weights(**fields: Any) -> Tables:
    return replace(PAPER, projections=(replace(SYNAPSE, **fields),))


OUTSIDE: dict[str, tuple[Tables, str]] = {
    "du": (lif(du=4096), "0..4095"),
    "du of an integrator": (lif(du=-1), "0..4095"),
    "dv": (lif(dv=4097), "0..4096"),
    "vth": (lif(vth=131072), "0..131071"),
    "bias_mant": (lif(bias_mant=ZERO + 4096), "-4096..4095"),
    "bias_exp": (lif(bias_exp=ZERO - 1), "0..7"),
    "v_init": (lif(v_init=ZERO + 2**23), "-8388607..8388607"),
    "weights": (weights(weights=np.array([[256]])), "-256..255"),
    "num_weight_bits": (weights(num_weight_bits=0), "1..8"),
    "weight_exp": (weights(weight_exp=8), "-8..7"),
    "delays": (weights(delays=np.array([[64]])), "0..63"),
    "weights of a convolution": (convolution(weights=KERNEL + 256), "-256..254"),
    "weights of a convolution, odd": (convolution(weights=KERNEL + 3), "-256..254"),
    "geometry.stride": (convolution({"stride": (1, 128)}), "1..127"),
    "geometry.padding": (convolution({"padding": (-1, 0)}), "0..127"),
    "geometry.groups": (convolution({"groups": 0}), "1..127"),
    "geometry": (convolution({"shape_in": (2, 4, 257)}), "1..256"),
}


@pytest.mark.parametrize("case", OUTSIDE)
def test_a_value_outside_the_chips_range_is_refused_at_its_limit_and_not_below(case: str) -> None:
    tables, limit = OUTSIDE[case]
    with pytest.raises(CompileError) as refusal:
        to_npz(tables)
    (found,) = refusal.value.diagnostics
    assert (found.code, found.limit, bool(found.source)) == ("L810", limit, True)
    assert case.split(maxsplit=1)[0] in found.where


def test_values_in_a_file_are_refused_all_at_once() -> None:
    data = restructured(PAPER, lambda tree: tree["populations"][0].update(du=5000, vth=10**30))
    parts = {**members(data), f"{WEIGHTS}.npy": npy_bytes(np.array([[-300]], "<i2"))}
    with pytest.raises(CompileError) as refusal:
        from_npz(packed(parts))
    assert [d.where for d in refusal.value.diagnostics] == [
        "populations[0].du",
        "populations[0].vth",
        "projections[0].weights",
    ]


@settings(max_examples=300, deadline=None)
@given(at=st.integers(0, len(to_npz(PAPER)) - 1), byte=st.integers(0, 255))
def test_no_changed_byte_leads_anywhere_else(at: int, byte: int) -> None:
    data = bytearray(to_npz(PAPER))
    data[at] = byte
    try:
        read = from_npz(bytes(data))
    except NircError:
        return
    assert to_npz(read) == to_npz(PAPER)


@pytest.mark.parametrize(("largest", "precision"), [(50, np.float32), (51, np.float64)])
def test_sums_of_a_kernel_are_exact_in_every_group(
    monkeypatch: pytest.MonkeyPatch, largest: int, precision: type
) -> None:
    """float32 holds integers up to a limit. The group with the largest sum decides."""
    monkeypatch.setattr(machine, "FLOAT32_INTEGERS", 100)
    kernel = np.ones((2, 1, 1, 2), np.int32)
    kernel[1] = [[[50, -largest]]]
    groups = machine._Convolution(kernel, Geometry((2, 1, 2), (2, 1, 1), groups=2))
    assert groups.weights.dtype == precision
