"""A chip's rule in torch: the integer form to the bit, and gradients for all that may change."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nirc.diagnostics.errors import CompileError
from nirc.ir.linear import Conv, Dense, Sparse, weights_of
from nirc.ir.populations import Population
from nirc.ir.text import digest
from nirc.semantics.run import run
from tests.torch.networks import (
    CASES,
    KINDS,
    MODELS,
    TAKEN,
    compiled,
    counts,
    made,
    torch_or_skip,
)

torch = torch_or_skip()
pytestmark = pytest.mark.oracle


def same_as_interpreter(module: Any, inputs: np.ndarray) -> None:
    """The module's output and signals are those of ``nirc.semantics.run`` on its program."""
    program = module.program
    flat = inputs.reshape(*inputs.shape[:2], -1)
    names = list(program.nodes(Population))
    expected = run(program, flat, record=names)
    with torch.no_grad():
        answer = module.run(inputs)
    np.testing.assert_array_equal(answer.outputs.numpy(), expected.outputs)
    for name in names:
        np.testing.assert_array_equal(answer.signals[name].numpy(), expected.spikes[name])


def shaken(module: Any, seed: int, strength: float = 0.3) -> None:
    """Change all parameters by a random share, as training might."""
    noise = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            factor = torch.randn(parameter.shape, generator=noise, dtype=torch.float64)
            parameter.mul_(1 + strength * factor)


@pytest.mark.parametrize(("chip", "kind"), CASES)
def test_a_module_is_the_integer_form(chip: str, kind: str) -> None:
    for seed in range(3):
        rng = np.random.default_rng(seed)
        module = made(KINDS[kind](rng), chip).eval()
        assert digest(module.program) == digest(module.compiled.integer)
        same_as_interpreter(module, counts(rng, kind))


def answers_of(module: Any, inputs: np.ndarray) -> tuple[Any, Any, set[str]]:
    """The outputs of the module and of the emulator on its files, and the codes of the findings."""
    bundle = compiled(module)
    with torch.no_grad():
        answer = module(inputs).numpy()
    return answer, bundle.run(inputs).outputs, {d.code for d in bundle.diagnostics}


def test_constants_of_spinnaker2_fire_before_the_model_only_where_a_finding_says_so() -> None:
    inputs = counts(np.random.default_rng(1), "deep")
    for leak, values, early in (
        (0.3, {"offset": 3.0}, False),  # the membrane starts from far below
        # The membrane falls to 0 until the model begins, through the new threshold.
        (-0.3, {"threshold": 1e-3}, False),
        # No start is low enough for a neuron that forgets.
        (0.3, {"offset": 2.0, "decay_mem": 1e-20}, True),
    ):
        model = KINDS["deep"](np.random.default_rng(0))
        model.nodes["lif3"].v_leak = np.full(5, leak)
        module = made(model, "spinnaker2", allow_silent=True)
        with torch.no_grad():
            for name, value in values.items():
                getattr(module, f"lif3/{name}").fill_(value)
        answer, on_chip, codes = answers_of(module, inputs)
        assert ("N914" in codes) == early
        assert np.array_equal(answer, on_chip) == (not early)


