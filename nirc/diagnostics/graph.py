"""Findings: the graph of a file. Codes below G251 are repairs."""

from __future__ import annotations

from collections.abc import Sequence

from nirc.diagnostics.errors import InputError
from nirc.diagnostics.finding import Finding, Words
from nirc.diagnostics.similar import did_you_mean

NIR_READER = "NIR specification, reader of nir 1.0.8"


class GraphFinding(Finding):
    """A finding about the graph of a file: exit status 3."""

    raises = InputError


class DuplicateEdge(GraphFinding):
    code = "G201"
    title = "a duplicate edge is dropped"
    severity = "warning"
    meaning = """
    The file lists the same pair of nodes twice. Edges are a set in NIR: a signal that arrives over
    one edge arrives once, however often the edge is written. nirc keeps the first and drops the
    others; weights and results are as if it stood there once. Pairs also count as the same if they
    are spelt differently but mean the same nodes (see G202 and G203).
    """
    example = """
    `edges` holds `("input", "fc1")` twice, as some exporters write for a node that they visit by
    two ways. nirc uses it once, so `fc1` does not get twice its input.
    """
    what_to_do = """
    Usually nothing: this is the reading of the NIR specification. If the model was meant to get
    the signal twice, say so with a Scale node of 2, or double the weights, and export again.
    """
    sources = """
    NIR specification: edges are a set of pairs. Duplicates were measured in published files.
    """

    source: str
    target: str

    def words(self) -> Words:
        return Words(f"edge {self.source!r} -> {self.target!r} occurs more than once")


class MoreDuplicateEdges(DuplicateEdge):
    """Duplicate edges beyond those that are named."""

    source: str = ""
    target: str = ""
    others: int

    def words(self) -> Words:
        return Words(f"{self.others} more edges occur more than once")


class EdgeToFlattenedSubgraph(GraphFinding):
    code = "G202"
    title = "an edge names a subgraph that was flattened into dotted names"
    severity = "warning"
    meaning = """
    An edge names something that is not a node, but there are nodes whose names begin with it and a
    dot: the exporter dissolved a subgraph into its parts and left the edges behind. nirc connects
    such an edge with the subgraph's own port: where the name is the target with its only Input,
    where it is the source with its only Output. The port is a plain wire, so nothing else changes.
    """
    example = """
    The nodes are `lif1.input`, `lif1.w_rec`, `lif1.lif` and `lif1.output`, the edges say `fc1 ->
    lif1` and `lif1 -> fc2`. They are read as `fc1 -> lif1.input` and `lif1.output -> fc2`. The
    recurrent Braille networks from the history of the NIR paper look like this.
    """
    what_to_do = """
    Check the two readings in the message. If they are right, nothing is to be done; an export with
    a newer version of the training framework writes names that need no reading. If the subgraph
    has no Input or several, the edge cannot be read and the message is G251.
    """
    sources = """
    Measured on `braille_v2` in the published history of the NIR repository;
    docs/reference/tolerance.md.
    """

    name: str  # in the edge
    port: str

    def words(self) -> Words:
        message = f"`{self.name}` is a flattened subgraph: edges reach it through `{self.port}`"
        return Words(message, found=self.name)


class EdgeByAnotherName(GraphFinding):
    code = "G203"
    title = "an edge inside a subgraph names its node by another name"
    severity = "warning"
    meaning = """
    An edge uses a name that is not a node at this place, and there is exactly one node that it can
    mean. Three readings are tried: inside a subgraph `lif1` the name `lif1.lif` (its name seen
    from outside) is the subgraph's own `lif`; outside, `lif1.lif` or `lif1/lif` is the node `lif`
    in the nested graph `lif1`; and if a graph has one unknown name and one node that no edge
    mentions, they mean each other.
    """
    example = """
    The nested graph `hidden` has the nodes `input`, `lif`, `w_rec` and `output`, and among its
    edges is `hidden.lif -> output`. It is read as `lif -> output`.
    """
    what_to_do = """
    Compare the reading in the message with the model. If it is right, go on. If not, correct the
    edge and export again; naming a node that exists always takes precedence over any reading.
    """
    sources = """
    Measured on published files of the NIR repository's history; docs/reference/tolerance.md.
    """

    name: str  # in the edge
    node: str

    def words(self) -> Words:
        return Words(f"`{self.name}` is read as {self.reading()}", found=self.name)

    def reading(self) -> str:
        """Return the node that the name means, and why."""
        return f"this subgraph's own `{self.node}`"


