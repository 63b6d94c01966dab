"""Specifications to files and back; nothing is cut off, wrapped, or different the second time."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from importlib.resources import files
from typing import Any

import jsonschema
import numpy as np
import pytest

from nirc.backends.xylo.config import read_config
from nirc.backends.xylo.emit import emit
from nirc.backends.xylo.limits import AUDIO2, AUDIO3, IMU, VARIANTS
from nirc.backends.xylo.specification import Specification
from nirc.target import Target


def specification(*, hidden: int = 5, seed: int = 0, two: bool = True, window: int = 128) -> Specification:
    """Random values over the whole of every range; weights only where ``window`` lets them be."""
    rng = np.random.default_rng(seed)
    n_in, n_out = 3, 2
    w_in, w_rec = rng.integers(-128, 128, (n_in, hidden, 2)), rng.integers(-128, 128, (hidden, hidden, 2))
    w_out = rng.integers(-128, 128, (hidden, n_out))
    w_in[:, window:], w_out[: max(0, hidden - window)] = 0, 0
    if not two:
        w_in[..., 1] = w_rec[..., 1] = 0
    aliases = np.full(hidden, -1)
    aliases[1] = 0
    return Specification(
        weights_in=w_in,
        weights_rec=w_rec,
        weights_out=w_out,
        dash_mem=rng.integers(0, 16, hidden),
        dash_mem_out=rng.integers(0, 16, n_out),
        dash_syn=rng.integers(0, 16, hidden),
        dash_syn_2=rng.integers(0, 16, hidden) if two else np.zeros(hidden, np.int64),
        dash_syn_out=rng.integers(0, 16, n_out),
        threshold=rng.integers(1, 32768, hidden),
        threshold_out=rng.integers(1, 32768, n_out),
        bias_hidden=rng.integers(-128, 128, hidden),
        bias_out=rng.integers(-128, 128, n_out),
        weight_shift_in=7,
        weight_shift_rec=0,
        weight_shift_out=3,
        aliases=aliases,
    )


def emitted(spec: Specification, target: Target) -> dict[str, bytes]:
    return emit(spec, target, dt_s=1e-3, clock_hz=50_000_000)


@pytest.mark.parametrize("target", VARIANTS, ids=lambda t: t.variant)
@pytest.mark.parametrize("hidden", [5, 140])
def test_what_is_emitted_reads_back_and_obeys_the_schema(target: Target, hidden: int) -> None:
    window = 1000 if target is AUDIO2 else 128
    spec = specification(hidden=hidden, two=target is not IMU, window=window)
    if target is AUDIO2:  # 64 targets at most, which the reader does not count but the chip does
        spec.weights_rec[:, 64:] = 0
    made = emitted(spec, target)
    back = read_config(made["config.json"])
    for name, value in vars(spec).items():
        np.testing.assert_array_equal(getattr(back, name), value, err_msg=name)
    schema = json.loads((files("nirc.backends.xylo") / "config.schema.json").read_text())
    jsonschema.validate(json.loads(made["config.json"]), schema)
    assert made == emitted(spec, target)


def test_the_specification_has_the_vendors_names_and_shapes() -> None:
    spec = specification(hidden=140)
    arrays = np.load(io.BytesIO(emitted(spec, AUDIO3)["specification.npz"]))
    assert arrays["weights_in"].shape == (3, 128, 2) and arrays["weights_rec"].shape == (140, 140, 2)
    np.testing.assert_array_equal(arrays["bias_hidden"], spec.bias_hidden)
    single = np.load(io.BytesIO(emitted(specification(two=False), IMU)["specification.npz"]))
    assert single["weights_in"].shape == (3, 5) and "dash_syn_2" not in single.files


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("weights_in", 128),
        ("weights_rec", -129),
        ("weights_out", 1000),
        ("threshold", 0),
        ("threshold_out", 32768),
        ("dash_mem", 16),
        ("dash_syn_out", -1),
        ("bias_hidden", 128),
        ("aliases", 5),
    ],
)
def test_a_value_out_of_range_never_reaches_a_file(field: str, value: int) -> None:
    spec = specification()
    getattr(spec, field).flat[0] = value
    with pytest.raises(AssertionError, match=field):
        emitted(spec, AUDIO2)


def test_a_shift_out_of_range_never_reaches_a_file() -> None:
    with pytest.raises(AssertionError, match="weight_shift_rec"):
        emitted(replace(specification(), weight_shift_rec=8), AUDIO2)


@pytest.mark.parametrize("place", ["first", "last"])
def test_weights_outside_the_windows_are_never_cut_off(place: str) -> None:
    spec = specification(hidden=140)
    if place == "first":
        spec.weights_in[0, 139, 0] = 1
    else:
        spec.weights_out[0, 0] = 1
    with pytest.raises(AssertionError, match="outside"):
        emitted(spec, AUDIO3)


def test_a_second_synapse_is_not_emitted_for_imu_nor_an_alias_to_itself() -> None:
    with pytest.raises(AssertionError, match="second synapse"):
        emitted(specification(), IMU)
    spec = specification()
    spec.aliases[2] = 2
    with pytest.raises(AssertionError, match="own alias"):
        emitted(spec, AUDIO2)


def test_clocks_of_what_is_used_are_on() -> None:
    debug: dict[str, Any] = json.loads(emitted(specification(), AUDIO2)["config.json"])["debug"]
    assert all(debug.values())
