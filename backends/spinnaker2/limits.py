"""SpiNNaker2's limits, the ranges of its words and the prices of its memory, declared once.

No public document states the memory that is free on a processing element (PE), nor the layout of
the vendor's tables. The prices below are on the safe side (targets sheet, section 2). ``--set``
overrides those that users may know better. Certainty: S read in the source, M measured on
recordings of a chip, R reported by a survey of the chip's paper and documentation, I inferred, ?
chosen by us.
"""

from __future__ import annotations

from dataclasses import dataclass

from nirc.chip.target import Limit, Target

SCRIPTS = "users' scripts for py-spinnaker2"
IMPORTER = "py-spinnaker2, s2_nir.py"
GENERATED = "NESTML's class for py-spinnaker2, iaf_psc_exp_neuron_nestml.py, 2025"
MACHINE = "SpiNNMachine, spinn_machine/version/version_spin2.py"
BOARD = "SpiNNMachine, spinn_machine/version/version_248.py"
SURVEY = "survey of the chip's paper and documentation, 2026"
PAPER = "NIR paper, paper/02_cnn/s2_apply.ipynb"
SHEET = "targets sheet, section 2"

# Ranges of single values: (smallest, largest).
DELAYED_WEIGHT = (-15, 15)  # 4 bits and a sign, of the models with delays (S: SCRIPTS)
WEIGHT = (-127, 127)  # 8 bits, of the models without (S: IMPORTER scales to them)
# The most that weights of copied inputs add up to in a step (?: the buffers have 16 bits).
RING = 32_767
DELAY = (0, 7)  # steps on top of the one that every synapse takes (S: SCRIPTS)
# State and parameters: finite (S: GENERATED).
FLOAT32 = (-3.4028234663852886e38, 3.4028234663852886e38)
DECAY = (0.0, 1.0)
NEVER = 1e30  # the threshold of a readout, which must not fire
MAP = 1 << 12  # a convolution's sizes, strides and paddings (?: no limit is published)

MAX_ATOMS = 250  # neurons of a PE (S: GENERATED)
MAX_PIXELS = 256  # of model lif_conv2d (S: PAPER sets as many, the index has 8 bits)
PES = 148  # of a chip, that the vendor's tools use (R). 152 on the die (S: datasheet 0.03)
CHIPS = 48  # of a board (S: BOARD)
ROUTER_ENTRIES = 16_384  # of a chip's table (S: MACHINE)

# Memory of a PE, in bytes.
DYN_BYTES = 44_928  # free for tables, synapses and recordings (I: addresses in GENERATED)
DYN_MOST = 131_072  # all of it (S: datasheet)
INPUT_RATE = 0.1  # spikes of an input in a step, for the room that they take (?)
STEPS = 256  # of recording, where the user does not state them (?)


@dataclass(frozen=True)
class Prices:
    """The free memory of a PE and what things take of it."""

    dyn_bytes: int = DYN_BYTES
    mpt_words: int = 3  # of an entry of the master population table (?)
    mpt_factor: int = 4  # the table takes four times what it needs (S: py-spinnaker2, issue 127)
    row_header: int = 4  # bytes of a source neuron's row (?)
    synapse_bytes: int = 4  # (I: safe, 2 are likely)
    slots: int = 8  # of a neuron's ring buffer, with delays. 1 without (I)
    signs: int = 2  # excitatory and inhibitory (I)
    slot_bytes: int = 2  # (I)
    state_words: int = 2  # of 4 bytes, of a neuron without synaptic currents (I)
    state_words_exp: int = 4  # of a neuron with synaptic currents (I)
    spike_bytes: int = 4  # of a spike_list entry (?)


# Time.
TICK_S = 1e-3  # of the system, where nothing asks for more (S: SCRIPTS)
EVENTS_PER_S = 12e6  # synaptic events of a PE, at best (R)
PLANNED = 0.5  # share of the events that a plan may use
RATE = 0.1  # spikes of a neuron in a step, where nothing is known (?)
LINK_HOPS = (
    8  # steps on a chip's mesh that a link between chips counts as (?: a chip has 8 columns)
)
LINK_SPIKES_PER_S = 62.5e6  # of one direction of a link on the board (I)


def _variant(variant: str, description: str, *, chips: int, source: str) -> Target:
    return Target(
        "spinnaker2",
        variant,
        "SpiNNaker2",
        description,
        (
            Limit("processing elements", chips * PES, "N901", f"{SURVEY}; 152 on the die", "R"),
            Limit("chips", chips, "N901", source),
            Limit("neurons of a processing element", MAX_ATOMS, "N902", GENERATED),
            Limit("pixels of a convolution on one", MAX_PIXELS, "N902", PAPER),
            Limit("memory of a processing element", DYN_BYTES, "N903", GENERATED, "I", "bytes"),
            Limit("routing entries of a chip", ROUTER_ENTRIES, "N904", MACHINE),
            Limit("weight", WEIGHT[1], "N910", IMPORTER, unit="without delays"),
            Limit("weight with delays", DELAYED_WEIGHT[1], "N910", SCRIPTS),
            Limit("delay", DELAY[1], "N910", SCRIPTS, unit="steps, on top of one"),
        ),
    )


CHIP = _variant("chip", "1 chip", chips=1, source=MACHINE)
BOARD_48 = _variant("board", "SpiNNcloud board, 48 chips", chips=CHIPS, source=BOARD)

# The order in which `--target spinnaker2` tries them: the smaller first.
VARIANTS = (CHIP, BOARD_48)
