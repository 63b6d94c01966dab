"""Modules are copied and pickled, and show themselves."""

from __future__ import annotations

import copy
import io
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nirc
from nirc.diagnostics.errors import ChipWarning
from nirc.ir.populations import Population
from nirc.ir.text import digest
from tests.models import DT
from tests.torch.networks import CASES, KINDS, MODELS, TAKEN, compiled, counts, made, torch_or_skip
from tests.torch.test_module import shaken

torch = torch_or_skip()
pytestmark = pytest.mark.oracle


class Named(nirc.torch.ChipModule):
    """A user's class."""


def through_a_file(module: Any) -> Any:
    """What torch.load makes of the bytes of torch.save."""
    stream = io.BytesIO()
    torch.save(module, stream)
    stream.seek(0)
    return torch.load(stream, weights_only=False)


@pytest.mark.parametrize(("chip", "kind"), [*CASES, (None, "deep"), (None, "subtracting")])
def test_a_module_that_comes_back_is_the_same(chip: str | None, kind: str) -> None:
    module = made(KINDS[kind](np.random.default_rng(2)), chip, allow_silent=True)
    shaken(module, 4)
    inputs = counts(np.random.default_rng(3), kind)
    answer = module(inputs)
    others = [again(torch.nn.Sequential(module))[0] for again in (through_a_file, copy.deepcopy)]
    for other in others:
        assert torch.equal(other(inputs), answer)
        assert digest(other.program) == digest(module.program)
        shaken(other, 5)
        assert torch.equal(module(inputs), answer)  # parameters are its own
    if chip is not None:
        shaken(module, 5)
        files = compiled(module).files
        assert all(compiled(other).files == files for other in others)


def test_a_network_with_a_writers_rule_comes_back() -> None:
    """NIR's letter cannot say this rule, so no file of the network would bring it back."""
    reading = "snntorch,reset=subtract,reset_delay=no"
    for target, writer in ((None, reading), ("speck", reading), (None, "snntorch,as=loaded")):
        module = made(MODELS["digits_if_cnn"], target, writer=writer, dt=1e-3)
        inputs = np.random.default_rng(0).poisson(0.3, (2, 5, 64))
        assert torch.equal(through_a_file(module)(inputs), module(inputs))
        if target is None:
            other = through_a_file(module).stages.reading
            assert (other.text, other.writer.step) == (
                module.stages.reading.text,
                module.stages.reading.writer.step,
            )


def test_a_mode_and_options_come_back() -> None:
    model = KINDS["integrators"](np.random.default_rng(0))
    module = made(model, "speck", mode="events", weight_bits=4)
    other = through_a_file(module)
    inputs = counts(np.random.default_rng(3), "integrators")
    assert other.mode == "events" and torch.equal(other(inputs), module(inputs))
    assert other.compiled.options == module.compiled.options
    assert compiled(other).files == compiled(module).files


def test_the_arrays_of_a_module_that_comes_back_are_read_only() -> None:
    other = through_a_file(made(KINDS["deep"](np.random.default_rng(0)), "xylo"))
    for program in (other.compiled.integer, other.compiled.legal, other.compiled.stages.reference):
        for population in program.nodes(Population).values():
            arrays = [v for v in vars(population.dynamics).values() if isinstance(v, np.ndarray)]
            assert arrays and not any(each.flags.writeable for each in arrays)


def test_a_class_of_its_own_comes_back() -> None:
    module = made(KINDS["deep"](np.random.default_rng(0)), "xylo")
    module.__class__ = Named
    module.label = "mine"
    other = through_a_file(module)
    assert type(other) is Named and other.label == "mine"


def test_a_module_shows_chip_populations_and_parameters() -> None:
    module = made(KINDS["convolved"](np.random.default_rng(0)), "speck", mode="events")
    shown = repr(torch.nn.Sequential(module))
    assert "speck:" in shown and "mode events" in shown
    assert "a: [3, 6, 6]" in shown
    for name, parameter in module.named_parameters():
        assert f"{name}: {list(parameter.shape)}" in shown


ROW = re.compile(r"^\| `?(\w+)`? \| (.*`threshold`.*) \| (.*) \|$", re.M)
SELDOM = {"decay_syn_2", "v_reset"}  # of two filters, and of a reset that is not 0


def test_the_page_has_the_names_of_all_parameters() -> None:
    page = Path("docs/reference/torch.md").read_text()
    rows = {chip: set(re.findall(r"`(\w+)`", a + b)) for chip, a, b in ROW.findall(page)}
    assert rows.keys() == {*TAKEN, "none"}
    for chip, kinds in [*TAKEN.items(), ("none", KINDS)]:
        found: set[str] = set()
        for kind in kinds:
            target = None if chip == "none" else chip
            module = made(KINDS[kind](np.random.default_rng(0)), target, allow_silent=True)
            names = (name.rpartition("/")[2] for name, _ in module.named_parameters())
            found |= {name.rstrip("0123456789") for name in names}
        assert found <= rows[chip] and rows[chip] - found <= SELDOM, chip


def test_warnings_are_said_once_by_a_module(tmp_path: Path) -> None:
    import nirc.torch

    model = KINDS["leaky"](np.random.default_rng(0))
    with pytest.warns(ChipWarning) as first:
        module = nirc.torch.module(model, "speck", dt=DT)
    assert all(each.filename == __file__ for each in first)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ChipWarning)
        nirc.torch.to_nir(module, tmp_path / "module.nir")
        module.compile()
        nirc.torch.bundle(module, tmp_path / "bundle")


def test_a_file_of_samples_calibrates(tmp_path: Path, small_calibration: None) -> None:
    inputs = counts(np.random.default_rng(4), "loop", samples=6)
    np.savez(tmp_path / "data.npz", inputs=inputs)
    model = KINDS["loop"](np.random.default_rng(0))
    by_array = made(model, "xylo", calibrate=inputs)
    by_file = made(model, "xylo", calibrate=str(tmp_path / "data.npz"))
    assert digest(by_file.program) == digest(by_array.program)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        bundle = nirc.compile(model, "xylo", dt=DT, calibrate=tmp_path / "data.npz")
    assert bundle.files == by_array.compiled.bundle.files
