"""Findings: what rounding and ranges of numbers change."""

from __future__ import annotations

from collections.abc import Sequence

from nirc.diagnostics.dynamics import XYLOSIM
from nirc.diagnostics.finding import Finding, Grade, Words

LAVA_LIF = "lava-nc 0.10.0, proc/lif/models.py"


SHORT_ROOM = 64  # steps of full input below which D424 is a warning (?: a choice)


class DecayRounded(Finding):
    code = "D402"
    title = "decay: the chip's decays are 1 - 2^-k a step"
    severity = "warning"
    meaning = """
    Xylo decays by bit shifts: a state keeps 1 - 2^-k of its value in each step, so a decay can be
    0, 0.5, 0.75, 0.875, ... a step, for synapses 0.5 at the least. For another decay nirc takes
    the nearest of these on a logarithmic scale of what is lost in a step, which is off by a factor
    of 0.71 to 1.41. Weights are scaled so that a constant input leads to the same membrane in the
    end; the speed of the response differs. It is the rounding of a number, not another kind of
    decay, so `--strict` accepts it.
    """
    example = """
    snnTorch's beta = 0.9 becomes 0.875, beta = 0.95 becomes 0.9375. Rockpool's tau_mem = 16 ms at
    steps of 1 ms is a decay of 0.9394, and becomes 0.9375, which is 15.49 ms. On JapaneseVowels
    such changes of the membranes cost nothing (.862 instead of .850), on BasicMotions .075 (.750
    instead of .825, of 40 samples).
    """
    what_to_do = """
    Train with the decay that the message names, for which it gives the time constant in the unit
    of the file. Simulators that decay by 1 - dt / tau (snnTorch, Norse, Spyx) have it at tau = 2^k
    * dt, those that decay by exp(-dt / tau) (Rockpool, Sinabs, Nengo) at tau = -dt / ln(1 - 2^-k).
    The message names the worst neuron of the population. Where that is not possible, look at `nirc
    verify`, which shows what the decays alone cost.
    """
    sources = """
    The rule of xylosim 0.1.3, measured; rockpool, `docs/devices/xylo-overview.ipynb` (4-bit
    dashes).
    """

    population: str
    parameter: str  # "tau_mem" or "tau_syn"
    rounded: int  # neurons whose decay changes
    neurons: int
    exact: str  # the time constant that changes most, in the simulator's words
    chip: str  # the same time constant on the chip
    training: str  # the simulator's way to train with the chip's decay

    def words(self) -> Words:
        return Words(
            f"{self.parameter} of `{self.population}`: {self.rounded} of {self.neurons} neurons "
            "have a decay that is not 1 - 2**-k",
            found=f"{self.exact} becomes {self.chip}",
            limit="decays of 0.5, 0.75, 0.875, ... a step",
            source=XYLOSIM,
            help=f"{self.training}; weights are scaled to keep the response to a constant input",
        )


class WeightsVanish(Finding):
    code = "D410"
    title = "weights round to zero"
    meaning = """
    Weights on the chip are integers of 4 to 7 bits and a sign. A neuron, a population or a layer
    has one scale, as large as its largest weight, threshold and bias allow. Weights below half a
    unit of this scale become 0 and are left out. The message counts them for each projection.
    Rounding to zero is not wrong in itself: it is the same error of half a unit that all weights
    have. It is a note, and a warning where half of a projection's weights or more are gone.
    """
    example = """
    A neuron whose largest weight is 2.54 has a unit of 0.02: a weight of 0.009 disappears. Of the
    networks in tests/data/zoo 1 to 3 % of the weights do.
    """
    what_to_do = """
    Nothing, if it is a few percent. A large share means that single weights, a threshold or a bias
    are far larger than the rest: clip outliers in training, or use weight decay. `nirc verify`
    shows the effect of all rounding, between the stages `discrete` and `integer`.
    """
    sources = """
    rockpool, `docs/devices/xylo-overview.ipynb` (8-bit weights); the scales are described in
    `quantise.py` of each backend.
    """

    lost: int  # nonzero weights that round to zero
    of: int  # nonzero weights
    which: str  # the place of the weights as a phrase, "into `b`"
    limit: str  # the number format of the chip's weights

    def grade(self) -> Grade:
        """Return a warning from one half on."""
        return "warning" if 2 * self.lost >= self.of else "note"

    def words(self) -> Words:
        advice = "clip outliers in training, or use weight decay: the largest numbers set the scale"
        return Words(
            f"{self.lost} of {self.of} weights {self.which} round to zero",
            found=f"{self.lost / self.of:.1%}",
            limit=self.limit,
            help=advice if self.grade() == "warning" else "",
        )


