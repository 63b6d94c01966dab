"""A strict stand-in for py-spinnaker2: takes what its public scripts show, refuses all else, and
runs the network.

What it accepts is what the targets sheet (sections 1.4, 3.3, 4, 5) and public user scripts
document, no more: a call that it refuses need not fail with the real package, but nobody has seen
it work. Neurons are computed one by one, in scalars of float32, by the rules of the sheet, apart
from nirc's own emulator. It needs numpy and nothing of nirc, so that deploy.py can import it in a
process of its own: ``install`` writes a package ``spinnaker2`` that leads here.

``SPINNAKER2_MOCK`` in the environment, JSON: ``log``, a file to which every run is added;
``fault``, what goes wrong.
"""

from __future__ import annotations

import json
import math
import os
import signal
from collections import defaultdict
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np

WEIGHTS = {"lif": 15, "lif_curr_exp": 15, "lif_no_delay": 127, "lif_curr_exp_no_delay": 127}
DELAYS = {"lif": 7, "lif_curr_exp": 7, "lif_no_delay": 0, "lif_curr_exp_no_delay": 0}
LIF = {"threshold", "alpha_decay", "i_offset", "v_init", "v_reset", "reset"}
CURR_EXP = LIF | {"exc_decay", "inh_decay", "t_refrac"}
PARAMETERS = {
    "lif": LIF,
    "lif_no_delay": LIF,
    "lif_conv2d": LIF,
    "lif_curr_exp": CURR_EXP,
    "lif_curr_exp_no_delay": CURR_EXP,
}
REQUIRED = {"threshold", "alpha_decay"}
RESETS = ("reset_to_v_reset", "reset_by_subtraction")
RECORDABLE = ("spikes", "v")
MAX_ATOMS = 250
MAX_PIXELS = 256  # of a lif_conv2d
GEOMETRY = {"in_height", "in_width", "stride_x", "stride_y", "pool_x", "pool_y"} | {
    f"pad_{side}" for side in ("top", "bottom", "left", "right")
}

MODULES = {
    "__init__": "",
    "snn": "from spinnaker2_mock import Conv2DProjection, Network, Population, Projection",
    "hardware": "from spinnaker2_mock import SpiNNaker2Chip, SpiNNcloud48NodeBoard",
    "brian2_sim": "from spinnaker2_mock import Brian2Backend",
    "experiment_backends/__init__": "from spinnaker2_mock import BackendSettings, "
    "ExperimentBackendType",
    "experiment_backends/backend_settings": "from spinnaker2_mock import ROUTING, BackendSettings",
}


def install(directory: Path, *, without: str = "") -> None:
    """Write the package; ``without`` one of its modules."""
    for name, text in MODULES.items():
        if name != without:
            path = directory / "spinnaker2" / f"{name}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text + "\n")
    (directory / "spinnaker2_mock.py").write_text(Path(__file__).read_text())


def asked(name: str) -> Any:
    return json.loads(os.environ.get("SPINNAKER2_MOCK", "{}")).get(name)


def need(good: bool, *what: object) -> None:
    if not good:
        raise TypeError(" ".join(map(str, what)))


def is_int(value: object, low: int, high: int) -> bool:
    return type(value) is int and low <= value <= high


class Strict:
    """Has the attributes that its class names and no others."""

    allowed: tuple[str, ...] = ()

    def __setattr__(self, name: str, value: object) -> None:
        need(name in self.allowed, type(self).__name__, "has no attribute", name)
        object.__setattr__(self, name, value)


