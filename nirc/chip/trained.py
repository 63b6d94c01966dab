"""Integers that a NIR file carries beside its network, for one chip: what training has found.

The note is a program in the integer form: a line of JSON with its structure, then the bytes of its
arrays. It belongs to one legal program, whose digest it holds, and is judged as a hostile file is:
every field has its declared type, every array its length, and every number that may train is on
its grid.
"""

from __future__ import annotations

import hashlib
import json
import math
import types
from collections.abc import Sequence
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from itertools import chain
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from nirc.chip.training import Trainable, Training
from nirc.ir.arrays import Float
from nirc.ir.linear import Conv, Dense, Diagonal, LinearOp, Pool, Sparse, weights_of
from nirc.ir.populations import Bias, Population, Projection, Role, Sink, Source
from nirc.ir.program import Form, Program
from nirc.ir.text import digest
from nirc.ir.verify import InvalidProgramError, verify

FORMAT = "nirc-integers/1"
MAX_HEAD = 1 << 24  # bytes of the structure
MAX_DEPTH = 12
MOST_INTEGER = 1 << 24  # of a size, a padding or an exponent
MORE_OPERATORS = 2  # of a projection, than the longest in the network has
KINDS = ("i1", "i2", "i4", "i8", "f4", "f8")
Timing = tuple[int, bool]  # steps of delay, and feedback
PAYLOADS: tuple[type, ...] = (Population, Projection, Bias, Sparse, Dense, Conv, Pool, Diagonal)


class UnusableNoteError(Exception):
    """The note is damaged, or belongs to another network."""


def packed(program: Program, legal: Program, target: str) -> bytes:
    """Return the note of an integer ``program`` that was made of ``legal`` for ``target``."""
    arrays: list[bytes] = []
    names = [n for n in program.graph if isinstance(program[n], Population)]
    tree = {
        "format": FORMAT,
        "target": target,
        "legal": _identity(legal),
        "populations": [[name, _encoded(program[name], arrays)] for name in names],
        "order": list(program.graph),
        "edges": [[s, t, _encoded(p, arrays)] for s, t, p in program.edges()],
    }
    body = b"".join(arrays)
    tree["sha256"] = hashlib.sha256(body).hexdigest()
    head = json.dumps(tree, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return head.encode() + b"\0" + body


def target_of(note: bytes) -> str:
    """Return the chip that a note is for. Raises ``UnusableNoteError``."""
    return str(_head(note)[0].get("target"))


def unpacked(note: bytes, legal: Program, training: Training) -> Program:
    """Return the integer program of a note. Raises ``UnusableNoteError``."""
    tree, body = _head(note)
    if tree.get("legal") != _identity(legal):
        raise UnusableNoteError("it belongs to another network, or to other options")
    if tree.get("sha256") != hashlib.sha256(body).hexdigest():
        raise UnusableNoteError("its numbers were changed")
    try:
        program = _program(tree, _Decoder(body, (*PAYLOADS, *training.payloads)), legal)
        _check_sizes(program, legal, len(body))
        verify(program)
        _check(program, training)
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, MemoryError):
        raise UnusableNoteError("it does not hold a program for this chip") from None
    except InvalidProgramError:
        raise UnusableNoteError("it does not hold a program for this chip") from None
    return program


def check_timing(program: Program, own: Program) -> None:
    """Raise ``UnusableNoteError`` for a delay that the compiler's ``own`` integers do not have.

    Calibration adds two kinds of projections: of a population to itself, a step later, and of nodes
    that repeat an input.
    """
    known: dict[tuple[str, str], set[Timing]] = {}
    for source, target, p in own.edges():
        known.setdefault((source, target), set()).add((p.delay_steps, p.feedback))
    for source, target, p in program.edges():
        if target not in own.graph:
            allowed = {(0, False)}
        elif (source, target) in known:
            allowed = known[source, target]
        elif source == target:
            allowed = {(0, True), (1, False)}
        else:
            before = [s for s, _ in program.into(source)]
            allowed = known.get((before[0], target), set()) if len(before) == 1 else set()
        if (p.delay_steps, p.feedback) not in allowed:
            raise UnusableNoteError("it has delays that are not those of the network on this chip")


