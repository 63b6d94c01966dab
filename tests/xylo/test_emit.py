"""Specifications to files and back; nothing is cut off, wrapped, or different the second time."""

from __future__ import annotations

import io
import json
import operator
from dataclasses import replace
from typing import Any

import jsonschema
import numpy as np
import pytest

from nirc.backends.xylo.config import Specification, config_file, read_config
from nirc.backends.xylo.emit import emit
from nirc.backends.xylo.limits import (
    AUDIO2,
    AUDIO3,
    BIAS,
    DASH,
    IMU,
    THRESHOLD,
    VARIANTS,
    WEIGHT_SHIFT,
    WEIGHT_WORD,
)
from nirc.chip.target import Target
from nirc.files.schema import json_schema


def specification(
    *, hidden: int = 5, seed: int = 0, two: bool = True, window: int = 128
) -> Specification:
    """Random values over the whole of every range; weights only where ``window`` lets them be."""
    rng = np.random.default_rng(seed)
    n_in, n_out = 3, 2
    w_in, w_rec = (
        rng.integers(-128, 128, (n_in, hidden, 2)),
        rng.integers(-128, 128, (hidden, hidden, 2)),
    )
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


def tree(spec: Specification, target: Target) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(emitted(spec, target)["config.json"])
    return loaded


@pytest.mark.parametrize("target", VARIANTS, ids=lambda t: t.variant)
@pytest.mark.parametrize("hidden", [5, 140])
def test_what_is_emitted_reads_back_and_obeys_the_schema(target: Target, hidden: int) -> None:
    window = target.max("neurons that inputs reach")
    spec = specification(hidden=hidden, two=target is not IMU, window=window)
    if target is AUDIO2:  # 64 targets at most
        spec.weights_rec[:, 64:] = 0
    made = emitted(spec, target)
    back = read_config(made["config.json"])
    for name, value in vars(spec).items():
        np.testing.assert_array_equal(getattr(back, name), value, err_msg=name)
    schema = json_schema(*(config_file(each) for each in VARIANTS))
    jsonschema.validate(json.loads(made["config.json"]), schema)
    assert made == emitted(spec, target)


def test_a_matrix_has_one_row_a_line() -> None:
    lines = emitted(specification(), AUDIO2)["config.json"].decode().splitlines()
    row = json.dumps(specification().weights_in[1, :, 0].tolist(), separators=(",", ":"))
    assert f"   {row}," in lines and lines == [line.rstrip() for line in lines]


def test_the_specification_has_the_vendors_names_and_shapes() -> None:
    spec = specification(hidden=140)
    arrays = np.load(io.BytesIO(emitted(spec, AUDIO3)["specification.npz"]))
    assert arrays["weights_in"].shape == (3, 128, 2) and arrays["weights_rec"].shape == (
        140,
        140,
        2,
    )
    np.testing.assert_array_equal(arrays["bias_hidden"], spec.bias_hidden)
    for name in ("weight_shift_in", "weight_shift_rec", "weight_shift_out"):
        assert operator.index(arrays[name]) == getattr(
            spec, name
        )  # the vendor's field takes no array of one
    for name in ("weights_rec", "weights_out", "dash_syn_2", "threshold_out", "aliases"):
        np.testing.assert_array_equal(arrays[name], getattr(spec, name))
    assert {arrays[name].dtype.kind for name in arrays.files} == {"i"}
    single = np.load(io.BytesIO(emitted(specification(two=False), IMU)["specification.npz"]))
    assert single["weights_in"].shape == (3, 5) and "dash_syn_2" not in single.files


FIELDS = {  # of the specification: its range, and where it stands in config.json
    "weights_in": (WEIGHT_WORD, "input.*weights"),
    "weights_rec": (WEIGHT_WORD, "reservoir.*weights"),
    "weights_out": (WEIGHT_WORD, "readout.weights"),
    "dash_mem": (DASH, "reservoir.*v_mem_decay"),
    "dash_mem_out": (DASH, "readout.*v_mem_decay"),
    "dash_syn": (DASH, "reservoir.*i_syn_decay"),
    "dash_syn_2": (DASH, "reservoir.*i_syn2_decay"),
    "dash_syn_out": (DASH, "readout.*i_syn_decay"),
    "threshold": (THRESHOLD, "reservoir.*threshold"),
    "threshold_out": (THRESHOLD, "readout.*threshold"),
    "bias_hidden": (BIAS, "reservoir.*v_mem_bias"),
    "bias_out": (BIAS, "readout.*v_mem_bias"),
    "weight_shift_in": (WEIGHT_SHIFT, "input.weight_bit_shift"),
    "weight_shift_rec": (WEIGHT_SHIFT, "reservoir.weight_bit_shift"),
    "weight_shift_out": (WEIGHT_SHIFT, "readout.weight_bit_shift"),
    "aliases": ((-1, 4), "reservoir.*alias_target"),
}


def with_field(field: str, value: object) -> Specification:
    """A good specification but for the last value of one field."""
    spec = specification()
    changed: dict[str, Any] = {field: value}
    if not isinstance(getattr(spec, field), int):
        changed[field] = np.array(getattr(spec, field), dtype=np.asarray(value).dtype)
        changed[field].flat[-1] = value
    return replace(spec, **changed)


def test_every_field_has_a_range() -> None:
    assert set(FIELDS) == set(vars(specification()))


@pytest.mark.parametrize("field", FIELDS)
def test_a_value_out_of_range_never_reaches_a_file(field: str) -> None:
    (low, high), place = FIELDS[field]
    for value in (low - 1, high + 1, -(1 << 16), 1 << 16):  # the last two would wrap to 0
        with pytest.raises(AssertionError, match=f"{place}.*: found {value}, allowed "):
            emitted(with_field(field, value), AUDIO2)


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("value", [1.5, float("nan"), True])
def test_what_is_no_integer_never_reaches_a_file(field: str, value: object) -> None:
    with pytest.raises(AssertionError, match=f"{FIELDS[field][1]}.*: a value is not an integer"):
        emitted(with_field(field, value), AUDIO2)


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


def test_what_the_vendor_leaves_to_the_user_is_switched_on() -> None:
    assert all(tree(specification(), AUDIO2)["debug"].values())
    plain = specification(two=False)
    plain.bias_hidden[:], plain.bias_out[:] = 0, 0
    off = {flag for flag, on in tree(plain, AUDIO2)["debug"].items() if not on}
    assert off == {"isyn2_clock_enable", "bias_clock_enable"}
    imu = tree(plain, IMU)
    assert all(imu["debug"].values()) and imu["debug"]["always_update_omp_stat"] is True
    assert imu["imu_if_input_enable"] is False and "synapse2_enable" not in imu
    assert tree(plain, AUDIO3)["input_source"] == "SpikeEvents"


@pytest.mark.parametrize(("dt_s", "wrap"), [(1e-3, 50_000), (1e-4, 5_000), (None, None)])
def test_a_step_of_the_clock_is_told_where_the_chip_has_a_field_for_it(
    dt_s: float | None, wrap: int | None
) -> None:
    config = json.loads(
        emit(specification(), AUDIO3, dt_s=dt_s, clock_hz=50_000_000)["config.json"]
    )
    assert config.get("time_resolution_wrap") == wrap
    assert "time_resolution_wrap" not in tree(specification(), AUDIO2)
