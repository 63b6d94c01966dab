"""What-if programs: each difference between NIR's dynamics and the chip's alone, still in floating
point.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from nirc.backends.spinnaker2.constants import whole_part
from nirc.backends.spinnaker2.drives import Drive
from nirc.backends.spinnaker2.legalise import Spinnaker2Legalise
from nirc.backends.spinnaker2.quantise import Quantised, Spinnaker2Quantise
from nirc.diagnostics.log import Log
from nirc.ir.arrays import Float, frozen
from nirc.ir.linear import Sparse
from nirc.ir.populations import Bias, Discrete, Population, Projection
from nirc.ir.program import Program
from nirc.semantics.fixed_point import FixedPoint
from nirc.semantics.variations import altered, inverse

Made = dict[str, Quantised]


def approximations(discrete: Program, quantise: Spinnaker2Quantise) -> list[tuple[str, Program]]:
    """Programs by name, each with one approximation of the chip turned on."""
    legal = Spinnaker2Legalise().run(discrete, Log())
    made = quantise.planned(legal, Log())
    narrow = any(q.delayed for q in made.values())
    weights = _driven(legal, made, lambda q, d: replace(d.projection, ops=q.in_volts(d)))
    found = [
        ("weights: 8 bits" + (", or 4 and a sign where delays differ" if narrow else ""), weights),
        ("states: single precision", altered(legal, lambda _, d: _single(d))),
    ]
    if (clocked := _clocked(legal, made)) is not None:
        found.append(("constants: through a filter in whole weights", clocked))
    if any(
        _lag(q, d) != d.projection.lag
        for q in made.values()
        for d in q.into
        if q.name in legal.graph
    ):
        late = _driven(
            legal, made, lambda q, d: replace(d.projection, delay_steps=_lag(q, d), feedback=False)
        )
        found.append(("delays: a step for every synapse", late))
    return found


def _lag(q: Quantised, drive: Drive) -> int:
    """Steps on the chip, counted in the model's steps; relays on the way included."""
    return q.plan.late[drive.source] + 1 + drive.extra - q.late


def _driven(
    legal: Program, made: Made, change: Callable[[Quantised, Drive], Projection]
) -> Program:
    """The legal program with every projection that has synapses as ``change`` makes it, without
    relays.
    """
    edges = [(s, t, p) for s, t, p in legal.edges() if not isinstance(legal[t], Population)]
    for name in legal.nodes(Population):
        q = made[name]
        edges += [
            (_origin(legal, made, d.source), name, replace(change(q, d), biases=())) for d in q.into
        ]
        for source, p in legal.into(name):
            if p.biases:
                nothing = np.zeros(0, np.int64)
                none = Sparse(nothing, nothing, frozen(np.zeros(0)), legal[source].n, q.n)
                edges.append((source, name, replace(p, ops=(none,))))
    return legal.rebuilt(dict(legal.graph.nodes(data="payload")), edges)


def _origin(legal: Program, made: Made, source: str) -> str:
    while source not in legal.graph:  # a relay, which one population drives
        source = made[source].into[0].source
    return source


def _single(d: Discrete) -> FixedPoint:
    def decayed(x: Float, kept: Float, unit: Float) -> Float:
        left: Float = (x.astype(np.float32) * kept.astype(np.float32)).astype(np.float64)
        return left

    return FixedPoint(d, np.ones_like(d.decay_mem), decayed=decayed)


def _clocked(legal: Program, made: Made) -> Program | None:
    """Constants behind a filter: whole weights through it, what is left at once with its final
    value; else None.
    """
    nodes = dict(legal.graph.nodes(data="payload"))
    edges, any_ = [], False
    for name in legal.graph:
        q = made.get(name)
        for source, p in legal.into(name):
            if q is None or not q.filtered or not any(b.value.any() for b in p.biases):
                edges.append((source, name, p))
                continue
            d, gain = nodes[name].dynamics, q.receptors.gains[p.synapse]
            decay = d.decay_syn_2 if p.synapse else d.decay_syn
            biases, drift = [], d.drift
            for b in p.biases:
                whole, left = whole_part(b.value * gain * q.scale, q.limit)
                biases.append(
                    Bias(frozen(whole * inverse(gain * q.scale)), b.onset_s, b.onset_steps)
                )
                drift = drift + left / q.scale * inverse(1 - decay)
            any_ = True
            nodes[name] = replace(nodes[name], dynamics=replace(d, drift=frozen(drift)))
            edges.append((source, name, replace(p, biases=tuple(biases))))
    return legal.rebuilt(nodes, edges) if any_ else None
