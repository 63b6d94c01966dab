"""nirc: from NIR models to neuromorphic chips, exactly, verifiably, and with an explanation.

>>> import nirc
>>> bundle = nirc.compile("model.nir", target="xylo")   # doctest: +SKIP
>>> out = bundle.run(inputs)                             # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from nirc.version import __version__

if TYPE_CHECKING:
    from nirc.api import Bundle as Bundle
    from nirc.api import load as load
    from nirc.diagnostics.errors import CompileError as CompileError
    from nirc.diagnostics.errors import InputError as InputError
    from nirc.diagnostics.errors import NircError as NircError
    from nirc.diagnostics.errors import UsageError as UsageError
    from nirc.files.framing import frames as frames
    from nirc.frontend.load import from_nir as from_nir
    from nirc.library import Figures as Figures
    from nirc.library import Verification as Verification
    from nirc.library import check as check
    from nirc.library import compare as compare
    from nirc.library import compare_targets as compare_targets
    from nirc.library import compile as compile
    from nirc.library import export as export
    from nirc.library import fit as fit
    from nirc.library import inspect as inspect
    from nirc.library import targets as targets
    from nirc.library import verify as verify
    from nirc.recording.record import Recorded as Recorded
    from nirc.recording.record import record as record
    from nirc.semantics.raster import Run as Run

_PUBLIC = {
    "Bundle": "nirc.api",
    "CompileError": "nirc.diagnostics.errors",
    "Figures": "nirc.library",
    "InputError": "nirc.diagnostics.errors",
    "NircError": "nirc.diagnostics.errors",
    "Recorded": "nirc.recording.record",
    "Run": "nirc.semantics.raster",
    "UsageError": "nirc.diagnostics.errors",
    "Verification": "nirc.library",
    "check": "nirc.library",
    "compare": "nirc.library",
    "compare_targets": "nirc.library",
    "compile": "nirc.library",
    "export": "nirc.library",
    "fit": "nirc.library",
    "frames": "nirc.files.framing",
    "from_nir": "nirc.frontend.load",
    "inspect": "nirc.library",
    "load": "nirc.api",
    "record": "nirc.recording.record",
    "targets": "nirc.library",
    "verify": "nirc.library",
}
__all__ = [
    "Bundle",
    "CompileError",
    "Figures",
    "InputError",
    "NircError",
    "Recorded",
    "Run",
    "UsageError",
    "Verification",
    "__version__",
    "check",
    "compare",
    "compare_targets",
    "compile",
    "export",
    "fit",
    "frames",
    "from_nir",
    "inspect",
    "load",
    "record",
    "targets",
    "verify",
]


def __dir__() -> list[str]:
    """Return the public names, for completion."""
    return sorted(__all__)


def __getattr__(name: str) -> object:
    """Load a public name when it is first used, so that `import nirc` costs no numpy or torch."""
    if name == "torch":
        return import_module("nirc.torch")
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'nirc' has no attribute {name!r}")
