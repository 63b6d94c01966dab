"""The limits of Loihi 2 and the ranges of its words, declared once. Every other module asks here.

No public document lists the resources of a neurocore: most maxima below were read off the logs of
Intel's own partitioner (LOGS), which prints counts in some runs and percentages in others; targets
sheet, section 1.2. Certainty: S read in the source, M measured, I inferred, ? chosen by us.
"""

from __future__ import annotations

from nirc.chip.target import Limit, Target

LOGS = "lava-dl 0.6.0, partitioner logs in tutorials/lava/lib/dl/netx"
COMPILER = "lava-nc 0.10.0, magma/compiler/subcompilers/constants.py"
LIF_MODELS = "lava-nc 0.10.0, proc/lif/models.py"
DENSE_MODELS = "lava-nc 0.10.0, proc/dense/models.py, utils/weightutils.py"
CONV_MODELS = "lava-nc 0.10.0, proc/conv/models.py"
TOOLS_1 = "Loihi 1 tools, brian2_loihi and nengo-loihi"
REPORTS = "Intel's announcements and press reports"

# Ranges of single values: (smallest, largest). Lava's simulator checks only the largest delay (M).
STATE = (-(2**23) + 1, 2**23 - 1)  # v, saturating (S: LIF_MODELS)
DU = (
    0,
    4095,
)  # the rule adds 1: 4095 is no memory, and there is no perfect integrator (S: LIF_MODELS)
DV = (
    0,
    4096,
)  # 12 bits are documented; lava-dl writes 4096, no memory (S, netx/hdf5.py)
VTH = (0, 131071)  # compared after << 6 (S: LIF_MODELS)
BIAS_MANT = (-4096, 4095)  # (S: LIF_MODELS)
BIAS_EXP = (0, 7)  # (S: LIF_MODELS)
WEIGHT = (
    -256,
    255,
)  # as handed to Lava; truncation follows, see ``rule.effective_weights`` (S: DENSE_MODELS)
WEIGHT_BITS = (1, 8)  # (S: DENSE_MODELS)
WEIGHT_EXP = (-8, 7)  # (?: range of TOOLS_1; Lava takes any)
DELAY = (0, 63)  # steps on top of the one that every synapse takes (S: DENSE_MODELS)
CONV_WEIGHT = (-256, 254)  # even: Lava's convolution neither clips nor drops bits (M: CONV_MODELS)
CONV_MAP = (1, 256)  # rows, columns: the chip's coordinates go round at 256 (S: LOGS warn of it)
CONV_STEP = (1, 127)  # kernel size, stride, dilation, groups: held in int8 (S: CONV_MODELS)
CONV_PADDING = (0, 127)  # likewise
STATE_SHIFT = 6  # synaptic input and threshold are shifted left by it (S: LIF_MODELS)
WRAP = 1 << 23  # u goes round beyond it (S: LIF_MODELS); a compiler keeps below

# Prices in the shared memory of a core, in bytes, and the pool that they are paid from (M: fits 13
# rows of LOGS).
ENTRY_BYTES = 6  # a neuron, an input axon, an axon map or an output axon
SYNAPSE_WORD_BYTES = 8

# How synapses fill those words, and how many entries a layer takes: the same logs.
WORD_BITS = 64  # (I: shared kernels come out at whole weight sizes)
# weight, index and the like of one synapse in a dense layer or a list (I: 15 to 20 are seen)
SYNAPSE_BITS = 20
AXON_HEADER_BITS = 12  # of the synapses of one input axon (I)
KERNEL_AXONS = 2  # input axons of a convolution, whatever its size (S: 1 or 2 are seen)
KERNEL_MAPS = 2  # axon maps for each place of a map that feeds a convolution (I: 1 or 2 are seen)
KERNEL_OUT_AXONS = (
    1  # output axons for each such place (?: from 1/2 to 8 are seen; none for a dense layer, S)
)


# Where cores and chips lie, for the placement. Public sources give the mesh of a chip only.
CHIP = (16, 8, 1)  # cores of a die along x, y (I: "8 x 16 mesh" in REPORTS)
CORES_OFF = {
    "oheogulch": 8,
    "kapohopoint": 8,
    "halapoint": 6,
}  # of 128 that are not handed out; which ones: (?) the last
SYSTEMS = {
    "oheogulch": (1, 1, 1),
    "kapohopoint": (2, 2, 2),
    "halapoint": (12, 12, 8),
}  # chips along x, y, z (?)
CHIP_LINK = 4  # what a step to the next chip costs, in steps between cores (?)


def _variant(
    variant: str, description: str, *, chips: int, cores: int, cores_source: str, certainty: str
) -> Target:
    return Target(
        "loihi2",
        variant,
        "Loihi 2",
        description,
        (
            Limit("cores", cores, "L801", cores_source, certainty),
            Limit("chips", chips, "L801", REPORTS, "I"),
            Limit("neurons of a core", 4096, "L802", LOGS, "I"),
            Limit("neuron groups of a core", 8, "L803", LOGS, "I"),
            Limit("input axons of a core", 16000, "L804", LOGS, "I"),
            Limit("axon maps of a core", 16000, "L805", LOGS, "I"),
            Limit("output axons of a core", 16000, "L806", LOGS, "I"),
            Limit("synapse memory of a core", 12000, "L807", LOGS, "S", "64-bit words"),
            Limit("shared memory of a core", 120_000, "L808", LOGS, "I", "bytes"),
            Limit("delay", DELAY[1], "L809", DENSE_MODELS, "S", "steps"),
        ),
    )


OHEO_GULCH = _variant(
    "oheogulch",
    "Oheo Gulch, 1 chip",
    chips=1,
    cores=120,
    cores_source=f"{COMPILER}; 128 on the die",
    certainty="S",
)
KAPOHO_POINT = _variant(
    "kapohopoint",
    "Kapoho Point, 8 chips",
    chips=8,
    cores=8 * 120,
    cores_source=f"{COMPILER}, times 8",
    certainty="S",
)
HALA_POINT = _variant(
    "halapoint",
    "Hala Point, 1152 chips",
    chips=1152,
    cores=140_544,
    cores_source=f"{REPORTS}; 122 of a chip",
    certainty="I",
)

# The order in which `--target loihi2` tries them: the smallest system first.
VARIANTS = (OHEO_GULCH, KAPOHO_POINT, HALA_POINT)
