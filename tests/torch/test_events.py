"""Speck event by event in torch: the emulator's spikes, and slopes of the summed step."""

from __future__ import annotations

import numpy as np
import pytest

from tests.torch.networks import KINDS, MODELS, TAKEN, compiled, counts, made, torch_or_skip
from tests.torch.test_module import shaken
from tests.torch.test_refusals import code

torch = torch_or_skip()
pytestmark = pytest.mark.oracle


@pytest.mark.parametrize("kind", TAKEN["speck"])
def test_answers_are_those_of_the_emulator(kind: str) -> None:
    rng = np.random.default_rng(0)
    module = made(KINDS[kind](rng), "speck", mode="events", allow_silent=True).eval()
    inputs = counts(rng, kind)
    for strength in (0.0, 0.2):
        shaken(module, 3, strength)
        names = list(module.compiled.bundle.manifest["populations"])
        expected = compiled(module).run(inputs, mode="events", record=names)
        with torch.no_grad():
            answer = module.run(inputs)
        np.testing.assert_array_equal(answer.outputs.numpy(), expected.outputs)
        for name in names:
            np.testing.assert_array_equal(answer.signals[name].numpy(), expected.spikes[name])


def test_events_differ_from_the_summed_step() -> None:
    model = MODELS["digits_if_cnn"]
    with np.load(model.with_suffix(".npz")) as data:
        inputs = data["inputs"][:8]
    by_events, by_steps = (made(model, "speck", dt=None, mode=m) for m in ("events", None))
    assert not torch.equal(by_events(inputs), by_steps(inputs))
    assert by_events.mode == "events"


def test_training_event_by_event_lowers_the_loss() -> None:
    rng = np.random.default_rng(1)
    module = made(KINDS["leaky"](rng), "speck", mode="events").train()
    inputs = counts(rng, "leaky", samples=8, steps=30)
    with torch.no_grad():
        wanted = 0.5 * module(inputs).sum(1)
    adam = torch.optim.Adam(module.parameters(), lr=0.01)
    losses = []
    for _ in range(25):
        loss = (module(inputs).sum(1) - wanted).square().mean()
        losses.append(float(loss.detach()))
        adam.zero_grad()
        loss.backward()
        adam.step()
    assert min(losses) < 0.7 * losses[0]
    assert all(p.grad.any() for p in module.parameters())


def test_modes_that_there_are_not() -> None:
    model = KINDS["leaky"](np.random.default_rng(0))
    assert code(lambda: made(model, "speck", mode="backwards")) == "U607"
    assert code(lambda: made(model, "spinnaker2", mode="events")) == "U607"
    assert code(lambda: made(model, None, mode="events")) == "U607"
