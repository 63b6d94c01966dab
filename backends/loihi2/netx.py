"""network.net, the HDF5 file that lava-dl's netx reads, for networks that are a chain.

netx decides much by itself. It chooses the sign mode, the number of bits and the exponent of
weights, and has one exponent for biases. This module makes the same choices first. A network whose
numbers they would change gets no file, but the reason. The quirks of netx (lava-dl 0.6.0,
``netx/hdf5.py``, ``netx/utils.py``, ``netx/blocks/process.py``):

- Weights are integers. netx shifts small ones left, and an exponent shifts them back: values stay.
  netx does not pass on its sign mode. Lava then chooses one for each matrix. Weights above 254
  beside negative ones are clipped. A matrix without any weight ends in a division by zero.
- A recurrent layer's matrices share their bits and exponent. With delays its exponent is dropped
  and both matrices get the same delays, so these are not written.
- Convolutions have no exponent, no delays, and the order of axes (x, y, channels). A dense layer
  behind one counts (channels, y, x), for which there is ``flatten``. There is no pooling, and no
  convolution behind a dense layer.
- ``bias`` is a mantissa with exponent 6. Delays are clipped to 62.
- Neurons start at 0. Where biases would act before the first input arrives, tables start lower
  (v_init), so that a layer is at rest when its first row begins. The reset of netx has the same
  effect. It sets u and v to 0, in each layer a step later, with ``reset_offset=1`` in just that
  row. The file's attribute ``load`` contains it.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirc.backends.loihi2 import rule
from nirc.backends.loihi2.limits import BIAS_MANT, WEIGHT
from nirc.backends.loihi2.neuron import run_without_input
from nirc.backends.loihi2.rule import SignMode
from nirc.backends.loihi2.tables import Geometry, Population, Projection, Tables
from nirc.ir.program import Program

FILE = "network.net"
BIAS_EXP = 6
MAX_DELAY = 62
MAX_MATRIX = 1 << 24  # entries, since netx has no sparse layers in the file
MIXED = (-256, 254)
NEURON = "CUBA"


@dataclass(frozen=True)
class Layer:
    """A population with what reaches it: from the layer before and, perhaps, from itself."""

    population: Population
    forward: Projection
    recurrent: Projection | None


class _NotAChainError(Exception):
    """The tables are no chain. The text of the exception is the reason."""


def network_net(tables: Tables) -> bytes | None:
    """Return the bytes of ``network.net``, or None if netx cannot hold the tables exactly.

    They are the same for the same tables. The ``inp`` of netx takes the raster's channels. Its
    ``out`` are all neurons of the last population, in order.
    """
    try:
        return _hdf5(_contents(tables), _load(tables))
    except _NotAChainError:
        return None


def why_no_net(tables: Tables) -> str:
    """Return the reason why ``network_net`` returns None, or an empty text."""
    try:
        _contents(tables)
    except _NotAChainError as reason:
        return str(reason)
    return ""


def _contents(tables: Tables) -> list[dict[str, Any]]:
    """Return the fields of the file, layer by layer."""
    layers = _chain(tables)
    sizes = tables.sizes()
    _starts(layers)
    contents = [_input(tables, layers[0])]
    shape: tuple[int, ...] = (tables.channels,) if layers[0].forward.geometry is None else ()
    for layer in layers:
        geometry = layer.forward.geometry
        if geometry is None and len(shape) == 3:
            contents.append({"type": "flatten"})
        contents.append(
            _dense(layer, sizes) if geometry is None else _convolution(layer, geometry, shape)
        )
        shape = (layer.population.n,) if geometry is None else geometry.shape_out
    return contents


def is_line(program: Program) -> bool:
    """Return True if each node has at most one other node before it and one behind it."""
    ends = [(source, target) for source, target, _ in program.edges() if source != target]
    return all(len({end[side] for end in ends}) == len(ends) for side in (0, 1))


def netx_holds(program: Program) -> bool:
    """Return True if an integer program gets a file."""
    from nirc.backends.loihi2.lower import lower  # which imports the pass that asks

    return not why_no_net(lower(program).tables)


def _require(condition: bool, reason: str) -> None:
    if not condition:
        raise _NotAChainError(reason)


# The chain.


def _chain(tables: Tables) -> list[Layer]:
    """Return the populations in order."""
    _require(len(tables.inputs) == 1, "the network has several inputs")
    source = tables.inputs[0]
    plain = source.n == tables.channels and bool((source.channels == np.arange(source.n)).all())
    _require(plain, "the input's lines are not the channels of the raster in order")
    layers: list[Layer] = []
    at = source.name
    populations = {population.name: population for population in tables.populations}
    left: dict[str, list[Projection]] = {}
    for projection in tables.projections:
        left.setdefault(projection.source, []).append(projection)
    for _ in tables.populations:
        leaving = left.pop(at, [])
        forward = [p for p in leaving if p.target != at]
        _require(
            len(forward) == 1, f"{len(forward)} projections lead on from `{at}`, a chain has one"
        )
        at = forward[0].target
        loops = [p for p in left.get(at, ()) if p.target == at]
        _require(len(loops) < 2, f"`{at}` has several recurrent projections")
        layers.append(Layer(populations[at], forward[0], loops[0] if loops else None))
        if len(layers) == len(tables.populations):
            break
    behind = [p for p in left.get(at, ()) if p.target != at]
    _require(not behind and left.keys() <= {at}, "projections jump over a population or lead back")
    _require(
        {output.population for output in tables.outputs} == {at},
        "outputs are not those of the last population",
    )
    return layers


# A layer by the names of the file.


def _input(tables: Tables, first: Layer) -> dict[str, Any]:
    geometry = first.forward.geometry
    shape = (tables.channels,) if geometry is None else geometry.shape_in
    return {"type": "input", "shape": np.array(shape, np.int32)}


def _dense(layer: Layer, sizes: dict[str, int]) -> dict[str, Any]:
    population, forward, loop = layer.population, layer.forward, layer.recurrent
    weights = [_values(p, sizes) for p in (forward, loop) if p is not None]
    _unchanged(weights, population.name)
    fields: dict[str, Any] = {
        "type": "dense" if loop is None else "dense_rec",
        "shape": np.array([population.n], np.int32),
        "weight": weights[0],
    }
    if loop is not None:
        fields["weight_rec"] = weights[1]
        delayed = [p.name for p in (forward, loop) if p.delays is not None and p.delays.any()]
        _require(
            not delayed,
            f"netx gets delays of a recurrent layer wrong, `{population.name}` has some",
        )
    elif forward.delays is not None and forward.delays.any():
        delays = _matrix(forward, forward.delays, sizes)
        _require(
            int(delays.max()) <= MAX_DELAY,
            f"netx clips delays to {MAX_DELAY}, `{forward.name}` has 63",
        )
        fields["delay"] = delays.astype(np.int32)
    return fields | _neurons(population, (population.n,))


def _convolution(layer: Layer, geometry: Geometry, shape: tuple[int, ...]) -> dict[str, Any]:
    population, forward = layer.population, layer.forward
    _require(
        layer.recurrent is None, f"netx has no recurrent convolution, `{population.name}` is one"
    )
    if shape:
        _require(
            shape == geometry.shape_in,
            f"`{forward.name}` sees another map than the layer before it gives",
        )
    fields = {
        "type": "conv",
        "shape": np.array(geometry.shape_out, np.int32),
        "weight": forward.weights.astype(np.int32),
        "stride": np.array(geometry.stride, np.int32),
        "padding": np.array(geometry.padding, np.int32),
        "dilation": np.array(geometry.dilation, np.int32),
        "groups": np.int32(geometry.groups),
    }
    return fields | _neurons(population, geometry.shape_out)


def _neurons(population: Population, shape: tuple[int, ...]) -> dict[str, Any]:
    """Return the group ``neuron`` and the bias. ``shape``: (n,) or (channels, y, x)."""
    bias = rule.effective_bias(population.bias_mant, population.bias_exp)
    mantissa = bias >> BIAS_EXP
    exact = bool(((mantissa << BIAS_EXP) == bias).all())
    fits = BIAS_MANT[0] <= int(mantissa.min()) and int(mantissa.max()) <= BIAS_MANT[1]
    _require(
        exact and fits,
        f"a bias of `{population.name}` is no multiple of {1 << BIAS_EXP} with 13 bits",
    )
    fields: dict[str, Any] = {
        "neuron/type": NEURON,
        "neuron/iDecay": np.int32(population.du + 1),
        "neuron/vDecay": np.int32(population.dv),
        "neuron/vThMant": np.int32(population.vth),
    }
    if bias.any():
        # netx takes a bias for each neuron of a map in the order of its process: x, y, channels.
        by_axis = mantissa if len(shape) == 1 else mantissa.reshape(shape).transpose(2, 1, 0)
        fields["bias"] = by_axis.astype(np.int32)
    return fields


def _starts(layers: list[Layer]) -> None:
    """Require that neurons start at 0, or rest at 0 until the first row of their layer."""
    if not _reset(layer.population for layer in layers):
        return
    for row, layer in enumerate(layers, start=1):
        p = layer.population
        bias = rule.effective_bias(p.bias_mant, p.bias_exp)
        _, fires_from_zero = run_without_input(0 * p.v_init, bias, p.dv, p.vth, row)
        v, fires = run_without_input(p.v_init, bias, p.dv, p.vth, row)
        rests = not (fires_from_zero or fires or v.any())
        _require(rests, f"neurons of `{p.name}` do not start at 0, which netx cannot hold")


def _reset(populations: Iterable[Population]) -> bool:
    """Return True if netx has to reset, since a neuron does not start at 0."""
    return any(population.v_init.any() for population in populations)


def _load(tables: Tables) -> str:
    """Return the code by which a user loads the file."""
    more = ", reset_interval=STEPS, reset_offset=1" if _reset(tables.populations) else ""
    return f'lava.lib.dl.netx.hdf5.Network(net_config="{FILE}"{more})'


# Weights in netx.


def _matrix(p: Projection, values: NDArray[Any], sizes: dict[str, int]) -> NDArray[np.int32]:
    """Return ``values`` as a matrix (targets, sources)."""
    shape = (sizes[p.target], sizes[p.source])
    _require(shape[0] * shape[1] <= MAX_MATRIX, f"`{p.name}` as a matrix would be too large")
    if p.places is None:
        return values.astype(np.int32, copy=False)
    matrix = np.zeros(shape, np.int32)
    matrix[p.places] = values
    return matrix


def _values(p: Projection, sizes: dict[str, int]) -> NDArray[np.int32]:
    """Return the integers that a spike adds: stored weights times 2^exponent."""
    stored = rule.effective_weights(p.weights, p.sign_mode, p.num_weight_bits)
    exact = p.weight_exp >= 0 or not (_bits_of(stored) & ((1 << -p.weight_exp) - 1))
    _require(
        exact, f"sums of `{p.name}` are rounded by its negative exponent, which netx cannot hold"
    )
    return _matrix(p, rule.scaled(stored, p.weight_exp), sizes)


def _unchanged(weights: list[NDArray[np.int32]], name: str) -> None:
    """Require that netx, which reads a layer's matrices together, keeps their values."""
    low = min(int(matrix.min()) for matrix in weights)
    high = max(int(matrix.max()) for matrix in weights)
    _require(low != 0 or high != 0, f"netx cannot read a layer without weights, `{name}` has none")
    least, most = MIXED if low < 0 < high else WEIGHT
    _require(
        least <= low and high <= most,
        f"weights of `{name}` do not fit into 8 bits without an exponent, which netx cannot hold",
    )
    used = 0
    for matrix in weights:
        used |= _bits_of(matrix)
    shift, bits = _bits(low, high, used)
    _require(bits <= 8, f"weights of `{name}` need a ninth bit in netx")
    for matrix in weights:
        mode: SignMode = "mixed"
        if matrix.min() >= 0:
            mode = "excitatory"
        elif matrix.max() <= 0:
            mode = "inhibitory"
        kept = rule.effective_weights(matrix << shift, mode, bits)
        _require(bool((kept == matrix << shift).all()), f"netx would change weights of `{name}`")


