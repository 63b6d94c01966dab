"""Findings: limits of Xylo."""

from __future__ import annotations

from typing import ClassVar

from nirc.backends.xylo.limits import FIRST, LAST, MAX_INPUT_SPIKES
from nirc.chip.target import Excess, Limit, Target
from nirc.diagnostics.finding import Finding, Stated, Words
from nirc.diagnostics.passes import AnalogSignal


class AboveLimit(Finding):
    """A base: a network is above a limit of a variant."""

    advice: ClassVar[str]

    excess: Excess
    roomier: Target | None  # a variant that the network fits

    def words(self) -> Words:
        each = self.excess
        limit = each.limit
        return Words(
            self.message(),
            found=f"{each.found}{self.more()}",
            limit=f"{limit.max} ({each.target.part})",
            source=limit.source,
            help=f"{self.advice}{self.elsewhere()}",
        )

    def elsewhere(self) -> str:
        """Return the advice to compile for another variant, if there is one."""
        other = self.roomier
        if other is None:
            return ""
        return f", or compile for {other.name} (limit {other.max(self.excess.limit.name)})"

    def message(self) -> str:
        return f"{self.excess.target.name} has fewer {self.excess.limit.name} than the model needs"

    def more(self) -> str:
        """Return the number of further places above the limit as a text."""
        return f" ({self.excess.others} more above it)" if self.excess.others else ""


class NoPlacement(Finding):
    """A base: no order of the hidden neurons keeps the limits of a variant."""

    target: Target
    limits: tuple[Limit, ...]  # that cannot hold together
    roomier: tuple[Target, ...]  # variants that have an order

    def sources_of_limits(self) -> str:
        return "; ".join(dict.fromkeys(limit.source for limit in self.limits))

    def elsewhere(self) -> str:
        """Return the advice to compile for another variant, if there is one."""
        others = [
            f"{v.name} (up to {v.max('fan-out of one neuron')} targets of a neuron)"
            for v in self.roomier
        ]
        return f"; or compile for {' or '.join(others)}, which can place this" if others else ""


def _neurons(number: int) -> str:
    return f"{number} neuron{'' if number == 1 else 's'}"


class TooManyInputs(AboveLimit):
    code = "X501"
    title = "too many input channels"
    meaning = """
    Xylo has {xylo:audio2 input channels} input channels. The network has more inputs from which a
    weight leads anywhere; inputs whose weights are all zero, and pixels that no kernel reaches,
    are not counted and get no channel: the message says of how many inputs the rest is. A channel
    carries up to 15 spikes in a step.
    """
    example = """
    An image of 8 x 8 pixels as 64 inputs: found 64, limit {xylo:audio2 input channels}, on every
    variant.
    """
    what_to_do = """
    Reduce the inputs before the network: filter banks, averages over pixels, fewer electrodes. Or
    prune all weights of the channels that matter least, then train on.
    """
    sources = "rockpool, `docs/devices/xylo-overview.ipynb`."

    advice = (
        "join channels before the network, or prune all weights of some; `--target all` shows "
        "chips that take more"
    )

    channels: int  # inputs of the model, with and without weights

    def more(self) -> str:
        unused = self.channels - self.excess.found
        if not unused:
            return super().more()
        return f" of {self.channels} (no weight leads on from the other {unused})"


class TooManyHidden(AboveLimit):
    code = "X502"
    title = "too many hidden neurons"
    meaning = """
    All populations that are not output neurons share one reservoir of hidden neurons: {xylo:audio2
    hidden neurons} on Audio 2, {xylo:audio3 hidden neurons} on Audio 3, {xylo:imu hidden neurons}
    on IMU. Neurons of convolutional layers count one by one. A population that is an output and
    feeds other neurons as well stays hidden, and is copied to output neurons (D408).
    """
    example = """
    Two hidden layers of 512 neurons: found 1024, limit {xylo:audio2 hidden neurons}. A convolution
    to 8 maps of 14 x 14 has 1568 neurons.
    """
    what_to_do = """
    Make hidden layers smaller, or compile for a larger variant; the message names one if there is
    one. Larger strides or more pooling reduce maps. Neurons that no output depends on are removed
    already (G213).
    """
    sources = """
    rockpool, `docs/devices/xylo-overview.ipynb`; the IMU and Audio 3 figures also in
    `devices/xylo/*/xylo_mapper.py`.
    """

    advice = "make the hidden layers smaller"


