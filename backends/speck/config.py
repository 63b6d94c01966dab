"""Reads config.json, the chip's file: the only thing the emulator sees. The file is hostile.

Field tree: targets sheet, section 3 (samna's names). A file that is not as nirc writes it or contradicts itself
(U605) stops the reading; what the chip does not take (S717) is collected first, as far as the rest still has a
meaning. Every field is looked at: a switch that the emulator does not know must be as nirc sets it.
"""

from __future__ import annotations

from collections.abc import Sequence
from graphlib import CycleError, TopologicalSorter
from math import prod
from typing import Any

from nirc.backends.speck import emit
from nirc.backends.speck.configuration import Configuration, CoreLayer, Destination, Dvs, InputRoute
from nirc.backends.speck.emit import DESTINATIONS, FORMAT, MAX_RASTER
from nirc.backends.speck.geometry import Map, Pair, kernel_words, neuron_words, output_size
from nirc.backends.speck.limits import (
    BIAS,
    CORES,
    DATASHEET,
    DVS_SIZE,
    ERRATA,
    FEATURE_SHIFT,
    KERNEL,
    PADDING,
    POOLINGS,
    READOUT,
    READOUT_CLASSES,
    READOUT_SPREAD,
    SINABS,
    SLOW_CLOCK_HZ,
    STATE,
    STRIDES,
    THRESHOLD_HIGH,
    THRESHOLD_LOW,
    VARIANTS,
    WEIGHT,
    Core,
)
from nirc.files.json import JsonReader, Range, Tree

MAX_BYTES = 16 << 20  # a full chip takes 4 to 6 MB
MAX_ROUTED = len(CORES) * MAX_RASTER  # input channels, counted once for each core that they go to

INPUT_SIDE = (1, VARIANTS[0].max("input map"))
OUTPUT_SIDE = (1, VARIANTS[0].max("output map"))
CHANNELS = (1, VARIANTS[0].max("input channels"))


def read_config(text: bytes) -> Configuration:
    """The chip in the bytes of a config.json, of either variant.

    ``leak_enable`` false leaves out a core's biases, as on the chip.
    Raises ``InputError`` (U605) if the file is damaged, ``CompileError`` (S717) if the chip would not take a value;
    the diagnostics name JSON path, value and allowed range.
    """
    reader = _Reader()
    configuration = reader.configuration(reader.parse(text))
    reader.log.raise_if_errors()
    return configuration