class EdgeIntoSubgraph(EdgeByAnotherName):
    """An edge names a node inside a nested graph."""

    subgraph: str  # its path

    def reading(self) -> str:
        return f"node `{self.node}` inside subgraph `{self.subgraph}`"


class EdgeToOnlyNodeLeft(EdgeByAnotherName):
    """An edge names nothing, and one node has no edge."""

    def reading(self) -> str:
        return f"`{self.node}`, the only node that no edge names"


class SubgraphToItself(GraphFinding):
    code = "G204"
    title = "an edge goes from a flattened subgraph to itself"
    severity = "warning"
    meaning = """
    The graph has an edge from a subgraph to itself, but the subgraph has been dissolved into nodes
    with dotted names, and its recurrence is there among them. The edge is a remainder of the
    nested form. nirc drops it: kept, it would feed the subgraph's output into its input once more.
    """
    example = """
    Nodes `lif1.lif` and `lif1.w_rec` with the edges `lif1.lif -> lif1.w_rec` and `lif1.w_rec ->
    lif1.lif`, and beside them the edge `lif1 -> lif1`. The first two are the recurrence; the last
    is dropped.
    """
    what_to_do = """
    Look with `nirc inspect` whether the population is recurrent, as it was trained. If the loop is
    missing because the dissolved nodes do not contain it, add the edges of the recurrence when
    exporting.
    """
    sources = """
    Measured on published files of the NIR repository's history; docs/reference/tolerance.md.
    """

    subgraph: str

    def words(self) -> Words:
        return Words(
            f"the edge from flattened subgraph `{self.subgraph}` to itself is dropped: its "
            "recurrence is inside"
        )


class LeadingAxesOfOne(GraphFinding):
    code = "G205"
    title = "a parameter has leading axes of length 1"
    meaning = """
    A parameter, a weight or a signal has further axes of length 1, as frameworks write that keep a
    batch or time axis. NIR shapes have neither. nirc drops these axes, or rearranges a parameter
    that has exactly as many values as there are neurons into the population's shape, in C order.
    No value changes.
    """
    example = """
    A population of 16 x 16 x 16 neurons whose `v_threshold` has the shape (1, 16, 16, 16); a layer
    of 38 neurons whose `tau` has the shape (1, 1, 38). They are read as (16, 16, 16) and (38,).
    """
    what_to_do = """
    Nothing, if the shape in the message is that of your population. To be rid of the warning,
    squeeze the parameters before exporting.
    """
    sources = """
    Measured: published files exported by sinabs and Rockpool have such axes, and the reader of nir
    1.0.8 refuses some of them.
    """


class ScalarParameter(GraphFinding):
    code = "G206"
    title = "a scalar parameter stands for a whole population"
    meaning = """
    A neuron, Scale or Delay node stores one number where the signal has many, so nirc uses that
    number for every neuron. This is how NumPy and PyTorch would broadcast it, but a file that
    really lost its parameters would look the same; hence the warning.
    """
    example = """
    A LIF node with `tau` = 0.002 as a scalar behind an Affine node with 38 outputs: all 38 neurons
    get the time constant of 2 ms. The message lists all fields of the node that are scalars.
    """
    what_to_do = """
    Check that the layer was trained with one value for all its neurons. If so, nothing is to be
    done. Otherwise export the parameters with one value for each neuron.
    """
    sources = "Exporters of snnTorch write scalars for a whole layer; measured on their files."


