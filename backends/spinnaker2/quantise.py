"""spinnaker2-quantise: discrete populations to the chip's models.

Weights become integers, parameters float32 numbers.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from nirc.backends.spinnaker2.drives import Drive, Timed, drives, per_channel, receptors, timed
from nirc.backends.spinnaker2.limits import DELAYED_WEIGHT, NEVER, SHEET, WEIGHT
from nirc.backends.spinnaker2.neuron import SpinNeuron, chip_rule, single
from nirc.backends.spinnaker2.rule import Float32
from nirc.backends.spinnaker2.scales import row_scales
from nirc.backends.spinnaker2.spike_sources import (
    Arc,
    Clocked,
    Summed,
    add_clocks,
    add_copies,
    integer_part,
    start,
)
from nirc.backends.spinnaker2.tables import Model
from nirc.diagnostics.log import Log
from nirc.diagnostics.numbers import (
    ConstantActsAtOnce,
    FourBitWeights,
    OtherMembraneAtStart,
    WeightsVanish,
)
from nirc.ir.arrays import Float, frozen, size
from nirc.ir.linear import Conv, LinearOp, Pool, Sparse
from nirc.ir.populations import Discrete, Population, Sink, Source
from nirc.ir.program import Form, Program
from nirc.rounding.rule import KEEPING_SUMS, OWN_BITS, Rounding, Weights, narrowed
from nirc.semantics.variations import inverse, times

TINY = np.float32(1e-30)  # the least threshold, far above what the processor may round to 0


@dataclass(frozen=True)
class Spinnaker2Quantise:
    """Choose models, delays, scales and thresholds, and round weights to integers.

    ``relays``: relay neurons make the delays, so that all weights have 8 bits. ``copies``: the most
    spike sources of an input channel, whose weights may be that many times larger.
    """

    relays: bool = False
    copies: int = 1
    rounding: Rounding = KEEPING_SUMS
    bits: int = OWN_BITS  # of a weight
    name: ClassVar[str] = "spinnaker2-quantise"

    def rounding_by(self, rounding: Rounding) -> Spinnaker2Quantise:
        """Return the quantiser with another rounding rule."""
        return replace(self, rounding=rounding)

    def run(self, program: Program, log: Log) -> Program:
        """Return the integer form.

        Raises ``CompileError``: P307 if a projection is too large to list, N905 for a neuron with
        two filters.
        """
        populations = self.planned(program, log)
        nodes: dict[str, object] = {
            n: p for n, p in program.graph.nodes(data="payload") if n not in populations
        }
        arcs = [(s, t, p) for s, t, p in program.edges() if isinstance(program[t], Sink)]
        sums: list[Summed] = []
        for name, q in populations.items():
            nodes[name] = q.population.with_dynamics(q.neuron)
            arcs += q.arcs
            sums += q.sums
        add_clocks(populations.values(), program, nodes, arcs)
        add_copies(sums, program, nodes, arcs, log)
        return program.rebuilt(nodes, arcs, form=Form.INTEGER)

    def planned(self, program: Program, log: Log) -> dict[str, Quantised]:
        """Return the quantised populations of the chip. Raises as ``run`` does."""
        unroll: set[str] = set()
        while True:
            attempt = log.attempt()
            populations = self._attempt(program, unroll, attempt)
            # Clocks cannot feed the target of a convolution. Its synapses are listed then.
            again = {name for name, q in populations.items() if q.convolves and q.clocked}
            if not again:
                break
            unroll |= again
        for diagnostic in attempt.diagnostics:
            log.add(diagnostic)
        log.raise_if_errors()
        return populations

    def _attempt(self, program: Program, unroll: Collection[str], log: Log) -> dict[str, Quantised]:
        every = drives(program, log, unroll=unroll)
        log.raise_if_errors()
        plan = timed(program, every, log, relays=self.relays)
        return {
            name: Quantised(name, p, plan, program, self, log)
            for name, p in plan.populations.items()
        }


class Quantised:
    """A population with its inputs, in the chip's numbers."""

    def __init__(
        self,
        name: str,
        population: Population[Discrete],
        plan: Timed,
        program: Program,
        quantise: Spinnaker2Quantise,
        log: Log,
    ) -> None:
        self.name = name
        self.population = population
        self.plan = plan
        self.program = program
        self.log = log
        self.rounding = quantise.rounding
        self.copies = quantise.copies
        self.dynamics = population.dynamics
        self.n = population.n
        self.latency_steps = plan.latency_steps[name]
        self.into = plan.into.get(name, [])
        self.convolves = any(d.kernel is not None for d in self.into)
        self.delayed = any(d.extra for d in self.into)
        self.limit = narrowed(DELAYED_WEIGHT if self.delayed else WEIGHT, quantise.bits)[1]
        self.receptors = receptors(name, population, self.into, log)
        self.filtered = self.receptors.decays is not None
        self.clocked: list[Clocked] = []
        biases = self._biases()
        self.scale = self._scales(biases)
        self._report_bits()
        self.sums: list[Summed] = []
        self.arcs: list[Arc] = []
        self._shared: dict[tuple[int, int, int], list[tuple[int, Sparse]]] = {}
        for drive in self.into:
            self._add_arcs(drive)
        self.neuron = self._neuron(biases)

    def lag(self, drive: Drive) -> int:
        """Return the lag of a drive on the chip, in the model's steps."""
        return self.plan.latency_steps[drive.source] + 1 + drive.extra - self.latency_steps

    def _units(self, drive: Drive) -> Float:
        """Return (n,) chip units per unit of a drive's output."""
        return self.receptors.gain(drive) * self.scale

    def _times(self, drive: Drive) -> int:
        """Return the largest weight as a multiple of ``limit``. It is above 1 for copied inputs."""
        is_input = drive.source in self.program.graph and isinstance(
            self.program[drive.source], Source
        )
        return self.copies if is_input and not self.convolves else 1

    def _biases(self) -> dict[tuple[int, int], Float]:
        """Return constants in volts by receptor and onset, as they reach the membrane or filter."""
        biases: dict[tuple[int, int], Float] = {}
        for _, p in self.program.into(self.name) if self.name in self.program.graph else ():
            for bias in p.biases:
                if bias.value.any():
                    key = (p.synapse, bias.onset_steps)
                    volts = bias.value * self.receptors.gains[p.synapse]
                    biases[key] = biases.get(key, np.zeros(self.n)) + volts
        return biases

    def _scales(self, biases: dict[tuple[int, int], Float]) -> Float:
        """Return (n,) chip units per volt."""
        if self.convolves:
            conv, gain = self._kernel(self.into[0])
            taps = (conv.weight * gain.reshape(-1, 1, 1, 1)).reshape(len(gain), -1)
            channel, tap = np.nonzero(taps)
            scale = row_scales(channel, taps[channel, tap], len(gain), self.limit)
            return np.repeat(scale, size(conv.shape_out[1:]))
        rows, values, multiples = [np.zeros(0, np.int64)], [np.zeros(0)], [np.zeros(0, np.int64)]
        for drive in self.into:
            op = drive.entries
            rows.append(op.target)
            values.append(op.value * self.receptors.gain(drive)[op.target])
            if self.copies > 1:
                multiples.append(np.full(op.value.size, self._times(drive)))
        constant = sum(biases.values(), np.zeros(self.n)) if self.filtered and biases else None
        copied = np.concatenate(multiples) if self.copies > 1 else None
        row, value = np.concatenate(rows), np.concatenate(values)
        return row_scales(row, value, self.n, self.limit, constant, copied)

    def _kernel(self, drive: Drive) -> tuple[Conv, Float]:
        """Return the convolution with the factor of its pooling, and the gain by channel."""
        assert drive.kernel is not None
        pool, conv = drive.kernel
        gain = per_channel(self.receptors.gain(drive), conv)
        assert gain is not None
        factor = 1.0 if pool is None else pool.factor
        return replace(conv, weight=frozen(conv.weight * factor)), gain

    def _add_arcs(self, drive: Drive) -> None:
        """Add the projection with integer weights, one for each receptor of the chip."""
        timing = replace(
            drive.projection,
            delay_steps=self.lag(drive),
            feedback=False,
            delay_s=0.0,
            biases=(),
            synapse=0,
        )
        if drive.kernel is not None:
            pools, op = self.stored(drive)
            self.arcs.append((drive.source, self.name, replace(timing, ops=(*pools, op))))
            return
        for receptor, part in self._parts(drive):
            arc = (drive.source, self.name, replace(timing, synapse=receptor, ops=(part,)))
            if self._times(drive) > 1:
                summed = Summed.of(arc, part, self.limit)
                self.sums.append(summed)
                arc = summed.arc
            self.arcs.append(arc)

    def _parts(self, drive: Drive) -> list[tuple[int, Sparse]]:
        """Return the stored synapses by receptor. Drives of one operator share them."""
        key = (id(drive.entries), drive.projection.synapse, self._times(drive))
        if key in self._shared:
            return self._shared[key]
        _, op = self.stored(drive)
        assert isinstance(op, Sparse)
        signs = (op.value > 0, op.value < 0) if self.filtered else (op.value != 0,)
        parts = []
        for receptor, chosen in enumerate(signs):
            if chosen.any():
                at = op.target[chosen], op.source[chosen], frozen(op.value[chosen])
                parts.append((receptor, Sparse(*at, op.n_in, op.n_out)))
        # The rule of rounding may look at the source, and a loss is reported for each source.
        lost = np.count_nonzero(op.value) < np.count_nonzero(drive.entries.value)
        if self.rounding is KEEPING_SUMS and not lost:
            self._shared[key] = parts
        return parts

    def stored(self, drive: Drive) -> tuple[tuple[Pool, ...], Sparse | Conv]:
        """Return the operator with the weights that the chip stores, behind the pooling."""
        units = self._units(drive)
        if drive.kernel is None:
            op = drive.entries
            integers = self._rounded(drive, op, op.value * units[op.target])
            return (), replace(op, value=frozen(integers))
        pool, _ = drive.kernel
        conv, gain = self._kernel(drive)
        channel = (gain * self.scale.reshape(len(gain), -1)[:, 0]).reshape(-1, 1, 1, 1)
        pools = () if pool is None else (replace(pool, factor=1.0),)
        integers = self._rounded(drive, conv, conv.weight * channel, pools)
        return pools, replace(conv, weight=frozen(integers))

    def _rounded(
        self, drive: Drive, op: Conv | Sparse, exact: Float, pools: tuple[Pool, ...] = ()
    ) -> Float:
        limit = self.limit * self._times(drive)
        weights = Weights(drive.source, self.dynamics, op, exact, -limit, limit, pools)
        integers = self.rounding.integers(weights)
        lost = int(((integers == 0) & (exact != 0)).sum())
        if lost:
            bits = self.limit.bit_length()
            self.log.add(
                WeightsVanish(
                    where=(drive.projection.origins or self.population.origins)[0],
                    lost=lost,
                    of=int(np.count_nonzero(exact)),
                    which=f"from `{drive.source}` to `{self.name}`",
                    limit=f"{bits} bits and a sign, one scale a neuron",
                )
            )
        return integers

    def in_volts(self, drive: Drive) -> tuple[LinearOp, ...]:
        """Return the stored operators in the model's units."""
        pools, op = self.stored(drive)
        return (*pools, times(op, inverse(self._units(drive))))

    def _neuron(self, biases: dict[tuple[int, int], Float]) -> SpinNeuron:
        """Return the parameters. The chip adds some constants, clocks bring the others."""
        offset = self.scale * self.dynamics.drift
        for (receptor, onset), value in sorted(biases.items()):
            constant = self.scale * value
            if self.filtered or onset:
                constant = self._clock(onset, constant, receptor)
            offset = offset + constant
        neuron = self._parameters(offset)
        early = neuron.fires_early()
        if early.any() and not self.filtered:
            # Constants that reach the threshold before the model begins have to wait for a clock.
            waiting = np.where(early, offset, 0.0)
            neuron = self._parameters(offset - waiting + self._clock(0, waiting, 0))
            early = neuron.fires_early()
        if early.any():
            neuron = replace(neuron, v_init=single(np.where(early, 0.0, neuron.v_init)))
            self.log.add(
                OtherMembraneAtStart(
                    where=self.population.origins[0],
                    population=self.name,
                    neurons=int(early.sum()),
                    latency_steps=self.latency_steps,
                    source=SHEET,
                )
            )
        return neuron

    def _clock(self, onset: int, wanted: Float, receptor: int) -> Float:
        """Give clocks a constant ``wanted`` (n,) in chip units.

        Return the rest as an offset of the membrane.
        """
        integer, rest = integer_part(wanted, self.limit)
        decays, signs = self.receptors.decays, self.receptors.signs
        if signs:  # weights of the other sign would go through the other filter
            wrong = np.sign(integer) == -signs[receptor]
            integer, rest = np.where(wrong, 0, integer), np.where(wrong, wanted, rest)
        if integer.any():
            self.clocked.append(Clocked(onset, integer))
        if decays is None:
            return rest
        if rest.any():
            self.log.add(
                ConstantActsAtOnce(
                    where=self.population.origins[0],
                    population=self.name,
                    units=float(np.abs(rest).max()),
                    volts=float(np.abs(rest / self.scale).max()),
                )
            )
        decay = decays[0] if not signs or signs[receptor] > 0 else decays[1]
        return np.where(decay < 1, rest / np.where(decay < 1, 1 - decay, 1.0), 0.0)

    def _parameters(self, offset: Float) -> SpinNeuron:
        d, scale, decays = self.dynamics, self.scale, self.receptors.decays
        rule = chip_rule(d.rule)
        v_reset = np.zeros(self.n) if d.resets_to is None else scale * d.resets_to
        exact = np.full(self.n, NEVER) if d.threshold is None else scale * d.threshold
        above = rule.fires is None or rule.fires.at == ">"
        threshold = strictly_above(exact) if above else exact
        return SpinNeuron(
            model=self._model(),
            reset="reset_by_subtraction" if rule.reset == "subtract" else "reset_to_v_reset",
            threshold=single(np.maximum(threshold, TINY)),
            alpha_decay=single(d.decay_mem),
            i_offset=single(offset),
            v_init=single(start(offset, d.decay_mem, self.latency_steps)),
            v_reset=single(v_reset),
            scale=frozen(scale),
            latency_steps=self.latency_steps,
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

    def _report_bits(self) -> None:
        if not self.delayed:
            return
        for drive in self.into:
            op = drive.entries
            exact = op.value * self._units(drive)[op.target]
            if (np.abs(exact - np.rint(exact)) > 1e-4).any():
                self.log.add(
                    FourBitWeights(
                        where=self.population.origins[0],
                        population=self.name,
                        extra_steps=max(d.extra for d in self.into),
                        source=SHEET,
                    )
                )


def strictly_above(value: Float) -> Float32:
    """Return the least float32 above ``value``: the chip fires at the threshold, NIR above it."""
    nearest = value.astype(np.float32)
    above = np.nextafter(nearest, np.float32(np.inf))
    return np.where(nearest.astype(np.float64) > value, nearest, above)
