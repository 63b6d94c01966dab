"""Findings: limits of Loihi 2."""

from __future__ import annotations

from nirc.backends.loihi2.limits import (
    DENSE_MODELS,
    ENTRY_BYTES,
    LIF_MODELS,
    LOGS,
    SYNAPSE_WORD_BYTES,
)
from nirc.chip.target import Limit, Target
from nirc.diagnostics.finding import Finding, Grade, Repeated, Stated, Words
from nirc.diagnostics.numbers import ValueClipped

FEWER_INPUTS = "give the neuron fewer inputs: all synapses of a neuron lie on one core"


class TooManyCores(Finding):
    code = "L801"
    title = "too many cores"
    meaning = """
    The network needs more cores than the system has: {loihi2:oheogulch cores} of a chip,
    {loihi2:kapohopoint chips} chips of Kapoho Point, {loihi2:halapoint chips} of Hala Point. How
    many it needs is found by splitting populations so that every part fits the memory of a core.
    """
    example = """
    A dense layer of 8,000 inputs and 20,000 neurons: the 8,000 axons take so much of a core's
    memory that it holds two of the neurons, which makes 10,000 cores.
    """
    what_to_do = """
    Compile for a larger system, which the message names, make layers smaller, or use convolutions,
    whose kernels are stored once for each core. Pruning helps where it leaves fewer than half of
    the synapses.
    """
    sources = "lava-nc 0.10.0, `magma/compiler/subcompilers/constants.py`: 120 of 128 cores."

    target: Target
    limit: Limit
    cores: int  # cores that the network needs
    reason: str
    roomier: Target | None  # the smallest system that has them

    def words(self) -> Words:
        system = self.roomier
        other = f", or compile for {system.name} ({system.max('cores')} cores)" if system else ""
        return Words(
            f"{self.target.name} has fewer cores than the model needs",
            found=f"{self.cores} cores ({self.reason})",
            limit=f"{self.limit.max} ({self.target.part})",
            source=self.limit.source,
            help="make the layers smaller, or share kernels: lists of synapses take most of the "
            f"memory{other}",
        )


class CoreLimit(Finding):
    """A neuron that needs more of one resource than a core has."""

    sources = """
    lava-dl 0.6.0, logs of Intel's partitioner in `tutorials/lava/lib/dl/netx`; no public document
    lists the limits, so these are inferred.
    """
    advice = "make the layer smaller"
    of_input = 0  # what an input of a neuron takes of the resource
    of_neuron = 0  # what the neuron takes itself

    target: Target
    limit: Limit
    need: int

    def words(self) -> Words:
        resource = self.limit.name.removesuffix(" of a core")
        advice = self.advice
        if self.of_input:
            most = (self.limit.max - self.of_neuron) // self.of_input
            advice = f"{advice}; about {most:,} inputs fit, each with a weight of its own"
        return Words(
            f"a neuron needs more {resource} than a core of {self.target.name} has",
            found=self.need,
            limit=f"{self.limit.max} {self.limit.unit}".strip(),
            source=self.limit.source,
            help=advice,
        )


class TooManyInputAxons(CoreLimit):
    code = "L804"
    title = "a neuron has too many input axons"
    advice = FEWER_INPUTS
    of_input = 1
    meaning = """
    All synapses of a neuron lie on its core, and a core has {loihi2:oheogulch input axons of a
    core:,} entries for the axons that come in.
    """
    example = "One neuron with 20,000 inputs."
    what_to_do = """
    Give the neuron fewer inputs: prune, or put a layer in between. nirc does not split the inputs
    over several neurons: they would have to send sums, and stock neurons send spikes of one bit.
    """


class TooManyAxonMaps(CoreLimit):
    code = "L805"
    title = "too many axon maps on a core"
    advice = "join the populations behind the neuron"
    meaning = """
    A core has {loihi2:oheogulch axon maps of a core:,} axon maps: one for each neuron and each
    projection that leaves it.
    """
    example = "One neuron that sends to 16,001 populations: others are split before that."
    what_to_do = "Join the populations behind the neuron: one projection takes one map."


class TooManyOutputAxons(CoreLimit):
    code = "L806"
    title = "too many output axons on a core"
    advice = "join the convolutions behind the map"
    meaning = """
    A core has {loihi2:oheogulch output axons of a core:,} entries for the axons that go out.
    """
    example = "One position of a feature map that feeds 16,001 convolutions."
    what_to_do = "Join the convolutions to one with more channels."


