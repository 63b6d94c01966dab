"""What ``--set NAME=VALUE`` may ask of this backend."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from nirc.backends.spinnaker2.fit import Request
from nirc.backends.spinnaker2.limits import DYN_BYTES, DYN_MOST, MAX_PIXELS, STEPS
from nirc.backends.spinnaker2.memory import Prices
from nirc.backends.spinnaker2.system import Faults
from nirc.chip.backend import ChipOption

AUTO = "auto"
NUMBER = re.compile(r"[1-9][0-9]{0,8}")
PAIR = re.compile(r"([^=:,]+):([0-9]{1,9})")
SECONDS = re.compile(r"[0-9]*\.?[0-9]+(e-?[0-9]{1,2})?")
LONGEST_TICK_S = 10.0


def request(chosen: Mapping[str, str]) -> Request:
    """The options as data; only called with values that ``OPTIONS`` take."""
    made = Request()
    prices = dict(_pairs(_unless(chosen, "prices", "as declared")) or {})
    if "memory" in chosen:
        prices["dyn_bytes"] = int(chosen["memory"])
    asked = chosen.get("tick", AUTO)
    return replace(
        made,
        atoms=dict(_pairs(_unless(chosen, "atoms", AUTO)) or {}),
        steps=int(chosen.get("steps", STEPS)),
        tick_s=None if asked == AUTO else float(asked),
        prices=Prices(**prices),
        faults=Faults.parsed(_unless(chosen, "bad", "none")) or Faults(),
    )


def _unless(chosen: Mapping[str, str], name: str, default: str) -> str:
    return "" if chosen.get(name, default) == default else chosen[name]


def _pairs(text: str) -> dict[str, int] | None:
    """``NAME:NUMBER``, several with commas; None if it is something else, or names something twice."""
    made: dict[str, int] = {}
    for word in (w for w in text.split(",") if w):
        match = PAIR.fullmatch(word)
        if match is None or match[1] in made:
            return None
        made[match[1]] = int(match[2])
    return made


def _atoms(text: str) -> bool:
    found = _pairs(text) or {}
    return bool(found) and all(1 <= n <= MAX_PIXELS for n in found.values())


def _prices(text: str) -> bool:
    found = _pairs(text) or {}
    return bool(found) and set(found) <= set(Prices.names()) and all(n <= DYN_MOST for n in found.values())


def _tick(text: str) -> bool:
    return SECONDS.fullmatch(text) is not None and 0 < float(text) <= LONGEST_TICK_S


OPTIONS = (
    ChipOption(
        "atoms",
        (AUTO,),
        "neurons on a processing element (PE), by population; auto: as many as fit",
        "NAME:ATOMS,...",
        _atoms,
    ),
    ChipOption(
        "delays",
        ("synapses", "relays"),
        "where inputs of a population come with different delays: in the synapses, whose weights then have 4 bits, or "
        "by relay neurons",
    ),
    ChipOption(
        "copies",
        (AUTO, "1", "2", "4", "8"),
        "by how many spike sources a channel of an input is sent at most: its weights are sums of so many, and finer. "
        "auto: with --calibrate as many as small networks have room for, else 1",
    ),
    ChipOption(
        "steps",
        (str(STEPS),),
        "steps of a run, for which PEs need room to play inputs and record outputs",
        "STEPS",
        lambda text: NUMBER.fullmatch(text) is not None,
    ),
    ChipOption("tick", (AUTO,), "the system tick in seconds; auto: at least 1 ms", "SECONDS", _tick),
    ChipOption(
        "memory",
        (str(DYN_BYTES),),
        "bytes of a PE for synapses and recordings",
        "BYTES",
        lambda text: NUMBER.fullmatch(text) is not None and int(text) <= DYN_MOST,
    ),
    ChipOption(
        "prices",
        ("as declared",),
        "what things take of that memory, by the names in `backends/spinnaker2/memory.py`",
        "NAME:NUMBER,...",
        _prices,
    ),
    ChipOption(
        "bad",
        ("none",),
        "what is broken: chips (9), their PEs (9:17) and links (9>2); chips are numbered x + 8 y",
        "9,9:17,9>2,...",
        lambda text: bool(text) and Faults.parsed(text) is not None,
    ),
)