class DeclaredShapeOverruled(GraphFinding):
    code = "G207"
    title = "the declared shape of an Input or Output disagrees with its neighbour"
    meaning = """
    An Input or Output declares a shape that does not agree with what it is connected to, and nirc
    reads the other shape. The message gives both. There are two cases. Either the declaration has
    further axes in front, of a batch or of time, which NIR shapes do not have: they are dropped (a
    note where all of them are 1). This is certain where the nodes behind it fix the number of
    axes, as a weight or a kernel does. Or it declares another number of values: then weights are
    trusted, but only if it is the only Input (or Output) of its graph and all other nodes at its
    signal agree. Otherwise the contradiction is refused (G252).
    """
    example = """
    An Input declares (256, 12), 256 time steps of 12 channels, and feeds an Affine node whose
    weight takes 12 values: the shape is read as (12,). An Input of (4, 2, 8, 8) in front of a
    Conv2d of two channels is read as (2, 8, 8). An Output that declares (1, 10) behind 10 neurons
    is read as (10,). The only Input declares (7,), and the weight behind it takes 3 values: it is
    read as (3,).
    """
    what_to_do = """
    Give data in the shape that was used: `nirc inspect` prints it, and `nirc run` expects `inputs`
    as (samples, steps, ...that shape). If the declared shape was right and the weights are wrong,
    correct the model and export again.
    """
    sources = """
    NIR specification: shapes contain no batch and no time axis. The disagreement occurs in
    published files, measured.
    """


class DeclaredInputShape(GraphFinding):
    code = "G208"
    title = "a declared input shape disagrees with the signal that arrives"
    meaning = """
    A convolution stores `input_shape`, height and width (or length) of the signal that it expects,
    and another signal arrives. The kernel works on any size, so nirc trusts the signal and
    computes the output's shape from it; the shapes behind must then agree, or the message is G252.
    If the neurons behind it agree with the declared shape, the Input is read in that shape instead
    (G207). A flat signal of exactly the right number of values is read in the declared shape,
    channels first, in C order.
    """
    example = """
    A Conv2d node with `input_shape` (28, 28) behind an Input of shape (1, 34, 34) is computed for
    34 x 34. A signal of 784 values in front of the same node is read as (1, 28, 28).
    """
    what_to_do = """
    Find out which of the two sizes the network was trained with. A signal of another size often
    means that a pooling or cropping layer was lost when exporting. Export again with the right
    `input_shape`, or without it: it is inferred then (G214).
    """
    sources = "NIR specification, Conv1d and Conv2d; reader of nir 1.0.8."


class FlattenCountsBatch(GraphFinding):
    code = "G209"
    title = "Flatten counts a batch axis"
    meaning = """
    `start_dim` and `end_dim` of a Flatten node count the axes of a signal, and NIR signals have no
    batch axis. PyTorch's do, and a file in which its numbers were copied is off by one. nirc reads
    them without the batch axis where the literal reading is impossible: the axes do not exist, the
    node's own `input_type` has one axis more than the signal, or only the shifted reading gives
    the number of values that the next layer takes.
    """
    example = """
    A signal of shape (8, 4, 4), then Flatten with `start_dim` 1 and `end_dim` -1, then an Affine
    node whose weight takes 128 values. Literally the signal would become (8, 16); it is read as
    (128,).
    """
    what_to_do = """
    Compare the shapes in the message with the network: if the second one is what the next layer
    was trained on, all is well. When exporting, subtract 1 from positive `start_dim` and
    `end_dim`.
    """
    sources = """
    NIR specification, Flatten; measured on `scnn_mnist` in the published history of the NIR
    repository.
    """


