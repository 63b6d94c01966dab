"""Findings: the shapes of signals and parameters, as the analysis of shapes makes them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod

from nirc.diagnostics.file import ValueOutsideDomain
from nirc.diagnostics.finding import Grade, Words
from nirc.diagnostics.graph import GraphFinding

MOST_NAMES = 4  # in one message

Shape = tuple[int, ...]


class ShapeFinding(GraphFinding):
    """A contradiction or a reading of shapes. The analysis compares findings by their values.

    ``field``: the field of the node. ``parameters``: those that share the finding.
    ``is_internal``: the contradiction lies inside the node, whatever its neighbours claim.
    """

    expects = True
    node: str = ""
    field: str = ""
    parameters: tuple[str, ...] = ()
    is_internal: bool = False
    help: str = ""

    def statement(self) -> str:
        """Return the message without the names of node and parameters."""
        raise NotImplementedError

    def compared(self) -> tuple[str, str]:
        """Return the value in the file, and the value that is asked for."""
        return "", ""

    @property
    def overrules(self) -> bool:
        """True if the reading contradicts a number of values that the node states."""
        return False

    def message(self) -> str:
        """Return the message without the name of the node."""
        names = ", ".join(f"`{name}`" for name in self.parameters)
        return f"{names}: {self.statement()}" if names else self.statement()

    def words(self) -> Words:
        """Return the words of this finding."""
        found, limit = self.compared()
        name = f"`{self.node}`: " if self.node else ""
        return Words(name + self.message(), found=found, limit=limit, help=self.help)

    def at(self, node: str, origin: str) -> ShapeFinding:
        """Return the finding at ``node``, which has the place ``origin`` in the file."""
        where = f"{origin}/{self.field}" if self.field else origin
        return self.with_fields(node=node, where=where)

    def _key(self) -> tuple[object, ...]:
        return type(self), *(getattr(self, name) for name in sorted(self._fields))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ShapeFinding) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())


class ShapeReading(ShapeFinding):
    """A reading that is implicit in the file."""

    severity = "warning"


class OtherShape(ShapeFinding):
    """A finding about a ``stored`` or arriving shape where ``expected`` is asked for."""

    stored: Shape
    expected: Shape

    def compared(self) -> tuple[str, str]:
        """Return both shapes."""
        return f"shape {self.stored}", f"shape {self.expected}"


class LeadingAxesOfOne(ShapeReading, OtherShape):
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

    def statement(self) -> str:
        return "leading axes of length 1 are dropped"


class SignalReadAs(LeadingAxesOfOne):
    """An arriving signal is read as a map."""

    def statement(self) -> str:
        return f"the signal is read as shape {self.expected}"

    def compared(self) -> tuple[str, str]:
        return f"shape {self.stored}", ""


class ParameterReadAs(LeadingAxesOfOne):
    """A parameter has as many values as the signal, in another shape."""

    def statement(self) -> str:
        return f"read as shape {self.expected}"


class ScalarParameter(ShapeReading, OtherShape):
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

    def statement(self) -> str:
        return f"one value stands for all {prod(self.expected)} neurons"


class DeclaredShapeOverruled(ShapeReading):
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

    kind: str  # Input or Output
    declared: Shape
    read_as: Shape
    lead: Shape | None  # leading axes that are dropped, None for another number of values or axes
    arrives: bool  # the signal that arrives is trusted, else the nodes behind
    field = "shape"

    def grade(self) -> Grade:
        """Return a note if leading axes of length 1 are dropped."""
        return "note" if self.lead is not None and prod(self.lead) == 1 else "warning"

    @property
    def overrules(self) -> bool:
        """True for another number of values."""
        return self.lead is None and prod(self.declared) != prod(self.read_as)

    def statement(self) -> str:
        if self.lead is None:
            trusted = "arrives" if self.arrives else "it feeds"
            return f"the {self.kind} is declared otherwise than what {trusted}, which is trusted"
        axes = f"leading axes {self.lead}, of a batch or of time, which are dropped"
        return f"the {self.kind} declares {axes}"

    def compared(self) -> tuple[str, str]:
        return str(self.declared), str(self.read_as)


class DeclaredInputShape(ShapeReading):
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

    declared: Shape
    arriving: Shape
    field = "input_shape"

    @property
    def overrules(self) -> bool:
        """True unless the declared shape is used."""
        return True

    def statement(self) -> str:
        return "the signal that arrives is trusted"

    def compared(self) -> tuple[str, str]:
        return str(self.declared), str(self.arriving)


class FlatSignal(DeclaredInputShape):
    """A flat signal is read in the declared shape."""

    @property
    def overrules(self) -> bool:
        """False: the declared shape is used."""
        return False

    def statement(self) -> str:
        return f"the flat signal is read as shape {self.declared}"

    def compared(self) -> tuple[str, str]:
        return f"shape {self.arriving}", ""


class FlattenCountsBatch(ShapeReading):
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

    start_dim: int
    arriving: Shape
    read_as: Shape
    field = "start_dim"

    def statement(self) -> str:
        change = f"{self.arriving} becomes {self.read_as}"
        return f"start_dim is read without the batch axis: {change}"

    def compared(self) -> tuple[str, str]:
        return str(self.start_dim), ""


class PoolStride(ShapeReading):
    code = "G210"
    title = "a pool's stride contradicts the shapes around it"
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

    stride: Shape
    usual: Shape  # the kernel
    field = "stride"

    def statement(self) -> str:
        return f"only a stride of {self.usual} agrees with the shapes around it"

    def compared(self) -> tuple[str, str]:
        return str(self.stride), str(self.usual)


class InferredInputShape(ShapeReading):
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

    arriving: Shape
    field = "input_shape"

    def statement(self) -> str:
        return f"its input is {self.arriving}"


class FlattenedForLinear(ShapeReading, OtherShape):
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

    def statement(self) -> str:
        return f"the signal is flattened to {prod(self.expected)} values"


class ParameterPerChannel(ShapeReading, OtherShape):
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

    def statement(self) -> str:
        return "read as one value per channel"


class EqualParameters(ShapeReading, OtherShape):
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

    @property
    def overrules(self) -> bool:
        """True: the file has another number of values."""
        return True

    def statement(self) -> str:
        one = f"one value for all {prod(self.expected)} neurons"
        return f"its {prod(self.stored)} values are equal and are read as {one}"


class BatchAxisDropped(ShapeReading, OtherShape):
    code = "G222"
    title = "a batch axis of parameters is dropped"
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

    def statement(self) -> str:
        lead = self.stored[: -len(self.expected)]
        return f"the leading axes {lead} repeat the same values: a batch axis, which is dropped"


class ShapeContradiction(ShapeFinding):
    code = "G252"
    title = "shapes contradict each other"
    expects = True
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

    problem: str
    found: str = ""
    limit: str = ""

    def statement(self) -> str:
        return self.problem

    def compared(self) -> tuple[str, str]:
        return self.found, self.limit


class UnknownShape(ShapeFinding):
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

    problem: str
    is_internal = True

    def statement(self) -> str:
        return self.problem


class SubgraphPortUnclear(UnknownShape):
    """An edge reaches a subgraph without a single port of its kind."""

    path: str  # of the subgraph
    kind: str  # Input or Output
    ports: tuple[str, ...]
    problem: str = ""
    help: str = "let the edge name the inner node"

    def statement(self) -> str:
        ports = f"{len(self.ports)} {self.kind} nodes"
        return f"an edge reaches subgraph `{self.path}`, which has {ports}"

    def compared(self) -> tuple[str, str]:
        return ", ".join(self.ports) or "none", f"one {self.kind}"


class AmbiguousParameter(OtherShape):
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

    def statement(self) -> str:
        return "one value per channel, or one per row or column?"


class OtherAxisOrder(OtherShape):
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

    nodes: tuple[str, ...]  # with such weights
    witnesses: tuple[str, ...]  # nodes around that show the order
    orders: tuple[str, ...]  # of axes, "(in, out)"
    expressions: tuple[str, ...]  # that turn the weights round, "weight.T"
    field = "weight"

    def words(self) -> Words:
        verb = "the weights are" if len(self.nodes) > 1 else "the weight is"
        evidence = "as they show together"
        if self.witnesses:
            evidence = f"as {named(self.witnesses)} show{'s' if len(self.witnesses) == 1 else ''}"
        found, limit = self.compared()
        return Words(
            f"{named(self.nodes)}: {verb} stored as {' and '.join(self.orders)}, {evidence}",
            found=found,
            limit=limit,
            help=f"export {' and '.join(self.expressions)}, also of weights whose shape does not "
            "show it, such as square ones",
        )


class BiasOfOtherSize(ShapeFinding, ValueOutsideDomain):
    """F110 for a bias whose size does not match the weight."""

    problem: str = "the bias does not match the weight"
    stored: Shape
    rows: Shape  # of the weight
    field = "bias"
    is_internal = True

    def statement(self) -> str:
        return self.problem

    def compared(self) -> tuple[str, str]:
        return f"shape {self.stored}", f"shape {self.rows}"


def named(nodes: Iterable[str]) -> str:
    """Return names of nodes for a message, each once. Of many, the first and a number."""
    return listed([f"`{node}`" for node in dict.fromkeys(nodes)])


def listed(names: Sequence[str]) -> str:
    """Return ``a, b and c``. Many names are shortened to the first and a number."""
    shown = list(names)
    if len(shown) > MOST_NAMES + 1:
        shown = [*shown[:MOST_NAMES], f"{len(shown) - MOST_NAMES} more"]
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)
