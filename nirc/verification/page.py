"""The page of a verification: the report of the bundle, with what the data showed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from nirc.api import REPORT, Compiled
from nirc.chip.running import flat_raster
from nirc.diagnostics.log import Log
from nirc.files.data import Data
from nirc.report.differences import rounded_weights
from nirc.report.figures import figures
from nirc.report.html import page_context, template
from nirc.report.measured import answer
from nirc.report.verify import costs_of, verdict


def page(compiled: Compiled, result: Mapping[str, Any], data: Data) -> bytes:
    """Return the page of a verification, without outside resources.

    ``result``: the JSON of `nirc verify`. ``data``: its rasters, of which the first sample with
    spikes is drawn.
    """
    manifest, files = compiled.bundle.manifest, compiled.bundle.files
    report = json.loads(files[REPORT])
    raster = flat_raster(data.inputs, len(manifest["input_map"]), Log(), data.file)
    shown = answer(compiled.stages.reference, manifest, files, raster, "the data")
    rounded = rounded_weights(compiled.legal, compiled.integer)
    drawn = figures(report, compiled.mapped.floorplan, rounded, shown)
    context = page_context(report, manifest, drawn) | {"costs": costs_of(result)}
    text = template("verify.html.j2").render(**context, result=result, verdict=verdict(result))
    return text.encode()
