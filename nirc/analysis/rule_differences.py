"""Differences between the update rules of a model and of a chip, computed from the two values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from nirc.diagnostics.dynamics import (
    NoLowerBound,
    OneSpikeAStep,
    ResetDiffers,
    ResetTiming,
    RuleDiffers,
    SeveralSpikes,
    ThresholdGivenBack,
    TieAtThreshold,
)
from nirc.diagnostics.log import Log
from nirc.ir.populations import Discrete, Population, Sink, populations_of
from nirc.ir.program import Program, Training
from nirc.ir.rules import Rule

ChipRule = Callable[[str, Discrete], Rule]  # (name of a population, dynamics) -> the chip's rule

RESETS = frozenset({ResetDiffers, ResetTiming, ThresholdGivenBack})
COST = "`nirc verify` shows what it costs, with --calibrate FILE and without"


def report(
    program: Program,
    chip: ChipRule,
    source: str,
    log: Log,
    reset_reason: Callable[[str], str] | None = None,
) -> None:
    """Report a finding for each population of the discrete ``program`` and each kind of difference.

    ``source``: of the chip's rule. ``reset_reason`` returns the reason of a different reset, by
    name of the population.
    """
    for name, population in populations_of(program, Discrete).items():
        d = population.dynamics
        rule = chip(name, d)
        for each in differences(d, rule):
            if isinstance(each, ResetDiffers) and reset_reason is not None:
                each = each.with_fields(reason=reset_reason(name))  # noqa: PLW2901
            if isinstance(each, OneSpikeAStep):
                only_delays = _only_delays(program, name, d, rule)
                each = each.with_fields(only_delays=only_delays)  # noqa: PLW2901
            log.add(_completed(each, program, name, chip, source))


def kinds(program: Program, chip: ChipRule) -> set[type[RuleDiffers]]:
    """Return the kinds of differences that ``report`` finds in the discrete ``program``."""
    found: set[type[RuleDiffers]] = set()
    for name, population in populations_of(program, Discrete).items():
        d = population.dynamics
        found.update(map(type, differences(d, chip(name, d))))
    return found


def report_replaced(program: Program, name: str, chip: ChipRule, source: str, log: Log) -> None:
    """Report D440 and D443 before a legaliser replaces a population's rule by the plain rule."""
    rule = program[name].dynamics.rule
    if rule.restores:
        log.add(_completed(ThresholdGivenBack(), program, name, chip, source))
    if rule.bounded:
        log.add(_completed(NoLowerBound(), program, name, chip, source))


def differences(d: Discrete, chip: Rule) -> Iterator[RuleDiffers]:
    """Yield differences of a population that fires. Without decay, a reset makes none."""
    model = d.rule
    fires = model.fires
    other = chip.fires
    if fires is None or other is None:
        return
    yield from _reset(d, chip)
    if _more(other.most, fires.most):
        yield SeveralSpikes(model=fires.most, chip=other.most)
    if _more(fires.most, other.most):
        yield OneSpikeAStep(model=fires.most, chip=other.most)
    if model.bounded and not chip.bounded:
        yield NoLowerBound()
    if fires.at != other.at:
        yield TieAtThreshold(model=fires.at, chip=other.at)


def _reset(d: Discrete, chip: Rule) -> Iterator[RuleDiffers]:
    model = d.rule
    delayed = model.reset_is_delayed and not chip.reset_is_delayed
    if not d.decay_mem.any() and not delayed and not model.restores:
        return
    if model.reset != chip.reset:
        yield ResetDiffers(model=_resets(model, d), chip=_resets(chip, d))
    elif delayed and (model.reset == "set" or (d.decay_mem != 1).any()):
        yield ResetTiming(model=_resets(model, d))
    elif model.restores:
        yield ThresholdGivenBack()


def _completed(
    found: RuleDiffers, program: Program, name: str, chip: ChipRule, source: str
) -> RuleDiffers:
    """Return a difference with its population, place, source and advice."""
    population: Population[Discrete] = program[name]
    training = program.training.get(name, Training())
    help_ = found.help or _advice(name, population.dynamics, chip, training)
    return found.with_fields(population=name, where=population.origins[0], rule=source, help=help_)


def _advice(name: str, d: Discrete, chip: ChipRule, training: Training) -> str:
    """Return the resets that this simulator has and this chip computes as they are."""
    if training.added:
        return "--readout li reads membranes, which no spike resets"
    possible = []
    for reset, asked in training.resets.items():
        wish = replace(d, rule=d.rule.at_once(reset), v_reset=None, v_least=None)
        if not any(_reset(wish, chip(name, wish))):
            possible.append(asked)
    if possible:
        return f"train with {', or '.join(possible)}"
    who = f"{training.simulator} has" if training.simulator else "there is"
    return f"{who} no reset that this chip computes as it is: {COST}"


def _resets(rule: Rule, d: Discrete) -> str:
    if rule.reset == "subtract":
        return "subtracts the threshold"
    if rule.reset == "none":
        return "is not reset"
    return "resets to zero" if d.resets_to is None else "resets to v_reset"


def _more(one: int | None, other: int | None) -> bool:
    """Return True if the bound ``one`` allows several spikes a step and ``other`` only one."""
    return (one is None or one > 1) and other == 1


def _only_delays(program: Program, name: str, d: Discrete, chip: Rule) -> bool:
    """Return True if the chip only delays further spikes, and only outputs receive them."""
    subtracts = d.rule.reset == chip.reset == "subtract"
    return subtracts and all(
        isinstance(program[target], Sink) for target, _ in program.out_of(name)
    )
