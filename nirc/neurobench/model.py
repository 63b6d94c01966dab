"""A bundle as a ``NeuroBenchModel`` of NeuroBench 2.3."""

from __future__ import annotations

import numpy as np
import torch
from neurobench.models import NeuroBenchModel
from torch import nn

from nirc.api import Bundle
from nirc.ir.arrays import size
from nirc.neurobench.layers import Population, Route
from nirc.neurobench.network import ChipNetwork
from nirc.semantics.raster import Run


class ChipModel(NeuroBenchModel):
    """The network of a bundle, run by the chip's emulator."""

    def __init__(self, bundle: Bundle, network: ChipNetwork, mode: str | None) -> None:
        super().__init__()
        self.bundle, self.network, self.mode = bundle, network, mode
        self.add_activation_module(Population)
        self.populations = {name: Population(p) for name, p in network.populations.items()}
        shapes = {**network.inputs, **{name: p.shape for name, p in network.populations.items()}}
        self.routes = [Route(each.operators, shapes[each.source]) for each in network.projections]
        self.net = nn.Module()
        self.net.add_module("populations", _named(self.populations))
        self.net.add_module("projections", nn.ModuleList(self.routes))

    def __net__(self) -> nn.Module:
        """Return the network whose layers NeuroBench looks at."""
        return self.net

    def __call__(self, batch: torch.Tensor) -> torch.Tensor:
        """Return the outputs (samples, steps, outputs) of spike counts (samples, steps, ...)."""
        inputs = batch.detach().cpu().numpy()
        watched = bool(self.activation_hooks or self.connection_hooks)
        names = [p.name for p in self.network.populations.values()] if watched else []
        run = self.bundle.run(inputs, mode=self.mode, record=names)
        if watched:
            self._show(inputs, run, batch.device)
        return torch.from_numpy(run.outputs.astype(np.float32)).to(batch.device)

    def _show(self, inputs: np.ndarray, run: Run, device: torch.device) -> None:
        """Lead what happened on the chip through the layers, so that hooks see every step."""
        signals, states = self._signals(inputs, run, device)
        silent = {name: torch.zeros_like(signal[:, 0]) for name, signal in signals.items()}
        with torch.no_grad():
            for step in range(inputs.shape[1]):
                for each, route in zip(self.network.projections, self.routes, strict=True):
                    sent, signal = step - each.lag, signals[each.source]
                    there = 0 <= sent < signal.shape[1]
                    route(signal[:, sent] if there else silent[each.source])
                for name, population in self.populations.items():
                    population(signals[name][:, step], states[name][:, step])

    def _signals(
        self, inputs: np.ndarray, run: Run, device: torch.device
    ) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        """Return the answers of inputs and populations, and membranes: (samples, steps, n)."""
        flat = inputs.reshape(*inputs.shape[:2], -1)
        signals, states = {}, {}
        first = 0
        for name, shape in self.network.inputs.items():
            signals[name] = torch.from_numpy(flat[:, :, first : first + size(shape)]).to(device)
            first += size(shape)
        for name, known in self.network.populations.items():
            states[name] = torch.from_numpy(run.v[known.name]).to(device)
            spikes = torch.from_numpy(run.spikes[known.name]).to(device)
            signals[name] = spikes if known.threshold is not None else states[name]
        return signals, states


def _named(populations: dict[str, Population]) -> nn.Module:
    """Return a module with the populations as children by names that torch takes."""
    holder = nn.Module()
    for name, population in populations.items():
        free = name.replace(".", "_") or "_"
        while hasattr(holder, free):
            free += "_"
        holder.add_module(free, population)
    return holder
