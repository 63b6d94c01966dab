"""The quantised network of a bundle as NIR: ``network.nir``.

Weights, thresholds and decays are the chip's, in the chip's units. A checker compares them with the
chip's files, so every number is exact, and every dataset is one run of bytes at a known place.
``docs/reference/certificate.md`` describes the file.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from nirc.diagnostics.log import Log
from nirc.ir.arrays import Float, Shape, size
from nirc.ir.linear import Dense, Diagonal, Sparse
from nirc.ir.populations import Discrete, Population, Projection, Sink, Source
from nirc.ir.program import Program
from nirc.nirfile.graph import VERSION, free_name, hdf5_names, port, shaped, stepped
from nirc.nirfile.operators import EVERY, MOST_ENTRIES, Later, Layer, Route, laid_out
from nirc.writers.importer import ENDLESS, Fields

NETWORK = "network.nir"
CARRIERS = ("conv", "scale", "matrix")  # nodes that hold the weights of a projection
# Entries of a matrix. A sparse projection above it is kept as lists: NIR has no sparse matrix.
MOST_DENSE = 1 << 22
LIST_BYTES = 12  # of a synapse in a list, about

Array = NDArray[Any]


@dataclass(frozen=True)
class Dataset:
    """One array in the file: its path, the place of its first byte, its type and shape."""

    path: str
    offset: int
    dtype: str
    shape: Shape

    def as_json(self) -> list[object]:
        """Return the row of certificate.json."""
        return [self.path, self.offset, self.dtype, list(self.shape)]


def network_nir(
    program: Program, scales: Mapping[str, Sequence[float]], log: Log
) -> tuple[bytes, list[Dataset]]:
    """Return the NIR file of an integer ``program``, and the places of its arrays.

    ``scales``: chip units per volt of each population. Raises ``CompileError`` (P307) for a matrix
    that no NIR file can hold.
    """
    return to_hdf5(arrays_of(program, scales, log))


def arrays_of(
    program: Program, scales: Mapping[str, Sequence[float]], log: Log
) -> dict[str, Array]:
    """Return the datasets of the file by path."""
    names = hdf5_names(program)
    routes, lists = _routes(program, names, log)
    shapes = laid_out(
        {name: program[name].shape for name in program.graph}, [r.route for r in routes], EVERY
    )
    nodes: dict[str, Fields] = {}
    for name, payload in program.graph.nodes(data="payload"):
        nodes[names[name]] = _node(payload, shapes[name], program.dt_s, scales.get(name))
    edges: list[tuple[str, str]] = []
    for each in routes:
        _add_route(each, nodes, edges, names, shapes, log)
    log.raise_if_errors()
    metadata: Fields = {"nirc_units": "chip", **lists}
    if program.dt_s is not None:
        metadata["dt"] = program.dt_s
    return {
        "version": text(VERSION),
        "node/type": text("NIRGraph"),
        "node/edges": np.array([[a.encode(), b.encode()] for a, b in sorted(edges)]).reshape(-1, 2),
        **{f"node/metadata/{key}": exact(value) for key, value in metadata.items()},
        **_flat(nodes),
    }


def _flat(nodes: Mapping[str, Fields]) -> dict[str, Array]:
    """Return the fields of all nodes by path."""
    arrays: dict[str, Array] = {}
    for name, fields in nodes.items():
        notes = fields.get("metadata", {})
        arrays |= {f"node/nodes/{name}/metadata/{key}": exact(v) for key, v in notes.items()}
        plain = {key: value for key, value in fields.items() if key != "metadata"}
        arrays |= {f"node/nodes/{name}/{key}": exact(value) for key, value in plain.items()}
    return arrays


def text(value: str) -> Array:
    """Return a text of fixed length, which stands in the file itself."""
    return np.array(value.encode() or b"\0", dtype=f"S{max(len(value.encode()), 1)}")


def exact(value: Any) -> Array:
    """Return a value as it is written: integers in the narrowest type, other numbers in float64."""
    if isinstance(value, str):
        return text(value)
    array = np.asarray(value)
    if array.dtype.kind == "S":
        return array
    if not array.size:
        return array.astype(np.int8)
    low, high = float(array.min()), float(array.max())
    for kind in (np.int8, np.int16, np.int32):
        limits = np.iinfo(kind)
        if limits.min <= low and high <= limits.max:
            narrow = array.astype(kind)
            if array.dtype.kind in "bui" or bool((narrow == array).all()):
                return np.ascontiguousarray(narrow).reshape(array.shape)
            break
    return np.ascontiguousarray(array, dtype="<f8").reshape(array.shape)


# Neurons.


def _node(payload: Any, shape: Shape, dt_s: float | None, scale: Sequence[float] | None) -> Fields:
    if not isinstance(payload, Population):
        return port("Input" if isinstance(payload, Source) else "Output", shape)
    d = stepped(payload.dynamics)
    assert isinstance(d, Discrete), type(d).__name__
    notes: Fields = {"rule": d.rule.text, **_beyond_nir(d, dt_s)}
    if scale is not None:
        notes["scale"] = np.asarray(scale)
    if hasattr(payload.dynamics, "beyond_nir"):
        notes |= payload.dynamics.beyond_nir()
    notes = {key: _compact(value) for key, value in notes.items()}
    fields = {name: _spread(value, payload.n) for name, value in neuron_fields(d, dt_s).items()}
    return {**shaped(fields, shape), "metadata": notes}


def _compact(value: Any) -> Any:
    """Return an array of equal values as one of length 1."""
    if isinstance(value, str):
        return value
    array = np.asarray(value)
    return array[:1] if array.size and bool((array == array[0]).all()) else array


def _spread(value: Any, n: int) -> Any:
    return np.broadcast_to(value, n) if isinstance(value, np.ndarray) else value


def neuron_fields(d: Discrete, dt_s: float | None) -> Fields:
    """Return the NIR fields of one step's coefficients, each (n,).

    ``tau = dt / (1 - decay)``, and ``r`` and ``w_in`` are gains over ``1 - decay``: the Euler step
    of NIR then has these coefficients.
    """
    dt = 1.0 if dt_s is None else dt_s
    fires = d.threshold is not None
    if _integrates(d):
        fields: Fields = {"type": "IF" if fires else "I", "r": d.gain_mem / dt}
    else:
        lost = lost_by(d.decay_mem)
        kind = ("" if d.decay_syn is None else "Cuba") + ("LIF" if fires else "LI")
        fields = {"type": kind, "tau" if d.decay_syn is None else "tau_mem": dt / lost}
        fields["r"] = d.gain_mem / lost
        fields["v_leak"] = np.where(d.decay_mem < 1, d.drift / lost, 0.0)
    if d.decay_syn is not None:
        gain = np.ones(d.gain_mem.size) if d.gain_syn is None else d.gain_syn
        lost = lost_by(d.decay_syn)
        fields |= {"tau_syn": dt / lost, "w_in": gain / lost}
    if d.threshold is not None:
        reset = np.zeros(d.gain_mem.size) if d.resets_to is None else d.resets_to
        fields |= {"v_threshold": d.threshold, "v_reset": reset}
    return fields


def _integrates(d: Discrete) -> bool:
    return d.decay_syn is None and not (1 - d.decay_mem).any()


def lost_by(decay: Float) -> Float:
    """Return the part (n,) of a state that is lost in a step, above 0 for an integrator too."""
    return np.maximum(1 - decay, 1 / ENDLESS)


def _beyond_nir(d: Discrete, dt_s: float | None) -> Fields:
    """Return what NIR's neurons have no field for."""
    dt = 1.0 if dt_s is None else dt_s
    notes: Fields = {}
    if bool((d.decay_mem >= 1).any()):
        notes["drift"] = d.drift
    if d.decay_syn_2 is not None and d.gain_syn_2 is not None:
        lost = lost_by(d.decay_syn_2)
        notes |= {"tau_syn_2": dt / lost, "w_in_2": d.gain_syn_2 / lost}
    bounds = {"v_least": d.v_least, "v_start": d.v_start}
    return notes | {name: value for name, value in bounds.items() if value is not None}


