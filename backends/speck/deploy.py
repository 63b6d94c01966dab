"""Renders deploy.py, the loader for the vendor's tools; the numbers in it come from limits.py."""

from __future__ import annotations

from nirc.backends.speck import limits
from nirc.backends.speck.configuration import Configuration
from nirc.target import Target

# Boards as samna names them, the usual one first. Source: sinabs, backend/dynapcnn/io.py.
BOARDS = {"2f": ("Speck2fDevKit", "Speck2fModuleDevKit"), "2e": ("Speck2eDevKit", "Speck2eTestBoard")}


def deploy_py(configuration: Configuration) -> bytes:
    """A self-contained script: checks config.json, builds the vendor's object, uploads, runs a raster."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("nirc.backends.speck"),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,
    )
    target = _target(configuration.variant)
    text = environment.get_template("deploy.py.j2").render(
        part=target.part,
        variant=target.variant,
        boards=BOARDS[target.variant],
        limits=vars(limits),
        input_map=target.max("input map"),
        output_map=target.max("output map"),
        channels=target.max("input channels"),
    )
    return text.encode()


def _target(variant: str) -> Target:
    return next(target for target in limits.VARIANTS if target.variant == variant)
