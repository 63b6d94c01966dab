"""The laws of any backend, ours or a stranger's. ``check(backend)`` tries them all; a broken one
raises AssertionError.

A stranger's test suite:

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
from nirc.semantics.run import run

DT_S = 1e-4
Law = Callable[[Backend], None]


def check(backend: Backend) -> None:
    """Try every law."""
    for law in LAWS:
        law(backend)


def describes_itself(backend: Backend) -> None:
    """Variants and options have unique names, every limit a positive value, a code and a source."""
    names = [t.name for t in backend.targets]
    assert names and len(set(names)) == len(names), f"variants {names}"
    for target in backend.targets:
        assert target.chip == backend.name, f"{target.name} is not of chip {backend.name}"
        for limit in target.limits:
            assert limit.max > 0 and limit.code and limit.source, (
                f"{target.name}: limit {limit.name}"
            )
    options = backend.options
    assert len({o.name for o in options}) == len(options), "two options have one name"
    for option in options:
        assert option.values and len(set(option.values)) == len(option.values), (
            f"values of option {option.name}"
        )


def gives_the_same_bytes_twice(backend: Backend) -> None:
    """Same model, same options, same version: same files and manifest."""
    first, second = (_compiled(backend).bundle for _ in range(2))
    assert first.files == second.files, "files differ"
    assert first.manifest == second.manifest, "manifests differ"


def runs_its_files_as_the_integer_form(backend: Backend) -> None:
    """The emulator, which sees the files alone, equals the integer form at the model's steps."""
    for seed in range(4):
        made = _compiled(backend, seed=seed, recurrent=seed % 2 == 0)
        rng = np.random.default_rng(seed)
        inputs = rng.poisson(0.2, (2, 40, len(made.bundle.manifest["input_map"])))
        with TemporaryDirectory() as directory:
            opened = api.Bundle.open(made.bundle.save(Path(directory) / "bundle"))
        device, integer = opened.run(inputs).output, run(made.integer, inputs).output
        assert device.shape == integer.shape, f"shape {device.shape}, not {integer.shape}"
        assert (device == integer).all(), (
            f"seed {seed}: {int((device != integer).sum())} outputs differ"
        )
        assert device.any(), f"seed {seed}: nothing fires, so nothing was compared"


def has_defaults(backend: Backend) -> None:
    """An option that is given its default changes nothing."""
    defaults = tuple(sorted((o.name, o.values[0]) for o in backend.options))
    silent, spoken = (_compiled(backend, chip=chip).bundle for chip in ((), defaults))
    assert silent.files == spoken.files, "files differ"
    assert silent.manifest == spoken.manifest, "manifests differ"


def runs_in_every_mode(backend: Backend) -> None:
    """Each mode of the emulator gives the same shape, and the same answer twice."""
    bundle = _compiled(backend).bundle
    inputs = np.random.default_rng(1).poisson(0.2, (2, 40, len(bundle.manifest["input_map"])))
    modes, default = backend.modes, bundle.run(inputs).output
    assert modes and len(set(modes)) == len(modes), f"modes {modes}"
    for mode in modes:
        first, second = (bundle.run(inputs, mode=mode).output for _ in range(2))
        assert first.shape == default.shape, f"{mode}: shape {first.shape}, not {default.shape}"
        assert (first == second).all(), (
            f"{mode}: {int((first != second).sum())} outputs differ the second time"
        )


def refuses_what_is_above_a_limit(backend: Backend) -> None:
    """At a limit of inputs, neurons or outputs a network compiles; one above it is refused by that
    limit's code.
    """
    for target in backend.targets:
        for limit in target.limits:
            sizes = _SIZES.get(limit.name)
            if sizes is None:
                continue
            at, above = (
                network(**sizes(n), neuron=backend.law_neuron) for n in (limit.max, limit.max + 1)
            )
            assert _codes(backend, target.name, at).isdisjoint({limit.code}), (
                f"{target.name}: {limit.name} at the limit"
            )
            assert limit.code in _codes(backend, target.name, above), (
                f"{target.name}: {limit.name} above the limit"
            )


def names_its_approximations(backend: Backend) -> None:
    """Each of `verify`'s what-ifs is named by its kind, runs as the model does, and leaves it alone
    where it is exact.

    Where the integer form answers otherwise than the model, so does one of them: no loss is without
    a name. None is of another shape, and the same model gives the same ones twice.
    """
    for seed in range(4):
        made = _compiled(
            backend, seed=seed, recurrent=seed % 2 == 0, reset="zero" if seed > 1 else "subtract"
        )
        model = made.stages.discrete
        alone, again = (made.backend.approximations(model) for _ in range(2))
        names = [name for name, _ in alone]
        assert names == [name for name, _ in again] and len(set(names)) == len(names), (
            f"names {names}"
        )
        kinds = {name: name.partition(":")[0] for name in names}
        strange = [name for name, kind in kinds.items() if kind not in KINDS]
        assert not strange, f"{strange} begin with none of {', '.join(KINDS)}"
        inputs = np.random.default_rng(seed).poisson(
            0.2, (16, 100, len(made.bundle.manifest["input_map"]))
        )
        exact, answers = (
            run(model, inputs).output,
            {name: run(program, inputs).output for name, program in alone},
        )
        for (name, answer), (_, program) in zip(answers.items(), again, strict=True):
            assert answer.shape == exact.shape, f"{name}: shape {answer.shape}, not {exact.shape}"
            assert np.isfinite(answer).all(), f"{name}: answers that are not finite"
            assert (answer == run(program, inputs).output).all(), (
                f"{name}: another answer the second time"
            )
        if (run(made.integer, inputs).output != exact).any():
            guilty = [name for name, answer in answers.items() if (answer != exact).any()]
            assert guilty, (
                f"seed {seed}: the chip answers otherwise than the model, and none of {names} does"
            )


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


# --- models, as objects that look like those of the `nir` package ---


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
    """A hidden and an output population with random weights; no neuron has many targets.

    ``neuron``: CubaLIF or IF; networks of IF neurons are never recurrent.
    """
    rng = np.random.default_rng(seed)
    few = np.zeros((outputs, hidden))
    few[rng.integers(0, outputs, hidden), np.arange(hidden)] = 1
    nodes: dict[str, object] = {
        "in": Input({"input": np.array([inputs])}),
        "w": Linear(rng.normal(0.3, 0.3, (hidden, inputs))),
        "hidden": _NEURONS[neuron](hidden),
        "v": Linear(few * rng.uniform(0.1, 0.4, (outputs, hidden))),
        "last": _NEURONS[neuron](outputs),
        "out": Output({"output": np.array([outputs])}),
    }
    edges = [("in", "w"), ("w", "hidden"), ("hidden", "v"), ("v", "last"), ("last", "out")]
    if recurrent and neuron != "IF":
        nodes["rec"] = Linear(np.diag(rng.normal(0, 0.2, hidden)))
        edges += [("hidden", "rec"), ("rec", "hidden")]
    return NIRGraph(nodes, edges)


def _cuba_lif(n: int) -> CubaLIF:
    """Membrane of 8 steps, synapse of 4 steps."""
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


def _codes(backend: Backend, target: str, model: NIRGraph) -> set[str]:
    """Codes of the errors for which ``target`` refuses ``model``; none if it compiles."""
    log = Log()
    try:
        api.compile_model(model, target, Options(reset="subtract"), log=log)
    except CompileError as refusal:
        return {d.code for d in refusal.diagnostics if d.severity == "error"}
    return set()
