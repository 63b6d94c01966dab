"""Memory and slices, against definitions spelt out synapse by synapse."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from nirc.backends.spinnaker2 import slices as module
from nirc.backends.spinnaker2.emulate import connections, unrolled
from nirc.backends.spinnaker2.limits import DYN_BYTES, INPUT_RATE, Prices
from nirc.backends.spinnaker2.slices import TERMS, IncomingKernel, Memory, Split, split
from nirc.backends.spinnaker2.tables import Input, Population, Tables
from nirc.diagnostics.log import Log
from tests.spinnaker2.networks import convolutional, network, population

FREE = Prices(DYN_BYTES, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
ODD = Prices(
    DYN_BYTES, mpt_words=2, mpt_factor=3, row_header=5, synapse_bytes=3, slots=7, signs=3,
    slot_bytes=11, state_words=13, state_words_exp=17, spike_bytes=19,
)  # fmt: skip
NETWORKS = [*map(network, range(8)), convolutional(), convolutional(pool=(2, 2))]


def names(tables: Tables) -> dict[str, Input | Population]:
    return {block.name: block for block in (*tables.inputs, *tables.populations)}


def terms(tables: Tables, name: str, atoms: int, source_atoms: dict[str, int]) -> list[dict]:
    """The bytes of each slice of a population by the prices ``ODD``, with 31 steps."""
    block = names(tables)[name]
    found = []
    for begin in range(0, block.n, atoms):
        n = min(atoms, block.n - begin)
        used = dict.fromkeys(TERMS, 0)
        found.append(used)
        if isinstance(block, Input):
            used["spikes"] = 19 * int(np.ceil(n * 31 * INPUT_RATE))
            continue
        used["ring"] = n * (7 if block.model in ("lif", "lif_curr_exp") else 1) * 3 * 11
        used["state"] = n * 4 * (17 if block.model.startswith("lif_curr_exp") else 13)
        if name in {output.population for output in tables.outputs}:
            used["recording"] = 31 * 4 * (-(-n // 32) if block.spikes else n)
        for c in connections(tables):
            inside = (c.post >= begin) & (c.post < begin + n)
            if c.target != name:
                continue
            senders = {pre // source_atoms[c.source] for pre in c.pre[inside].tolist()}
            used["table"] += len(senders) * 2 * 4 * 3
            if block.model == "lif_conv2d":
                used["kernel"] = tables.convolutions[0].weight.size + n
                continue
            for synapses in Counter(c.pre[inside].tolist()).values():
                used["rows"] += -(-(5 + 3 * synapses) // 4) * 4
    return found


@pytest.mark.parametrize("number", range(len(NETWORKS)))
def test_each_term_costs_what_its_prices_say(number: int) -> None:
    tables = NETWORKS[number]
    memory = Memory(tables, ODD, 31)
    for (name, block), atoms, others in product(names(tables).items(), (2, 3), (2, 5)):
        source_atoms = dict.fromkeys(names(tables), others)
        wanted = terms(tables, name, atoms, source_atoms)
        found = memory.terms(name, atoms, source_atoms)
        assert list(found) == list(TERMS)
        for term in TERMS:
            assert found[term].tolist() == [used[term] for used in wanted], (name, term)
        total = [sum(used.values()) for used in wanted]
        assert memory.total(name, atoms, source_atoms).tolist() == total
        assert memory.count(name, atoms) == len(total)
        assert memory.neurons(name, atoms).sum() == block.n
        for room, fits in ((max(total), True), (max(total) - 1, False)):
            exactly = Memory(tables, replace(ODD, dyn_bytes=room), 31)
            assert exactly.fits(name, atoms, source_atoms) == fits


def test_synapses_alone_may_fill_a_pe() -> None:
    tables = NETWORKS[0]
    target = tables.projections[3].target
    synapses = sum(p.pre.size for p in tables.projections if p.target == target)
    whole, sources = names(tables)[target].n, dict.fromkeys(names(tables), 250)
    into = [p for p in tables.projections if p.target == target]
    most = max(p.pre.size for p in into)
    assert len(into) > 1 and most < synapses
    for room, fits in ((4 * synapses, True), (4 * synapses - 1, False), (4 * most - 1, False)):
        memory = Memory(tables, replace(FREE, synapse_bytes=4, dyn_bytes=room), 1)
        assert memory.fits(target, whole, sources) == fits


def alone(model: str, n: int) -> Tables:
    """Neurons without synapses."""
    cells = population(np.random.default_rng(0), "p", model, n)
    return Tables(0, (), (cells,), (), (), ())


@pytest.mark.parametrize(
    ("n", "asked", "atoms"),
    [
        (10, None, 10), (11, None, 6), (25, None, 9), (1, None, 1), (30, None, 10),
        (25, 7, 7), (25, 10, 10), (5, 9, 5),
    ],
)  # fmt: skip
def test_slices_are_as_few_as_ten_neurons_a_pe_allow_and_even(
    n: int, asked: int | None, atoms: int
) -> None:
    memory = Memory(alone("lif", n), replace(FREE, state_words=1, dyn_bytes=40), 1)
    parts = split(memory, {} if asked is None else {"p": asked}, Log())
    assert parts is not None and parts.atoms == {"p": atoms}
    assert parts.begin.tolist() == list(range(0, n, atoms))
    assert parts.end.tolist() == [min(n, begin + atoms) for begin in range(0, n, atoms)]
    assert (parts.names, parts.owner.tolist(), parts.count) == (
        ("p",),
        [0] * len(parts.begin),
        len(parts.begin),
    )


def test_a_pe_may_have_room_for_a_single_neuron() -> None:
    for room, atoms in ((12, 3), (11, 2), (8, 2), (7, 1), (4, 1)):
        memory = Memory(alone("lif", 3), replace(FREE, state_words=1, dyn_bytes=room), 1)
        parts = split(memory, {}, Log())
        assert parts is not None and parts.atoms == {"p": atoms}
    log = Log()
    assert (
        split(Memory(alone("lif", 3), replace(FREE, state_words=1, dyn_bytes=3), 1), {}, log)
        is None
    )
    assert log.errors[0].message.startswith("neuron 0 alone of `p`")


def test_as_many_neurons_may_be_asked_for_as_a_pe_takes() -> None:
    memory = Memory(alone("lif", 300), FREE, 1)
    parts = split(memory, {"p": 250}, Log())
    assert parts is not None and parts.atoms == {"p": 250}
    log = Log()
    assert split(memory, {"p": 251}, log) is None
    (error,) = log.errors
    assert (error.code, error.found, error.limit) == ("N902", "251", "250")
    assert error.message.startswith("251 neurons of `p`")


@pytest.mark.parametrize(
    ("model", "n", "atoms"),
    [
        ("lif", 250, 250), ("lif", 251, 126), ("lif_no_delay", 251, 126),
        ("lif_curr_exp", 501, 167),
        ("lif_conv2d", 256, 256), ("lif_conv2d", 257, 129),
    ],
)  # fmt: skip
def test_a_model_has_as_many_neurons_on_a_pe_as_its_numbers_reach(
    model: str, n: int, atoms: int
) -> None:
    parts = split(Memory(alone(model, n), FREE, 1), {}, Log())
    assert parts is not None and parts.atoms["p"] == atoms


def test_an_input_has_250_channels_on_a_pe() -> None:
    tables = Tables(251, (Input("in", np.arange(251), 1),), (), (), (), ())
    parts = split(Memory(tables, FREE, 1), {}, Log())
    assert parts is not None and parts.atoms["in"] == 126


@pytest.mark.parametrize("asked", [False, True])
def test_the_neuron_that_does_not_fit_is_named_with_what_it_needs(asked: bool) -> None:
    """Neuron 3 has 7 synapses, all others one. Two of its source's slices send to it."""
    cells = population(np.random.default_rng(0), "p", "lif", 9)
    post = np.array([0, 1, 2, 3, 4, 5, 6, 7, 8, *[3] * 6])
    pre = np.array([*range(9), *range(4, 10)])
    order = np.lexsort((post, pre))
    ones, zeros = np.ones(15, np.int16), np.zeros(15, np.int16)
    wires = module.Projection("w", "in", "p", pre[order], post[order], ones, zeros)
    tables = Tables(10, (Input("in", np.arange(10), 1),), (cells,), (wires,), (), ())
    prices = Prices(dyn_bytes=150)
    log = Log()
    assert split(Memory(tables, prices, 1), {"in": 5, **({"p": 3} if asked else {})}, log) is None
    (error,) = log.errors
    rows, table = (5 * 8 + 2 * 12, 2 * 48) if asked else (7 * 8, 2 * 48)
    own = 3 if asked else 1
    ring, state = own * 8 * 2 * 2, own * 2 * 4
    assert (error.code, error.where, error.limit) == ("N903", "p", "150 bytes")
    total = rows + table + ring + state
    assert error.found == f"{total} bytes: table {table}, rows {rows}, ring {ring}, state {state}"
    who = "3 neurons of `p` do" if asked else "neuron 3 alone of `p` does"
    assert error.message == f"{who} not fit the memory of a processing element"