class ValueClipped(Finding):
    code = "D412"
    title = "a value was clipped to the chip's range"
    severity = "warning"
    meaning = """
    A value of the model lies outside what the chip can hold and was set to the nearest that it
    can. On Xylo a threshold must be at least 1: with 0 or less a neuron fires 31 times in every
    step, and a negative threshold even raises its membrane.
    """
    example = """
    A LIF neuron with `v_threshold` = -0.5, which in the model fires in silence too: it gets the
    threshold 1, and on the chip is silent without input. (A threshold of 0 needs no clipping:
    above 0 is the same as 1 and more, in integers.)
    """
    what_to_do = """
    Check the thresholds in the training: values below zero usually come from a trainable threshold
    without a bound. Bound it from below, for example by a softplus, and export again.
    """
    sources = "The rule of xylosim 0.1.3, measured; ranges in `backends/xylo/limits.py`."

    population: str


class ThresholdsClipped(ValueClipped):
    """Thresholds that are not above the least one that the chip can hold. Other values: a chip's
    findings."""

    thresholds: int  # that are clipped
    least: float | None  # of the model's, in volts
    above: str  # what a threshold has to be above: "0", "v_reset"
    becomes: int  # the threshold on the chip
    limit: str
    source: str = ""

    def words(self) -> Words:
        return Words(
            f"{self.thresholds} threshold(s) of `{self.population}` are not above {self.above} "
            f"and become {self.becomes}",
            found="" if self.least is None else f"{self.least:g}",
            limit=self.limit,
            source=self.source,
        )


class PopulationCalibrated(Finding):
    code = "D414"
    title = "a population was calibrated on sample inputs"
    severity = "note"
    meaning = """
    You gave sample inputs with `--calibrate`. The parameters of this population were changed so
    that the chip's spikes come nearest to the model's on those inputs and on others that nirc
    makes. The model answers any input, so these need no labels: mixtures of your samples, bursts
    and waves at random, and inputs that one output of the model wins clearly. Three quarters of
    your samples and some hundred that nirc made are fitted to, the others judge, and the report
    says how many of each were yours. 64 of your samples weigh as much as all that nirc made. The
    note tells by how much its inputs and its constant current were scaled, and its
    *self-inhibition*: where the chip takes the threshold away and the model resets to zero, each
    neuron may get a synapse to itself with this many thresholds of inhibition. After that every
    weight was adjusted by gradients. On Speck the *lower bound* of a leaky layer's membranes is
    searched last: a constant leak pulls them to it, and a high bound forgets inhibition. Where the
    chip's neurons are the model's, only the rounding of the weights is chosen by what their sources
    send. `manifest.json` holds all of it under `calibration`.

    If no stage of the calibration was better than the uncalibrated network on samples that it had
    not seen, nothing is changed, and the note says so.
    """
    example = """
    "`1.lif` is calibrated: inputs times 1.35, 1.21, constant current times 1.28, self-inhibition
    of 0.75 thresholds; then its weights".
    """
    what_to_do = """
    Nothing. Measure with `nirc verify` on other samples than these. More samples, of every kind
    that will occur, make it better; labels are not used. `--seed` draws other random inputs.
    """
    sources = "A choice of nirc: docs/reference/fidelity.md."

    population: str
    gains: Sequence[float] | None = None  # of the inputs
    drift: float | None = None  # factor of the constant current
    self_inhibition: float = 0.0  # thresholds
    lower_bound: float | None = None  # of the membranes, thresholds
    distances: tuple[float, float]  # from the model, before and after
    learnt: bool  # the weights were adjusted, too

    def words(self) -> Words:
        changes = []
        if self.gains is not None:
            changes.append("inputs times " + ", ".join(f"{gain:.3g}" for gain in self.gains))
        if self.drift is not None:
            changes.append(f"constant current times {self.drift:.3g}")
        if self.self_inhibition:
            changes.append(f"self-inhibition of {self.self_inhibition:.3g} thresholds")
        if self.lower_bound is not None:
            changes.append(f"membranes down to {self.lower_bound:.3g} thresholds")
        weights = "; then its weights" if self.learnt else ""
        before, after = self.distances
        return Words(
            f"`{self.population}` is calibrated: {', '.join(changes)}{weights}",
            found=f"distance {before:.3g} -> {after:.3g}",
        )