def _identity(legal: Program) -> str:
    return digest(replace(legal, name=""))


def _head(note: bytes) -> tuple[dict[str, Any], bytes]:
    head, end, body = note[:MAX_HEAD].partition(b"\0")
    body = note[len(head) + 1 :]
    try:
        tree = json.loads(head) if end else None
    except (ValueError, RecursionError):
        tree = None
    if not isinstance(tree, dict) or tree.get("format") != FORMAT:
        raise UnusableNoteError("it is damaged, or of another version")
    return tree, body


def _program(tree: dict[str, Any], decoder: _Decoder, legal: Program) -> Program:
    ends: dict[str, Any] = {**legal.nodes(Source), **legal.nodes(Sink)}
    populations = {str(name): decoder.value(each, 0) for name, each in tree["populations"]}
    nodes = {
        name: populations[name] if name in populations else ends[name] for name in tree["order"]
    }
    edges = [(str(s), str(t), decoder.value(each, 0)) for s, t, each in tree["edges"]]
    known = legal.nodes(Population)
    if not {*ends, *known} <= nodes.keys() or populations.keys() & ends.keys():
        raise ValueError("the nodes are others")
    if any((p.shape, p.role) != (nodes[n].shape, nodes[n].role) for n, p in known.items()):
        raise ValueError("the shapes are others")
    return legal.rebuilt(nodes, edges, form=Form.INTEGER)


def _check(program: Program, training: Training) -> None:
    """Raise ``ValueError`` for a number that is not on its grid, or an array of another length."""
    for population in program.nodes(Population).values():
        if type(population.dynamics) not in training.payloads:
            raise ValueError("no neurons of this chip")
        for each in _arrays(vars(population.dynamics).values()):
            if each.shape != (population.n,):
                raise ValueError("an array has another length")
    edges = list(program.edges())
    for op in chain.from_iterable(p.ops for _, _, p in edges):
        _check_operator(op)
    roles = {n: replace(p, role=Role.MODEL) for n, p in program.nodes(Population).items()}
    trainables = training.trainables(program.mapped(roles))  # relays keep the grids, too
    for name, parameters in trainables.values.items():
        known = training.computation(program[name]).parameters
        for key, trainable in parameters.items():
            _on_grid(trainable, known[key])
    for (number, k), trainable in trainables.weights.items():
        _on_grid(trainable, weights_of(edges[number][2].ops[k]))


def _check_sizes(program: Program, legal: Program, length: int) -> None:
    """Raise ``ValueError`` for nodes and operators that the numbers of the note cannot fill.

    An operator without numbers costs no bytes in a file, but time and memory. ``length``: of the
    numbers, in bytes.
    """
    chains = [p.ops for _, _, p in legal.edges()]
    operators = list(chain.from_iterable(chains))
    known = [legal[name].n for name in legal.graph] + [op.n_in for op in operators]
    nodes = [program[name].n for name in program.graph]
    if max(nodes, default=0) > max([length, *known]):
        raise ValueError("a population is too large")
    largest = max([*known, *nodes, *(op.n_out for op in operators)], default=1)
    longest = max((len(ops) for ops in chains), default=0)
    for _, _, projection in program.edges():
        if len(projection.ops) > longest + MORE_OPERATORS:
            raise ValueError("too many operators")
        if any(max(op.n_in, op.n_out) > largest for op in projection.ops):
            raise ValueError("an operator is too large")


def _check_operator(op: LinearOp) -> None:
    """Raise ``ValueError`` for an operator whose parts do not fit one another."""
    if isinstance(op, Sparse):
        sizes = {op.target.shape, op.source.shape, op.value.shape}
        if len(sizes) > 1 or op.target.ndim != 1:
            raise ValueError("lists of different length")
        if op.target.size and not _within(op.target, op.n_out) & _within(op.source, op.n_in):
            raise ValueError("an index is out of range")
    if op.apply(np.zeros((1, op.n_in))).shape != (1, op.n_out):
        raise ValueError("an operator of another shape")


