"""Sums of weights over spikes, delays and recordings of the chips' emulators, by the definition."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nirc.diagnostics.errors import InputError
from nirc.semantics import delayed, synapses
from nirc.semantics.delayed import _samples_at_once, run_delayed
from nirc.semantics.raster import Recorder, spike_counts
from nirc.semantics.synapses import Synapses, _Lists, _Matrix, summing

# -- sums


def some_synapses(seed: int) -> Synapses:
    rng = np.random.default_rng(seed)
    n_sources, n_places = int(rng.integers(1, 9)), int(rng.integers(1, 9))
    chosen = np.flatnonzero(rng.random(n_sources * n_places) < 0.4)
    rng.shuffle(chosen)
    weights = rng.integers(-9, 10, chosen.size)
    return Synapses(chosen // n_places, chosen % n_places, weights, n_sources, n_places)


def slow(made: Synapses, spikes: Any) -> Any:
    total = np.zeros((len(spikes), made.n_places), np.int64)
    for source, place, weight in zip(made.sources, made.places, made.weights, strict=True):
        total[:, place] += weight * spikes[:, source].astype(np.int64)
    return total


@given(st.integers(0, 2**32 - 1), st.booleans())
@settings(max_examples=40)
def test_a_matrix_and_lists_give_the_sums_of_the_definition(seed: int, many: bool) -> None:
    made, rng = some_synapses(seed), np.random.default_rng(seed)
    counts = rng.integers(0, 4 if many else 2, (5, made.n_sources))
    spikes: Any = counts if many else counts.astype(bool)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(synapses, "WALKED", 2)
        for each in (_Matrix(made), _Lists(made), summing(made)):
            assert np.array_equal(each.sums(spikes), slow(made, spikes))


def test_one_entry_in_32_is_the_least_of_a_matrix() -> None:
    one = np.zeros(1, np.int64)
    assert isinstance(summing(Synapses(one, one, one + 1, 4, 8)), _Matrix)
    assert isinstance(summing(Synapses(one, one, one + 1, 3, 11)), _Lists)


@pytest.mark.parametrize("largest", [1 << 24, 1 << 23])
def test_sums_beyond_what_float32_holds_are_exact(largest: int) -> None:
    pair, place = np.arange(2), np.zeros(2, np.int64)
    made = _Matrix(Synapses(pair, place, np.array([largest, 1]), 2, 1))
    for twice in (np.array([[1, 1]]), np.array([[2, 1]]), np.array([[3, 3]])):
        assert made.sums(twice).item() == largest * twice[0, 0] + twice[0, 1]


# -- steps


@dataclass
class Relays:
    """Neurons that fire once for each unit that arrives."""

    n: int
    spikes: Any = None
    v: Any = None
    resets: list[int] = field(default_factory=list)

    def reset(self, samples: int) -> Any:
        self.resets.append(samples)
        self.v = np.zeros((samples, self.n))
        return np.zeros((samples, self.n), np.int64)

    def step(self, arrived: Any) -> None:
        self.spikes = arrived.copy()
        self.v = self.v + arrived


@dataclass
class Wires:
    """Source i to neuron i, after each of the delays."""

    source: str
    target: str
    delays: list[int]
    n_places: int

    def sums(self, spikes: Any) -> Any:
        return np.repeat(spikes[:, None], len(self.delays), axis=1)


@dataclass(frozen=True)
class Named:
    name: str
    n: int
    spikes: bool = True


@dataclass(frozen=True)
class Chosen:
    population: str
    neurons: Any


def test_a_spike_acts_one_step_and_its_delay_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delayed, "CHUNK_SAMPLES", 2)
    monkeypatch.setattr(delayed, "CHUNK_VALUES", 1)
    rng = np.random.default_rng(0)
    inputs = rng.integers(0, 3, (5, 12, 3))
    cells = {"a": Relays(2), "b": Relays(2)}
    wires = [Wires("in", "a", [0, 3], 4), Wires("a", "b", [1], 2)]
    names = [Named("a", 2), Named("b", 2, spikes=False)]
    outputs = [Chosen("b", np.array([1])), Chosen("a", np.array([0, 1]))]
    states = {"spikes": np.int8, "v": np.int64}
    done: list[int] = []
    for record in (True, False):
        recorder = Recorder(names, outputs, states, (5, 12), record=record)
        channels = {"in": np.array([2, 0])}
        found = run_delayed(inputs, channels, cells, wires, recorder, done.append, np.int64)
        a, b = np.zeros((5, 12, 2)), np.zeros((5, 12, 2))
        for t in range(12):
            for earlier in (1, 4):
                if t >= earlier:
                    a[:, t] += inputs[:, t - earlier, [2, 0]]
            if t >= 2:
                b[:, t] = a[:, t - 2]
        v = np.cumsum(b, axis=1)
        assert np.array_equal(found.outputs, np.concatenate([v[:, :, 1:], a], axis=2))
        assert set(found.spikes) == set(found.v) == ({"a", "b"} if record else set())
    assert done == [2, 4, 5] * 2 and cells["a"].resets == [2, 2, 1] * 2


def test_states_besides_spikes_and_membranes_are_extra() -> None:
    names, outputs = [Named("a", 2)], [Chosen("a", np.array([1]))]
    states = {"spikes": np.int8, "v": np.int64, "u": np.float32}
    recorder = Recorder(names, outputs, states, (1, 2), record=True)
    cell = Relays(2)
    for step in range(2):
        cell.spikes, cell.v = np.array([[step, 1]]), np.array([[7, 8 + step]])
        cell.u = np.array([[0.5, step]])  # type: ignore[attr-defined]
        recorder.write({"a": cell}, slice(0, 1), step)
    found = recorder.run()
    assert found.outputs.tolist() == [[[1], [1]]] and found.outputs.dtype == np.int32
    assert found.spikes["a"].tolist() == [[[0, 1], [1, 1]]]
    assert found.v["a"].tolist() == [[[7, 8], [7, 9]]]
    assert {k: x.tolist() for k, x in found.extra.items()} == {"u/a": [[[0.5, 0], [0.5, 1]]]}
    assert repr(found) == "<Run: 1 sample(s) x 2 step(s), 1 output(s), 1 population(s) recorded>"


def test_as_many_samples_go_together_as_stay_in_the_cache() -> None:
    cells, depth = {"a": Relays(100)}, {"a": 4}
    wires = [Wires("in", "a", [3], 200)]  # 100 * (4 + 4) + 200 = 1000 values a sample
    assert _samples_at_once(cells, wires, depth) == (1 << 18) // 1000
    assert _samples_at_once(cells, [Wires("in", "a", [0], 10**5)], depth) == 64
    assert _samples_at_once(cells, [Wires("in", "a", [0], 1 << 25)], depth) == 3
    assert _samples_at_once(cells, [Wires("in", "a", [0], 1 << 28)], depth) == 1


# -- inputs


@pytest.mark.parametrize(
    ("raster", "found"),
    [
        (np.array([[["a", "b"]]]), "does not hold numbers"),
        (np.zeros((2, 3)), "the shape"),
        (np.zeros((1, 2, 3)), "the shape"),
        (np.array([[[0, -1]]]), "not a spike count"),
        (np.array([[[0.5, 1.0]]]), "not a spike count"),
        (np.array([[[np.nan, 1.0]]]), "not a spike count"),
        (np.array([[[np.inf, 1.0]]]), "not a spike count"),
    ],
)
def test_only_spike_counts_are_inputs(raster: Any, found: str) -> None:
    with pytest.raises(InputError, match=found) as refusal:
        spike_counts(raster, 2)
    assert [d.code for d in refusal.value.diagnostics] == ["U604"]


def test_spike_counts_keep_their_type() -> None:
    for kind in (np.bool_, np.uint8, np.int32, np.float32):
        assert spike_counts(np.ones((1, 1, 2), kind), 2).dtype == kind
