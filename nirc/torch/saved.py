"""Copies of modules, in memory and pickled.

Chips and writers hold functions, which are not pickled. A pickled module names them, and the places
of its populations on the chip are searched again where it is loaded. Nothing is rounded.
"""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from nirc.api import Bundle, Compiled
from nirc.chip import registry
from nirc.chip.fitting import first_fit
from nirc.diagnostics.log import Log
from nirc.diagnostics.training import SavedModuleDiffers
from nirc.ir.program import Program
from nirc.options import Options
from nirc.stages import Stages
from nirc.version import __version__
from nirc.writers.importer import AS, LOADED, loaded
from nirc.writers.writer import Reading, installed_writers

# Of a module: never changed, so that copies share them. Others are made when they are needed.
SHARED = ("_program", "_training", "_trainables", "_held", "compiled", "stages")
ANEW: Mapping[str, Any] = {"_networks": {}, "_last": None}


def copied(module: Any, memo: dict[int, Any]) -> Any:
    """Return a module with parameters of its own."""
    made = module.__class__.__new__(module.__class__)
    memo[id(module)] = made
    for name, value in vars(module).items():
        kept = value if name in SHARED else copy.deepcopy(ANEW.get(name, value), memo)
        made.__dict__[name] = kept
    return made


def state_of(module: Any) -> dict[str, Any]:
    """Return what torch keeps of a module, and what its user has added."""
    left_out = (*SHARED, *ANEW)
    return {name: value for name, value in vars(module).items() if name not in left_out}


def packed(compiled: Compiled) -> tuple[bytes, str]:
    """Return a compilation as bytes, and the version that ``unpacked`` must have."""
    names = [target.name for target in compiled.candidates]
    programs = (compiled.stages, compiled.legal, compiled.integer)
    return packed_parts((names, *programs, compiled.options, compiled.bundle))


def unpacked(data: bytes, version: str) -> Compiled:
    """Return the compilation again. Raises ``UsageError`` (U646) for another version."""
    parts = unpacked_parts(data, version)
    names: list[str] = parts[0]
    stages: Stages = parts[1]
    legal: Program = parts[2]
    integer: Program = parts[3]
    options: Options = parts[4]
    bundle: Bundle = parts[5]
    log = Log()
    backend, candidates = registry.resolve(names[0].partition(":")[0])
    backend = backend.with_options(options.chip, log).with_weight_bits(options.weight_bits, log)
    chosen = tuple(each for each in candidates if each.name in names)
    mapped = first_fit(backend, chosen, integer, legal, options.search, log)
    return Compiled(backend, stages, legal, integer, mapped, options, chosen, bundle)


def packed_parts(parts: object) -> tuple[bytes, str]:
    """Return programs and plain values as bytes, and the version."""
    stream = io.BytesIO()
    _Pickler(stream, pickle.HIGHEST_PROTOCOL).dump(parts)
    return stream.getvalue(), __version__


def unpacked_parts(data: bytes, version: str) -> Any:
    """Return the parts, with read-only arrays. Raises ``UsageError`` (U646)."""
    if version != __version__:
        raise SavedModuleDiffers(saved=version, now=__version__).refusal()
    parts = pickle.loads(data)  # inside a pickle, which its user trusts
    _freeze(parts)
    return parts


class _Pickler(pickle.Pickler):
    """Names writers, whose rules are functions."""

    def reducer_override(self, value: Any) -> Any:
        if not isinstance(value, Reading):
            return NotImplemented
        others = {f.name: getattr(value, f.name) for f in fields(value) if f.name != "writer"}
        return _reading, (value.writer.name, others)


def _reading(writer: str, others: dict[str, Any]) -> Reading:
    """Return a reading by the name of its writer."""
    known = installed_writers()[writer]
    is_loaded = others["values"].get(AS.key) == LOADED
    return Reading(loaded(known) if is_loaded else known, **others)


def _freeze(value: object) -> None:
    """Make the arrays of programs read-only again, which pickling forgets."""
    if isinstance(value, np.ndarray):
        value.setflags(write=False)
    elif isinstance(value, Program):
        for _, payload in value.graph.nodes(data="payload"):
            _freeze(payload)
        for _, _, payload in value.edges():
            _freeze(payload)
    elif isinstance(value, tuple | list):
        for each in value:
            _freeze(each)
    elif is_dataclass(value) and not isinstance(value, Bundle | Reading):
        for each in fields(value):
            _freeze(getattr(value, each.name))