class PoolStride(GraphFinding):
    code = "G210"
    title = "a pool's stride contradicts the shapes around it"
    severity = "warning"
    meaning = """
    A pooling layer is stored with stride 1, and with that the shapes around it contradict each
    other. With the default of pooling layers, a stride as large as the kernel, every shape in the
    graph agrees. nirc then uses that, for all pools of stride 1 and only if it removes every
    contradiction.
    """
    example = """
    SumPool2d with `kernel_size` (2, 2) and `stride` (1, 1) between a population of 16 x 16 x 16
    and an Affine node that takes 1024 values: 15 x 15 maps would give 3600 values, 8 x 8 maps of
    stride 2 give 1024.
    """
    what_to_do = """
    Check that the layer was trained with this stride, which the message names, and correct the
    exporter: `stride` must be written even where the framework has a default.
    """
    sources = """
    PyTorch and sinabs: the default stride of a pool is its kernel size. NIR specification,
    SumPool2d and AvgPool2d.
    """


class InfiniteTimeConstant(GraphFinding):
    code = "G211"
    title = "an infinite time constant is read as an integrator"
    severity = "warning"
    meaning = """
    A time constant is infinite: nothing leaks, the neuron adds up what arrives. Frameworks export
    a decay factor of 1 in this way, since tau = dt / (1 - beta). nirc reads such a node as an
    integrator: a LIF as IF, a LI as I. With tau the gain is infinite as well, because r = tau /
    dt; then the gain is taken as 1 per step. A finite `r` stays, as gain per step.
    """
    example = """
    snnTorch's `Leaky(beta=1.0)` exports `tau` = inf and `r` = inf. The node is read as IF, with v
    := v + x in each step.
    """
    what_to_do = """
    Nothing, if the layer was trained without leak. Otherwise the file was made from wrong values:
    check `beta`. Note that some chips have no exact integrator (D405).
    """
    sources = "Measured on files exported by snnTorch."


class NoInputOrOutput(GraphFinding):
    code = "G212"
    title = "the graph has no Input or no Output"
    severity = "warning"
    meaning = """
    The graph has no node of type Input, or none of type Output, that stands at its border. nirc
    puts one at each node that nothing feeds, or that feeds nothing, and infers its shape from the
    weights. The names are `input_<node>` and `output_<node>`.
    """
    example = "A graph of only `fc1 -> lif1` gets `input_fc1` in front and `output_lif1` behind."
    what_to_do = """
    Check that inputs and outputs stand where you expect them: with several loose ends there are
    several, in the order of the nodes, and data is laid out in that order. `nirc inspect` shows
    them. Add Input and Output when exporting, to have names and shapes of your own.
    """
    sources = "NIR specification: Input and Output carry the shapes at the border of a graph."


class DeadNode(GraphFinding):
    code = "G213"
    title = "a node that reaches no output, or that no input reaches, is removed"
    severity = "warning"
    meaning = """
    A node has no influence on any output, or is a linear node that no signal ever reaches. nirc
    removes it, because it would only use up room on the chip. Neurons that no input reaches stay
    if an output depends on them: a leak potential or bias can make them fire. Inputs stay in any
    case, so that data of the model still fits.
    """
    example = """
    A side branch `fc3 -> lif3` for an auxiliary loss, used in training and not connected to the
    Output: both nodes are removed.
    """
    what_to_do = """
    Make sure that the branch is meant to be unused. If it should be an output, connect it with an
    Output node and export again. If its edge was lost, look for G251 or for a misspelt name.
    """
    sources = "A property of the graph alone: no value of any output changes."


class InferredInputShape(GraphFinding):
    code = "G214"
    title = "a convolution's input shape was inferred"
    meaning = """
    A convolution has no `input_shape`, and its kernel fits any size. nirc follows the signal from
    the Input through all layers, and the message gives the shape that arrives, channels first.
    """
    example = """
    A Conv2d node without `input_shape` behind an Input of shape (2, 34, 34) works on (2, 34, 34).
    """
    what_to_do = """
    Check the shape in the message. If a layer before it was read in an unexpected way (G207, G209,
    G210), the inferred shape is wrong too. An `input_shape` written by the exporter makes the file
    unambiguous, and this warning disappears.
    """
    sources = "NIR specification, Conv2d: `input_shape` may be absent."


