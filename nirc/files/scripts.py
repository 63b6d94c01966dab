"""Scripts that backends write: templates, and the text of nirc's modules that check a bundle."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from importlib.resources import files as resources
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeGuard

from nirc.files.description import File

if TYPE_CHECKING:
    from jinja2 import Template

WIDTH = 116  # of a line of a script
# Every script holds the text of these modules.
SHARED = ("faults", "kinds", "runs", "description", "manifest", "runrecord", "board", "running")
CHECKER = tuple(f"nirc.files.{name}" for name in SHARED)
NUMPY = """
try:
    import numpy as np
except ImportError:  # --help works without it
    np = None

if __name__ not in sys.modules:  # dataclasses look for the module, also where importlib forgot it
    sys.modules[__name__] = types.ModuleType(__name__)"""
ENDING = '''

def load(directory=None, **options):
    """Return a network that is ready to run, from the bundle in this folder or in ``directory``.

    ``options``: those of the command by their names, as ``timeout=10``. The result has ``run``,
    ``stream`` and ``populations``. Scripts are imported side by side by their paths:

        script = runpy.run_path("bundle/deploy.py")
        board = script["load"]()
        answer = board.run(inputs)["spikes"]

    Raises ``DeployError``, as ``BundleError`` for a bundle with faults, and
    ``MissingPackageError``.
    """
    return SCRIPT.load(directory, options)


if __name__ == "__main__":
    SCRIPT.start()
'''


def deploy_script(
    package: str, files: Sequence[File], modules: Sequence[str], **values: object
) -> bytes:
    """Render deploy.py of ``package``.

    ``files`` describe the bundle's files. ``modules`` of nirc check their fields against each
    other. The template gets ``imports``, of the standard library and numpy, ``checker``, the
    text of modules and descriptions, and ``ending``, which loads a bundle or runs the command.
    """
    texts = {name: _text_of(name) for name in (*CHECKER, *modules)}
    described = "".join(f"    {literal(file, 4)},\n" for file in files)
    parts = [f"# From {name}.\n\n\n{_code_of(text)}" for name, text in texts.items()]
    checker = "\n\n\n".join([*parts, f"FILES = [\n{described}]"])
    return script(
        package,
        "deploy.py.j2",
        imports=_imports_of(tuple(texts.values())),
        checker=checker,
        ending=ENDING,
        **values,
    )


def script(package: str, template: str, **values: object) -> bytes:
    """Render ``package``'s jinja2 template. A missing value is an error."""
    return _template(package, template).render(**values).encode()


@cache
def _template(package: str, name: str) -> Template:
    """Return the template. It takes longer to read than to render."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader(package),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,
    )
    return environment.get_template(name)


@cache
def _text_of(module: str) -> str:
    package, _, name = module.rpartition(".")
    return (resources(package) / f"{name}.py").read_text(encoding="utf-8")


def _is_import(node: ast.stmt) -> TypeGuard[ast.Import | ast.ImportFrom]:
    return isinstance(node, ast.Import | ast.ImportFrom)


@cache
def _code_of(text: str) -> str:
    """Return a module's text from the first line after its imports."""
    last = max(node.end_lineno or 0 for node in ast.parse(text).body if _is_import(node))
    return "\n".join(text.splitlines()[last:]).strip("\n")


@cache
def _imports_of(texts: tuple[str, ...]) -> str:
    """Return the imports of ``texts`` from the standard library. numpy may be missing."""
    plain = {"import sys", "import types"}
    names: dict[str, set[str]] = {}
    for node in chain.from_iterable(ast.parse(text).body for text in texts):
        if isinstance(node, ast.Import):
            plain |= {f"import {alias.name}" for alias in node.names if alias.name != "numpy"}
        elif isinstance(node, ast.ImportFrom) and not f"{node.module}.".startswith(
            ("nirc.", "__future__.")
        ):
            names.setdefault(node.module or "", set()).update(alias.name for alias in node.names)
    froms = [f"from {module} import {', '.join(sorted(names[module]))}" for module in sorted(names)]
    return "\n".join(["from __future__ import annotations\n", *sorted(plain), *froms, NUMPY])


def literal(value: Any, indent: int = 0, before: int = 0) -> str:
    """Return Python text of data and of descriptions, in lines of at most ``WIDTH`` characters.

    ``before``: characters before the text in its line.
    """
    opening, parts, closing = _parts(value)
    short = (
        opening + ", ".join(label + literal(inner, -(1 << 20)) for label, inner in parts) + closing
    )
    if indent + before + len(short) <= WIDTH or not parts:
        return short
    space = " " * (indent + 4)
    lines = "".join(
        f"{space}{label}{literal(inner, indent + 4, len(label))},\n" for label, inner in parts
    )
    return f"{opening}\n{lines}{' ' * indent}{closing[-1]}"


def _parts(value: Any) -> tuple[str, list[tuple[str, Any]], str]:
    """Return the text before, in and behind the brackets. Each part has a label and a value."""
    if is_dataclass(value):
        kept = [f for f in fields(value) if f.repr and getattr(value, f.name) != f.default]
        labels = ["" if f.default is MISSING else f"{f.name}=" for f in kept]
        inner = [getattr(value, f.name) for f in kept]
        return f"{type(value).__name__}(", list(zip(labels, inner, strict=True)), ")"
    if isinstance(value, dict):
        return "{", [(f"{key!r}: ", inner) for key, inner in value.items()], "}"
    if isinstance(value, list):
        return "[", [("", inner) for inner in value], "]"
    if isinstance(value, tuple):
        return "(", [("", inner) for inner in value], ",)" if len(value) == 1 else ")"
    return value.__name__ if callable(value) else repr(value), [], ""