class TooManySynapses(CoreLimit):
    code = "L807"
    title = "a neuron has too many synapses for a core"
    advice = FEWER_INPUTS
    of_input = 1
    meaning = """
    All synapses of a neuron lie on its core, whose synapse memory has {loihi2:oheogulch synapse
    memory of a core:,} words of 64 bits. A row of a dense layer takes at least one word for each
    input, a kernel as many as its weights take.
    """
    example = "One neuron with 13,000 inputs needs 13,000 words."
    what_to_do = """
    Give the neuron fewer inputs: prune, or put a layer in between. For convolutions: fewer input
    channels or a smaller kernel.
    """


class TooMuchMemory(CoreLimit):
    code = "L808"
    title = "a neuron needs too much of a core's shared memory"
    advice = FEWER_INPUTS
    of_input = ENTRY_BYTES + SYNAPSE_WORD_BYTES
    of_neuron = 2 * ENTRY_BYTES
    meaning = """
    Neurons, axons and synapses share the memory of a core, {loihi2:oheogulch shared memory of a
    core:,} bytes as far as is known. This neuron needs more for itself, because it has too many
    inputs.
    """
    example = "One neuron with 9,000 inputs takes 6 bytes for each axon and 8 for each synapse."
    what_to_do = """
    Give the neuron fewer inputs: prune, or put a layer in between. nirc does not split the inputs
    over several neurons: they would have to send sums, and stock neurons send spikes of one bit.
    """


CORE_LIMITS = {each.code: each for each in CoreLimit.__subclasses__()}


class DelayTooLong(Repeated):
    code = "L809"
    title = "a delay is longer than a synapse holds a spike"
    severity = "note"
    meaning = """
    Every synapse of Loihi 2 takes one step, and can hold a spike for up to {loihi2:oheogulch
    delay} more. Spikes that have to wait for longer, because the model has a longer delay or
    because a short path and a very long one meet, pass through relay neurons: one for each neuron
    that sends, and several in a row if need be. The answer does not change; the relays take places
    on cores.
    """
    example = "A delay of 150 steps behind 100 inputs: two populations of 100 relays each."
    what_to_do = """
    Nothing if the cores are there. Else a longer `--dt` makes the delay shorter in steps, or a
    narrower layer before it takes fewer relays.
    """
    sources = "lava-nc 0.10.0, `proc/dense/models.py`: delays above 63 raise an error."

    sender: str
    receiver: str
    relays: int
    steps: int  # from the spike to its effect
    most: int  # steps that a synapse holds a spike

    def words(self) -> Words:
        return Words(
            f"spikes from `{self.sender}` to `{self.receiver}` wait in {self.relays} relay "
            f"neuron(s) on their way{self.and_others('projections')}",
            found=f"{self.steps} steps",
            limit=f"{self.most} steps in a synapse",
            source=DENSE_MODELS,
        )


class ValueOutsideRange(Stated):
    code = "L810"
    title = "a value in the network is outside the chip's range"
    meaning = """
    `network.npz` holds a decay, threshold, bias, weight, exponent or delay that the words of Loihi
    2 cannot hold. The file is checked before the emulator runs it; Lava's own simulator takes most
    such values without a word, so that its answer would be one that no chip gives.
    """
    example = """
    `dv` 5000 where 0 to 4096 are possible, `vth` 200000 where 131071 is the largest, a weight of
    300 in a word of 9 bits, a delay of 64 steps.
    """
    what_to_do = """
    Compile the model again; the files of a bundle are not meant to be edited. The message names
    the array, the value and the range.
    """
    sources = """
    lava-nc 0.10.0, `proc/lif/models.py`, `proc/dense/models.py`; for the weight exponent the Loihi
    1 tools brian2_loihi and nengo-loihi.
    """


class InputsCountOnce(Finding):
    code = "L811"
    title = "inputs above one spike per channel and step count once"
    severity = "warning"
    meaning = """
    Messages between stock LIF neurons carry no number: a channel with several spikes in a step
    sends one. The emulator does as the chip does; the stages of `nirc verify` before the integers
    count all of them.
    """
    example = "A channel with 3 spikes in one step counts as one."
    what_to_do = """
    Use shorter time steps, so that fewer spikes fall into one, or spread a busy channel over
    several.
    """
    sources = """
    lava-nc 0.10.0, `proc/dense/models.py`: with num_message_bits 0 inputs are cast to bool.
    """

    count: int  # the largest count of a channel in a step

    def words(self) -> Words:
        return Words(
            "some channels have more than one spike in a step; the chip's messages are binary",
            found=self.count,
            limit="1 spike a channel and step",
            help="spread the counts over more steps or channels",
        )


