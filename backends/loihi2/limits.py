"""The limits of Loihi 2, the ranges of its words and its published costs, each declared once.

No public document lists the resources of a neurocore. Most maxima below were read off the logs of
Intel's own partitioner (LOGS), which prints counts in some runs and percentages in others. See the
targets sheet, section 1.2. Certainty: S read in the source, M measured, I inferred, ? chosen.
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
# The rule adds 1: 4095 is no memory, and there is no perfect integrator (S: LIF_MODELS).
DU = (0, 4095)
DV = (0, 4096)  # 12 bits are documented. lava-dl writes 4096, no memory (S, netx/hdf5.py)
VTH = (0, 131071)  # compared after << 6 (S: LIF_MODELS)
BIAS_MANT = (-4096, 4095)  # (S: LIF_MODELS)
BIAS_EXP = (0, 7)  # (S: LIF_MODELS)
# As given to Lava. Truncation follows, see ``rule.effective_weights`` (S: DENSE_MODELS).
WEIGHT = (-256, 255)
WEIGHT_BITS = (1, 8)  # (S: DENSE_MODELS)
WEIGHT_EXP = (-8, 7)  # (?: range of TOOLS_1; Lava takes any)
DELAY = (0, 63)  # steps on top of the one that every synapse takes (S: DENSE_MODELS)
CONV_WEIGHT = (-256, 254)  # even: Lava's convolution neither clips nor drops bits (M: CONV_MODELS)
CONV_MAP = (1, 256)  # rows, columns: the chip's coordinates wrap around at 256 (S: LOGS warn of it)
CONV_STEP = (1, 127)  # kernel size, stride, dilation, groups: held in int8 (S: CONV_MODELS)
CONV_PADDING = (0, 127)  # likewise
STATE_SHIFT = 6  # synaptic input and threshold are shifted left by it (S: LIF_MODELS)
WRAP = 1 << 23  # u wraps around beyond it (S: LIF_MODELS)

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
# Output axons for each such place (?: from 1/2 to 8 are seen; none for a dense layer, S).
KERNEL_OUT_AXONS = 1


# Where cores and chips lie, for the placement. Public sources give the mesh of a chip only.
CHIP = (16, 8, 1)  # cores of a die along x, y (I: "8 x 16 mesh" in REPORTS)
# Cores of 128 that a network cannot have (?: the last ones).
CORES_OFF = {"oheogulch": 8, "kapohopoint": 8, "halapoint": 6}
# Chips along x, y, z (?).
SYSTEMS = {"oheogulch": (1, 1, 1), "kapohopoint": (2, 2, 2), "halapoint": (12, 12, 8)}
CHIP_LINK = 4  # cost of a step to the next chip, in steps between cores (?)

# Energy and time in events of Loihi 1: nothing is published of Loihi 2's own. Intel claims up to
# ten times faster processing, without a figure for an operation. So no factor is applied.
LOIHI_1 = "Loihi 1 as a stand-in: SANA-FE, after Davies et al. 2018"  # its arch/loihi.yaml
NOTEBOOKS = "lava-dl, PilotNet notebooks, Oheo Gulch"
OPERATION_J = 35.5e-12  # a synaptic operation
ACCESS_J, ACCESS_S = 51.2e-12, 6.0e-9  # of a neuron, each step
UPDATE_J, UPDATE_S = 21.6e-12, 3.7e-9  # of a neuron, each step
SPIKE_J = 69.3e-12
MESSAGE_J = 111.0e-12
BARRIER_S = 1.8e-6  # of 29 tiles, the most that is published
STATIC_W = 0.232  # of a chip, the lower of the two that were measured


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
            Limit("neurons of a core", 4096, "L801", LOGS, "I"),
            Limit("neuron groups of a core", 8, "L801", LOGS, "I"),
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