@pytest.mark.parametrize(("chip", "kind"), CASES)
@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 1 << 20))
def test_other_parameters_are_the_chips_too(chip: str, kind: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    module = made(KINDS[kind](rng), chip, allow_silent=True)
    shaken(module, seed)
    same_as_interpreter(module, counts(rng, kind))


@pytest.mark.parametrize(("chip", "kind"), CASES)
def test_the_emitted_files_give_the_same_answer(chip: str, kind: str) -> None:
    rng = np.random.default_rng(5)
    module = made(KINDS[kind](rng), chip, allow_silent=True)
    inputs = counts(rng, kind)
    for strength in (0.0, 0.05):
        shaken(module, 1, strength)
        bundle = compiled(module)
        with torch.no_grad():
            answer = module(inputs).numpy()
        assert bundle.manifest["trained"] is True
        np.testing.assert_array_equal(bundle.run(inputs).outputs, answer)


def test_synapses_that_training_made_zero_are_not_stored() -> None:
    rng = np.random.default_rng(9)
    module = made(KINDS["loop"](rng), "spinnaker2", allow_silent=True)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if name.startswith("in->pop/weight"):
                parameter.mul_(torch.rand(parameter.shape) < 0.3)
    assert all(op.value.all() for _, _, p in module.program.edges() for op in p.ops)
    assert "C906" not in {finding.code for finding in compiled(module).diagnostics}
    same_as_interpreter(module, counts(rng, "loop"))


def test_the_first_bundle_is_that_of_the_compiler() -> None:
    module = made(KINDS["deep"](np.random.default_rng(0)), "xylo")
    first, again = module.compiled.bundle, compiled(module)
    differ = {name for name, data in first.files.items() if again.files[name] != data}
    # The findings of rounding, which the report lists, are those of the first compilation.
    assert differ <= {"report.json", "report.html", "certificate.json"}


REFUSED = {("speck", "japanesevowels_rsnn"), ("xylo", "digits_if_cnn"), ("xylo", "digits_lif_mlp")}


@pytest.mark.parametrize("stem", MODELS)
@pytest.mark.parametrize("chip", [None, *TAKEN])
def test_models_of_the_zoo(chip: str | None, stem: str) -> None:
    if (chip, stem) in REFUSED:
        with pytest.raises(CompileError):
            made(MODELS[stem], chip, dt=None)
        return
    module = made(MODELS[stem], chip, dt=None)
    with np.load(MODELS[stem].with_suffix(".npz")) as data:
        same_as_interpreter(module, data["inputs"][:4])


@pytest.mark.parametrize(("chip", "kind"), [*CASES, *((None, kind) for kind in KINDS)])
def test_batches_without_samples_or_steps(chip: str | None, kind: str) -> None:
    rng = np.random.default_rng(11)
    module = made(KINDS[kind](rng), chip, allow_silent=True)
    outputs = module(counts(rng, kind)).shape[2]
    for samples, steps in ((0, 3), (2, 0), (0, 0)):
        answer = module(counts(rng, kind, samples, steps))
        assert answer.shape == (samples, steps, outputs)


def test_a_copy_of_a_module_is_a_module_of_its_own() -> None:
    rng = np.random.default_rng(6)
    module, inputs = made(KINDS["deep"](rng), "xylo"), counts(rng, "deep")
    kept = copy.deepcopy(module)
    before = module(inputs)
    shaken(module, 3)
    assert not torch.equal(module(inputs), before)
    assert torch.equal(kept(inputs), before)


@pytest.mark.parametrize(("chip", "kind"), [*CASES, *((None, kind) for kind in KINDS)])
def test_every_parameter_gets_a_slope(chip: str | None, kind: str) -> None:
    rng = np.random.default_rng(2)
    module = made(KINDS[kind](rng), chip).train()
    module(counts(rng, kind, steps=40)).square().sum().backward()
    without = [n for n, p in module.named_parameters() if p.grad is None or not p.grad.any()]
    # A reset to a value trains if the model has one that is not 0.
    assert [name for name in without if not name.endswith("v_reset")] == []
    assert all(torch.isfinite(p.grad).all() for p in module.parameters() if p.grad is not None)


@pytest.mark.parametrize(("chip", "kind"), [*CASES, *((None, kind) for kind in KINDS)])
def test_training_lowers_the_loss(chip: str | None, kind: str) -> None:
    rng = np.random.default_rng(3)
    module = made(KINDS[kind](rng), chip).train()
    inputs = counts(rng, kind, samples=8, steps=30)
    with torch.no_grad():
        wanted = 0.5 * module(inputs).sum(1)
    adam = torch.optim.Adam(module.parameters(), lr=0.01)
    losses: list[float] = []
    while not losses or (losses[-1] >= 0.8 * losses[0] and len(losses) < 30):
        loss = (module(inputs).sum(1) - wanted).square().mean()
        losses.append(float(loss.detach()))
        adam.zero_grad()
        loss.backward()
        adam.step()
    assert losses[-1] < 0.8 * losses[0]
    same_as_interpreter(module, inputs)


def test_a_module_in_training_answers_as_in_evaluation() -> None:
    rng = np.random.default_rng(4)
    module = made(KINDS["loop"](rng), "xylo")
    inputs = counts(rng, "loop")
    assert torch.equal(module.train()(inputs), module.eval()(inputs))


def test_the_state_of_a_module_is_its_parameters() -> None:
    rng = np.random.default_rng(6)
    model, inputs = KINDS["deep"](rng), counts(rng, "deep")
    first, second = made(model, "xylo"), made(model, "xylo")
    shaken(first, 3)
    assert not torch.equal(first(inputs), second(inputs))
    second.load_state_dict(first.state_dict())
    assert torch.equal(first(inputs), second(inputs))
    assert compiled(first).files == compiled(second).files


@pytest.mark.parametrize(("chip", "kind"), CASES)
def test_weights_keep_the_number_of_bits_that_was_asked_for(chip: str, kind: str) -> None:
    rng = np.random.default_rng(8)
    module = made(KINDS[kind](rng), chip, weight_bits=3, allow_silent=True)
    shaken(module, 8, 3.0)
    for _, _, p in module.program.edges():
        weighted = [op for op in p.ops if isinstance(op, Dense | Sparse | Conv)]
        assert all(np.unique(weights_of(op)).size <= 8 for op in weighted)


def test_neither_threads_nor_seeds_of_torch_change() -> None:
    rng = np.random.default_rng(7)
    before = torch.get_num_threads(), torch.get_rng_state()
    module = made(KINDS["loop"](rng), "xylo")
    module(counts(rng, "loop")).sum().backward()
    assert torch.get_num_threads() == before[0]
    assert torch.equal(torch.get_rng_state(), before[1])