class FlattenedForLinear(GraphFinding):
    code = "G215"
    title = "a signal is flattened for a linear layer"
    meaning = """
    A signal with several axes arrives at a Linear or Affine node, whose weight has as many columns
    as the signal has values. nirc lays the values in a row, in C order (channel, row, column), as
    a Flatten node would.
    """
    example = """
    Pooled maps of shape (16, 4, 4) arrive directly at an Affine node with a weight of shape (10,
    256).
    """
    what_to_do = """
    Check that the framework flattens in the same order: PyTorch does, frameworks with channels
    last do not. A Flatten node in the file makes the order explicit and the warning disappears.
    """
    sources = "NIR specification, Linear, Affine and Flatten."


class ParameterPerChannel(GraphFinding):
    code = "G216"
    title = "a per-channel parameter stands for a whole map"
    meaning = """
    A neuron, Scale or Delay node works on maps (channels, height, width), and its parameter has
    one value for each channel. nirc uses a channel's value for all its pixels.
    """
    example = """
    Maps of shape (16, 8, 8) and a `v_threshold` of shape (16,) or (16, 1, 1): all 64 neurons of a
    channel get the same threshold.
    """
    what_to_do = """
    Nothing, if the layer was trained with a value per channel. If the maps are 16 rows or 16
    columns large as well, the reading would not be certain, and the message is G255.
    """
    sources = """
    PyTorch's convention for values per channel; NIR itself asks for parameters in the population's
    shape.
    """


class GainPerStep(GraphFinding):
    code = "G217"
    title = "the gain of an integrate-and-fire node is read as a gain per step"
    severity = "note"
    meaning = """
    NIR defines the integrate-and-fire neuron as v' = r x, with a gain per second. Exporters write
    either r = 1 / dt, which does that, or r = 1 and mean v := v + x in each step. The two differ
    by the factor 1 / dt, usually thousands, so the nearer one is certain: a gain below 1 /
    sqrt(dt) is read as per step, a larger one is multiplied by dt. If the time step is not known,
    the border is 100.
    """
    example = """
    An IF node with r = 1 in a file with dt = 1e-4 s: border 100, so each input is added in full.
    With r = 10000 the result is the same.
    """
    what_to_do = """
    Nothing, if the network came from sinabs or snnTorch: this is what they mean. If a small gain
    per second is truly meant, multiply the weights in front of the node by r * dt and export with
    r = 1 / dt.
    """
    sources = """
    Exporters of sinabs and snnTorch; measured on their files (r = 1 in all IF nodes of the NIR
    paper's `cnn_sinabs`).
    """


class ResetVoltageAbsent(GraphFinding):
    code = "G218"
    title = "v_reset is absent and read as 0"
    severity = "warning"
    meaning = """
    The field `v_reset`, the membrane potential after a spike, is newer than many published files.
    Where it is absent, nirc takes 0, as the NIR reader does.
    """
    example = """
    An LIF node written in 2023, with `tau`, `r`, `v_leak` and `v_threshold` only. After a spike v
    := 0.
    """
    what_to_do = """
    Check how the network was trained. If its neurons subtract the threshold (sinabs, snnTorch by
    default), NIR cannot say so in any field: compile with `--reset subtract`. A wrong reset rule
    costs accuracy, see D401.
    """
    sources = "NIR specification, reader of nir 1.0.8: `v_reset` defaults to zero."

    def words(self) -> Words:
        return Words("`v_reset` is absent and read as 0", source=NIR_READER)


