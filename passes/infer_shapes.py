"""infer-shapes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain, product
from typing import ClassVar

import numpy as np

from nirc.analysis.claims import GIVES, TAKES, Signals, claims
from nirc.analysis.inference import Inference, Reading, reached
from nirc.diagnostics.file import TooMuchAsked
from nirc.diagnostics.log import Log
from nirc.diagnostics.shapes import OtherAxisOrder, PoolStride
from nirc.ir.arrays import Float, Shape, frozen, size
from nirc.ir.layers import Conv, Input, Layer, LayerNode, Linear, Pool
from nirc.ir.program import Program

MAX_SIGNAL = 1 << 24  # values of one signal: far above any chip, and within a laptop's memory
MAX_LEAD = 2  # leading axes of an Input that are tried as batch and time axes
# Nodes around a dispute whose weights are tried singly in another order of axes.
MAX_SINGLE = 12


@dataclass(frozen=True)
class InferShapes:
    """Infer the shape of every signal. Apply repairs with a single reading, and report each."""

    name: ClassVar[str] = "infer-shapes"

    def run(self, program: Program, log: Log) -> Program:
        """Raises ``InputError`` (G252, G253, G255, G256, F110, and F106 for a huge signal).

        Each cause is one error. Nodes behind a contradiction are not examined.
        """
        signals = Signals(program)
        chosen = _best(program, signals)
        turned = None if chosen.is_clean else _turned(program, signals, chosen)
        if turned is not None:
            _refuse_layout(program, *turned, log)
        _report_strides(program, chosen.reading.program, log)
        contradictions = chosen.contradictions()
        for node, finding in chosen.readings:
            if not (contradictions and finding.overrules):
                log.add(finding.at(node, program[node].origins[0]))
        for node, finding in contradictions:
            log.add(finding.at(node, program[node].origins[0]))
        _refuse_huge_signals(chosen, log)
        log.raise_if_errors()
        return chosen.shaped()


def _readings(program: Program) -> Iterator[Reading]:
    """Yield the unchanged graph, then the graph with its certain repairs."""
    layers = [p.layer for p in program.nodes(LayerNode).values()]
    yield Reading(program)
    strides = _with_pool_strides(program)
    if strides is not None:
        yield Reading(strides, changes=1)
    if any(isinstance(layer, Conv) and layer.input_shape is not None for layer in layers):
        yield Reading(program, needs_first=True)
    most = max((len(layer.shape or ()) for layer in layers if isinstance(layer, Input)), default=0)
    for lead in range(1, min(most - 1, MAX_LEAD) + 1):
        yield Reading(program, lead=lead)


def _best(program: Program, signals: Signals) -> Inference:
    """Return the reading against fewest claims. If all fail, the reading with most shapes."""
    tried: list[Inference] = []
    for reading in _readings(program):
        tried.append(Inference(reading, signals))
        if tried[-1].is_clean:
            return tried[-1]
    succeeded = [attempt for attempt in tried if not attempt.misfits]
    if succeeded:
        return min(succeeded, key=lambda attempt: attempt.cost)
    unchanged = [attempt for attempt in tried if not attempt.reading.changes]
    return max(unchanged, key=lambda attempt: len(attempt.fits))


@dataclass(frozen=True)
class Layout:
    """An order of axes, as other frameworks store weights.

    NIR and PyTorch store a weight as (out, in, *kernel). Keras and Flax store (in, out) and
    (*kernel, in, out). ``linear``: (in, out). ``conv``: of a convolution, "" for NIR's.
    """

    linear: bool
    conv: str = ""

    def order(self, layer: Layer) -> str:
        """Return the order of axes in words, for a message."""
        return "(in, out)" if isinstance(layer, Linear) else ORDERS[self.conv]

    def turned(self, layer: Layer) -> str:
        """Return an expression that turns the weight of ``layer`` to NIR's order."""
        return "weight.T" if isinstance(layer, Linear) else TRANSPOSE[self.conv]

    def read(self, layer: Layer) -> Layer:
        """Return the layer with its weight in NIR's order, if this layout applies."""
        if self.linear and isinstance(layer, Linear):
            return _linear_in_order(layer)
        return _conv_in_order(layer, self.conv) if self.conv and isinstance(layer, Conv) else layer


ORDERS = {"io": "(in, out, kernel)", "kio": "(kernel, in, out)", "oki": "(out, kernel, in)"}
TRANSPOSE = {
    "io": "weight.swapaxes(0, 1)",
    "kio": "numpy.moveaxis(weight, (-1, -2), (0, 1))",
    "oki": "numpy.moveaxis(weight, -1, 1)",
}
LAYOUTS = (
    Layout(linear=True),
    Layout(linear=True, conv="kio"),
    Layout(linear=True, conv="io"),
    *(Layout(linear=False, conv=order) for order in ORDERS),
)


def _linear_in_order(layer: Linear) -> Linear:
    weight = layer.weight.swapaxes(-1, -2)
    return Linear(frozen(weight), _bias_for(layer.bias, weight.shape[:-1]))


def _conv_in_order(layer: Conv, order: str) -> Conv:
    kernel = list(range(layer.axes))
    axes = {
        "io": [1, 0, *(2 + n for n in kernel)],
        "kio": [layer.axes + 1, layer.axes, *kernel],
        "oki": [0, layer.axes + 1, *(1 + n for n in kernel)],
    }[order]
    weight = layer.weight.transpose(axes)
    return replace(layer, weight=frozen(weight), bias=_bias_for(layer.bias, weight.shape[:1]))


