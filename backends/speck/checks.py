"""Checks of the fields of config.json against each other. deploy.py holds this module's text."""

from __future__ import annotations

from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any

from nirc.backends.speck.geometry import Map, kernel_words, neuron_words, output_size
from nirc.files.description import File, Tree, check_shapes
from nirc.files.faults import Faults
from nirc.files.kinds import Kind


def check_config(tree: Tree, file: File, trees: Mapping[str, Tree], faults: Faults) -> None:
    """Check that each core fits its memories and the cores that it feeds.

    The camera and the readout layer are wired as they must be.
    """
    numbers, cores = file.numbers, used_cores(tree)
    if not cores:
        faults.damaged("cnn_layers", "no core is used", 0, "1 or more used cores")
    for i, core in cores.items():
        check_sizes(core, f"cnn_layers[{i}].dimensions", numbers["memories"][i], faults)
    if faults:
        return  # the arrays of an impossible core are not looked at
    for i, core in cores.items():
        check_arrays(core, f"cnn_layers[{i}]", file.item("cnn_layers"), faults)
        check_destinations(core, f"cnn_layers[{i}]", shape_of(core, "output_shape"), tree, faults)
    check_circle(cores, numbers["readout"], faults)
    check_routes(tree, numbers, faults)
    if not faults:
        check_camera(tree, numbers["sensor"], faults)
        check_readout(tree, numbers, faults)
    if not faults and not any(core["monitor_enable"] for core in cores.values()):
        faults.damaged(
            "cnn_layers", "no core is monitored", "no output", "1 or more monitored cores"
        )


def used_cores(tree: Tree) -> dict[int, Tree]:
    """Return the cores that have weights, by number."""
    return {i: core for i, core in enumerate(tree["cnn_layers"]) if len(core["weights"])}


def shape_of(core: Tree, side: str) -> Map:
    """Return (channels, y, x) of the input_shape or output_shape."""
    shape = core["dimensions"][side]
    return shape["feature_count"], shape["size"]["y"], shape["size"]["x"]


def enabled(block: Tree) -> list[Tree]:
    """Return the destinations of a core, or of the camera, that are on."""
    return [to for to in block["destinations"] if to["enable"]]


def memory_words(core: Tree) -> dict[str, int]:
    """Return the words of each memory that a core needs."""
    shape, k = shape_of(core, "output_shape"), core["dimensions"]["kernel_size"]
    channels_in = shape_of(core, "input_shape")[0]
    return {
        "kernel": kernel_words(channels_in, shape[0], (k, k)),
        "neuron": neuron_words(shape),
        "bias": shape[0],
    }


def check_sizes(core: Tree, path: str, memories: Mapping[str, int], faults: Faults) -> None:
    """Check that the output map follows from the input, and that the memories are large enough."""
    d = core["dimensions"]
    k, size, found = d["kernel_size"], d["input_shape"]["size"], d["output_shape"]["size"]
    y, x = (output_size(size[axis], k, d["stride"][axis], d["padding"][axis]) for axis in "yx")
    if found != {"x": x, "y": y}:
        expected = f"(y, x) = ({y}, {x}), as input, kernel, stride and padding say"
        message = "the output map has another size"
        faults.damaged(f"{path}.output_shape.size", message, (found["y"], found["x"]), expected)
    for name, words in memory_words(core).items():
        if words > memories[name]:
            faults.outside(
                path,
                f"{words} words",
                (0, memories[name]),
                f"the core's {name} memory is too small",
            )


def check_arrays(core: Tree, path: str, kind: Kind | None, faults: Faults) -> None:
    """Check that arrays have the shapes of the sizes, and that the leak is on if a bias is set."""
    out, y, x = shape_of(core, "output_shape")
    sizes = {
        "out": out,
        "in": shape_of(core, "input_shape")[0],
        "k": core["dimensions"]["kernel_size"],
        "y": y,
        "x": x,
    }
    check_shapes(kind, core, path, sizes, faults)
    if any(core["biases"]) and not core["leak_enable"]:
        faults.damaged(
            f"{path}.leak_enable", "a bias is set, but the leak is off", core["leak_enable"], "true"
        )
    elif core["leak_enable"] and not any(core["biases"]):
        faults.damaged(
            f"{path}.leak_enable",
            "the leak is on, but no bias is set",
            core["leak_enable"],
            "false",
        )


