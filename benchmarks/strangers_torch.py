"""The networks of ``strangers.py`` in torch: populations of integrate-and-fire neurons and how they
learn.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from strangers_data import Array, Samples

try:
    import torch
except ImportError:
    raise SystemExit("torch is missing: pip install torch") from None

BATCH = 32
RATE = 2e-3
SHARPNESS = 0.3  # logits per spike


@dataclass(frozen=True)
class Layer:
    """A population with its synapses.

    A membrane that keeps all (``keeps=1``) subtracts its threshold, others reset.
    """

    size: int  # neurons, or channels of a convolution of 3 x 3
    keeps: float = 0.9  # of the membrane from step to step
    current: float | None = None  # kept of the synaptic current, where there is one
    loop: bool = False
    bias: bool = False
    conv: bool = False
    pool: bool = False  # the mean of 2 x 2 before the synapses


class Spike(torch.autograd.Function):
    """A step at the threshold, with the slope of a fast sigmoid (Zenke, Ganguli 2018:

    SuperSpike).
    """

    @staticmethod
    def forward(ctx: Any, above: torch.Tensor) -> torch.Tensor:
        """One where the membrane is above its threshold."""
        ctx.save_for_backward(above)
        return (above > 0).to(above.dtype)

    @staticmethod
    def backward(ctx: Any, slope: torch.Tensor) -> torch.Tensor:
        """The surrogate's slope."""
        (above,) = ctx.saved_tensors
        found: torch.Tensor = slope / (1 + 5 * above.abs()) ** 2
        return found


class Population(torch.nn.Module):
    """Synapses and neurons of a layer, a step at a time; ``shape`` is its own."""

    def __init__(self, layer: Layer, before: tuple[int, ...]) -> None:
        super().__init__()
        self.layer = layer
        before_synapses: list[torch.nn.Module] = []
        if layer.pool:
            before_synapses.append(torch.nn.AvgPool2d(2))
            before = (before[0], before[1] // 2, before[2] // 2)
        synapses: torch.nn.Conv2d | torch.nn.Linear
        if layer.conv:
            synapses = torch.nn.Conv2d(before[0], layer.size, 3, padding=1, bias=layer.bias)
        else:
            before_synapses += [torch.nn.Flatten()] if len(before) > 1 else []
            synapses = torch.nn.Linear(prod(before), layer.size, bias=layer.bias)
        synapses.weight.data *= 2  # so that the deepest layer fires before it has learnt anything
        self.shape = (layer.size, *before[1:]) if layer.conv else (layer.size,)
        self.synapses = torch.nn.Sequential(*before_synapses, synapses)
        self.loop = torch.nn.Linear(layer.size, layer.size) if layer.loop else None
        if self.loop is not None:
            self.loop.weight.data *= 0.5

    def rest(self, samples: int) -> None:
        """Before the first step."""
        self.membrane = self.current = self.sent = torch.zeros(samples, *self.shape)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The spikes of a step."""
        layer, x = self.layer, self.synapses(x)
        if self.loop is not None:
            x = x + self.loop(self.sent)
        if layer.current is not None:
            x = self.current = layer.current * self.current + x
        membrane = layer.keeps * self.membrane + x
        self.sent = Spike.apply(membrane - 1.0)  # type: ignore[no-untyped-call]
        fired = self.sent.detach()
        self.membrane = membrane - fired if layer.keeps == 1 else membrane * (1 - fired)
        return self.sent


class Network(torch.nn.Module):
    """Populations one behind the other, with new weights from torch's seed."""

    def __init__(self, layers: tuple[Layer, ...], shape: tuple[int, ...]) -> None:
        super().__init__()
        self.populations: list[Population] = []
        for layer in layers:
            self.populations.append(Population(layer, shape))
            shape = self.populations[-1].shape
        self.learning = torch.nn.ModuleList(self.populations)

    def forward(self, inputs: Array) -> torch.Tensor:
        """The output's spikes, (samples, steps, neurons)."""
        for population in self.populations:
            population.rest(len(inputs))
        sent = []
        for step in torch.tensor(inputs, dtype=torch.float32).unbind(1):
            x = step
            for population in self.populations:
                x = population(x)
            sent.append(x)
        return torch.stack(sent, 1)

    def learn(self, samples: Samples, epochs: int) -> None:
        """Adam on the cross-entropy of the outputs' spike counts."""
        optimizer = torch.optim.Adam(self.parameters(), RATE)
        for epoch in range(epochs):
            order = np.random.default_rng(epoch).permutation(len(samples.train))
            for start in range(0, len(order), BATCH):
                chosen = order[start : start + BATCH]
                logits = self(samples.train[chosen]).sum(1) * SHARPNESS
                loss = torch.nn.functional.cross_entropy(
                    logits, torch.tensor(samples.train_labels[chosen])
                )
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()

    @torch.no_grad()
    def spikes(self, inputs: Array) -> Array:
        """The output's spikes as the file keeps them."""
        found: Array = self(inputs).numpy().astype(np.uint8)
        return found
