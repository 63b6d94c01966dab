"""``nirc.neurobench``: a bundle as a model of NeuroBench, so that the chip's integers are measured.

>>> from nirc.neurobench import chip_model
>>> model = chip_model("model.xylo")                     # doctest: +SKIP
>>> Benchmark(model, loader, [], [ChooseMaxCount()], metrics).run()  # doctest: +SKIP
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from nirc.api import Bundle
from nirc.chip import registry
from nirc.diagnostics.usage import OptionMakesNoSense, PackageMissing
from nirc.neurobench.network import network_of

if TYPE_CHECKING:
    from nirc.neurobench.model import ChipModel


def chip_model(bundle: Bundle | str | os.PathLike[str], *, mode: str | None = None) -> ChipModel:
    """Return a ``NeuroBenchModel`` of a bundle. It answers as the chip does, by the emulator.

    ``mode``: of the emulator, for chips with several modes. Input and answer are tensors
    (samples, steps, ...): spike counts, and the output spikes of each step. NeuroBench's metrics
    see the weights, spikes and membrane potentials of the chip.

    Raises ``UsageError`` (U614) without NeuroBench, and ``InputError`` (U605) if the bundle does
    not hold its network, or not the one that it names.
    """
    try:
        from nirc.neurobench.model import ChipModel
    except ImportError as error:
        missing = PackageMissing(function="nirc.neurobench", extra="neurobench", reason=str(error))
        raise missing.refusal() from None
    opened = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
    modes = registry.backend(opened.manifest["target"].partition(":")[0]).modes
    if mode is not None and mode not in modes:
        problem = "this chip's emulator has no such mode"
        limit = ", ".join(modes)
        raise OptionMakesNoSense(problem=problem, found=str(mode), limit=limit).refusal()
    return ChipModel(opened, network_of(opened), mode)
