"""A network run as its simulator runs it: step by step, or with all steps at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.overrides import TorchFunctionMode

from nirc.diagnostics.finding import Words
from nirc.diagnostics.log import Log
from nirc.diagnostics.usage import OptionMakesNoSense
from nirc.diagnostics.writer import CannotRunNetwork, PartWithoutWords, StatesLost
from nirc.recording.graph import Wiring, wiring_of
from nirc.recording.signals import Signal, signal_of, tensors
from nirc.recording.simulator import Layout, Shape, Simulator, modules_of
from nirc.recording.states import STEP_HELP, Continuity, Handover
from nirc.recording.trace import Trace, watched

Step = Callable[[Any, Any], tuple[Any, Any]]
Array = NDArray[Any]
LAYOUTS: tuple[Layout, ...] = ("step", "steps first", "samples first", "folded")
WATCHED_SAMPLES = 2  # more than one: a batch axis is told from an axis of length 1
WATCHED_STEPS = 3  # what the second step gets from the first shows in the third for sure
PRODUCTS = {"linear", "conv1d", "conv2d", "matmul", "__matmul__", "mm", "bmm", "addmm"}
CHUNK_BYTES = 1 << 26  # of the inputs of one call: the network's own signals are larger


class Runner:
    """A network with what is needed to call it.

    ``step``: the user's own function for one step. ``reset``: sets states to their start that no
    module of the simulator has. ``output``: the place of the output among several returned values.
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
        # The place of the output that was assumed when states were handed on.
        self._assumed: int | None = None
        self._handed: dict[str, Any] = {}
        self._state: Any = None

    def trace(self, inputs: Array, log: Log) -> tuple[Trace, Wiring]:
        """Watch the network run, and return what leads to its output.

        Raises ``CompileError`` (W210, W214, W215).
        """
        some = np.resize(inputs[:WATCHED_SAMPLES], (WATCHED_SAMPLES, *inputs.shape[1:]))
        if self.layout == "step":
            some = some[:, np.arange(WATCHED_STEPS) % some.shape[1]]
        trace = Trace(self.network, self.simulator, inputs.shape[2:])
        result = None
        with self._ready(len(some), log), trace.watching():
            for x in self._inputs(some):
                trace.begin(x)
                result = self._call(x)
        self._check_states(log)
        self.output = self._place(result, log)
        if self._assumed not in (None, self.output or 0):
            self._handover.doubt = (
                "nirc took another value for the network's output when it handed states on"
            )
            self._check_states(log)
        output = signal_of(_at(result, self.output))
        assert output is not None  # it would have been refused
        return trace, wiring_of(trace.calls, output, log)

    def run(self, inputs: Array, shape: Shape, log: Log) -> Array:
        """Return outputs (samples, steps, *shape) of ``inputs`` (samples, steps, ...).

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
                    results.append(_as_array(_at(self._call(x), self.output)))
            self._check_states(log)
            parts.append(self._arranged(results, (*part.shape[:2], *shape), log))
        return np.concatenate(parts)

    @property
    def fired(self) -> dict[str, float]:
        """The most spikes of a neuron in a step so far, by the module's name."""
        return self._continuity.fired

    def spikes(self, inputs: Array, log: Log) -> dict[str, Array]:
        """Return spikes (samples, steps, n) of every module of neurons.

        Modules that make neither one step in a call nor all at once are left out.
        """
        calls: dict[str, list[Array]] = {}
        handles = []
        for name, module in watched(self.network, self.simulator):
            if self.simulator.kind(module) == "neuron":
                keep = _keep(calls.setdefault(name, []))
                handles.append(module.register_forward_hook(keep))
        try:
            with self._ready(len(inputs), log):
                for x in self._inputs(inputs):
                    self._call(x)
        finally:
            for handle in handles:
                handle.remove()
        spikes = {name: self._by_steps(each, inputs.shape[:2]) for name, each in calls.items()}
        return {name: each for name, each in spikes.items() if each is not None}

    def run_in_float64(self, inputs: Array, shape: Shape, log: Log) -> Array:
        """Run with all parameters, buffers and new tensors in float64.

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
            for module, values in attributes:
                vars(module).update({name: _doubled(value) for name, value in values.items()})
            with _Promoting():
                return self.run(inputs, shape, log)
        finally:
            torch.set_default_dtype(usual)
            for p, data, grad in before:
                p.data, p.grad = data, grad
            for module, values in attributes:
                vars(module).update(values)
            for module, values in buffers:
                module._buffers.update(values)

    def _by_steps(self, calls: list[Array], wanted: tuple[int, ...]) -> Array | None:
        """Return the outputs of a module's calls as (samples, steps, n), None if it cannot be."""
        samples, steps = wanted
        if len(calls) == steps and all(len(c) == samples for c in calls):
            return np.stack(calls, axis=1).reshape(samples, steps, -1)
        if len(calls) != 1 or calls[0].size % (samples * steps):
            return None
        turned = self.layout == "steps first" and calls[0].shape[:2] == (steps, samples)
        return (np.swapaxes(calls[0], 0, 1) if turned else calls[0]).reshape(samples, steps, -1)

    @contextmanager
    def _ready(self, samples: int, log: Log) -> Iterator[None]:
        """States at their start, no gradients, evaluation mode. An exception becomes W214.

        Afterwards the attributes of all modules are as before.
        """
        before = [(m, dict(vars(m)), dict(m._buffers)) for m in self.modules]
        folded = self.simulator.folded(self.modules, samples)
        try:
            for module in self.modules:
                module.training = False
            with torch.no_grad(), folded, self._continuity.watching():
                self._restart()
                yield
        except Exception as error:
            what = f"{type(error).__name__}: {error}"
            log.add(CannotRunNetwork(error=what, layout=self.layout))
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
        """Yield the tensors that the network is called with, one after the other."""
        x = torch.as_tensor(inputs.astype(np.float32)).to(*self._place_and_type())
        if self.layout == "step":
            for t in range(x.shape[1]):
                yield x[:, t]
        elif self.layout == "steps first":
            yield x.transpose(0, 1)
        else:
            yield x.flatten(0, 1) if self.layout == "folded" else x

    def _place_and_type(self) -> tuple[Any, Any]:
        """Return the device and the type of the network's numbers."""
        for module in self.modules:
            for p in torch.nn.Module.parameters(module, recurse=False):
                if p.dtype.is_floating_point:
                    return p.device, p.dtype
        one = torch.zeros(1)
        return one.device, one.dtype

    def _call(self, x: Any) -> Any:
        """Make one call, with the states of the call before if the network takes them."""
        if self.step is not None:
            output, self._state = self.step(x, self._state)
            return output
        self._continuity.begin_call()
        # Networks may write into lists: look for the tensors before the call.
        handed = {name: [*tensors(value)] for name, value in self._handed.items()}
        result = self.network(x, **self._handed)
        if self.layout != "step":
            return result
        unused = self._continuity.unused(handed)
        if unused and not self._continuity.problem:
            self._handover.doubt = (
                f"what the network takes as `{unused[0]}` is no state of its neurons alone"
            )
        if self._assumed is None:
            self._assumed = self._place_of_signal(result)
        self._handed = self._handover.after(result, self._assumed)
        return result

    def _place_of_signal(self, result: Any) -> int:
        """Return the place of the output as the first step shows it."""
        return min(_outputs(_values(result)), default=0) if self.output is None else self.output

    def _check_states(self, log: Log) -> None:
        """Refuse a network whose states are not sure to go from step to step (W215)."""
        if self._handover.doubt:
            log.add(StatesLost(problem=self._handover.doubt, help=STEP_HELP))
        self._continuity.report(log)
        log.raise_if_errors()

    def _place(self, result: Any, log: Log) -> int | None:
        """Return the place of the output among the returned values, None if there is one value.

        Raises ``CompileError`` (W210).
        """
        if isinstance(result, torch.Tensor):
            _refuse_unless_signal(result, log)
            return None
        values = _values(result)
        if self.output is not None:
            if not 0 <= self.output < len(values):
                problem, limit = "output= points to nothing", f"0 to {len(values) - 1}"
                log.add(OptionMakesNoSense(problem=problem, found=self.output, limit=limit))
                log.raise_if_errors()
            _refuse_unless_signal(values[self.output], log)
            return self.output
        outputs = _outputs(values)
        if not outputs:
            first = next((v for v in values if signal_of(v) is not None), None)
            _refuse_unless_signal(first, log)
        if len({s.nodes for s in outputs.values()}) > 1:
            log.add(_SeveralOutputs(nodes={i: sorted(s.nodes) for i, s in outputs.items()}))
            log.raise_if_errors()
        return min(outputs)

    def _arranged(self, results: list[Array], wanted: tuple[int, ...], log: Log) -> Array:
        """Return the results of all calls as (samples, steps, ...output shape)."""
        samples, steps, *shape = wanted
        outputs = results[0]
        if self.layout == "step" and len({r.shape for r in results}) == 1:
            outputs = np.stack(results, axis=1)
        elif self.layout == "steps first" and outputs.ndim > 1:
            outputs = np.swapaxes(outputs, 0, 1)
        elif self.layout == "folded" and outputs.shape == (samples * steps, *shape):
            outputs = outputs.reshape(wanted)
        if outputs.shape != wanted:
            log.add(_OtherShape(layout=self.layout, shape=outputs.shape, wanted=wanted))
            log.raise_if_errors()
        return outputs