class TooManyOutputs(AboveLimit):
    code = "X503"
    title = "too many output neurons"
    meaning = """
    The populations that are outputs become output neurons: {xylo:audio2 output neurons} on Audio
    2, {xylo:audio3 output neurons} on Audio 3, {xylo:imu output neurons} on IMU. The network has
    more.
    """
    example = """
    A classifier of 10 digits: found 10, limit {xylo:audio2 output neurons} on `xylo:audio2`. It
    fits `xylo:audio3` and `xylo:imu`.
    """
    what_to_do = """
    Compile for the variant that the message names, or let nirc choose: `--target xylo` takes the
    first that fits. On Audio 2, train with the classes coded in {xylo:audio2 output neurons}
    outputs or fewer, and decode on the host.
    """
    sources = "rockpool, `docs/devices/xylo-overview.ipynb`."

    advice = "make the output layer smaller"


class FanOutTooLarge(AboveLimit):
    code = "X504"
    title = "a neuron has too many targets"
    meaning = """
    Xylo stores for each hidden neuron the list of hidden neurons that it feeds. On Audio 2 a list
    has at most {xylo:audio2 fan-out of one neuron} entries; on Audio 3 and IMU it can name every
    neuron. Recurrent weights and weights to the next hidden layer count together; weights to
    output neurons and from inputs do not. A pair of neurons costs one entry, and a weight that
    rounds to zero none.
    """
    example = """
    A dense layer of 128 neurons behind another one: every neuron of the first has 128 targets,
    limit {xylo:audio2 fan-out of one neuron} on `xylo:audio2`. A recurrent layer of {xylo:audio2
    fan-out of one neuron} neurons alone is just within it.
    """
    what_to_do = """
    Compile for `xylo:audio3` (limit {xylo:audio3 fan-out of one neuron}) or `xylo:imu` ({xylo:imu
    fan-out of one neuron}). For Audio 2 prune: the message names the neuron with most targets, how
    many it has and how many others are above the limit. Training with at most {xylo:audio2 fan-out
    of one neuron} non-zero weights in each column of the weight matrix is the lasting solution; a
    smaller next layer another.
    """
    sources = """
    rockpool, `docs/devices/xylo-overview.ipynb` (fan-out), and the memory layout in
    `devices/xylo/syns61201/xa2_devkit_utils.py`.
    """

    advice = "prune weights of this neuron"

    def message(self) -> str:
        return f"{self.excess.where} has more targets than {self.excess.target.name} can store"


class TooManyRecurrentEntries(AboveLimit):
    code = "X505"
    title = "too many recurrent entries in total"
    meaning = """
    The lists of targets of all hidden neurons share one memory: {xylo:audio2 recurrent entries:,}
    entries on Audio 2, {xylo:audio3 recurrent entries:,} on Audio 3 and IMU. Each pair of
    connected hidden neurons costs one entry, recurrent or from layer to layer; zeros cost none.
    Input and output matrices have memories of their own.
    """
    example = """
    A dense recurrent layer of 200 neurons has 40,000 entries; one of 178 has 31,684 and fits. Two
    dense layers 256 -> 128 have 32,768.
    """
    what_to_do = """
    Prune weights or make layers smaller. As weights that round to zero cost nothing, a recurrent
    layer of 200 neurons fits when a quarter of its weights is removed. Other variants do not help,
    they differ by 256 entries only. Unconnected halves are cheaper than one dense layer: two of
    100 neurons have 20,000 entries, not 40,000.
    """
    sources = """
    Sizes of the memories, from the base addresses in rockpool,
    `devices/xylo/syns61201/xa2_devkit_utils.py` and `devices/xylo/syns65302/ram.py`; stated in
    words for IMU only, inferred for the audio variants.
    """

    advice = "prune recurrent and layer-to-layer weights, or make the layers smaller"


