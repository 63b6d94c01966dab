"""spinnaker2-quantise: discrete populations to the chip's models, whole weights and float32 parameters."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from nirc.backends.spinnaker2.constants import Clocked, shares, start, whole_part
from nirc.backends.spinnaker2.drives import Drive, drives, per_channel
from nirc.backends.spinnaker2.legalise import free_name
from nirc.backends.spinnaker2.limits import DELAYED_WEIGHT, NEVER, SHEET, WEIGHT
from nirc.backends.spinnaker2.neuron import SpinNeuron
from nirc.backends.spinnaker2.rule import Float32, Reset
from nirc.backends.spinnaker2.scales import row_scales
from nirc.backends.spinnaker2.tables import Model
from nirc.backends.spinnaker2.timing import Timed, timed
from nirc.diagnostics.log import Log
from nirc.ir.arrays import Float, Int, frozen, size
from nirc.ir.linear import Conv, LinearOp, Pool, Sparse
from nirc.ir.populations import Discrete, Population, Projection, Sink
from nirc.ir.program import Form, Program

TINY = np.float32(1e-30)  # the least threshold, far above what the processor may round to 0
BIAS = "bias"  # name of populations of clocks
Arc = tuple[str, str, Projection]


@dataclass(frozen=True)
class Spinnaker2Quantise:
    """Choose models, delays, scales and thresholds; weights become whole, those that vanish are counted.

    ``relays``: delays are made by relay neurons, so that all weights have 8 bits.
    """

    relays: bool = False
    name: ClassVar[str] = "spinnaker2-quantise"

    def run(self, program: Program, log: Log) -> Program:
        """Raises ``CompileError`` (P307) if a projection is too large to list its synapses."""
        found = drives(program, log)
        log.raise_if_errors()
        plan = timed(program, found, log, relays=self.relays)
        nodes: dict[str, object] = {n: p for n, p in program.graph.nodes(data="payload") if n not in plan.populations}
        arcs: list[Arc] = []
        clocks = _Clocks()
        for name, population in plan.populations.items():
            made = _Quantised(name, population, plan, program, log)
            nodes[name] = replace(population, dynamics=made.neuron)
            arcs += made.arcs
            clocks.add(name, made)
        arcs += [(s, t, p) for s, t, p in program.edges() if isinstance(program[t], Sink)]
        clocks.into(nodes, arcs, plan.late)
        return program.rebuilt(nodes, arcs, form=Form.INTEGER)


class _Quantised:
    """One population with all that comes into it."""

    def __init__(self, name: str, population: Population, plan: Timed, program: Program, log: Log) -> None:
        assert isinstance(population.dynamics, Discrete)
        self.name, self.population, self.plan, self.program, self.log = name, population, plan, program, log
        self.dynamics, self.n = population.dynamics, population.n
        self.filtered = self.dynamics.decay_syn is not None
        self.late = plan.late[name]
        self.into = [d for d in plan.drives if d.target == name]
        self.convolves = any(d.convolution for d in self.into)
        self.delayed = any(d.extra for d in self.into)
        self.limit = (DELAYED_WEIGHT if self.delayed else WEIGHT)[1]
        gain = self.dynamics.gain_mem
        self.gain = gain if self.dynamics.gain_syn is None else gain * self.dynamics.gain_syn
        self.clocked: list[Clocked] = []
        biases = self._biases()
        self.scale = self._scales(biases)
        self._say_bits()
        self.arcs = [arc for d in self.into for arc in self._whole(d)]
        self.neuron = self._neuron(biases)

    def _biases(self) -> dict[int, Float]:
        """By onset, as they reach the membrane or, if there is one, the synaptic filter; in volts."""
        found: dict[int, Float] = {}
        if self.name in self.program.graph:
            for bias in (b for _, p in self.program.into(self.name) for b in p.biases if b.value.any()):
                found[bias.onset_steps] = found.get(bias.onset_steps, np.zeros(self.n)) + bias.value * self.gain
        return found

    def _scales(self, biases: dict[int, Float]) -> Float:
        """Chip units per volt of each neuron."""
        if self.convolves:
            conv, gain = self._kernel(self.into[0])
            taps = (conv.weight * gain.reshape(-1, 1, 1, 1)).reshape(len(gain), -1)
            channel, tap = np.nonzero(taps)
            scale = row_scales(channel, taps[channel, tap], len(gain), self.limit)
            return np.repeat(scale, size(conv.shape_out[1:]))
        entries = [d.entries for d in self.into]
        row = np.concatenate([np.zeros(0, np.int64), *(op.target for op in entries)])
        value = np.concatenate([np.zeros(0), *(op.value * self.gain[op.target] for op in entries)])
        constant = sum(biases.values(), np.zeros(self.n)) if self.filtered and biases else None
        return row_scales(row, value, self.n, self.limit, constant)

    def _kernel(self, drive: Drive) -> tuple[Conv, Float]:
        """The convolution with the factor of a pooling before it, and its gain by channel."""
        *pools, conv = drive.ops
        assert isinstance(conv, Conv)
        gain = per_channel(self.gain, conv)
        assert gain is not None
        factor = float(np.prod([getattr(pool, "factor", 1.0) for pool in pools]))
        return replace(conv, weight=frozen(conv.weight * factor)), gain

    def _whole(self, drive: Drive) -> list[Arc]:
        """The projection with whole weights, one for each receptor, at the chip's own time."""
        projection = drive.projection
        lag = self.plan.late[drive.source] + 1 + drive.extra - self.late
        timing = replace(projection, delay_steps=lag, feedback=False, delay_s=0.0, biases=(), synapse=0)
        if drive.convolution:
            conv, gain = self._kernel(drive)
            exact = conv.weight * (gain * self.scale.reshape(len(gain), -1)[:, 0]).reshape(-1, 1, 1, 1)
            whole = np.rint(exact)
            self._say_lost(drive, exact, whole)
            pools = tuple(replace(pool, factor=1.0) for pool in drive.ops[:-1] if isinstance(pool, Pool))
            ops: tuple[LinearOp, ...] = (*pools, replace(conv, weight=frozen(whole)))
            return [(drive.source, self.name, replace(timing, ops=ops))]
        op = drive.entries
        exact = op.value * (self.gain * self.scale)[op.target]
        whole = np.rint(exact)
        self._say_lost(drive, exact, whole)
        signs = (whole > 0, whole < 0) if self.filtered else (whole != 0,)
        return [
            (drive.source, self.name, replace(timing, ops=(_entries(op, whole, mine),), synapse=receptor))
            for receptor, mine in enumerate(signs)
            if mine.any()
        ]

    def _neuron(self, biases: dict[int, Float]) -> SpinNeuron:
        """Parameters, constants first: those that the chip adds itself, and those that clocks bring."""
        d, scale = self.dynamics, self.scale
        offset = scale * d.drift
        for onset, value in sorted(biases.items()):
            offset = offset + self._clock(onset, scale * value) if self.filtered or onset else offset + scale * value
        neuron = self._parameters(offset)
        early = neuron.fires_before_its_time()
        if early.any() and not self.filtered:
            # Constants that reach the threshold before the model begins have to wait for a clock.
            waiting = np.where(early, offset, 0.0)
            neuron = self._parameters(offset - waiting + self._clock(0, waiting))
            early = neuron.fires_before_its_time()
        if early.any():
            neuron = replace(neuron, v_init=_single(np.where(early, 0.0, neuron.v_init)))
            self._say_early(early)
        return neuron

    def _clock(self, onset: int, wanted: Float) -> Float:
        """What clocks leave of a constant ``wanted`` (n,) in chip units, as an offset of the membrane."""
        whole, left = whole_part(wanted, self.limit)
        if whole.any():
            self.clocked.append(Clocked(onset, whole))
        decay = self.dynamics.decay_syn
        if not self.filtered or decay is None:
            return left
        if left.any():
            self.log.note(
                "D431",
                f"of constant inputs of `{self.name}`, up to {np.abs(left).max():.2g} of a unit of weight act at once, "
                "not through the synapse",
                where=self.population.origins[0],
                found=f"{np.abs(left / self.scale).max():.2g} V",
                limit="whole units",
            )
        return np.where(decay < 1, left / np.where(decay < 1, 1 - decay, 1.0), 0.0)

    def _parameters(self, offset: Float) -> SpinNeuron:
        d, scale = self.dynamics, self.scale
        subtract = self.program.reset == "subtract"
        reset: Reset = "reset_by_subtraction" if subtract else "reset_to_v_reset"
        keeps = self.program.reset == "model" and d.v_reset is not None
        v_reset = scale * d.v_reset if keeps and d.v_reset is not None else np.zeros(self.n)
        threshold = np.full(self.n, NEVER) if d.threshold is None else scale * d.threshold
        return SpinNeuron(
            self._model(),
            reset,
            _frozen(np.maximum(strictly_above(threshold), TINY)),
            _single(d.decay_mem),
            _single(offset),
            _single(start(offset, d.decay_mem, self.late)),
            _single(v_reset),
            frozen(scale),
            self.late,
            d.fires,
            None if d.decay_syn is None else _single(d.decay_syn),
        )

    def _model(self) -> Model:
        if self.convolves:
            return "lif_conv2d"
        if self.filtered:
            return "lif_curr_exp" if self.delayed else "lif_curr_exp_no_delay"
        return "lif" if self.delayed else "lif_no_delay"

    # What is said of it.

    def _say_lost(self, drive: Drive, exact: Float, whole: Float) -> None:
        lost, of = int(((whole == 0) & (exact != 0)).sum()), int(np.count_nonzero(exact))
        if lost:
            self.log.note(
                "D410",
                f"{lost} of {of} weights from `{drive.source}` to `{self.name}` round to zero",
                where=drive.projection.origins[0] if drive.projection.origins else self.population.origins[0],
                found=f"{lost}",
                limit=f"{'4' if self.delayed else '7'} bits and a sign, one scale a neuron",
            )

    def _say_bits(self) -> None:
        values = (
            [d.entries.value * (self.gain * self.scale)[d.entries.target] for d in self.into] if self.delayed else []
        )
        if any((np.abs(v - np.rint(v)) > 1e-4).any() for v in values):
            self.log.note(
                "D430",
                f"weights into `{self.name}` have 4 bits and a sign, since its inputs come with different delays",
                where=self.population.origins[0],
                found=f"{max(d.extra for d in self.into)} extra step(s)",
                limit="8 bits without delays",
                source=SHEET,
                help="--set delays=relays keeps 8 bits, with relay neurons for the delays",
            )

    def _say_early(self, early: NDArray[np.bool_]) -> None:
        self.log.differs(
            "D432",
            f"{int(early.sum())} neuron(s) of `{self.name}` start from another membrane, for their constant input acts "
            "before the first spikes can arrive",
            where=self.population.origins[0],
            found=f"{self.late} step(s)",
            source=SHEET,
        )