class Population(Strict):
    allowed = ("size", "neuron_model", "params", "name", "record", "atoms", "spikes", "voltages")

    def __init__(
        self, size: int, neuron_model: str, params: dict, name: str, record: list | None = None
    ) -> None:
        need(is_int(size, 1, 1 << 31), "size", size)
        need(
            type(neuron_model) is str and type(name) is str and bool(name),
            "names",
            neuron_model,
            name,
        )
        need(type(params) is dict, "params", type(params))
        record = [] if record is None else record
        need(
            type(record) is list
            and set(record) <= set(RECORDABLE)
            and len(set(record)) == len(record),
            record,
        )
        self.size, self.neuron_model, self.params, self.name, self.record = (
            size,
            neuron_model,
            params,
            name,
            record,
        )
        self.atoms, self.spikes, self.voltages = MAX_ATOMS, None, None
        if neuron_model == "spike_list":
            need(not record, "nobody records a spike_list")
            for neuron, times in params.items():
                need(is_int(neuron, 0, size - 1) and type(times) is list, "times of", neuron)
                need(
                    all(is_int(t, 0, 1 << 31) for t in times) and times == sorted(times),
                    "times",
                    times,
                )
            return
        need(neuron_model in PARAMETERS, "neuron_model", neuron_model)
        need(
            set(params) <= PARAMETERS[neuron_model],
            "unknown parameters",
            set(params) - PARAMETERS[neuron_model],
        )
        need(set(params) >= REQUIRED, "missing parameters", REQUIRED - set(params))
        if "exc_decay" in PARAMETERS[neuron_model]:
            need(
                {"exc_decay", "inh_decay", "t_refrac"} <= set(params),
                "currents need",
                params.keys(),
            )
            need(
                params["t_refrac"] == 0 and type(params["t_refrac"]) is int,
                "t_refrac",
                params["t_refrac"],
            )
        need(params.get("reset") in RESETS, "reset", params.get("reset"))
        for key in set(params) - {"reset", "t_refrac"}:
            values = params[key]
            if type(values) is not float:
                need(
                    type(values) is np.ndarray and values.shape == (size,),
                    key,
                    "has shape",
                    np.shape(values),
                )
            need(bool(np.isfinite(np.float32(values)).all()), key, "is not finite")
            if key.endswith("decay"):
                need(
                    bool(((np.asarray(values) >= 0) & (np.asarray(values) <= 1)).all()),
                    key,
                    "outside 0..1",
                )

    def set_max_atoms_per_core(self, n: int) -> None:
        need(
            is_int(n, 1, MAX_PIXELS if self.neuron_model == "lif_conv2d" else MAX_ATOMS), "atoms", n
        )
        self.atoms = n

    def get_spikes(self) -> dict[int, list[int]]:
        need(
            self.spikes is not None and "spikes" in self.record, self.name, "has no recorded spikes"
        )
        return self.spikes

    def get_voltages(self) -> dict[int, np.ndarray]:
        need(
            self.voltages is not None and "v" in self.record, self.name, "has no recorded voltages"
        )
        return self.voltages

    def parameter(self, name: str, neuron: int) -> np.float32:
        values = self.params.get(name, 0.0)
        return np.float32(values if type(values) is float else values[neuron])

    @property
    def cores(self) -> int:
        return math.ceil(self.size / self.atoms)


class Projection(Strict):
    allowed = ("pre", "post", "connections")

    def __init__(self, pre: Population, post: Population, connections: list) -> None:
        need(isinstance(pre, Population) and isinstance(post, Population), "not populations")
        need(post.neuron_model in WEIGHTS, post.neuron_model, "takes no list of connections")
        need(type(connections) is list and bool(connections), "connections")
        most, latest = WEIGHTS[post.neuron_model], DELAYS[post.neuron_model]
        for row in connections:
            need(type(row) is list and len(row) == 4, "not [pre, post, weight, delay]:", row)
            source, target, weight, delay = row
            need(
                is_int(source, 0, pre.size - 1) and is_int(target, 0, post.size - 1),
                "no such neurons:",
                row,
            )
            need(
                is_int(weight, -most, most) and is_int(delay, 0, latest),
                "out of range for",
                post.neuron_model,
                row,
            )
        need(
            len({(s, t, d) for s, t, _, d in connections}) == len(connections),
            "a connection is there twice",
        )
        self.pre, self.post, self.connections = pre, post, connections

    def reached(self) -> dict[int, list[tuple[int, int, int]]]:
        """From each source neuron: (target, weight, delay)."""
        table = defaultdict(list)
        for source, target, weight, delay in self.connections:
            table[source].append((target, weight, delay))
        return table