class InputPlacesTaken(NoPlacement):
    code = "X506"
    title = "too many neurons need the places that inputs reach"
    meaning = """
    On Xylo Audio 3 and Xylo IMU the memory of input weights has rows for the first {xylo:audio3
    neurons that inputs reach} hidden neurons only. Every hidden neuron with a non-zero weight from
    an input channel must stand among them, and the network has more such neurons. The order of the
    neurons is nirc's to choose, and a relay does not help: a copy carries spikes onwards, it
    cannot bring an input weight to another place.
    """
    example = """
    A first layer of 200 neurons, each connected to the input, on `xylo:audio3`: found 200 hidden
    neurons with input weights, limit {xylo:audio3 neurons that inputs reach}. With {xylo:audio3
    neurons that inputs reach} neurons in that layer it compiles, however many follow in deeper
    layers, up to {xylo:audio3 hidden neurons} in all.
    """
    what_to_do = """
    Compile for `xylo:audio2`, where inputs reach every hidden neuron; there a neuron has at most
    {xylo:audio2 fan-out of one neuron} targets. Or prune: a neuron whose input weights are all
    zero does not count, so removing *all* input weights of the surplus neurons is enough, while
    thinning out the weights of every neuron is not. Weights that round to zero do not count
    either. Or give the first layer at most {xylo:audio3 neurons that inputs reach} neurons and let
    it feed the rest.
    """
    sources = """
    rockpool, `devices/xylo/*/xylo_mapper.py` (the first 128 neurons); rockpool,
    `devices/xylo/syns65302/ram.py`: 2048 words for 16 channels.
    """

    receiving: int  # hidden neurons with input weights

    def words(self) -> Words:
        most = self.target.max(FIRST)
        return Words(
            f"more neurons receive input than inputs can reach on {self.target.name}",
            found=f"{self.receiving} hidden neurons with input weights",
            limit=f"{most}, the first {most} hidden neurons",
            source=self.sources_of_limits(),
            help=f"prune all input weights of {_neurons(self.receiving - most)}" + self.elsewhere(),
        )


class OutputPlacesTaken(NoPlacement):
    code = "X507"
    title = "too many neurons need the places that outputs leave from"
    meaning = """
    On Xylo Audio 3 and Xylo IMU the memory of readout weights has rows for the last {xylo:audio3
    neurons that outputs leave from} hidden neurons only. Every hidden neuron with a non-zero
    readout weight must stand among them, or have a relay there, and the network has more such
    neurons. A relay takes one of these places itself, so it gains none.
    """
    example = """
    A hidden layer of 200 neurons that all feed the output layer, on `xylo:imu`: found 200 hidden
    neurons with readout weights, limit {xylo:audio3 neurons that outputs leave from}. With
    {xylo:audio3 neurons that outputs leave from} neurons in that layer it compiles, however many
    precede it in earlier layers, up to {xylo:imu hidden neurons} in all.
    """
    what_to_do = """
    Compile for `xylo:audio2`, where readout weights leave from every hidden neuron; there a neuron
    has at most {xylo:audio2 fan-out of one neuron} targets. Or prune: a neuron whose readout
    weights are all zero does not count, so removing *all* readout weights of the surplus neurons
    is enough. Or insert a hidden layer of at most {xylo:audio3 neurons that outputs leave from}
    neurons before the output.
    """
    sources = """
    rockpool, `devices/xylo/*/xylo_mapper.py` (the last 128 neurons); rockpool,
    `devices/xylo/syns65302/ram.py`: 4096 words for 32 outputs.
    """

    read_out: int  # hidden neurons with readout weights

    def words(self) -> Words:
        most = self.target.max(LAST)
        return Words(
            f"more neurons are read out than outputs can leave from on {self.target.name}",
            found=f"{self.read_out} hidden neurons with readout weights",
            limit=f"{most}, the last {most} hidden neurons",
            source=self.sources_of_limits(),
            help=f"prune all readout weights of {_neurons(self.read_out - most)}"
            + self.elsewhere(),
        )


class NoOrder(NoPlacement):
    code = "X508"
    title = "no order of the neurons satisfies the first-128 and last-128 rules together"
    meaning = """
    On Xylo Audio 3 and Xylo IMU input weights reach the first 128 hidden neurons, and readout
    weights leave from the last 128. A neuron that receives input *and* is read out must stand in
    both windows. With n hidden neurons, 128 < n < 256, there are 256 - n such places; from 256
    neurons on there are none. nirc then gives each of these neurons a relay, an exact copy in the
    last window (see X515), but relays are hidden neurons too, and here they no longer fit. Any two
    of the three limits can be kept, all three cannot: the search is exact, so no other order would
    do.
    """
    example = """
    480 hidden neurons on `xylo:imu`, 20 of which both receive input and are read out: no place is
    in both windows, and 20 relays make 500 hidden neurons where the chip has {xylo:imu hidden
    neurons}. With 16 such neurons it compiles, and fills the chip.
    """
    what_to_do = """
    Compile for `xylo:audio2`, which has no such rule; there a neuron has at most {xylo:audio2
    fan-out of one neuron} targets. `xylo:audio3` has the same rules, but room for {xylo:audio3
    hidden neurons} neurons. Or separate the two roles: a neuron without input weights, or without
    readout weights, needs only one window. Or remove hidden neurons; the help of the message says
    how many of either.
    """
    sources = """
    rockpool, `docs/devices/xylo-overview.ipynb` (hidden neurons) and `xylo_mapper.py` (the
    windows); the search is described in `backends/xylo/place.py` and tested against all orders of
    small networks.
    """

    neurons: int  # hidden ones, without relays
    both: int  # that receive input and are read out

    def words(self) -> Words:
        most = self.target.max("hidden neurons")
        first = self.target.max(FIRST)
        last = self.target.max(LAST)
        shared = max(0, first + last - self.neurons)
        excess = self.neurons + self.both - most
        return Words(
            f"no order of the neurons satisfies the rules of {self.target.name}, and there is no "
            "room for relays",
            found=f"{self.neurons} hidden neurons, {self.both} of them both receive input and are "
            f"read out; with relays {self.neurons + self.both}",
            limit=f"{most} hidden neurons; {shared} places are in the first {first} and the last "
            f"{last}",
            source=self.sources_of_limits(),
            help=f"let {_neurons(min(excess, self.both - shared))} fewer both receive input and "
            f"be read out, or remove {_neurons(excess)}{self.elsewhere()}",
        )