class InputGainAbsent(GraphFinding):
    code = "G219"
    title = "w_in is absent and read as 1"
    severity = "warning"
    meaning = """
    The field `w_in` of CubaLIF and CubaLI scales the input of the synapse. Where it is absent,
    nirc takes 1, as the NIR reader does. Unlike `w_in` = tau_syn / dt, which exporters write, it
    contains no time step, so a step of dt adds x * dt / tau_syn to the synaptic current.
    """
    example = """
    A CubaLIF node with `tau_syn` = 4e-4 s and no `w_in`, at dt = 1e-4 s: each input of 1 raises
    the current by 0.25.
    """
    what_to_do = """
    Compare the firing rates of `nirc verify` with those of the framework. If the network is
    silent, the gain is missing: export again with a version that writes `w_in`.
    """
    sources = "NIR specification, reader of nir 1.0.8: `w_in` defaults to 1."

    def words(self) -> Words:
        return Words("`w_in` is absent and read as 1", source=NIR_READER)


class DefaultAssumed(GraphFinding):
    code = "G220"
    title = "an absent field of a convolution, pool or Flatten is read as its usual default"
    severity = "warning"
    meaning = """
    A convolution lacks `bias`, `stride`, `padding`, `dilation` or `groups`, a pool lacks `stride`
    or `padding`, or a Flatten lacks `start_dim` or `end_dim`. NIR asks for all of them. nirc takes
    the default that PyTorch has for the layer: no bias, stride 1 (of a pool: the size of its
    kernel), padding 0, dilation 1, groups 1. For Flatten nirc takes the default of the nir
    package: axes 1 to -1. The message names the node, the field and the value.
    """
    example = """
    A Conv2d node with a weight of shape (4, 2, 3, 3) and no `padding`: "`padding` is absent and
    read as 0". The kernel then makes maps of 8 x 8 into maps of 6 x 6. Trained with a padding of
    1, the network had maps of 8 x 8.
    """
    what_to_do = """
    Compare the value with the layer that was trained. If it is right, nothing is to be done. If
    not, add the field: `h5py.File("m.nir", "r+")["node/nodes/conv/padding"] = [1, 1]`. Better, let
    the exporter write all fields.
    """
    sources = """
    PyTorch: Conv1d, Conv2d, AvgPool2d. nir 1.0.8: its reader refuses a convolution without these
    fields; Flatten has defaults there.
    """

    field: str
    value: object
    origin: str  # of the default

    def words(self) -> Words:
        return Words(
            f"`{self.field}` is absent and read as {self.value}",
            source=self.origin,
            help="write the field when exporting, also where the framework has a default",
        )


class EqualParameters(GraphFinding):
    code = "G221"
    title = "equal parameters in another shape are read as one"
    meaning = """
    A parameter of a neuron, Scale or Delay node has another shape than the signal, and all of its
    values are equal. It then means the same for any number of neurons, so nirc takes the one value
    for each of them. With values that differ the same shape is refused (G252), since nobody knows
    which value belongs to which neuron.
    """
    example = """
    Maps of shape (3, 8, 8), and an IF node whose `v_threshold` has the shape (8, 8), all ones: a
    population was exported without its channels. Or five equal values of `tau` for eight neurons.
    """
    what_to_do = """
    Check the number of neurons: the message gives the shape that arrives. If it is right, nothing
    is to be done. If the parameters have the right number, the layer before them is wrong.
    Exporting one value for each neuron makes the warning disappear.
    """
    sources = """
    NIR specification: parameters have the shape of the population. Exporters that take the shape
    from one channel or one sample write such parameters.
    """


