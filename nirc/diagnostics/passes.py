"""Findings: time steps, delays, and what can be a network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from nirc.diagnostics.finding import Finding, Grade, Stated, Words

SHORT_S = 1e-3  # time constants below are not seconds of a neuron


class TimeStepUnknown(Finding):
    code = "P301"
    title = "the time step cannot be inferred from the file"
    meaning = """
    NIR describes neurons in continuous time and has no time step, but a chip needs one. Exporters
    hide it in the parameters: a network trained with v := beta * v + x is written with tau = dt /
    (1 - beta) and r = tau / dt, so that dt = tau / r; CubaLIF also has w_in = tau_syn / dt. In
    this file no gain is above 1, so it tells nothing, and there are time constants or delays that
    depend on the step.
    """
    example = """
    A LIF node with `tau` = 0.002 and `r` = 1, as Norse exports it. With `--dt 1e-4` the membrane
    decays by 5 % in each step.
    """
    what_to_do = """
    Say who wrote the file, where W203 names a candidate: `--from nengo` steps by Nengo's own 1e-3
    s. Or give the step that the network was trained with: `--dt 1e-4` (in seconds). It is in the
    training script, often as `dt` or as the length of a bin in the data set. It has to be below
    the shortest time constant (P303). Where the data or the calibration file contains `dt`, nirc
    takes that and says so (P309). Networks of integrate-and-fire neurons alone need none.
    """
    sources = """
    NIR paper (Pedersen et al., Nat. Commun. 15:8122, 2024) and exporters of snnTorch and sinabs;
    recovery measured on all published files.
    """

    fastest_s: float | None = None  # the shortest time constant. None: there is none
    slowest_s: float | None = None
    usual_steps: tuple[tuple[str, str, str], ...] = ()  # candidate writers: title, name, step

    def words(self) -> Words:
        return Words(
            "the file does not tell its time step",
            found="no gain above 1 beside a time constant",
            help=self._advice(),
        )

    def _advice(self) -> str:
        fastest = self.fastest_s
        if fastest is None or self.slowest_s is None:
            return "give it with --dt SECONDS, as in the training script"
        if self.usual_steps:
            return "; ".join(_usual_step(*each, fastest) for each in self.usual_steps)
        if fastest >= 1.0:
            return (
                f"time constants of {fastest:g} with r = 1 are steps, as Sinabs writes them: "
                "--from sinabs; if they are seconds, give the step of the training script with "
                "--dt SECONDS"
            )
        if self.slowest_s < SHORT_S:
            return (
                "time constants below 1 ms with r = 1 are tau times dt, as Norse writes them: "
                "--from norse,dt=1e-3; if they are seconds, give the step of the training script "
                f"with --dt SECONDS, below {fastest:g}"
            )
        return (
            "give the step of the training script with --dt SECONDS: often 1e-3 or 1e-4, and "
            f"below {fastest:g}, the shortest time constant; or say who wrote the file with --from"
        )


def _usual_step(title: str, name: str, step: str, fastest_s: float) -> str:
    letter = f", or --dt {step} by NIR's letter" if float(step) < fastest_s else ""
    return f"{title} steps by {step} s: --from {name}{letter}"


class TimeStepContradiction(Finding):
    code = "P302"
    title = "the file contradicts itself about the time step"
    expects = True
    meaning = """
    Several populations tell a time step (see P301), and they do not agree to within a thousandth:
    tau / r, or tau_syn / w_in, is not the same everywhere. Then at least one `r` or `w_in` is a
    true gain and not the trace of a time step, and nirc cannot know which.
    """
    example = """
    One layer with `tau` = 0.002, `r` = 20 implies 1e-4 s, another with `tau` = 0.002, `r` = 10
    implies 2e-4 s. The message lists the first four findings with their fields.
    """
    what_to_do = """
    Give the step of the training with `--dt SECONDS`. The gains are then used as they stand: the
    layer that implies another step has a gain of r * dt / tau per step, here 0.5. If all layers
    should agree, correct the export.
    """
    sources = "Exporters use one step for a whole network; measured on all published files."

    implied: tuple[tuple[str, str, float], ...]  # place, rule, time step in seconds

    def words(self) -> Words:
        listed = [f"{where}: {rule} = {dt_s:.6g} s" for where, rule, dt_s in self.implied[:4]]
        return Words(
            "the parameters imply different time steps",
            found="; ".join(listed),
            limit="one dt",
            help="give it with --dt SECONDS",
        )


class TimeConstantBelowStep(Finding):
    code = "P303"
    title = "a time constant is shorter than the time step"
    meaning = """
    By forward Euler a neuron keeps the share 1 - dt / tau of its state in a step. With a time
    constant below the time step this is negative: the state would change its sign in every step,
    which no trained network means. The time step, given or inferred, does not belong to this
    population.
    """
    example = "`tau_mem` = 5e-4 s at `--dt 1e-3`: the factor is -1."
    what_to_do = """
    Give the step that the network was trained with, if `--dt` was wrong. If it is right and the
    framework decays by exp(-dt / tau), as Rockpool does, compile with `--discretise exponential`:
    there every positive time constant has a meaning.
    """
    sources = "Forward Euler, v += dt / tau * (v_leak - v + r x), as snnTorch and sinabs export it."

    parameter: str
    below: int  # neurons whose time constant is below the step
    neurons: int
    fastest_s: float
    dt_s: float | None
    writer: str = ""  # the simulator that wrote the file. "": unknown, NIR's letter is read
    writer_title: str = ""
    writer_asks_dt: bool = False  # the step is one of the choices of `--from`

    def words(self) -> Words:
        return Words(
            f"{self.below} of {self.neurons} neurons have a {self.parameter} below the time step",
            found=f"{self.fastest_s:g} s",
            limit="" if self.dt_s is None else f"dt = {self.dt_s:g} s",
            help=self._advice(),
        )

    def _advice(self) -> str:
        if self.writer_asks_dt:
            return f"another dt of the export: --from {self.writer},dt=SECONDS, or another writer"
        if self.writer:
            return (
                f"the file does not tell {self.writer_title}'s dt: give the one of the export, "
                f"below {self.fastest_s:.2g} s, with --dt"
            )
        return (
            "if the network ran with such steps, its decay is no Euler step: --discretise "
            "exponential. Else give its own step, "
            f"--dt {self.fastest_s / 10:.1g} or less"
        )


class DelayRounded(Finding):
    code = "P304"
    title = "a delay is not a multiple of the time step"
    meaning = """
    Time on a chip goes in steps, so a delay is an integer number of them. nirc rounds to the
    nearest, at least one step, and says where the difference is above a thousandth of a step.
    """
    example = """
    A Delay node with `delay` = 2.6e-4 s at dt = 1e-4 s: 2.6 steps become 3. A delay of 1e-5 s
    becomes one step.
    """
    what_to_do = """
    Give a `--dt` that divides the delays, if the network was trained with one. Otherwise round the
    delays when exporting, and look with `nirc verify` whether it matters.
    """
    sources = "NIR specification, Delay: y(t) = x(t - delay), in seconds."

    delay_s: float
    exact_steps: float
    steps: int  # after rounding
    most_steps: int

    def grade(self) -> Grade:
        return "error" if self.exact_steps > self.most_steps else "warning"

    def words(self) -> Words:
        if self.exact_steps > self.most_steps:
            return Words(
                "a delay takes too many steps",
                found=f"{self.delay_s:g} s, {self.exact_steps:.4g} steps",
                limit=f"{self.most_steps} steps",
                help="delays are in seconds: give a longer --dt, or shorten the delay",
            )
        return Words(
            f"a delay of {self.delay_s:g} s becomes {self.steps} step(s)",
            found=f"{self.exact_steps:.4g} steps",
            limit="integer steps",
            help="give a --dt that divides the delay",
        )


class LinearLoop(Finding):
    code = "P305"
    title = "a linear path closes on itself without a neuron"
    meaning = """
    Linear nodes form a loop with no neuron in it. Within a step such a signal would depend on
    itself; in NIR only neurons carry state from one step to the next. A Delay or a Flatten does
    not count as a neuron.
    """
    example = """
    `lif -> w_rec -> scale`, and then `scale -> w_rec` where `scale -> lif` was meant: `w_rec` and
    `scale` feed each other.
    """
    what_to_do = """
    Look at the nodes that the message lists and put a neuron (LIF, LI, IF, ...) into the loop, or
    remove the edge that closes it. For a leaky trace of a signal use LI.
    """
    sources = "NIR specification: nodes without state act at once."

    nodes: tuple[str, ...]  # in alphabetical order

    def words(self) -> Words:
        return Words(
            f"`{self.nodes[0]}` feeds itself without a neuron in between",
            found=" -> ".join(self.nodes[:6]),
            help="put a neuron into the loop, or remove it",
        )


class LoopOrder(Finding):
    code = "P331"
    title = "an edge of a loop acts a step later, and the order of the populations decides which"
    severity = "note"
    meaning = """
    In a loop through several populations one edge must act a step later, or no step could be
    computed. The file does not say which. nirc goes from the inputs along the edges, populations
    in the order of their names: an edge back to a population on the way is the late one. Where all
    feed all, that makes a cascade: `a` acts on `b` at once and `b` on `a` a step later. Chips that
    take a step for every hop then wait for the longest path.
    """
    example = """
    60 populations, all to all: 1,770 edges act a step later, the path through all 60 acts within
    one step of the model, and Loihi 2 has a latency of 56 steps.
    """
    what_to_do = """
    If the simulator steps the loop otherwise, rename the populations, or put a Delay node of one
    step into each edge that acts a step later: then no choice is left. One population with a
    recurrent matrix acts a step later everywhere. Recorded outputs show which is right: `nirc
    inspect MODEL --data FILE`.
    """
    sources = "docs/reference/semantics.md, Order."

    edges: Sequence[tuple[str, str]]

    def words(self) -> Words:
        source, target = self.edges[0]
        more = len(self.edges) - 1
        others = f" and {more} other {'edge' if more == 1 else 'edges'}" if more else ""
        return Words(
            f"`{source}` -> `{target}`{others} of a loop {'act' if more else 'acts'} a step later: "
            "the way from the inputs and the order of the names decide",
            help="rename populations to change it, or put a Delay node into the late edges",
        )


class AnalogSignal(Finding):
    code = "P306"
    title = "an analog signal would cross between populations"
    expects = True
    meaning = """
    LI, CubaLI and I have a membrane potential and no spikes. Between the neurons of this chip only
    spikes travel, so such a population can be an output, where its membrane is read, and nothing
    else. It also cannot share its Output with other nodes or feed itself. There is one exception:
    a LI or I in front of spiking neurons without a synapse of their own becomes their synapse, if
    all its channels have the same parameters, no leak potential and no bias behind them, and each
    neuron needs at most two such filters.
    """
    example = """
    `fc1 -> li1 -> fc2 -> lif2`, where the time constants of `li1` differ from channel to channel:
    its potential would have to cross into `lif2`. With one time constant for all channels it
    compiles.
    """
    what_to_do = """
    Use a spiking neuron there and train again, or give all channels of the filter one time
    constant. If the population models a synapse, CubaLIF says so without a node of its own. If it
    is an output, give it an Output node of its own.
    """
    sources = "rockpool, Xylo design rules; Xylo sends spike counts only."

    population: str
    target: str
    source: str

    def words(self) -> Words:
        return Words(
            f"`{self.population}` sends its membrane potential, not spikes, to `{self.target}`",
            limit="spikes between populations; membranes are read where they are",
            source=self.source,
            help="use a spiking neuron there, or make it an output",
        )


class TooManyEntries(Finding):
    code = "P307"
    title = "a projection has too many entries to unroll"
    meaning = """
    Between two populations nirc composes all linear layers into one projection. This one is too
    large to write down. Either more than 4096 paths between populations lead through one linear
    node, or a projection has more than 16,777,216 synapses for a chip that stores each one.
    """
    example = """
    Ten stages in a row, each of which splits into two Scale nodes and adds them again, make 1024
    paths through the last node; thirteen stages make 8192. A dense layer from 8192
    to 4096 neurons has 33,554,432 synapses.
    """
    what_to_do = """
    Join parallel linear layers before exporting: two Scale nodes between the same nodes are one,
    with the sum of both. If the layer itself is too large, no option helps: the model needs a
    larger chip or smaller layers. Xylo holds about 32,000 recurrent entries.
    """
    sources = """
    Chosen by nirc to bound memory and time; both numbers are far above what the chips hold.
    """

    most: int
    advice: str = "pool or convolve instead of connecting all with all, or make the layers smaller"

    def words(self) -> Words:
        return Words(
            "a projection has too many synapses to list",
            found=f"more than {self.most}",
            limit=self.most,
            help=self.advice,
        )


class TooManyPaths(TooManyEntries):
    """Too many paths between populations through one linear node."""

    paths: int

    def words(self) -> Words:
        return Words(
            "too many paths between populations lead through this linear node",
            found=f"{self.paths} paths",
            limit=f"{self.most} through one node",
            help="merge parallel linear layers before exporting",
        )


class TooManyProjections(TooManyPaths):
    """Too many paths between the populations of a program."""

    def words(self) -> Words:
        return replace(
            super().words(),
            message="too many paths between populations lead through linear nodes",
            limit=f"{self.most} in a program",
        )


class OutputNotFromNeurons(Finding):
    code = "P308"
    title = "an output does not come directly from neurons"
    expects = True
    meaning = """
    What an Output shows must be the activity of neurons, because the chip has nothing else to
    show. Here linear layers, a bias or a delay stand between the last neurons and the Output, or
    the Output is wired directly to an Input.
    """
    example = """
    `lif2 -> fc3 -> output`, a classifier whose scores are computed by an Affine layer from spikes.
    """
    what_to_do = """
    End the network with neurons. `--readout` adds them: `--readout li:8` puts leaky integrators
    with a time constant of 8 steps behind the last layer, whose membrane is read (Xylo, Loihi 2,
    SpiNNaker2), and `--readout if:1` integrate-and-fire neurons with a threshold of 1 (every chip,
    and the only way on Speck). Or leave the last layer out, read the spikes of `lif2`, and apply
    its weights on the host.
    """
    sources = "rockpool, Xylo design rules: outputs come directly from neurons."

    output: str
    problem: str
    nodes: tuple[str, ...]  # that send to the output
    source: str
    advice: str = (
        "--readout li:8 adds leaky integrators that are read, --readout if:1 spiking neurons; "
        "or end with a LIF or LI"
    )

    def words(self) -> Words:
        return Words(
            f"output `{self.output}` {self.problem}",
            found=", ".join(f"`{source}`" for source in self.nodes),
            limit="outputs come directly from neurons",
            source=self.source,
            help=self.advice,
        )


class TimeStepInferred(Finding):
    code = "P309"
    title = "the time step was inferred from the file or the data"
    meaning = """
    NIR has no time step (see P301). The parameters of this model imply one, and all agree on it,
    so it is used. The message names the fields and the value. Three rules are known: tau / r for
    membranes, tau_syn / w_in for synapses, and for Rockpool, which writes r = tau / dt * exp(-dt /
    tau), the solution of that equation. Where no parameter tells a step, it is that of the data
    (`dt` in the file of `--data` or `--calibrate`): a row of the raster is a step of the network.
    Where a time constant is shorter than three such steps, r may be a gain and no trace of a step:
    then this is a warning.
    """
    example = """
    `tau` = 0.002 and `r` = 20 in every LIF node: dt = 1e-4 s. One step of the network is 0.1 ms,
    and data must be binned accordingly.
    """
    what_to_do = """
    Nothing, where it is a note. If the step is not that of the training, give `--dt SECONDS`.
    Where the warning is right that r is a gain, the step of the training script is wanted, and
    P310 is a note that says so.
    """
    sources = "Exporters of snnTorch, sinabs and Rockpool; measured on all published files."

    dt_s: float
    rule: str = ""  # "": the step of the data
    tau_s: float | None = None  # a time constant of fewer than `least_steps`
    least_steps: float = 0.0  # with fewer, r may be a gain

    def grade(self) -> Grade:
        return "note" if self.tau_s is None else "warning"

    def words(self) -> Words:
        if not self.rule:
            return Words(f"dt = {self.dt_s:g} s, the step of the data")
        if self.tau_s is None:
            return Words(f"dt = {self.dt_s:g} s, from {self.rule}")
        steps = self.tau_s / self.dt_s
        return Words(
            f"dt = {self.dt_s:g} s is taken from {self.rule}: a time constant of {steps:.3g} steps",
            found=f"{self.tau_s:g} s",
            limit=f"{self.least_steps:g} steps or more, where r is surely tau / dt",
            help="if r is a gain and no step, give the network's own step, such as "
            f"--dt {self.tau_s / 20:.1g}; if it is right, --dt {self.dt_s:g} says so",
        )


class TimeStepDiffers(Finding):
    code = "P310"
    title = "the given time step differs from the one that the file suggests"
    meaning = """
    `--dt` is not the step that the file's own parameters imply. nirc uses the given one. The
    parameters were made for the other: a neuron that had v := beta * v + x now decays by the new
    step and weighs its input by r * dt / tau, which is no longer 1.
    """
    example = """
    `tau` = 0.002 and `r` = 20 imply 1e-4 s. With `--dt 1e-3` the membrane keeps 50 % instead of 95
    % in each step, and every input counts ten times as much.
    """
    what_to_do = """
    Leave `--dt` away, if the step of the training is wanted. To run a network with longer steps on
    purpose, bin the data for them, and compare the accuracy with `nirc verify`. A file that is
    read by the rule of its writer keeps the decays of the writer's own step, whatever `--dt` says.
    It is a note where the inferred step is so long beside a time constant that r is more likely a
    gain (P309): then `--dt` is needed, and nothing else is to be done.
    """
    sources = "Forward Euler, v += dt / tau * (v_leak - v + r x)."

    dt_s: float  # as given
    suggested_s: float
    rule: str  # the rule that suggests the other step, such as "tau / r"
    is_gain: bool = False  # the suggested step is so long that r is more likely a gain

    def grade(self) -> Grade:
        return "note" if self.is_gain else "warning"

    def words(self) -> Words:
        found, limit = f"{self.dt_s:g} s", f"{self.suggested_s:g} s ({self.rule})"
        if self.is_gain:
            gain = self.rule.partition(" / ")[2]
            message = f"dt = {self.dt_s:g} s is used as given, and {gain} as a gain"
            return Words(message, found=found, limit=limit)
        return Words(
            f"dt = {self.dt_s:g} s is used as given; the parameters suggest {self.suggested_s:g} s",
            found=found,
            limit=limit,
            help=f"leave --dt away if the network was trained with {self.suggested_s:g} s: with "
            f"{self.dt_s:g} s its decays are others, and an input counts "
            f"{self.dt_s / self.suggested_s:.3g} times as much",
        )


class WriterStepDiffers(TimeStepDiffers):
    """The given step differs from the step of the file's writer. ``rule``: the writer's title."""

    def words(self) -> Words:
        return Words(
            f"a step of {self.dt_s:g} s is used as given; {self.rule} steps by "
            f"{self.suggested_s:g} s, and decays stay those of its own step",
            found=f"{self.dt_s:g} s",
            limit=f"{self.suggested_s:g} s",
            help="leave --dt away: it changes no decay",
        )


class NothingToCompile(Finding):
    code = "P311"
    title = "nothing is left to compile"
    meaning = """
    The model has no neurons: only inputs, outputs and linear layers, or nothing else that an
    output depends on. A neuromorphic chip computes with neurons; there is nothing to put on it.
    """
    example = "`input -> fc1 -> output`."
    what_to_do = """
    Check the export: exporters leave out layers that they do not know, for example custom neuron
    classes. Put a neuron between Input and Output. If neurons were removed because no output
    depends on them, G213 names them.
    """
    sources = "rockpool, Xylo design rules: every path leads through neurons."

    def words(self) -> Words:
        return Words("the network has no neurons", help="put a neuron between Input and Output")


class ReadoutAdded(Finding):
    code = "P318"
    title = "readout neurons were added"
    severity = "note"
    meaning = """
    The network ends in a linear layer, and chips show the activity of neurons only. As asked with
    `--readout`, one neuron was put in front of each such output. The model that the chip is
    compared with has these neurons, too.
    """
    example = """
    `lif2 -> fc3 -> output` with `--readout li:8`: leaky integrators with a time constant of 8
    steps add up what `fc3` gives, and their membrane is read. With `--readout if:1`
    integrate-and-fire neurons with a threshold of 1 send spikes: their counts follow the positive
    scores.
    """
    what_to_do = """
    Choose the number so that outputs are well used: `nirc verify` shows how often the added
    neurons agree with the model. For a chip that reads no membranes (Speck) take `if`. The choice
    is in manifest.json.
    """
    sources = "P308 says why chips need neurons there."

    output: str
    neurons: int
    readout: str  # the option's value

    def words(self) -> Words:
        return Words(
            f"output `{self.output}` is read from {self.neurons} neurons that were added",
            found=self.readout,
        )


class ChipLacks(Stated):
    code = "P320"
    title = "the chip does not have what the network needs"
    meaning = """
    A chip of a package of its own (entry point `nirc.backends`) refuses the network: it is above
    one of the chip's limits, or the chip has no such part. The message says what and where, and
    names the source.
    """
    example = """
    "too many input channels", found 24, limit 16: the network has 24 inputs, and the chip 16.
    "`hidden` has a constant input": the chip has no constants.
    """
    what_to_do = """
    `nirc targets NAME` lists the chip's limits. Make the layer smaller, or leave out what the chip
    does not have. The chip's own documentation says more.
    """
    sources = "The limits of the package; `examples/toychip` shows how one declares them."


class ReadoutNotNeeded(Finding):
    code = "P321"
    title = "--readout adds nothing: the output is read from the network's own neurons"
    expects = True
    severity = "warning"
    meaning = """
    `--readout` puts neurons behind an output that is a linear layer (P318). This output comes
    directly from neurons, spikes or the membrane of a leaky integrator. Nothing has to be added,
    so the option changes nothing there.
    """
    example = """
    `lif2 -> output` with `--readout li:8`: the output is the spikes of `lif2`, with and without
    the option.
    """
    what_to_do = """
    Leave `--readout` away. If scores are wanted instead of the spikes of the last neurons, export
    the network with a linear layer behind them.
    """
    sources = "`passes/add_readout.py`."

    output: str
    population: str
    readout: str  # the option's value

    def words(self) -> Words:
        return Words(
            f"output `{self.output}` is read from the neurons `{self.population}`: --readout adds "
            "none",
            found=self.readout,
            limit="outputs that are linear layers",
            help="leave --readout away, or end the network with a linear layer",
        )


class VariantChosen(Finding):
    code = "X513"
    title = "the variant that was chosen, and why"
    severity = "note"
    meaning = """
    With `--target xylo`, without a variant, nirc takes the first that fits, in the order Audio 2,
    Audio 3, IMU: the one with the freest order of neurons comes first. The note says which it is.
    Why the ones before it did not fit is among the notes as well, with the codes of the limits.
    """
    example = """
    A classifier of 10 classes: "xylo:audio3 (SYNS65302): the first that fits after xylo:audio2",
    and a note with X503, 10 output neurons where Audio 2 has 8.
    """
    what_to_do = """
    Nothing: this is a note. To compile for the chip that is on the table, name it: `--target
    xylo:imu`. The variant is in the manifest of the bundle, and `nirc targets xylo` lists them.
    """
    sources = "The order of `VARIANTS` in `backends/xylo/limits.py`."

    target: str
    part: str
    refused: Sequence[tuple[str, str, str]]  # message, found, limit of each variant before

    def words(self) -> Words:
        reasons = [
            f"; {message}: found {found}, limit {limit}" for message, found, limit in self.refused
        ]
        first = f"{self.target} ({self.part}) is the first variant that fits"
        return Words(first + "".join(reasons))
