"""States between calls: what a network returns for its next step, and a proof that it goes on."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from nirc.diagnostics.log import Log
from nirc.diagnostics.writer import StatesLost
from nirc.recording.signals import tensors
from nirc.recording.simulator import Simulator

STEP_HELP = (
    "step= makes one step as you do: step(x, state) returns output and state, and the "
    "first state is None"
)
RESET_HELP = "reset= sets the states to their start, and is called before every run"
ANY = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class Handover:
    """The values that one call of a network returns, as arguments of the next call.

    A parameter of ``forward`` takes states if it has no default or None. Every other parameter
    keeps its default. ``doubt`` says why the arguments of the next call are not clear.
    """

    def __init__(self, network: Any, *, keeps: bool) -> None:
        """``keeps``: the network keeps its states itself, and takes none."""
        parameters = list(inspect.signature(network.forward).parameters.values())
        self.doubt = ""
        self.first: dict[str, Any] = {}
        self._names: list[str] = []
        self._takes_any = not keeps and any(p.kind in ANY for p in parameters)
        for p in [] if keeps else parameters[1:]:
            if p.kind not in ANY and p.default in (None, inspect.Parameter.empty):
                self._names.append(p.name)
                if p.default is inspect.Parameter.empty:
                    self.first[p.name] = None

    def after(self, result: Any, place: int) -> dict[str, Any]:
        """Return the arguments of the next call.

        ``place``: of the output among several returned values.
        """
        values = list(result) if isinstance(result, tuple | list) else [result]
        rest = values[:place] + values[place + 1 :]
        if self._takes_any and rest:
            self.doubt = "nirc cannot tell which arguments the network takes in the next step"
        if not self._names:
            return {}
        for group in _groups(values, rest, len(self._names)):
            if len(group) == len(self._names):
                return dict(zip(self._names, group, strict=True))
        names = ", ".join(f"`{name}`" for name in self._names)
        self.doubt = f"nirc cannot tell what the network takes as {names} in the next step"
        return {}


def _groups(values: list[Any], rest: list[Any], wanted: int) -> Iterator[list[Any]]:
    """Yield the returned values that may be the next arguments, the most usual first."""
    nested = [v for v in rest if isinstance(v, tuple | list | dict)]
    if wanted == 1 and len(rest) > 1:
        yield nested if len(nested) == 1 else [tuple(rest)]
    yield rest
    if len(rest) == 1 and isinstance(rest[0], tuple | list):
        yield list(rest[0])
    yield values


class Continuity:
    """Watches that each neuron begins a call with the states that ended its call before.

    ``problem`` and ``found`` tell the first neuron that does not. As long as there is none, the
    recording is what the network computes over all steps. ``fired``: the largest output of each
    neuron's module in a step.
    """

    def __init__(self, modules: Mapping[str, Any], simulator: Simulator) -> None:
        """``modules``: neurons, layers and unknown modules of the network."""
        self._modules, self._simulator = modules, simulator
        self._ended: dict[str, tuple[list[Any], list[Any]]] = {}
        self._calls: dict[str, int] = {}
        self._storages: set[int] = set()
        self.fired: dict[str, float] = {}
        self.problem = self.found = self.help = ""

    @contextmanager
    def watching(self) -> Iterator[None]:
        """A run from the start states, watched while it is open."""
        self._ended, self._calls = {}, {}
        handles = []
        for name, module in self._modules.items():
            handles.append(module.register_forward_pre_hook(self._before(name), with_kwargs=True))
            if self._simulator.kind(module) == "neuron":
                handles.append(module.register_forward_hook(self._after(name)))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def begin_call(self) -> None:
        """Forget which states the modules got in the call before."""
        self._storages.clear()

    def unused(self, handed: Mapping[str, list[Any]]) -> list[str]:
        """Return the arguments of a call with a tensor that no module took beside its input."""
        return [name for name, states in handed.items() if any(map(self._is_left, states))]

    def _is_left(self, tensor: Any) -> bool:
        return tensor.numel() > 0 and _storage(tensor) not in self._storages

    def report(self, log: Log) -> None:
        """Report the first state that was lost (W215)."""
        if self.problem:
            log.add(StatesLost(problem=self.problem, found=self.found, help=self.help))

    def _before(self, name: str) -> Callable[..., None]:
        def hook(module: Any, args: Any, kwargs: Any) -> None:
            states = _states(module, args, kwargs)
            self._storages.update(map(_storage, states))
            self._calls[name] = self._calls.get(name, 0) + 1
            if self.problem or self._simulator.kind(module) != "neuron":
                return
            if name in self._ended:
                results, kept = self._ended[name]
                before = results[len(results) - len(states) :] if states else kept
                self._compare(name, states or self._kept(module), before)
            elif not all(_at_start(module, state) for state in states):
                self.problem = f"`{name}` does not begin with its start states"
                self.found = "states of an earlier run, or others that a file cannot say"
                self.help = RESET_HELP

        return hook

    def _after(self, name: str) -> Callable[..., None]:
        def hook(module: Any, args: Any, result: Any) -> None:
            copies = [t.detach().clone() for t in tensors(result)]
            if copies and copies[0].numel():
                self.fired[name] = max(self.fired.get(name, 0.0), float(copies[0].max()))
            self._ended[name] = copies, [t.detach().clone() for t in self._kept(module)]

        return hook

    def _kept(self, module: Any) -> list[Any]:
        """Return the states that a module holds itself."""
        kept = (getattr(module, name, None) for name in self._simulator.kept)
        return [state for state in kept if isinstance(state, torch.Tensor)]

    def _compare(self, name: str, now: list[Any], before: list[Any]) -> None:
        if now and len(now) == len(before) and all(map(_same, now, before)):
            return
        call = self._calls[name]
        self.problem = (
            f"`{name}` does not begin call {call} with the states that ended its call {call - 1}"
        )
        self.found = "no states"
        for one, other in zip(now, before, strict=False):
            if not _same(one, other):
                self.found = f"states of {_range(one)} after {_range(other)}"
                break
        self.help = f"{STEP_HELP}. A network with a loop over the steps needs layout="


def _states(module: Any, args: Any, kwargs: Any) -> list[Any]:
    """Return the tensors of a call that are no input, in the order of the parameters."""
    bound = inspect.signature(module.forward).bind(*args, **kwargs)
    return list(tensors(list(bound.arguments.values())[1:]))


def _same(a: Any, b: Any) -> bool:
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    return bool(torch.allclose(a, b, rtol=0, atol=0, equal_nan=True))


def _at_start(module: Any, state: Any) -> bool:
    """Return True for zeros, and for a membrane at its leak."""
    leak = torch.as_tensor(getattr(getattr(module, "p", None), "v_leak", 0.0))
    return bool(((state == 0) | (state == leak)).all())


def _range(state: Any) -> str:
    if not state.numel():
        return "no values"
    return f"{float(state.min()):.4g} to {float(state.max()):.4g}"


def _storage(tensor: Any) -> int:
    """Return the memory of a tensor, which detached tensors and parts of it share."""
    return int(tensor.untyped_storage().data_ptr())