class _Reader(JsonReader):
    """The tree as a ``Configuration``."""

    def __init__(self) -> None:
        super().__init__("config.json", code="S717", source=DATASHEET, max_bytes=MAX_BYTES)

    def configuration(self, tree: Tree) -> Configuration:
        """Everything that the emulator needs."""
        if tree.get("format") != FORMAT:
            self.damaged("the format is unknown", "format", tree.get("format"), FORMAT)
        names = ("format", "variant", "cnn_layers", "dvs_layer", "dvs_filter", "readout", "factory_config", "nirc")
        self.keys(tree, "", names)
        variants = [target.variant for target in VARIANTS]
        if tree["variant"] not in variants:
            self.damaged("the variant is unknown", "variant", tree["variant"], ", ".join(variants))
        layers = self.layers(tree["cnn_layers"])
        ours = self.as_object(tree["nirc"], "nirc", ("inputs", "slow_clock_hz", "readout_core"))
        inputs = self.routes(ours["inputs"], layers)
        self.same(tree["dvs_filter"], emit.DVS_FILTER, "dvs_filter")
        return Configuration(
            variant=tree["variant"],
            layers=tuple(layers.values()),
            inputs=inputs,
            slow_clock_hz=self.slow_clock(ours["slow_clock_hz"]),
            dvs=self.dvs(tree["dvs_layer"], inputs),
            readout=self.readout(ours["readout_core"], tree, layers),
        )

    # Cores.

    def layers(self, value: Any) -> dict[int, CoreLayer]:
        """The used cores by rising number, with destinations that exist."""
        entries = self.as_list(value, "cnn_layers", len(CORES))
        layers: dict[int, CoreLayer] = {}
        for core in CORES:
            path = f"cnn_layers[{core.number}]"
            entry = self.as_object(entries[core.number], path, emit.unused_core())
            if entry["weights"] == []:
                self.same(entry, emit.unused_core(), path)
            else:
                layers[core.number] = self.layer(entry, path, core)
        if not layers:
            self.damaged("no core is used", "cnn_layers", 0, "1 to 9 used cores")
        self.log.raise_if_errors()  # values that stand in for wrong ones would be compared below
        for layer in layers.values():
            for i, to in enumerate(layer.destinations):
                path = f"cnn_layers[{layer.core}].destinations[{i}]"
                self.target(to.layer, layer.shape_out[0], to.feature_shift, path, layers)
                self.map(layer.shape_out, to, path, layers)
        self.no_circle(layers)
        return layers

    def layer(self, entry: Tree, path: str, core: Core) -> CoreLayer:
        """One used core. Its sizes are checked before its arrays are looked at."""
        for name, value in emit.CORE_FIXED.items():
            self.same(entry[name], value, f"{path}.{name}")
        shape_in, shape_out, k, stride, padding = self.dimensions(entry["dimensions"], f"{path}.dimensions", core)
        n_out, y, x = shape_out
        weights = self.array(entry["weights"], (n_out, shape_in[0], k, k), WEIGHT, f"{path}.weights")
        initial = self.array(entry["neurons_initial_value"], (n_out, x, y), STATE, f"{path}.neurons_initial_value")
        bias = self.array(entry["biases"], (n_out,), BIAS, f"{path}.biases")
        leak = self.flag(entry["leak_enable"], f"{path}.leak_enable")
        if leak and not bias.any() and not self.log.errors:
            self.damaged("the leak is on, but no bias is set", f"{path}.leak_enable", True, "false")
        return CoreLayer(
            core=core.number,
            shape_in=shape_in,
            shape_out=shape_out,
            kernel=weights.swapaxes(2, 3).copy(),
            stride=stride,
            padding=padding,
            bias=bias * leak,
            threshold_high=self.integer(entry["threshold_high"], THRESHOLD_HIGH, f"{path}.threshold_high"),
            threshold_low=self.integer(entry["threshold_low"], THRESHOLD_LOW, f"{path}.threshold_low"),
            return_to_zero=self.flag(entry["return_to_zero"], f"{path}.return_to_zero"),
            initial=initial.swapaxes(1, 2).copy(),
            destinations=self.destinations(entry["destinations"], f"{path}.destinations"),
            monitor=self.flag(entry["monitor_enable"], f"{path}.monitor_enable"),
        )

    def dimensions(self, value: Any, path: str, core: Core) -> tuple[Map, Map, int, Pair, Pair]:
        """Shapes in and out, kernel size, stride and padding that agree and fit the core's memories."""
        names = ("input_shape", "output_shape", "kernel_size", "padding", "stride")
        block = self.as_object(value, path, names)
        earlier = len(self.log.errors)
        shape_in = self.shape(block["input_shape"], INPUT_SIDE, f"{path}.input_shape")
        shape_out = self.shape(block["output_shape"], OUTPUT_SIDE, f"{path}.output_shape")
        k = self.integer(block["kernel_size"], KERNEL, f"{path}.kernel_size")
        padding = self.pair(block["padding"], PADDING, f"{path}.padding")
        stride = self.pair(block["stride"], (STRIDES[0], STRIDES[-1]), f"{path}.stride")
        if not set(stride) <= set(STRIDES):
            self.outside(f"{path}.stride", stride, STRIDES, "the chip has no such stride")
        self.stop_if_more(earlier)  # sizes can be compared only if each alone is possible
        sizes = zip(shape_in[1:], stride, padding, strict=True)
        fitting = tuple(output_size(n, k, step, pad) for n, step, pad in sizes)
        if shape_out[1:] != fitting:
            expected = f"(y, x) = {fitting}, as input, kernel, stride and padding say"
            self.damaged("the output map has another size", f"{path}.output_shape.size", shape_out[1:], expected)
        memories = (
            ("kernel", kernel_words(shape_in[0], shape_out[0], (k, k)), core.kernel),
            ("neuron", neuron_words(shape_out), core.neuron),
            ("bias", shape_out[0], core.bias),
        )
        for name, words, most in memories:
            if words > most:
                self.outside(path, f"{words} words", (0, most), f"the core's {name} memory is too small", SINABS)
        self.stop_if_more(earlier)
        return shape_in, shape_out, k, stride, padding

    def shape(self, value: Any, sides: Range, path: str) -> Map:
        """A map's channels, y, x."""
        block = self.as_object(value, path, ("size", "feature_count"))
        y, x = self.pair(block["size"], sides, f"{path}.size")
        return self.integer(block["feature_count"], CHANNELS, f"{path}.feature_count"), y, x

    def destinations(self, value: Any, path: str) -> tuple[Destination, ...]:
        """The enabled ones of two."""
        enabled = []
        for i, entry in enumerate(self.as_list(value, path, DESTINATIONS)):
            at = f"{path}[{i}]"
            block = self.as_object(entry, at, ("enable", "layer", "pooling", "feature_shift"))
            destination = Destination(
                layer=self.integer(block["layer"], (0, READOUT), f"{at}.layer"),
                pooling=self.pooling(block["pooling"], f"{at}.pooling"),
                feature_shift=self.integer(block["feature_shift"], FEATURE_SHIFT, f"{at}.feature_shift"),
            )
            if self.flag(block["enable"], f"{at}.enable"):
                enabled.append(destination)
        return tuple(enabled)

    def pooling(self, value: Any, path: str) -> int:
        """A destination's pooling: 1, 2 or 4."""
        pooling = self.integer(value, (POOLINGS[0], POOLINGS[-1]), path)
        if pooling not in POOLINGS:
            self.outside(path, pooling, POOLINGS, "the chip has no such pooling")
        return pooling

    def target(self, core: int, channels: int, shift: int, path: str, layers: dict[int, CoreLayer]) -> None:
        """A core that is used and has input channels for what comes in."""
        if core == READOUT:
            return  # checked with the readout layer
        if core not in layers:
            self.outside(f"{path}.layer", core, sorted(layers), "the target core is not used", SINABS)
        elif channels + shift > layers[core].shape_in[0]:
            found, most = f"{shift}..{shift + channels - 1}", (0, layers[core].shape_in[0] - 1)
            message = f"channels go beyond the input channels of core {core}"
            self.outside(f"{path}.feature_shift", found, most, message)

    def map(self, shape: Map, to: Destination, path: str, layers: dict[int, CoreLayer]) -> None:
        """The pooled map fits into the target's; only what is left over beside whole windows may be lost."""
        if to.layer in layers:
            pooled, sides = [n // to.pooling for n in shape[1:]], layers[to.layer].shape_in[1:]
            if pooled[0] > sides[0] or pooled[1] > sides[1]:
                message = f"the pooled map is larger than the input map of core {to.layer}"
                found, limit = " x ".join(map(str, pooled)), " x ".join(map(str, sides))
                self.log.error("S717", message, where=path, found=found, limit=limit, source=DATASHEET)

    def no_circle(self, layers: dict[int, CoreLayer]) -> None:
        """Spikes never come back to a core that they left."""
        sources: dict[int, set[int]] = {core: set() for core in layers}
        for layer in layers.values():
            for to in layer.destinations:
                sources.setdefault(to.layer, set()).add(layer.core)
        try:
            TopologicalSorter(sources).prepare()
        except CycleError as error:
            circle = " -> ".join(map(str, error.args[1]))
            self.log.error(
                "S717", "cores feed one another in a circle, which can block the chip", where="cnn_layers",
                found=circle, limit="no circle", source=SINABS,
            )  # fmt: skip

    # What comes in, and what goes out.

    def routes(self, value: Any, layers: dict[int, CoreLayer]) -> tuple[InputRoute, ...]:
        """Where the raster's channels go."""
        routes, total = [], 0
        for i, entry in enumerate(self.as_list(value, "nirc.inputs")):
            path = f"nirc.inputs[{i}]"
            block = self.as_object(entry, path, ("first", "shape", "layer", "pooling", "feature_shift"))
            channels, y, x = self.array(block["shape"], (3,), (1, MAX_RASTER), f"{path}.shape").tolist()
            route = InputRoute(
                first=self.integer(block["first"], (0, MAX_RASTER), f"{path}.first"),
                shape=(channels, y, x),
                layer=self.integer(block["layer"], (0, len(CORES) - 1), f"{path}.layer"),
                pooling=self.pair(block["pooling"], (1, MAX_RASTER), f"{path}.pooling"),
                feature_shift=self.integer(block["feature_shift"], FEATURE_SHIFT, f"{path}.feature_shift"),
            )
            self.target(route.layer, channels, route.feature_shift, path, layers)
            end = route.first + prod(route.shape)
            total += prod(route.shape)
            if end > MAX_RASTER:
                self.outside(path, end, (1, MAX_RASTER), "the raster has too many channels", "nirc")
            routes.append(route)
        if total > MAX_ROUTED:
            self.outside("nirc.inputs", total, (0, MAX_ROUTED), "too many input channels go to the cores", "nirc")
        return tuple(routes)

    def dvs(self, value: Any, inputs: Sequence[InputRoute]) -> Dvs | None:
        """The camera, if it is the source; it must see what the raster's routes say."""
        block = self.as_object(value, "dvs_layer", emit.dvs_layer(None, ()))
        if not self.flag(block["pass_sensor_events"], "dvs_layer.pass_sensor_events"):
            self.same(block, emit.dvs_layer(None, ()), "dvs_layer")
            return None
        for name, fixed in emit.DVS_FIXED.items():
            self.same(block[name], fixed, f"dvs_layer.{name}")
        across = self.as_object(block["pooling"], "dvs_layer.pooling", ("x", "y"))
        pool = self.pooling(across["y"], "dvs_layer.pooling.y")
        if self.pooling(across["x"], "dvs_layer.pooling.x") != pool:
            self.damaged("the camera pools differently in x and y", "dvs_layer.pooling.x", across["x"], pool)
        dvs = Dvs(
            origin=self.pair(block["origin"], (0, DVS_SIZE // pool - 1), "dvs_layer.origin"),
            cut=self.pair(block["cut"], (0, DVS_SIZE // pool - 1), "dvs_layer.cut"),
            pooling=pool,
            merge=self.flag(block["merge"], "dvs_layer.merge"),
        )
        destinations = self.destinations(block["destinations"], "dvs_layer.destinations")
        self.log.raise_if_errors()  # the comparisons below mean nothing for values that are not there
        self.camera(dvs, destinations, inputs)
        return dvs

    def camera(self, dvs: Dvs, destinations: Sequence[Destination], inputs: Sequence[InputRoute]) -> None:
        """Each destination of the camera is an input route with the camera's window, polarities and pooling."""
        told = [Destination(route.layer, 1, route.feature_shift) for route in inputs]
        if list(destinations) != told or not told:
            pairs = [[(to.layer, to.feature_shift) for to in ends] for ends in (destinations, told)]
            wanted = f"(layer, feature_shift) {pairs[1]}, pooling 1, at least one, as in nirc.inputs"
            self.damaged("the camera has other destinations", "dvs_layer.destinations", tuple(pairs[0]), wanted)
        window = tuple(last - first + 1 for first, last in zip(dvs.origin, dvs.cut, strict=True))
        for i, route in enumerate(inputs):
            path = f"nirc.inputs[{i}]"
            if route.pooling != (dvs.pooling, dvs.pooling):
                self.damaged("the camera pools otherwise", f"{path}.pooling", route.pooling, dvs.pooling)
            seen = (2 - dvs.merge, *window)
            if (route.shape[0], *(n // dvs.pooling for n in route.shape[1:])) != seen or route.first != 0:
                self.damaged("the camera sees another map", f"{path}.shape", route.shape, f"{seen} after pooling")

    def readout(self, value: Any, tree: Tree, layers: dict[int, CoreLayer]) -> int | None:
        """The core whose classes the readout layer takes, None if it is off."""
        self.same(tree["readout"], emit.readout_layer(value is not None), "readout")
        self.same(tree["factory_config"], emit.factory_config(value is not None), "factory_config")
        feeding = [(core.core, to) for core in layers.values() for to in core.destinations if to.layer == READOUT]
        core = None if value is None else self.integer(value, (0, len(CORES) - 1), "nirc.readout_core")
        if [source for source, _ in feeding] != ([] if core is None else [core]):
            found = ", ".join(str(source) for source, _ in feeding) or "no core"
            self.damaged("another core feeds the readout layer", "nirc.readout_core", core, found)
        for source, to in feeding:
            self.classes(layers[source], to, f"cnn_layers[{source}]")
        return core

    def classes(self, layer: CoreLayer, to: Destination, path: str) -> None:
        """The last layer has a neuron a class, every fourth channel, and is monitored."""
        if not layer.monitor:
            self.damaged("the core of the readout layer is not monitored", f"{path}.monitor_enable", False, "true")
        if (to.pooling, to.feature_shift) != (1, 0):
            found = (to.pooling, to.feature_shift)
            limit = "pooling 1, feature_shift 0"
            self.damaged("the way to the readout layer changes addresses", f"{path}.destinations", found, limit)
        most = READOUT_SPREAD * (READOUT_CLASSES - 1) + 1
        if layer.shape_out[0] > most or layer.shape_out[1:] != (1, 1):
            shown = f"{path}.dimensions.output_shape"
            message = f"the readout layer takes 1 x 1 maps of 1..{most} channels"
            self.outside(shown, layer.shape_out, (1, most), message, ERRATA)

    def slow_clock(self, value: Any) -> float | None:
        """Ticks per second, or None if nobody set them."""
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.damaged("a frequency is not a number", "nirc.slow_clock_hz", value, "a number or null")
        if not SLOW_CLOCK_HZ[0] <= value <= SLOW_CLOCK_HZ[1]:
            message = "the frequency is outside the chip's range"
            self.outside("nirc.slow_clock_hz", value, SLOW_CLOCK_HZ, message)
            return None
        return float(value)

    def pair(self, value: Any, allowed: Range, path: str) -> Pair:
        """An object of x and y, as (y, x)."""
        block = self.as_object(value, path, ("x", "y"))
        return self.integer(block["y"], allowed, f"{path}.y"), self.integer(block["x"], allowed, f"{path}.x")
