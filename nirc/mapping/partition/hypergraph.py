"""Neurons and their spikes as a weighted hypergraph, and its contraction.

A net holds a neuron and the targets of its spikes. Its weight is the neuron's spikes in a step. A
net that touches p blocks costs its weight p - 1 times: each block after the source's own gets one
message.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from nirc.mapping.chance import below, following
from nirc.mapping.partition.boxes import Ints
from nirc.native.loops import in_c

PASSES = 10  # work of a level for each pin, with sorting
SHRINK = 2.5  # nodes of a level for one of the next
STALLED = 0.95  # a level with more of the nodes before it is not worth its time
MOST_RATED = 20_000  # pins from which a node chooses its cluster
LARGEST_NET = 1000  # nets with more pins do not tell which neurons belong together


@dataclass(frozen=True, eq=False)
class Hypergraph:
    """Nets over nodes. ``begin`` (nets + 1,), ``pin``: the nodes of each net, each once.

    ``weight`` (nets,): integers. ``size`` (nodes, resources): the use of each resource.
    """

    begin: Ints
    pin: Ints
    weight: Ints
    size: Ints

    @cached_property
    def incidence(self) -> tuple[Ints, Ints]:
        """Return the nets of each node: (nodes + 1,) begins, and the nets."""
        begin, net = np.empty(len(self.size) + 1, np.int64), np.empty_like(self.pin)
        _incidence(self.begin, self.pin, begin, net)
        return begin, net

    def cost(self, block: Ints) -> int:
        """Return the cost of a partition, ``block`` (nodes,)."""
        return int(_cost(self.begin, self.pin, self.weight, block, int(block.max(initial=0)) + 1))

    def loads(self, block: Ints, blocks: int) -> Ints:
        """Return (blocks, resources) the use of each block."""
        loads = np.zeros((blocks, self.size.shape[1]), np.int64)
        np.add.at(loads, block, self.size)
        return loads

    def of(self, nodes: Ints) -> Hypergraph:
        """Return the hypergraph of some nodes, with the nets that still have two pins."""
        number = np.full(len(self.size), -1)
        number[nodes] = np.arange(len(nodes))
        pin = number[self.pin]
        inside = pin >= 0
        count = np.diff(np.append(0, np.cumsum(inside))[self.begin])
        kept = count >= 2
        pin = pin[inside & np.repeat(kept, np.diff(self.begin))]
        begin = np.append(0, np.cumsum(count[kept]))
        return Hypergraph(begin, pin, self.weight[kept], self.size[nodes])


def hypergraph(source: Ints, target: Ints, weight: Ints, size: Ints) -> Hypergraph:
    """Return the nets of neurons with synapses. ``size``: of the nodes.

    ``weight`` (sources,): the spikes of each. A source beyond the nodes is no pin of its own net.
    """
    nodes = len(size)
    own = np.arange(nodes)
    pairs = np.unique(np.append(own, source) * nodes + np.append(own, target))
    net, pin = np.divmod(pairs, nodes)
    count = np.bincount(net, minlength=len(weight))
    used = count > 1  # a net with one pin costs nothing
    begin = np.append(0, np.cumsum(count[used]))
    return Hypergraph(begin, pin[used[net]], weight[used], size)


@dataclass(frozen=True, eq=False)
class Level:
    """A hypergraph and the hypergraph of its clusters. ``cluster`` (nodes,): of each node."""

    fine: Hypergraph
    cluster: Ints


def coarsened(
    graph: Hypergraph, fewest: int, largest: Ints, state: Ints, block: Ints | None = None
) -> tuple[list[Level], Hypergraph, Ints]:
    """Join neighbours until about ``fewest`` nodes are left.

    ``largest`` (resources,): no cluster is larger. ``block``: nodes of different blocks are not
    joined. Return the levels, the coarsest hypergraph and the blocks of its nodes.
    """
    levels: list[Level] = []
    blocks = np.zeros(len(graph.size), np.int64) if block is None else block.copy()
    while len(graph.size) > fewest:
        nodes = len(graph.size)
        most = max(fewest, int(nodes / SHRINK))
        state[1] -= PASSES * graph.pin.size
        leader = np.arange(nodes)
        _clusters(
            graph.begin,
            graph.pin,
            graph.weight,
            *graph.incidence,
            graph.size,
            largest,
            blocks,
            most,
            state,
            leader,
        )
        _, first, cluster = np.unique(leader, return_index=True, return_inverse=True)
        if len(first) > STALLED * nodes:
            break
        levels.append(Level(graph, cluster.astype(np.int64)))
        graph = _contracted(graph, levels[-1].cluster, len(first))
        blocks = blocks[first]
    return levels, graph, blocks


def _contracted(graph: Hypergraph, cluster: Ints, count: int) -> Hypergraph:
    size = np.zeros((count, graph.size.shape[1]), np.int64)
    np.add.at(size, cluster, graph.size)
    nets = graph.begin, graph.pin, graph.weight
    begin, pin, weight = (np.empty_like(array) for array in nets)
    kept = _contract(nets, cluster, count, begin, pin, weight)
    return Hypergraph(
        begin[: kept + 1].copy(), pin[: begin[kept]].copy(), weight[:kept].copy(), size
    )


@in_c("incidence", "qqq*q*")
def _incidence(begin: Ints, pin: Ints, of_begin: Ints, of_net: Ints) -> None:
    """Write the nets of each node: (nodes + 1,) begins, and the nets."""
    net = np.repeat(np.arange(begin.size - 1), np.diff(begin))
    order = np.argsort(pin, kind="stable")
    of_begin[:] = np.searchsorted(pin[order], np.arange(of_begin.size))
    of_net[:] = net[order]


@in_c("cost", "qqqqn")
def _cost(begin: Ints, pin: Ints, weight: Ints, block: Ints, blocks: int) -> int:
    """Return the sum over the nets of weight times blocks beyond the first."""
    net = np.repeat(np.arange(weight.size), np.diff(begin))
    pairs = np.unique(net * blocks + block[pin])
    touched = np.bincount(pairs // blocks, minlength=weight.size)
    return int((weight * np.maximum(touched - 1, 0)).sum())


@in_c("contract", "qqqqnq*q*q*")
def _contract(
    nets: tuple[Ints, Ints, Ints], cluster: Ints, count: int, begin: Ints, pin: Ints, weight: Ints
) -> int:
    """Write the nets that still have two pins. Return their number."""
    net = np.repeat(np.arange(weight.size), np.diff(nets[0]))
    net, pins = np.divmod(np.unique(net * count + cluster[nets[1]]), count)
    many = np.bincount(net, minlength=weight.size)
    kept = many >= 2
    number = int(np.count_nonzero(kept))
    begin[: number + 1] = np.append(0, np.cumsum(many[kept]))
    pin[: begin[number]] = pins[kept[net]]
    weight[:number] = nets[2][kept]
    return number


@in_c("clusters", "qqqqqqqqnq*q*")
def _clusters(
    begin: Any,
    pin: Any,
    weight: Any,
    of_begin: Any,
    of_net: Any,
    size: Any,
    largest: Any,
    block: Any,
    most: Any,
    state: Any,
    leader: Any,
) -> Any:
    """Write (nodes,) the leader of each node's cluster. Each node joins the heaviest neighbour.

    ``leader``: the numbers of the nodes.
    """
    nodes, resources = size.shape
    total = size.copy()
    alone = np.ones(nodes, np.bool_)
    rating = np.zeros(nodes)
    touched = np.empty(nodes, np.int64)
    left = nodes
    lonely = -1  # the last leader of nodes without neighbours
    for node in shuffled(nodes, state):
        if not alone[node]:
            continue
        if left <= most:
            break
        many = 0
        seen = 0
        for i in range(of_begin[node], of_begin[node + 1]):
            net = of_net[i]
            pins = begin[net + 1] - begin[net]
            if pins > LARGEST_NET:
                continue
            seen += pins
            if seen > MOST_RATED:
                break
            share = weight[net] / (pins - 1)
            for j in range(begin[net], begin[net + 1]):
                other = leader[pin[j]]
                if other != node:
                    if rating[other] == 0:
                        touched[many] = other
                        many += 1
                    rating[other] += share
        best = -1
        highest = 0.0
        for i in range(many):
            other = touched[i]
            value = rating[other] / bulk(total, other, largest)
            if value > highest and _joins(other, node, block, total, largest):
                highest = value
                best = other
            rating[other] = 0
        if many == 0:
            if lonely >= 0 and _joins(lonely, node, block, total, largest):
                best = lonely
            else:
                lonely = node
        if best >= 0:
            leader[node] = best
            alone[node] = False
            alone[best] = False
            left -= 1
            for r in range(resources):
                total[best, r] += total[node, r]


def _joins(leader: Any, node: Any, block: Any, total: Any, largest: Any) -> Any:
    """Return True if a cluster may take ``node``."""
    if block[leader] != block[node]:
        return False
    fits = True
    for r in range(largest.size):
        fits = fits and total[leader, r] + total[node, r] <= largest[r]
    return fits


def bulk(size: Any, node: Any, largest: Any) -> Any:
    """Return the largest use of a resource by ``node``, as a share of ``largest``."""
    share = 1e-9
    for r in range(largest.size):
        if largest[r] > 0:
            share = max(share, size[node, r] / largest[r])
    return share


def shuffled(n: Any, state: Any) -> Any:
    """Return 0..n-1 in random order. ``state`` (1,): of the generator, which goes on."""
    order = np.arange(n)
    now = np.uint64(state[0])
    for i in range(n - 1, 0, -1):
        now = following(now)
        j = below(now >> np.uint64(32), i + 1)
        order[i], order[j] = order[j], order[i]
    state[0] = np.int64(now)
    return order
