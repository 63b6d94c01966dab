"""spinnaker2-quantise: discrete populations to the chip's models, whole weights and float32
parameters.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from nirc.backends.spinnaker2.clocks import Arc, Clocks, User
from nirc.backends.spinnaker2.constants import Clocked, start, whole_part
from nirc.backends.spinnaker2.copies import Summed, add_copies
from nirc.backends.spinnaker2.drives import Drive, drives, per_channel
from nirc.backends.spinnaker2.limits import DELAYED_WEIGHT, NEVER, SHEET, WEIGHT
from nirc.backends.spinnaker2.neuron import SpinNeuron, single
from nirc.backends.spinnaker2.receptors import receptors
from nirc.backends.spinnaker2.rule import Float32
from nirc.backends.spinnaker2.scales import row_scales
from nirc.backends.spinnaker2.tables import Model
from nirc.backends.spinnaker2.timing import Timed, timed
from nirc.diagnostics.dynamics import (
    ConstantActsAtOnce,
    FourBitWeights,
    OtherMembraneAtStart,
    WeightsVanish,
)
from nirc.diagnostics.log import Log
from nirc.ir.arrays import Float, frozen, size
from nirc.ir.linear import Conv, LinearOp, Pool, Sparse
from nirc.ir.populations import Discrete, Population, Sink, Source
from nirc.ir.program import Form, Program
from nirc.rounding.rule import KEEPING_SUMS, Rounding, Weights
from nirc.semantics.variations import inverse, times

TINY = np.float32(1e-30)  # the least threshold, far above what the processor may round to 0


@dataclass(frozen=True)
class Spinnaker2Quantise:
    """Choose models, delays, scales and thresholds; weights become whole, those that vanish are
    counted.

    ``relays``: delays are made by relay neurons, so that all weights have 8 bits. ``copies``: by
    how many spike sources a channel of an input may be sent, which makes its weights so many times
    larger.
    """

    relays: bool = False
    copies: int = 1
    rounding: Rounding = KEEPING_SUMS
    name: ClassVar[str] = "spinnaker2-quantise"

    def rounding_by(self, rounding: Rounding) -> Spinnaker2Quantise:
        """The same with another rule by which weights become whole."""
        return replace(self, rounding=rounding)

    def run(self, program: Program, log: Log) -> Program:
        """Raises ``CompileError``:

        P307 if a projection is too large to list, N905 for a neuron with two filters.
        """
        made = self.planned(program, log)
        nodes: dict[str, object] = {
            n: p for n, p in program.graph.nodes(data="payload") if n not in made
        }
        arcs = [(s, t, p) for s, t, p in program.edges() if isinstance(program[t], Sink)]
        clocks = Clocks()
        for name, q in made.items():
            nodes[name] = q.population.with_dynamics(q.neuron)
            arcs += q.arcs
            if q.clocked:
                limit, origins = q.limit, q.population.origins
                clocks.add(name, User(q.n, q.late, limit, q.filtered, origins, tuple(q.clocked)))
        clocks.into(program, nodes, arcs)
        add_copies((summed for q in made.values() for summed in q.sums), program, nodes, arcs, log)
        return program.rebuilt(nodes, arcs, form=Form.INTEGER)

    def planned(self, program: Program, log: Log) -> dict[str, Quantised]:
        """Every population of the chip with its whole numbers. Raises as ``run`` does."""
        unroll: set[str] = set()
        while True:
            attempt = Log(strict=log.strict)
            made = self._attempt(program, unroll, attempt)
            # Clocks cannot feed a convolution's target: its synapses have to be listed then.
            again = {name for name, q in made.items() if q.convolves and q.clocked}
            if not again:
                break
            unroll |= again
        for diagnostic in attempt.diagnostics:
            log.add(diagnostic)
        log.raise_if_errors()
        return made

    def _attempt(self, program: Program, unroll: Collection[str], log: Log) -> dict[str, Quantised]:
        found = drives(program, log, unroll=unroll)
        log.raise_if_errors()
        plan = timed(program, found, log, relays=self.relays)
        return {
            name: Quantised(name, p, plan, program, self, log)
            for name, p in plan.populations.items()
        }


class Quantised:
    """One population with all that comes into it."""

    def __init__(
        self,
        name: str,
        population: Population[Discrete],
        plan: Timed,
        program: Program,
        how: Spinnaker2Quantise,
        log: Log,
    ) -> None:
        self.name, self.population, self.plan, self.program, self.log = (
            name,
            population,
            plan,
            program,
            log,
        )
        self.rounding, self.copies = how.rounding, how.copies
        self.dynamics, self.n = population.dynamics, population.n
        self.late = plan.late[name]
        self.into = [d for d in plan.drives if d.target == name]
        self.convolves = any(d.kernel is not None for d in self.into)
        self.delayed = any(d.extra for d in self.into)
        self.limit = (DELAYED_WEIGHT if self.delayed else WEIGHT)[1]
        self.receptors = receptors(name, population, self.into, log)
        self.filtered = self.receptors.decays is not None
        self.clocked: list[Clocked] = []
        biases = self._biases()
        self.scale = self._scales(biases)
        self._say_bits()
        self.sums: list[Summed] = []
        self.arcs = [arc for d in self.into for arc in self._whole(d)]
        self.neuron = self._neuron(biases)

    def _gain(self, drive: Drive) -> Float:
        return self.receptors.gains[drive.projection.synapse]

    def _times(self, drive: Drive) -> int:
        """How many times ``limit`` a weight may be: more than once if the input may be copied."""
        copied = drive.source in self.program.graph and isinstance(
            self.program[drive.source], Source
        )
        return self.copies if copied and not self.convolves else 1

    def _biases(self) -> dict[tuple[int, int], Float]:
        """By receptor and onset, as they reach the membrane or, if there is one, the synaptic
        filter; in volts.
        """
        found: dict[tuple[int, int], Float] = {}
        into = self.program.into(self.name) if self.name in self.program.graph else []
        for receptor, bias in ((p.synapse, b) for _, p in into for b in p.biases if b.value.any()):
            key = (receptor, bias.onset_steps)
            found[key] = (
                found.get(key, np.zeros(self.n)) + bias.value * self.receptors.gains[receptor]
            )
        return found

    def _scales(self, biases: dict[tuple[int, int], Float]) -> Float:
        """Chip units per volt of each neuron."""
        kernel = self.into[0].kernel if self.into else None  # it would be all that comes in
        if kernel is not None:
            conv, gain = self._kernel(self.into[0], *kernel)
            taps = (conv.weight * gain.reshape(-1, 1, 1, 1)).reshape(len(gain), -1)
            channel, tap = np.nonzero(taps)
            scale = row_scales(channel, taps[channel, tap], len(gain), self.limit)
            return np.repeat(scale, size(conv.shape_out[1:]))
        row = np.concatenate([np.zeros(0, np.int64), *(d.entries.target for d in self.into)])
        value = np.concatenate(
            [np.zeros(0), *(d.entries.value * self._gain(d)[d.entries.target] for d in self.into)]
        )
        constant = sum(biases.values(), np.zeros(self.n)) if self.filtered and biases else None
        parts = [np.full(d.entries.value.size, self._times(d)) for d in self.into]
        copied = np.concatenate([np.zeros(0, np.int64), *parts]) if self.copies > 1 else None
        return row_scales(row, value, self.n, self.limit, constant, copied)

    def _kernel(self, drive: Drive, pool: Pool | None, conv: Conv) -> tuple[Conv, Float]:
        """The convolution with the factor of a pooling before it, and its gain by channel."""
        gain = per_channel(self._gain(drive), conv)
        assert gain is not None
        factor = 1.0 if pool is None else pool.factor
        return replace(conv, weight=frozen(conv.weight * factor)), gain

    def _whole(self, drive: Drive) -> list[Arc]:
        """The projection with whole weights, one for each of the chip's receptors, at the chip's
        own time.
        """
        lag = self.plan.late[drive.source] + 1 + drive.extra - self.late
        timing = replace(
            drive.projection, delay_steps=lag, feedback=False, delay_s=0.0, biases=(), synapse=0
        )
        pools, op = self.stored(drive)
        if isinstance(op, Conv):
            return [(drive.source, self.name, replace(timing, ops=(*pools, op)))]
        signs = (op.value > 0, op.value < 0) if self.filtered else (op.value != 0,)
        made = [
            (replace(timing, synapse=receptor), _entries(op, mine))
            for receptor, mine in enumerate(signs)
            if mine.any()
        ]
        if self._times(drive) == 1:
            return [(drive.source, self.name, replace(p, ops=(part,))) for p, part in made]
        sums = [Summed.of(drive.source, self.name, p, part, self.limit) for p, part in made]
        self.sums += sums
        return [summed.arc for summed in sums]

    def stored(self, drive: Drive) -> tuple[tuple[Pool, ...], Sparse | Conv]:
        """The operator of ``drive`` with the weights that the chip stores, behind the pooling
        before it.
        """
        if drive.kernel is None:
            op = drive.entries
            exact = op.value * (self._gain(drive) * self.scale)[op.target]
            return (), replace(op, value=frozen(self._rounded(drive, op, exact)))
        pool, _ = drive.kernel
        conv, gain = self._kernel(drive, *drive.kernel)
        exact = conv.weight * (gain * self.scale.reshape(len(gain), -1)[:, 0]).reshape(-1, 1, 1, 1)
        pools = () if pool is None else (replace(pool, factor=1.0),)
        whole = self._rounded(drive, conv, exact, pools)
        return pools, replace(conv, weight=frozen(whole))

    def _rounded(
        self, drive: Drive, op: Conv | Sparse, exact: Float, pools: tuple[Pool, ...] = ()
    ) -> Float:
        limit = self.limit * self._times(drive)
        weights = Weights(drive.source, self.dynamics, op, exact, -limit, limit, pools)
        whole = self.rounding.integers(weights)
        self._say_lost(drive, exact, whole)
        return whole

    def in_volts(self, drive: Drive) -> tuple[LinearOp, ...]:
        """The same in the model's units."""
        pools, op = self.stored(drive)
        return (*pools, times(op, inverse(self._gain(drive) * self.scale)))

    def _neuron(self, biases: dict[tuple[int, int], Float]) -> SpinNeuron:
        """Parameters, constants first: those that the chip adds itself, and those that clocks
        bring.
        """
        d, scale = self.dynamics, self.scale
        offset = scale * d.drift
        for (receptor, onset), value in sorted(biases.items()):
            waits = self.filtered or onset
            offset = offset + (
                self._clock(onset, scale * value, receptor) if waits else scale * value
            )
        neuron = self._parameters(offset)
        early = neuron.fires_before_its_time()
        if early.any() and not self.filtered:
            # Constants that reach the threshold before the model begins have to wait for a clock.
            waiting = np.where(early, offset, 0.0)
            neuron = self._parameters(offset - waiting + self._clock(0, waiting, 0))
            early = neuron.fires_before_its_time()
        if early.any():
            neuron = replace(neuron, v_init=single(np.where(early, 0.0, neuron.v_init)))
            self._say_early(early)
        return neuron

    def _clock(self, onset: int, wanted: Float, receptor: int) -> Float:
        """What clocks leave of a constant ``wanted`` (n,) in chip units, as an offset of the
        membrane.
        """
        whole, left = whole_part(wanted, self.limit)
        decays, signs = self.receptors.decays, self.receptors.signs
        if signs:  # what has the other sign would come through the other filter
            wrong = np.sign(whole) == -signs[receptor]
            whole, left = np.where(wrong, 0, whole), np.where(wrong, wanted, left)
        if whole.any():
            self.clocked.append(Clocked(onset, whole))
        if decays is None:
            return left
        if left.any():
            self.log.add(
                ConstantActsAtOnce(
                    where=self.population.origins[0],
                    population=self.name,
                    units=float(np.abs(left).max()),
                    volts=float(np.abs(left / self.scale).max()),
                )
            )
        decay = decays[0] if not signs or signs[receptor] > 0 else decays[1]
        return np.where(decay < 1, left / np.where(decay < 1, 1 - decay, 1.0), 0.0)

    def _parameters(self, offset: Float) -> SpinNeuron:
        d, scale, decays = self.dynamics, self.scale, self.receptors.decays
        subtract = d.rule.reset == "subtract"
        v_reset = np.zeros(self.n) if d.resets_to is None else scale * d.resets_to
        above = d.rule.fires is None or d.rule.fires.at == ">"
        threshold = np.full(self.n, NEVER) if d.threshold is None else scale * d.threshold
        return SpinNeuron(
            model=self._model(),
            reset="reset_by_subtraction" if subtract else "reset_to_v_reset",
            threshold=single(np.maximum(strictly_above(threshold) if above else threshold, TINY)),
            alpha_decay=single(d.decay_mem),
            i_offset=single(offset),
            v_init=single(start(offset, d.decay_mem, self.late)),
            v_reset=single(v_reset),
            scale=frozen(scale),
            late=self.late,
            fires=d.fires,
            exc_decay=None if decays is None else single(decays[0]),
            inh_decay=None if decays is None else single(decays[1]),
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
        where = (
            drive.projection.origins[0] if drive.projection.origins else self.population.origins[0]
        )
        limit = f"{'4' if self.delayed else '7'} bits and a sign, one scale a neuron"
        if lost:
            which = f"from `{drive.source}` to `{self.name}`"
            self.log.add(WeightsVanish(where=where, lost=lost, of=of, which=which, limit=limit))

    def _say_bits(self) -> None:
        values = (
            [d.entries.value * (self._gain(d) * self.scale)[d.entries.target] for d in self.into]
            if self.delayed
            else []
        )
        if any((np.abs(v - np.rint(v)) > 1e-4).any() for v in values):
            self.log.add(
                FourBitWeights(
                    where=self.population.origins[0],
                    population=self.name,
                    extra_steps=max(d.extra for d in self.into),
                    source=SHEET,
                )
            )

    def _say_early(self, early: NDArray[np.bool_]) -> None:
        self.log.add(
            OtherMembraneAtStart(
                where=self.population.origins[0],
                population=self.name,
                neurons=int(early.sum()),
                late_steps=self.late,
                source=SHEET,
            )
        )


def strictly_above(value: Float) -> Float32:
    """The least float32 above ``value``: the chip fires at the threshold, NIR above it."""
    nearest = value.astype(np.float32)
    above = np.nextafter(nearest, np.float32(np.inf))
    return np.where(nearest.astype(np.float64) > value, nearest, above)


def _entries(op: Sparse, mine: NDArray[np.bool_]) -> Sparse:
    return Sparse(op.target[mine], op.source[mine], frozen(op.value[mine]), op.n_in, op.n_out)