class Conv2DProjection(Strict):
    allowed = ("pre", "post", "weights", "params")

    def __init__(
        self, pre: Population, post: Population, weights: np.ndarray, params: dict
    ) -> None:
        need(isinstance(pre, Population) and isinstance(post, Population), "not populations")
        need(post.neuron_model == "lif_conv2d", post.neuron_model, "takes no convolution")
        need(
            type(weights) is np.ndarray and weights.dtype == np.int8 and weights.ndim == 4,
            "weights",
        )
        need(int(weights.min()) >= -127, "a weight is -128")
        need(type(params) is dict and set(params) == GEOMETRY, "params", params)
        need(
            all(is_int(v, 0 if k.startswith("pad") else 1, 1 << 12) for k, v in params.items()),
            "params",
            params,
        )
        need(
            weights.shape[0] * params["in_height"] * params["in_width"] == pre.size,
            "source",
            pre.size,
        )
        self.pre, self.post, self.weights, self.params = pre, post, weights, params
        need(
            weights.shape[1] * math.prod(self.out) == post.size,
            "target",
            post.size,
            "is not",
            self.out,
        )

    @property
    def out(self) -> tuple[int, int]:
        """Rows and columns of the target."""
        p, (rows, cols) = self.params, self.weights.shape[2:]
        height = (p["in_height"] // p["pool_y"] + p["pad_top"] + p["pad_bottom"] - rows) // p[
            "stride_y"
        ] + 1
        width = (p["in_width"] // p["pool_x"] + p["pad_left"] + p["pad_right"] - cols) // p[
            "stride_x"
        ] + 1
        return height, width

    def reached(self) -> dict[int, list[tuple[int, int, int]]]:
        return {neuron: list(self._targets(neuron)) for neuron in range(self.pre.size)}

    def _targets(self, neuron: int) -> Iterator[tuple[int, int, int]]:
        p, (_, features, rows, cols), (height, width) = self.params, self.weights.shape, self.out
        channel, place = divmod(neuron, p["in_height"] * p["in_width"])
        y, x = (
            a // b
            for a, b in zip(divmod(place, p["in_width"]), (p["pool_y"], p["pool_x"]), strict=True)
        )
        if y >= p["in_height"] // p["pool_y"] or x >= p["in_width"] // p["pool_x"]:
            return  # beyond the last whole window
        for ky in range(rows):
            for kx in range(cols):
                out_y, rest_y = divmod(y + p["pad_top"] - ky, p["stride_y"])
                out_x, rest_x = divmod(x + p["pad_left"] - kx, p["stride_x"])
                if rest_y == rest_x == 0 and 0 <= out_y < height and 0 <= out_x < width:
                    for feature in range(features):
                        target = (feature * height + out_y) * width + out_x
                        yield target, int(self.weights[channel, feature, ky, kx]), 0


class Network(Strict):
    allowed = ("name", "populations", "projections", "valid")

    def __init__(self, name: str) -> None:
        need(type(name) is str, "name", name)
        self.name, self.populations, self.projections, self.valid = name, [], [], False

    def add(self, *things: object) -> None:
        for thing in things:
            projection = isinstance(thing, Projection | Conv2DProjection)
            need(projection or isinstance(thing, Population), "cannot add", type(thing))
            held = self.projections if projection else self.populations
            need(not any(other is thing for other in held), "added twice")
            held.append(thing)

    def validate(self) -> None:
        names = [p.name for p in self.populations]
        need(len(set(names)) == len(names), "two populations have one name:", names)
        for projection in self.projections:
            for end in (projection.pre, projection.post):
                need(any(end is p for p in self.populations), end.name, "was not added")
        for population in self.populations:
            into = [
                p
                for p in self.projections
                if p.post is population and isinstance(p, Conv2DProjection)
            ]
            need(
                len(into) == (population.neuron_model == "lif_conv2d"),
                population.name,
                "has convolutions",
                len(into),
            )
        object.__setattr__(self, "valid", True)


class ROUTING(Enum):
    MC = "mc"
    C2C = "c2c"


class ExperimentBackendType(Enum):
    """The way to a board. Public scripts use this one."""

    SPINNMAN2 = "spinnman2"


class BackendSettings(Strict):
    allowed = ("routing_type", "rebuild_apps", "switch_serial")

    def __init__(self) -> None:
        self.routing_type, self.rebuild_apps, self.switch_serial = ROUTING.MC, False, True


class Hardware(Strict):
    """A board; good for one run."""

    allowed = ("address", "used", "backend")
    cores = 0

    def __init__(self, address: str, backend: ExperimentBackendType | None) -> None:
        need(type(address) is str and bool(address), "address", address)
        need(backend is None or isinstance(backend, ExperimentBackendType), "backend", backend)
        self.address, self.used, self.backend = address, False, backend

    def run(
        self,
        net: Network,
        timesteps: int,
        sys_tick_in_s: float = 1e-3,
        debug: bool = False,
        mapping_only: bool = False,
        experiment_backend_settings: BackendSettings | None = None,
    ) -> None:
        need(not self.used, "a hardware object runs once")
        self.used = True
        need(type(sys_tick_in_s) is float and sys_tick_in_s > 0, "tick", sys_tick_in_s)
        need(type(debug) is bool and type(mapping_only) is bool, "flags")
        settings = experiment_backend_settings
        need(settings is None or isinstance(settings, BackendSettings), "settings")
        if settings is not None:
            need(
                isinstance(settings.routing_type, ROUTING) and settings.rebuild_apps is True,
                "routing",
            )
        need(sum(p.cores for p in net.populations) <= self.cores, "no PEs left")
        log(
            net,
            timesteps,
            on=type(self).__name__,
            address=self.address,
            tick=sys_tick_in_s,
            debug=debug,
            mapping_only=mapping_only,
            routing=None if settings is None else settings.routing_type.name,
            backend=None if self.backend is None else self.backend.value,
        )
        if not mapping_only:
            play(net, timesteps, equality=True)