def _bias_for(bias: Float | None, rows: tuple[int, ...]) -> Float | None:
    """Return a bias for other rows if all its numbers are equal, else the unchanged bias."""
    if bias is None or bias.shape == rows or not (bias == bias.flat[0]).all():
        return bias
    return frozen(np.full(rows, bias.flat[0]))


def _turned(
    program: Program, signals: Signals, chosen: Inference
) -> tuple[Layout, list[str]] | None:
    """Return the order of axes in which weights agree with their surroundings, and these weights.

    All weights are tried together, then each Linear at a disputed signal. None: no order agrees.
    """
    nodes = list(reached(program, [n for n in program.graph if not program.into(n)]))
    disputed = {n for n, _ in chosen.misfits} | {
        n for n, finding in chosen.readings if finding.overrules
    }
    at = {signals.of(node, end) for node, end in product(disputed, (TAKES, GIVES))}
    near = [n for n in nodes if {signals.of(n, TAKES), signals.of(n, GIVES)} & at]
    choices = [(layout, nodes) for layout in LAYOUTS]
    if len(near) <= MAX_SINGLE:
        choices += [(LAYOUTS[0], [node]) for node in near]
    tried: list[dict[str, LayerNode]] = []
    for layout, some in choices:
        turned = {
            n: payload for n in some if (payload := _laid_out(program[n], layout)) is not None
        }
        if not turned or any(_are_alike(turned, other) for other in tried):
            continue
        tried.append(turned)
        if _is_shown(Inference(Reading(program.mapped(turned)), signals), list(turned)):
            return layout, list(turned)
    return None


def _is_shown(turned: Inference, nodes: list[str]) -> bool:
    """Return True if all agree, with at least two nodes or weights. A single one may be wrong."""
    if not turned.is_clean:
        return False
    ends = Counter(turned.signals.of(node, end) for node, end in product(nodes, (TAKES, GIVES)))
    between = sum(number > 1 for number in ends.values())  # signals that join two of the weights
    return between + len(_around(turned.program, nodes)) > 1


def _are_alike(some: dict[str, LayerNode], other: dict[str, LayerNode]) -> bool:
    """Return True if both turn the same weights to the same shapes."""
    if some.keys() != other.keys():
        return False
    return all(_weight_shape(node) == _weight_shape(other[name]) for name, node in some.items())


def _weight_shape(payload: LayerNode) -> Shape:
    layer = payload.layer
    return layer.weight.shape if isinstance(layer, Linear | Conv) else ()


def _laid_out(payload: LayerNode, layout: Layout) -> LayerNode | None:
    """Return a node with its weight in NIR's order. None if its shape stays the same."""
    layer = payload.layer
    if not isinstance(layer, Linear | Conv):
        return None
    turned = layout.read(layer)
    if not isinstance(turned, Linear | Conv) or turned.weight.shape == layer.weight.shape:
        return None
    return replace(payload, layer=turned)


def _refuse_layout(program: Program, layout: Layout, nodes: list[str], log: Log) -> None:
    """Report once that weights have another order of axes. Raises ``InputError``."""
    first = program[nodes[0]]
    turned = _laid_out(first, layout)
    assert turned is not None
    layers = [program[node].layer for node in nodes]
    finding = OtherAxisOrder(
        nodes=tuple(nodes),
        witnesses=tuple(_around(program, nodes)),
        orders=tuple(dict.fromkeys(layout.order(layer) for layer in layers)),
        expressions=tuple(dict.fromkeys(layout.turned(layer) for layer in layers)),
        stored=_weight_shape(first),
        expected=_weight_shape(turned),
    )
    log.add(finding.at(nodes[0], first.origins[0]))
    log.raise_if_errors()


def _around(program: Program, nodes: list[str]) -> list[str]:
    """Return the nodes that claim a size of the signals at ``nodes``."""
    signals = Signals(program)
    by_signal = claims({n: p.layer for n, p in program.nodes(LayerNode).items()}, signals, {})
    at = dict.fromkeys(signals.of(node, end) for node, end in product(nodes, (TAKES, GIVES)))
    claiming = chain.from_iterable(by_signal.get(signal, []) for signal in at)
    return list(dict.fromkeys(c.node for c in claiming if c.node not in nodes))


def _with_pool_strides(program: Program) -> Program | None:
    """Return pools of stride 1 with the usual default stride: the kernel's size."""
    changed = {
        n: replace(p, layer=replace(p.layer, stride=p.layer.kernel))
        for n, p in program.nodes(LayerNode).items()
        if isinstance(p.layer, Pool)
        and set(p.layer.stride) == {1}
        and p.layer.kernel != p.layer.stride
    }
    return program.mapped(changed) if changed else None


def _report_strides(before: Program, after: Program, log: Log) -> None:
    for node, payload in before.nodes(LayerNode).items():
        if isinstance(payload.layer, Pool) and payload.layer is not after[node].layer:
            finding = PoolStride(stride=payload.layer.stride, usual=after[node].layer.stride)
            log.add(finding.at(node, payload.origins[0]))


def _refuse_huge_signals(inference: Inference, log: Log) -> None:
    """Report the first nodes whose signal is larger than memory should ever hold."""
    huge = {n for n, f in inference.fits.items() if size(f.shape_out) > MAX_SIGNAL}
    for node in sorted(huge):
        if huge.isdisjoint(s for s, _ in inference.program.into(node)):
            shape = inference.fits[node].shape_out
            huge_signal = TooMuchAsked(
                where=inference.program[node].origins[0],
                problem=f"`{node}`: the signal is too large",
                found=f"shape {shape}, {size(shape)} values",
                limit=f"{MAX_SIGNAL} values",
                help="check the declared shapes and the padding",
            )
            log.add(huge_signal)
