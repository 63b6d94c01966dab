"""The limits of Speck 2e and 2f, declared once. Every other module asks here.

Sources: "Speck Dev Kit Datasheet", SynSense, Aug 2023 (DATASHEET); sinabs 3.1.3
``backend/dynapcnn`` (SINABS) and its documentation (OVERVIEW, ERRATA). Certainty: S read in the
source, M measured, I inferred, ? chosen by us.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nirc.chip.target import Limit, Target

if TYPE_CHECKING:
    from nirc.backends.speck.network import Network

DATASHEET = "Speck datasheet, 2023"
SINABS = "sinabs 3.1.3, chips/dynapcnn.py"
OVERVIEW = "sinabs docs, speck/overview.md"
ERRATA = "sinabs docs, speck/faqs/chip_errata.md"

# Ranges of single values: (smallest, largest).
WEIGHT = (-128, 127)  # 8 bits (S)
BIAS = (-32768, 32767)  # 16 bits (S: datasheet; sinabs uses 8)
STATE = (
    -32768,
    32767,
)  # 16 bits (S); that it saturates above is chosen (?), thresholds keep clear of it
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

# Rules of the chip that no public source states; the emulator's choices, all in one place. Two more
# have no switch: events outside a core's input map are lost (D418), and membranes saturate above
# (STATE).
FIRES_AT_THRESHOLD = True  # ?: v >= threshold_high, as sinabs and its hardware test do
BIAS_TICK_FIRES = True  # ?: a tick of the slow clock compares with the threshold as an event does
ZERO_WEIGHT_UPDATES = (
    True  # ?: a kernel entry of 0 is an update too: a neuron still above threshold fires again
)


@dataclass(frozen=True)
class Core:
    """Memories of one core, in words (8 bits of kernel, 16 bits of neuron and bias)."""

    number: int
    kernel: int
    neuron: int
    bias: int
    speed: (
        int  # relative; cores 0 and 1 compute in parallel internally (S), by how much is chosen (?)
    )


def _cores() -> tuple[Core, ...]:
    kernel = (16, 16, 16, 32, 32, 64, 64, 16, 16)  # Ki words (S: SINABS, datasheet table 1)
    neuron = (64, 64, 64, 32, 32, 16, 16, 16, 16)
    return tuple(
        Core(i, kernel[i] * 1024, neuron[i] * 1024, 1024, 2 if i < 2 else 1) for i in range(9)
    )


CORES = _cores()


def _variant(variant: str, part: str, description: str) -> Target:
    def of(measure: str) -> Callable[[Network], Iterable[tuple[str, int]]]:
        def call(network: Network) -> Iterable[tuple[str, int]]:
            from nirc.backends.speck import usage

            result: Any = getattr(usage, measure)(network)
            return result  # type: ignore[no-any-return]

        return call

    def limit(
        name: str, most: int, code: str, source: str, certainty: str = "S", **kw: Any
    ) -> Limit:
        return Limit(name, most, code, source, certainty, **kw)

    return Target(
        "speck",
        variant,
        part,
        description,
        (
            limit("cores", len(CORES), "S711", SINABS),
            limit(
                "kernel size",
                KERNEL[1],
                "S701",
                DATASHEET,
                unit="pixels",
                measure=of("kernel_size"),
            ),
            limit("stride", STRIDES[-1], "S702", DATASHEET, unit="(1, 2, 4, 8)"),
            limit("padding", PADDING[1], "S703", DATASHEET, unit="pixels", measure=of("padding")),
            limit(
                "input map", INPUT_MAP, "S704", DATASHEET, unit="pixels", measure=of("input_map")
            ),
            limit(
                "output map", OUTPUT_MAP, "S704", DATASHEET, unit="pixels", measure=of("output_map")
            ),
            limit("input channels", CHANNELS, "S705", DATASHEET, measure=of("input_channels")),
            limit("pooling", POOLINGS[-1], "S706", DATASHEET, unit="(1, 2, 4)"),
            limit("kernel memory", max(c.kernel for c in CORES), "S707", SINABS, unit="words"),
            limit("neuron memory", max(c.neuron for c in CORES), "S708", SINABS, unit="words"),
            limit("bias memory", max(c.bias for c in CORES), "S709", SINABS, unit="words"),
            limit("destinations", 2, "S710", DATASHEET, unit="per core"),
            limit("classes of the readout layer", READOUT_CLASSES, "S719", ERRATA),
        ),
    )


SPECK_2F = _variant("2f", "Speck 2f", "Speck 2f")
SPECK_2E = _variant("2e", "Speck 2e", "Speck 2e")

# The order in which `--target speck` tries them; their limits are the same in all public sources.
VARIANTS = (SPECK_2F, SPECK_2E)