def check_destinations(block: Tree, path: str, shape: Map, tree: Tree, faults: Faults) -> None:
    """Check that spikes of a map fit into the maps of the cores that they go to.

    The rest of a pooling window may be lost.
    """
    cores = used_cores(tree)
    for i, to in enumerate(block["destinations"]):
        if to["enable"] and to["layer"] < len(tree["cnn_layers"]):
            at = f"{path}.destinations[{i}]"
            check_arrival(to, shape[0], at, cores, faults)
            if to["layer"] in cores:
                y, x = shape[1] // to["pooling"], shape[2] // to["pooling"]
                _, rows, columns = shape_of(cores[to["layer"]], "input_shape")
                if y > rows or x > columns:
                    message = f"the pooled map is larger than the input map of core {to['layer']}"
                    faults.outside(at, f"{y} x {x}", f"{rows} x {columns}", message)


def check_arrival(
    to: Tree, channels: int, path: str, cores: Mapping[int, Tree], faults: Faults
) -> None:
    """Check that the target is in use and has these channels."""
    if to["layer"] not in cores:
        faults.outside(f"{path}.layer", to["layer"], sorted(cores), "the target core is not used")
        return
    most, first = shape_of(cores[to["layer"]], "input_shape")[0], to["feature_shift"]
    if first + channels > most:
        message = f"channels go beyond the input channels of core {to['layer']}"
        faults.outside(
            f"{path}.feature_shift", f"{first}..{first + channels - 1}", (0, most - 1), message
        )


def check_circle(cores: Mapping[int, Tree], readout: int, faults: Faults) -> None:
    """Check that spikes never come back to a core that they left."""
    sources: dict[int, set[int]] = {core: set() for core in cores}
    for core, block in cores.items():
        for to in enabled(block):
            sources.setdefault(to["layer"], set()).add(core)
    try:
        TopologicalSorter(sources).prepare()
    except CycleError as error:
        circle = " -> ".join(map(str, error.args[1]))
        message = "cores feed one another in a circle, which can block the chip"
        faults.outside("cnn_layers", circle, "no circle", message)


def channels_of(route: Tree) -> int:
    """Return the number of the raster's channels that a route takes."""
    c, y, x = route["shape"]
    return int(c * y * x)


def check_routes(tree: Tree, numbers: Mapping[str, Any], faults: Faults) -> None:
    """Check that the raster's channels go to cores that take them, and are not too many."""
    routes = tree["nirc"]["inputs"]
    for i, route in enumerate(routes):
        path, end = f"nirc.inputs[{i}]", route["first"] + channels_of(route)
        check_arrival(route, route["shape"][0], path, used_cores(tree), faults)
        if end > numbers["raster"]:
            faults.outside(path, end, (1, numbers["raster"]), "the raster has too many channels")
    total = sum(map(channels_of, routes))
    if total > numbers["routed"]:
        faults.outside(
            "nirc.inputs", total, (0, numbers["routed"]), "too many input channels go to the cores"
        )


