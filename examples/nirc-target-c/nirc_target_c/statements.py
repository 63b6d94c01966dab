"""The neurons of a population as C statements: each operation of the update rule is a line or two.

``neuron.py`` does the same in numpy.
"""

from __future__ import annotations

from nirc.ir.rules import EMIT, Add, Decay, Fire, Operation, parse
from nirc_target_c.limits import DECAY_ONE
from nirc_target_c.tables import Neurons


class Statements:
    """The statements of one neuron, number ``i`` of the population ``name``.

    ``used``: the kernels and parameters that they need.
    """

    def __init__(self, neurons: Neurons, name: str) -> None:
        self.neurons = neurons
        self.name = name
        self.rule = parse(neurons.rule)
        self.used: set[str] = set()
        self.parameters: set[str] = set()
        self.declared: set[str] = set()

    @property
    def fires(self) -> bool:
        """True for neurons that send spikes, False for those that send their membrane."""
        return self.neurons.threshold is not None

    @property
    def sent(self) -> str:
        """The field of what the neurons send."""
        return "spikes" if self.fires else "sent"

    @property
    def currents(self) -> list[str]:
        """The fields of the synaptic currents."""
        if not self.rule.has_synapse:
            return []
        return ["current"] if self.neurons.decay_syn_2 is None else ["current", "current_2"]

    def reset(self) -> list[str]:
        """Return the statements before a sample."""
        start = "0" if self.neurons.v_start is None else self.value("v_start")
        zero = [f"s->{self.name}.{field}[i] = 0;" for field in (self.sent, *self.currents)]
        return [f"s->{self.name}.v[i] = {start};", *zero]

    def step(self) -> list[str]:
        """Return the statements of a step: load, the operations of the rule, store."""
        states = ("v", *self.currents)
        lines = [f"int32_t {state} = s->{self.name}.{state}[i];" for state in states]
        for op in self.rule.operations:
            lines += self._operation(op)
        if EMIT not in self.rule.operations:
            lines.append(f"s->{self.name}.sent[i] = v;")
        return [*lines, *(f"s->{self.name}.{state}[i] = {state};" for state in states)]

    def value(self, field: str) -> str:
        """Return a parameter in C: a number, or an entry of a table."""
        values = getattr(self.neurons, field)
        if values.size == 1:
            return str(values[0])
        self.parameters.add(field)
        return f"{self.name}_{field}[i]"

    def _operation(self, op: Operation) -> list[str]:
        second = self.neurons.decay_syn_2 is not None
        match op:
            case Decay(state="v"):
                drift = [f"v = add(v, {self.value('drift')});"] if self.neurons.drift.any() else []
                return [*self._decay("v", "decay_mem"), *drift]
            case Decay():
                more = self._decay("current_2", "decay_syn_2") if second else []
                return [*self._decay("current", "decay_syn"), *more]
            case Add(source="x", to="i"):
                more = ["current_2 = add(current_2, s->x_2[i]);"] if second else []
                return ["current = add(current, s->x[i]);", *more]
            case Add(source="i"):
                return [f"v = add(v, {'add(current, current_2)' if second else 'current'});"]
            case Add():
                return ["v = add(v, s->x[i]);"]
            case Fire():
                return self._fire(op)
        return self._act(op.text)

    def _decay(self, state: str, field: str) -> list[str]:
        values = getattr(self.neurons, field)
        if values is None or not values.any():
            return [f"{state} = 0;"]
        if (values == DECAY_ONE).all():
            return []
        self.used.add("decay")
        return [f"{state} = decay({state}, {self.value(field)});"]

    def _fire(self, op: Fire) -> list[str]:
        threshold = self.value("threshold")
        fires = f"v {op.at} {threshold}"
        if op.most != 1:
            self.used.add("count")
            fires = f"{fires} ? count(v, {threshold}, {op.most}) : 0"
        before = []
        if self.rule.restores and "n" in self.declared:
            before = [f"{self._assigned('earlier')} = n;"]
        return [*before, f"{self._assigned('n')} = {fires};"]

    def _assigned(self, variable: str) -> str:
        """Return the left side of an assignment, a declaration the first time."""
        kind = "" if variable in self.declared else "int32_t "
        self.declared.add(variable)
        return f"{kind}{variable}"

    def _act(self, text: str) -> list[str]:
        match text:
            case "emit":
                return [f"s->{self.name}.{self.sent}[i] = {'(uint8_t)n' if self.fires else 'v'};"]
            case "set":
                reset = "0" if self.neurons.v_reset is None else self.value("v_reset")
                return ["if (n)", f"    v = {reset};"]
            case "bound" if self.neurons.v_least is not None:
                least = self.value("v_least")
                return [f"if (v < {least})", f"    v = {least};"]
            case "bound":
                return []
        many = "-n" if text == "subtract" else "earlier"
        return [f"v = add(v, {many} * {self.value('threshold')});"]
