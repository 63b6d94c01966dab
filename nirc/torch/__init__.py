"""A network in torch: with a chip's rule and numbers, or as its simulator computes it.

>>> import nirc.torch
>>> module = nirc.torch.module("model.nir", "xylo")     # doctest: +SKIP
>>> loss(module(inputs), labels).backward()              # doctest: +SKIP
>>> nirc.torch.bundle(module, "trained.xylo")            # doctest: +SKIP
"""

from __future__ import annotations

from importlib.util import find_spec

from nirc.diagnostics.training import TorchMissing

if find_spec("torch") is None:
    raise TorchMissing(reason="No module named 'torch'").refusal()

from nirc.torch.build import ChipModule, ReferenceModule, bundle, module, module_of, to_nir
from nirc.torch.module import Answer, ProgramModule

__all__ = [
    "Answer",
    "ChipModule",
    "ProgramModule",
    "ReferenceModule",
    "bundle",
    "module",
    "module_of",
    "to_nir",
]
