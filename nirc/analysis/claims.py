"""Claims of nodes about the size of a signal, and the claim of the majority.

A signal is the content of an edge. Neurons, Scale, Delay, Flatten, Input and Output give as many
values as they take. So the edges before and behind them carry one signal. Every node at a signal
may claim its size: a weight by its columns or rows, neurons by their parameters, Input and Output
by their declarations.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import assert_never

from nirc.analysis.parameters import MisfitError, could_be_one, fullest, parameters, strip
from nirc.analysis.shapes import Fit, fit, requirement
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
SAME_SIZE = (
    Neuron | Scale | Delay | Flatten | Input | Output
)  # take and give the same number of values


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
            return len(shape) > 1 and strip(shape)[0] == self.shape[0]
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


def _claims(node: str, layer: Layer, known: Fit | None) -> list[tuple[int, Claim]]:
    match layer:
        case Linear():
            takes, gives = requirement(layer) or (), strip(layer.weight.shape[:-1])
            return [
                (
                    TAKES,
                    Claim(node, "weight", takes, f"its weight takes {_values(takes)}", firm=True),
                ),
                (
                    GIVES,
                    Claim(node, "weight", gives, f"its weight gives {_values(gives)}", firm=True),
                ),
            ]
        case Conv():
            return _conv_claims(node, layer, known)
        case Pool() if known is not None:
            gives = known.shape_out
            return [
                (
                    GIVES,
                    Claim(
                        node,
                        "kernel_size",
                        gives,
                        f"it gives shape {gives}",
                        by_arrival=True,
                        inner_field="kernel_size",
                    ),
                )
            ]
        case Neuron() | Scale() | Delay():
            return _parameter_claims(node, layer)
        case Flatten():
            declared = requirement(layer)
            text = f"its input_type is {declared}"
            return (
                []
                if declared is None
                else [(TAKES, Claim(node, "input_type", declared, text, loose=True))]
            )
        case Input(shape=shape) | Output(shape=shape) if shape is not None:
            return [(TAKES, Claim(node, "shape", shape, f"it declares shape {shape}", loose=True))]
        case Pool() | Input() | Output() | Subgraph():
            return []
        case _:
            assert_never(layer)


def _conv_claims(node: str, layer: Conv, known: Fit | None) -> list[tuple[int, Claim]]:
    channels = layer.weight.shape[1] * layer.groups
    need = requirement(layer)
    if need is None:
        text = f"its weight takes {channels} channel{'' if channels == 1 else 's'}"
        found = [(TAKES, Claim(node, "weight", (channels,), text, firm=True, channels=True))]
    else:
        text = f"its weight and input_shape take shape {need}"
        found = [(TAKES, Claim(node, "weight", need, text, inner_field="input_shape"))]
    try:
        known = known or (fit(layer, need) if need is not None else None)
    except MisfitError:
        return found
    if known is not None:
        gives = known.shape_out
        found.append(
            (
                GIVES,
                Claim(
                    node,
                    "weight",
                    gives,
                    f"it gives shape {gives}",
                    by_arrival=True,
                    inner_field="padding",
                ),
            )
        )
    return found


def _parameter_claims(node: str, layer: Neuron | Scale | Delay) -> list[tuple[int, Claim]]:
    full = fullest(layer)
    if full is None:
        return []
    field, values = full
    shape = strip(values.shape)
    text = (
        f"its parameters have {_values(shape)}"
        if len(parameters(layer)) > 1
        else f"`{field}` has {_values(shape)}"
    )
    return [(TAKES, Claim(node, field, shape, text, loose=True, weak=could_be_one(layer)))]


def _values(shape: Shape) -> str:
    count = f"{size(shape)} value{'' if size(shape) == 1 else 's'}"
    return count if len(shape) == 1 else f"{count}, shape {shape}"


def vote(said: Sequence[Claim]) -> Vote | None:
    """Return the shape that more nodes support than any other, if two or more do."""
    shapes = Counter(claim.shape for claim in said if not claim.channels)
    votes: dict[tuple[Claim, ...], Vote] = {}
    for shape, _ in shapes.most_common(MOST_CANDIDATES):
        supporters = tuple(claim for claim in said if claim.supports(shape))
        dissenters = tuple(claim for claim in said if not claim.supports(shape))
        votes.setdefault(supporters, Vote(shape, supporters, dissenters))
    counts = sorted((_nodes(supporters) for supporters in votes), reverse=True)
    if not counts or counts[0] < 2 or counts[0] in counts[1:]:
        return None
    return next(each for supporters, each in votes.items() if _nodes(supporters) == counts[0])


def _nodes(said: Sequence[Claim]) -> int:
    return len({claim.node for claim in said})
