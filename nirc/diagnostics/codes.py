"""Every diagnostic code with its title; ``explain/CODE.md`` tells the rest. A code is never reused.

The first letter is the family: F file, G graph, P passes, D dynamics that differ from the model,
X Xylo limits, S Speck limits, L Loihi 2 limits, N SpiNNaker2 limits, U usage and data, B a bug in nirc.
"""

from __future__ import annotations

from nirc.errors import CompileError, InputError, NircError, UsageError

CODES: dict[str, str] = {
    # F: the file itself (exit 3)
    "F101": "the file does not exist or cannot be opened",
    "F102": "the file is not HDF5",
    "F103": "the file is HDF5 but not a NIR graph",
    "F104": "the file is damaged",
    "F105": "the file holds a link or data stored elsewhere, which is never followed",
    "F106": "the file asks for more memory or depth than is allowed",
    "F107": "a field holds something that is not numbers or text",
    "F108": "a node has a type that is not a NIR primitive",
    "F109": "a node lacks a field",
    "F110": "a parameter holds NaN or a value outside its domain",
    "F111": "a field that NIR does not know is ignored",
    "F112": "a node name contains a slash and was read as nested groups",
    "F113": "the names, text or list of edges cannot be read",
    # G: the graph. 2xx repairs are warnings, 25x are refusals (exit 3)
    "G201": "a duplicate edge is dropped",
    "G202": "an edge names a subgraph that was flattened into dotted names",
    "G203": "an edge inside a subgraph names its node by another name",
    "G204": "an edge goes from a flattened subgraph to itself",
    "G205": "a parameter has leading axes of length 1",
    "G206": "a scalar parameter stands for a whole population",
    "G207": "the declared shape of an Input or Output disagrees with its neighbour",
    "G208": "a declared input shape disagrees with the signal that arrives",
    "G209": "Flatten counts a batch axis",
    "G210": "a pool's stride contradicts the shapes around it",
    "G211": "an infinite time constant is read as an integrator",
    "G212": "the graph has no Input or no Output",
    "G213": "a node that reaches no output, or that no input reaches, is removed",
    "G214": "a convolution's input shape was inferred",
    "G215": "a signal is flattened for a linear layer",
    "G216": "a per-channel parameter stands for a whole map",
    "G217": "the gain of an integrate-and-fire node is read as a gain per step",
    "G218": "v_reset is absent and read as 0",
    "G219": "w_in is absent and read as 1",
    "G251": "an edge names a node that does not exist",
    "G252": "shapes contradict each other",
    "G253": "a shape cannot be inferred",
    "G254": "the graph is empty or connects nothing",
    "G255": "a parameter's shape fits its population in no single way",
    # P: passes (exit 1)
    "P301": "the time step cannot be inferred from the file",
    "P302": "the file contradicts itself about the time step",
    "P303": "a time constant is shorter than the time step",
    "P304": "a delay is not a whole number of steps",
    "P305": "a linear path closes on itself without a neuron",
    "P306": "an analog signal would cross between populations",
    "P307": "a projection has too many entries to unroll",
    "P308": "an output does not come directly from neurons",
    "P309": "the time step was inferred from the file",
    "P310": "the given time step differs from the one that the file suggests",
    "P311": "nothing is left to compile",
    "P312": "the chip answers worse than allowed",
    "P313": "a population falls silent on the chip",
    "P314": "NIR has no words for a part of the network",
    "P315": "something that NIR cannot say is left out of an exported file",
    # D: the chip's dynamics differ in kind from the model's (error under --strict)
    "D401": "reset: the chip subtracts the threshold",
    "D402": "decay: the chip's time constants are powers of two of the time step",
    "D403": "the chip filters every synapse for at least one step",
    "D404": "hidden neurons may fire several times in a step",
    "D405": "there is no exact integrator on the chip",
    "D406": "a loop through several populations takes more steps on the chip",
    "D407": "paths of different length meet: one signal arrives early or late",
    "D408": "an output is copied by a relay neuron",
    "D409": "a constant input reaches the membrane without its synaptic start-up",
    "D410": "weights round to zero",
    "D412": "a value was clipped to the chip's range",
    "D413": "a memoryless threshold is filtered by the synapse",
    "D414": "thresholds were scaled on the calibration inputs",
    "D415": "a constant input acts by ticks of a clock, not with the events",
    "D416": "neurons fire once per event, not once per step",
    "D417": "leak: constant on the chip, proportional in the model",
    "D418": "spikes that pooling leaves out are taken to be dropped",
    # X: limits of Xylo (exit 1)
    "X501": "too many input channels",
    "X502": "too many hidden neurons",
    "X503": "too many output neurons",
    "X504": "a neuron has too many targets",
    "X505": "too many recurrent entries in total",
    "X506": "too many neurons need the places that inputs reach",
    "X507": "too many neurons need the places that outputs leave from",
    "X508": "no order of the neurons satisfies the first-128 and last-128 rules together",
    "X509": "too many synaptic states for one neuron",
    "X510": "a value in the configuration is outside the chip's range",
    "X511": "the clock is too slow for the time step",
    "X513": "the variant that was chosen, and why",
    "X514": "inputs above 15 spikes per channel and step are clipped",
    "X515": "relay neurons were added",
    # S: limits of Speck (exit 1)
    "S701": "the kernel is too large for a core",
    "S702": "a stride is not one of 1, 2, 4, 8",
    "S703": "padding is above 7",
    "S704": "a map is larger than a core takes",
    "S705": "a layer has too many input channels",
    "S706": "pooling after spiking is not one that the chip has",
    "S707": "the kernel memory is too small",
    "S708": "the neuron memory is too small",
    "S709": "the bias memory is too small",
    "S710": "a layer has too many destinations",
    "S711": "the layers cannot be placed on the cores together",
    "S712": "the chip has no such neuron",
    "S713": "thresholds, gains or biases differ within a channel",
    "S714": "recurrence",
    "S715": "delays",
    "S716": "a threshold is not positive",
    "S717": "a value in the configuration is outside the chip's range",
    "S718": "the slow clock cannot tick once per time step",
    "S719": "the readout layer cannot take this output",
    "S720": "the input does not fit the event camera",
    "S721": "projections into a population cannot share a core",
    "S722": "a layer was split over several cores",
    # L: limits of Loihi 2 (exit 1); L801 to L809, its sizes, come with the compiler for it
    "L810": "a value in the network is outside the chip's range",
    # N: limits of SpiNNaker2 (exit 1)
    "N904": "a routing table has too many entries",
    "N910": "a value in the network is outside the range of SpiNNaker2",
    "N920": "the slices need more routing keys than there are",
    # U: usage and data
    "U601": "unknown target or variant",
    "U602": "the output directory is not empty and not a bundle",
    "U603": "the data file cannot be read as input rasters",
    "U604": "the raster does not fit the network's inputs",
    "U605": "the bundle is damaged, incomplete or of another version",
    "U606": "unknown diagnostic code, pass or population",
    "U607": "an option has a value that makes no sense",
    "U608": "the bundle cannot be written",
    "U609": "the data's time step differs from the model's",
    "U610": "the bundle has no mapping to show",
    "U611": "a package that draws is not installed",
    # B: nirc itself (exit 70)
    "B901": "a bug in nirc",
}

_USAGE = {"U601", "U602", "U606", "U607", "U608", "U610", "U611"}


def error_class(code: str) -> type[NircError]:
    """Which exception, and so which exit status, an error with this code means."""
    if code[0] in "FG" or (code[0] == "U" and code not in _USAGE):
        return InputError
    return UsageError if code in _USAGE else CompileError
