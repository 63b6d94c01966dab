"""A program as a torch module: parameters on the chip's grids, and the chip's answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nirc.api import array_of
from nirc.chip.training import Place, Trainables, Training
from nirc.diagnostics.errors import Diagnostic, warn
from nirc.diagnostics.training import (
    NoParameter,
    OtherPrecision,
    ParameterNotFinite,
    SumsBeyondFloat64,
)
from nirc.diagnostics.usage import RasterDoesNotFit, WrongType
from nirc.ir.arrays import Float, frozen
from nirc.ir.linear import Conv, Dense, Sparse, weights_of, with_weights
from nirc.ir.populations import Population, Source
from nirc.ir.program import Program
from nirc.torch.grids import Held
from nirc.torch.network import BeyondFloat64Error, Network, Numbers
from nirc.torch.neurons import Seen
from nirc.torch.saved import copied
from nirc.torch.whole import whole

States = Mapping[str, Mapping[str, Float]]


@dataclass(frozen=True)
class Answer:
    """``outputs`` (samples, steps, outputs). ``signals`` (samples, steps, n): of each node.

    A signal is spikes in each step, or the membrane in volts of neurons that never fire. Rows are
    the model's steps.
    """

    outputs: Tensor
    signals: Mapping[str, Tensor]


@dataclass(frozen=True)
class _Name:
    """A parameter: its name in the module, and what it is in the program."""

    parameter: str
    kind: str  # value, weight or bias
    key: Any


class ProgramModule(torch.nn.Module):  # type: ignore[misc]  # torch is not looked at by mypy
    """A program whose numbers are parameters, in the model's units and float64.

    ``forward`` puts the parameters on the grids of the chip and computes what the chip does, in
    training as in evaluation. Slopes are the same in both.
    """

    def __init__(self, program: Program, training: Training) -> None:
        super().__init__()
        self._program = program
        self._training = training
        self._trainables = training.trainables(program)
        self._held: dict[_Name, Held] = dict(_holders(program, training, self._trainables))
        for name, held in self._held.items():
            self.register_parameter(name.parameter, torch.nn.Parameter(held.start.clone()))
        self._networks: dict[torch.device, Network] = {}
        self._last: tuple[dict[_Name, NDArray[Any]], Program] | None = None
        self._told: set[tuple[str, str, str]] = set()

    def __deepcopy__(self, memo: dict[int, Any]) -> ProgramModule:
        made: ProgramModule = copied(self, memo)
        return made

    def extra_repr(self) -> str:
        """Return the populations with their shapes, and the parameters."""
        populations = self._program.nodes(Population)
        shapes = [f"{name}: {list(each.shape)}" for name, each in populations.items()]
        held = [f"{name.parameter}: {list(each.start.shape)}" for name, each in self._held.items()]
        return "\n".join(["populations", *_inset(shapes), "parameters", *_inset(held)])

    def tell(self, diagnostics: Iterable[Diagnostic]) -> None:
        """Report what the module has not yet reported, as warnings at its caller's caller."""
        known = {(each.code, each.where, each.message): each for each in diagnostics}
        warn((each for key, each in known.items() if key not in self._told), depth=2)
        self._told |= known.keys()

    def forward(self, inputs: Any) -> Tensor:
        """Return the outputs (samples, steps, outputs) to spike counts (samples, steps, ...)."""
        return self.run(inputs).outputs

    def run(self, inputs: Any) -> Answer:
        """Return outputs and the signals of all populations.

        ``inputs``: spike counts (samples, steps, ...input shape), as an array or a tensor. Raises
        ``NircError``: U604 for inputs that do not fit, U640 for parameters that are not finite or
        not float64, U641 for sums above 2^53.
        """
        device, numbers = self._numbers()
        network = self._network(device)
        x = self._inputs(inputs, device)
        states = self._states()
        seen = self.seen(x)
        populations = tuple(self._program.nodes(Population))

        def compute(given: Sequence[Tensor]) -> Sequence[Tensor]:
            inner, *held = given
            output, signals = network.run(inner, numbers.with_tensors(held), states, seen)
            return output, *(signals[name].transpose(0, 1) for name in populations)

        try:
            output, *signals = whole(compute, [x, *numbers.tensors])
        except BeyondFloat64Error as error:
            most = error.most
            raise SumsBeyondFloat64(population=error.population, most=most).refusal() from None
        return Answer(output, dict(zip(populations, signals, strict=True)))

    def seen(self, inputs: Tensor) -> Mapping[str, Seen]:
        """Return what populations do on ``inputs``, where that is not their computation."""
        return {}

    @property
    def program(self) -> Program:
        """The program with the present parameters, on their grids."""
        _, numbers = self._numbers()
        arrays = {name: _array(self._of(numbers, name)) for name in self._held}
        known = self._last
        if known is not None and all(np.array_equal(arrays[n], known[0][n]) for n in arrays):
            return known[1]
        program = self._changed(arrays)
        self._last = arrays, program
        return program

    def _changed(self, arrays: Mapping[_Name, NDArray[Any]]) -> Program:
        weights: dict[Place, NDArray[Any]] = {}
        biases: dict[Place, NDArray[Any]] = {}
        values: dict[str, dict[str, NDArray[Any]]] = {}
        for name, array in arrays.items():
            if name.kind == "value":
                population, key = name.key
                values.setdefault(population, {})[key] = array
            else:
                (weights if name.kind == "weight" else biases)[name.key] = array
        edges = []
        for number, (source, target, p) in enumerate(self._program.edges()):
            ops = list(p.ops)
            for k, op in enumerate(p.ops):
                if (number, k) in weights and isinstance(op, Dense | Sparse | Conv):
                    ops[k] = with_weights(op, weights[number, k])
            held = [
                replace(bias, value=frozen(biases.get((number, k), bias.value)))
                for k, bias in enumerate(p.biases)
            ]
            edges.append((source, target, replace(p, ops=tuple(ops), biases=tuple(held))))
        nodes = dict(self._program.graph.nodes(data="payload"))
        return self._training.changed(self._program.rebuilt(nodes, edges), values)

    def _states(self) -> States:
        """Return the states at the start, which may follow from the parameters."""
        program = self.program
        return {
            name: self._training.computation(p).states
            for name, p in program.nodes(Population).items()
        }

    def _numbers(self) -> tuple[torch.device, Numbers]:
        device = torch.device("cpu")
        values: dict[str, dict[str, Tensor]] = {}
        weights: dict[Place, Tensor] = {}
        biases: dict[Place, Tensor] = {}
        for name, held in self._held.items():
            found = getattr(self, name.parameter, None)
            parameter = _checked(name.parameter, found, tuple(held.start.shape))
            device = parameter.device
            number = held.on_chip(parameter)
            if name.kind == "value":
                population, key = name.key
                values.setdefault(population, {})[key] = number
            else:
                (weights if name.kind == "weight" else biases)[name.key] = number
        return device, Numbers(values, weights, biases)

    def _of(self, numbers: Numbers, name: _Name) -> Tensor:
        if name.kind == "value":
            population, key = name.key
            return numbers.values[population][key]
        return (numbers.weights if name.kind == "weight" else numbers.biases)[name.key]

    def _network(self, device: torch.device) -> Network:
        if device not in self._networks:
            self._networks[device] = Network(self._program, self._training, device)
        return self._networks[device]

    def _inputs(self, inputs: Any, device: torch.device) -> Tensor:
        channels = sum(source.n for source in self._program.nodes(Source).values())
        if not isinstance(inputs, torch.Tensor):
            array = array_of(inputs, "inputs")
            if array.dtype.kind == "c":
                limit = "an array or a tensor of real numbers"
                raise WrongType(argument="inputs", value=inputs, limit=limit).refusal()
            inputs = torch.from_numpy(np.array(array, np.float64))
        x = inputs.to(device, torch.float64) if not inputs.is_complex() else inputs
        if x.ndim < 3 or int(np.prod(x.shape[2:])) != channels or inputs.is_complex():
            raise RasterDoesNotFit(
                where="inputs",
                problem="the raster does not fit the network's inputs",
                found=f"shape {tuple(inputs.shape)}",
                limit=f"(samples, steps, {channels} channels in all)",
            ).refusal()
        if not bool(((x >= 0) & (x == x.floor()) & torch.isfinite(x)).all()):
            problem = "inputs are spike counts: integers from 0 on"
            raise RasterDoesNotFit(where="inputs", problem=problem).refusal()
        return x.reshape(*x.shape[:2], channels)


