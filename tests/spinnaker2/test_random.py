"""Random graphs: the files on the emulator answer as the integer form does, spike for spike,
whatever was rounded.
"""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nirc import api
from nirc.api import Options
from nirc.semantics.run import run
from tests.spinnaker2.test_meaning import DT_S, graph

STEPS = 30


def neurons(rng: np.random.Generator, n: int) -> Any:
    tau = DT_S * rng.uniform(1.2, 9, n)
    threshold, reset, leak = rng.uniform(0.3, 2, n), rng.normal(0, 0.3, n), rng.normal(0, 0.2, n)
    match rng.integers(4):
        case 0:
            return nir.IF(np.ones(n), threshold, reset)
        case 1:
            return nir.Threshold(threshold)
        case 2:
            return nir.LIF(tau, tau / DT_S, leak, threshold, reset)
    slow = DT_S * rng.uniform(1.2, 6, n)
    return nir.CubaLIF(
        tau_syn=slow,
        tau_mem=tau,
        r=tau / DT_S,
        v_leak=leak,
        v_threshold=threshold,
        w_in=slow / DT_S,
        v_reset=reset,
    )


def network(seed: int) -> nir.NIRGraph:
    """A few populations, each fed by one to three others (or itself) or inputs, over delays and
    biases.
    """
    rng = np.random.default_rng(seed)
    sizes = {f"in{i}": int(rng.integers(1, 5)) for i in range(int(rng.integers(1, 3)))}
    nodes: dict[str, Any] = {name: nir.Input({"input": np.array([n])}) for name, n in sizes.items()}
    edges: list[tuple[str, str]] = []
    names = [f"p{i}" for i in range(int(rng.integers(1, 6)))]
    sizes |= {name: int(rng.integers(1, 7)) for name in names}
    for i, name in enumerate(names):
        nodes[name] = neurons(rng, sizes[name])
        known = [*(s for s in sizes if s.startswith("in")), *names[:i]]
        sources = {str(s) for s in rng.choice(known, int(rng.integers(1, 3)))}
        sources |= {name} if rng.random() < 0.3 else set()
        sources |= {names[-1]} if rng.random() < 0.15 else set()  # a loop through several
        for source in sorted(sources):
            weight, wire = rng.normal(0.4, 0.6, (sizes[name], sizes[source])), f"{source}-{name}"
            nodes[wire] = (
                nir.Affine(weight, rng.normal(0, 0.2, sizes[name]))
                if rng.random() < 0.4
                else nir.Linear(weight)
            )
            if rng.random() < 0.3:
                steps = (
                    rng.integers(0, 12) if rng.random() < 0.5 else rng.integers(0, 4, sizes[source])
                )
                nodes[f"d {wire}"] = nir.Delay(
                    DT_S * np.broadcast_to(steps, sizes[source]).astype(float)
                )
                edges += [(source, f"d {wire}"), (f"d {wire}", wire), (wire, name)]
            else:
                edges += [(source, wire), (wire, name)]
    for name in names[-2:]:
        nodes[f"out {name}"] = nir.Output({"output": np.array([sizes[name]])})
        edges.append((name, f"out {name}"))
    return graph(nodes, edges)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.integers(0, 1 << 31),
    st.sampled_from(["model", "zero", "subtract"]),
    st.sampled_from(["synapses", "relays"]),
)
def test_device_and_integer_form_are_one(seed: int, reset: str, delays: str) -> None:
    options = Options(dt_s=DT_S, reset=reset, chip=(("delays", delays),))
    made = api.compile_model(network(seed), "spinnaker2:chip", options)
    channels = len(made.bundle.manifest["input_map"])
    inputs = np.random.default_rng(seed).poisson(0.3, (3, STEPS, channels))
    np.testing.assert_array_equal(made.bundle.run(inputs).output, run(made.integer, inputs).output)