# Projections.


@dataclass(frozen=True)
class _Placed:
    """A projection between nodes of the file."""

    route: Route
    notes: Fields  # of the node with the weights


def _routes(
    program: Program, names: Mapping[str, str], log: Log
) -> tuple[list[_Placed], dict[str, Any]]:
    """Return the projections that are nodes, and the lists of those that are not."""
    routes: list[_Placed] = []
    listed = _Listed(program, names)
    for source, target, projection in program.edges():
        assert not projection.biases, "an integer program has its constants in neurons"
        ops = projection.ops
        (op,) = ops[:1] or (None,)
        if listed.takes(op):
            listed.add(source, target, op, projection)
            continue
        payload = program[target]
        delay = payload.delay_steps if isinstance(payload, Sink) else projection.delay_steps
        notes = {"receptor": projection.synapse, "feedback": int(projection.feedback)}
        if not ops and isinstance(payload, Population):
            ops = (Diagonal(np.ones(payload.n)),)
        steps = (*ops, Later(delay * (program.dt_s or 1.0))) if delay else ops
        routes.append(_Placed(Route(source, target, steps), notes))
    return routes, listed.columns()


class _Listed:
    """The matrices that are no nodes of the file, as one list of synapses.

    Neurons are numbered through all inputs, in program order, and then through all populations, in
    the order of their paths in the file.
    """

    def __init__(self, program: Program, names: Mapping[str, str]) -> None:
        self.takes_all = program.has_many_edges()
        self.parts: list[tuple[Array, Array, Array]] = []  # targets, sources, weights
        self.timing: list[tuple[int, int]] = []  # receptor and steps, by part
        self.coo: dict[int, tuple[Array, Array, Array]] = {}  # by the operator's id
        self.first: dict[str, int] = {}  # number of the first neuron
        count = 0
        populations = sorted(program.nodes(Population), key=lambda name: f"{names[name]}/")
        for name in (*program.nodes(Source), *populations):
            self.first[name] = count
            count += program[name].n

    def takes(self, op: object) -> TypeGuard[Sparse | Dense]:
        """Return True for an operator whose synapses belong to the list."""
        return isinstance(op, Sparse | Dense) and (self.takes_all or _stays_a_list(op))

    def add(self, source: str, target: str, op: Sparse | Dense, projection: Projection) -> None:
        """Add the synapses of a projection."""
        if id(op) not in self.coo:
            self.coo[id(op)] = op.coo()
        to, frm, weight = self.coo[id(op)]
        self.parts.append((to + self.first[target], frm + self.first[source], weight))
        self.timing.append((projection.synapse, projection.lag))

    def columns(self) -> dict[str, Any]:
        """Return the columns of the list, none if nothing was added."""
        if not self.parts:
            return {}
        columns = map(np.concatenate, zip(*self.parts, strict=True))
        sizes = [weight.size for _, _, weight in self.parts]
        timing = (np.repeat(column, sizes) for column in zip(*self.timing, strict=True))
        keys = ("target", "source", "weight", "receptor", "lag")
        return {f"synapses_{k}": v for k, v in zip(keys, (*columns, *timing), strict=True)}


