"""Claims of nodes about the size of a signal, the claim of the majority, and the shape of an Input.

A signal is the content of an edge. Neurons, Scale, Delay, Flatten, Input and Output give as many
values as they take. So the edges before and behind them carry one signal. Every node at a signal
may claim its size: a weight by its columns or rows, neurons by their parameters, Input and Output
by their declarations.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import assert_never

from nirc.analysis.parameters import MisfitError, could_be_one, fullest, parameters, strip
from nirc.analysis.shapes import Fit, fit, lacks_channels, port_overruled, requirement
from nirc.diagnostics.shapes import (
    AmbiguousParameter,
    DeclaredInputShape,
    EqualParameters,
    FlattenedForLinear,
    LeadingAxesOfOne,
    ParameterPerChannel,
    ShapeFinding,
)
from nirc.ir.arrays import Shape, size
from nirc.ir.layers import (
    Conv,
    Delay,
    Flatten,
    Input,
    Layer,
    LayerNode,
    Linear,
    Neuron,
    Output,
    Pool,
    Scale,
    Subgraph,
)
from nirc.ir.program import Program

TAKES, GIVES = 0, 1  # the two ends of a node
MOST_CANDIDATES = 32  # shapes in a vote, the commonest first: a hostile file may name thousands
# Layers that take and give the same number of values.
SAME_SIZE = Neuron | Scale | Delay | Flatten | Input | Output
MOST_NEEDS = 32  # shapes to try: a hostile file may demand thousands
# Findings of a consumer that takes a shape after a repair.
REPAIRS = LeadingAxesOfOne | FlattenedForLinear | DeclaredInputShape


@dataclass(frozen=True)
class Claim:
    """A node's claim about a signal.

    ``text``: the claim, for a message.
    ``firm``: a weight, which has no other reading.
    ``loose``: batch axes may stand before the signal's axes, and the axis of channels may be
    missing.
    ``channels``: the claim is about the first number of ``shape`` only.
    ``weak``: parameters that are all equal, which could be one value.
    ``by_arrival``: the claim depends also on the signal that arrives.
    ``inner_field``: the field at fault if only axes behind the first are wrong.
    """

    node: str
    field: str
    shape: Shape
    text: str
    firm: bool = False
    loose: bool = False
    channels: bool = False
    weak: bool = False
    by_arrival: bool = False
    inner_field: str = ""

    def field_against(self, shape: Shape) -> str:
        """Return the field at fault if a signal of ``shape`` is right."""
        inner = len(shape) == len(self.shape) and shape[0] == self.shape[0]
        return self.inner_field if inner and self.inner_field else self.field

    def supports(self, shape: Shape) -> bool:
        """Return True if a signal of ``shape`` agrees with the claim."""
        if self.channels:
            return len(shape) > 1 and self.shape[0] in (shape[0], strip(shape)[0])
        if size(self.shape) == size(shape):
            return True
        if not self.loose:
            return False
        without_batch = any(size(self.shape[n:]) == size(shape) for n in range(1, len(self.shape)))
        return without_batch or (len(shape) > 1 and self.shape == shape[1:])


@dataclass(frozen=True)
class Vote:
    """The ``shape`` that most nodes at a signal support, and the claims of both sides."""

    shape: Shape
    supporters: tuple[Claim, ...]
    dissenters: tuple[Claim, ...]


class Signals:
    """The signal at each end of each node."""

    def __init__(self, program: Program) -> None:
        self._at = {node: 2 * n for n, node in enumerate(program.graph)}
        self._parent = list(range(2 * len(self._at)))
        for node, payload in program.nodes(LayerNode).items():
            if isinstance(payload.layer, SAME_SIZE):
                self._join(self._at[node] + TAKES, self._at[node] + GIVES)
        for source, target, _ in program.edges():
            self._join(self._at[source] + GIVES, self._at[target] + TAKES)

    def of(self, node: str, end: int) -> int:
        """Return a number that is the same for all ends at one signal."""
        return self._root(self._at[node] + end)

    def _root(self, n: int) -> int:
        while self._parent[n] != n:
            self._parent[n] = self._parent[self._parent[n]]
            n = self._parent[n]
        return n

    def _join(self, a: int, b: int) -> None:
        self._parent[self._root(a)] = self._root(b)


def claims(
    layers: Mapping[str, Layer], signals: Signals, fits: Mapping[str, Fit]
) -> dict[int, list[Claim]]:
    """Return all claims by signal, in the order of ``layers``.

    ``fits`` add the outputs of convolutions and pools for the signals that arrive.
    """
    by_signal: dict[int, list[Claim]] = {}
    for node, layer in layers.items():
        for end, claim in _claims(node, layer, fits.get(node)):
            by_signal.setdefault(signals.of(node, end), []).append(claim)
    return by_signal


def _claims(node: str, layer: Layer, known: Fit | None) -> Iterator[tuple[int, Claim]]:
    match layer:
        case Linear():
            takes = requirement(layer) or ()
            gives = strip(layer.weight.shape[:-1])
            text = f"its weight takes {_values(takes)}"
            yield TAKES, Claim(node, "weight", takes, text, firm=True)
            text = f"its weight gives {_values(gives)}"
            yield GIVES, Claim(node, "weight", gives, text, firm=True)
        case Conv():
            yield from _conv_claims(node, layer, known)
        case Pool() if known is not None:
            yield GIVES, _by_arrival(node, "kernel_size", known.shape_out, "kernel_size")
        case Neuron() | Scale() | Delay():
            yield from _parameter_claims(node, layer)
        case Flatten() if (declared := requirement(layer)) is not None:
            text = f"its input_type is {declared}"
            yield TAKES, Claim(node, "input_type", declared, text, loose=True)
        case Input(shape=shape) | Output(shape=shape) if shape is not None:
            yield TAKES, Claim(node, "shape", shape, f"it declares shape {shape}", loose=True)
        case Pool() | Flatten() | Input() | Output() | Subgraph():
            return
        case _:
            assert_never(layer)


def _by_arrival(node: str, field: str, gives: Shape, inner_field: str) -> Claim:
    text = f"it gives shape {gives}"
    return Claim(node, field, gives, text, by_arrival=True, inner_field=inner_field)


def _conv_claims(node: str, layer: Conv, known: Fit | None) -> Iterator[tuple[int, Claim]]:
    channels = layer.weight.shape[1] * layer.groups
    need = requirement(layer)
    if need is None:
        text = f"its weight takes {channels} channel{'' if channels == 1 else 's'}"
        yield TAKES, Claim(node, "weight", (channels,), text, firm=True, channels=True)
    else:
        text = f"its weight and input_shape take shape {need}"
        yield TAKES, Claim(node, "weight", need, text, inner_field="input_shape")
    try:
        known = known or (fit(layer, need) if need is not None else None)
    except MisfitError:
        return
    if known is not None:
        yield GIVES, _by_arrival(node, "weight", known.shape_out, "padding")


def _parameter_claims(node: str, layer: Neuron | Scale | Delay) -> Iterator[tuple[int, Claim]]:
    full = fullest(layer)
    if full is None:
        return
    field, values = full
    shape = strip(values.shape)
    several = len(parameters(layer)) > 1
    subject = "its parameters have" if several else f"`{field}` has"
    text = f"{subject} {_values(shape)}"
    yield TAKES, Claim(node, field, shape, text, loose=True, weak=could_be_one(layer))


def _values(shape: Shape) -> str:
    count = f"{size(shape)} value{'' if size(shape) == 1 else 's'}"
    return count if len(shape) == 1 else f"{count}, shape {shape}"


def vote(at_signal: Sequence[Claim]) -> Vote | None:
    """Return the shape that more nodes support than any other, if two or more do."""
    shapes = Counter(claim.shape for claim in at_signal if not claim.channels)
    votes: dict[tuple[Claim, ...], Vote] = {}
    for shape, _ in shapes.most_common(MOST_CANDIDATES):
        supporters = tuple(claim for claim in at_signal if claim.supports(shape))
        dissenters = tuple(claim for claim in at_signal if not claim.supports(shape))
        votes.setdefault(supporters, Vote(shape, supporters, dissenters))
    counts = sorted((_nodes(supporters) for supporters in votes), reverse=True)
    if not counts or counts[0] < 2 or counts[0] in counts[1:]:
        return None
    return next(each for supporters, each in votes.items() if _nodes(supporters) == counts[0])


def _nodes(at_signal: Sequence[Claim]) -> int:
    return len({claim.node for claim in at_signal})


def source_shape(
    declared: Shape | None,
    consumers: Collection[Layer],
    others: Sequence[Claim] = (),
    *,
    sole: bool = True,
    needs_first: bool = False,
) -> tuple[Shape | None, ShapeFinding | None]:
    """Return the shape of an Input and a finding, or no shape if nothing determines it.

    Tried in order: the declaration, without leading axes of length 1, without leading batch or time
    axes if the consumers fix the axes, the demand of the arrays behind. The last may change the
    number of values only for the ``sole`` Input of a graph, and only if all ``others`` agree.
    ``others``: the other claims at its signal. ``needs_first``: ask the others before a consumer
    repairs the declared shape.
    """
    if declared is None:
        return _undeclared_shape(consumers, others), None
    for shape in _possible_shapes(declared, consumers, others, sole, needs_first):
        if shape == declared:
            break
        return shape, port_overruled("Input", declared, shape, arrives=False)
    return declared, None


def _possible_shapes(
    declared: Shape,
    consumers: Collection[Layer],
    others: Sequence[Claim],
    sole: bool,
    needs_first: bool,
) -> Iterator[Shape]:
    """Yield shapes that all consumers take, the most certain first."""
    weights = [claim for claim in others if claim.firm]
    literal = [declared, strip(declared), *_without_ones(declared)]
    literal = [shape for shape in literal if all(claim.supports(shape) for claim in weights)]
    yield from (
        shape for shape in literal if all(_takes(layer, shape, strict=True) for layer in consumers)
    )
    demands = _demands(consumers, others)
    needs = [shape for shape in demands if _may_give_way(declared, shape, others, sole)]
    needed = [shape for shape in needs if all(_takes(layer, shape) for layer in consumers)]
    if needs_first:
        yield from needed
    yield from (shape for shape in literal if all(_takes(layer, shape) for layer in consumers))
    if any(
        isinstance(layer, Linear | Conv | Pool) or requirement(layer) is not None
        for layer in consumers
    ):
        shorter = [declared[lead:] for lead in range(1, len(declared))]
        yield from (
            shape for shape in shorter if all(_asks_for(layer, shape) for layer in consumers)
        )
    if any(_is_ambiguous(layer, declared) for layer in consumers):
        yield declared
    yield from needed


def _undeclared_shape(consumers: Collection[Layer], others: Sequence[Claim]) -> Shape | None:
    needs = _demands(consumers, others)
    certain = [claim for claim in others if not claim.weak]
    taken = [shape for shape in needs if all(_takes(layer, shape) for layer in consumers)]
    agreed = [
        shape for shape in taken if all(claim.supports(shape) for claim in certain[:MOST_NEEDS])
    ]
    return next(iter([*agreed, *taken, *needs]), None)


def _demands(consumers: Collection[Layer], others: Sequence[Claim]) -> list[Shape]:
    """Return the demanded shapes: of the consumers, then of weights and parameters further away."""
    asked = [need for layer in consumers if (need := requirement(layer)) is not None]
    further = sorted(
        (claim for claim in others if not claim.channels),
        key=lambda claim: (claim.weak, claim.loose),
    )
    return list(dict.fromkeys([*asked, *(claim.shape for claim in further)]))[:MOST_NEEDS]


def _may_give_way(declared: Shape, shape: Shape, others: Sequence[Claim], sole: bool) -> bool:
    """Return True if ``shape`` has the declared size, or if all others agree on ``shape``."""
    if size(shape) == size(declared):
        return True
    if not sole or not all(claim.supports(shape) for claim in others):
        return False
    certain = any(not claim.weak for claim in others)
    return certain or not others or len({claim.node for claim in others}) > 1


def _without_ones(shape: Shape) -> list[Shape]:
    return [shape[n:] for n in range(1, len(shape)) if set(shape[:n]) == {1}]


def _is_ambiguous(layer: Layer, shape: Shape) -> bool:
    try:
        fit(layer, shape)
    except MisfitError as misfit:
        return isinstance(misfit.finding, AmbiguousParameter)
    return False


def _asks_for(layer: Layer, shape: Shape) -> bool:
    """Return True if a layer takes ``shape`` by its axes, not by one value per channel."""
    if lacks_channels(layer, shape):
        return False
    return _takes(layer, shape) and not any(
        isinstance(finding, ParameterPerChannel) for finding in fit(layer, shape).findings
    )


def _takes(layer: Layer, shape: Shape, *, strict: bool = False) -> bool:
    """Return True if a layer takes ``shape``. Equal parameters in another number do not count."""
    try:
        findings = fit(layer, shape).findings
    except MisfitError:
        return False
    refused = EqualParameters | REPAIRS if strict else EqualParameters
    return not any(isinstance(finding, refused) for finding in findings)
