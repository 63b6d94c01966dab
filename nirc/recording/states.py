"""States between calls: what a network returns for its next step, and a proof that its neurons go
on from there.
"""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from nirc.diagnostics.log import Log
from nirc.recording.simulator import Simulator
from nirc.recording.trace import tensors

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
        self._takes_any = not keeps and any(p.kind in ANY for p in parameters)
        states = [
            p
            for p in parameters[1:]
            if p.kind not in ANY and p.default in (None, inspect.Parameter.empty)
        ]
        self._names = [] if keeps else [p.name for p in states]
        self.first = {
            p.name: None for p in states if p.default is inspect.Parameter.empty and not keeps
        }

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
        for found in _groups(values, rest, len(self._names)):
            if len(found) == len(self._names):
                return dict(zip(self._names, found, strict=True))
        self.doubt = (
            f"nirc cannot tell what the network takes as {_listed(self._names)} in the next step"
        )
        return {}


def _groups(values: list[Any], rest: list[Any], wanted: int) -> Iterator[list[Any]]:
    """The returned values that may be the next arguments, the most usual first."""
    nested = [v for v in rest if isinstance(v, tuple | list | dict)]
    if wanted == 1 and len(rest) > 1:
        yield nested if len(nested) == 1 else [tuple(rest)]
    yield rest
    if len(rest) == 1 and isinstance(rest[0], tuple | list):
        yield list(rest[0])
    yield values


def _listed(names: Collection[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


class Continuity:
    """Watches that each neuron begins a call with the states that ended its call before.

    ``problem`` and ``found`` tell the first neuron that does not. As long as there is none, the
    recording is what the network computes over all steps.
    """

    def __init__(self, modules: Mapping[str, Any], simulator: Simulator) -> None:
        """``modules``: neurons, layers and unknown modules of the network."""
        self._modules, self._simulator = modules, simulator
        self._ended: dict[str, tuple[list[Any], list[Any]]] = {}
        self._calls: dict[str, int] = {}
        self._storages: set[int] = set()
        self.fired: dict[str, float] = {}  # the largest output of each neuron's module in a step
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
        return [name for name, given in handed.items() if any(map(self._is_left, given))]

    def _is_left(self, tensor: Any) -> bool:
        return tensor.numel() > 0 and _storage(tensor) not in self._storages

    def report(self, log: Log) -> None:
        """Report the first state that was lost (W215)."""
        if self.problem:
            log.error("W215", self.problem, found=self.found, help=self.help)

    def _before(self, name: str) -> Any:
        def hook(module: Any, args: Any, kwargs: Any) -> None:
            given = _given(module, args, kwargs)
            self._storages.update(map(_storage, given))
            self._calls[name] = self._calls.get(name, 0) + 1
            if self.problem or self._simulator.kind(module) != "neuron":
                return
            if name in self._ended:
                results, own = self._ended[name]
                before = results[len(results) - len(given) :] if given else own
                now = given or self._own(module)
                self._compare(name, now, before)
            elif not all(_at_start(module, state) for state in given):
                self.problem = f"`{name}` does not begin with its start states"
                self.found, self.help = (
                    "states of an earlier run, or others that a file cannot say",
                    RESET_HELP,
                )

        return hook

    def _after(self, name: str) -> Any:
        def hook(module: Any, args: Any, result: Any) -> None:
            copies = [t.detach().clone() for t in tensors(result)]
            if copies and copies[0].numel():
                self.fired[name] = max(self.fired.get(name, 0.0), float(copies[0].max()))
            self._ended[name] = copies, [t.detach().clone() for t in self._own(module)]

        return hook

    def _own(self, module: Any) -> list[Any]:
        kept = (getattr(module, name, None) for name in self._simulator.kept)
        return [state for state in kept if isinstance(state, torch.Tensor)]

    def _compare(self, name: str, now: list[Any], before: list[Any]) -> None:
        if now and len(now) == len(before) and all(map(_same, now, before)):
            return
        call = self._calls[name]
        self.problem = (
            f"`{name}` does not begin call {call} with the states that ended its call {call - 1}"
        )
        differing = [(a, b) for a, b in zip(now, before, strict=False) if not _same(a, b)]
        self.found = (
            f"states of {_range(differing[0][0])} after {_range(differing[0][1])}"
            if differing
            else "no states"
        )
        self.help = f"{STEP_HELP}. A network with a loop over the steps needs layout="


def _given(module: Any, args: Any, kwargs: Any) -> list[Any]:
    """The tensors of a call that are no input, in the order of the parameters."""
    bound = inspect.signature(module.forward).bind(*args, **kwargs)
    return list(tensors(list(bound.arguments.values())[1:]))


def _same(a: Any, b: Any) -> bool:
    return (
        a.shape == b.shape
        and a.dtype == b.dtype
        and bool(torch.allclose(a, b, rtol=0, atol=0, equal_nan=True))
    )


def _at_start(module: Any, state: Any) -> bool:
    """Return True for zeros, and for a membrane at its leak."""
    leak = torch.as_tensor(getattr(getattr(module, "p", None), "v_leak", 0.0))
    return bool(((state == 0) | (state == leak)).all())


def _range(state: Any) -> str:
    if not state.numel():
        return "no values"
    return f"{float(state.min()):.4g} to {float(state.max()):.4g}"


def _storage(tensor: Any) -> int:
    """The memory of a tensor. A tensor that was detached or is a part of another one shares it."""
    return int(tensor.untyped_storage().data_ptr())
