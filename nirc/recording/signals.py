"""The origin of a tensor's values: a note on the tensor, and functions that pass signals on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import torch
from torch.overrides import resolve_name

from nirc.recording.simulator import Shape, size

NOTE = "_nirc_signal"
# Functions whose result has the values of their first argument.
CONVERTED = {"clone", "detach", "contiguous", "to", "float", "double", "type", "cpu", "cuda"}
TAKEN_APART = {"__getitem__", "select", "unbind", "split", "chunk", "__iter__", "expand"}
RESHAPED = {"view", "view_as", "reshape", "reshape_as", "flatten", "unflatten", "squeeze"}
SAME = CONVERTED | TAKEN_APART | RESHAPED | {"unsqueeze", "requires_grad_"}
TURNED = {"transpose", "swapaxes", "swapdims", "permute", "movedim", "moveaxis"}
JOINED = {"stack", "cat", "concat", "concatenate"}
ADDED = {"add", "add_", "__add__", "__radd__", "__iadd__"}
DROPPED = {"dropout", "dropout1d", "dropout2d", "dropout3d"}
DROPPED |= {"alpha_dropout", "feature_alpha_dropout"}
HARMLESS = SAME | TURNED | JOINED | ADDED | DROPPED
# Functions whose result has the shape of a signal and nothing else of it.
NEW = {"zeros_like", "ones_like", "empty_like", "full_like", "rand_like", "randn_like"}
NEW |= {"new_zeros", "new_ones"}


@dataclass(frozen=True)
class Signal:
    """The origin of a tensor: nodes, each with the number of the call that gave it.

    ``problems`` say why a tensor is no signal of the network, in the order of the network, and
    ``help`` what to do about the last of them. It has no sources then. ``membrane``: it is a state,
    which is returned beside spikes.
    """

    sources: tuple[tuple[str, int], ...] = ()
    problems: tuple[str, ...] = ()
    help: str = ""
    membrane: bool = False

    @staticmethod
    def bad(problem: str, *arguments: Signal | None, help: str = "") -> Signal:
        """Return no signal: the problems of the signals that it was made of, and one more."""
        before = chain.from_iterable(s.problems for s in arguments if s is not None)
        return Signal(problems=tuple(dict.fromkeys([*before, problem])), help=help)

    @staticmethod
    def passed_on(bad: Sequence[Signal]) -> Signal:
        """Return the result of a function that is no problem itself, given bad signals."""
        every = chain.from_iterable(signal.problems for signal in bad)
        return replace(bad[0], problems=tuple(dict.fromkeys(every)))

    @property
    def nodes(self) -> frozenset[str]:
        """The nodes whose outputs are summed."""
        return frozenset(name for name, _ in self.sources)


def signal_of(tensor: Any) -> Signal | None:
    """Return the note of a tensor."""
    note: Signal | None = getattr(tensor, NOTE, None)
    return note


def put(tensor: Any, signal: Signal) -> None:
    """Write the note of a tensor."""
    setattr(tensor, NOTE, signal)


def tensors(value: Any) -> Iterator[Any]:
    """Yield all tensors in nested tuples, lists and dictionaries, in order."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, dict):
        yield from tensors(tuple(value.values()))
    elif isinstance(value, list | tuple):
        for each in value:
            yield from tensors(each)


