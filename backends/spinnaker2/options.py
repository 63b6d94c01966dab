"""What ``--set NAME=VALUE`` may ask of this backend."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from nirc.backends.spinnaker2.limits import DYN_BYTES, DYN_MOST, MAX_PIXELS, STEPS
from nirc.backends.spinnaker2.memory import Prices
from nirc.backends.spinnaker2.system import Faults
from nirc.chip.backend import Backend, option

AUTO = "auto"
NUMBER = re.compile(r"[1-9][0-9]{0,8}")
PAIR = re.compile(r"([^=:,]+):([0-9]{1,9})")
SECONDS = re.compile(r"[0-9]*\.?[0-9]+(e-?[0-9]{1,2})?")
LONGEST_TICK_S = 10.0


@dataclass(frozen=True)
class Request:
    """What a user may ask: atoms by population, steps of recording, a tick in seconds, prices and
    faults.
    """

    atoms: Mapping[str, int] = field(default_factory=dict)
    steps: int = STEPS
    tick_s: float | None = None
    prices: Prices = field(default_factory=Prices)
    faults: Faults = field(default_factory=Faults)


def _pairs(text: str) -> dict[str, int] | None:
    """``NAME:NUMBER``, several with commas; None if it is something else, or names something
    twice.
    """
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
    return (
        bool(found)
        and set(found) <= set(Prices.names())
        and all(n <= DYN_MOST for n in found.values())
    )


def _tick(text: str) -> bool:
    return SECONDS.fullmatch(text) is not None and 0 < float(text) <= LONGEST_TICK_S


def _digits(text: str) -> bool:
    return NUMBER.fullmatch(text) is not None


@dataclass(frozen=True)
class Spinnaker2Options(Backend):
    """The options, and what they ask of the placement."""

    atoms: str = option(
        (AUTO,),
        "neurons on a processing element (PE), by population; auto: as many as fit",
        "NAME:ATOMS,...",
        _atoms,
    )
    delays: str = option(
        ("synapses", "relays"),
        "where inputs of a population come with different delays: in the synapses, whose weights "
        "then have 4 bits, or "
        "by relay neurons",
    )
    copies: str = option(
        (AUTO, "1", "2", "4", "8"),
        "by how many spike sources a channel of an input is sent at most: its weights are sums of "
        "so many, and finer. "
        "auto: with --calibrate as many as small networks have room for, else 1",
    )
    steps: str = option(
        (str(STEPS),),
        "steps of a run, for which PEs need room to play inputs and record outputs",
        "STEPS",
        _digits,
    )
    tick: str = option((AUTO,), "the system tick in seconds; auto: at least 1 ms", "SECONDS", _tick)
    memory: str = option(
        (str(DYN_BYTES),),
        "bytes of a PE for synapses and recordings",
        "BYTES",
        lambda text: _digits(text) and int(text) <= DYN_MOST,
    )
    prices: str = option(
        ("as declared",),
        "what things take of that memory, by the names in `backends/spinnaker2/memory.py`",
        "NAME:NUMBER,...",
        _prices,
    )
    bad: str = option(
        ("none",),
        "what is broken: chips (9), their PEs (9:17) and links (9>2); chips are numbered x + 8 y",
        "9,9:17,9>2,...",
        lambda text: bool(text) and Faults.parsed(text) is not None,
    )

    def request(self) -> Request:
        """The options as data."""
        prices = _pairs(self.prices) or {}
        if int(self.memory) != DYN_BYTES:
            prices["dyn_bytes"] = int(self.memory)
        return Request(
            atoms=_pairs(self.atoms) or {},
            steps=int(self.steps),
            tick_s=None if self.tick == AUTO else float(self.tick),
            prices=Prices(**prices),
            faults=Faults.parsed(self.bad) or Faults(),
        )