class PopulationNotCalibrated(PopulationCalibrated):
    """The parameters of the population stay, since nothing else is better."""

    distances: tuple[float, float] = (0.0, 0.0)
    learnt: bool = False
    rounded: bool  # weights are rounded by the signals of their sources

    def words(self) -> Words:
        what = "stays as it was: no calibration is better"
        if self.rounded:
            what = (
                "keeps its parameters: its weights are rounded by what its sources send; nothing "
                "else is better"
            )
        return Words(f"`{self.population}` {what} on samples that it has not seen")


class LeakTooSmall(Finding):
    code = "D420"
    title = "a leak is too small for the chip's decays, or u would be an integrator"
    severity = "warning"
    meaning = """
    Leaks are multiples of 1/4096 a step on Loihi 2: a membrane that loses less than half of that a
    step becomes an integrator. The synaptic state u always loses at least 1/4096. So a synapse
    without decay, an integrator of its input, cannot be had. Nor can integrate-and-fire neurons
    that subtract their threshold: their membrane is kept in u, where a synapse can take the
    threshold away (D401). Integrate-and-fire neurons that are reset to zero keep theirs in v, which
    loses nothing. It is the rounding of a number, so `--strict` accepts it.
    """
    example = """
    tau_mem 10 s with a step of 1 ms loses 1/10000 a step: on the chip it never leaks. An IF neuron
    with `--reset subtract`, or the neurons of `--readout if`, lose 2.4 % of their membrane in 100
    steps.
    """
    what_to_do = """
    For a slow leak, train with the decay that the message names. For an integrator look at `nirc
    verify`, which shows the loss alone in the row of the decays: between spikes of a busy neuron
    it is less than the rounding of the weights. Where the message names a reset to zero, training
    with it takes the loss away.
    """
    sources = "lava-nc 0.10.0, `proc/lif/models.py`: 12-bit decays, du is stored less one."

    population: str
    field: str  # the time constant, "tau_mem"
    neurons: int  # neurons whose leak vanishes
    of: int  # neurons
    loss: float  # share of the state that the first of them loses in a step
    advice: str

    def words(self) -> Words:
        return Words(
            f"{self.field} of `{self.population}`: {self.neurons} of {self.of} neurons become "
            "integrators on the chip",
            found=f"a loss of {self.loss:.3g} a step",
            limit="multiples of 1/4096",
            source=LAVA_LIF,
            help=self.advice,
        )


class TimeConstantRounded(Finding):
    code = "D421"
    title = "a time constant is rounded to multiples of 1/4096 a step"
    severity = "note"
    meaning = """
    Decays are multiples of 1/4096 a step. A long time constant is rounded to the nearest of them
    and changes by more than 1 %. The resting voltage is kept.
    """
    example = "tau_mem of 500 steps loses 8.19 4096ths a step; 8 of them are 512 steps, 2.4 % more."
    what_to_do = """
    Mostly nothing. For time constants of more than some hundred steps choose 4096 / n steps, or a
    longer `--dt`.
    """
    sources = "lava-nc 0.10.0, `proc/lif/models.py`."

    population: str
    field: str  # the time constant, "tau_mem"
    neurons: int  # neurons whose time constant changes by more than 1 %
    of: int  # neurons
    model: str  # the time constant that changes most, with its unit
    chip: str  # the same on the chip

    def words(self) -> Words:
        return Words(
            f"{self.field} of `{self.population}`: {self.neurons} of {self.of} neurons change by "
            "more than 1 %",
            found=f"{self.model} becomes {self.chip}",
            limit="multiples of 1/4096 a step",
            source=LAVA_LIF,
        )


class OtherStart(Finding):
    code = "D422"
    title = "neurons begin at another voltage"
    severity = "differs"
    meaning = """
    On the chip every synapse takes a step, so a population of a deep layer runs for some steps
    before its first input can arrive. nirc gives it the start value from which its leak leads to
    the model's voltage in time. Here that value is out of range, so the first steps differ; later
    the difference decays with tau_mem.
    """
    example = """
    v_reset -70 with threshold -69.9 and a membrane of two steps, ten layers deep: the start value
    would be a thousand thresholds away.
    """
    what_to_do = """
    Nothing if the first steps do not matter. Else use a longer tau_mem, fewer layers, or the same
    v_leak and v_reset.
    """
    sources = """
    The rule of lava-nc 0.10.0, `proc/dense/models.py`: a synapse sends what it summed up in the
    last step.
    """

    population: str
    neurons: int  # neurons with another start
    chip_v: float  # volts above v_reset at which the worst of them starts
    model_v: float  # the same in the model

    def words(self) -> Words:
        return Words(
            f"{self.neurons} neuron(s) of `{self.population}` begin at another voltage than in "
            "the model",
            found=f"{self.chip_v:.4g} V above v_reset",
            limit=f"{self.model_v:.4g} V",
            source="neurons of deep layers run for some steps before their first input",
        )


