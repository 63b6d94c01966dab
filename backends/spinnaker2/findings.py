"""Findings: limits of SpiNNaker2."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from nirc.backends.spinnaker2.limits import GENERATED, SCRIPTS, SHEET, SURVEY, Prices
from nirc.diagnostics.finding import Finding, Stated, Words


class TooManyProcessingElements(Finding):
    code = "N901"
    title = "the network needs more processing elements than the system has"
    meaning = """
    Each population is split into slices of equal size, one for each processing element (PE);
    clocks and relays take PEs of their own. There are not enough PEs on the chip or board that was
    chosen.
    """
    example = """
    A network of 60,000 neurons without synapses to speak of takes 240 PEs of 250 neurons; one chip
    has {spinnaker2:chip processing elements}.
    """
    what_to_do = """
    Compile for `spinnaker2:board` ({spinnaker2:board chips} chips); make layers smaller or prune
    synapses, which take most of the memory; if you know that your version of py-spinnaker2 leaves
    more memory, say so: `--set memory=65536`.
    """
    sources = "148 PEs are what the vendor's tools use, of 152 on the die (datasheet 0.03)."

    needed: int
    pes: int  # of the target
    target: str
    description: str  # of the target
    largest: Mapping[str, int]  # PEs of the populations with the most PEs
    added: Mapping[str, int]  # PEs of all relays, and of all clocks
    populations: int
    roomier: str  # a target with as many, "" if there is none

    def words(self) -> Words:
        most = ", ".join(f"`{name}` {pes}" for name, pes in self.largest.items())
        added = "".join(f", {pes} for {role}s" for role, pes in self.added.items())
        help_ = "make these layers smaller, or prune them"
        more = ", ..." if self.populations > len(self.largest) else ""
        return Words(
            f"{self.target} has fewer processing elements than the model needs",
            found=f"{self.needed}: {most}{more}{added}",
            limit=f"{self.pes} ({self.description})",
            source=SURVEY,
            help=f"{help_}, or compile for {self.roomier}" if self.roomier else help_,
        )


class WrongAtoms(Finding):
    code = "N902"
    title = "more neurons on a processing element than the models take"
    meaning = """
    The number of atoms that was asked for is above what the vendor's models index with 8 bits.
    """
    example = """
    `--set atoms=300` where {spinnaker2:chip neurons of a processing element} are possible.
    """
    what_to_do = "Ask for fewer, or leave it to nirc: the default takes as many as memory allows."
    sources = """
    NESTML's generated class for py-spinnaker2: 250 atoms; the NIR paper's notebook: 256 of a
    convolution.
    """

    population: str


class TooManyAtoms(WrongAtoms):
    """More neurons were asked for than a processing element takes."""

    wanted: int
    most: int

    def words(self) -> Words:
        return Words(
            f"{self.wanted} neurons of `{self.population}` on a processing element were asked for",
            found=self.wanted,
            limit=self.most,
            source=GENERATED,
        )


class UnknownPopulation(WrongAtoms):
    """Neurons were asked for of a population that does not exist."""

    known: Iterable[str]

    def words(self) -> Words:
        return Words(
            f"there is no population `{self.population}` to be split",
            found=self.population,
            limit=", ".join(self.known)[:200],
        )


class SynapseMemory(Finding):
    code = "N903"
    title = "a neuron's synapses do not fit the memory of a processing element"
    meaning = """
    Synapse rows, the population table, ring buffers, state and recordings of a slice lie in the
    memory of its PE. Even the smallest slice of this population, or the one that was asked for,
    needs more than is free.
    """
    example = """
    One neuron with 20,000 inputs: 20,000 rows of 8 bytes are 160,000 bytes, where about 45,000 are
    free.
    """
    what_to_do = """
    The message lists what takes how many bytes. Pool before a fully connected layer, prune, record
    fewer steps (`--set steps=100`), or state the memory that your version of py-spinnaker2 leaves:
    `--set memory=65536`. nirc does not split the inputs of a neuron over several neurons: they
    would have to send sums, and neurons send spikes only.
    """
    sources = """
    Addresses in NESTML's generated class for py-spinnaker2; the prices of rows and tables are
    chosen on the safe side.
    """

    population: str
    atoms: int  # neurons of a slice
    neuron: int  # the first of the largest slice
    terms: Mapping[str, int]  # bytes of that slice
    most: int  # bytes that are free

    def words(self) -> Words:
        parts = ", ".join(f"{term} {used:,}" for term, used in self.terms.items() if used)
        what = f"{self.atoms} neurons of `{self.population}` do"
        if self.atoms == 1:
            what = f"neuron {self.neuron} alone of `{self.population}` does"
        help_ = (
            "prune or pool what comes in, record fewer steps (--set steps=N), or --set memory=BYTES"
        )
        if self.atoms == 1 and self.terms.get("rows"):
            prices = Prices()
            rest = self.most - sum(self.terms.values()) + self.terms["rows"]
            inputs = max(0, rest) // (prices.row_header + prices.synapse_bytes)
            help_ = f"about {inputs:,} inputs fit beside the other terms: {help_}"
        return Words(
            f"{what} not fit the memory of a processing element",
            found=f"{sum(self.terms.values()):,} bytes: {parts}",
            limit=f"{self.most:,} bytes",
            source=GENERATED,
            help=help_,
        )


class RoutingTable(Finding):
    code = "N904"
    title = "a routing table has too many entries"
    meaning = """
    The router of a chip compares the key of each packet with at most {spinnaker2:chip routing
    entries of a chip:,} entries of key, mask and route. Every source whose packets pass the chip
    needs one that matches; nirc lets slices and populations with the same route share entries. The
    table of this chip is still too long after that.
    """
    example = """
    20,000 neurons with a key and a route of their own each, all into one chip. With keys by slice
    a board of 7,104 processing elements cannot get there.
    """
    what_to_do = """
    Use fewer, larger slices, give populations the same targets, or use a board with fewer faults:
    detours pass chips that the shortest ways leave out.
    """
    sources = """
    16,384 entries: SpiNNaker2 datasheet v0.03 (2021), and SpiNNMachine 7.4.1, `version_spin2.py`.
    A table of exactly 16,384 entries is accepted.
    """


class RoutingTableTooLong(RoutingTable):
    """The table of a chip is too long, after slices have got keys and routes."""

    chip: int
    entries: int
    most: int

    def words(self) -> Words:
        message = f"the routing table of chip {self.chip} is too long"
        return Words(message, found=self.entries, limit=self.most)


class MappingOutsideRange(Stated, RoutingTable):
    """A value in mapping.json that the machine does not take."""


class TwoFilters(Finding):
    code = "N905"
    title = "a population filters its inputs in two ways"
    meaning = """
    The stock models have one synaptic time constant for excitatory and one for inhibitory
    currents; nirc gives both the same value, since a NIR filter does not ask for the sign. Two
    filters, or a filter and a direct input, cannot be told apart on the chip.
    """
    example = """
    A leaky integrator in front of one input of a LIF population, and a second input without it.
    """
    what_to_do = "Give all inputs of the population the same filter, or none."
    sources = "Targets sheet, section 4: the vendor's `lif_curr_exp`."

    population: str

    def words(self) -> Words:
        return Words(
            f"`{self.population}` filters its inputs in two ways, whatever their sign",
            limit="one filter for excitatory and one for inhibitory inputs",
            source=SHEET,
            help="give all inputs of the population the same filter, or only inhibitory ones "
            "another",
        )


class NegativeThreshold(Finding):
    code = "N906"
    title = "a threshold is below 0"
    meaning = """
    A neuron whose threshold is below its resting membrane fires from the chip's first step on,
    before the model's first step.
    """
    example = "`v_threshold` -0.1 with `v_leak` 0."
    what_to_do = "Shift the membrane: add the same amount to threshold, reset and leak."
    sources = """
    The chip has no signal for the start of a population; measured on recordings of the chip.
    """

    population: str
    least: float  # volts

    def words(self) -> Words:
        return Words(
            f"`{self.population}` has thresholds below 0",
            found=f"{self.least:g}",
            limit="0 or more: others fire before anything comes in",
            help="shift the membrane: add the same amount to threshold, reset and leak",
        )


class ValueOutsideRange(Stated):
    code = "N910"
    title = "a value in the network is outside the range of SpiNNaker2"
    meaning = """
    `network.npz` holds a weight, delay, decay or parameter that the stock models of SpiNNaker2
    cannot hold. The file is checked before the emulator or the script uses it; what the vendor's
    tools do with such values, wrap or clip, no public source says.
    """
    example = """
    A weight of 20 into a population of model `lif`, whose synapses have 4 bits and a sign; a delay
    of 8 where 0 to 7 are possible, or of 1 into a model without delays; a threshold that is no
    finite 32-bit number.
    """
    what_to_do = """
    Compile the model again; the files of a bundle are not meant to be edited. The message names
    the array, the value and the range.
    """
    sources = """
    Users' scripts for py-spinnaker2 (weights -15 to 15, delays 0 to 7) and its NIR importer
    (weights scaled to -127 to 127).
    """


class SeveralSpikesOfInput(Finding):
    code = "N911"
    title = "several spikes of an input in one step"
    severity = "warning"
    meaning = """
    An input population plays lists of spike times (`spike_list`). A count of 2 becomes a time that
    stands twice in the list. nirc takes it that a spike is sent for each entry; no public source
    says so.
    """
    example = "A raster with counts up to 3."
    what_to_do = """
    Where this has to be sure, use shorter time steps, or several inputs with the same weights.
    """
    sources = "Users' scripts for py-spinnaker2 give lists of times without repetitions."

    most: int  # spikes of a channel in a step

    def words(self) -> Words:
        return Words(
            "some channels have more than one spike in a step; it is taken that each is sent",
            found=self.most,
            limit="1 for sure",
            source=SCRIPTS,
        )


class RelaysAdded(Finding):
    code = "N912"
    title = "relay neurons were added for delays"
    severity = "note"
    meaning = """
    Every synapse takes one step. Where paths of different length meet, or a delay is longer than a
    synapse can be (8 steps), spikes wait in relay neurons. They repeat each spike exactly.
    """
    example = """
    An input that goes to a hidden layer and, by a skip connection, to the layer behind it, with
    `--set delays=relays`.
    """
    what_to_do = "Nothing has to be done; layers of equal depth need no relays."
    sources = "Users' scripts for py-spinnaker2: delays of 0 to 7, used a step later."

    neurons: int
    steps: int  # the longest delay

    def words(self) -> Words:
        return Words(
            f"{self.neurons} relay neurons were added for delays of up to {self.steps} step(s)",
            found=self.neurons,
        )


class InputSplit(Finding):
    code = "N913"
    title = "channels of an input are sent by several spike sources"
    severity = "note"
    meaning = """
    An integer weight is at most 127, or 15 in models with delays. Where inputs have few channels
    with large weights, these decide how finely all weights of a neuron are rounded. So a channel
    may be played by up to eight neurons of a `spike_list` population, all with the same spikes, and
    its weight is the sum of theirs.
    """
    example = """
    A network calibrated with `--calibrate`, whose few input channels have weights ten times those
    of its recurrent synapses.
    """
    what_to_do = """
    Nothing has to be done; `--set copies=1` sends each channel once, with coarser weights.
    """
    sources = """
    Users' scripts for py-spinnaker2 give a list of spike times for each neuron of a `spike_list`
    population; what lists share is up to them.
    """

    port: str
    copies: int  # spike sources that were added
    most: int  # spike sources of a channel

    def words(self) -> Words:
        return Words(
            f"{self.copies} spike source(s) were added that repeat channels of `{self.port}`, for "
            "finer weights",
            found=f"up to {self.most} for a channel",
        )


class FiresBeforeTheModel(Finding):
    code = "N914"
    title = "neurons fire before the model's first step"
    severity = "differs"
    meaning = """
    The chip adds constants to the membranes from its first step on, and a population deep in the
    network begins some steps later. Here the constant alone reaches the threshold before that,
    whatever the membrane starts from. These spikes arrive in the next population, and the integer
    form, as a module of `nirc.torch` computes it, does not know of them.
    """
    example = """
    Training has made a constant larger than the threshold of a neuron that keeps nothing from step
    to step.
    """
    what_to_do = """
    Nothing, if the first steps do not matter. Otherwise train with a bound of the constants, or
    with slower decays: a membrane that keeps its value can start from far below.
    """
    sources = "`i_offset` acts from step 0: measured on recordings of the chip."

    population: str
    neurons: int
    latency_steps: int  # of the population on the chip

    def words(self) -> Words:
        return Words(
            f"{self.neurons} neuron(s) of `{self.population}` fire before the model's first step, "
            "by their constants alone",
            found=f"{self.latency_steps} step(s) earlier at most",
            source=SHEET,
        )


class RoutingKeys(Finding):
    code = "N920"
    title = "the slices need more routing keys than there are"
    meaning = """
    Every neuron that sends spikes has a key of 32 bits. The keys of a slice (the neurons of a
    population that share a processing element) are an aligned block of 2^n, and the slices of a
    population an aligned block of those, so that one mask selects either. All blocks together must
    fit into 2^32 keys.
    """
    example = """
    Ten million populations of one slice with 300 neurons each: a slice takes 512 keys, all of them
    5.1 · 10^9, and there are 4.3 · 10^9.
    """
    what_to_do = """
    Join small populations, or let slices hold a power of two of neurons, so that no keys are left
    over. The message says how many bits would be needed; each bit less means half as many keys.
    """
    sources = """
    32-bit source keys: SpiNNaker2 datasheet v0.03 (2021). Blocks per slice are the choice of nirc,
    as of PACMAN (SpiNNaker_PACMAN 7.4.1, `zoned_routing_info_allocator.py`).
    """

    reason: str
    bits: int

    def words(self) -> Words:
        return Words(self.reason, found=f"{self.bits} bits", limit="32 bits")


class CutOff(Finding):
    code = "N921"
    title = "faults cut off chips that have to be reached"
    meaning = """
    Chips or links of the board were given as broken, and no way of working links is left between
    two chips whose neurons are connected.
    """
    example = "A chip all of whose links are broken, but which is itself said to work."
    what_to_do = "Name that chip as broken as well (`--set bad=...`): then nothing is put there."
    sources = "The links of the 48 chips: SpiNNMachine, `machine.py` and `version_248.py`."

    reason: str

    def words(self) -> Words:
        found = self.reason[:200]
        return Words("faults cut off some chips", found=found, limit="a way of working links")