def check_camera(tree: Tree, sensor: int, faults: Faults) -> None:
    """Check that each destination of the camera is an input route with its window and pooling."""
    dvs, routes = tree["dvs_layer"], tree["nirc"]["inputs"]
    if not dvs["pass_sensor_events"]:
        return
    pooling = dvs["pooling"]
    if pooling["x"] != pooling["y"]:
        message = "the camera pools differently in x and y"
        faults.damaged("dvs_layer.pooling.x", message, pooling["x"], pooling["y"])
        return
    last = sensor // pooling["y"] - 1
    for corner in ("origin", "cut"):
        for axis in "xy":
            if dvs[corner][axis] > last:
                faults.outside(f"dvs_layer.{corner}.{axis}", dvs[corner][axis], (0, last))
    if faults:
        return
    found = [(to["layer"], to["feature_shift"], to["pooling"]) for to in enabled(dvs)]
    wanted = [(route["layer"], route["feature_shift"], 1) for route in routes]
    if found != wanted or not wanted:
        allowed = f"(layer, feature_shift, pooling) {wanted}, at least one, as in nirc.inputs"
        faults.damaged(
            "dvs_layer.destinations", "the camera has other destinations", tuple(found), allowed
        )
    y, x = (dvs["cut"][axis] - dvs["origin"][axis] + 1 for axis in "yx")
    seen = [1 if dvs["merge"] else 2, y, x]
    for i, route in enumerate(routes):
        path, (c, rows, columns) = f"nirc.inputs[{i}]", route["shape"]
        if route["pooling"] != pooling:
            faults.damaged(
                f"{path}.pooling", "the camera pools otherwise", route["pooling"], pooling["y"]
            )
        elif [c, rows // pooling["y"], columns // pooling["x"]] != seen or route["first"] != 0:
            faults.damaged(
                f"{path}.shape",
                "the camera sees another map",
                route["shape"],
                f"{seen} after pooling",
            )
    check_destinations(dvs, "dvs_layer", (seen[0], y, x), tree, faults)


def check_readout(tree: Tree, numbers: Mapping[str, Any], faults: Faults) -> None:
    """Check that the readout layer takes one core's classes, or is off."""
    number, cores = tree["nirc"]["readout_core"], used_cores(tree)
    on = number is not None
    if tree["readout"]["enable"] != on:
        faults.damaged("readout.enable", "the readout layer and its core do not agree", not on, on)
    pins = numbers["pins"] if on else 0
    if tree["factory_config"]["io_sel"] != pins:
        faults.damaged(
            "factory_config.io_sel",
            "the pins are set otherwise",
            tree["factory_config"]["io_sel"],
            pins,
        )
    feeding = [
        i
        for i, core in cores.items()
        if any(to["layer"] == numbers["readout"] for to in enabled(core))
    ]
    if feeding != ([number] if on else []):
        text = ", ".join(map(str, feeding)) or "no core"
        faults.damaged("nirc.readout_core", "another core feeds the readout layer", number, text)
    elif on:
        check_classes(cores[number], f"cnn_layers[{number}]", numbers, faults)


def check_classes(core: Tree, path: str, numbers: Mapping[str, Any], faults: Faults) -> None:
    """Check that the last layer has a neuron a class, every fourth channel, and is monitored."""
    if not core["monitor_enable"]:
        message = "the core of the readout layer is not monitored"
        faults.damaged(f"{path}.monitor_enable", message, core["monitor_enable"], "true")
    for to in enabled(core):
        if to["layer"] == numbers["readout"] and (to["pooling"], to["feature_shift"]) != (1, 0):
            found, message = (
                (to["pooling"], to["feature_shift"]),
                "addresses change on the way to the readout layer",
            )
            faults.damaged(f"{path}.destinations", message, found, "pooling 1, feature_shift 0")
    most, shape = numbers["classes"], shape_of(core, "output_shape")
    if shape[0] > most or shape[1:] != (1, 1):
        message = f"the readout layer takes 1 x 1 maps of 1..{most} channels"
        faults.outside(f"{path}.dimensions.output_shape", shape, (1, most), message)


def ends(trees: Mapping[str, Tree]) -> dict[str, Any]:
    """Return the channels that manifest.json may name."""
    tree = trees["config.json"]
    neurons = {i: neurons_of(core) for i, core in used_cores(tree).items()}
    return {
        "inputs": max(
            (route["first"] + channels_of(route) for route in tree["nirc"]["inputs"]), default=0
        ),
        "outputs": sum(n for i, n in neurons.items() if tree["cnn_layers"][i]["monitor_enable"]),
        "kinds": ["spikes"],
        "parts": {"neurons": sum(neurons.values())},
    }


def neurons_of(core: Tree) -> int:
    """Return the number of neurons of a core."""
    c, y, x = shape_of(core, "output_shape")
    return c * y * x
