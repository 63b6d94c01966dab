"""The laws of any backend. A broken law raises AssertionError.

The test suite of a backend in another package:

>>> from nirc.verification.laws import LAWS                       # doctest: +SKIP
>>> @pytest.mark.parametrize("law", LAWS)                   # doctest: +SKIP
... def test_law(law): law(MY_BACKEND)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from nirc import api
from nirc.api import Options
from nirc.chip import registry
from nirc.chip.backend import KINDS, Backend
from nirc.diagnostics.errors import CompileError, UsageError
from nirc.diagnostics.log import Log
from nirc.ir.text import digest
from nirc.semantics.run import run

DT_S = 1e-4
Law = Callable[[Backend], None]


def describes_itself(backend: Backend) -> None:
    """Variants and options have unique names. Limits have a positive value, code and source."""
    names = [t.name for t in backend.targets]
    assert names and len(set(names)) == len(names), f"variants {names}"
    for target in backend.targets:
        assert target.chip == backend.name, f"{target.name} is not of chip {backend.name}"
        for limit in target.limits:
            complete = limit.max > 0 and limit.code and limit.source
            assert complete, f"{target.name}: limit {limit.name}"
    options = backend.options
    assert len({o.name for o in options}) == len(options), "two options have one name"
    for option in options:
        unique = len(set(option.values)) == len(option.values)
        assert option.values and unique, f"values of option {option.name}"


def gives_the_same_bytes_twice(backend: Backend) -> None:
    """The same model, options and version give the same files and manifest."""
    first, second = (_compiled(backend).bundle for _ in range(2))
    assert first.files == second.files, "files differ"
    assert first.manifest == second.manifest, "manifests differ"


def runs_its_files_as_the_integer_form(backend: Backend) -> None:
    """The emulator, which reads only the files, equals the integer form at the model's steps."""
    for seed in range(4):
        compiled = _compiled(backend, seed=seed, recurrent=seed % 2 == 0)
        inputs = _raster(compiled, seed, (2, 40))
        with TemporaryDirectory() as directory:
            opened = api.Bundle.open(compiled.bundle.save(Path(directory) / "bundle"))
        device = opened.run(inputs).outputs
        integer = run(compiled.integer, inputs).outputs
        assert device.shape == integer.shape, f"shape {device.shape}, not {integer.shape}"
        different = int((device != integer).sum())
        assert not different, f"seed {seed}: {different} outputs differ"
        assert device.any(), f"seed {seed}: nothing fires, so nothing was compared"


def has_defaults(backend: Backend) -> None:
    """An option that is given its default changes nothing."""
    defaults = tuple(sorted((o.name, o.values[0]) for o in backend.options))
    without, with_defaults = (_compiled(backend, chip=chip).bundle for chip in ((), defaults))
    assert without.files == with_defaults.files, "files differ"
    assert without.manifest == with_defaults.manifest, "manifests differ"


def runs_in_every_mode(backend: Backend) -> None:
    """Each mode of the emulator gives the same shape, and the same answer twice."""
    compiled = _compiled(backend)
    bundle = compiled.bundle
    inputs = _raster(compiled, 1, (2, 40))
    modes = backend.modes
    default = bundle.run(inputs).outputs
    assert modes and len(set(modes)) == len(modes), f"modes {modes}"
    for mode in modes:
        first, second = (bundle.run(inputs, mode=mode).outputs for _ in range(2))
        assert first.shape == default.shape, f"{mode}: shape {first.shape}, not {default.shape}"
        different = int((first != second).sum())
        assert not different, f"{mode}: {different} outputs differ the second time"


def refuses_what_is_above_a_limit(backend: Backend) -> None:
    """A network at a limit of inputs, neurons or outputs compiles, and one above is refused."""
    for target in backend.targets:
        for limit in target.limits:
            sizes = _SIZES.get(limit.name)
            if sizes is None:
                continue
            at, above = (
                network(**sizes(n), neuron=backend.law_neuron) for n in (limit.max, limit.max + 1)
            )
            name = f"{target.name}: {limit.name}"
            assert limit.code not in _codes(target.name, at), f"{name} at the limit"
            assert limit.code in _codes(target.name, above), f"{name} above the limit"


def names_its_approximations(backend: Backend) -> None:
    """Every loss has a name among the what-ifs of `verify`.

    The name of a what-if begins with its kind. A what-if has the shape of the model, and gives the
    same answer and the same digest twice. If the integer form differs from the model, a what-if
    does so, too.
    """
    for seed in range(4):
        reset = "zero" if seed > 1 else "subtract"
        compiled = _compiled(backend, seed=seed, recurrent=seed % 2 == 0, reset=reset)
        model = compiled.stages.discrete
        what_ifs, again = (compiled.backend.approximations(model) for _ in range(2))
        names = [name for name, _ in what_ifs]
        same = names == [name for name, _ in again]
        assert same and len(set(names)) == len(names), f"names {names}"
        strange = [name for name in names if name.partition(":")[0] not in KINDS]
        assert not strange, f"{strange} begin with none of {', '.join(KINDS)}"
        inputs = _raster(compiled, seed, (16, 100))
        exact = run(model, inputs).outputs
        answers = {name: run(program, inputs).outputs for name, program in what_ifs}
        for (name, first), (_, second) in zip(what_ifs, again, strict=True):
            assert digest(first) == digest(second), f"{name}: another digest the second time"
        for (name, answer), (_, program) in zip(answers.items(), again, strict=True):
            assert answer.shape == exact.shape, f"{name}: shape {answer.shape}, not {exact.shape}"
            assert np.isfinite(answer).all(), f"{name}: answers that are not finite"
            repeated = (answer == run(program, inputs).outputs).all()
            assert repeated, f"{name}: another answer the second time"
        if (run(compiled.integer, inputs).outputs != exact).any():
            guilty = any((answer != exact).any() for answer in answers.values())
            assert guilty, f"seed {seed}: the chip differs from the model, and none of {names} does"