def _inset(lines: Sequence[str]) -> list[str]:
    return [f"  {line}" for line in lines]


def _checked(name: str, parameter: Any, shape: tuple[int, ...]) -> Tensor:
    """Return a parameter. Raises ``UsageError`` (U640) for another shape, or without numbers."""
    limit = f"a dense tensor of shape {list(shape)}"
    if not isinstance(parameter, Tensor):
        found = "nothing" if parameter is None else type(parameter).__name__
        raise NoParameter(parameter=name, found=found, limit=limit).refusal()
    if parameter.layout != torch.strided or parameter.is_meta or parameter.shape != shape:
        found = f"{parameter.device.type}, {parameter.layout}, shape {list(parameter.shape)}"
        raise NoParameter(parameter=name, found=found, limit=limit).refusal()
    if parameter.dtype != torch.float64:
        raise OtherPrecision(parameter=name, dtype=str(parameter.dtype)).refusal()
    if not bool(torch.isfinite(parameter).all()):
        wrong = int((~torch.isfinite(parameter)).sum())
        raise ParameterNotFinite(parameter=name, wrong=wrong).refusal()
    return parameter


def _array(tensor: Tensor) -> NDArray[Any]:
    return np.array(tensor.detach().cpu().numpy(), np.float64)


def _holders(
    program: Program, training: Training, trainables: Trainables
) -> Iterator[tuple[_Name, Held]]:
    """Yield all parameters. Names hold no dots, and each is used once."""
    taken: set[str] = set()
    edges = list(program.edges())
    for population, parameters in trainables.values.items():
        known = training.computation(program[population]).parameters
        for key, trainable in parameters.items():
            name = _free(f"{population}/{key}", taken)
            yield _Name(name, "value", (population, key)), Held(known[key], trainable)
    for place, trainable in trainables.weights.items():
        source, target, projection = edges[place[0]]
        name = _free(f"{source}->{target}/weight", taken)
        numbers = weights_of(projection.ops[place[1]])
        yield _Name(name, "weight", place), Held(numbers, trainable)
    for place, trainable in trainables.biases.items():
        source, target, projection = edges[place[0]]
        name = _free(f"{source}->{target}/bias", taken)
        yield _Name(name, "bias", place), Held(projection.biases[place[1]].value, trainable)


def _free(wish: str, taken: set[str]) -> str:
    wish = wish.replace(".", ":")
    name = wish
    number = 2
    while name in taken:
        name = f"{wish}{number}"
        number += 1
    taken.add(name)
    return name