class TooManySynapticStates(AboveLimit):
    code = "X509"
    title = "too many synaptic states for one neuron"
    meaning = """
    A hidden neuron of Xylo Audio has two synaptic states with a time constant each, one of Xylo
    IMU has one. The network needs two: some inputs of a population pass a filter (a LI in front of
    it), and others none, or another one.
    """
    example = """
    `fc1 -> li1 -> lif2` and `fc_rec -> lif2`: the input is filtered, the recurrence is not. Found
    2, limit 1 on `xylo:imu`.
    """
    what_to_do = """
    Use one synaptic time constant for all inputs of a population, as CubaLIF has it, or compile
    for `xylo:audio2` or `xylo:audio3`. More than two filters fit no variant; then the message is
    P306.
    """
    sources = "rockpool, `docs/devices/xylo-overview.ipynb`."

    advice = "use one synaptic time constant for each neuron"


class ValueOutsideRange(Stated):
    code = "X510"
    title = "a value in the configuration is outside the chip's range"
    meaning = """
    A number in `config.json` does not fit the field of the chip that it is meant for. Written to
    the chip it would be cut off to some other number without a word, so nirc refuses the file. The
    message gives the place as a JSON path, the value and the range: weights -128..127, thresholds
    1..32767, dashes 0..15, biases -128..127, bit shifts 0..7, alias targets an index of another
    hidden neuron.
    """
    example = "`reservoir.neurons[3].threshold` is 0: such a neuron fires 31 times in every step."
    what_to_do = """
    If the file was edited or made by another program, correct the value. nirc itself writes values
    within these ranges only: for a bundle that it wrote and nobody changed, please report a bug.
    """
    sources = """
    Measured on xylosim 0.1.3; rockpool, `devices/xylo/*` (widths of the fields). The range of
    biases is chosen: one byte in xylosim's memory dump.
    """


class ClockTooSlow(Finding):
    code = "X511"
    title = "the clock is too slow for the time step"
    severity = "note"
    meaning = """
    Xylo computes a step of the network in a number of clock cycles that depends on the numbers of
    neurons, synapses and spikes. If everything is active at once, a step takes longer than the
    time step of the model, and the chip cannot follow in real time. This is a note: it is no
    obstacle to compiling. nirc assumes 50 MHz, the vendor's default for Audio 2.
    """
    example = """
    1000 hidden neurons with 32 targets each, 16 inputs and 8 outputs on Audio 2: about 370,000
    cycles in the worst case, 7.4 ms at 50 MHz. With a time step of 10 ms that is fast enough, with
    1 ms it is not.
    """
    what_to_do = """
    Work with a longer time step, a smaller network or fewer weights. In accelerated time, where
    the chip takes as long as it needs and data is not live, it does not matter. The worst case,
    with every neuron firing, is rare: at a tenth of the spikes the example above takes about a
    seventh of the cycles, so measure before changing the model.
    """
    sources = """
    The vendor's cycle model, rockpool, `devices/xylo/syns61201/power_cycles_model.py`, restated in
    docs; its margin of 20 % is not included.
    """

    dt_s: float
    cycles: int  # of a step with everything active
    clock_hz: int

    def words(self) -> Words:
        seconds = self.cycles / self.clock_hz
        megahertz = self.clock_hz / 1e6
        return Words(
            f"in real time a step with everything active takes longer than dt = {self.dt_s:g} s",
            found=f"{self.cycles} cycles, {seconds:.3g} s at {megahertz:g} MHz",
            limit=f"{self.clock_hz * self.dt_s:.0f} cycles",
            source="cycle formula of rockpool, power_cycles_model.py",
            help="use accelerated time, or a larger time step",
        )


