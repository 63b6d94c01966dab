"""Findings: limits of Speck."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from nirc.backends.speck.geometry import Pair
from nirc.backends.speck.limits import (
    CORES,
    DATASHEET,
    ERRATA,
    SINABS,
    SLOW_CLOCK_HZ,
    STRIDES,
    THRESHOLD_LOW,
)
from nirc.chip.target import Limit
from nirc.diagnostics import numbers
from nirc.diagnostics.finding import Finding, Repeated, Stated, Words


class CoreLimit(Finding):
    """A base: layers are above a limit of one core."""

    advice: ClassVar[str]

    limit: Limit
    found: int  # the largest value
    others: int = 0  # further layers above the limit

    def words(self) -> Words:
        more = f" ({self.others} more above it)" if self.others else ""
        return Words(
            f"{self.limit.name} above what a core takes",
            found=f"{self.found}{more}",
            limit=f"{self.limit.max} {self.limit.unit}".strip(),
            source=self.limit.source,
            help=self.advice,
        )


class LayerMemory(Finding):
    """A base: a layer needs more of one memory than the cores have."""

    memory: ClassVar[str]

    layer: str
    channels: int
    kernel: Pair
    size: Pair  # of the layer's map
    held: int  # channels that the memory holds
    one_core: bool  # the layer must stay in one core
    needed: int  # words
    sizes: tuple[int, ...]  # words of each core
    cure: str  # a change that was tried out, "" for none

    def advice(self) -> str:
        """Return what to do where no single change is enough."""
        raise NotImplementedError

    def words(self) -> Words:
        place = "one core" if self.one_core else f"all {len(self.sizes)} cores together"
        return Words(
            f"the {self.memory} of {place} holds {self.held} of the {self.channels} output "
            f"channels of `{self.layer}`",
            found=f"{self.needed} words for the whole layer",
            limit=_sizes(self.memory, self.sizes),
            source=SINABS,
            help=self.cure or self.advice(),
        )


class KernelTooLarge(CoreLimit):
    code = "S701"
    title = "the kernel is too large for a core"
    meaning = """
    A core's kernel is square and has at most {speck:2f kernel size} x {speck:2f kernel size}
    entries. Size counts after nirc's rewriting: dilation is filled up with zeros, a kernel that is
    not square is set into a square one, a pooling that no core can do is folded in, and a linear
    layer needs a kernel as large as the map before it. nirc has tried both ways to write the
    layer, on its map and with every neuron as a channel of its own, and neither fits.
    """
    example = """
    A convolution 17 x 17 on 64 x 64: found 17, limit {speck:2f kernel size}. A linear layer behind
    neurons on a map of 20 x 20: found 20. A kernel of 9 x 9 with dilation 2 counts as 17 x 17.
    """
    what_to_do = """
    Use a smaller kernel or dilation. Before a linear layer pool to {speck:2f kernel size} x
    {speck:2f kernel size} or less: pooling by 2 or 4 between neurons and the next layer costs
    nothing on the chip. Kernels that are nearly square, or square, waste no memory.
    """
    sources = "Speck Dev Kit Datasheet, SynSense, 2023, section 2.4."

    advice = (
        "use a kernel of up to 16 x 16, or pool before a linear layer: it needs a kernel as large "
        "as the map"
    )


class Stride(Finding):
    code = "S702"
    title = "a stride is not one of 1, 2, 4, 8"
    meaning = """
    A core moves its kernel by 1, 2, 4 or 8 pixels, in x and y independently. What counts is the
    distance between the windows of neighbouring neurons: strides of convolutions that follow each
    other without neurons between, and poolings folded into the kernel, multiply. On small maps any
    stride works, because nirc then writes the layer with one kernel entry for each pair of an
    input and a neuron; this map is too large for that.
    """
    example = """
    Stride 3 on 64 x 64: found (3, 3), limit 1, 2, 4, 8. The same convolution on 2 x 9 x 9
    compiles: its 4 x 3 x 3 neurons become 36 output channels, each with a kernel as large as the
    map, 10368 words.
    """
    what_to_do = """
    Use a stride of 1, 2, 4 or 8, or pool by 2 or 4 behind neurons instead. A convolution of stride
    2 followed by pooling 2 is one of stride 4, which is legal.
    """
    sources = """
    Speck Dev Kit Datasheet, SynSense, 2023, section 2.4. sinabs 3.1.3 accepts stride 3 without a
    word, and if only one of x and y is legal.
    """

    stride: Pair  # of the windows of neighbouring neurons, poolings included

    def words(self) -> Words:
        return Words(
            f"a step of {max(self.stride)} between the windows of neighbouring neurons "
            "(stride times pooling)",
            found=f"{self.stride}",
            limit=", ".join(map(str, STRIDES)),
            source=DATASHEET,
            help="use a stride of 1, 2, 4 or 8",
        )


class Padding(CoreLimit):
    code = "S703"
    title = "padding is above 7"
    meaning = """
    A core pads its input map by 0 to 7 pixels a side, x and y independently. More padding than
    that has no form on this map: only on small maps can nirc write the layer with one kernel entry
    for each pair of an input and a neuron instead.
    """
    example = """
    Padding 9 on 40 x 40: found 9, limit 7. Padding `same` of a kernel up to 15 x 15 needs at most
    7.
    """
    what_to_do = """
    Pad by 7 at most; wider padding adds neurons at the border that see few pixels or none. If a
    wide border of neurons is wanted, crop the output instead.
    """
    sources = """
    Speck Dev Kit Datasheet, SynSense, 2023, section 2.4. sinabs 3.1.3 accepts padding 9 without a
    word.
    """

    advice = "pad by 7 at most"


class MapTooLarge(CoreLimit):
    code = "S704"
    title = "a map is larger than a core takes"
    meaning = """
    A core takes an input map of up to {speck:2f input map} x {speck:2f input map} pixels and holds
    up to {speck:2f output map} x {speck:2f output map} neurons for each output channel. The input
    map counts after the pooling on the way, the map of neurons before the pooling behind it:
    neurons are stored before they are pooled.
    """
    example = """
    A convolution of stride 1 on a picture of 100 x 100: found 100, limit {speck:2f output map} for
    the output map. An input of 200 x 200: found 200, limit {speck:2f input map} for the input map.
    """
    what_to_do = """
    Use stride 2 or 4 in the first layer, or pool the input first (for events from the host any
    pooling is free, the camera pools by 1, 2 or 4), or crop. A pooling directly after the
    convolution, before its neurons, helps too: convolution 3 x 3 and pooling 2 become one kernel
    of 4 x 4 with stride 2, and 100 x 100 pixels give 50 x 50 neurons.
    """
    sources = """
    Speck Dev Kit Datasheet, SynSense, 2023, section 2.4. sinabs 3.1.3 accepts these maps without a
    word.
    """

    advice = "use a stride or pooling earlier, or crop the input"


class RasterTooWide(MapTooLarge):
    """The input has more channels than a raster of this chip holds."""

    def words(self) -> Words:
        return Words(
            "the input has more channels than a raster holds",
            found=self.found,
            limit=self.limit.max,
            source=self.limit.source,
            help="pool the events before they come in",
        )


class TooManyInputChannels(CoreLimit):
    code = "S705"
    title = "a layer has too many input channels"
    meaning = """
    A core has at most {speck:2f input channels} input channels. Sources that meet in one
    population share the channels of its core: their channels are counted together, unless they
    have the same kernel. Pixels of the host's input count as channels if a linear layer has no map
    to work on, or one that is larger than 16 x 16.
    """
    example = """
    A Linear layer on 2000 inputs: found 2000, limit {speck:2f input channels}. A Linear layer on a
    picture of 1 x 40 x 40, which is too large for a kernel: found 1600. Two populations of 600
    that are added with different weights: found 1200.
    """
    what_to_do = """
    Give the input as a picture with up to 16 x 16 pixels: its pixels are then entries of the
    kernel and not channels. Pool or convolve before the linear layer. Use fewer channels, or put
    neurons between sources that meet.
    """
    sources = """
    Speck Dev Kit Datasheet, SynSense, 2023, section 2.4; destinations' `feature_shift` 0..1023.
    """

    advice = (
        "use fewer channels, or keep the map: a linear layer after it takes positions as kernel "
        "entries"
    )


class Pooling(Finding):
    code = "S706"
    title = "pooling after spiking is not one that the chip has"
    meaning = """
    Spikes are pooled on their way from core to core: their coordinates are divided by 1, 2 or 4,
    the same in x and y, windows side by side, without padding. Any other pooling becomes a part of
    the next layer's kernel, with a kernel and a stride multiplied by its size. Here that breaks a
    limit of the kernel: 16 x 16, strides 1, 2, 4 and 8, padding up to 7. Pooling of the host's
    input may have any size.
    """
    example = """
    Pooling by 3 between neurons on 60 x 60 and a convolution: found kernel (3, 3), stride (3, 3).
    Pooling by 3 on 12 x 12 before a *linear* layer compiles, as a kernel of 12 x 12. Pooling by 8
    before a convolution 2 x 2 without padding compiles too, as a kernel of 16 x 16 with stride 8.
    """
    what_to_do = """
    Pool by 2 or 4, or by 4 and again by 2 with neurons between, or use a convolution of stride 2.
    For a global pooling before a linear layer nothing has to be changed.
    """
    sources = """
    Speck Dev Kit Datasheet, SynSense, 2023, section 3.2.4. sinabs 3.1.3 accepts pooling by 3
    without a word.
    """

    source: str  # the node whose spikes are pooled
    target: str
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    size: tuple[int, ...]  # of the map before pooling

    def words(self) -> Words:
        return Words(
            f"pooling between `{self.source}` and `{self.target}` is none that a core can do",
            found=f"kernel {self.kernel}, stride {self.stride}, on a map of {self.size}",
            limit="1, 2 or 4, square, windows side by side, without padding",
            source=DATASHEET,
            help="pool by 2 or 4, or use a strided convolution",
        )


class KernelMemory(LayerMemory):
    code = "S707"
    title = "the kernel memory is too small"
    meaning = """
    Kernels need c x 2^(ceil(log2 kx ky) + ceil(log2 f)) words of 8 bits for c input and f output
    channels: kernel and output channels are rounded up to powers of two. Cores 0, 1, 2, 7 and 8
    have 16384 words, 3 and 4 have 32768, 5 and 6 have {speck:2f kernel memory}. A layer may be
    split over several cores by its output channels (S722). Here not even all cores together hold
    it, or the one core that it must stay in (`--set readout=layer`). The message says how many
    channels would fit.
    """
    example = """
    Linear 8x4x4 -> 256 needs 8 x 2^(4 + 8) = 32768 words: cores 3 to 6. Linear 16x7x7 -> 10 needs
    16 x 2^(6 + 4) = 16384: exactly a small core. Linear 64x16x16 -> 100 needs 64 x 2^(8 + 7) =
    2097152: the nine cores together hold 17 of its 100 output channels.
    """
    what_to_do = """
    The help names one change that ends this conflict and was tried out, if there is one. Pooling
    by 2 before a linear layer takes a quarter of the words. Just above a power of two memory is
    wasted: 17 output channels cost as much as 32, a kernel of 3 x 3 as much as 4 x 4, 5 x 5 as
    much as one of 32 entries.
    """
    sources = """
    sinabs 3.1.3, `chips/dynapcnn.py` and `DynapcnnLayer.memory_summary`, checked against its
    numbers; Speck Dev Kit Datasheet, SynSense, 2023, table 1.
    """

    memory = "kernel memory"

    def advice(self) -> str:
        """Return what makes the kernels smaller."""
        if self.size == (1, 1) and max(self.kernel) > 1:
            return (
                f"pool more, or use fewer channels, before `{self.layer}`: its kernel is as large "
                "as the map"
            )
        smaller = "fewer" if max(self.kernel) == 1 else "a smaller kernel or fewer"
        return f"use {smaller} channels in `{self.layer}` or before it"


class NeuronMemory(LayerMemory):
    code = "S708"
    title = "the neuron memory is too small"
    meaning = """
    Neurons need f x 2^(ceil(log2 fy) + ceil(log2 fx)) words of 16 bits for f channels of fy x fx
    neurons, counted before pooling: the sides are rounded up to powers of two. Cores 0, 1 and 2
    have {speck:2f neuron memory} words, 3 and 4 have 32768, 5 to 8 have 16384. A layer may be
    split over several cores by its output channels (S722). Here not even all cores together hold
    it.
    """
    example = """
    128 channels of 64 x 64 neurons need 524288 words: the nine cores together hold 80 of the 128
    channels. The first layer of the N-MNIST network, 16 channels on 15 x 15, needs 16 x 2^(4 + 4)
    = 4096.
    """
    what_to_do = """
    Use stride 2, or pool before the layer: a quarter of the words. Pooling *behind* the neurons
    does not help, as they are stored before it; the same pooling between the convolution and its
    neurons does. Use fewer channels. Mind powers of two: a map of 33 x 33 costs as much as 64 x
    64.
    """
    sources = """
    sinabs 3.1.3, `chips/dynapcnn.py` and `DynapcnnLayer.memory_summary`, checked against its
    numbers; Speck Dev Kit Datasheet, SynSense, 2023, table 1.
    """

    memory = "neuron memory"

    def advice(self) -> str:
        """Return what makes the map smaller."""
        return (
            f"use a larger stride in `{self.layer}`, or pool before it: its map is stored before "
            "pooling"
        )


class BiasMemory(LayerMemory):
    code = "S709"
    title = "the bias memory is too small"
    meaning = """
    A layer with a bias needs one word of 16 bits for each output channel; a layer without any
    needs none. Each core has {speck:2f bias memory} such words. A leak is a bias too (D417). As a
    core takes {speck:2f bias memory} output channels at most, this memory never runs out first on
    Speck 2e or 2f: a layer with more channels is split over cores (S722) or does not fit them
    (S711). The code is there for chips with less.
    """
    example = """
    Affine 64 -> 1025 with a bias: two cores with 512 and 513 words each, no error. Affine 1 ->
    9300: more than nine cores of {speck:2f bias memory} channels, S711.
    """
    what_to_do = """
    Use fewer output channels, or train without biases: then no slow clock is needed either (D415).
    """
    sources = "Speck Dev Kit Datasheet, SynSense, 2023, table 1; sinabs 3.1.3, `chips/dynapcnn.py`."

    memory = "bias memory"

    def advice(self) -> str:
        """Return what takes fewer biases."""
        return f"use fewer channels in `{self.layer}`, or no bias"


class TooManyDestinations(Finding):
    code = "S710"
    title = "a layer has too many destinations"
    meaning = """
    The spikes of a core can go to two cores, those of the camera as well; the readout layer counts
    as one. Each layer that listens takes one destination, and a layer that is split over k cores
    takes k. Events from the host have no such limit.
    """
    example = """
    One population that feeds three others: found one core for each of three layers, limit 2.
    Linear 32x4x4 -> 512 behind neurons needs 8 cores by its kernels alone: it can be split over
    two at most, as its source reaches no more.
    """
    what_to_do = """
    Let fewer layers listen: join several branches into one layer with all their channels. Or make
    the layer behind small enough for one core, or for two if nothing else listens; the help names
    one change that ends this conflict and was tried out, if there is one. A skip connection takes
    the second destination, so neither of the two layers that listen can be split.
    """
    sources = """
    Speck Dev Kit Datasheet, SynSense, 2023, section 2.4; sinabs' documentation,
    `speck/overview.md`.
    """

    senders: tuple[str, ...]  # layers, or the camera
    most: int  # destinations left for each
    fewest: Mapping[str, str]  # cores that each layer behind them takes at least
    cure: str  # a change that was tried out, "" for none

    def words(self) -> Words:
        return _too_many_destinations(self, DATASHEET)


class CannotPlace(Finding):
    code = "S711"
    title = "the layers cannot be placed on the cores together"
    meaning = """
    Each layer of this list can stand on the chip (unless it is a single one of more than 9 x 1024
    channels), but not all of them at once: there are nine cores, each holds one layer or a part of
    one, and only two of them have 65536 words of kernel memory, only three 65536 words of neuron
    memory. The list is as short as it can be: leave out any one layer or limit of it and the rest
    of the list fits. Other lists, if there are any, are separate problems.
    """
    example = """
    Ten layers: nine cores. Linear 8x4x4 -> 256 (32768 words) and then five Linear 256 -> 256
    (65536 each): 360448 words of kernel memory, the whole chip has 278528. Every layer alone would
    fit.
    """
    what_to_do = """
    The help names one change of one layer that ends this conflict, if there is such a change: it
    was tried out on the layers and limits of the list. Where much is missing another conflict may
    come to light behind it, so compile again. Ten layers become nine if the neurons between two of
    them are left out: linear layers without neurons between are one layer on the chip.
    """
    sources = """
    Speck Dev Kit Datasheet, SynSense, 2023, table 1; sinabs 3.1.3, `chips/dynapcnn.py`; the search
    is exact (CP-SAT).
    """

    fewest: Mapping[str, str]  # cores that each layer takes at least, alone on the chip
    cores: int
    memories: Mapping[str, tuple[int, ...]]  # words of each core in those that are too small
    cure: str  # a change that was tried out, "" for none

    def words(self) -> Words:
        layers = list(self.fewest)
        name = f"`{layers[0]}`" if len(layers) == 1 else f"{len(layers)} layers together"
        short = f" ({' and '.join(self.memories)})" if self.memories else ""
        sizes = "".join(f"; {_sizes(name, words)}" for name, words in self.memories.items())
        return Words(
            f"{name} cannot be placed on the {self.cores} cores{short}",
            found=f"cores that each layer takes at least, alone on the chip: {_each(self.fewest)}",
            limit=f"{self.cores} cores, one layer each{sizes}",
            source=SINABS,
            help=self.cure or "make several of these layers smaller, or leave some out",
        )


class CannotReach(CannotPlace):
    """Layers behind several sources, or others besides, cannot be placed: destinations are few."""

    senders: tuple[str, ...]
    most: int  # destinations left for each

    def words(self) -> Words:
        return _too_many_destinations(self, SINABS)


def _too_many_destinations(it: TooManyDestinations | CannotReach, source: str) -> Words:
    return Words(
        f"spikes of {' and '.join(f'`{sender}`' for sender in it.senders)} would have to reach "
        f"more than {it.most} core(s)",
        found=f"cores that the layers behind take at least: {_each(it.fewest)}",
        limit=f"{it.most} destination(s) left of 2 for each core and the camera",
        source=source,
        help=it.cure or "let fewer layers listen, or make them small enough for one core each",
    )


def _each(numbers: Mapping[str, str]) -> str:
    return ", ".join(f"`{layer}` {number}" for layer, number in numbers.items())


def _sizes(memory: str, words: Sequence[int]) -> str:
    counts = [f"{n} on {words.count(n)} core(s)" for n in sorted(set(words), reverse=True)]
    return f"{memory}: {', '.join(counts)}"


class NoSuchNeuron(Finding):
    code = "S712"
    title = "the chip has no such neuron"
    meaning = """
    Speck's cores compute integrate-and-fire neurons: events are added to a membrane of 16 bits,
    and it fires at a threshold. There is no synaptic filter (CubaLIF, CubaLI), no membrane as an
    output (I, LI), no neuron that forgets at once (Threshold), no resting value but 0 (`v_leak`)
    and no reset but to 0 or by subtraction (`v_reset`). LIF is taken, with a leak that is constant
    on the chip (D417).
    """
    example = """
    CubaLIF: `n1` has a synaptic filter. LI as the last layer: `n1` has no threshold, it never
    fires. LIF with v_reset 0.1 and `--reset model`: `n1` is reset to a v_reset that is not 0.
    """
    what_to_do = """
    Train with IF neurons, and end the network with some: the answer is their spike count. If the
    model was trained with subtraction or with a reset to zero, say so with `--reset subtract` or
    `--reset zero`: v_reset is then not used. For filters compile for a chip that has them, such as
    Xylo.
    """
    sources = "Speck Dev Kit Datasheet, SynSense, 2023, section 3.2.4.6."

    population: str
    problem: str
    found: str = ""
    help: str

    def words(self) -> Words:
        return Words(
            f"`{self.population}` {self.problem}",
            found=self.found,
            limit="integrate-and-fire neurons, or LIF with a constant leak",
            source=DATASHEET,
            help=self.help,
        )


class NoInput(NoSuchNeuron):
    """A population that nothing feeds."""

    problem: str = "gets no input"
    help: str = "connect it, or leave it out"

    def words(self) -> Words:
        limit = "a layer of the chip has a kernel, and so a source"
        return Words(f"`{self.population}` {self.problem}", limit=limit, help=self.help)


class DiffersWithinChannel(Finding):
    code = "S713"
    title = "thresholds, gains or biases differ within a channel"
    meaning = """
    A core stores one threshold, and one bias (and leak) for each output channel. A threshold or
    gain that differs from channel to channel is moved into the weights, exactly. Where values
    differ *within* a channel, or the linear layers between two populations add up to no
    convolution, nirc makes every neuron a channel of its own, with a kernel entry for each input.
    This layer is too large for that.
    """
    example = """
    A convolution 2 -> 16 on 32 x 32 whose thresholds differ from neuron to neuron: found 33554432
    words, limit 278528 on the whole chip. With 2 -> 4 channels on 8 x 8 it compiles, as 256
    channels with kernels of 8 x 8. The same message comes for a padded, overlapping pooling
    followed by a padded convolution: their borders are no single convolution.
    """
    what_to_do = """
    Use the same threshold, gain (r) and bias all over a channel, as convolutional layers have by
    nature; if training made them differ, average them over each channel. Leave out the padding of
    one of two linear layers, or put neurons between.
    """
    sources = """
    Speck Dev Kit Datasheet, SynSense, 2023, section 3.2.4.6; sinabs 3.1.3, `chips/dynapcnn.py`
    (memory sizes).
    """

    population: str
    pairs: int  # of an input and a neuron

    def words(self) -> Words:
        return Words(
            f"`{self.population}` needs a word of kernel memory for each pair of an input and a "
            "neuron, as its parameters differ within a channel or its linear layers are no "
            "convolution",
            found=f"{self.pairs} words",
            limit=f"{sum(core.kernel for core in CORES)} words on the whole chip",
            source=SINABS,
            help="use the same threshold, gain and bias all over a channel, and one convolution "
            "between neurons",
        )


class Recurrence(Repeated):
    code = "S714"
    title = "recurrence"
    meaning = """
    A population feeds itself, directly or through others. On Speck a spike arrives at once, within
    the same event, while the model's recurrent spike arrives a step later; and cores that wait for
    each other can block the chip for good. When exactly they do is not published. The vendor's
    sinabs does not support such networks either.
    """
    example = "A recurrent layer `f -> r -> f`: `f` feeds back on itself through `f`."
    what_to_do = """
    Compile for a chip with recurrence (`nirc targets` lists all). Or unroll: replace the loop by a
    few layers one after the other, if its memory is short.
    """
    sources = "sinabs' documentation; choice of nirc."

    source: str
    target: str

    def words(self) -> Words:
        return Words(
            f"`{self.target}` feeds back on itself through `{self.source}`"
            f"{self.and_others('edges')}",
            limit="feed-forward networks",
            source="sinabs docs; sheet section 1.4",
            help="a spike acts at once on the chip, a step later in the model, and loops can block "
            "its cores: compile for a chip with recurrence (nirc targets)",
        )


class Delays(Finding):
    code = "S715"
    title = "delays"
    meaning = """
    A Delay node stands between populations, or the simulator's neurons send their spikes a step
    later, as Spyx's do. Speck has no delay lines: a spike goes through all cores within
    microseconds. Delays that all paths to a population share are left out. Its spikes then come as
    many steps earlier, which `nirc run` takes into account. Here paths of different delay meet,
    neurons behind a delay fire by their bias before any input, or the delay is above 1023 steps.
    """
    example = """
    A skip connection beside a path with a Delay of 2 ms at steps of 1 ms: found 2 steps, limit no
    delays. Two layers of Spyx, the second with a bias above its threshold: found 1 step.
    """
    what_to_do = """
    Remove the Delay nodes and train on, or compile for a chip with delays. Give all paths to a
    layer the same delay, in Spyx as many layers, and keep biases below thresholds.
    """
    sources = "Speck Dev Kit Datasheet, SynSense, 2023."

    source: str
    target: str
    steps: int
    by_node: bool  # by a Delay node, else by the rule of the simulator's neurons

    def words(self) -> Words:
        advice = (
            "the simulator's neurons send their spikes a step later: give all paths to a layer as "
            "many layers and keep biases below thresholds, or compile for a chip with delays"
        )
        if self.by_node:
            advice = "remove the Delay node, or compile for a chip with delays"
        return Words(
            f"the projection `{self.source}` -> `{self.target}` has a delay",
            found=f"{self.steps} step(s)",
            limit="no delays",
            source=DATASHEET,
            help=advice,
        )


class ThresholdNotPositive(Finding):
    code = "S716"
    title = "a threshold is not positive"
    meaning = """
    A threshold is 0 or negative. Such a neuron would fire at every event and, with subtraction,
    push its own membrane up. The chip's word `threshold_high` starts at 1 here.
    """
    example = "4 of 4 neurons of `n1` with v_threshold -1: found -1, limit > 0."
    what_to_do = """
    Check the training run or the export: learnt thresholds can cross 0. Clamp them in training,
    for instance as exp(x).
    """
    sources = """
    Speck Dev Kit Datasheet, SynSense, 2023, section 3.2.4.6; the lower end of the range is chosen.
    """

    population: str
    wrong: int  # neurons
    of: int
    thresholds: str  # in volts

    def words(self) -> Words:
        return Words(
            f"{self.wrong} of {self.of} neurons of `{self.population}` have a threshold that is "
            "not positive",
            found=self.thresholds,
            limit="> 0",
            source=DATASHEET,
            help="check the training run or the export",
        )


class ValueOutsideRange(Stated):
    code = "S717"
    title = "a value in the configuration is outside the chip's range"
    meaning = """
    A number in `config.json` is none that the chip takes, or numbers in it need more than a core
    has. The message gives the place as a JSON path, the value and the range: weights -128..127,
    biases and initial values -32768..32767, `threshold_high` 1..32767, `threshold_low` -32768..-1,
    kernels 1..16, padding 0..7, strides 1, 2, 4 and 8, pooling 1, 2 and 4, `feature_shift`
    0..1023, memories as of the core, destinations that are in use and have the channels, no circle
    of cores. A file that contradicts itself or has other fields is damaged instead (U605).
    """
    example = """
    `cnn_layers[2].threshold_low` is 0, which the datasheet forbids on this generation: found 0,
    limit -32768..-1.
    """
    what_to_do = """
    If the file was edited or made by another program, correct the value. nirc itself writes values
    within these ranges only: for a bundle that it wrote and nobody changed, please report a bug.
    """
    sources = """
    Speck Dev Kit Datasheet, SynSense, 2023 (widths, threshold_low: 3.2.4.6.3); sinabs 3.1.3,
    `chips/dynapcnn.py` (memories).
    """


class ClockTooSlow(Finding):
    code = "S718"
    title = "the slow clock cannot tick once per time step"
    meaning = """
    Biases and leaks are added by the slow clock, once per tick, and nirc wants one tick in each
    time step. The clock runs at 10 Hz to 10 kHz, so a step must last from 0.1 to 100 ms. Networks
    without biases and leaks have no such bound.
    """
    example = "A bias and steps of 1 us: found 1e+06 Hz, limit 10 to 10000 Hz."
    what_to_do = """
    Give the length that a step has on the chip with `--dt`: if steps are frames of events of 10
    ms, `--dt 0.01`. Or train without biases.
    """
    sources = "Speck Dev Kit Datasheet, SynSense, 2023 (external slow clock)."

    dt_s: float
    clock_hz: float

    def words(self) -> Words:
        low, high = SLOW_CLOCK_HZ
        return Words(
            f"a bias takes one tick of the slow clock in each step of {self.dt_s:g} s",
            found=f"{self.clock_hz:g} Hz",
            limit=f"{low} to {high} Hz",
            source=DATASHEET,
            help="give the length of a step on the chip with --dt, from 1e-4 to 0.1 s",
        )


class Readout(Finding):
    code = "S719"
    title = "the readout layer cannot take this output"
    meaning = """
    With `--set readout=layer` the chip's readout layer takes the answer. It needs one output whose
    neurons are 1 x 1 maps, at most {speck:2f classes of the readout layer} of them, in one core.
    By an erratum it sees channels 0, 4, 8, ... only, so nirc spreads n classes over 4 (n - 1) + 1
    channels, with zero kernels between: up to four times the kernel memory.
    """
    example = """
    20 classes: found 20 channels of 1 x 1, limit {speck:2f classes of the readout layer} classes.
    A last layer of 4 channels on 8 x 8 is refused as well. Linear 16x7x7 -> 14 becomes 53 channels
    and needs 65536 words, a whole core 5 or 6, instead of 16384.
    """
    what_to_do = """
    Use `--set readout=monitor` (the default): every spike of the last layer comes back as an
    event, without a limit on classes. For the readout layer end the network with a linear layer of
    up to {speck:2f classes of the readout layer} neurons and one Output.
    """
    sources = "sinabs' documentation, `speck/faqs/chip_errata.md`; datasheet, 15 classes."

    layers: tuple[tuple[int, Pair], ...]  # classes and size of the map of each layer read out

    def words(self) -> Words:
        return Words(
            "the readout layer takes one output, of up to 15 channels with maps of one pixel",
            found=", ".join(f"{n} channels of {y} x {x}" for n, (y, x) in self.layers),
            limit="15 channels of 1 x 1",
            source=ERRATA,
            help="read the last layer by monitor events: --set readout=monitor",
        )


class InputTooLarge(Finding):
    code = "S720"
    title = "the input does not fit the event camera"
    meaning = """
    With `--input dvs` the chip's own camera is the input: 128 x 128 pixels with two polarities,
    pooled by 1, 2 or 4 and cut to a window. The model's input must be one Input of shape (2, y,
    x), or (1, y, x) for merged polarities, with sides up to 128; branches behind it must pool
    alike, and need at most two cores (S710).
    """
    example = """
    An input of three channels, (3, 32, 32): found, limit (1 or 2, y, x) with sides up to 128. Two
    Inputs, or a flat input of 2312 values, are refused as well.
    """
    what_to_do = """
    Give `--input host` to send events from a computer. For the camera, train on events of shape
    (2, y, x); nirc takes the window in the middle of the sensor. Pooling right after the Input by
    2 or 4 is done by the camera.
    """
    sources = "Speck Dev Kit Datasheet, SynSense, 2023, chapter on the DVS layer."

    found: str
    limit: str

    def words(self) -> Words:
        return Words(
            "the input does not fit the event camera",
            found=self.found,
            limit=self.limit,
            source=DATASHEET,
            help="give --input host, or train on events of the sensor: two polarities (or one, "
            "merged), y, x",
        )


class CannotShareCore(Finding):
    code = "S721"
    title = "projections into a population cannot share a core"
    meaning = """
    Everything that reaches a population enters one core, and a core has one kernel size, stride
    and padding. nirc makes kernels and paddings alike, with zeros; it cannot make strides alike,
    nor maps that have no common size. Small layers are saved by writing them with one kernel entry
    for each pair of an input and a neuron; this one is too large for that.
    """
    example = """
    A skip connection from 8 x 64 x 64 by a convolution of stride 2, added to a branch that comes
    on 32 x 32 and has stride 1: found f, g, limit one kernel, stride and padding a core. On 8 x 8
    the same network compiles.
    """
    what_to_do = """
    Give all branches that are added the same stride and input size: pool the longer way by 2
    behind its neurons (free, on the way) and use stride 1, or put neurons between, which make a
    layer of their own.
    """
    sources = "Speck Dev Kit Datasheet, SynSense, 2023, section 3.2.4."

    population: str
    branches: tuple[str, ...]  # the sources of its projections

    def words(self) -> Words:
        return Words(
            f"the projections into `{self.population}` have different strides or maps, but share "
            "one core",
            found=", ".join(self.branches),
            limit="one kernel, stride and padding a core",
            source=DATASHEET,
            help="give all branches that are added the same stride, or put neurons between",
        )


class LayerSplit(Finding):
    code = "S722"
    title = "a layer was split over several cores"
    severity = "note"
    meaning = """
    A layer was larger than any core left for it, so its output channels were divided among
    several. Each part gets the same input, has its own kernels, and sends its spikes on with a
    `feature_shift`, so that the next layer sees the channels in their order: nothing is computed
    differently. The order of spikes within one event, between parts, may differ on the chip. This
    is a note, not an error.
    """
    example = """
    Linear 64x8x8 -> 40: cores 3, 5 and 6 with 8, 16 and 16 channels. Linear 784 -> 128: cores 5
    and 6 with 64 each.
    """
    what_to_do = """
    Nothing. If cores or destinations run short (S710, S711), make the layer smaller: a source can
    reach two cores only, so behind neurons a layer has at most two parts. A layer fed by the host
    alone may have more.
    """
    sources = """
    Speck Dev Kit Datasheet, SynSense, 2023, section 2.4 (destinations, feature_shift); that
    channels are split is nirc's choice.
    """

    layer: str
    cores: tuple[int, ...]

    def words(self) -> Words:
        cores = ", ".join(map(str, self.cores))
        return Words(f"`{self.layer}` is split by output channel over cores {cores}")


class BoundClipped(numbers.ValueClipped):
    """A lower bound of membrane potentials that 16 bits do not hold."""

    least: int  # the bound in the chip's units

    def words(self) -> Words:
        return Words(
            f"the lower bound of the membrane of `{self.population}` is cut off",
            found=self.least,
            limit=f"{THRESHOLD_LOW[0]}, 16 bits",
            help="a bound nearer to zero, or larger thresholds against the weights, fit the chip",
        )