def _within(index: NDArray[Any], n: int) -> bool:
    return bool(index.min() >= 0 and index.max() < n)


def _on_grid(trainable: Trainable, values: Float) -> None:
    if not trainable.grid.holds(values) or not (trainable.unit > 0).all():
        raise ValueError("a number is not on its grid")


def _arrays(values: Any) -> list[NDArray[Any]]:
    found: list[NDArray[Any]] = []
    for value in values:
        if isinstance(value, np.ndarray):
            found.append(value)
        elif isinstance(value, tuple):
            found += _arrays(value)
    return found


def _encoded(value: Any, arrays: list[bytes]) -> Any:
    """Return a payload as JSON. Its arrays are appended to ``arrays``."""
    if isinstance(value, np.ndarray):
        data = np.ascontiguousarray(value, value.dtype.newbyteorder("<"))
        arrays.append(data.tobytes())
        return {"array": data.dtype.str[1:], "shape": list(value.shape)}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Enum):
        return {"role": value.value}
    if isinstance(value, tuple):
        return {"tuple": [_encoded(each, arrays) for each in value]}
    if is_dataclass(value):
        of = {f.name: _encoded(getattr(value, f.name), arrays) for f in fields(value)}
        return {"class": type(value).__name__, "fields": of}
    return value


class _Decoder:
    """Reads values in the order in which they were written."""

    def __init__(self, body: bytes, classes: Sequence[type]) -> None:
        self.body = body
        self.place = 0
        self.classes = {each.__name__: each for each in classes}

    def value(self, tree: Any, depth: int) -> Any:
        """Return a value. Raises ``ValueError`` and the like for what ``_encoded`` never writes."""
        if depth > MAX_DEPTH:
            raise ValueError("too deep")
        if not isinstance(tree, dict):
            if not isinstance(tree, str | int | float | None):
                raise TypeError("no plain value")
            if isinstance(tree, int) and abs(tree) > MOST_INTEGER:
                raise ValueError("an integer is too large")
            if isinstance(tree, float) and not math.isfinite(tree):
                raise ValueError("a number is not finite")
            return tree
        if "array" in tree:
            return self._array(tree["array"], tuple(tree["shape"]))
        if "role" in tree:
            return Role(tree["role"])
        if "tuple" in tree:
            return tuple(self.value(each, depth + 1) for each in tree["tuple"])
        kind = self.classes[tree["class"]]
        declared = [f.name for f in fields(kind)]
        if sorted(tree["fields"]) != sorted(declared):
            raise ValueError("other fields")
        made = {name: self.value(tree["fields"][name], depth + 1) for name in declared}
        hints = get_type_hints(kind)
        if not all(_fits(made[name], hints[name]) for name in declared):
            raise TypeError("a field has another type")
        return kind(**made)

    def _array(self, dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
        if dtype not in KINDS or any(type(n) is not int or n < 0 for n in shape):
            raise ValueError("no array")
        count = int(np.prod(shape, dtype=object)) if shape else 1
        size = count * np.dtype(dtype).itemsize
        if self.place + size > len(self.body):
            raise ValueError("the bytes end")
        data = np.frombuffer(self.body, f"<{dtype}", count, self.place).reshape(shape)
        self.place += size
        if data.dtype.kind == "f" and not np.isfinite(data).all():
            raise ValueError("a number is not finite")
        return data


def _fits(value: Any, hint: Any) -> bool:
    """Return True if a value has a declared type."""
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return any(_fits(value, each) for each in args)
    if origin is Literal:
        return value in args
    if origin is np.ndarray:
        wanted = get_args(args[1])[0]
        return isinstance(value, np.ndarray) and np.issubdtype(value.dtype, wanted)
    if origin is tuple:
        if not isinstance(value, tuple):
            return False
        each = [args[0]] * len(value) if args[1:] == (...,) else list(args)
        return len(each) == len(value) and all(map(_fits, value, each))
    if hint in (None, types.NoneType):
        return value is None
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint) if isinstance(hint, type) else True  # of a type variable
