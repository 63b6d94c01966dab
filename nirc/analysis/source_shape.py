"""The shape of a network input, from its declaration and from its consumers."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from nirc.analysis.claims import Claim
from nirc.analysis.parameters import MisfitError, strip
from nirc.analysis.shapes import fit, lacks_channels, port_overruled, requirement
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
from nirc.ir.layers import Conv, Layer, Linear, Pool

MOST_NEEDS = 32  # shapes to try: a hostile file may demand thousands
# Findings of a consumer that takes a shape after a repair.
REPAIRS = LeadingAxesOfOne | FlattenedForLinear | DeclaredInputShape


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
        return _undeclared(consumers, others), None
    for shape in _readings(declared, consumers, others, sole, needs_first):
        if shape == declared:
            break
        return shape, port_overruled("Input", declared, shape, arrives=False)
    return declared, None


def _readings(
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
    needs = [
        shape for shape in _needs(consumers, others) if _may_give_way(declared, shape, others, sole)
    ]
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


def _undeclared(consumers: Collection[Layer], others: Sequence[Claim]) -> Shape | None:
    needs = _needs(consumers, others)
    certain = [claim for claim in others if not claim.weak]
    taken = [shape for shape in needs if all(_takes(layer, shape) for layer in consumers)]
    agreed = [
        shape for shape in taken if all(claim.supports(shape) for claim in certain[:MOST_NEEDS])
    ]
    return next(iter([*agreed, *taken, *needs]), None)


def _needs(consumers: Collection[Layer], others: Sequence[Claim]) -> list[Shape]:
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