class SpiNNaker2Chip(Hardware):
    cores = 148

    def __init__(
        self, eth_ip: str, experiment_backend_type: ExperimentBackendType | None = None
    ) -> None:
        super().__init__(eth_ip, experiment_backend_type)


class SpiNNcloud48NodeBoard(Hardware):
    cores = 48 * 148

    def __init__(
        self, stm_ip: str, experiment_backend_type: ExperimentBackendType | None = None
    ) -> None:
        super().__init__(stm_ip, experiment_backend_type)


class Brian2Backend(Strict):
    """The simulator: fires above the threshold only, as a public comparison with it found."""

    def run(self, net: Network, timesteps: int) -> None:
        log(net, timesteps, on="Brian2Backend")
        play(net, timesteps, equality=False)


def log(net: Network, steps: int, **more: object) -> None:
    """Note a run, and let go wrong what was asked for."""
    need(isinstance(net, Network) and net.valid, "the network was not validated")
    need(is_int(steps, 1, 1 << 31), "timesteps", steps)
    populations = {
        p.name: {
            "model": p.neuron_model,
            "size": p.size,
            "atoms": p.atoms,
            "record": p.record,
            "keys": sorted(map(str, p.params)),
        }
        for p in net.populations
    }
    if asked("log"):
        with Path(asked("log")).open("a") as file:
            file.write(json.dumps({"steps": steps, "populations": populations, **more}) + "\n")
    if asked("fault") == "raises":
        raise RuntimeError("the board does not answer \u26a0")
    if asked("fault") == "interrupted":
        os.kill(os.getpid(), signal.SIGINT)
    if asked("fault") == "terminated":
        os.kill(os.getpid(), signal.SIGTERM)


def play(net: Network, steps: int, *, equality: bool) -> None:
    """Section 4 of the sheet, neuron by neuron.

    A spike of t with delay field d is used in step t + 1 + d.
    """
    due: dict[tuple[int, str, int], list[int]] = defaultdict(
        list
    )  # (step, population, neuron): weights
    leaving = defaultdict(list)
    for projection in net.projections:
        leaving[projection.pre.name].append((projection.post.name, projection.reached()))
    cells = {
        p.name: [Cell(p, i, equality) for i in range(p.size)]
        for p in net.populations
        if p.neuron_model in PARAMETERS
    }
    spikes = {p.name: {i: [] for i in range(p.size)} for p in net.populations}
    voltages = {
        name: {i: np.zeros(steps) for i in range(len(all_))} for name, all_ in cells.items()
    }
    for t in range(steps):
        sources = [p for p in net.populations if p.name not in cells]
        fired = [
            (p.name, i)
            for p in sources
            for i, times in p.params.items()
            for _ in range(times.count(t))
        ]
        for name, all_ in cells.items():
            for i, cell in enumerate(all_):
                if cell.step(due.pop((t, name, i), [])):
                    fired.append((name, i))
                    spikes[name][i].append(t)
                voltages[name][i][t] = cell.v
        for name, i in fired:
            for target, reached in leaving[name]:
                for neuron, weight, delay in reached.get(i, []):
                    due[t + 1 + delay, target, neuron].append(weight)
    if asked("fault") == "short":
        voltages = {name: {i: v[:-1] for i, v in all_.items()} for name, all_ in voltages.items()}
    for p in net.populations:
        p.spikes, p.voltages = spikes[p.name], voltages.get(p.name)


class Cell:
    """One neuron.

    Additions in the order that nirc documents: both currents, then to the decayed v, then i_offset.
    """

    def __init__(self, population: Population, i: int, equality: bool) -> None:
        for name in ("threshold", "alpha_decay", "i_offset", "v_reset", "exc_decay", "inh_decay"):
            setattr(self, name, population.parameter(name, i))
        self.v, self.exc, self.inh = population.parameter("v_init", i), np.float32(0), np.float32(0)
        self.filtered = "curr_exp" in population.neuron_model
        self.subtracts, self.equality = (
            population.params["reset"] == "reset_by_subtraction",
            equality,
        )

    def step(self, weights: list[int]) -> bool:
        if self.filtered:
            self.exc = self.exc_decay * self.exc + np.float32(sum(w for w in weights if w > 0))
            self.inh = self.inh_decay * self.inh + np.float32(sum(w for w in weights if w < 0))
            drive = self.exc + self.inh
        else:
            drive = np.float32(sum(weights))
        self.v = self.alpha_decay * self.v + drive + self.i_offset
        fires = bool(self.v >= self.threshold) if self.equality else bool(self.v > self.threshold)
        if fires:
            self.v = self.v - self.threshold if self.subtracts else self.v_reset
        return fires
