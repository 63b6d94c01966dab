"""A network watched while it runs: its modules, and the signals between them.

Every tensor that carries a signal of the network has a note of where the signal comes from. Hooks
on neurons and layers read the notes of inputs and write those of outputs. Functions between modules
are watched by torch's function mode: they pass a signal on, add signals, or end the trace with
their name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import torch
from torch.overrides import TorchFunctionMode, resolve_name

from nirc.diagnostics.log import Log
from nirc.recording.parts import Shape, size
from nirc.recording.simulator import Simulator, modules_of

NOTE = "_nirc_signal"
MEMBRANE = "mem"  # of the node that stands for a neuron's membrane
INPUT = "input"
FLATTEN = "flatten"
SAME = {  # functions whose result has the values of their first argument
    *(
        "clone",
        "detach",
        "contiguous",
        "to",
        "float",
        "double",
        "type",
        "cpu",
        "cuda",
        "requires_grad_",
    ),
    *("__getitem__", "select", "unbind", "split", "chunk", "__iter__", "expand"),
    *("view", "view_as", "reshape", "reshape_as", "flatten", "unflatten", "squeeze", "unsqueeze"),
}
TURNED = {"transpose", "swapaxes", "swapdims", "permute", "movedim", "moveaxis"}
JOINED = {"stack", "cat", "concat", "concatenate"}
ADDED = {"add", "add_", "__add__", "__radd__", "__iadd__"}
DROPPED = {
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "alpha_dropout",
    "feature_alpha_dropout",
}
HARMLESS = SAME | TURNED | JOINED | ADDED | DROPPED
NEW = {
    "zeros_like",
    "ones_like",
    "empty_like",
    "full_like",
    "rand_like",
    "randn_like",
    "new_zeros",
    "new_ones",
}


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
    def bad(problem: str, *given: Signal | None, help: str = "") -> Signal:
        """No signal: what has the problems of the signals that it was made of, and one more."""
        before = [signal.problems for signal in given if signal is not None]
        return Signal(
            problems=tuple(dict.fromkeys([*chain.from_iterable(before), problem])), help=help
        )

    @staticmethod
    def passed_on(given: Sequence[Signal]) -> Signal:
        """The result of a function that is no problem itself, given bad signals."""
        every = chain.from_iterable(signal.problems for signal in given)
        return replace(given[0], problems=tuple(dict.fromkeys(every)))

    @property
    def nodes(self) -> frozenset[str]:
        """The nodes whose outputs are summed."""
        return frozenset(name for name, _ in self.sources)


@dataclass
class Call:
    """The last call of a node, by a module or a function (None). ``before``: the number of the last
    but one.

    ``membrane``: the node stands for the module's membrane.
    """

    module: Any
    number: int
    before: int
    signal: Signal | None
    shape_in: Shape
    shape_out: Shape
    membrane: bool = False


@dataclass(frozen=True)
class Wiring:
    """A network as nodes and edges.

    ``late``: edges that carry what their source sent in the step before.
    """

    calls: dict[str, Call]  # in the order of the network, without the input
    edges: tuple[tuple[str, str], ...]
    late: frozenset[tuple[str, str]]
    outputs: tuple[str, ...]

    def feeds_itself(self, name: str, passes: Callable[[str], bool]) -> bool:
        """Return True if the output of a node comes back to it through nodes of which ``passes`` is
        true.
        """
        reached, new = set(), [name]
        while new:
            here = new.pop()
            for target in (t for s, t in self.edges if s == here and t not in reached):
                reached.add(target)
                if passes(target):
                    new.append(target)
        return name in reached


class Trace:
    """Watches a network whose input has ``shape``, without samples and steps."""

    def __init__(self, network: Any, simulator: Simulator, shape: Shape) -> None:
        self.simulator = simulator
        self.calls: dict[str, Call] = {}
        self.shapes: dict[str, Shape] = {INPUT: shape}
        self.flattening = ""  # the module whose call is watched, if that is a Flatten
        self._depth = self._count = 0
        self._stateless: dict[tuple[str, frozenset[str]], str] = {}
        self._watched = dict(watched(network, simulator))
        self._flattens = {
            n: m for n, m in modules_of(network).items() if type(m).__name__ == "Flatten"
        }
        self._given: Any = None

    @contextmanager
    def watching(self) -> Iterator[None]:
        """While open, calls of the network are watched."""
        handles = []
        for name, module in self._watched.items():
            handles.append(module.register_forward_pre_hook(self._before(name), with_kwargs=True))
            handles.append(module.register_forward_hook(self._after(name)))
        for name, module in self._flattens.items():
            handles.append(
                module.register_forward_pre_hook(
                    lambda *_, name=name: setattr(self, "flattening", name)
                )
            )
            handles.append(module.register_forward_hook(lambda *_: setattr(self, "flattening", "")))
        try:
            with _Mode(self):
                yield
        finally:
            for handle in handles:
                handle.remove()

    def begin(self, x: Any) -> Any:
        """``x`` as an input of the network."""
        _put(x, Signal(((INPUT, 0),)))
        return x

    # Modules.

    def _before(self, name: str) -> Callable[..., None]:
        def hook(module: Any, args: Any, kwargs: Any) -> None:
            self._depth += 1
            if self._depth == 1:
                given = [v for v in (*args, *kwargs.values()) if isinstance(v, torch.Tensor)]
                self._given = given[0] if given else None

        return hook

    def _after(self, name: str) -> Callable[..., None]:
        def hook(module: Any, args: Any, result: Any) -> None:
            self._depth -= 1
            if self._depth == 0:
                self._called(name, module, self._given, result)

        return hook

    def _called(self, name: str, module: Any, given: Any, result: Any) -> None:
        signal = _of(given)
        results = list(tensors(result))
        if not results:
            return
        for state in results[1:]:
            _put(state, Signal.bad(f"a state of `{name}`"))
        kind = self.simulator.kind(module)
        if kind == "unknown" or given is None:
            _put(
                results[0],
                Signal.bad(f"`{name}`, a module of the type {type(module).__name__}", signal),
            )
        elif kind == "neuron" and self._elsewhere(name, signal):
            _put(results[0], Signal.bad(f"`{name}`, whose one state is used in two places", signal))
        elif signal is not None and signal.problems:
            _put(results[0], signal)
        elif kind == "neuron" and given.ndim - len(
            self._features(signal, given)
        ) != self.simulator.lead(module):
            problem = (
                f"what `{name}` gets, of shape {tuple(given.shape)}, which it takes other "
                "axes of for samples and steps"
            )
            _put(results[0], Signal.bad(problem))
        else:
            self._note(name, module, kind == "neuron", signal, given, results[0])
            if (
                kind == "neuron"
                and len(results) > 1
                and self.simulator.membrane_problem is not None
            ):
                _put(results[-1], self._membrane(name, module, signal, given, results[-1]))

    def _membrane(
        self, name: str, module: Any, signal: Signal | None, given: Any, result: Any
    ) -> Signal:
        """The membrane that a neuron returns: a node of its own, where it is a leaky integrator."""
        assert self.simulator.membrane_problem is not None
        problem, help_ = self.simulator.membrane_problem(module)
        if problem:
            return Signal.bad(f"the membrane of `{name}`, {problem}", help=help_)
        shape_in = self._features(signal, given)
        shape_out = tuple(result.shape[given.ndim - len(shape_in) :])
        return replace(
            self._call(f"{name}.{MEMBRANE}", module, signal, shape_in, shape_out, membrane=True),
            membrane=True,
        )

    def _elsewhere(self, name: str, signal: Signal | None) -> bool:
        """Return True if a neuron got something else in its last call, and not only less or
        more.
        """
        last = self.calls[name].signal if name in self.calls else None
        if last is None or signal is None:
            return False
        return not (last.nodes <= signal.nodes or signal.nodes <= last.nodes)

    def _note(
        self, name: str, module: Any, neuron: bool, signal: Signal | None, given: Any, result: Any
    ) -> None:
        shape_in = self._features(signal, given)
        node = name if neuron else self._use(name, frozenset() if signal is None else signal.nodes)
        shape_out = tuple(result.shape[given.ndim - len(shape_in) :])
        _put(result, self._call(node, module, signal, shape_in, shape_out))

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
        """Note a call of a node, and return the signal that it gives."""
        self._count += 1
        before = self.calls[node].number if node in self.calls else 0
        self.calls[node] = Call(module, self._count, before, signal, shape_in, shape_out, membrane)
        self.shapes[node] = shape_out
        return Signal(((node, self._count),))

    def _use(self, name: str, sources: frozenset[str]) -> str:
        """The node of a use of a layer: each combination of sources is a use of its own.

        A layer that is fed nothing at first (zeros, before there are spikes) is the one that is fed
        something later.
        """
        key = (name, sources)
        if key not in self._stateless and (name, frozenset()) in self._stateless:
            self._stateless[key] = self._stateless.pop((name, frozenset()))
        if key not in self._stateless:
            uses = sum(other == name for other, _ in self._stateless)
            self._stateless[key] = f"{name}_{uses}" if uses else name
        return self._stateless[key]

    def _features(self, signal: Signal | None, given: Any) -> Shape:
        if signal is None or not signal.sources:
            return tuple(given.shape[1:])
        return self.shapes[signal.sources[0][0]]

    # Functions between modules.

    def between(self, function: Any, args: Any, kwargs: dict[str, Any], result: Any) -> None:
        """Note the results of a function."""
        given = list(tensors((args, kwargs)))
        signals = [s for s in map(_of, given) if s is not None]
        name = getattr(function, "__name__", str(function))
        if self._depth or not signals or name in NEW:
            return
        if name == "__setitem__":
            _put(args[0], self._placed(args[0], args[2]))
        bad = [s for s in signals if s.problems]
        if bad:
            problem = f"the function {resolve_name(function) or name}"
            found = Signal.passed_on(bad) if name in HARMLESS else Signal.bad(problem, *bad)
        for each in tensors(result):
            _put(each, found if bad else self._made(function, name, (args, kwargs), given, each))

    def _made(
        self,
        function: Any,
        name: str,
        called: tuple[Any, dict[str, Any]],
        given: list[Any],
        result: Any,
    ) -> Signal:
        args, kwargs = called
        first = _of(given[0])
        if first is not None and name in SAME:
            return self._same(given[0], first, result, name, args)
        if first is not None and name in DROPPED and torch.equal(given[0], result):
            return first
        if first is not None and name in TURNED:
            return self._turned(given[0], first, result, name)
        if name in ADDED and kwargs.get("alpha", 1) == 1:
            return self._sum(args)
        if name in JOINED:
            return self._joined(given, result, name)
        return Signal.bad(f"the function {resolve_name(function) or name}")

    def _same(self, given: Any, signal: Signal, result: Any, name: str, args: Any) -> Signal:
        """A function that changes axes of samples and steps at most, or flattens the others."""
        shape = self.shapes[signal.sources[0][0]]
        lead = given.ndim - len(shape)
        if name == "__getitem__" and not _leading(args[1], lead):
            return Signal.bad("an index that picks values of a signal")
        after = tuple(result.shape[result.ndim - len(shape) :])
        if after == shape and result.ndim > len(shape):
            return signal
        if (
            result.numel() == given.numel()
            and len(shape) > 1
            and result.ndim
            and result.shape[-1] == size(shape)
        ):
            return self._flat(signal, shape)
        return Signal.bad(
            f"the function {name}, which makes {tuple(result.shape)} of {tuple(given.shape)}"
        )

    def _turned(self, given: Any, signal: Signal, result: Any, name: str) -> Signal:
        """Axes of samples and steps in another order."""
        axes = len(self.shapes[signal.sources[0][0]])
        kept = (given.shape[-axes:], given.stride()[-axes:]) == (
            result.shape[-axes:],
            result.stride()[-axes:],
        )
        return (
            signal if kept else Signal.bad(f"the function {name}, which turns the axes of a signal")
        )

    def _flat(self, signal: Signal, shape: Shape) -> Signal:
        node = self._use(self.flattening or FLATTEN, signal.nodes)
        return self._call(node, None, signal, shape, (size(shape),))

    def _sum(self, args: Any) -> Signal:
        """The sum of signals of one shape. A tensor of zeros adds nothing."""
        sources: list[tuple[str, int]] = []
        for each in args[:2]:
            signal = _of(each) if isinstance(each, torch.Tensor) else None
            if signal is not None:
                sources += signal.sources
            elif not _is_zero(each):
                return Signal.bad("an addition of something that no module gave")
        names = [n for n, _ in sources]
        if len(set(names)) < len(names):
            return Signal.bad("a signal that is added to itself")
        if len({self.shapes[n] for n in names}) > 1:
            return Signal.bad("an addition of signals of different shapes")
        return Signal(tuple(sources))

    def _joined(self, given: list[Any], result: Any, name: str) -> Signal:
        """Steps or samples put together. The last of them stands for all."""
        signals = [_of(each) for each in given]
        nodes = {None if s is None else s.nodes for s in signals}
        last = signals[-1]
        if len(nodes) > 1 or last is None:
            return Signal.bad(f"the function {name}, which puts different signals side by side")
        shape = self.shapes[last.sources[0][0]]
        if tuple(result.shape[result.ndim - len(shape) :]) != shape:
            return Signal.bad(f"the function {name}, which puts a signal beside itself")
        return last

    def _placed(self, target: Any, value: Any) -> Signal:
        """A tensor that steps or samples of a signal are written into."""
        before, signal = _of(target), _of(value)
        if signal is None or (before is not None and before.nodes != signal.nodes):
            return Signal.bad("a tensor that different signals are written into")
        if signal.sources:
            shape = self.shapes[signal.sources[0][0]]
            if tuple(target.shape[target.ndim - len(shape) :]) != shape:
                return Signal.bad("a tensor that a part of a signal is written into")
        return signal

    # The result.

    def wiring(self, output: Any, log: Log) -> Wiring:
        """The part of the network that leads to ``output``, from the last call of every node.

        Raises ``CompileError`` (W210).
        """
        end = _of(output)
        assert end is not None
        calls: dict[str, Call] = {}
        edges: list[tuple[str, str]] = []
        late: set[tuple[str, str]] = set()
        new = list(end.nodes)
        while new:
            name = new.pop()
            if name == INPUT or name in calls:
                continue
            call = calls[name] = self.calls[name]
            if call.signal is None or not call.signal.sources:
                _refuse(f"what arrives at `{name}`, which no module gave", log, where=name)
                continue
            for source, number in call.signal.sources:
                edges.append((source, name))
                new.append(source)
                if source == INPUT or number == self.calls[source].number:
                    continue
                late.add((source, name))
                if number != self.calls[source].before:
                    _refuse(
                        f"what `{name}` gets from `{source}`, several steps late", log, where=name
                    )
        if not log.errors and INPUT not in {source for source, _ in edges}:
            _refuse("a network whose output does not depend on its input", log)
        log.raise_if_errors()
        found = Wiring(
            dict(sorted(calls.items(), key=lambda item: item[1].number)),
            tuple(sorted(edges)),
            frozenset(late),
            tuple(sorted(end.nodes)),
        )
        _check_late(found, log)
        return found


def signal_of(output: Any) -> Signal | None:
    """The note of a tensor."""
    return _of(output)


def _check_late(wiring: Wiring, log: Log) -> None:
    """An edge that carries the step before has to close a loop: as a delay NIR's edges cannot say
    it.
    """
    for source, target in sorted(wiring.late):
        reached, new = {target}, [target]
        while new:
            here = new.pop()
            following = [
                t
                for s, t in wiring.edges
                if s == here and (s, t) not in wiring.late and t not in reached
            ]
            reached.update(following)
            new += following
        if source not in reached:
            _refuse(
                f"what `{target}` gets from `{source}`, a step late and in no loop",
                log,
                where=target,
                help=f"give `{target}` the output of the same step",
            )
    log.raise_if_errors()


def refuse_output(signal: Signal | None, log: Log) -> None:
    """Report why a network's output is no signal that a file can give (W210)."""
    if signal is None:
        _refuse("the network's output, which no module gave", log)
    else:
        _refuse(", nor for ".join(signal.problems), log, help=signal.help)


