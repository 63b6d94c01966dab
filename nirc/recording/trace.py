"""A network watched while it runs: its modules, and the signals between them.

Every tensor that carries a signal of the network has a note of where the signal comes from. Hooks
on neurons and layers read the notes of inputs and write those of outputs. Functions between modules
are watched by torch's function mode (``signals``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from nirc.recording.signals import Functions, Signal, put, signal_of, tensors
from nirc.recording.simulator import Shape, Simulator, modules_of, size

MEMBRANE = "mem"  # of the node that stands for a neuron's membrane
INPUT = "input"
FLATTEN = "flatten"


@dataclass
class Call:
    """The last call of a node, by a module or a function (None).

    ``before``: the number of the last call but one. ``membrane``: the node stands for the module's
    membrane.
    """

    module: Any
    number: int
    before: int
    signal: Signal | None
    shape_in: Shape
    shape_out: Shape
    membrane: bool = False


class Trace:
    """Watches a network whose input has ``shape``, without samples and steps."""

    def __init__(self, network: Any, simulator: Simulator, shape: Shape) -> None:
        self.simulator = simulator
        self.calls: dict[str, Call] = {}
        self.shapes: dict[str, Shape] = {INPUT: shape}
        self.functions = Functions(self.shapes, self._flat)
        self._flattening = ""  # the module whose call is watched, if that is a Flatten
        self._depth = self._count = 0
        self._stateless: dict[tuple[str, frozenset[str]], str] = {}
        self._watched = dict(watched(network, simulator))
        self._flattens = {
            n: m for n, m in modules_of(network).items() if type(m).__name__ == "Flatten"
        }
        self._argument: Any = None

    @contextmanager
    def watching(self) -> Iterator[None]:
        """While open, calls of the network are watched."""
        handles = []
        for name, module in self._watched.items():
            handles.append(module.register_forward_pre_hook(self._before(name), with_kwargs=True))
            handles.append(module.register_forward_hook(self._after(name)))
        for name, module in self._flattens.items():
            handles.append(module.register_forward_pre_hook(self._flattens_now(name)))
            handles.append(module.register_forward_hook(self._flattens_now("")))
        try:
            with _Mode(self):
                yield
        finally:
            for handle in handles:
                handle.remove()

    def begin(self, x: Any) -> None:
        """Note that ``x`` is an input of the network."""
        put(x, Signal(((INPUT, 0),)))

    def between(self, function: Any, args: Any, kwargs: dict[str, Any], result: Any) -> None:
        """Note the results of a function that is called outside of neurons and layers."""
        if not self._depth:
            self.functions.called(function, args, kwargs, result)

    def _flattens_now(self, name: str) -> Callable[..., None]:
        def hook(*_: Any) -> None:
            self._flattening = name

        return hook

    def _before(self, name: str) -> Callable[..., None]:
        def hook(module: Any, args: Any, kwargs: Any) -> None:
            self._depth += 1
            if self._depth == 1:
                inputs = (v for v in (*args, *kwargs.values()) if isinstance(v, torch.Tensor))
                self._argument = next(inputs, None)

        return hook

    def _after(self, name: str) -> Callable[..., None]:
        def hook(module: Any, args: Any, result: Any) -> None:
            self._depth -= 1
            results = list(tensors(result))
            if self._depth == 0 and results:
                self._called(name, module, self._argument, results)

        return hook

    def _called(self, name: str, module: Any, argument: Any, results: list[Any]) -> None:
        """Note the results of a neuron, a layer or an unknown module."""
        for state in results[1:]:
            put(state, Signal.bad(f"a state of `{name}`"))
        signal = signal_of(argument)
        kind = self.simulator.kind(module)
        bad = self._refused(name, module, argument, signal)
        if bad is not None:
            put(results[0], bad)
            return
        neuron = kind == "neuron"
        node = name if neuron else self._use(name, frozenset() if signal is None else signal.nodes)
        put(results[0], self._noted(node, module, signal, argument, results[0]))
        if neuron and len(results) > 1 and self.simulator.membrane_problem is not None:
            put(results[-1], self._membrane(name, module, signal, argument, results[-1]))

    def _refused(
        self, name: str, module: Any, argument: Any, signal: Signal | None
    ) -> Signal | None:
        """Return the result of a module that gives no signal, None if it gives one."""
        kind = self.simulator.kind(module)
        if kind == "unknown" or argument is None:
            problem = f"`{name}`, a module of the type {type(module).__name__}"
            return Signal.bad(problem, signal)
        if kind == "neuron" and self._elsewhere(name, signal):
            return Signal.bad(f"`{name}`, whose one state is used in two places", signal)
        if signal is not None and signal.problems:
            return signal
        lead = argument.ndim - len(self._features(signal, argument))
        if kind == "neuron" and lead != self.simulator.lead(module):
            return Signal.bad(
                f"what `{name}` gets, of shape {tuple(argument.shape)}, which it takes other "
                "axes of for samples and steps"
            )
        return None

    def _membrane(
        self, name: str, module: Any, signal: Signal | None, argument: Any, result: Any
    ) -> Signal:
        """Return the signal of a membrane: a node of its own, if it is a leaky integrator."""
        assert self.simulator.membrane_problem is not None
        problem, help_ = self.simulator.membrane_problem(module)
        if problem:
            return Signal.bad(f"the membrane of `{name}`, {problem}", help=help_)
        node = f"{name}.{MEMBRANE}"
        return replace(
            self._noted(node, module, signal, argument, result, membrane=True), membrane=True
        )

    def _elsewhere(self, name: str, signal: Signal | None) -> bool:
        """Return True if a neuron got something else in its last call, not only less or more."""
        last = self.calls[name].signal if name in self.calls else None
        if last is None or signal is None:
            return False
        return not (last.nodes <= signal.nodes or signal.nodes <= last.nodes)

    def _noted(
        self,
        node: str,
        module: Any,
        signal: Signal | None,
        argument: Any,
        result: Any,
        *,
        membrane: bool = False,
    ) -> Signal:
        """Note a call of a module, and return the signal that it gives."""
        shape_in = self._features(signal, argument)
        shape_out = tuple(result.shape[argument.ndim - len(shape_in) :])
        return self._call(node, module, signal, shape_in, shape_out, membrane=membrane)

    def _call(
        self,
        node: str,
        module: Any,
        signal: Signal | None,
        shape_in: Shape,
        shape_out: Shape,
        *,
        membrane: bool = False,
    ) -> Signal:
        self._count += 1
        before = self.calls[node].number if node in self.calls else 0
        self.calls[node] = Call(module, self._count, before, signal, shape_in, shape_out, membrane)
        self.shapes[node] = shape_out
        return Signal(((node, self._count),))

    def _flat(self, signal: Signal, shape: Shape) -> Signal:
        """Note a function that flattens a signal."""
        node = self._use(self._flattening or FLATTEN, signal.nodes)
        return self._call(node, None, signal, shape, (size(shape),))

    def _use(self, name: str, sources: frozenset[str]) -> str:
        """Return the node of a use of a layer: each combination of sources is a use of its own.

        A layer may get nothing at first (zeros, before there are spikes). It is the one that gets
        something later.
        """
        key = (name, sources)
        if key not in self._stateless and (name, frozenset()) in self._stateless:
            self._stateless[key] = self._stateless.pop((name, frozenset()))
        if key not in self._stateless:
            uses = sum(other == name for other, _ in self._stateless)
            self._stateless[key] = f"{name}_{uses}" if uses else name
        return self._stateless[key]

    def _features(self, signal: Signal | None, argument: Any) -> Shape:
        if signal is None or not signal.sources:
            return tuple(argument.shape[1:])
        return self.shapes[signal.sources[0][0]]


class _Mode(TorchFunctionMode):  # type: ignore[misc]  # torch is not looked at by mypy
    """Reports every function of torch that is called outside of neurons and layers."""

    def __init__(self, trace: Trace) -> None:
        super().__init__()
        self.trace = trace

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self.trace.between(func, args, kwargs or {}, result)
        return result


def watched(
    module: Any, simulator: Simulator, name: str = "", seen: set[int] | None = None
) -> Iterator[tuple[str, Any]]:
    """Yield neurons, layers and unknown modules with the first of their names.

    Modules inside of them are left out.
    """
    seen = set() if seen is None else seen
    if id(module) in seen:
        return
    seen.add(id(module))
    if simulator.kind(module) != "open":
        yield name or "network", module
        return
    for key, child in torch.nn.Module.named_children(module):
        yield from watched(child, simulator, f"{name}.{key}" if name else key, seen)
