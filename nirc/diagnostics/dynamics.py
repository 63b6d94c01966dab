"""Findings: where the chip's dynamics differ from the model's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from nirc.diagnostics.finding import Finding, Grade, Repeated, Words

XYLOSIM = "xylosim 0.1.3, measured"


class RuleDiffers(Finding):
    """A difference between the update rules of a model and of a chip, for one population.

    ``reason``: the reason of the difference, if there is more than one. ``rule``: the source of the
    chip's rule.
    """

    severity = "differs"
    population: str = ""
    reason: str = ""
    rule: str = ""
    help: str = ""

    def sides(self) -> tuple[str, str]:
        """Return the clauses about the model and about the chip."""
        raise NotImplementedError

    def words(self) -> Words:
        model, chip = self.sides()
        return Words(
            f"`{self.population}` {model}, {chip}",
            found=self.reason,
            source=self.rule,
            help=self.help,
        )


class ResetDiffers(RuleDiffers):
    code = "D401"
    title = "reset: a spike acts on the membrane otherwise on the chip"
    meaning = """
    A spike sets the membrane to a value in one of the two and subtracts the threshold in the
    other, or does nothing in the model. Where thresholds are subtracted, what lies above them
    stays, so that a strongly driven neuron fires earlier again. In recurrent networks the reset is
    the largest single loss, in feed-forward networks that are weakly driven it is small. Xylo
    always subtracts. Loihi 2's stock neurons always reset to zero, but synapses of neurons to
    themselves can subtract the threshold for them. The message says why they could not: the
    synaptic filter is too slow, or the weights would keep too few bits.
    """
    example = """
    JapaneseVowels, a recurrent network trained with reset to zero, on Xylo: accuracy .850 as
    trained, .557 with subtraction as the only change. BasicMotions, three feed-forward layers:
    .825 and .750 of 40 samples. A CubaLIF population whose synaptic current keeps 0.95 a step on
    Loihi 2 would need more than 64 delays, and resets to zero.
    """
    what_to_do = """
    If the network was trained by another rule than the model is read by, say so: `--from
    snntorch,reset=subtract` or `--reset subtract`. Otherwise train again with the reset that the
    message names: the simulator has it, and the chip computes it as it is. Some have none:
    snnTorch's subtraction never acts as Xylo's does (D440). `--calibrate FILE.npz` stands in for
    it on Xylo: neurons inhibit themselves (D414). `nirc verify` shows what this rule alone costs.
    `--strict` turns this warning into an error.
    """
    sources = """
    The rules of xylosim 0.1.3 and lava-nc 0.10.0, measured. Accuracies measured with nirc on the
    networks and test samples in tests/data/zoo.
    """

    model: str  # the reset as a clause: "resets to zero"
    chip: str

    def sides(self) -> tuple[str, str]:
        return f"{self.model} in the model", f"{self.chip} on the chip"


class SynapseFilters(Finding):
    code = "D403"
    title = "the chip filters every synapse for at least one step"
    severity = "differs"
    meaning = """
    The model's neuron (LIF, IF) adds its input to the membrane at once. On Xylo every input passes
    a synaptic filter with a time constant of at least 2 steps, since with a shorter one nothing
    arrives. Of a weight w the membrane gets w/2 in the first step, then w/4, w/8, ...: in all w,
    but spread over several steps. A spike may come later, and inputs of different steps overlap.
    """
    example = """
    A LIF neuron with threshold 1 and tau_mem of 8 steps, and a single input that lifts the
    membrane by 1.2: in the model it fires at once. On the chip the membrane reads 0.6, 0.83, 0.87,
    0.84, ... and without further input it does not fire. With all synapses changed in this way,
    JapaneseVowels falls from .850 to .848, BasicMotions from .825 to .750 (of 40 samples).
    """
    what_to_do = """
    Train with a synapse (CubaLIF) whose tau_syn is 2 steps or another power of two: that is exact
    on the chip. Otherwise look at `nirc verify`, which shows what the filter alone costs.
    """
    sources = """
    The rule of xylosim 0.1.3, measured: the synapse decays after its input is added and before the
    membrane reads it.
    """

    population: str

    def words(self) -> Words:
        return Words(
            f"`{self.population}` has no synaptic filter, the chip's shortest halves its input "
            "each step",
            found="dash 1: a weight arrives as w/2, w/4, ...",
            source=XYLOSIM,
            help="train with a synaptic time constant (CubaLIF)",
        )


class SeveralSpikes(RuleDiffers):
    code = "D404"
    title = "neurons may fire several times in a step on the chip"
    meaning = """
    A model's neuron fires once in a step. On the chip it fires as often as the membrane holds
    thresholds: a hidden neuron of Xylo up to 31 times a step, a neuron of Speck without a bound.
    Where the membrane reaches three thresholds, three spikes leave. There is no switch for it. In
    recurrent networks the surplus feeds back and grows. Xylo's output neurons fire once a step at
    most and are not affected. `nirc verify` shows it alone in its row `saturation: up to 31 spikes
    a step`, where it often costs little. With a reset that subtracts (D401) a neuron that is far
    above its threshold fires on: the row `reset: subtract, up to 31 times a step` has both, and is
    the largest loss of recurrent networks on Xylo.
    """
    example = """
    JapaneseVowels, recurrent, on Xylo: .850 as trained, .713 with the chip's reset, decays and
    synapses but one spike a step, .587 with several. Its hidden neurons then fire 3067 spikes a
    sample instead of 633 (352 as trained), and in 8 % of all neuron-steps more than one.
    Handwritten digits, feed-forward: in 0.2 % of the neuron-steps, and no loss.
    """
    what_to_do = """
    `nirc verify` says how often it happens, population by population. Larger thresholds make it
    rarer: `--calibrate FILE.npz` looks for parameters at which it happens rarely (D414), which
    lifts JapaneseVowels from .551 to .844 on samples that were not calibrated with. Training with
    a loss on membranes above threshold removes it. Or train with neurons that fire several times a
    step and subtract, as those of Rockpool and Sinabs do. Their files are read by that rule
    (`--from rockpool`, `--from sinabs`), and the chip then does what the model does.
    """
    sources = """
    The rules of xylosim 0.1.3 and of sinabs 3.1.3, measured; figures measured with nirc on the
    networks in tests/data/zoo.
    """

    model: int | None  # most spikes a step, None without a bound
    chip: int | None
    help = "`nirc verify` shows how often it happens; larger thresholds make it rarer"

    def sides(self) -> tuple[str, str]:
        return f"fires {times(self.model)} a step in the model", f"{times(self.chip)} on the chip"


class NoIntegrator(Finding):
    code = "D405"
    title = "there is no exact integrator on the chip"
    severity = "differs"
    meaning = """
    An integrator (IF, I, or tau = inf) keeps its membrane for ever. Xylo's slowest decay, dash 15,
    takes at least 1 unit from a positive membrane in every step and adds 1 to a negative one,
    however small it is. Long silences are forgotten, and inputs that arrive slowly have less
    effect.
    """
    example = """
    A membrane of 100 units reads 90 after 10 steps without input. With a threshold of 8000 units,
    a typical scale, an input of half a threshold is gone after 4000 steps: over 100 steps the loss
    is about 1 % of a threshold.
    """
    what_to_do = """
    Usually nothing, as nirc makes the units as small as the ranges allow; `nirc verify` shows the
    effect. It matters where thresholds are a few hundred units, or samples have thousands of
    steps. Training with a finite time constant of 2^k steps avoids it.
    """
    sources = """
    The rule of xylosim 0.1.3, measured: decay(x) = x - (x >> dash), at least 1 for positive x.
    """

    population: str
    integrators: int  # neurons

    def words(self) -> Words:
        return Words(
            f"{self.integrators} neuron(s) of `{self.population}` are integrators; the chip loses "
            "1 unit a step",
            found="dash 15",
            source=XYLOSIM,
            help="train with a finite membrane time constant",
        )


class LoopTakesLonger(Repeated):
    code = "D406"
    title = "a loop through several populations takes more steps on the chip"
    severity = "differs"
    meaning = """
    In the model a spike crosses a whole feed-forward path in one step, and a loop takes one step
    to come back. On Xylo every hop between hidden neurons takes a step, so a loop through n
    populations takes n; on Loihi 2 every synapse does, and delays can only add to that. This is no
    mere latency, which could be shifted away: the feedback meets later input than in the model.
    """
    example = """
    Populations a -> b -> a: in the model a's spike of step t comes back at t + 1, on the chip at t
    + 2. The message says 1 extra step. A population with a recurrent weight to itself takes one
    step in both.
    """
    what_to_do = """
    Make the loop one population: put a and b side by side, with one recurrent matrix, and train
    with that timing. Or train with a delay of one step for every hop. `nirc verify` shows the
    effect.
    """
    sources = """
    The rule of xylosim 0.1.3, measured: hidden neurons see the spike counts of the previous step.
    Loihi 2: lava-nc 0.10.0, `proc/dense/models.py`.
    """

    source: str  # populations at the ends of the edge that closes the loop
    target: str
    steps: int  # more than in the model
    rule: str  # of the chip, that takes them
    delay_helps: bool = False  # a delay in the model makes both alike

    def words(self) -> Words:
        delay = ", or give it a delay of that many steps" if self.delay_helps else ""
        return Words(
            f"the path back from `{self.source}` to `{self.target}` takes {self.steps} step(s) "
            f"more on the chip than in the model{self.and_others('paths')}",
            found=f"{self.steps} extra step(s)",
            source=self.rule,
            help=f"make the loop one population with a recurrent weight{delay}",
        )


class PathsOfDifferentLength(Finding):
    code = "D407"
    title = "paths of different length meet: one signal arrives early or late"
    severity = "differs"
    meaning = """
    Every hop between neurons takes a step on Xylo. Where two paths of different length lead from
    the input to the same population, or a Delay node stands in one of them, their signals no
    longer meet in the step in which they meet in the model. nirc counts latency by the longest
    path; a signal over a shorter one arrives early. A delay is used up by the hops of its path,
    which take that long anyway; what is left of it cannot be done, because Xylo has no delays.
    """
    example = """
    A skip connection: `a -> c` beside `a -> b -> c`. The spikes that go directly reach c one step
    before those through b. A Delay of 5 steps between two layers: the hop takes one step and the
    signal comes 4 steps early.
    """
    what_to_do = """
    Give all paths to a population the same number of layers, for example by a layer of neurons in
    the skip connection, or train with the chip's timing. `nirc verify` shows the effect; when
    spikes are dense it is often small.
    """
    sources = """
    The rule of xylosim 0.1.3, measured; rockpool, `docs/devices/xylo-overview.ipynb` (no delays).
    """

    source: str
    target: str
    steps: int  # by which the signal is early
    by_delay: bool  # the path has a delay, which the chip lacks

    def words(self) -> Words:
        kind = "delay" if self.by_delay else "shorter path"
        return Words(
            f"over a {kind}, `{self.source}` reaches `{self.target}` {self.steps} step(s) before "
            "the other signals of its step",
            found=f"{self.steps} step(s) early",
            source="Xylo has no delays",
            help="give all paths the same number of layers, or retrain with this timing",
        )


class OutputByRelay(Finding):
    code = "D408"
    title = "an output is copied by a relay neuron"
    severity = "differs"
    meaning = """
    The model reads its output from neurons that cannot be output neurons of Xylo: those have no
    recurrent connections, no second synapse and no path back into the network. nirc keeps such a
    population among the hidden neurons and gives each of its neurons an output neuron that repeats
    its spikes: one weight of 127, threshold 64, synaptic dash 1, membrane dash 0. The repetition
    is one step later, which `latency_steps` takes into account, and nearly but not always exact,
    because the synapse of an output neuron cannot be switched off. Unlike the relay of X515, which
    is an alias and exact, it can change output counts.
    """
    example = """
    A recurrent population that is also the output, as in a network of one layer. Runs of up to 6
    spikes in consecutive steps are repeated one for one; a run of 7 or more is followed by one
    extra spike (7 give 8, 20 give 21). An output neuron fires once a step at most: 2 hidden spikes
    in one step come out as 2 spikes in two steps, 5 as 3, 31 as 5.
    """
    what_to_do = """
    Often nothing: `nirc verify` shows whether the counts or the decision change. To avoid the
    copy, end the model with a feed-forward layer of spiking neurons, which become output neurons
    themselves. If hidden neurons fire several times in a step (D404), mend that first: it is what
    the copy distorts most.
    """
    sources = """
    The rule of xylosim 0.1.3, measured; counts above computed from it. rockpool,
    `docs/devices/xylo-overview.ipynb` (output neurons are not recurrent).
    """

    port: str
    kind: Literal["input", "output"]
    relays: int

    def words(self) -> Words:
        advice = "end the network with a layer of its own neurons that feeds nothing else"
        return Words(
            f"{self.kind} `{self.port}` is copied by {self.relays} relay neuron(s): isolated "
            "spikes pass one to one, long runs may gain one",
            source="measured on xylosim 0.1.3",
            help=advice if self.kind == "output" else "",
        )


class ConstantSkipsSynapse(Finding):
    code = "D409"
    title = "a constant input reaches the membrane without its synaptic start-up"
    severity = "differs"
    meaning = """
    The bias of an Affine or convolution node is a constant input. In the model it passes the
    synapse of CubaLIF, whose current needs some time constants to rise, or starts after a delay.
    Xylo adds a bias directly to the membrane, from the first step on. In the end both are the
    same; at the beginning of a sample the chip is ahead.
    """
    example = """
    A CubaLIF with tau_syn of 8 steps and a bias that drives it by 0.1 in the end: after 4 steps
    the model's current is 0.041, the chip's 0.1.
    """
    what_to_do = """
    Usually nothing: after about 3 tau_syn the difference is below 5 %. If samples are that short,
    train without bias in front of CubaLIF neurons, or feed a constant input channel that has a
    weight, which does pass the synapse.
    """
    sources = """
    The rule of xylosim 0.1.3, measured: the bias is added to the membrane after the synapses.
    """

    population: str

    def words(self) -> Words:
        return Words(
            f"the constant input of `{self.population}` acts at once on the chip, without synapse "
            "or delay",
            source=XYLOSIM,
        )


class ThresholdFiltered(Finding):
    code = "D413"
    title = "a memoryless threshold is filtered by the synapse"
    severity = "differs"
    meaning = """
    A Threshold node, or a neuron with tau_mem = dt, forgets everything after a step. Xylo's
    membrane can do that (dash 0), its synapse cannot: an input reaches the membrane as w/2, w/4,
    w/8, ... over several steps. The neuron answers to what came in the last few steps, the newest
    weighing most.
    """
    example = """
    A Threshold of 0.9 with inputs of 1: in the model it fires at each of them and at nothing else.
    On the chip a single input gives 0.5 and nothing fires; four inputs in consecutive steps reach
    0.5, 0.75, 0.875, 0.9375, and it fires at the fourth.
    """
    what_to_do = """
    Avoid memoryless neurons for this chip: train with LIF or CubaLIF, and with time constants of 2
    steps or more. For a threshold on dense inputs, halve it: then single inputs pass, at the price
    of extra spikes after runs.
    """
    sources = """
    The rule of xylosim 0.1.3, measured: with dash 0 no synaptic input arrives at all, so 1 is the
    least.
    """

    population: str

    def words(self) -> Words:
        return Words(f"`{self.population}` has no memory, the chip's synapse has", source=XYLOSIM)


class ConstantByTicks(Finding):
    code = "D415"
    title = "a constant input acts by ticks of a clock, not with the events"
    meaning = """
    On Speck a bias is no part of an event's effect. Each core adds its biases at every tick of the
    slow clock, to all its neurons at once, whether events come or not. nirc sets the clock to one
    tick per time step, so the amount per step is right; its place in the step is not the model's,
    which adds the bias together with the step's input. The slow clock runs freely: a tick may fall
    anywhere between two events. A tick also visits every neuron, which costs time and power. Each
    bias is rounded to an integer of 16 bits. The emulator lets a tick fire neurons; no public
    source says whether the chip does.
    """
    example = """
    A Linear layer with bias 0.1 and thresholds 1, steps of 1 ms: found `n1` 43..43, slow clock
    1000 Hz, one tick a step. Without `--dt`, and with nothing else in the file that tells the
    step, the message says so and the frequency stays open (null in `config.json`).
    """
    what_to_do = """
    Train without biases if you can: then no clock is needed, as in the N-MNIST network of the NIR
    paper. Else give `--dt` with the length that a step will have on the chip, and compare both
    modes of the emulator with `nirc verify`. With `--strict` this is an error, unless all neurons
    of the model fire several times a step, as in Sinabs: then it is the rule of the vendor's own
    simulator, and a note.
    """
    sources = """
    Speck Dev Kit Datasheet, SynSense, 2023 (slow clock, leak); that a tick compares with the
    threshold is a choice of nirc.
    """

    biases: Mapping[str, tuple[int, int]]  # the smallest and the largest of each layer with some
    clock_hz: float | None  # None: the length of a step is not known
    as_in_model: bool  # the model's simulator adds them so, too

    def grade(self) -> Grade:
        """Return a note where the model has the rule of the vendor's own simulator."""
        return "note" if self.as_in_model else "differs"

    def words(self) -> Words:
        rate = "one tick in each step; give --dt to have its frequency set"
        if self.clock_hz is not None:
            rate = f"{self.clock_hz:g} Hz, a tick a step"
        first = list(self.biases.items())[:4]
        return Words(
            f"the biases of {len(self.biases)} layer(s) are added by the slow clock ({rate}), at "
            "all its neurons at once: in the step's own time, not with its events",
            found=", ".join(f"`{layer}` {least}..{most}" for layer, (least, most) in first),
            source="Speck datasheet, 2023",
            help="train without biases to do without the clock",
        )


