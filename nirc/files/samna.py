"""SynSense's package samna, its boards and their power, for Xylo and Speck.

The deploy.py of these chips holds this module's text.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from nirc.files.board import DeployError, MissingPackageError, report

POWER_HZ = 5.0  # measurements a second, as Rockpool takes them
SAMNA = "the vendor's package `samna`"
INSTALL = """SynSense gives it away in an index of its own:
  pip install --force-reinstall samna \
--index-url https://gitlab.com/api/v4/projects/27423070/packages/pypi/simple
Rockpool 3.1.0 asks for 0.48.6 or later. `deploy.py --check` works without it"""


def samna_module(name: str) -> tuple[Any, Any]:
    """Return samna and its module for a chip. Raises ``MissingPackageError``.

    The package of this name in the public index is a stub that starts a download when it is
    imported: it is found by its text.
    """
    if "samna" not in sys.modules:
        spec = find_spec("samna")
        if spec is None:
            raise MissingPackageError(SAMNA, "it is not installed", INSTALL)
        if spec.origin and "PYPI_SAMNA" in Path(spec.origin).read_text(errors="replace"):
            problem = "it is the stub of the public index, without the vendor's code"
            raise MissingPackageError(SAMNA, problem, INSTALL)
    try:
        samna = import_module("samna")
    except Exception as error:  # a library or a right that is missing
        raise MissingPackageError(SAMNA, report(error), INSTALL) from None
    module = getattr(samna, name, None)
    if module is None:
        raise MissingPackageError("another version of samna", f"it has no module {name}", INSTALL)
    return samna, module


def first_board(samna: Any, names: Sequence[str]) -> tuple[Any, Any]:
    """Return the first board of one of these types, and what samna says of it."""
    found = [d for d in samna.device.get_all_devices() if str(d.device_type_name) in names]
    if not found:
        raise DeployError(f"no {' or '.join(names)} is connected")
    return samna.device.open_device(found[0]), found[0]


def about_board(info: Any) -> dict[str, Any]:
    """Return type, serial number and firmware of a board. ``info`` may lack the last two."""
    return {
        "board": info.device_type_name,
        "serial": getattr(info, "serial_number", None),
        "firmware": getattr(info, "logic_version", None),
    }


class Power:
    """The board's own measurement of its power, if it has one.

    ``nets``: the measured nets by their channel's number. Others are named by the number.
    """

    def __init__(self, samna: Any, board: Any, nets: Mapping[int, str]) -> None:
        self.nets = nets
        self.values: dict[int, list[float]] = {}
        self.sink = self.monitor = None
        if hasattr(board, "get_power_monitor"):
            self.monitor = board.get_power_monitor()
            self.sink = samna.BasicSinkNode_unifirm_modules_events_measurement()
            self.graph = samna.graph.EventFilterGraph()  # has to stay alive
            self.graph.sequential([self.monitor.get_source_node(), self.sink])
            self.graph.start()
            self.monitor.start_auto_power_measurement(POWER_HZ)

    def clear(self) -> None:
        """Forget the measurements so far."""
        if self.sink is not None:
            self.sink.get_events()

    def watts(self) -> dict[str, float]:
        """Return the mean power of each net since the last call of ``clear``."""
        for event in self.sink.get_events() if self.sink is not None else ():
            self.values.setdefault(int(event.channel), []).append(float(event.value))
        names = {channel: self.nets.get(channel, f"channel {channel}") for channel in self.values}
        return {names[channel]: sum(v) / len(v) for channel, v in sorted(self.values.items())}
