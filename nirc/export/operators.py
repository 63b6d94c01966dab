"""A projection as a chain of NIR nodes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nirc.diagnostics.log import Log
from nirc.export.neurons import Fields
from nirc.ir.arrays import Float, Shape
from nirc.ir.linear import Conv, Dense, Diagonal, LinearOp, Pool

MOST_ENTRIES = 1 << 26  # of an operator that NIR holds only as a full matrix
MOST_IDENTITY = 1 << 12  # neurons of a constant input that needs a matrix of its own


class Chain:
    """Grows from ``source`` to ``target``; ``shape``: of the signal at its end. Faults go to the log (P307, P314)."""

    def __init__(self, source: str, target: str, shape: Shape, log: Log) -> None:
        self.source, self.target, self.shape, self.log = source, target, shape, log
        self.made: list[Fields] = []

    def apply(self, ops: Sequence[LinearOp], bias: Float) -> None:
        """All operators in order, then ``bias`` (n,) or (1,), inside the last of them where its primitive has one."""
        for number, op in enumerate(ops):
            last = number == len(ops) - 1
            if self._operator(op, np.broadcast_to(bias if last else 0.0, op.n_out)) and last:
                return
        if bias.any():
            self.add(bias)

    def _operator(self, op: LinearOp, bias: Float) -> bool:
        """Whether the primitive took the bias in."""
        match op:
            case Diagonal():
                self.scale(op.scale)
            case Conv() if _symmetric(op.padding):
                maps = bias.reshape(op.shape_out[0], -1)
                even = bool((maps == maps[:, :1]).all())
                self._append(_conv(op, maps[:, 0] if even else np.zeros(len(maps))), op.shape_out)
                return even
            case Pool() if len(op.kernel) == 2 and _symmetric(op.padding) and op.factor in _factors(op):
                self._append(_pool(op), op.shape_out)
            case _:
                self._matrix(op, bias)
                return True
        return False

    def _matrix(self, op: LinearOp, bias: Float) -> None:
        if op.n_in * op.n_out > MOST_ENTRIES:
            self._refuse(
                "P307", "a projection has too many entries for a matrix", f"{op.n_out} x {op.n_in}", MOST_ENTRIES
            )
            return
        self.into((op.n_in,))
        if isinstance(op, Dense):
            weight = op.weight
        else:
            target, source, value = op.coo()
            weight = np.zeros((op.n_out, op.n_in))
            np.add.at(weight, (target, source), value)
        fields: Fields = {"type": "Linear", "weight": weight}
        self._append(fields | {"type": "Affine", "bias": bias} if bias.any() else fields, (op.n_out,))

    def scale(self, factors: Float) -> None:
        """Every signal times its factor (n,)."""
        self._append({"type": "Scale", "scale": factors.reshape(self.shape)}, self.shape)

    def delay(self, seconds: float) -> None:
        """All signals later by ``seconds``."""
        self._append({"type": "Delay", "delay": np.full(self.shape, seconds)}, self.shape)

    def add(self, constant: Float) -> None:
        """A constant (n,) on top of the signal: NIR has it only together with a matrix."""
        if constant.size > MOST_IDENTITY:
            self._refuse(
                "P314", "a constant input needs a matrix of its own", f"{constant.size} neurons", MOST_IDENTITY
            )
            return
        self.into((constant.size,))
        self._append({"type": "Affine", "weight": np.eye(constant.size), "bias": constant}, self.shape)

    def into(self, shape: Shape) -> None:
        """The signal in another shape: NIR can flatten a map, nothing else."""
        if shape == self.shape:
            return
        if len(shape) > 1:
            self._refuse("P314", "a vector would become a map again", f"{self.shape}", f"{shape}")
            return
        fields = {"type": "Flatten", "start_dim": 0, "end_dim": len(self.shape) - 1, "input_type": np.array(self.shape)}
        self._append(fields, shape)

    def write(self, nodes: dict[str, Fields], edges: list[tuple[str, str]]) -> None:
        """Add the chain to ``nodes``, under names that are free, and ``edges``."""
        before = self.source
        for fields in self.made:
            stem, number = f"{self.source}__{self.target}__{fields['type'].lower()}", 0
            while (name := f"{stem}{number or ''}") in nodes:
                number += 1
            nodes[name] = fields
            edges.append((before, name))
            before = name
        edges.append((before, self.target))

    def _append(self, fields: Fields, shape: Shape) -> None:
        self.made.append(fields)
        self.shape = shape

    def _refuse(self, code: str, message: str, found: str, limit: object) -> None:
        where = f"{self.source} -> {self.target}"
        self.log.error(code, message, where=where, found=found, limit=limit, help="export an earlier stage")


def _symmetric(padding: Sequence[tuple[int, int]]) -> bool:
    return all(before == after for before, after in padding)


def _factors(op: Pool) -> tuple[float, float]:
    return 1.0, 1.0 / float(np.prod(op.kernel))


def _conv(op: Conv, bias: Float) -> Fields:
    axes = len(op.shape_in) - 1
    return {
        "type": f"Conv{axes}d",
        "weight": op.weight,
        "bias": bias,
        "stride": np.array(op.stride),
        "padding": np.array([before for before, _ in op.padding]),
        "dilation": np.array(op.dilation),
        "groups": op.groups,
        "input_shape": np.array(op.shape_in[1:]) if axes == 2 else op.shape_in[1],
    }


def _pool(op: Pool) -> Fields:
    return {
        "type": "SumPool2d" if op.factor == 1.0 else "AvgPool2d",
        "kernel_size": np.array(op.kernel),
        "stride": np.array(op.stride),
        "padding": np.array([before for before, _ in op.padding]),
    }