class FiresPerEvent(Finding):
    code = "D416"
    title = "neurons fire once per event, not once per step"
    meaning = """
    Speck has no time steps. The model adds up all input of a step, compares once and fires once.
    On the chip every event is added and compared by itself: a neuron may fire in the middle of a
    step on a part of its input, and several times in a step, but once for each event that reaches
    it. A neuron that gets +5 and then -5 at threshold 4 fires; in the other order, or summed up,
    it does not. Every network on Speck has this difference, so it is always reported, once: as a
    warning, or as a note where all neurons of the model fire several times a step, as in Sinabs.
    """
    example = """
    Handwritten digits, convolutional, trained with one spike a step (497 test samples, `--reset
    subtract`): 7663 output spikes in the model, 9892 with several spikes a step, 10098 event by
    event; accuracy .799, .829 and .817. Both answer the model's class for 90 % of the samples.
    """
    what_to_do = """
    `nirc verify` shows both: `device` sums up step by step and fires several times, as sinabs
    simulates; `device:events` goes event by event, as the chip does. Training with neurons that
    fire several times in a step and subtract (sinabs' MultiSpike, MembraneSubtract) removes a part
    of the difference. Shorter steps, with fewer events in each, make it smaller. `--strict`
    refuses a network whose neurons fire once a step, and accepts one whose neurons fire several
    times.
    """
    sources = """
    Speck Dev Kit Datasheet, SynSense, 2023, section 3.2.4.6.2 (one spike per update); figures
    measured with nirc on `tests/data/zoo/digits_if_cnn`.
    """

    as_in_model: bool  # all neurons of the model fire several times a step

    def grade(self) -> Grade:
        """Return a note where the model has the rule of the vendor's own simulator."""
        return "note" if self.as_in_model else "differs"

    def words(self) -> Words:
        return Words(
            "neurons compare with their threshold at every event, not once a step: they may fire "
            "several times in a step, and on a part of its input",
            limit="one spike per event",
            source="Speck datasheet, 2023",
            help="`nirc verify` shows both: summed up step by step, and event by event; several "
            "spikes a step in training (sinabs' MultiSpike) remove a part of the difference",
        )


