"""Traffic between the nodes that are placed: an undirected, weighted graph."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

MOST_NODES = 1 << 31  # node numbers are held in 32 bits


@dataclass(frozen=True, eq=False)
class Traffic:
    """Spikes (or any other integer measure) between nodes, both directions added.

    The arrays are compressed rows. The neighbours of node v are ``neighbours[indptr[v]:indptr[v +
    1]]``, in rising order, with ``weights`` beside them. Every edge is stored twice, once from each
    end. There are no loops and no parallel edges.
    ``indptr`` (nodes + 1,) int64, ``neighbours`` (2 edges,) int32, ``weights`` (2 edges,) int64,
    not negative.
    """

    nodes: int
    indptr: Ints
    neighbours: npt.NDArray[np.int32]
    weights: Ints

    @classmethod
    def from_edges(
        cls,
        nodes: int,
        src: npt.ArrayLike,
        dst: npt.ArrayLike,
        weight: npt.ArrayLike | None = None,
    ) -> Traffic:
        """Return traffic with the edges ``src[i]`` - ``dst[i]`` of ``weight[i]`` (default 1).

        Parallel edges are added, whatever their direction. Loops and edges of weight 0 cost nothing
        anywhere and are dropped.
        Raises ``ValueError`` for arrays of other shapes or kinds, for nodes out of range, for
        negative weights, and if costs could leave 64 bits.
        """
        if not 0 <= nodes < MOST_NODES:
            raise ValueError(f"the number of nodes must lie in 0..{MOST_NODES - 1}, not {nodes}")
        a = _integers(src, "src")
        b = _integers(dst, "dst")
        w = np.ones(a.size, dtype=np.int64) if weight is None else _integers(weight, "weight")
        if not a.size == b.size == w.size:
            raise ValueError(f"src, dst and weight differ in length: {a.size}, {b.size}, {w.size}")
        for ends, name in ((a, "src"), (b, "dst")):
            if ends.size and (ends.min() < 0 or ends.max() >= nodes):
                raise ValueError(
                    f"{name} holds nodes {ends.min()} to {ends.max()}, allowed are 0 to {nodes - 1}"
                )
        if w.size and w.min() < 0:
            raise ValueError(f"weight holds {w.min()}: traffic cannot be negative")
        if float(w.sum(dtype=np.float64)) >= 2.0**53:
            raise ValueError("the weights add up to 2^53 or more")
        return cls._merged(nodes, a, b, w)

    @classmethod
    def _merged(cls, nodes: int, a: Ints, b: Ints, w: Ints) -> Traffic:
        """``from_edges`` without checks."""
        keep = (a != b) & (w > 0)
        a, b, w = a[keep], b[keep], w[keep]
        key = np.concatenate([a, b]) * nodes + np.concatenate([b, a])
        order = np.argsort(key, kind="stable")
        key = key[order]
        first = (
            np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1]]))
            if key.size
            else np.zeros(0, np.int64)
        )
        both = np.concatenate([w, w])[order]
        weights = np.add.reduceat(both, first) if key.size else both
        rows, columns = np.divmod(key[first], max(nodes, 1))
        indptr = np.zeros(nodes + 1, dtype=np.int64)
        np.cumsum(np.bincount(rows, minlength=nodes), out=indptr[1:])
        arrays = indptr, columns.astype(np.int32), weights
        for array in arrays:
            array.setflags(write=False)
        return cls(nodes, *arrays)

    def edges(self) -> tuple[Ints, Ints, Ints]:
        """Return every edge once: (lower node, higher node, weight), each (edges,) int64."""
        low = np.repeat(np.arange(self.nodes, dtype=np.int64), np.diff(self.indptr))
        once = low < self.neighbours
        return low[once], self.neighbours[once].astype(np.int64), self.weights[once]

    def contracted(self, group: Ints, groups: int) -> Traffic:
        """Return the traffic between ``groups`` groups. ``group`` (nodes,): the group of a node."""
        low, high, weight = self.edges()
        return Traffic._merged(groups, group[low], group[high], weight)


def _integers(values: npt.ArrayLike, name: str) -> Ints:
    array = np.asarray(values)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise ValueError(
            f"{name} must be a list of integers, not {array.dtype} of shape {array.shape}"
        )
    if array.dtype.kind == "u" and array.size and array.max() >= 1 << 62:
        raise ValueError(f"{name} holds {array.max()}, which is too large")
    return array.astype(np.int64)