class TwoSynapticFilters(Finding):
    code = "L812"
    title = "a population has two synaptic filters"
    meaning = """
    A LIF neuron of Loihi 2 has one synaptic state u with one decay. A second filter is made of
    synapses with different delays, at most 63. That needs filters that are the same for all
    neurons of the population, and a faster one that has decayed within 63 steps.
    """
    example = """
    A population with synapses of 50 and of 60 steps; or two receptors whose time constants differ
    from neuron to neuron. A receptor of 50 steps beside one without memory compiles.
    """
    what_to_do = "Use one synaptic time constant, or make the faster one shorter."
    sources = "lava-nc 0.10.0, `proc/lif/models.py`."

    population: str
    reason: str

    def words(self) -> Words:
        return Words(
            f"`{self.population}` has two synaptic filters, {self.reason}",
            limit="one du for each population; a second filter is made of at most 63 delays",
            source="Lava's LIF has one u",
            help="use one synaptic time constant, or one without memory beside the other",
        )


class NoNetxFile(Finding):
    code = "L813"
    title = "the network has no network.net"
    severity = "note"
    meaning = """
    `network.net` is the file that lava-dl's netx reads. It can hold a chain of dense, recurrent and
    convolutional layers, integer weights of 8 bits and biases in their units; netx chooses sign
    modes and exponents itself. A network that it cannot hold to the last bit gets no such file.
    `deploy.py` and `network.npz` hold every network.
    """
    example = """
    A network with a skip connection: "projections jump over a population or lead back".
    """
    what_to_do = """
    Nothing, if Lava itself is what you use: run `deploy.py`. For netx, remove what the note names;
    with `--set netx=never` chains get finer constants and no file either.
    """
    sources = "lava-dl 0.6.0, `netx/hdf5.py`, `netx/utils.py`; docs/reference/loihi2-files.md."

    reason: str

    def words(self) -> Words:
        return Words(
            f"`network.net` for lava-dl is not written: {self.reason}",
            source="lava-dl 0.6.0, netx",
        )


class PopulationSplit(Finding):
    code = "L814"
    title = "a population is split because its decays differ"
    meaning = """
    All neurons of a Lava process, and of a neuron group on a core, have the same two decays and
    the same threshold. Thresholds are made equal by choosing a unit of voltage for each neuron;
    time constants that round to different 4096ths are not to be helped so. Each different pair
    becomes a group of its own, with synapses of its own from and to all others. What is computed
    does not change, but a core holds 8 groups only, so many small ones take many cores.
    """
    example = """
    64 neurons with trained time constants, all different: 64 groups on 8 cores, instead of one.
    """
    what_to_do = """
    Nothing if the cores are there. Else train time constants that neurons share, or round them
    before the export: those within a 4096th a step fall together.
    """
    sources = """
    lava-nc 0.10.0, `proc/lif/models.py` (one du and dv a process); lava-dl 0.6.0, logs of Intel's
    partitioner (8 neuron groups).
    """

    population: str
    groups: int
    most: int  # groups that a core holds

    def grade(self) -> Grade:
        """Return a warning if the groups need several cores."""
        return "warning" if self.groups > self.most else "note"

    def words(self) -> Words:
        return Words(
            f"`{self.population}` is split into {self.groups} groups of neurons, one for each "
            "pair of decays",
            found=f"{self.groups} groups",
            limit=f"{self.most} groups a core",
            source=LOGS,
            help="train with time constants that neurons share; groups of one neuron fill cores "
            "quickly",
        )


# Codes that several chips share, in this chip's words.


class WeightsClipped(ValueClipped):
    number: int  # weights that are clipped
    weight: float  # the largest weight in units
    largest: float  # the largest that is stored, in units

    def words(self) -> Words:
        return Words(
            f"{self.number} weight(s) into `{self.population}` are too large beside its threshold "
            "and are clipped",
            found=f"{self.weight:.4g} units",
            limit=f"{self.largest:.4g} units",
        )


class WeightsReduced(ValueClipped):
    largest: int  # the largest u

    def words(self) -> Words:
        return Words(
            f"weights into `{self.population}` are so large beside its threshold that u would "
            "wrap around; they are reduced",
            found="more than 100,000 thresholds in all",
            limit=f"u within {self.largest}",
            source=LIF_MODELS,
            help="check the scale of weights and threshold",
        )


class PaperConstantsWrap(ValueClipped):
    u: float  # the largest u that inputs can bring about
    largest: int  # the largest u

    def words(self) -> Words:
        return Words(
            f"with the paper's constants u of `{self.population}` wraps around if many of its "
            "inputs fire",
            found=f"{self.u:.4g}",
            limit=self.largest,
            source=LIF_MODELS,
            help="leave out --set constants=paper",
        )
