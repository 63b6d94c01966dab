"""The limits of Speck 2e and 2f, declared once. Every other module asks here.

Sources: "Speck Dev Kit Datasheet", SynSense, Aug 2023 (DATASHEET), sinabs 3.1.3
``backend/dynapcnn`` (SINABS) and its documentation (OVERVIEW, ERRATA). Certainty: S read in the
source, M measured, I inferred, ? chosen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nirc.chip.target import Limit, Measure, Target

if TYPE_CHECKING:
    from nirc.backends.speck.network import Layer, Network

DATASHEET = "Speck datasheet, 2023"
SINABS = "sinabs 3.1.3, chips/dynapcnn.py"
OVERVIEW = "sinabs docs, speck/overview.md"
ERRATA = "sinabs docs, speck/faqs/chip_errata.md"

# Ranges of single values: (smallest, largest).
WEIGHT = (-128, 127)  # 8 bits (S)
BIAS = (-32768, 32767)  # 16 bits (S: datasheet; sinabs uses 8)
# 16 bits (S). Saturation above is chosen (?). Thresholds stay below that range.
STATE = (-32768, 32767)
THRESHOLD_HIGH = (1, 32767)  # one word a core (S); 0 and below would fire at every event
THRESHOLD_LOW = (-32768, -1)  # 0 is an erratum of this generation (S: datasheet 3.2.4.6.3)
STRIDES = (1, 2, 4, 8)  # x and y independent (S)
POOLINGS = (1, 2, 4)  # of a destination, square (S)
PADDING = (0, 7)
KERNEL = (1, 16)
CHANNELS = 1024  # in and out, of a core (S)
INPUT_MAP = 128  # pixels a side (S)
OUTPUT_MAP = 64  # pixels a side, before pooling (S)
FEATURE_SHIFT = (0, CHANNELS - 1)
READOUT = 12  # the number of the readout layer as a destination (S)
READOUT_SPREAD = 4  # the readout layer sees channels 0, 4, 8, ... only (S: erratum)
READOUT_CLASSES = 15
SLOW_CLOCK_HZ = (10, 10_000)  # external slow clock (S)
DVS_SIZE = 128  # pixels a side (S)

# Rules of the chip that no public source states: choices of the emulator. Two more have no switch.
# Events outside a core's input map are lost (D418), and membranes saturate above (STATE).
FIRES_AT_THRESHOLD = True  # ?: v >= threshold_high, as sinabs and its hardware test do
BIAS_TICK_FIRES = True  # ?: a tick of the slow clock compares with the threshold as an event does
# ?: a kernel entry of 0 is an update too. A neuron that is still above threshold fires again.
ZERO_WEIGHT_UPDATES = True

# Costs. Sources: "Speck: A Smart event-based Vision Sensor with a low latency 327K Neuron
# Convolutional Neuronal Network Processing Pipeline", abstract (an event through nine layers);
# "Spike-based dynamic computing with asynchronous sensing-computing neuromorphic chip", Nat.
# Commun. 2024 (at rest). Energy per synaptic operation is not published.
LATENCY_S = 3.36e-6 / 9  # of an event in a layer
RESTING_W = 0.42e-3


@dataclass(frozen=True)
class Core:
    """Memories of one core, in words (8 bits of kernel, 16 bits of neuron and bias)."""

    number: int
    kernel: int
    neuron: int
    bias: int
    speed: int  # relative (?). Cores 0 and 1 compute in parallel internally (S)


def _cores() -> tuple[Core, ...]:
    kernel = (16, 16, 16, 32, 32, 64, 64, 16, 16)  # Ki words (S: SINABS, datasheet table 1)
    neuron = (64, 64, 64, 32, 32, 16, 16, 16, 16)
    speed = (2, 2, 1, 1, 1, 1, 1, 1, 1)
    return tuple(
        Core(i, kernel[i] * 1024, neuron[i] * 1024, 1024, speed[i]) for i in range(len(speed))
    )


CORES = _cores()


def _largest(sides: Callable[[Layer], tuple[int, ...]]) -> Measure:
    """Return the measure of a network that takes the largest of ``sides`` of each layer."""

    def measure(network: Network) -> list[tuple[str, int]]:
        return [(layer.origin, max(sides(layer))) for layer in network.layers]

    return measure


def _variant(variant: str) -> Target:
    kernel = max(core.kernel for core in CORES)
    neuron = max(core.neuron for core in CORES)
    bias = max(core.bias for core in CORES)
    size = _largest(lambda layer: layer.kernel_size)
    padding = _largest(lambda layer: layer.padding)
    input_map = _largest(lambda layer: layer.shape_in[1:])
    output_map = _largest(lambda layer: layer.shape_out[1:])
    channels = _largest(lambda layer: layer.shape_in[:1])
    limits = (
        Limit("cores", len(CORES), "S711", SINABS),
        Limit("kernel size", KERNEL[1], "S701", DATASHEET, unit="pixels", measure=size),
        Limit("stride", STRIDES[-1], "S702", DATASHEET, unit="(1, 2, 4, 8)"),
        Limit("padding", PADDING[1], "S703", DATASHEET, unit="pixels", measure=padding),
        Limit("input map", INPUT_MAP, "S704", DATASHEET, unit="pixels", measure=input_map),
        Limit("output map", OUTPUT_MAP, "S704", DATASHEET, unit="pixels", measure=output_map),
        Limit("input channels", CHANNELS, "S705", DATASHEET, measure=channels),
        Limit("pooling", POOLINGS[-1], "S706", DATASHEET, unit="(1, 2, 4)"),
        Limit("kernel memory", kernel, "S707", SINABS, unit="words"),
        Limit("neuron memory", neuron, "S708", SINABS, unit="words"),
        Limit("bias memory", bias, "S709", SINABS, unit="words"),
        Limit("destinations", 2, "S710", DATASHEET, unit="per core"),
        Limit("classes of the readout layer", READOUT_CLASSES, "S719", ERRATA),
    )
    part = f"Speck {variant}"
    return Target("speck", variant, part, part, limits)


# In the order of `--target speck`. Their limits are the same in all public sources.
VARIANTS = (_variant("2f"), _variant("2e"))
