"""Simulators that can be recorded: how their modules become nodes, and how they run a network."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from typing import Any, Literal

from torch import nn

from nirc.diagnostics.log import Log
from nirc.recording.parts import LAYERS, Convert, linear

Layout = Literal["step", "steps first", "samples first", "folded"]
Kind = Literal["neuron", "layer", "unknown", "open"]
TORCH_OPEN = (  # modules of torch that only call functions, which the trace sees
    *("Sequential", "ModuleList", "ModuleDict", "Module", "Identity", "Flatten", "Unflatten"),
    *("Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout", "FeatureAlphaDropout"),
)


@contextmanager
def _as_it_is(modules: Collection[Any], samples: int) -> Iterator[None]:
    yield


@dataclass(frozen=True)
class Simulator:
    """A torch package that steps spiking neurons.

    ``name``: as in ``--from``. ``package``: the root of its classes' modules. ``neurons``: by class
    name, modules with a state. ``reset`` sets the states of all modules to their start. ``layout``:
    how a network takes its input. ``lead``: the number of axes for samples and steps that a neuron
    takes. ``layers``: by class name, its own modules without a state. ``open``: its modules that
    only call others. ``kept``: the attributes in which neurons keep their states between calls.
    ``folded`` sets modules up for a batch of so many samples while it is open. ``zero_bias``: its
    exporter writes zeros where a bias is absent. ``membranes``: by class name, the membrane of a
    neuron as a leaky integrator. ``membrane_problem`` says why that of a module is none, and what
    to do, "" if it is. None: its neurons do not return their membrane last.
    """

    name: str
    package: str
    neurons: Mapping[str, Convert]
    reset: Callable[[Collection[Any]], None]
    layout: Callable[[Collection[Any]], Layout]
    lead: Callable[[Any], int]
    layers: Mapping[str, Convert]
    open: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    folded: Callable[[Collection[Any], int], AbstractContextManager[None]] = _as_it_is
    zero_bias: bool = False
    membranes: Mapping[str, Convert] = field(default_factory=dict)
    membrane_problem: Callable[[Any], tuple[str, str]] | None = None

    def kind(self, module: Any) -> Kind:
        """Say what the trace does with a module. It looks into a module that is open."""
        root, name = _root(module), type(module).__name__
        if root == self.package:
            if name in self.neurons:
                return "neuron"
            return "layer" if name in self.layers else "open" if name in self.open else "unknown"
        if root == "torch":
            if name == "Linear" or name in LAYERS:
                return "layer"
            return "open" if name in TORCH_OPEN else "unknown"
        return "open"

    def convert(self, module: Any, *, membrane: bool) -> Convert:
        """Return the function that makes nodes of this neuron or layer, or of the neuron's
        membrane.
        """
        name = type(module).__name__
        if membrane:
            return self.membranes[name]
        if _root(module) == "torch":
            return partial(linear, zero_bias=self.zero_bias) if name == "Linear" else LAYERS[name]
        return self.neurons.get(name) or self.layers[name]


def modules_of(network: Any) -> dict[str, Any]:
    """Return all modules of a network by name, itself as ``""``.

    Rockpool gives the method ``modules`` another meaning.
    """
    return dict(nn.Module.named_modules(network))


def _root(module: Any) -> str:
    return type(module).__module__.partition(".")[0]


SIMULATORS = {
    name: f"nirc.recording.{name}:SIMULATOR" for name in ("snntorch", "norse", "sinabs", "rockpool")
}  # loaded when used


def simulator_of(network: Any, asked: str | None, log: Log) -> Simulator:
    """Return the simulator that a network is made of, or the one that is asked for.

    Raises ``UsageError`` (U613) if it is not known.
    """
    known = ", ".join(SIMULATORS)
    roots = (
        {_root(module) for module in modules_of(network).values()}
        if isinstance(network, nn.Module)
        else set()
    )
    found = [name for name in SIMULATORS if name in roots]
    if asked is not None and asked not in SIMULATORS:
        log.error(
            "U613", "this simulator is not known to nirc.record", found=asked[:60], limit=known
        )
    elif not isinstance(network, nn.Module) or (asked is None and len(found) != 1):
        log.error(
            "U613",
            "it is unclear which simulator the network runs in",
            found=", ".join(found) or f"{type(network).__name__} without a module of a simulator",
            limit=known,
            help="give a torch.nn.Module; simulator=NAME says which of several",
        )
    log.raise_if_errors()
    module, _, attribute = SIMULATORS[asked or found[0]].partition(":")
    made: Simulator = getattr(import_module(module), attribute)
    return made


def agreed(values: Mapping[str, Mapping[str, tuple[str, ...]]], log: Log) -> dict[str, str]:
    """Return one value for each choice, given the values that fit each module, by its name.

    Raises ``CompileError`` (W211) where two modules compute by different ones.
    """
    chosen: dict[str, tuple[str, ...]] = {}
    first: dict[str, str] = {}
    for name, choices in values.items():
        for key, own in choices.items():
            before = chosen.get(key, own)
            both = tuple(v for v in before if v in own)
            if not both:
                log.error(
                    "W211",
                    f"`{first[key]}` and `{name}` differ in `{key}`, which a file can say only "
                    "once",
                    where=name,
                    found=f"{key}={own[0]} in `{name}`",
                    limit=f"{key}={before[0]} as in `{first[key]}`",
                    help="train the network with one value for all layers",
                )
                continue
            chosen[key] = both
            first.setdefault(key, name)
    log.raise_if_errors()
    return {key: both[0] for key, both in chosen.items()}