def knows_no_other_variant(backend: Backend) -> None:
    """A variant that does not exist is a usage error."""
    try:
        registry.resolve(f"{backend.name}:no-such-variant")
    except UsageError:
        return
    raise AssertionError("an unknown variant is accepted")


LAWS: tuple[Law, ...] = (
    describes_itself,
    gives_the_same_bytes_twice,
    has_defaults,
    runs_its_files_as_the_integer_form,
    runs_in_every_mode,
    refuses_what_is_above_a_limit,
    names_its_approximations,
    knows_no_other_variant,
)


# --- models, as objects with the fields of the `nir` package ---


@dataclass
class Input:
    """See ``nir.Input``."""

    input_type: Mapping[str, Any]


@dataclass
class Output:
    """See ``nir.Output``."""

    output_type: Mapping[str, Any]


@dataclass
class Linear:
    """See ``nir.Linear``."""

    weight: Any


@dataclass
class CubaLIF:
    """See ``nir.CubaLIF``."""

    tau_mem: Any
    tau_syn: Any
    r: Any
    w_in: Any
    v_leak: Any
    v_threshold: Any
    v_reset: Any


@dataclass
class IF:
    """See ``nir.IF``."""

    r: Any
    v_threshold: Any
    v_reset: Any


@dataclass
class NIRGraph:
    """See ``nir.NIRGraph``."""

    nodes: Mapping[str, object]
    edges: Sequence[tuple[str, str]] = field(default_factory=list)


def network(
    *,
    seed: int = 0,
    inputs: int = 3,
    hidden: int = 8,
    outputs: int = 2,
    recurrent: bool = False,
    neuron: str = "CubaLIF",
) -> NIRGraph:
    """Return a hidden and an output population with random weights. Each neuron has few targets.

    ``neuron``: CubaLIF or IF. Networks of IF neurons are never recurrent.
    """
    rng = np.random.default_rng(seed)
    one_each = np.zeros((outputs, hidden))
    one_each[rng.integers(0, outputs, hidden), np.arange(hidden)] = 1
    nodes: dict[str, object] = {
        "in": Input({"input": np.array([inputs])}),
        "w": Linear(rng.normal(0.3, 0.3, (hidden, inputs))),
        "hidden": _NEURONS[neuron](hidden),
        "v": Linear(one_each * rng.uniform(0.1, 0.4, (outputs, hidden))),
        "last": _NEURONS[neuron](outputs),
        "out": Output({"output": np.array([outputs])}),
    }
    edges = [("in", "w"), ("w", "hidden"), ("hidden", "v"), ("v", "last"), ("last", "out")]
    if recurrent and neuron != "IF":
        nodes["rec"] = Linear(np.diag(rng.normal(0, 0.2, hidden)))
        edges += [("hidden", "rec"), ("rec", "hidden")]
    return NIRGraph(nodes, edges)


def _cuba_lif(n: int) -> CubaLIF:
    """Return neurons with a membrane of 8 steps and a synapse of 4 steps."""
    one = np.ones(n)
    return CubaLIF(8 * DT_S * one, 4 * DT_S * one, 8 * one, 4 * one, 0 * one, one, 0 * one)


def _if(n: int) -> IF:
    one = np.ones(n)
    return IF(one, one, 0 * one)


_NEURONS: dict[str, Callable[[int], object]] = {"CubaLIF": _cuba_lif, "IF": _if}
_SIZES: dict[str, Callable[[int], dict[str, Any]]] = {
    "input channels": lambda n: {"inputs": n},
    "hidden neurons": lambda n: {"hidden": n, "inputs": 1},
    "output neurons": lambda n: {"outputs": n, "hidden": max(8, n)},
}


def _compiled(
    backend: Backend,
    *,
    seed: int = 1,
    recurrent: bool = False,
    reset: str = "subtract",
    chip: tuple[tuple[str, str], ...] = (),
) -> api.Compiled:
    model = network(seed=seed, recurrent=recurrent, neuron=backend.law_neuron)
    return api.compile_model(model, backend.name, Options(reset=reset, chip=chip))


def _raster(compiled: api.Compiled, seed: int, shape: tuple[int, int]) -> Any:
    """Return random spike counts (samples, steps, channels)."""
    channels = len(compiled.bundle.manifest["input_map"])
    return np.random.default_rng(seed).poisson(0.2, (*shape, channels))


def _codes(target: str, model: NIRGraph) -> set[str]:
    """Return codes of the errors for which ``target`` refuses ``model``, none if it compiles."""
    log = Log()
    try:
        api.compile_model(model, target, Options(reset="subtract"), log=log)
    except CompileError as refusal:
        return {d.code for d in refusal.diagnostics if d.severity == "error"}
    return set()