class BatchAxisDropped(GraphFinding):
    code = "G222"
    title = "a batch axis of parameters is dropped"
    severity = "warning"
    meaning = """
    A parameter of a neuron, Scale or Delay node has further axes before the shape of the signal,
    and along them it repeats the same values. That is a batch axis: the exporter wrote the state
    of several samples. NIR shapes have none, so nirc keeps one row. Where the rows differ, no
    single reading is certain, and the message is G252.
    """
    example = """
    An Affine node with eight outputs, and a LIF node whose `tau` has the shape (4, 8), four equal
    rows: it is read as (8,).
    """
    what_to_do = """
    Nothing, if the shape in the message is that of your population. To be rid of the warning,
    export with one sample, or take one row: `tau[0]`.
    """
    sources = """
    NIR specification: shapes contain no batch and no time axis. The same rule holds for an Input
    (G207) and a Flatten (G209).
    """

    subject: str  # a node, or a field of the node at this place
    lead: tuple[int, ...]  # the dropped axes
    found: str  # shape
    kept: str  # shape

    def words(self) -> Words:
        return Words(
            f"`{self.subject}`: the leading axes {self.lead} repeat the same values: a batch axis, "
            "which is dropped",
            found=self.found,
            limit=self.kept,
        )


class EdgeToNowhere(GraphFinding):
    code = "G251"
    title = "an edge names a node that does not exist"
    meaning = """
    The name of one end of an edge is neither a node of its graph nor anything that could stand for
    one (a flattened subgraph, a name seen from another level, or the only node that is left over).
    Without knowing where the signal goes nirc does not go on.
    """
    example = """
    Nodes `input`, `fc1`, `lif1`, `output` and an edge `fc1 -> lif_1`. As `lif1` is named by other
    edges, nothing makes the reading certain; the help says "did you mean `lif1`?".
    """
    what_to_do = """
    Correct the name in the exporting script. With the nir package: read the file, replace the pair
    in `graph.edges`, write it again. The message lists the names that exist.
    """
    sources = """
    NIR specification: edges are pairs of names of nodes. Readings that are certain are in
    docs/reference/tolerance.md.
    """

    name: str
    nodes: Sequence[str]  # of the graph

    def words(self) -> Words:
        known = ", ".join(sorted(self.nodes)[:12]) + (", ..." if len(self.nodes) > 12 else "")
        otherwise = "export the model again, or correct the edge"
        return Words(
            f"an edge names `{self.name[:200]}`, which is not a node of this graph",
            found=self.name[:200],
            limit=f"one of {known}",
            help=did_you_mean(self.name, self.nodes, otherwise),
        )


class ShapeContradiction(GraphFinding):
    code = "G252"
    title = "shapes contradict each other"
    meaning = """
    A signal arrives at a node that cannot take it: its weight, parameters, channels or kernel ask
    for another shape, and no reading that is certain (G205 to G210, G215, G216, G221, G222)
    resolves it. Each cause is one error. The node that is named is the one that most others at the
    signal contradict: weights by their columns and rows, neurons by their parameters, Input and
    Output by what they declare, and nodes further behind. Where nobody has a majority, the message
    names all sides. Found is what the named field says, limit what the others ask for. Shapes
    contain no batch and no time axis. What lies behind a contradiction is not looked at.

    Signals that meet at a node are added up. nirc never joins them into one signal, and never
    reads an Input or Output as larger or smaller than it declares where there are several of them.
    """
    example = """
    Inputs of 2 and 3 values, both with an edge to a Linear node that takes 5: "`inA` (2 values)
    and `inB` (3 values) meet here: NIR adds such signals, it does not join them into 5 values". An
    Affine node with a weight of shape (10, 256) behind a convolution and neurons of shape (16, 5,
    5): "its weight takes 256 values, but `conv` and `neurons` agree on shape (16, 5, 5)".
    """
    what_to_do = """
    Correct the node that is named, and export again; a second contradiction may show then. Two
    Inputs that belong together: use one Input of 5 values, or two Linear nodes of shape (n, 2) and
    (n, 3) whose outputs add up. Several Outputs that share a population: use one Output. Other
    frequent causes: a pool's kernel or stride, a padding that was not exported (G220), an Input
    declared for other data. Weights that are stored as (in, out) are G256.
    """
    sources = """
    NIR specification, shapes of each primitive: several edges into a node add up. Weights are laid
    out as PyTorch does.
    """