class ConstantLeak(Finding):
    code = "D417"
    title = "leak: constant on the chip, proportional in the model"
    severity = "differs"
    meaning = """
    A LIF neuron loses a share of its membrane in each step. Speck can only take away the same
    amount at every tick of the slow clock, by a negative bias (D415). nirc takes the leak of a
    membrane at half the threshold; with `--calibrate` also that of the membranes measured on its
    inputs is tried, and kept if it is better. Low membranes then fall too fast, high ones too
    slowly. To keep silent neurons from drifting down, the lower bound of the membrane is set to -1
    (0 is not allowed, an erratum), so inhibition that would take a membrane below 0 is lost. With
    tau = inf, or IF, there is no leak and none of this.
    """
    example = """
    LIF with tau 20 ms, steps of 1 ms, threshold 1: the model loses 5 % of the membrane a step, the
    chip 2.5 % of the threshold, a bias of -11. At a membrane of 0 or at the threshold the two are
    2.5 % of the threshold a step apart.
    """
    what_to_do = """
    Train with IF neurons for this chip. If it has to be LIF, give `--calibrate FILE.npz`, which
    tries the amount that fits the membranes of your data, and look at `nirc verify`: a slow leak
    does less harm than a fast one. With `--calibrate` the message says which of the two leaks
    answers best.
    """
    sources = """
    Speck Dev Kit Datasheet, SynSense, 2023 (slow clock, leak, threshold_low); the fit is a choice
    of nirc, `backends/speck/quantise.py`.
    """

    population: str
    leak: float  # of the chip a step, as a share of the threshold
    decay: float  # of the model a step, as a share of the membrane potential
    apart: float  # the largest difference of the two in a step, as a share of the threshold
    biases: tuple[int, int]  # the smallest and the largest
    unit: float  # volts of a bias of 1
    calibrated: bool  # leaks have been tried on samples
    measured: bool  # this leak fits the membranes of the samples

    def words(self) -> Words:
        advice = (
            "train with IF neurons, or give --calibrate, which tries a leak that fits the "
            "membranes that occur"
        )
        if self.calibrated:
            fitted = "the membranes of the samples" if self.measured else "half the threshold"
            advice = (
                "train with IF neurons; of the leaks that --calibrate has tried this one answers "
                f"best: it fits {fitted}"
            )
        least, most = self.biases
        return Words(
            f"`{self.population}` leaks {self.leak:.2%} of its threshold a step, whatever its "
            f"membrane; the model leaks {self.decay:.2%} of the membrane: up to {self.apart:.2%} "
            "of the threshold a step apart, and inhibition below 0 is lost",
            found=f"bias {least}..{most} LSB, {self.unit:.3g} V each",
            source="sheet, section 2.1",
            help=advice,
        )


