"""Differences between the update rules of a model and of a chip, computed from the two values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from nirc.diagnostics.log import Log
from nirc.ir.populations import Discrete, Population, Sink, populations_of
from nirc.ir.program import Program
from nirc.ir.rules import Rule
from nirc.ir.training import Training

ChipRule = Callable[[str, Discrete], Rule]  # (name of a population, dynamics) -> the chip's rule

COST = "`nirc verify` shows what it costs, with --calibrate FILE and without"


@dataclass(frozen=True)
class Difference:
    """A difference of a chip: ``code``, and sentences about the model and the chip.

    ``help`` is empty where it depends on the chip and the simulator.
    """

    code: str
    model: str
    chip: str
    help: str = ""


RESTORING = Difference(
    "D440",
    "compares in the model with a threshold less where the membrane still is above it",
    "at every step alike on the chip",
)
UNBOUNDED = Difference(
    "D443",
    "has a lower bound of the membrane in the model",
    "none on the chip",
    "train without a bound, or with little inhibition",
)


def differences(d: Discrete, chip: Rule) -> Iterator[Difference]:
    """Yield differences of a population that fires. Without decay, a reset makes none."""
    model = d.rule
    fires = model.fires
    other = chip.fires
    if fires is None or other is None:
        return
    yield from _reset(d, chip)
    if _more(other.most, fires.most):
        yield Difference(
            "D404",
            f"fires {_times(fires.most)} a step in the model",
            f"{_times(other.most)} on the chip",
            "`nirc verify` shows how often it happens; larger thresholds make it rarer",
        )
    if _more(fires.most, other.most):
        yield Difference(
            "D441",
            f"fires {_times(fires.most)} a step in the model",
            f"{_times(other.most)} on the chip",
            "train with one spike a step, or with thresholds that are rarely reached twice",
        )
    if model.bounded and not chip.bounded:
        yield UNBOUNDED
    if fires.at != other.at:
        yield Difference(
            "D442",
            f"fires at v {fires.at} threshold in the model",
            f"at v {other.at} threshold on the chip",
            "only a membrane that is exactly at its threshold tells the two apart",
        )


def _reset(d: Discrete, chip: Rule) -> Iterator[Difference]:
    model = d.rule
    delayed = model.reset_is_late and not chip.reset_is_late
    if not d.decay_mem.any() and not delayed and not model.restores:
        return
    if model.reset != chip.reset:
        yield Difference(
            "D401", f"{_resets(model, d)} in the model", f"{_resets(chip, d)} on the chip"
        )
    elif delayed and (model.reset == "set" or (d.decay_mem != 1).any()):
        yield Difference(
            "D440",
            f"{_resets(model, d)} in the step after a spike, after the decay, in the model",
            "at once on the chip",
        )
    elif model.restores:
        yield RESTORING


def _advice(name: str, d: Discrete, chip: ChipRule, training: Training) -> str:
    """Return the resets that this simulator has and this chip computes as they are."""
    if training.added:
        return "--readout li reads membranes, which no spike resets"
    found = []
    for reset, asked in training.resets.items():
        wish = replace(d, rule=d.rule.at_once(reset), v_reset=None, v_least=None)
        if not any(_reset(wish, chip(name, wish))):
            found.append(asked)
    if found:
        return f"train with {', or '.join(found)}"
    who = f"{training.simulator} has" if training.simulator else "there is"
    return f"{who} no reset that this chip computes as it is: {COST}"


def _resets(rule: Rule, d: Discrete) -> str:
    if rule.reset == "subtract":
        return "subtracts the threshold"
    if rule.reset == "none":
        return "is not reset"
    return "resets to zero" if d.resets_to is None else "resets to v_reset"


def _times(most: int | None) -> str:
    if most is None:
        return "any number of times"
    return "once" if most == 1 else f"up to {most} times"


def _more(one: int | None, other: int | None) -> bool:
    """Return True if the bound ``one`` allows several spikes a step and ``other`` only one."""
    return (one is None or one > 1) and other == 1


def report(
    program: Program,
    chip: ChipRule,
    source: str,
    log: Log,
    found: Callable[[str], str] | None = None,
) -> None:
    """Report a finding for each population of the discrete ``program`` and each kind of difference.

    Two kinds are notes: ties (D442), and spikes of an output in a later step (D441). ``found``
    returns the reason of a different reset, by name of the population.
    """
    for name, population in populations_of(program, Discrete).items():
        d = population.dynamics
        rule = chip(name, d)
        help_ = _advice(name, d, chip, program.training.get(name, Training()))
        for each in differences(d, rule):
            reason = "" if found is None or each.code != "D401" else found(name)
            minor = each.code == "D442" or (
                each.code == "D441" and _comes_later(program, name, d, rule)
            )
            _report(
                name, population, each, help_, reason, source, log.note if minor else log.differs
            )


def report_replaced(program: Program, name: str, chip: ChipRule, source: str, log: Log) -> None:
    """Report D440 and D443 before a legaliser replaces the rule of a population by the plain
    rule.
    """
    population: Population[Discrete] = program[name]
    rule = population.dynamics.rule
    help_ = _advice(name, population.dynamics, chip, program.training.get(name, Training()))
    for each, there in ((RESTORING, rule.restores), (UNBOUNDED, rule.bounded)):
        if there:
            _report(name, population, each, help_, "", source, log.differs)


def _comes_later(program: Program, name: str, d: Discrete, chip: Rule) -> bool:
    """Return True if the chip only delays further spikes, and only outputs receive them."""
    subtracts = d.rule.reset == chip.reset == "subtract"
    return subtracts and all(
        isinstance(program[target], Sink) for target, _ in program.out_of(name)
    )


def _report(
    name: str,
    population: Population[Discrete],
    each: Difference,
    reset: str,
    found: str,
    source: str,
    log: Callable[..., None],
) -> None:
    message = f"`{name}` {each.model}, {each.chip}"
    log(
        each.code,
        message,
        where=population.origins[0],
        found=found,
        source=source,
        help=each.help or reset,
    )
