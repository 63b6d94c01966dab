"""network.h and network.c: the tables as one C file, with the kernels that it uses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from textwrap import fill, indent

import numpy as np

from nirc_target_c.checks import shape_out
from nirc_target_c.limits import DECAY_ONE, STATE, WEIGHT
from nirc_target_c.statements import Statements
from nirc_target_c.tables import Constant, Input, Kernel, Listed, Matrix, Neurons, Tables
from nirc_target_c.text import function, identifiers, kernel, loop, table

HEADER, SOURCE = "network.h", "network.c"
KERNELS = ("decay", "add", "count", "dense", "list", "kernel")  # in the order of the file


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

    def fields(self) -> list[str]:
        """Return the fields of the struct for what is kept."""
        place = ["int32_t at;"] if self.kept > 1 else []
        return [f"uint8_t past[{self.kept * self.n}];", *place] if self.kept else []

    def forget(self) -> list[str]:
        """Return the statements before a sample."""
        if not self.kept:
            return []
        place = [f"s->{self.name}.at = 0;"] if self.kept > 1 else []
        return [*loop(self.kept * self.n, [f"s->{self.name}.past[i] = 0;"]), *place]

    def remember(self) -> list[str]:
        """Return the statements at the end of a step."""
        past = f"s->{self.name}.past"
        now = f"({self.now})[i]" if " " in self.now else f"{self.now}[i]"
        if self.kept < 2:
            return loop(self.n, [f"{past}[i] = {now};"]) if self.kept else []
        at = f"s->{self.name}.at"
        turned = f"{at} = ({at} + 1) % {self.kept};"
        return [*loop(self.n, [f"{past}[{at} * {self.n} + i] = {now};"]), turned]


def files_of(tables: Tables) -> dict[str, bytes]:
    """Return the two files by name, the same for the same tables."""
    text = _Text(tables)
    return {HEADER: text.header().encode(), SOURCE: text.source().encode()}


class _Text:
    """The text of both files. ``names``: C identifiers by the names of inputs and populations."""

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        self.sizes = tables.sizes()
        self.names = identifiers(self.sizes)
        self.neurons = {p.name: Statements(p, self.names[p.name]) for p in tables.populations}
        self.kept = dict.fromkeys(self.sizes, 0)
        for matrix in tables.projections:
            self.kept[matrix.source] = max(self.kept[matrix.source], matrix.lag)
        self.senders = dict(self._senders())
        self.into: dict[str, list[tuple[int, Matrix]]] = {name: [] for name in self.neurons}
        for number, matrix in enumerate(tables.projections):
            if matrix.weight.any():
                self.into[matrix.target].append((number, matrix))
        self.last_onset = max((each.onset for each in tables.constants), default=0)

    def _senders(self) -> Iterator[tuple[str, Sender]]:
        first = 0
        blocks: list[Input | Neurons] = [*self.tables.inputs, *self.tables.populations]
        for each in blocks:
            name = self.names[each.name]
            now = f"s->{name}.spikes"
            if isinstance(each, Input):
                now = f"in + {first}" if first else "in"
                first += each.n
            yield each.name, Sender(name, each.n, now, self.kept[each.name])

    # network.h

    def header(self) -> str:
        """Return the struct of all states, and the two functions."""
        widest = max(p.n for p in self.tables.populations)
        states = [*chain.from_iterable(self._struct(name) for name in self.sizes)]
        states.append(f"int32_t x[{widest}]; /* the input of a population */")
        if any(p.decay_syn_2 is not None for p in self.tables.populations):
            states.append(f"int32_t x_2[{widest}]; /* of its second receptor */")
        if self.last_onset:
            states.append("uint32_t steps;")
        return HEADER_TEXT.format(
            inputs=self.tables.channels,
            outputs=sum(len(output.neurons) for output in self.tables.outputs),
            shown=indent("\n".join(self._shown()), "   "),
            states=indent("\n".join(states), "    "),
        )

    def _struct(self, name: str) -> list[str]:
        sender = self.senders[name]
        fields = sender.fields()
        if name in self.neurons:
            neurons = self.neurons[name]
            sent = f"{'uint8_t' if neurons.fires else 'int32_t'} {neurons.sent}[{sender.n}];"
            states = [f"int32_t {state}[{sender.n}];" for state in ("v", *neurons.currents)]
            fields = [sent, *states, *fields]
        inner = indent("\n".join(fields), "    ")
        return ["struct {", inner, f"}} {sender.name};"] if fields else []

    def _shown(self) -> Iterator[str]:
        first = 0
        for output in self.tables.outputs:
            last = first + len(output.neurons) - 1
            what = "spikes" if self.neurons[output.population].fires else "membranes"
            yield f"out[{first}] to out[{last}]: {what} of {self.names[output.population]}"
            first = last + 1

    # network.c

    def source(self) -> str:
        """Return the program."""
        functions = [self._reset(), self._step(), self._main()]
        used = {"add"} | {m.kind for _, m in chain.from_iterable(self.into.values())}
        used |= set(chain.from_iterable(each.used for each in self.neurons.values()))
        kernels = [kernel(name) for name in KERNELS if name in used]
        data = [*self._weights(), *self._parameters()]
        return "\n".join([TITLE, *self._types(used), "", *kernels, *data, *functions])

    def _types(self, used: set[str]) -> Iterator[str]:
        yield f"#define STATE {STATE}"
        if "decay" in used:
            yield f"#define DECAY_ONE {DECAY_ONE}"
        if used & {"dense", "list", "kernel"}:
            largest = max(np.abs(m.weight).max(initial=0) for m in self.tables.projections)
            yield f"typedef {'int16_t' if largest > WEIGHT[8] else 'int8_t'} weight;"
        if "list" in used:
            many = max(self.sizes.values()) > 1 << 16
            yield f"typedef {'uint32_t' if many else 'uint16_t'} neuron;"

    def _weights(self) -> Iterator[str]:
        for number, matrix in chain.from_iterable(self.into.values()):
            name = f"w{number}"
            if isinstance(matrix, Listed):
                order = np.lexsort((matrix.post, matrix.pre))
                sources = np.arange(self.sizes[matrix.source] + 1)
                yield table(
                    "uint32_t", f"{name}_first", np.searchsorted(matrix.pre[order], sources)
                )
                yield table("neuron", f"{name}_target", matrix.post[order])
                yield table("weight", name, matrix.weight[order])
            elif isinstance(matrix, Kernel):
                yield _window(name, matrix)
                _, inner, *taps = matrix.weight.shape
                by_group = matrix.weight.reshape(matrix.groups, -1, inner, *taps)
                yield table("weight", name, by_group.transpose(0, 2, 3, 4, 1))
            else:
                yield table("weight", name, matrix.weight.T)

    def _parameters(self) -> Iterator[str]:
        for each in self.neurons.values():
            for field in sorted(each.parameters):
                yield table("int32_t", f"{each.name}_{field}", getattr(each.neurons, field))
        for number, constant in enumerate(self.tables.constants):
            yield table("int32_t", f"c{number}", constant.value)

    def _reset(self) -> str:
        lines = ["int32_t i;"]
        for each in self.neurons.values():
            lines += loop(each.neurons.n, each.reset())
        for sender in self.senders.values():
            lines += sender.forget()
        lines += ["s->steps = 0;"] if self.last_onset else []
        return function("void network_reset(network *s)", lines)

    def _step(self) -> str:
        lines = ["int32_t i;"]
        inputs = {source.name for source in self.tables.inputs}
        read = {m.source for _, m in chain.from_iterable(self.into.values())}
        if not inputs & (read | {name for name, steps in self.kept.items() if steps}):
            lines.append("(void)in;")
        for each in self.tables.populations:
            lines += ["", *_comment(f"{self.names[each.name]}: {each.rule}")]
            lines += self._population(each)
        lines += ["", "/* outputs */", *self._outputs()]
        past = [*chain.from_iterable(sender.remember() for sender in self.senders.values())]
        if self.last_onset:
            past += [f"if (s->steps < {self.last_onset})", "    s->steps++;"]
        lines += ["", "/* for later steps */", *past] if past else []
        head = "void network_step(network *s, const uint8_t *in, int32_t *out)"
        return function(head, lines)

    def _population(self, each: Neurons) -> list[str]:
        inputs = ["s->x[i] = 0;"]
        inputs += ["s->x_2[i] = 0;"] if each.decay_syn_2 is not None else []
        lines = loop(each.n, inputs)
        lines += [self._call(number, matrix) for number, matrix in self.into[each.name]]
        for number, constant in enumerate(self.tables.constants):
            if constant.target == each.name:
                lines += _constant(number, constant)
        return [*lines, *loop(each.n, self.neurons[each.name].step())]

    def _call(self, number: int, matrix: Matrix) -> str:
        source = self.senders[matrix.source]
        x = "s->x_2" if matrix.receptor else "s->x"
        rest = f"{source.at(matrix.lag)}, {1 << matrix.shift}, {x}"
        if isinstance(matrix, Listed):
            return f"list(w{number}_first, w{number}_target, w{number}, {source.n}, {rest});"
        if isinstance(matrix, Kernel):
            return f"kernel(&w{number}_window, w{number}, {rest});"
        return f"dense(w{number}, {source.n}, {self.sizes[matrix.target]}, {rest});"

    def _outputs(self) -> list[str]:
        lines: list[str] = []
        first = 0
        for output in self.tables.outputs:
            each = self.neurons[output.population]
            to = f"out[{first} + i]" if first else "out[i]"
            lines += loop(each.neurons.n, [f"{to} = s->{each.name}.{each.sent}[i];"])
            first += each.neurons.n
        return lines

    def _main(self) -> str:
        """Return the program of its own, with functions that print bytes and words."""
        lines = []
        for each in self.neurons.values():
            kind = "bytes" if each.fires else "words"
            lines.append(f"print_{kind}(s->{each.name}.{each.sent}, {each.neurons.n});")
            lines.append(f"print_words(s->{each.name}.v, {each.neurons.n});")
        kinds = {"uint8_t": "print_bytes", "int32_t": "print_words"}
        fires = any(each.fires for each in self.neurons.values())
        prints = [
            PRINT.format(kind=kind, name=name)
            for kind, name in kinds.items()
            if fires or kind == "int32_t"
        ]
        states = function("static void print_states(const network *s)", lines)
        head = ["#ifdef NIRC_MAIN", "#include <stdio.h>\n"]
        return "\n".join([*head, *prints, states, kernel("main"), "#endif\n"])


def _constant(number: int, constant: Constant) -> list[str]:
    x = "x_2" if constant.receptor else "x"
    lines = loop(len(constant.value), [f"s->{x}[i] += c{number}[i];"])
    if not constant.onset:
        return lines
    return [f"if (s->steps >= {constant.onset})", *(f"    {line}" for line in lines)]


def _window(name: str, k: Kernel) -> str:
    maps, height, width = shape_out(vars(k))
    values = [k.maps, k.height, k.width, k.pool_y, k.pool_x, *k.weight.shape[2:]]
    values += [k.stride_y, k.stride_x, k.dilation_y, k.dilation_x, k.pad_top, k.pad_left]
    values += [k.groups, maps, height, width]
    return f"static const window {name}_window = {{{', '.join(map(str, values))}}};\n"


def _comment(text: str) -> list[str]:
    return fill(f"/* {text} */", 92, subsequent_indent="   ").splitlines()


TITLE = """/* A spiking network in integers, written by nirc-target-c.
   No heap, no floating point, no library.

       cc -std=c99 -O2 -c network.c                         into a program that includes network.h
       cc -std=c99 -O2 -DNIRC_MAIN network.c -o network     a program of its own, see main() */
#include "network.h"
"""

HEADER_TEXT = """/* A spiking network in integers, written by nirc-target-c.

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

PRINT = """static void {name}(const {kind} *values, int32_t n)
{{
    int32_t i;
    for (i = 0; i < n; i++)
        printf("%ld ", (long)values[i]);
}}
"""
