"""The Braille networks' hidden spikes, recorded on a SpiNNaker2 chip, against the rules of the
emulator.

    python benchmarks/spinnaker2_recorded.py [--seconds 120] [--distance 0.1]

The NIR paper's authors recorded the hidden neurons of both networks for one sample of 256 steps;
the sample itself is not public. So the question is turned round: is there any input with which a
rule gives just these spikes? As they are known, so are the resets and the recurrent currents, and v
is a linear function of the input: every neuron and step is one inequality, v above or below the
threshold, 19,968 in all for 12 x 256 unknowns between 0 (no spike) and 1. If a linear program has
no solution, no input explains the recording, and the rule is not the chip's. Parameters are those
of the vendor's importer (targets sheet, section 6). Needs scipy (the extra `oracles`) and nir.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

import nirc
from nirc.backends.spinnaker2 import rule
from nirc.backends.spinnaker2.tables import Tables, from_npz

DATA = Path(__file__).parents[1] / "tests/data/paper"
DT = 1e-4
CHANNELS = 12
Array = NDArray[Any]


@dataclass(frozen=True)
class Network:
    """A hidden layer as the importer gave it to the chip, and what was recorded of it (steps,
    neurons).
    """

    name: str
    w_in: Array
    w_rec: Array
    decay_mem: float
    decay_syn: float
    threshold: float
    offset: Array
    zero: bool
    recorded: Array
    old_current: bool = False  # v takes the current of the step before
    late: int = 1  # steps from a spike to its current


def network(
    name: str, *, whole: Any = np.rint, biases: tuple[str, ...] = ("fc1", "lif1.w_rec")
) -> Network:
    """Parameters by the importer's formulas; ``whole`` makes weights whole, ``biases`` are added to
    v.
    """
    nodes = nir.read(DATA / f"braille_{name}.nir").nodes
    cell, fc, rec = nodes["lif1.lif"], nodes["fc1"], nodes["lif1.w_rec"]
    scale = 127 / max(np.abs(fc.weight).max(), np.abs(rec.weight).max())
    k_mem, k_syn = DT / cell.tau_mem[0], DT / cell.tau_syn[0]
    bias = sum(
        (getattr(nodes[n], "bias", np.zeros(len(fc.weight))) for n in biases),
        np.zeros(len(fc.weight)),
    )
    return Network(
        name,
        whole(fc.weight * scale),
        whole(rec.weight * scale),
        float(np.float32(1 - k_mem)),
        float(np.float32(1 - k_syn)),
        float(cell.v_threshold[0] * scale / (k_mem * cell.r[0] * k_syn * cell.w_in[0])),
        bias * scale / k_syn,
        name.endswith("zero"),
        np.load(DATA / f"s2_activity_{name}.npy").astype(np.float64),
    )


def known(net: Network) -> tuple[Array, Array]:
    """(steps, neurons) what v is without any input, given the spikes; and the step of the last
    reset to 0, -1: none.
    """
    steps, n = net.recorded.shape
    base, since = np.zeros((steps, n)), np.full((steps, n), -1)
    syn, v, last = np.zeros(n), np.zeros(n), np.full(n, -1)
    for t in range(steps):
        old = syn
        arrived = net.recorded[t - net.late] if t >= net.late else np.zeros(n)
        syn = net.decay_syn * syn + net.w_rec @ arrived
        v = net.decay_mem * v + (old if net.old_current else syn) + net.offset
        base[t], since[t] = v, last
        fired = net.recorded[t] > 0
        v = np.where(fired, 0, v) if net.zero else v - net.threshold * fired
        last = np.where(fired & net.zero, t, last)
    return base, since


class Program:
    """The linear program.

    Unknowns: inputs x (steps, 12); of each network their currents and what these add to v; the
    distance that every v keeps from its threshold, in units of the chip.
    """

    def __init__(self, nets: list[Network]) -> None:
        self.nets, self.steps = nets, len(nets[0].recorded)
        self.size = self.steps * CHANNELS
        self.rows = 0
        self.entries: list[tuple[Array, Array, Array]] = []
        self.low: list[Array] = []
        self.high: list[Array] = []
        for m, net in enumerate(nets):
            syn, mem = self.size * (1 + 2 * m), self.size * (2 + 2 * m)
            self._filters(net, syn, mem)
            self._thresholds(net, mem)

    def _add(self, rows: Array, columns: Array, values: Array) -> None:
        self.entries.append((self.rows + rows, columns, np.broadcast_to(values, rows.shape)))

    def _end(self, low: Array, high: Array) -> None:
        self.low.append(low)
        self.high.append(high)
        self.rows += len(low)

    def _filters(self, net: Network, syn: int, mem: int) -> None:
        """syn(t) = d syn(t - 1) + x(t - 1); mem(t) = d mem(t - 1) + syn(t)."""
        at = np.arange(self.size)
        later = at[CHANNELS:]
        self._add(at, syn + at, 1.0)
        self._add(later, syn + later - CHANNELS, -net.decay_syn)
        self._add(later, later - CHANNELS, -1.0)
        self._end(np.zeros(self.size), np.zeros(self.size))
        self._add(at, mem + at, 1.0)
        self._add(later, mem + later - CHANNELS, -net.decay_mem)
        if net.old_current:
            self._add(later, syn + later - CHANNELS, -1.0)
        else:
            self._add(at, syn + at, -1.0)
        self._end(np.zeros(self.size), np.zeros(self.size))

    def _thresholds(self, net: Network, mem: int) -> None:
        """A row for each step and neuron: what input adds to v, less what a reset to 0 took
        away.
        """
        base, since = known(net)
        steps, n = base.shape
        t, i = (a.ravel() for a in np.indices((steps, n)))
        rows, k = np.arange(steps * n)[:, None], np.arange(CHANNELS)
        self._add(*_flat(rows, mem + t[:, None] * CHANNELS + k, net.w_in[i]))
        last = since.ravel()
        cut = last >= 0
        faded = net.decay_mem ** (t - last)[cut]
        self._add(
            *_flat(
                rows[cut], mem + last[cut, None] * CHANNELS + k, -faded[:, None] * net.w_in[i[cut]]
            )
        )
        room, fired = net.threshold - base.ravel(), net.recorded.ravel() > 0
        distance = np.full(steps * n, self.size * (1 + 2 * len(self.nets)))
        self._add(np.arange(steps * n), distance, np.where(fired, -1.0, 1.0))
        self._end(np.where(fired, room, -np.inf), np.where(fired, np.inf, room))

    def solve(self, seconds: float, *, distance: float = 0.0) -> tuple[str, Array | None]:
        """Whether it is possible at this distance, and an input (steps, 12) with few spikes.

        The first is "possible", "impossible" or "not decided" within ``seconds``.
        """
        from scipy.optimize import Bounds, LinearConstraint, milp
        from scipy.sparse import csr_matrix

        rows, columns, values = (np.concatenate(a) for a in zip(*self.entries, strict=True))
        count = self.size * (1 + 2 * len(self.nets)) + 1
        matrix = csr_matrix((values, (rows, columns)), (self.rows, count))
        inputs, last = np.arange(count) < self.size, np.arange(count) == count - 1
        found = milp(
            inputs.astype(float),
            constraints=LinearConstraint(
                matrix, np.concatenate(self.low), np.concatenate(self.high)
            ),
            bounds=Bounds(distance * last, np.where(last, distance, np.where(inputs, 1.0, np.inf))),
            options={"time_limit": seconds},
        )
        said = {0: "possible", 2: "impossible"}.get(found.status, "not decided")
        return said, None if found.x is None else found.x[: self.size].reshape(self.steps, CHANNELS)


def _flat(rows: Array, columns: Array, values: Array) -> tuple[Array, Array, Array]:
    return np.broadcast_to(rows, columns.shape).ravel(), columns.ravel(), values.ravel()


def played(net: Network, x: Array) -> Array:
    """(steps, neurons) the emulator's float32 rules with an input of any size, from its own
    spikes.
    """
    steps, n = net.recorded.shape
    v = syn = np.zeros(n, np.float32)
    spikes = np.zeros((steps, n))
    threshold, zero = np.float32(net.threshold), np.zeros(n, np.float32)
    reset: rule.Reset = "reset_to_v_reset" if net.zero else "reset_by_subtraction"
    for t in range(steps):
        sent = net.w_in @ x[t - 1] + net.w_rec @ spikes[t - 1] if t else np.zeros(n)
        syn = rule.current_step(syn, sent.astype(np.float32), np.float32(net.decay_syn))
        v = rule.membrane_step(v, syn, np.float32(net.decay_mem), net.offset.astype(np.float32))
        fired, v = rule.fire(v, threshold, zero, reset)
        spikes[t] = fired
    return spikes


def compiled(net: Network, x: Array) -> Array:
    """The same of the network that nirc compiles, shifted to where the importer's is: one step
    after the model.
    """
    path = DATA / f"braille_{net.name}.nir"
    bundle = nirc.compile(
        path, "spinnaker2", writer="nir", reset="zero" if net.zero else "subtract", dt=DT
    )
    tables = from_npz(bundle.files["network.npz"])
    block = bundle.manifest["populations"]["lif1.lif"]
    late = block["latency_steps"] - 1
    spikes = _played_tables(tables, np.concatenate([x, np.zeros((late, CHANNELS))]))[block["part"]]
    return spikes[late:, block["index"]]


def _played_tables(tables: Tables, x: Array) -> dict[str, Array]:
    """(steps, neurons) spikes of every population, for an input of any size."""
    sizes = tables.sizes()
    spikes = {name: np.zeros((len(x), n)) for name, n in sizes.items()}
    spikes |= {source.name: x[:, source.channels] for source in tables.inputs}
    wires = []
    for p in tables.projections:
        for delay in np.unique(p.delay):
            mine = p.delay == delay
            dense = np.zeros((sizes[p.target], sizes[p.source]))
            np.add.at(dense, (p.post[mine], p.pre[mine]), p.weight[mine])
            wires.append((p.source, p.target, 1 + int(delay), dense))
    state = {
        p.name: [np.zeros(p.n, np.float32) + p.v_init, *np.zeros((2, p.n), np.float32)]
        for p in tables.populations
    }
    for t in range(len(x)):
        for p in tables.populations:
            v, exc, inh = state[p.name]
            sent = [
                (w, spikes[s][t - lag])
                for s, target, lag, w in wires
                if target == p.name and t >= lag
            ]
            up = sum((np.maximum(w, 0) @ s for w, s in sent), np.zeros(p.n)).astype(np.float32)
            down = sum((np.minimum(w, 0) @ s for w, s in sent), np.zeros(p.n)).astype(np.float32)
            if p.exc_decay is not None and p.inh_decay is not None:
                exc, inh = (
                    rule.current_step(exc, up, p.exc_decay),
                    rule.current_step(inh, down, p.inh_decay),
                )
                up, down = exc, inh
            v = rule.membrane_step(v, up + down, p.alpha_decay, p.i_offset)
            fired, v = rule.fire(v, p.threshold, p.v_reset, p.reset)
            spikes[p.name][t], state[p.name] = fired, [v, exc, inh]
    return spikes


def variants(name: str) -> dict[str, Network]:
    """The rule, and rules that differ in one thing; at the end a recording that no rule should
    explain.
    """
    ours = network(name)
    order = np.random.default_rng(0).permutation(ours.recorded.shape[1])
    return {
        "the emulator's rule": ours,
        "v takes the current of the step before": replace(ours, old_current=True),
        "weights cut off, not rounded": network(name, whole=np.trunc),
        "recurrent spikes act one step later": replace(ours, late=2),
        "the other reset": replace(ours, zero=not ours.zero),
        "only the recurrent bias": network(name, biases=("lif1.w_rec",)),
        "only the input's bias": network(name, biases=("fc1",)),
        "the recordings' neurons mixed up": replace(ours, recorded=ours.recorded[:, order]),
    }


def told(pair: tuple[Network, Network], seconds: float) -> list[str]:
    """What is possible: of the first recording, of the second, of both with one input."""
    alone = [Program([net]).solve(seconds)[0] for net in pair]
    both = "impossible" if "impossible" in alone else Program(list(pair)).solve(seconds)[0]
    return [*alone, both]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--seconds", type=float, default=120.0, help="for one linear program (default %(default)s)"
    )
    parser.add_argument(
        "--distance",
        type=float,
        default=0.1,
        help="of the input that is played (default %(default)s)",
    )
    options = parser.parse_args()
    names = ["noDelay_noBias_subtract", "noDelay_bias_zero"]
    made = [variants(name) for name in names]
    print("Is there an input with which this rule gives the recorded spikes?")
    print(f"{'':41s}" + "".join(f"{name:26s}" for name in (*names, "one input for both")))
    for what in made[0]:
        answers = told((made[0][what], made[1][what]), options.seconds)
        print(f"{what:41s}" + "".join(f"{answer:26s}" for answer in answers), flush=True)
    nets = [network(name) for name in names]
    said, x = Program(nets).solve(2 * options.seconds, distance=options.distance)
    print(
        f"An input for both that keeps every v {options.distance:g} units of the chip from its "
        f"threshold: {said}"
    )
    if x is None:
        return
    for net in nets:
        exact = network(net.name, whole=lambda weights: weights)
        runs = {
            "the importer's": played(net, x),
            "as nirc compiles it": compiled(net, x),
            "without rounding": played(exact, x),
        }
        print(
            f"  {net.name}: {int(net.recorded.sum())} recorded spikes; of {net.recorded.size} "
            "entries differ"
        )
        for what, spikes in runs.items():
            from_chip, from_exact = (
                int((spikes != other).sum()) for other in (net.recorded, runs["without rounding"])
            )
            print(
                f"    {what:20s} {from_chip:5d} from the recording, {from_exact:5d} from the "
                "network without rounding"
            )


if __name__ == "__main__":
    main()