class PoolingDropsSpikes(Finding):
    code = "D418"
    title = "spikes that pooling leaves out are taken to be dropped"
    severity = "warning"
    meaning = """
    A map is pooled whose side the pooling does not divide: the last row or column belongs to no
    window, and the model leaves it out. On the chip its neurons still fire, and their spikes,
    coordinates divided, come to the next core one row beyond its map, where that core has padding.
    nirc's emulator and sinabs drop such events. No public source says whether the chip does; if it
    did not, they would count as if they lay in the padding.
    """
    example = """
    3 channels of 7 x 7, pooled by 2, then a 3 x 3 convolution with padding 1 on 3 x 3: the seventh
    row arrives as row 3 of rows 0 to 2.
    """
    what_to_do = """
    Use sides that the pooling divides (8 instead of 7, or a stride or padding that gives them), or
    no padding in the layer after the pool: then nothing reaches these rows. On a board, compare
    the monitored spikes with `nirc run --mode events`.
    """
    sources = """
    Chosen by nirc. sinabs 3.1.3 pools with PyTorch's rule, which leaves the remainder out; Speck
    datasheet, 2023, describes destinations' pooling as a division of coordinates.
    """

    pooled: str  # the node whose spikes are pooled
    target: str
    size: tuple[int, int]  # of the map before pooling, y and x
    pooling: int

    def words(self) -> Words:
        return Words(
            f"pooling `{self.pooled}` leaves out rows at the edge, whose spikes come to the "
            f"padding of `{self.target}`: the core is taken to drop them, as sinabs does",
            found=f"a map of {self.size}, pooled by {self.pooling}",
            source="chosen by nirc: no public source says it",
            help="use maps that the pooling divides",
        )


