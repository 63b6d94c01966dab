"""Torch layers whose parameters come from numpy, so that a seed means the same in every version of
torch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from recorded_kinds import Array, Rng, between, normal
from torch import nn

torch.set_num_threads(1)


def tensor(values: Any) -> torch.Tensor:
    """A float32 tensor."""
    return torch.tensor(np.asarray(values, np.float32))


def fill(module: nn.Module, rng: Rng, *, scale: float = 2.5, mean: float = 1.0) -> nn.Module:
    """Give every linear and convolutional layer in ``module`` weights and, where there is one, a
    bias.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d):
            layer.weight.data = tensor(normal(rng, *layer.weight.shape, scale=scale, mean=mean))
            if layer.bias is not None:
                layer.bias.data = tensor(between(rng, -0.1, 0.2, len(layer.bias)))
    return module


def stepped(step: Callable[[torch.Tensor], torch.Tensor], inputs: Array) -> Array:
    """Call ``step`` with (samples, ...) for each step; stack what it returns to (samples, steps,
    ...).
    """
    with torch.no_grad():
        return np.stack(
            [step(tensor(inputs[:, t])).numpy() for t in range(inputs.shape[1])], 1
        ).astype(np.float32)
