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

    infinite: int  # neurons with tau = inf
    of: int

    def words(self) -> Words:
        return Words(
            f"{self.infinite} of {self.of} neurons have tau = inf and are read as integrators",
            found="inf",
            help="r = inf is a gain of 1 per step; a finite r is read as that of an IF",
        )


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

    kind: str  # Input or Output
    node: str

    def words(self) -> Words:
        return Words(f"the graph has no {self.kind}; one is put at `{self.node}`")


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

    node: str
    is_used: bool  # an output depends on it, but no signal reaches it

    def words(self) -> Words:
        reason = "no signal reaches it" if self.is_used else "no output depends on it"
        return Words(f"`{self.node}` is removed: {reason}")


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

    population: str
    gain: float  # the median of the population

    def words(self) -> Words:
        return Words(
            f"`{self.population}`: r is read as the gain of one step, as exporters mean it",
            found=f"{self.gain:g}",
        )


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


class EdgeToNowhere(GraphFinding):
    code = "G251"
    title = "an edge names a node that does not exist"
    expects = True
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


class NoPlaceForPort(EmptyGraph):
    """The graph lacks an Input or Output, and has no node where one could be."""

    kind: str  # Input or Output

    def words(self) -> Words:
        return Words(
            f"the graph has no {self.kind} and no node where one could be",
            help=f"add an {self.kind} node when exporting",
        )


class OutputsDependOnNothing(EmptyGraph):
    """No output depends on any input."""

    def words(self) -> Words:
        return Words("no output depends on any input", help="connect an Output when exporting")