class ResetTiming(RuleDiffers):
    code = "D440"
    title = "reset: at once on the chip, later or in another way in the model"
    meaning = """
    In the model a spike takes the threshold away in the next step, after the membrane has decayed
    and taken its input. The chip takes it away in the step of the spike. What the chip takes away
    then decays once more than in the model: by a factor of beta. With a reset to zero, the model's
    neuron loses the input of the step after a spike, the chip's does not. Integrate-and-fire
    neurons that subtract make no difference there. snnTorch's `reset_delay=False` with subtraction
    is another case, for all neurons: where the membrane is above the threshold at the start of a
    step, the threshold is taken away for the comparison and given back after it. No chip does that.
    """
    example = """
    snnTorch's Leaky with beta = 0.9 and reset_mechanism = subtract: a spike lowers the next
    membrane by 1 threshold in snnTorch, by 0.9 on the chip. Loihi 2 subtracts by synapses, which
    do this case exactly.
    """
    what_to_do = """
    Train with the reset that the message names: the simulator has it, and this chip computes it as
    it is. For snnTorch that is `reset_mechanism="zero"` with `reset_delay=False`, on chips that
    can reset to zero (SpiNNaker2, Speck, Loihi 2). With `reset_delay=False` alone snnTorch
    compares in another way, which is D440 again. Where the message names none, as for Spyx and for
    snnTorch on Xylo, look at the cost with `nirc verify`, which lists the reset alone among its
    what-ifs. `--calibrate FILE.npz` adapts weights to it.
    """
    sources = "docs/reference/writers.md: the rule of snnTorch 1.0.0, measured."

    model: str  # the reset as a clause, "resets to zero"

    def sides(self) -> tuple[str, str]:
        later = "in the step after a spike, after the decay, in the model"
        return f"{self.model} {later}", "at once on the chip"