class ReadoutMayFire(Finding):
    code = "D423"
    title = "a readout may reach the threshold if many of its inputs fire for long"
    severity = "differs"
    meaning = """
    A population that is read as a membrane potential is an ordinary LIF neuron whose threshold
    should never be reached. If all its inputs fired in every step for ever, it would be, unless
    its weights were so small that they lost most of their bits. nirc keeps weights of some 6 bits
    and says which share of the largest possible input is safe. An integrator's readout is safe for
    a limited time only.
    """
    example = """
    A readout of 38 inputs with tau_syn and tau_mem of 20 steps: full input adds up to 400 weights.
    The message says how much of it is safe.
    """
    what_to_do = """
    Look at the readout's values with `nirc verify` or `nirc run`: a membrane that falls back to 0
    has reached the threshold. Shorter time constants of the readout make it safe.
    """
    sources = """
    lava-nc 0.10.0, `proc/lif/models.py`: vth 131071 is the largest threshold and does not disable
    firing.
    """

    population: str
    share: float  # of its sources that may fire in every step
    steps: float | None  # for which that holds, None: for ever
    vth: int  # the largest threshold

    def words(self) -> Words:
        time = "" if self.steps is None else f", for {self.steps:g} steps"
        return Words(
            f"`{self.population}` is read as a membrane and would reach the threshold, and be "
            "reset, under full input",
            found=f"safe up to {self.share:.2g} of what all its inputs bring that fire in every "
            f"step{time}",
            limit=f"vth {self.vth}",
            source=LAVA_LIF,
            help="shorter time constants of the readout, or fewer inputs; look for membranes that "
            "fall back to 0",
        )


class MembraneWraps(Finding):
    code = "D424"
    title = "a membrane that is kept in u wraps around after many steps of full input"
    meaning = """
    For a subtractive reset the membrane is kept in the neuron's synaptic state u, which a spike
    leaves alone (D401 has the reset otherwise). Beyond 24 bits u wraps around: a very negative
    membrane becomes a very positive one. v would stay at its smallest value instead. An integrator
    that gets inhibition only, for long, comes there; the message says after how many steps in
    which every input of one sign fires, which real signals take many times as long for. It is a
    warning if there is room for less than 64 steps.
    """
    example = """
    An IF neuron with 100 inhibitory weights of a tenth of its threshold sinks by 10 thresholds in
    a step in which all their sources fire. Where a threshold is 150 units, it wraps around after
    87 such steps.
    """
    what_to_do = """
    `nirc verify` on real inputs shows whether it happens, in the row of the 24 bits. Start the
    network anew with each sample: what counts are the steps since then. `--set reset=zero` takes
    the reset to zero, with the membrane in v. Shorter time constants, smaller weights or fewer
    inputs make room.
    """
    sources = "lava-nc 0.10.0, `proc/lif/models.py`: u wraps at 2^23, v saturates."

    population: str
    steps: int  # steps of full input that u has room for
    largest: int  # the largest u

    def grade(self) -> Grade:
        """Return a note from ``SHORT_ROOM`` steps on."""
        return "note" if self.steps >= SHORT_ROOM else "warning"

    def words(self) -> Words:
        return Words(
            f"the membrane of `{self.population}` wraps around if all its inputs of one sign fire "
            "for long",
            found=f"room for {self.steps} steps in which they all do",
            limit=f"u within {self.largest}",
            source=LAVA_LIF,
            help="--set reset=zero has no such limit; smaller weights or fewer inputs leave more "
            "room",
        )


