"""Training on a chip's rule in torch: CPU of a step, norms of the slopes, and what it wins back.

    python benchmarks/torch_training.py [CHIP...]        the networks of tests/data/zoo
    python benchmarks/torch_training.py xylo --detached  no slope through a subtracted threshold

Each network imitates the spike counts of its reference on the first quarter of its samples (Adam,
64 samples a step). ``agreement`` is measured on the other samples. Nothing is chosen by them. Each
network is read as it was trained (``trained.py``).
"""

from __future__ import annotations

import argparse
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from trained import reading

import nirc.torch
from nirc.diagnostics.errors import NircError
from nirc.ir.computation import Step, Subtract
from nirc.torch.neurons import Kept, Slopes

ZOO = Path(__file__).parents[1] / "tests" / "data" / "zoo"
BATCH = 64


def detached(self: Slopes, step: Step, kept: Kept) -> None:
    """Go back through one operation as ``Slopes.backward``, with spikes constant in a reset."""
    if not isinstance(step, Subtract):
        attached(self, step, kept)
        return
    slope = self.at.get(step.of)
    if slope is not None and kept.spikes is not None:
        self.add(step.amount, -step.sign * slope * kept.spikes)


attached = Slopes.backward


def norm(module: torch.nn.Module) -> float:
    slopes = [p.grad.norm() for p in module.parameters() if p.grad is not None]
    return float(torch.stack(slopes).norm())


def trained(path: Path, chip: str, rounds: int, rate: float) -> str:
    options = reading(path)
    as_trained: dict[str, Any] = {"writer": options.writer, "reset": options.reset}
    module = nirc.torch.module(path, chip, **as_trained)
    reference = nirc.torch.module(path, None, **as_trained)
    with np.load(path.with_suffix(".npz")) as data:
        inputs = data["inputs"]
    with torch.no_grad():
        wanted = reference(inputs).sum(1)
    given = len(inputs) // 4

    def agreement() -> float:
        with torch.no_grad():
            answer = module(inputs[given:]).sum(1)
        return float((answer.argmax(1) == wanted[given:].argmax(1)).double().mean())

    before = agreement()
    adam = torch.optim.Adam(module.parameters(), lr=rate)
    dice = np.random.default_rng(0)
    first = 0.0
    began = time.process_time()
    for turn in range(rounds):
        chosen = dice.permutation(given)[:BATCH]
        distance = (module(inputs[chosen]).sum(1) - wanted[chosen]).square().mean()
        adam.zero_grad()
        (distance / wanted.square().mean()).backward()
        first = first if turn else norm(module)
        torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        adam.step()
    spent = (time.process_time() - began) / max(rounds, 1)
    shape = f"{min(given, BATCH)} x {inputs.shape[1]}"
    return (
        f"{path.stem:22} {chip:10} {shape:>9}  CPU {spent:.3f} s a step, norm {first:.3g},"
        f" agreement {before:.3f} -> {agreement():.3f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("chips", nargs="*", default=["loihi2", "speck", "spinnaker2", "xylo"])
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--detached", action="store_true")
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    if asked.detached:
        Slopes.backward = detached  # type: ignore[method-assign]
    for path in sorted(ZOO.glob("*.nir")):
        for chip in asked.chips:
            try:
                print(trained(path, chip, asked.rounds, asked.rate), flush=True)
            except NircError as error:
                (first, *_) = (d.code for d in error.diagnostics if d.severity == "error")
                print(f"{path.stem:22} {chip:10} {first}: the chip does not take it", flush=True)


if __name__ == "__main__":
    main()