class ThresholdGivenBack(ResetTiming):
    """The model compares with a lower threshold after a spike, and gives the threshold back."""

    model: str = ""

    def sides(self) -> tuple[str, str]:
        lower = "takes a threshold away before the comparison and gives it back after it"
        return f"{lower} in the model", "compares the membrane as it is on the chip"


class OneSpikeAStep(RuleDiffers):
    code = "D441"
    title = "neurons fire several times in a step in the model, once on the chip"
    meaning = """
    The simulator lets a neuron fire as often in one step as its membrane holds thresholds. The
    chip's neurons fire once a step at most. With subtraction the rest stays in the membrane and
    leaves in later steps, so that spikes come later. With a reset to zero it is lost. Where only
    an output reads the neurons and they subtract, it is a note: no other neuron sees the delay.
    """
    example = """
    Sinabs' IAF with MultiSpike on Loihi 2: a membrane of 3.2 thresholds sends 3 spikes in one step
    in Sinabs, and one in each of three steps on the chip.
    """
    what_to_do = """
    Train with one spike a step (Sinabs: SingleSpike, Rockpool: max_spikes_per_dt = 1), with
    shorter steps, or with larger thresholds. Speck and Xylo fire several times a step.
    """
    sources = "docs/reference/writers.md; rules of the chips in docs/reference."

    model: int | None  # most spikes a step, None without a bound
    chip: int | None
    only_delays: bool = False  # the chip sends all spikes, some later, and only to outputs
    help = "train with one spike a step, or with thresholds that are rarely reached twice"

    def grade(self) -> Grade:
        return "note" if self.only_delays else "differs"

    def sides(self) -> tuple[str, str]:
        return f"fires {times(self.model)} a step in the model", f"{times(self.chip)} on the chip"


