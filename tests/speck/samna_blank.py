"""Stand-ins for `samna` and `samnagui`, which sinabs imports and which then fetch a binary.

Only what sinabs touches without a chip: a configuration object to write into. Nothing here computes
or validates.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

CORES = 9
DESTINATIONS = 2
VARIANTS = ("speck2e", "speck2f")


class Record:
    """Fields that are set on it, and records for those that are read before."""

    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        self.__dict__[name] = Record()
        return self.__dict__[name]


class SpeckConfiguration(Record):
    """The tree that sinabs' builder fills: nine cores and the DVS layer, two destinations each."""

    def __init__(self) -> None:
        super().__init__(
            cnn_layers=[Record(destinations=_destinations()) for _ in range(CORES)],
            dvs_layer=Record(destinations=_destinations(), pooling=Record(x=1, y=1)),
        )


def _destinations() -> list[Record]:
    return [Record(enable=False, layer=0, pooling=1, feature_shift=0) for _ in range(DESTINATIONS)]


@contextmanager
def importable() -> Iterator[None]:
    """Put the stand-ins under their names while sinabs is imported. Other tests never see them."""
    modules = _modules()
    before = {name: sys.modules.get(name) for name in modules}
    sys.modules.update(modules)
    try:
        yield
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


def _modules() -> dict[str, ModuleType]:
    samna = _module("samna", device=Record())  # `device` occurs in annotations
    found = {"samna": samna, "samnagui": _module("samnagui")}
    for variant in VARIANTS:
        configuration = _module(
            f"samna.{variant}.configuration", SpeckConfiguration=SpeckConfiguration
        )
        # The real validator is in the binary. sinabs asks for one, so this says yes to everything.
        chip = _module(
            f"samna.{variant}",
            configuration=configuration,
            validate_configuration=lambda configuration: (True, ""),
        )
        setattr(samna, variant, chip)
        found |= {chip.__name__: chip, configuration.__name__: configuration}
    return found


def _module(name: str, **attributes: Any) -> ModuleType:
    module = ModuleType(name)
    module.__dict__.update(attributes)
    return module