class _SeveralOutputs(PartWithoutWords):
    what: str = "a network with several outputs"
    nodes: dict[int, list[str]]  # by the place of the returned value

    def words(self) -> Words:
        return Words(
            f"NIR has no words for {self.what}",
            found=", ".join(f"{i}: {' + '.join(names)}" for i, names in self.nodes.items()),
            help="output=NUMBER says which; a file is recorded for one of them",
        )


class _OtherShape(CannotRunNetwork):
    error: str = ""
    shape: tuple[int, ...]
    wanted: tuple[int, ...]  # (samples, steps, *output shape)

    def words(self) -> Words:
        samples, steps, *shape = self.wanted
        return Words(
            "the network gives outputs of another shape than its last layer",
            found=f"shape {self.shape} with layout {self.layout!r}",
            limit=f"({samples} samples, {steps} steps, output shape {tuple(shape)})",
            help="return the output of every step; layout= says which axes the network takes",
        )


def _keep(calls: list[Array]) -> Callable[..., None]:
    """Return a hook that keeps the first output of each call."""

    def hook(module: Any, args: Any, result: Any) -> None:
        calls.append(_as_array(next(tensors(result))))

    return hook


def _as_array(tensor: Any) -> Array:
    values: Array = tensor.detach().cpu().numpy()
    return values


def _doubled(value: Any) -> Any:
    """Return a tensor, or a named tuple of parameters, in float64. Anything else is unchanged."""
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


def _values(result: Any) -> list[Any]:
    return list(result) if isinstance(result, tuple | list) else []


def _at(result: Any, place: int | None) -> Any:
    return result if place is None else result[place]


def _outputs(values: list[Any]) -> dict[int, Signal]:
    """Return the signals that may be the output, by place.

    Membranes are among them only if there are no spikes beside them.
    """
    signals = {i: s for i, v in enumerate(values) if (s := signal_of(v)) is not None and s.sources}
    return {i: s for i, s in signals.items() if not s.membrane} or signals


def _refuse_unless_signal(value: Any, log: Log) -> None:
    """Refuse an output that is no signal that a file can give (W210)."""
    signal = signal_of(value)
    if signal is not None and signal.sources:
        return
    if signal is None:
        log.add(PartWithoutWords(what="the network's output, which no module gave"))
    elif signal.help:
        log.add(PartWithoutWords(what=", nor for ".join(signal.problems), help=signal.help))
    else:
        log.add(PartWithoutWords(what=", nor for ".join(signal.problems)))
    log.raise_if_errors()