class FilterByDelays(Finding):
    code = "D425"
    title = "a synaptic filter is made of synapses with delays"
    severity = "note"
    meaning = """
    A Loihi 2 neuron has one synaptic state, u. Where a network subtracts thresholds (`--reset
    subtract`), u is the membrane (D401 says why), and cannot be the synaptic filter of a CubaLIF
    as well. So the filter is made of synapses: what it lets through of a spike k steps later
    arrives by a synapse that takes k steps more. The last one brings all that is left, less than
    1/256 of the whole. Every weight takes as many synapses as the message says; the time constants
    of the filter may differ from neuron to neuron.
    """
    example = """
    A filter that decays by 0.75 a step takes 20 synapses for each weight, one by 0.9 takes 53.
    Slower ones than 0.917 would take more than the 64 delays that the chip has: such populations
    reset to zero (D401), as do those for which it would be more than 262,144 synapses.
    """
    what_to_do = """
    Nothing, if the network fits. `--set reset=zero` needs one synapse a weight and resets to zero;
    LIF neurons, which have no filter, need one and subtract. In Lava's simulator each delay is a
    process of its own.
    """
    sources = """
    lava-nc 0.10.0, `proc/lif/models.py` (one u, one v), `proc/dense/models.py` (delays of 0 to 63
    steps).
    """

    population: str
    delays: int  # synapses for one
    synapses: int  # synapses without the filter

    def words(self) -> Words:
        return Words(
            f"the synaptic filter of `{self.population}` is made of synapses with {self.delays} "
            "delays, so that it can subtract",
            found=f"{self.delays * self.synapses} synapses for {self.synapses}",
            source="u, the chip's filter, is the membrane where thresholds are subtracted",
            help="--set reset=zero keeps one synapse each, and resets to zero",
        )


class FourBitWeights(Finding):
    code = "D430"
    title = "weights have 4 bits because inputs come with different delays"
    severity = "note"
    meaning = """
    The models with delays store a weight of 4 bits and a sign beside 3 bits of delay, those
    without delays 8 bits. All inputs of this population use the former, since at least one of them
    is delayed.
    """
    example = "A skip connection over one layer: the direct input waits a step."
    what_to_do = """
    `--set delays=relays` keeps 8 bits and lets relay neurons wait, at the cost of some processing
    elements. Weights that are integers up to 15 times one factor lose nothing.
    """
    sources = "Users' scripts for py-spinnaker2: weights -15 to 15, delays 0 to 7."

    population: str
    extra_steps: int  # the largest delay, in addition to the step of every synapse
    source: str

    def words(self) -> Words:
        return Words(
            f"weights into `{self.population}` have 4 bits and a sign, since its inputs come with "
            "different delays",
            found=f"{self.extra_steps} extra step(s)",
            limit="8 bits without delays",
            source=self.source,
            help="--set delays=relays keeps 8 bits, with relay neurons for the delays",
        )


class ConstantActsAtOnce(Finding):
    code = "D431"
    title = "a part of a constant input acts at once instead of through the synapse"
    severity = "note"
    meaning = """
    Constants behind a synaptic filter come as spikes of a clock, whose weights are integers.
    What is left, up to half a unit of weight, is added to the membrane with the value it has in
    the steady state: only its rise in the first steps after the start differs.
    """
    example = """
    A bias of 0.1 where a unit of weight is 0.03: three units come through the synapse, 0.01 at
    once.
    """
    what_to_do = """
    Nothing has to be done; the difference is gone after a few synaptic time constants. Biases that
    are multiples of the neuron's smallest weight are exact.
    """
    sources = "Targets sheet, section 6: the vendor's importer adds all of a bias to the membrane."

    population: str
    units: float  # the largest part that acts at once, in units of weight
    volts: float  # the same in volts

    def words(self) -> Words:
        return Words(
            f"of constant inputs of `{self.population}`, up to {self.units:.2g} of a unit of "
            "weight act at once, not through the synapse",
            found=f"{self.volts:.2g} V",
            limit="integer units",
        )


class OtherMembraneAtStart(Finding):
    code = "D432"
    title = "neurons start from another membrane"
    severity = "differs"
    meaning = """
    The chip adds constants from its first step on, a population deep in the network begins later;
    a starting value makes up for it. Here that value would itself reach the threshold, so the
    membrane starts elsewhere and returns with its time constant.
    """
    example = "`v_leak` far below 0 behind a synaptic filter."
    what_to_do = """
    Nothing, if the first steps do not matter; else shift the membrane so that `v_leak` is 0.
    """
    sources = "`i_offset` acts from step 0: measured on recordings of the chip."

    population: str
    neurons: int
    latency_steps: int  # of the population on the chip
    source: str

    def words(self) -> Words:
        return Words(
            f"{self.neurons} neuron(s) of `{self.population}` start from another membrane, for "
            "their constant input acts before the first spikes can arrive",
            found=f"{self.latency_steps} step(s)",
            source=self.source,
        )