@dataclass(frozen=True)
class Functions:
    """Functions of torch between modules.

    ``shapes``: of the outputs of nodes, without samples and steps. ``flatten`` makes a node that
    flattens a signal of a shape.
    """

    shapes: Mapping[str, Shape]
    flatten: Callable[[Signal, Shape], Signal]

    def called(self, function: Any, args: Any, kwargs: dict[str, Any], result: Any) -> None:
        """Note the results of a function."""
        arguments = list(tensors((args, kwargs)))
        signals = [s for s in map(signal_of, arguments) if s is not None]
        name = getattr(function, "__name__", str(function))
        if not signals or name in NEW:
            return
        if name == "__setitem__":
            put(args[0], self._placed(args[0], args[2]))
        bad = [s for s in signals if s.problems]
        for each in tensors(result):
            if bad and name in HARMLESS:
                put(each, Signal.passed_on(bad))
            elif bad:
                put(each, Signal.bad(_problem(function, name), *bad))
            else:
                put(each, self._result(function, name, (args, kwargs), arguments, each))

    def _result(
        self,
        function: Any,
        name: str,
        called: tuple[Any, dict[str, Any]],
        arguments: list[Any],
        result: Any,
    ) -> Signal:
        args, kwargs = called
        first = signal_of(arguments[0])
        if first is not None and name in SAME:
            return self._same(arguments[0], first, result, name, args)
        if first is not None and name in DROPPED and torch.equal(arguments[0], result):
            return first
        if first is not None and name in TURNED:
            return self._turned(arguments[0], first, result, name)
        if name in ADDED and kwargs.get("alpha", 1) == 1:
            return self._sum(args)
        if name in JOINED:
            return self._joined(arguments, result, name)
        return Signal.bad(_problem(function, name))

    def shape(self, signal: Signal) -> Shape:
        """Return the shape of a signal, without samples and steps."""
        return self.shapes[signal.sources[0][0]]

    def _same(self, argument: Any, signal: Signal, result: Any, name: str, args: Any) -> Signal:
        """Return a signal whose axes of samples and steps changed, or whose others are one."""
        shape = self.shape(signal)
        if name == "__getitem__" and not _leading(args[1], argument.ndim - len(shape)):
            return Signal.bad("an index that picks values of a signal")
        if _ending(result, shape) == shape and result.ndim > len(shape):
            return signal
        all_there = result.numel() == argument.numel() and result.ndim
        if all_there and len(shape) > 1 and result.shape[-1] == size(shape):
            return self.flatten(signal, shape)
        return Signal.bad(
            f"the function {name}, which makes {tuple(result.shape)} of {tuple(argument.shape)}"
        )

    def _turned(self, argument: Any, signal: Signal, result: Any, name: str) -> Signal:
        """Return a signal with axes of samples and steps in another order."""
        axes = len(self.shape(signal))
        before, after = ((x.shape[-axes:], x.stride()[-axes:]) for x in (argument, result))
        if before == after:
            return signal
        return Signal.bad(f"the function {name}, which turns the axes of a signal")

    def _sum(self, args: Any) -> Signal:
        """Return the sum of signals of one shape. A tensor of zeros adds nothing."""
        sources: list[tuple[str, int]] = []
        for each in args[:2]:
            signal = signal_of(each) if isinstance(each, torch.Tensor) else None
            if signal is not None:
                sources += signal.sources
            elif torch.count_nonzero(torch.as_tensor(each)):
                return Signal.bad("an addition of something that no module gave")
        names = [n for n, _ in sources]
        if len(set(names)) < len(names):
            return Signal.bad("a signal that is added to itself")
        if len({self.shapes[n] for n in names}) > 1:
            return Signal.bad("an addition of signals of different shapes")
        return Signal(tuple(sources))

    def _joined(self, arguments: list[Any], result: Any, name: str) -> Signal:
        """Return steps or samples put together. The last of them stands for all."""
        signals = [signal_of(each) for each in arguments]
        last = signals[-1]
        if last is None or any(s is None or s.nodes != last.nodes for s in signals):
            return Signal.bad(f"the function {name}, which puts different signals side by side")
        if _ending(result, self.shape(last)) != self.shape(last):
            return Signal.bad(f"the function {name}, which puts a signal beside itself")
        return last

    def _placed(self, target: Any, value: Any) -> Signal:
        """Return the signal of a tensor that steps or samples of a signal are written into."""
        before, signal = signal_of(target), signal_of(value)
        if signal is None or (before is not None and before.nodes != signal.nodes):
            return Signal.bad("a tensor that different signals are written into")
        if signal.sources and _ending(target, self.shape(signal)) != self.shape(signal):
            return Signal.bad("a tensor that a part of a signal is written into")
        return signal


def _problem(function: Any, name: str) -> str:
    return f"the function {resolve_name(function) or name}"


def _ending(tensor: Any, shape: Shape) -> Shape:
    """Return as many of the last axes of a tensor as ``shape`` has."""
    return tuple(tensor.shape[tensor.ndim - len(shape) :])


def _leading(index: Any, lead: int) -> bool:
    """Return True if an index has integers and slices in the first ``lead`` axes only."""
    parts = index if isinstance(index, tuple) else (index,)
    if any(p is Ellipsis or p is None or isinstance(p, torch.Tensor | list) for p in parts):
        return False
    return len(parts) <= lead or all(p == slice(None) for p in parts[lead:])
