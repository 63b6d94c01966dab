"""How the chip's answer will differ in kind from the model's, said once per compilation."""

from __future__ import annotations

from nirc.analysis import rule_differences
from nirc.backends.speck.limits import DATASHEET
from nirc.backends.speck.network import Network
from nirc.diagnostics.log import Log
from nirc.ir.populations import Discrete, populations_of
from nirc.ir.program import Program
from nirc.ir.rules import Rule, plain


def report(network: Network, legal: Program, log: Log) -> None:
    """What differs in a step, and D416: the chip has no steps, which is a note where the model has
    several spikes.
    """
    rule_differences.report(legal, chip_rule, DATASHEET, log)
    first = network.layers[0]
    say = log.note if fires_as_the_chip(legal) else log.differs
    say(
        "D416",
        "neurons compare with their threshold at every event, not once a step: they may fire "
        "several times in a "
        "step, and on a part of its input",
        where=first.origin,
        limit="one spike per event",
        source=DATASHEET,
        help="`nirc verify` shows both: summed up step by step, and event by event; several "
        "spikes a step in "
        "training (sinabs' MultiSpike) remove a part of the difference",
    )


def fires_as_the_chip(legal: Program) -> bool:
    """Whether all neurons fire several times a step in the model, as in Sinabs: the vendor's own
    rule.
    """
    fires = [p.dynamics.rule.fires for p in populations_of(legal, Discrete).values()]
    return all(f is not None and f.most is None for f in fires)


def chip_rule(name: str, d: Discrete) -> Rule:
    """The model's reset at once, any number of spikes in a step, and its lower bound."""
    fires = d.rule.fires
    if fires is None:
        return d.rule
    rule = plain(
        "subtract" if d.rule.reset == "subtract" else "set", synapse=False, at=fires.at, most=None
    )
    return rule.with_bound() if d.rule.bounded else rule