def one_by_one(tables: Tables, parts: Split) -> dict[tuple[int, int], int]:
    """Synapses by source and target slice."""
    first = {name: parts.owner.tolist().index(i) for i, name in enumerate(parts.names)}
    found: Counter[tuple[int, int]] = Counter()
    for c in connections(tables):
        for pre, post in zip(c.pre.tolist(), c.post.tolist(), strict=True):
            source = first[c.source] + pre // parts.atoms[c.source]
            found[source, first[c.target] + post // parts.atoms[c.target]] += 1
    return found


@pytest.mark.parametrize("number", range(len(NETWORKS)))
def test_pairs_of_slices_have_the_synapses_of_their_neurons(number: int) -> None:
    tables = NETWORKS[number]
    asked = {name: 2 + i for i, name in enumerate(names(tables))}
    memory = Memory(tables, ODD, 31)
    parts = split(memory, asked, Log())
    assert parts is not None
    pairs = zip(parts.pair_source.tolist(), parts.pair_target.tolist(), strict=True)
    found = dict(zip(pairs, parts.synapses.tolist(), strict=True))
    assert found == one_by_one(tables, parts) and list(found) == sorted(found)
    for i, name in enumerate(parts.names):
        wanted = terms(tables, name, parts.atoms[name], dict(parts.atoms))
        here = parts.owner == i
        for term in TERMS:
            assert parts.usage[term][here].tolist() == [used[term] for used in wanted]


@pytest.mark.parametrize("together", [1, 7, 100])
def test_synapses_of_a_kernel_may_be_counted_a_few_at_a_time(
    together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    (kernel,) = convolutional(pool=(2, 2)).convolutions
    whole = IncomingKernel(kernel).slices(5, 7)
    monkeypatch.setattr(module, "MOST_TOGETHER", together)
    for found, wanted in zip(IncomingKernel(kernel).slices(5, 7), whole, strict=True):
        np.testing.assert_array_equal(found, wanted)
    assert whole[2].sum() == unrolled(kernel).pre.size
