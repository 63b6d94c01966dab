"""The faults that are tried at a node of the syntax tree."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Mod: ast.FloorDiv, ast.LShift: ast.RShift, ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.BitXor: ast.BitAnd, ast.Pow: ast.Mult,
    ast.MatMult: ast.Mult,
}  # fmt: skip
NAMES = {
    "min": "max", "max": "min", "minimum": "maximum", "maximum": "minimum", "any": "all",
    "all": "any", "floor": "ceil", "ceil": "floor", "rint": "floor", "round": "floor",
    "argmin": "argmax", "argmax": "argmin", "cumsum": "cumprod", "isfinite": "isnan",
}  # fmt: skip
# zip(strict=True) states what holds already, a stable sort what the next numpy may not do, doc is
# prose.
KEPT_KEYWORDS = {"strict", "kind", "doc"}
LONGEST_WORD = 24  # characters of a string that is a name, not a sentence


def changed(node: ast.AST) -> Iterator[ast.AST]:
    """Yield copies of the node, each with one fault."""
    if isinstance(node, ast.Compare):
        yield from _compared(node)
    elif isinstance(node, ast.BinOp):
        yield _with(node, op=OPERATORS[type(node.op)]())
        if isinstance(node.op, ast.Add | ast.Sub):
            yield node.left
    elif isinstance(node, ast.BoolOp):
        yield _with(node, op=ast.And() if isinstance(node.op, ast.Or) else ast.Or())
    elif isinstance(node, ast.UnaryOp):
        yield node.operand
    elif isinstance(node, ast.Constant):
        yield from _constants(node)
    elif isinstance(node, ast.Call):
        yield from _calls(node)
    elif isinstance(node, ast.stmt):
        yield from _statements(node)
    elif isinstance(node, ast.IfExp):
        yield _with(node, body=node.orelse, orelse=node.body)


def _with(node: ast.AST, **fields: object) -> ast.AST:
    new = copy.copy(node)
    for name, value in fields.items():
        setattr(new, name, value)
    return new


def _compared(node: ast.Compare) -> Iterator[ast.AST]:
    for i, op in enumerate(node.ops):
        ops = [*node.ops]
        ops[i] = COMPARISONS[type(op)]()
        yield _with(node, ops=ops)


def _constants(node: ast.Constant) -> Iterator[ast.AST]:
    value = node.value
    if isinstance(value, bool):
        yield _with(node, value=not value)
    elif isinstance(value, int):
        yield _with(node, value=value + 1)
    elif isinstance(value, float):
        yield _with(node, value=value * 2 or 1.0)
    elif isinstance(value, str) and 0 < len(value) <= LONGEST_WORD and " " not in value:
        yield _with(node, value=value + "_")


def _calls(node: ast.Call) -> Iterator[ast.AST]:
    function = node.func
    if isinstance(function, ast.Name) and function.id in NAMES:
        yield _with(node, func=_with(function, id=NAMES[function.id]))
    elif isinstance(function, ast.Attribute) and function.attr in NAMES:
        yield _with(node, func=_with(function, attr=NAMES[function.attr]))
    elif isinstance(function, ast.Name) and function.id == "abs":
        yield node.args[0]
    for i, keyword in enumerate(node.keywords):
        if keyword.arg is not None and keyword.arg not in KEPT_KEYWORDS:
            yield _with(node, keywords=node.keywords[:i] + node.keywords[i + 1 :])


def _states_only(value: ast.expr) -> bool:
    """Return True for text, and for a branch that type checkers prove to be never reached."""
    name = getattr(value.func, "id", "") if isinstance(value, ast.Call) else ""
    return isinstance(value, ast.Constant) or name == "assert_never"


def _statements(node: ast.stmt) -> Iterator[ast.AST]:
    nothing = ast.copy_location(ast.Pass(), node)
    if isinstance(node, ast.AugAssign):
        yield _with(node, op=OPERATORS[type(node.op)]())
        yield nothing
    elif (
        isinstance(node, ast.Raise)
        or (isinstance(node, ast.Expr) and not _states_only(node.value))
        or (isinstance(node, ast.Assign) and not isinstance(node.targets[0], ast.Name | ast.Tuple))
    ):
        yield nothing
    elif isinstance(node, ast.Continue | ast.Break):
        other = ast.Break() if isinstance(node, ast.Continue) else ast.Continue()
        yield ast.copy_location(other, node)
    elif isinstance(node, ast.If | ast.While) and not isinstance(
        node.test, ast.Compare | ast.UnaryOp
    ):
        negated = ast.copy_location(ast.UnaryOp(ast.Not(), node.test), node.test)
        yield _with(node, test=negated)