class _Clocks:
    """Neurons that spike in every step from a given one on: one population for each lateness of targets."""

    def __init__(self) -> None:
        self.wanted: dict[int, list[tuple[str, _Quantised]]] = {}

    def add(self, name: str, made: _Quantised) -> None:
        """What ``name`` asks of clocks."""
        if made.clocked:
            self.wanted.setdefault(made.late, []).append((name, made))

    def into(self, nodes: dict[str, object], arcs: list[Arc], late: dict[str, int]) -> None:
        """Add the clocks and their projections."""
        for lateness, users in sorted(self.wanted.items()):
            name = free_name(BIAS, nodes)
            copies: dict[int, int] = {}
            weights: list[tuple[str, _Quantised, int, int, Int]] = []
            for target, made in users:
                for clocked in made.clocked:
                    parts = shares(clocked.weight, made.limit)
                    copies[clocked.onset] = max(copies.get(clocked.onset, 0), len(parts))
                    weights += [(target, made, clocked.onset, k, part) for k, part in enumerate(parts)]
            first = dict(
                zip(sorted(copies), np.cumsum([0, *(copies[o] for o in sorted(copies))]).tolist(), strict=False)
            )
            n = sum(copies.values())
            onsets = np.repeat(sorted(copies), [copies[o] for o in sorted(copies)])
            origins = tuple(dict.fromkeys(made.population.origins[0] for _, made in users))
            nodes[name] = Population((n,), _clock(onsets, lateness), origins)
            late[name] = lateness - 1
            arcs += self._arcs(name, n, first, weights)

    @staticmethod
    def _arcs(
        name: str, n: int, first: dict[int, int], weights: list[tuple[str, _Quantised, int, int, Int]]
    ) -> list[Arc]:
        made_arcs: list[Arc] = []
        for target in dict.fromkeys(target for target, *_ in weights):
            mine = [(made, first[onset] + k, part) for t, made, onset, k, part in weights if t == target]
            made = mine[0][0]
            matrix = np.zeros((made.n, n))
            for _, column, part in mine:
                matrix[:, column] += part
            signs = (matrix > 0, matrix < 0) if made.filtered else (matrix != 0,)
            for receptor, which in enumerate(signs):
                at = np.nonzero(which)
                if at[0].size:
                    op = Sparse(at[0], at[1], matrix[at], n, made.n)
                    origins = made.population.origins
                    made_arcs.append((name, target, Projection((op,), synapse=receptor, origins=origins)))
        return made_arcs


