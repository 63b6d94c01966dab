"""network.h and network.c: the tables as one C file, with the kernels that it uses.

Every operation of an update rule is a line of C. ``neuron.py`` does the same in numpy.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import chain
from textwrap import indent
from typing import Any

import numpy as np

from nirc.ir.arrays import Float
from nirc.ir.rules import EMIT, Add, Decay, Fire, Operation, Rule, parse
from nirc_target_c.checks import shape_out
from nirc_target_c.limits import DECAY_ONE, STATE, WEIGHT
from nirc_target_c.tables import Constant, Int, Kernel, Listed, Matrix, Neurons, Tables

HEADER, SOURCE = "network.h", "network.c"
WIDTH = 96  # of a line of numbers
# Words of C and C++, and fields of the struct that are no population.
RESERVED = [
    "auto",
    "bool",
    "break",
    "case",
    "char",
    "class",
    "const",
    "continue",
    "default",
    "delete",
    "do",
    "double",
    "else",
    "enum",
    "extern",
    "false",
    "float",
    "for",
    "friend",
    "goto",
    "if",
    "inline",
    "int",
    "linux",
    "long",
    "namespace",
    "new",
    "operator",
    "private",
    "protected",
    "public",
    "register",
    "restrict",
    "return",
    "short",
    "signed",
    "sizeof",
    "static",
    "steps",
    "struct",
    "switch",
    "template",
    "this",
    "throw",
    "true",
    "try",
    "typedef",
    "typename",
    "union",
    "unix",
    "unsigned",
    "using",
    "virtual",
    "void",
    "volatile",
    "while",
    "x",
    "x_2",
]


@dataclass(frozen=True)
class Sender:
    """An input or a population as others see it.

    ``now``: the C expression of its spikes of this step. ``kept``: steps of spikes that are kept.
    """

    name: str
    n: int
    now: str
    kept: int

    def at(self, lag: int) -> str:
        """Return the C expression of its spikes ``lag`` steps ago."""
        if not lag:
            return self.now
        if self.kept == 1:
            return f"s->{self.name}.past"
        place = f"(s->{self.name}.at + {self.kept - lag}) % {self.kept}"
        return f"s->{self.name}.past + {place} * {self.n}"


def files_of(tables: Tables) -> dict[str, bytes]:
    """Return the two files by name, the same for the same tables."""
    text = _Text(tables)
    return {HEADER: text.header().encode(), SOURCE: text.source().encode()}


class _Text:
    """The text of both files. ``names``: C identifiers by the names of inputs and populations."""

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        self.names = identifiers([*tables.sizes()])
        self.sizes = tables.sizes()
        self.used = {"add"}  # kernels and tables of parameters
        self.senders = dict(self._senders())
        self.into: dict[str, list[tuple[int, Matrix]]] = {p.name: [] for p in tables.populations}
        for number, matrix in enumerate(tables.projections):
            if matrix.weight.any():
                self.into[matrix.target].append((number, matrix))
        self.last_onset = max((each.onset for each in tables.constants), default=0)

    def _senders(self) -> Iterator[tuple[str, Sender]]:
        first = 0
        for source in self.tables.inputs:
            now = f"in + {first}" if first else "in"
            yield source.name, Sender(self.names[source.name], source.n, now, self._kept(source))
            first += source.n
        for each in self.tables.populations:
            name = self.names[each.name]
            yield each.name, Sender(name, each.n, f"s->{name}.spikes", self._kept(each))

    def _kept(self, block: Any) -> int:
        lags = [m.lag for m in self.tables.projections if m.source == block.name]
        return max(lags, default=0)

    # network.h

    def header(self) -> str:
        """Return the struct of all states, and the two functions."""
        outputs = sum(len(output.neurons) for output in self.tables.outputs)
        states = [*chain.from_iterable(self._fields(name) for name in self.sizes)]
        widest = max(p.n for p in self.tables.populations)
        states.append(f"int32_t x[{widest}]; /* the input of a population */")
        if self._second():
            states.append(f"int32_t x_2[{widest}]; /* of its second receptor */")
        if self.last_onset:
            states.append("uint32_t steps;")
        return HEADER_TEXT.format(
            inputs=self.tables.channels,
            outputs=outputs,
            shown=indent("\n".join(self._shown()), "   "),
            states=indent("\n".join(states), "    "),
        )

    def _second(self) -> bool:
        return any(p.decay_syn_2 is not None for p in self.tables.populations)

    def _fields(self, name: str) -> list[str]:
        sender = self.senders[name]
        n = sender.n
        neurons = {p.name: p for p in self.tables.populations}.get(name)
        inner = []
        if neurons is not None:
            inner += [f"uint8_t spikes[{n}];" if _fires(neurons) else f"int32_t sent[{n}];"]
            inner += [f"int32_t v[{n}];"]
            inner += [f"int32_t {state}[{n}];" for state in _currents(neurons)]
        if sender.kept:
            inner += [f"uint8_t past[{sender.kept * n}];", "int32_t at;"]
        return [f"struct {{ {' '.join(inner)} }} {sender.name};"] if inner else []

    def _shown(self) -> Iterator[str]:
        neurons = {p.name: p for p in self.tables.populations}
        first = 0
        for output in self.tables.outputs:
            last = first + len(output.neurons) - 1
            what = "spikes" if _fires(neurons[output.population]) else "membranes"
            yield f"out[{first}] to out[{last}]: {what} of {self.names[output.population]}"
            first = last + 1

    # network.c

    def source(self) -> str:
        """Return the program."""
        body = [self._reset(), self._step(), self._main()]
        data = [*self._weights(), *self._parameters()]
        wide = any(np.abs(m.weight).max(initial=0) > WEIGHT[8] for m in self.tables.projections)
        many = max(self.sizes.values()) > 1 << 16
        types = [f"#define STATE {STATE}"]
        types += [f"#define DECAY_ONE {DECAY_ONE}"] if "decay" in self.used else []
        if self.used & {"dense", "list", "kernel"}:
            types.append(f"typedef {'int16_t' if wide else 'int8_t'} weight;")
        if "list" in self.used:
            types.append(f"typedef {'uint32_t' if many else 'uint16_t'} neuron;")
        order = ("decay", "add", "count", "dense", "list", "kernel")
        kernels = [_kernel(name) for name in order if name in self.used]
        top = f'{TITLE}\n#include "{HEADER}"\n'
        return "\n".join([top, "\n".join(types) + "\n", *kernels, *data, *body])

    def _weights(self) -> Iterator[str]:
        for number, matrix in chain.from_iterable(self.into.values()):
            name = f"w{number}"
            if isinstance(matrix, Listed):
                order = np.lexsort((matrix.post, matrix.pre))
                n_in = self.senders[matrix.source].n
                first = np.searchsorted(matrix.pre[order], np.arange(n_in + 1))
                yield numbers("uint32_t", f"{name}_first", first)
                yield numbers("neuron", f"{name}_target", matrix.post[order])
                yield numbers("weight", name, matrix.weight[order])
            elif isinstance(matrix, Kernel):
                yield _window(name, matrix)
                _, inner, *taps = matrix.weight.shape
                by_group = matrix.weight.reshape(matrix.groups, -1, inner, *taps)
                yield numbers("weight", name, by_group.transpose(0, 2, 3, 4, 1))
            else:
                yield numbers("weight", name, matrix.weight.T)

    def _parameters(self) -> Iterator[str]:
        for each in self.tables.populations:
            for field, value in vars(each).items():
                name = f"{self.names[each.name]}_{field}"
                if name in self.used:
                    yield numbers("int32_t", name, value)
        for number, constant in enumerate(self.tables.constants):
            yield numbers("int32_t", f"c{number}", constant.value)

    def _reset(self) -> str:
        lines = []
        for each in self.tables.populations:
            name = self.names[each.name]
            start = "0" if each.v_start is None else self._value(each, "v_start")
            sent = "spikes" if _fires(each) else "sent"
            states = [f"s->{name}.{sent}[i] = 0;", f"s->{name}.v[i] = {start};"]
            states += [f"s->{name}.{state}[i] = 0;" for state in _currents(each)]
            lines += _loop(each.n, states)
        for sender in self.senders.values():
            if sender.kept:
                lines += _loop(sender.kept * sender.n, [f"s->{sender.name}.past[i] = 0;"])
                lines.append(f"s->{sender.name}.at = 0;")
        lines += ["s->steps = 0;"] if self.last_onset else []
        return _function("void network_reset(network *s)", lines)

    def _step(self) -> str:
        lines = []
        reads = [m.source for matrices in self.into.values() for _, m in matrices]
        if not set(reads) & {source.name for source in self.tables.inputs}:
            lines.append("(void)in;")
        for each in self.tables.populations:
            lines += ["", f"/* {self.names[each.name]}: {each.rule} */", *self._population(each)]
        lines += ["", "/* outputs */"]
        first = 0
        neurons = {p.name: p for p in self.tables.populations}
        for output in self.tables.outputs:
            sent = "spikes" if _fires(neurons[output.population]) else "sent"
            to = f"out[{first} + i]" if first else "out[i]"
            value = f"s->{self.names[output.population]}.{sent}[i]"
            lines += _loop(len(output.neurons), [f"{to} = {value};"])
            first += len(output.neurons)
        return _function(
            "void network_step(network *s, const uint8_t *in, int32_t *out)",
            [*lines, *self._remember()],
        )

    def _remember(self) -> list[str]:
        lines = []
        for sender in self.senders.values():
            if not sender.kept:
                continue
            past = f"s->{sender.name}.past"
            now = f"{sender.now}[i]" if sender.now.isidentifier() or "s->" in sender.now else ""
            now = now or f"({sender.now})[i]"
            if sender.kept == 1:
                lines += _loop(sender.n, [f"{past}[i] = {now};"])
                continue
            at = f"s->{sender.name}.at"
            lines += _loop(sender.n, [f"{past}[{at} * {sender.n} + i] = {now};"])
            lines.append(f"{at} = ({at} + 1) % {sender.kept};")
        if self.last_onset:
            lines += [f"if (s->steps < {self.last_onset})", "    s->steps++;"]
        return ["", "/* spikes for later steps */", *lines] if lines else []

    def _population(self, each: Neurons) -> list[str]:
        lines = [*_loop(each.n, ["s->x[i] = 0;"])]
        if each.decay_syn_2 is not None:
            lines = [*_loop(each.n, ["s->x[i] = 0;", "s->x_2[i] = 0;"])]
        lines += [self._call(number, matrix) for number, matrix in self.into[each.name]]
        for number, constant in enumerate(self.tables.constants):
            if constant.target == each.name:
                lines += self._constant(number, constant)
        return [*lines, *_loop(each.n, self._neuron(each))]

    def _call(self, number: int, matrix: Matrix) -> str:
        source = self.senders[matrix.source]
        to = f"{source.at(matrix.lag)}, {1 << matrix.shift}, s->x{'_2' if matrix.receptor else ''}"
        self.used.add(matrix.kind)
        if isinstance(matrix, Listed):
            return f"list(w{number}_first, w{number}_target, w{number}, {source.n}, {to});"
        if isinstance(matrix, Kernel):
            return f"kernel(&w{number}_window, w{number}, {to});"
        return f"dense(w{number}, {source.n}, {self.sizes[matrix.target]}, {to});"

    def _constant(self, number: int, constant: Constant) -> list[str]:
        x = "x_2" if constant.receptor else "x"
        lines = _loop(len(constant.value), [f"s->{x}[i] += c{number}[i];"])
        if not constant.onset:
            return lines
        return [f"if (s->steps >= {constant.onset})", *(f"    {line}" for line in lines)]

    def _value(self, each: Neurons, field: str) -> str:
        """Return a parameter as a C expression: a number, or an entry of a table."""
        value = getattr(each, field)
        if value.size == 1:
            return str(value[0])
        name = f"{self.names[each.name]}_{field}"
        self.used.add(name)
        return f"{name}[i]"

    def _neuron(self, each: Neurons) -> list[str]:
        """Return the statements of one neuron: load, the rule, store."""
        name = self.names[each.name]
        rule = parse(each.rule)
        currents = _currents(each)
        lines = [f"int32_t v = s->{name}.v[i];"]
        lines += [f"int32_t {state} = s->{name}.{state}[i];" for state in currents]
        if rule.fires is not None:
            lines.append("int32_t n = 0, sent = 0;")
        if rule.restores:
            lines.append("int32_t earlier = 0;")
        if rule.fires is None and EMIT in rule.operations:
            lines.append("int32_t sent = 0;")
        for op in rule.operations:
            lines += self._operation(op, each, rule)
        lines += [f"s->{name}.v[i] = v;"]
        lines += [f"s->{name}.{state}[i] = {state};" for state in currents]
        if rule.fires is not None:
            return [*lines, f"s->{name}.spikes[i] = (uint8_t)sent;"]
        return [*lines, f"s->{name}.sent[i] = {'sent' if EMIT in rule.operations else 'v'};"]

    def _operation(self, op: Operation, each: Neurons, rule: Rule) -> list[str]:
        second = each.decay_syn_2 is not None
        match op:
            case Decay(state="v"):
                drift = f"v = add(v, {self._value(each, 'drift')});"
                decayed = self._decayed("v", each, "decay_mem")
                return [*decayed, *([drift] if each.drift.any() else [])]
            case Decay():
                first = self._decayed("current", each, "decay_syn")
                return first + (self._decayed("current_2", each, "decay_syn_2") if second else [])
            case Add(source="x", to="i"):
                more = ["current_2 = add(current_2, s->x_2[i]);"] if second else []
                return ["current = add(current, s->x[i]);", *more]
            case Add(source="i"):
                return [f"v = add(v, {'add(current, current_2)' if second else 'current'});"]
            case Add():
                return ["v = add(v, s->x[i]);"]
            case Fire():
                fired = self._fired(op, self._value(each, "threshold"))
                return ["earlier = n;", fired] if rule.restores else [fired]
        return self._act(op.text, each)

    def _act(self, text: str, each: Neurons) -> list[str]:
        match text:
            case "emit":
                return ["sent = n;" if _fires(each) else "sent = v;"]
            case "set":
                reset = "0" if each.v_reset is None else self._value(each, "v_reset")
                return ["if (n)", f"    v = {reset};"]
            case "bound" if each.v_least is not None:
                least = self._value(each, "v_least")
                return [f"if (v < {least})", f"    v = {least};"]
            case "bound":
                return []
        many = "-n" if text == "subtract" else "earlier"
        return [f"v = add(v, {many} * {self._value(each, 'threshold')});"]

    def _decayed(self, state: str, each: Neurons, field: str) -> list[str]:
        value = getattr(each, field)
        if value is None or not value.any():
            return [f"{state} = 0;"]
        if (value == DECAY_ONE).all():
            return []
        self.used.add("decay")
        return [f"{state} = decay({state}, {self._value(each, field)});"]

    def _fired(self, op: Fire, threshold: str) -> str:
        if op.most == 1:
            return f"n = v {op.at} {threshold};"
        self.used.add("count")
        return f"n = v {op.at} {threshold} ? count(v, {threshold}, {op.most}) : 0;"

    def _main(self) -> str:
        lines = []
        for each in self.tables.populations:
            name = self.names[each.name]
            kind, sent = ("bytes", "spikes") if _fires(each) else ("words", "sent")
            lines.append(f"print_{kind}(s->{name}.{sent}, {each.n});")
            lines.append(f"print_words(s->{name}.v, {each.n});")
        kinds = {line.partition("(")[0] for line in lines} | {"print_words"}
        prints = [PRINT[kind] for kind in sorted(kinds)]
        states = _function("static void print_states(const network *s)", lines, loops=False)
        parts = ["#ifdef NIRC_MAIN", "#include <stdio.h>\n", *prints, states, _kernel("main")]
        return "\n".join([*parts, "#endif\n"])


TITLE = """/* A spiking network in integers, written by nirc-target-c.
   No heap, no floating point, no library.

       cc -std=c99 -O2 -c network.c                         into a program that includes network.h
       cc -std=c99 -O2 -DNIRC_MAIN network.c -o network     a program of its own, see main() */"""

HEADER_TEXT = """/* A spiking network in integers, as nirc-target-c wrote it.

   A step takes in[], NETWORK_INPUTS spike counts, and gives NETWORK_OUTPUTS numbers:
{shown} */
#ifndef NETWORK_H
#define NETWORK_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {{
#endif

