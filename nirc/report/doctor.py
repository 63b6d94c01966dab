"""`nirc doctor`: the installation, its extras, and what each chip's deploy.py needs."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Any

from nirc.chip import registry
from nirc.chip.vendor import Package
from nirc.diagnostics.log import Log
from nirc.native.library import SWITCH, library
from nirc.version import __version__

DISTRIBUTION = "nirc-compiler"
EXTRAS = {
    "nir": "graphs of the package nir, and NIR's recorded data",
    "record": "nirc.record, and torch networks",
    "neurobench": "nirc.neurobench: a bundle in NeuroBench's harness",
    "torch": "nirc.torch: a chip's rule as a module of torch",
    "events": "files of event cameras",
    "distributed": "nirc build and nirc sweep on several machines",
}
SIMULATORS = (
    "snntorch",
    "norse",
    "sinabs",
    "rockpool",
    "spyx",
    "nengo",
    "lava-dl",
    "nir",
    "nirtorch",
)


def examination(log: Log) -> dict[str, Any]:
    """Return what is installed, as plain data. Imports none of the packages it looks for.

    Warns of a chip whose package is broken (U615).
    """
    return {
        "nirc": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "executable": sys.executable,
        "compiled_kernels": library() is not None,
        "packages": {name: _version(name) for name in _required("")},
        "extras": {
            extra: {"for": what, "packages": {name: _version(name) for name in _required(extra)}}
            for extra, what in EXTRAS.items()
        },
        "simulators": {name: _version(name) for name in SIMULATORS},
        "targets": [
            {
                "name": name,
                "variants": [target.name for target in backend.targets],
                "packages": [_package(each) for each in backend.packages],
            }
            for name, backend in registry.backends(log).items()
        ],
    }


def _package(package: Package) -> dict[str, Any]:
    return {
        "name": package.name,
        "version": package.version(),
        "stub": package.is_stub(),
        "needed": package.needed,
        "install": package.install,
    }


def _required(extra: str) -> list[str]:
    """Return the distributions that nirc, or one of its extras, asks for."""
    try:
        lines = requires(DISTRIBUTION) or []
    except PackageNotFoundError:  # a checkout on sys.path
        return []
    marker = f'extra == "{extra}"'
    chosen = [line for line in lines if (marker in line if extra else "extra ==" not in line)]
    return [line.split(";")[0].split(">")[0].split("=")[0].strip() for line in chosen]


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def as_text(tree: Mapping[str, Any]) -> str:
    """Return the examination as lines, and what to install for what is missing."""
    return "\n".join(_lines(tree)) + "\n"


def _lines(tree: Mapping[str, Any]) -> Iterator[str]:
    yield f"nirc {tree['nirc']}, Python {tree['python']}, {tree['system']}"
    yield f"  {tree['executable']}"
    yield f"  {_listed(tree['packages'])}"
    if tree["compiled_kernels"]:
        yield "  compiled kernels: yes"
    else:
        yield (
            "  compiled kernels: no, emulators and searches are slow, with the same bits: install "
            f"with a C compiler at hand, and without {SWITCH}=0"
        )
    yield ""
    for name, extra in tree["extras"].items():
        missing = [each for each, found in extra["packages"].items() if found is None]
        state = _listed(extra["packages"])
        if missing:
            state = f"missing: pip install '{DISTRIBUTION}[{name}]'"
        yield f"extra {name:<12} {extra['for']}: {state}"
    found = {name: number for name, number in tree["simulators"].items() if number}
    yield f"simulators         {_listed(found) or 'none: nirc needs none'}"
    for target in tree["targets"]:
        yield ""
        yield f"{target['name']}: compile, check, run and verify need nothing more"
        for package in target["packages"]:
            yield f"  {package['needed']}: {_state(package)}"


def _state(package: Mapping[str, Any]) -> str:
    if package["stub"]:
        return f"{package['name']} is a stub of the public index: {package['install']}"
    if package["version"] is None:
        return f"{package['name']} is missing: {package['install']}"
    return f"{package['name']} {package['version']}"


def _listed(packages: Mapping[str, str | None]) -> str:
    return ", ".join(f"{name} {number or 'missing'}" for name, number in packages.items())