def _bits_of(weights: NDArray[np.int32]) -> int:
    """Return the bits that any of the weights has."""
    return int(np.bitwise_or.reduce(weights, axis=None))


def _bits(low: int, high: int, used: int) -> tuple[int, int]:
    """Return how far netx shifts weights to the left, and the bits that it gives them.

    ``low``, ``high``: the smallest and the largest weight. ``used``: see ``_bits_of``.
    """
    if high < 0:
        scale, signed = -256 / low, 0
    elif low >= 0:
        scale, signed = 255 / high, 0
    else:
        scale, signed = min(127 / high if high else np.inf, -128 / low), 1
    shift = int(np.floor(np.log2(scale))) + signed
    zeros = next((n for n in range(8, 0, -1) if used % (1 << n) == 0), 0)
    return shift, 8 - shift - (zeros - signed)


# The file.


def _hdf5(layers: list[dict[str, Any]], load: str) -> bytes:
    """Return HDF5 without any time in it."""
    import h5py

    from nirc.files.hdf5.write import write_datasets

    packed = io.BytesIO()
    arrays: dict[str, Any] = {}
    with h5py.File(packed, "w", libver=("earliest", "v108"), track_order=False) as file:
        file.attrs["load"] = load
        for i, fields in enumerate(layers):
            for name, value in fields.items():
                text = isinstance(value, str)
                array = np.array([value.encode()], "S10") if text else np.asarray(value)
                arrays[f"layer/{i}/{name}"] = array
        write_datasets(file, arrays)
    return packed.getvalue()
