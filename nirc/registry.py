"""Visible tables of what can be named: passes here, backends and writers through entry points."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from nirc.diagnostics.log import Diagnostic
from nirc.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nirc.backend import Backend
    from nirc.pipeline import Pass
    from nirc.writers.writer import Writer

# In the order in which a compilation runs them; a backend adds its own after these.
PASSES = {
    "flatten-nesting": "nirc.passes.flatten_nesting:FlattenNesting",
    "complete-ports": "nirc.passes.complete_ports:CompletePorts",
    "remove-dead": "nirc.passes.remove_dead:RemoveDead",
    "infer-shapes": "nirc.passes.infer_shapes:InferShapes",
    "canonicalise": "nirc.passes.canonicalise:Canonicalise",
    "to-populations": "nirc.passes.to_populations:ToPopulations",
    "fuse-linear": "nirc.passes.fuse_linear:FuseLinear",
    "infer-dt": "nirc.passes.infer_dt:InferDt",
    "discretise": "nirc.passes.discretise:Discretise",
    "normalise-rules": "nirc.passes.normalise_rules:NormaliseRules",
    "add-readout": "nirc.passes.add_readout:AddReadout",
    "fold-synapses": "nirc.passes.fold_synapses:FoldSynapses",
}


def described_passes() -> list[tuple[str, str, str]]:
    """(name, where it runs, its one sentence): the common passes, then those of each backend.

    After these what runs with `--calibrate`, in the place of the quantisation or beside it.
    """
    rows = [(name, "all targets", _sentence(load(path))) for name, path in PASSES.items()]
    for name, found in backends().items():
        plain = found.passes()
        rows += [(each.name, name, _sentence(type(each))) for each in plain]
        names = {each.name for each in plain}
        more = [each for each in _calibrating(found) if each.name not in names]
        rows += [(each.name, name, f"{_sentence(type(each))} (--calibrate)") for each in more]
    return rows


def _calibrating(found: Backend) -> Sequence[Pass]:
    """The passes with inputs to calibrate with: they are made, not run, so that nothing need be in these."""
    import numpy as np

    from nirc.ir.program import Form, Program

    return found.passes(np.zeros((1, 1, 1), dtype=np.int64), Program.of(Form.DISCRETE, {}, ()))


def _sentence(pass_class: type) -> str:
    return (pass_class.__doc__ or "").strip().splitlines()[0]


def load(path: str) -> Any:
    """The object behind ``module:name``."""
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)


def writers() -> dict[str, Writer]:
    """Installed writers by name, built-in ones included, sorted; the letter of NIR comes last."""
    found = {entry.name: entry for entry in entry_points(group="nirc.writers")}
    return {name: found[name].load() for name in sorted(found, key=lambda name: (name == "nir", name))}


def backends() -> dict[str, Backend]:
    """Installed backends by name, built-in ones included, sorted."""
    found = {entry.name: entry for entry in entry_points(group="nirc.backends")}
    return {name: found[name].load() for name in sorted(found)}


def backend(name: str) -> Backend:
    """One backend. Raises ``UsageError`` (U601) with the names that exist."""
    for entry in entry_points(group="nirc.backends"):
        if entry.name == name:
            loaded: Backend = entry.load()
            return loaded
    names = sorted({entry.name for entry in entry_points(group="nirc.backends")})
    raise UsageError(
        [
            Diagnostic(
                "U601",
                "error",
                f"there is no target `{name}`",
                found=name,
                limit=", ".join(names),
                help="nirc targets",
            )
        ]
    )
