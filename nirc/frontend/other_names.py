"""Names of NIR's primitives in other tools: advice for a node with an unknown type.

Names are compared in small letters and without signs: ``Conv_2D`` is ``conv2d``.
"""

from __future__ import annotations

import difflib

from nirc.frontend.primitives import PRIMITIVES

EXPRESS = "express the layer by NIR primitives when exporting"
SUFFIXES = (
    "layer",
    "node",
    "neuron",
    "neurons",
    "cell",
    "torch",
    "jax",
)  # of classes: LIFCell, IFNode
RECURRENT = "did you mean {0}? Write the recurrence as a Linear node from the {0} to itself"

# NIR's name, then the names in other tools.
MEANS: dict[str, str] = {
    "Threshold": "spike spikes spiking heaviside step stepfunction spikefunction spikegenerator "
    "binarize fire",
    "Input": "in inputs source placeholder inputport spikeinput spikesource data",
    "Output": "out outputs sink outputport target",
    "Scale": "gain mul multiply elementwisemul elementwisescale scaling",
    "Flatten": "reshape view ravel squeeze unsqueeze",
    "Delay": "axondelay synapticdelay delayline delays axonaldelay",
    "NIRGraph": "graph subgraph sequential module network modulelist nir block",
    "Conv1d": "conv1 convolution1d conv1dlayer",
    "Conv2d": "conv2 convolution2d convolution2 convlayer2d conv2dlayer",
    "SumPool2d": "sumpool sumpooling sumpooling2d sumpool2",
    "AvgPool2d": "avgpool averagepool averagepooling averagepool2d averagepooling2d avgpooling "
    "meanpool meanpool2d",
    "I": "integrator accumulator nonspikingif",
    "LI": "leakyintegrator lowpass readout lireadout expleak expsyn exponentialfilter liboxcell "
    "libox nonspikinglif",
    "IF": "integrateandfire integratefire iaf iafsqueeze nonleakyif ifsqueeze iflif "
    "perfectintegrator",
    "LIF": "leakyintegrateandfire leakyif lapicque lifbox lifboxcell plif parametriclif "
    "lifsqueeze liflayer lifspike"
    " leakyifsqueeze lifrefrac glif",
    "CubaLI": "cubali cubaleakyintegrator currentli alphali",
    "CubaLIF": "cuba cubalifcell synaptic currentlif lifcurrent lifcurrexp ifcurrexp lifsyn "
    "lifexp sinabslif cublif"
    " currentbasedlif currentlifcell liftorch",
}
# Advice without a single primitive. ``FAMILIES`` lists the names for each.
OTHERWISE: dict[str, str] = {
    "dense": "did you mean Linear, or Affine with a bias?",
    "conv": "did you mean Conv1d or Conv2d?",
    "pool": "did you mean SumPool2d or AvgPool2d?",
    "leaky": "did you mean LIF, or LI without spikes?",
    "neuron": "did you mean LIF, IF or CubaLIF?",
    "synapse": "NIR has no synapse of its own: write its weights as Linear, its filter as LI or "
    "as the tau_syn of"
    " CubaLIF",
    "rlif": RECURRENT.format("LIF"),
    "rcubalif": RECURRENT.format("CubaLIF"),
    "rif": RECURRENT.format("IF"),
    "lifcell": "did you mean CubaLIF, as Norse exports it, or LIF?",
    "licell": "did you mean CubaLI, as Norse exports it, or LI?",
    "psulif": "did you mean LI, followed by Threshold?",
    "conv3d": "NIR has no Conv3d: did you mean Conv2d, with time left out?",
    "deconv": "NIR has no transposed convolution: write it as Linear, with its matrix",
    "depthwise": "did you mean Conv2d? Write its groups: as many as it has channels",
    "maxpool": "NIR has no MaxPool2d: train with SumPool2d or AvgPool2d",
    "globalpool": "did you mean AvgPool2d? Write the size of the map as its kernel_size",
    "avgpool1d": "NIR pools in two axes only: did you mean AvgPool2d, or SumPool2d?",
    "relu": "NIR has no ReLU, since it describes spiking networks: put IF, LIF or Threshold in "
    "its place",
    "batchnorm": "NIR has no normalisation: fold it into the weight and bias of the layer before "
    "it",
    "dropout": "leave it out when exporting: it does nothing after training",
    "identity": "leave it out when exporting, and join the edges",
    "add": "NIR has no node for a sum: let both edges lead to the next node, where signals add up",
    "concat": "NIR does not concatenate: give each signal its own Linear, and let their outputs "
    "add up",
    "adaptive": "NIR has no adaptive threshold: train with LIF or CubaLIF",
    "izhikevich": "NIR has no such neuron: train with LIF or CubaLIF",
    "rnn": "NIR has spiking neurons only: train with LIF or CubaLIF, and write the recurrence as "
    "a Linear node",
    "softmax": "leave it out when exporting: the largest output stays the largest",
}
FAMILIES: dict[str, str] = {
    "dense": "dense fc fullyconnected fullconnection gemm matmul innerproduct lineartorch weight "
    "weights projection"
    " connection denselayer linearlayer synapsedense fullyconnectedlayer",
    "conv": "conv convolution convolutional convnd convlayer",
    "pool": "pool pooling pool2d",
    "leaky": "leaky",
    "neuron": "neuron neurons population spikingneuron lifpopulation",
    "synapse": "synapse synapses syn synapticfilter dualexponential alphasynapse",
    "rlif": "rlif rleaky lifrecurrent recurrentlif lifrefracrecurrent rlapicque",
    "rcubalif": "rcubalif rsynaptic recurrentcubalif lifcubarecurrent",
    "rif": "rif recurrentif",
    "lifcell": "lifcell",
    "licell": "licell",
    "psulif": "psulif",
    "conv3d": "conv3d convolution3d",
    "deconv": "deconv convtranspose1d convtranspose2d transposedconv2d conv2dtranspose "
    "upsample upsampling2d",
    "depthwise": "depthwiseconv depthwiseconv2d separableconv2d",
    "maxpool": "maxpool maxpool1d maxpool2d maxpooling maxpooling2d adaptivemaxpool2d "
    "spikingmaxpooling2dlayer",
    "globalpool": "adaptiveavgpool2d globalaveragepooling2d globalavgpool globalaveragepool",
    "avgpool1d": "avgpool1d sumpool1d averagepooling1d avgpool3d sumpool3d",
    "relu": "relu relu6 leakyrelu sigmoid tanh gelu elu silu swish activation celu prelu "
    "hardtanh clamp",
    "batchnorm": "batchnorm batchnorm1d batchnorm2d batchnormalization layernorm "
    "norm groupnorm instancenorm2d"
    " normalization tdbn",
    "dropout": "dropout dropout1d dropout2d spatialdropout2d",
    "identity": "identity noop passthrough merge nonspiking",
    "add": "add addition residual plus sum",
    "concat": "concat cat concatenate stack join",
    "adaptive": "alif adlif adex adaptivelif lifadex adaptive asrm sali",
    "izhikevich": "izhikevich izh hodgkinhuxley hh srm srm0 alpha resonateandfire rf brf",
    "rnn": "rnn gru lstm convlstm slstm sconv2dlstm elman",
    "softmax": "softmax logsoftmax argmax",
}
_ADVICE: dict[str, str] = {}
for _kind, _others in MEANS.items():
    _ADVICE |= dict.fromkeys(_others.split(), f"did you mean {_kind}?")
for _family, _others in FAMILIES.items():
    _ADVICE |= dict.fromkeys(_others.split(), OTHERWISE[_family])
_ADVICE |= {kind.lower(): f"did you mean {kind}?" for kind in PRIMITIVES}


def advice(name: str) -> str:
    """Return a sentence of help for the unknown type ``name``."""
    plain = "".join(c for c in name[:60].lower() if c.isalnum())
    for known in (plain, *_without_suffix(plain)):
        if known in _ADVICE:
            return _ADVICE[known]
    close = difflib.get_close_matches(plain, _ADVICE, n=1, cutoff=0.75)
    return _ADVICE[close[0]] if close else EXPRESS


def _without_suffix(plain: str) -> list[str]:
    return [plain.removesuffix(end) for end in SUFFIXES if plain.endswith(end) and plain != end]