def _clock(onsets: NDArray[np.int64], lateness: int) -> SpinNeuron:
    """Counts the chip's steps and spikes so that its targets see the spike in the model's step ``onsets`` (n,)."""
    first = (onsets + lateness).astype(np.float64)
    zeros, ones = np.zeros(len(onsets)), np.ones(len(onsets))
    return SpinNeuron(
        "lif_no_delay",
        "reset_to_v_reset",
        _single(first),
        _single(ones),
        _single(ones),
        _single(zeros),
        _single(first - 1),
        frozen(ones),
        lateness - 1,
    )


def strictly_above(value: Float) -> Float32:
    """The least float32 above ``value``: the chip fires at the threshold, NIR above it."""
    nearest = value.astype(np.float32)
    above = np.nextafter(nearest, np.float32(np.inf))
    return np.where(nearest.astype(np.float64) > value, nearest, above)


def _entries(op: Sparse, whole: Float, mine: NDArray[np.bool_]) -> Sparse:
    return Sparse(op.target[mine], op.source[mine], frozen(whole[mine]), op.n_in, op.n_out)


def _single(values: Float | Float32) -> Float32:
    return _frozen(np.asarray(values, np.float32))


def _frozen(values: Float32) -> Float32:
    made = values.copy()
    made.setflags(write=False)
    return made