def _stays_a_list(op: Sparse | Dense) -> bool:
    """Return True for a large matrix that is sparse, or that no NIR file can hold."""
    full = op.n_in * op.n_out
    return full > MOST_ENTRIES or (full > MOST_DENSE and op.entries * LIST_BYTES < full)


def _add_route(
    placed: _Placed,
    nodes: dict[str, Fields],
    edges: list[tuple[str, str]],
    names: Mapping[str, str],
    shapes: Mapping[str, Shape],
    log: Log,
) -> None:
    route = placed.route
    source, target = names[route.source], names[route.target]
    before, notes = source, placed.notes
    for layer in route.layers(shapes[route.source], shapes[route.target], EVERY):
        fields = _fields(layer, f"{route.source} -> {route.target}", log)
        if layer.kind in CARRIERS and notes:
            fields["metadata"], notes = notes, {}
        name = free_name(f"{source}__{target}__{fields['type'].lower()}", nodes)
        nodes[name] = fields
        edges.append((before, name))
        before = name
    edges.append((before, target))


def _fields(layer: Layer, where: str, log: Log) -> Fields:
    fields = dict(layer.fields(EVERY, where, log))
    if fields["type"] == "Delay":
        fields["delay"] = np.ascontiguousarray(fields["delay"])
    return fields


# Bytes.


def to_hdf5(arrays: Mapping[str, Array]) -> tuple[bytes, list[Dataset]]:
    """Return HDF5 of contiguous, uncompressed datasets, and the places of their bytes."""
    import h5py

    from nirc.files.hdf5.write import write_datasets

    buffer = io.BytesIO()
    with h5py.File(buffer, "w", track_order=False) as file:
        offsets = write_datasets(file, dict(sorted(arrays.items())))
    places = [
        Dataset(path, offset, arrays[path].dtype.str, arrays[path].shape)
        for path, offset in offsets.items()
    ]
    data = buffer.getvalue()
    for place in places:
        found = np.frombuffer(data, place.dtype, size(place.shape), place.offset)
        assert np.array_equal(found.reshape(place.shape), arrays[place.path]), place.path
    return data, places


def places_in(file: Any) -> Iterator[Dataset]:
    """Yield the places of all datasets of an open file, by path."""
    import h5py

    paths: list[str] = []
    file.visit(paths.append)
    for path in sorted(paths):
        # The low level takes a third of the time. There may be tens of thousands.
        item = h5py.h5o.open(file.id, path.encode())
        if isinstance(item, h5py.h5d.DatasetID):
            yield Dataset(path, item.get_offset() or 0, item.dtype.str, item.shape)