def _refuse(what: str, log: Log, *, where: str = "", help: str = "") -> None:
    log.error(
        "W210",
        f"NIR has no words for {what}",
        where=where,
        limit="neurons of the simulator, Linear, Conv1d, Conv2d, AvgPool2d, Flatten, sums of "
        "signals",
        help=help or "make it of these modules, or put it outside of the network that is recorded",
    )


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
    """Neurons, layers and unknown modules with the first of their names, without modules inside of
    them.
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


def tensors(value: Any) -> Iterator[Any]:
    """All tensors in nested tuples, lists and dictionaries, in order."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, dict):
        yield from tensors(tuple(value.values()))
    elif isinstance(value, list | tuple):
        for each in value:
            yield from tensors(each)


def _of(tensor: Any) -> Signal | None:
    note: Signal | None = getattr(tensor, NOTE, None)
    return note


def _put(tensor: Any, signal: Signal) -> None:
    setattr(tensor, NOTE, signal)


def _leading(index: Any, lead: int) -> bool:
    """Return True if an index has whole numbers and slices in the first ``lead`` axes only."""
    parts = index if isinstance(index, tuple) else (index,)
    if any(p is Ellipsis or p is None or isinstance(p, torch.Tensor | list) for p in parts):
        return False
    return len(parts) <= lead or all(p == slice(None) for p in parts[lead:])


def _is_zero(value: Any) -> bool:
    return not bool(torch.count_nonzero(torch.as_tensor(value)))
