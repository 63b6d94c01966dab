"""A network run as its simulator runs it: step by step, or with all steps at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.overrides import TorchFunctionMode

from nirc.diagnostics.log import Log
from nirc.recording.parts import Shape
from nirc.recording.simulator import Layout, Simulator, modules_of
from nirc.recording.states import STEP_HELP, Continuity, Handover
from nirc.recording.trace import Signal, Trace, Wiring, refuse_output, signal_of, tensors, watched

Step = Callable[[Any, Any], tuple[Any, Any]]
Array = NDArray[Any]
LAYOUTS: tuple[Layout, ...] = ("step", "steps first", "samples first", "folded")
WATCHED_SAMPLES = 2  # more than one: a batch axis is told from an axis of length 1
WATCHED_STEPS = 3  # what the second step gets from the first shows in the third for sure
PRODUCTS = {"linear", "conv1d", "conv2d", "matmul", "__matmul__", "mm", "bmm", "addmm"}
CHUNK_BYTES = 1 << 26  # of the inputs of one call: the network's own signals are larger


class Runner:
    """A network with what is needed to call it.

    ``step``: the user's own way to call it once a step. ``reset``: sets states to their start that
    no module of the simulator has.
    """

    def __init__(
        self,
        network: Any,
        simulator: Simulator,
        layout: Layout,
        *,
        step: Step | None,
        reset: Callable[[], object] | None,
        output: int | None,
    ) -> None:
        self.network, self.simulator, self.layout = network, simulator, layout
        self.step, self.reset, self.output = step, reset, output
        self.modules = list(modules_of(network).values())
        self._continuity = Continuity(dict(watched(network, simulator)), simulator)
        keeps = simulator.kind(network) == "neuron" and bool(simulator.kept)
        self._handover = Handover(network, keeps=keeps)
        self._likely: int | None = (
            None  # the place of the output, as it was taken when states were handed on
        )
        self._handed: dict[str, Any] = {}
        self._state: Any = None

    def trace(self, inputs: Array, log: Log) -> tuple[Trace, Wiring]:
        """Watch the network run: what leads to its output.

        Raises ``CompileError`` (W210, W214, W215).
        """
        few = np.resize(inputs[:WATCHED_SAMPLES], (WATCHED_SAMPLES, *inputs.shape[1:]))
        if self.layout == "step":
            few = few[:, np.arange(WATCHED_STEPS) % few.shape[1]]
        trace = Trace(self.network, self.simulator, inputs.shape[2:])
        result = None
        with self._ready(len(few), log), trace.watching():
            for x in self._inputs(few):
                trace.begin(x)
                result = self._call(x)
        self._check_states(log)
        self.output = self._place(result, log)
        if self._likely not in (None, self.output or 0):
            self._handover.doubt = (
                "nirc took another value for the network's output when it handed states on"
            )
            self._check_states(log)
        return trace, trace.wiring(_at(result, self.output), log)

    def run(self, inputs: Array, shape: Shape, log: Log) -> Array:
        """``inputs`` (samples, steps, ...) to outputs (samples, steps, *shape), as the network
        computes them.

        Raises ``CompileError`` if the network raises or gives another shape (W214), or loses its
        states (W215).
        """
        chunk = max(1, min(len(inputs), CHUNK_BYTES // (4 * inputs[0].size or 1)))
        parts = []
        for start in range(0, len(inputs), chunk):
            part = inputs[start : start + chunk]
            results = []
            with self._ready(len(part), log):
                for x in self._inputs(part):
                    results.append(_at(self._call(x), self.output).detach().cpu().numpy())
            self._check_states(log)
            parts.append(self._arranged(results, (*part.shape[:2], *shape), log))
        return np.concatenate(parts)

    @property
    def fired(self) -> dict[str, float]:
        """The most spikes of a neuron in a step so far, by the module's name."""
        return self._continuity.fired

    def spikes(self, inputs: Array, log: Log) -> dict[str, Array]:
        """Spikes (samples, steps, n) of every module of neurons that makes one step in a call or
        all at once.
        """
        calls: dict[str, list[Any]] = {}
        handles = []
        for name, module in watched(self.network, self.simulator):
            if self.simulator.kind(module) == "neuron":
                told = calls.setdefault(name, [])
                handles.append(
                    module.register_forward_hook(
                        lambda *a, told=told: told.append(
                            next(tensors(a[2])).detach().cpu().numpy()
                        )
                    )
                )
        try:
            with self._ready(len(inputs), log):
                for x in self._inputs(inputs):
                    self._call(x)
        finally:
            for handle in handles:
                handle.remove()
        found = {name: self._by_steps(each, inputs.shape[:2]) for name, each in calls.items()}
        return {name: spikes for name, spikes in found.items() if spikes is not None}

    def run_in_float64(self, inputs: Array, shape: Shape, log: Log) -> Array:
        """As ``run``, with all parameters, buffers and new tensors in float64.

        All is as before afterwards.
        """
        before = [(p, p.data, p.grad) for p in torch.nn.Module.parameters(self.network)]
        buffers = [(m, dict(m._buffers)) for m in self.modules]
        attributes = [(m, dict(vars(m))) for m in self.modules]
        usual = torch.get_default_dtype()
        try:
            torch.set_default_dtype(torch.float64)
            for p, _, _ in before:
                p.grad = None
            torch.nn.Module.double(self.network)
            for module, own in attributes:
                vars(module).update({name: _doubled(value) for name, value in own.items()})
            with _Promoting():
                return self.run(inputs, shape, log)
        finally:
            torch.set_default_dtype(usual)
            for p, data, grad in before:
                p.data, p.grad = data, grad
            for module, own in attributes:
                vars(module).update(own)
            for module, own in buffers:
                module._buffers.update(own)

    def _by_steps(self, calls: list[Array], wanted: tuple[int, ...]) -> Array | None:
        """The outputs of a module's calls as (samples, steps, n), None if they are no steps."""
        samples, steps = wanted
        if len(calls) == steps and all(len(c) == samples for c in calls):
            return np.stack(calls, axis=1).reshape(samples, steps, -1)
        if len(calls) != 1 or calls[0].size % (samples * steps):
            return None
        turned = self.layout == "steps first" and calls[0].shape[:2] == (steps, samples)
        return (np.swapaxes(calls[0], 0, 1) if turned else calls[0]).reshape(samples, steps, -1)

    @contextmanager
    def _ready(self, samples: int, log: Log) -> Iterator[None]:
        """States at their start, no gradients, evaluation mode. What the network raises becomes
        W214.

        Afterwards the attributes of all modules are as before.
        """
        before = [(m, dict(vars(m)), dict(m._buffers)) for m in self.modules]
        try:
            for module in self.modules:
                module.training = False
            with (
                torch.no_grad(),
                self.simulator.folded(self.modules, samples),
                self._continuity.watching(),
            ):
                self._restart()
                yield
        except Exception as error:
            log.error(
                "W214",
                f"the network cannot be run: {type(error).__name__}: {error}"[:400],
                found=f"layout {self.layout!r}",
                help="layout= says which axes the network takes, step= how it is called in a step",
            )
        finally:
            for module, attributes, buffers in before:
                vars(module).clear()
                vars(module).update(attributes)
                module._buffers.clear()
                module._buffers.update(buffers)
        log.raise_if_errors()

    def _restart(self) -> None:
        self._state = None
        self._handed = dict(self._handover.first)
        self.simulator.reset(self.modules)
        if self.reset is not None:
            self.reset()

    def _inputs(self, inputs: Array) -> Iterator[Any]:
        """The tensors that the network is called with, one after the other."""
        parameters = (p for m in self.modules for p in torch.nn.Module.parameters(m, recurse=False))
        one = next((p for p in parameters if p.dtype.is_floating_point), torch.zeros(1))
        x = torch.as_tensor(inputs.astype(np.float32)).to(one.device, one.dtype)
        if self.layout == "step":
            for t in range(x.shape[1]):
                yield x[:, t]
        elif self.layout == "steps first":
            yield x.transpose(0, 1)
        else:
            yield x.flatten(0, 1) if self.layout == "folded" else x

    def _call(self, x: Any) -> Any:
        """One call, with the states of the call before if the network takes them."""
        if self.step is not None:
            output, self._state = self.step(x, self._state)
            return output
        self._continuity.begin_call()
        handed = {
            name: [*tensors(value)] for name, value in self._handed.items()
        }  # networks may write into lists
        result = self.network(x, **self._handed)
        if self.layout != "step":
            return result
        unused = self._continuity.unused(handed)
        if unused and not self._continuity.problem:
            self._handover.doubt = (
                f"what the network takes as `{unused[0]}` is no state of its neurons alone"
            )
        if self._likely is None:
            self._likely = self._place_of_signal(result)
        self._handed = self._handover.after(result, self._likely)
        return result

    def _place_of_signal(self, result: Any) -> int:
        """The place of the output as the first step shows it."""
        values = list(result) if isinstance(result, tuple | list) else []
        good = {i: s for i, v in enumerate(values) if (s := _good(v)) is not None}
        return min(_spikes_first(good), default=0) if self.output is None else self.output

    def _check_states(self, log: Log) -> None:
        """Refuse a network whose states are not sure to go from step to step (W215)."""
        if self._handover.doubt:
            log.error("W215", self._handover.doubt, help=STEP_HELP)
        self._continuity.report(log)
        log.raise_if_errors()

    def _place(self, result: Any, log: Log) -> int | None:
        """The place of the output among the returned values, None if there is one value.

        Raises ``CompileError`` (W210).
        """
        if isinstance(result, torch.Tensor):
            self._refuse_unless_signal(result, log)
            return None
        values = list(result) if isinstance(result, tuple | list) else []
        if self.output is not None:
            if not 0 <= self.output < len(values):
                log.error(
                    "U607",
                    "output= points to nothing",
                    found=self.output,
                    limit=f"0 to {len(values) - 1}",
                )
                log.raise_if_errors()
            self._refuse_unless_signal(values[self.output], log)
            return self.output
        good = {i: s for i, v in enumerate(values) if (s := _good(v)) is not None}
        good = _spikes_first(good)
        if not good:
            self._refuse_unless_signal(
                next((v for v in values if signal_of(v) is not None), None), log
            )
        if len({s.nodes for s in good.values()}) > 1:
            found = ", ".join(f"{i}: {' + '.join(sorted(s.nodes))}" for i, s in good.items())
            help_ = "output=NUMBER says which; a file is recorded for one of them"
            log.error(
                "W210",
                "NIR has no words for a network with several outputs",
                found=found,
                help=help_,
            )
            log.raise_if_errors()
        return min(good)

    @staticmethod
    def _refuse_unless_signal(value: Any, log: Log) -> None:
        if _good(value) is None:
            refuse_output(signal_of(value), log)
            log.raise_if_errors()

    def _arranged(self, results: list[Array], wanted: tuple[int, ...], log: Log) -> Array:
        """The results of all calls as (samples, steps, ...output shape)."""
        samples, steps, *shape = wanted
        if self.layout == "step":
            found = (
                np.stack(results, axis=1) if len({r.shape for r in results}) == 1 else results[0]
            )
        elif self.layout == "steps first":
            found = np.swapaxes(results[0], 0, 1) if results[0].ndim > 1 else results[0]
        elif self.layout == "folded" and results[0].shape == (samples * steps, *shape):
            found = results[0].reshape(wanted)
        else:
            found = results[0]
        if found.shape != wanted:
            log.error(
                "W214",
                "the network gives outputs of another shape than its last layer",
                found=f"shape {found.shape} with layout {self.layout!r}",
                limit=f"({samples} samples, {steps} steps, output shape {tuple(shape)})",
                help="return the output of every step; layout= says which axes the network takes",
            )
            log.raise_if_errors()
        return found


def _doubled(value: Any) -> Any:
    """A tensor, or a named tuple of parameters, in float64. Anything else as it is."""
    if isinstance(value, torch.Tensor) and value.dtype == torch.float32:
        return value.double()
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*map(_doubled, value))
    return value


class _Promoting(TorchFunctionMode):  # type: ignore[misc]  # torch is not looked at by mypy
    """Sums of products in float64, where a simulator makes its spikes in float32."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__name__", "") in PRODUCTS:
            args = tuple(a.double() if isinstance(a, torch.Tensor) else a for a in args)
        return func(*args, **(kwargs or {}))


def _at(result: Any, place: int | None) -> Any:
    return result if place is None else result[place]


def _spikes_first(good: dict[int, Signal]) -> dict[int, Signal]:
    """The signals that may be the output: membranes only if there are no spikes beside them."""
    return {place: signal for place, signal in good.items() if not signal.membrane} or good


def _good(value: Any) -> Signal | None:
    """The note of a tensor if that is a signal of the network."""
    signal = signal_of(value)
    return signal if signal is not None and signal.sources else None
