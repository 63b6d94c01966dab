"""Prescribed parts."""

from __future__ import annotations

from collections.abc import Mapping

from nirc.mapping.partition.boxes import Boxes, Shape3, full_cuts, grid
from nirc.mapping.partition.problem import Atoms, Problem


def pinned_parts(problem: Problem, pinned: Mapping[str, Atoms]) -> dict[int, Boxes]:
    """Return the parts by population index. Raises ``ValueError`` for unknown populations."""
    names = {p.name: i for i, p in enumerate(problem.populations) if p.on_core}
    unknown = [name for name in pinned if name not in names]
    if unknown:
        raise ValueError(
            f"parts are prescribed for {', '.join(unknown)}, which is no population on cores"
        )
    return {
        names[name]: parts_of(problem.populations[names[name]].box, atoms)
        for name, atoms in pinned.items()
    }


def parts_of(shape: Shape3, atoms: Atoms) -> Boxes:
    """Return parts of ``atoms`` neurons in C order, or of these lengths along the axes.

    The last part along an axis may be shorter. Raises ``ValueError`` if the parts are no boxes.
    """
    lengths = [atoms] if isinstance(atoms, int) else [int(n) for n in atoms]
    if not lengths or min(lengths) < 1 or len(lengths) > len(shape):
        raise ValueError(
            f"a part has at least one neuron along each of at most three axes, not {atoms}"
        )
    if isinstance(atoms, int):
        lengths = _sides(shape, atoms)
    lengths += [shape[axis] for axis in range(len(lengths), len(shape))]
    return grid([full_cuts(n, min(length, n)) for n, length in zip(shape, lengths, strict=True)])


def _sides(shape: Shape3, atoms: int) -> list[int]:
    """Return the lengths of the box that ``atoms`` consecutive neurons always form."""
    c, h, w = shape
    if atoms % (h * w) == 0 or atoms >= c * h * w:
        return [-(-atoms // (h * w)), h, w]
    if atoms % w == 0 and h % (atoms // w) == 0:
        return [1, atoms // w, w]
    if w % atoms == 0:
        return [1, 1, atoms]
    raise ValueError(
        f"{atoms} consecutive neurons of {c} x {h} x {w} are not always a box: take a multiple of "
        f"{h * w}"
    )