class TieAtThreshold(RuleDiffers):
    code = "D442"
    title = "membranes exactly at their threshold fire on one side only"
    meaning = """
    One of model and chip fires where the membrane is at the threshold, the other only where it is
    above. Real numbers are hardly ever equal to a threshold, integers often are.
    """
    example = """
    Sinabs fires at v >= threshold, Loihi 2 at v > threshold: with weights of 0.5 and a threshold
    of 1, two spikes fire a Sinabs neuron and not the chip's.
    """
    what_to_do = """
    Nothing, unless weights and thresholds are multiples of one number: then lower the threshold by
    a small amount before exporting.
    """
    sources = "sinabs 3.1.3, lava-nc 0.10.0, measured."

    model: Literal[">", ">="]
    chip: Literal[">", ">="]
    help = "only a membrane that is exactly at its threshold tells the two apart"

    def grade(self) -> Grade:
        return "note"

    def sides(self) -> tuple[str, str]:
        model = f"fires at v {self.model} threshold in the model"
        return model, f"at v {self.chip} threshold on the chip"


class NoLowerBound(RuleDiffers):
    code = "D443"
    title = "the chip has no lower bound of the membrane"
    meaning = """
    The model's membrane never falls below a bound (Sinabs: min_v_mem). The chip's falls as far as
    its number format goes, so that inhibition lasts longer.
    """
    example = """
    A Sinabs network with min_v_mem = -1 on Loihi 2: after strong inhibition the neuron needs more
    input before it fires again.
    """
    what_to_do = "Train without a bound, or compile for Speck, which has one."
    sources = "docs/reference/writers.md; rules of the chips in docs/reference."

    help = "train without a bound, or with little inhibition"

    def sides(self) -> tuple[str, str]:
        return "has a lower bound of the membrane in the model", "none on the chip"


def times(most: int | None) -> str:
    """Return how often a neuron may fire in a step. None: there is no bound."""
    if most is None:
        return "any number of times"
    return "once" if most == 1 else f"up to {most} times"