class UnknownShape(GraphFinding):
    code = "G253"
    title = "a shape cannot be inferred"
    meaning = """
    Nothing says which shape a node works on. Either an Input declares no shape and the nodes
    behind it fit any, or no signal of known shape reaches the node, or an edge leads to a nested
    graph that has not exactly one Input (or Output) that it could mean.
    """
    example = """
    An Input without `shape` in front of a Conv2d without `input_shape`: the kernel tells the
    channels, but not height and width. Or: an edge `fc1 -> block`, and the subgraph `block` has
    two Inputs. Or: an Output that no edge leads to.
    """
    what_to_do = """
    Write the shape into the Input node when exporting, or `input_shape` into the convolution. For
    a subgraph with several ports, let the edge name the inner node, as in `block.input_left`.
    """
    sources = "NIR specification, Input and Conv2d."


class EmptyGraph(GraphFinding):
    code = "G254"
    title = "the graph is empty or connects nothing"
    meaning = """
    There is nothing to compile. The graph has no nodes; or it has no Input (Output) and no node
    where one could be put, since all are part of a loop; or no output depends on any input or
    neuron.
    """
    example = """
    A file whose edges are `input -> lif1` and `fc1 -> output`, as `fc1 -> lif1` got lost and the
    ends were joined wrongly: what the Output shows depends on nothing. Or a graph that is one
    loop, `lif1 -> w_rec -> lif1`, without Input and Output.
    """
    what_to_do = """
    Look at the edges with `nirc inspect`. Often the exporter wrote nodes under other names than
    the edges use, or the last edge to the Output is missing. Export the model again.
    """
    sources = (
        "NIR specification: a graph is nodes and edges; an Input and an Output are its border."
    )

    def words(self) -> Words:
        return Words("the graph has no nodes", help="export the model again")


class AmbiguousParameter(GraphFinding):
    code = "G255"
    title = "a parameter's shape fits its population in no single way"
    meaning = """
    A parameter could be laid over the neurons in two ways, and each gives another network. It has
    as many values as there are channels, and as many as the maps have rows or columns. nirc does
    not guess.
    """
    example = """
    A convolution gives maps of shape (8, 8, 8), and the `v_threshold` behind it has the shape (8,)
    and values that differ: one for each channel, or one for each column, as NumPy would broadcast
    it?
    """
    what_to_do = """
    Export the parameter in the full shape (8, 8, 8), or as (8, 1, 1) for one value per channel,
    which is unambiguous.
    """
    sources = "PyTorch and NumPy disagree on such parameters; NIR asks for the population's shape."


class OtherAxisOrder(GraphFinding):
    code = "G256"
    title = "weights are stored in another order of axes"
    meaning = """
    As they stand, the weights contradict what is around them: the Input, the neurons or the
    Output. With their axes in another order, everything in the graph agrees. Linear and Affine
    keep a weight as (out, in), Conv1d and Conv2d as (out, in, kernel), as PyTorch does. nirc
    refuses the file rather than turning the weights round: square weights would need it, too, and
    nothing in the file tells.
    """
    example = """
    Input (6,), a Linear weight of shape (6, 8), eight neurons: "the weight is stored as (in,
    out)". The message names every weight that does not fit as it stands.
    """
    what_to_do = """
    Export `weight.T` (in Keras and Flax: `kernel.T`; a convolution: `kernel.transpose(3, 2, 0,
    1)`), also for the square weights of the same exporter, such as recurrent ones. If the weights
    are right and the Input is declared wrongly, correct the Input.
    """
    sources = """
    NIR specification, Linear, Affine, Conv1d and Conv2d: y = W x, with W of shape (out, in).
    """