class InputsClipped(Finding):
    code = "X514"
    title = "inputs above 15 spikes per channel and step are clipped"
    severity = "warning"
    meaning = """
    An input channel of Xylo carries at most 15 spikes in a step; the chip ignores the rest. The
    data has steps with more. The emulator clips them just as the chip does, the stages of `nirc
    verify` before it do not, so this shows up there as a difference of the last stage.
    """
    example = """
    A channel with 40 spikes in one step counts as 15: the message gives the largest number that
    occurs.
    """
    what_to_do = """
    Use shorter time steps, so that fewer spikes fall into one, or spread a busy channel over
    several; or scale the data down and the input weights up, and train again with that.
    """
    sources = "rockpool, `docs/devices/xylo-overview.ipynb`; measured on xylosim 0.1.3."

    spikes: int  # the largest number of a channel in a step

    def words(self) -> Words:
        return Words(
            "some channels have more spikes in a step than the chip takes",
            found=self.spikes,
            limit=MAX_INPUT_SPIKES,
        )


class RelaysAdded(Finding):
    code = "X515"
    title = "relay neurons were added"
    severity = "note"
    meaning = """
    On Xylo Audio 3 and Xylo IMU input weights reach the first 128 hidden neurons, and readout
    weights leave from the last 128. Some neurons both receive input and are read out, and the
    windows overlap too little for all of them. nirc added a relay for each: a further hidden
    neuron among the last 128, with threshold 32767 and no synapses, that is the *alias target* of
    its neuron. The chip adds the neuron's spike count to the relay's within the same step, so the
    relay's spikes equal the neuron's in every step, and the readout weights leave from the relay.
    The network's results do not change; nor does its latency.
    """
    example = """
    One recurrent layer of 128 neurons between input and output needs no relay on `xylo:audio3`:
    first and last 128 are the same. With one further neuron, 129, only 127 places are in both
    windows, so 128 relays are added, and the chip holds 257 hidden neurons. Fewer than 128 would
    not do: every relay enlarges the network, and takes from the overlap the place that it saves.
    """
    what_to_do = """
    Nothing: this is a note. Relays use hidden neurons, and energy for their updates, but no
    recurrent entries. To avoid them, keep the hidden neurons at 128 or fewer, or compile for
    `xylo:audio2`. When recordings are read from the chip itself, relays appear as hidden neurons
    of their own; the manifest and the emulator know them.
    """
    sources = """
    xylosim 0.1.3, measured: alias counts arrive in the same step; rockpool, `xylo_mapper.py` (the
    windows, one alias target per hidden neuron).
    """

    relays: int
    last: int  # places that outputs leave from

    def words(self) -> Words:
        return Words(f"{self.relays} alias neurons carry outputs from the last {self.last} places")


class MixedOutputs(Finding):
    code = "X516"
    title = "some outputs are spikes and some are membranes"
    meaning = """
    Xylo is read in one of two ways: the spikes of all output neurons, or the membranes of all. The
    model has Outputs behind spiking neurons and Outputs behind neurons without a threshold, whose
    membranes are to be read.
    """
    example = """
    A hidden LIF population that has an Output of its own, beside a last layer of LI neurons.
    """
    what_to_do = """
    Leave out the Outputs of one kind, or compile each kind for itself. Loihi 2 and SpiNNaker2 read
    both at once.
    """
    sources = "rockpool, `XyloSamna`: one `output_mode` for all outputs: Spike, Vmem or Isyn."

    spiking: tuple[str, ...]  # places in the model
    membranes: tuple[str, ...]

    def words(self) -> Words:
        spiking, membranes = ", ".join(self.spiking[:3]), ", ".join(self.membranes[:3])
        return Words(
            "some outputs are spikes and some are membranes",
            found=f"spikes of {spiking}, membranes of {membranes}",
            limit="one kind",
            help="leave out the Outputs of one kind, or compile for loihi2 or spinnaker2",
        )


class SharedMembrane(AnalogSignal):
    """A population without spikes is read as several outputs, or feeds itself."""

    target: str = ""
    source: str = ""

    def words(self) -> Words:
        return Words(
            f"`{self.population}` has no spikes and can be read as one output only",
            limit="one Output of its own",
            help="give it one Output node of its own",
        )