#define NETWORK_INPUTS {inputs}
#define NETWORK_OUTPUTS {outputs}

typedef struct {{
{states}
}} network;

void network_reset(network *s); /* before the first step of each sample */
void network_step(network *s, const uint8_t *in, int32_t *out);

#ifdef __cplusplus
}}
#endif

#endif
"""

PRINT = {
    f"print_{name}": f"""static void print_{name}(const {kind} *values, int32_t n)
{{
    int32_t i;
    for (i = 0; i < n; i++)
        printf("%ld ", (long)values[i]);
}}
"""
    for name, kind in (("bytes", "uint8_t"), ("words", "int32_t"))
}


def identifiers(names: Iterable[str]) -> dict[str, str]:
    """Return a C identifier for each name, none twice."""
    found: dict[str, str] = {}
    taken = set(RESERVED)
    for name in names:
        plain = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_").removesuffix("_t")
        stem = plain if plain[:1].isalpha() else f"n{plain}"
        identifier = stem
        number = 1
        while identifier in taken:
            number += 1
            identifier = f"{stem}_{number}"
        taken.add(identifier)
        found[name] = identifier
    return found


def numbers(kind: str, name: str, values: Int | Float) -> str:
    """Return a constant table, in lines of at most ``WIDTH`` characters."""
    texts = [str(value) for value in values.ravel().tolist()]
    each = WIDTH // (2 + max(map(len, texts)))
    rows = [", ".join(texts[i : i + each]) for i in range(0, len(texts), each)]
    body = ",\n    ".join(rows)
    return f"static const {kind} {name}[{len(texts)}] = {{\n    {body}\n}};\n"


def _window(name: str, k: Kernel) -> str:
    maps, height, width = shape_out(vars(k))
    values = [k.maps, k.height, k.width, k.pool_y, k.pool_x, *k.weight.shape[2:]]
    values += [k.stride_y, k.stride_x, k.dilation_y, k.dilation_x, k.pad_top, k.pad_left]
    values += [k.groups, maps, height, width]
    return f"static const window {name}_window = {{{', '.join(map(str, values))}}};\n"


def _fires(each: Neurons) -> bool:
    return each.threshold is not None


def _currents(each: Neurons) -> list[str]:
    if not parse(each.rule).has_synapse:
        return []
    return ["current"] if each.decay_syn_2 is None else ["current", "current_2"]


def _loop(n: int, statements: list[str]) -> list[str]:
    lines = [f"    {line}" for line in statements]
    if len(statements) == 1:
        return [f"for (i = 0; i < {n}; i++)", *lines]
    return [f"for (i = 0; i < {n}; i++) {{", *lines, "}"]


def _function(head: str, lines: list[str], *, loops: bool = True) -> str:
    body = indent("\n".join(["int32_t i;", *lines] if loops else lines), "    ")
    return f"{head}\n{{\n{body}\n}}\n"


@cache
def _kernel(name: str) -> str:
    return (files("nirc_target_c") / "kernels" / f"{name}.c").read_text(encoding="utf-8")
