"""The limits of the Xylo variants, declared once for all modules.

Sources: rockpool 3.1.0 ``docs/devices/xylo-overview.ipynb`` and ``devices/xylo/*/xylo_mapper.py``.
RAM sizes are from ``syns61201/xa2_devkit_utils.py`` and ``syns65302/ram.py``. Ranges are measured
on xylosim 0.1.3. Certainty: S read in the source, M measured,
I inferred, ? chosen by us.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from nirc.chip.target import Limit, Measure, Target

OVERVIEW = "rockpool docs, Xylo overview"
MAPPER = "rockpool, xylo_mapper.py"
RAM = "rockpool, RAM addresses"
SIM = "measured on xylosim 0.1.3"

# Names of limits.
STATES = "synaptic states per neuron"
FIRST = "neurons that inputs reach"
LAST = "neurons that outputs leave from"

# Ranges of single values, (smallest, largest), in the configuration and the specification.
WEIGHT = (-127, 127)  # of -128..127, as in the vendor's quantisers (S)
WEIGHT_WORD = (-128, 127)
THRESHOLD = (1, 32767)  # 0 and below fire 31 times a step (M)
DASH = (0, 15)  # 4 bits (S)
BIAS = (-128, 127)  # ?: int16 in xylosim, one byte in its RAM dump of the bias memory
WEIGHT_SHIFT = (0, 7)  # 3-bit fields of control register 1 (S)
STATE = (-32768, 32767)  # isyn and v, saturating (M)
MAX_INPUT_SPIKES = 15  # per channel and step (S)
MAX_HIDDEN_SPIKES = 31  # per neuron and step (S)
MAX_OUTPUT_SPIKES = 1  # per neuron and step (S)


def _used(function: str) -> Measure:
    """Return a measure of ``lower.py``, which is imported when a network is measured."""

    def measure(reservoir: Any) -> Iterable[tuple[str, int]]:
        from nirc.backends.xylo import lower

        result: Iterable[tuple[str, int]] = getattr(lower, function)(reservoir)
        return result

    return measure


def _variant(
    variant: str,
    part: str,
    description: str,
    *,
    hidden: int,
    outputs: int,
    synapses: int,
    fan_out: int,
    entries: int,
    certainty: str,  # of `entries`
    first: int | None = None,
    last: int | None = None,
    clock_hz: int,
    clock_source: str,
    clock_certainty: str,
) -> Target:
    return Target(
        "xylo",
        variant,
        part,
        description,
        (
            Limit("input channels", 16, "X501", OVERVIEW, measure=_used("input_channels")),
            Limit("hidden neurons", hidden, "X502", OVERVIEW, measure=_used("hidden_neurons")),
            Limit("output neurons", outputs, "X503", OVERVIEW, measure=_used("output_neurons")),
            Limit("fan-out of one neuron", fan_out, "X504", OVERVIEW, measure=_used("fan_out")),
            Limit("recurrent entries", entries, "X505", RAM, certainty, measure=_used("entries")),
            Limit(STATES, synapses, "X509", OVERVIEW, measure=_used("synaptic_states")),
            # Rules about the order of the neurons: place.py decides them.
            Limit(FIRST, first or hidden, "X506", MAPPER, unit="first neurons"),
            Limit(LAST, last or hidden, "X507", MAPPER, unit="last neurons"),
            Limit("clock", clock_hz, "X511", clock_source, clock_certainty, unit="Hz"),
        ),
    )


AUDIO2 = _variant(
    "audio2",
    "SYNS61201",
    "Xylo Audio 2",
    hidden=1000,
    outputs=8,
    synapses=2,
    fan_out=64,
    entries=32000,
    certainty="I",
    clock_hz=50_000_000,
    clock_source="rockpool, power_cycles_model.py (default)",
    clock_certainty="S",
)
AUDIO3 = _variant(
    "audio3",
    "SYNS65302",
    "Xylo Audio 3",
    hidden=992,
    outputs=32,
    synapses=2,
    fan_out=1024,
    entries=31744,
    certainty="I",
    first=128,
    last=128,
    clock_hz=50_000_000,
    clock_source="the Audio 2 default; 6.25 MHz in the vendor's notebook",
    clock_certainty="?",
)
IMU = _variant(
    "imu",
    "SYNS63300",
    "Xylo IMU",
    hidden=496,
    outputs=16,
    synapses=1,
    fan_out=512,
    entries=31744,
    certainty="S",
    first=128,
    last=128,
    clock_hz=50_000_000,
    clock_source="the Audio 2 default",
    clock_certainty="?",
)

# The order in which `--target xylo` tries them: the variant with the freest placement first.
VARIANTS = (AUDIO2, AUDIO3, IMU)
