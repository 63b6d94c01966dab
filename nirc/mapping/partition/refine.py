"""Better blocks of a hypergraph by moves of single nodes (Fiduccia and Mattheyses 1982).

A pass moves each node at most once, the best first, also where the cost rises for a while, and
goes back to the best state that it saw. Gains of all blocks are kept up to date.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nirc.mapping.partition.boxes import Ints
from nirc.mapping.partition.hypergraph import Hypergraph, shuffled
from nirc.native.loops import in_c

NOWHERE = -(1 << 59)  # the gain of a node that fits no other block
MOST_OVER = 250_000_000  # work beyond what is left, at which moves end
MOST_WAITING = 50  # nodes that are passed over until one fits


def refined(
    graph: Hypergraph, block: Ints, capacity: Ints, *, passes: int, patience: int, state: Ints
) -> None:
    """Improve ``block`` (nodes,) in place. ``capacity`` (blocks, resources).

    Blocks above their capacity are brought below it first, as far as nodes fit elsewhere.
    ``patience``: moves without a better state after which a pass ends. ``state``: of the generator,
    and the work that is left. Without it each call is one pass.
    """
    nets = graph.begin, graph.pin, graph.weight, *graph.incidence, graph.size
    _refine(nets, block, capacity, passes, patience, state)


def _fits(load: Any, size: Any, node: Any, block: Any, capacity: Any) -> Any:
    fits = True
    for r in range(size.shape[1]):
        fits = fits and load[block, r] + size[node, r] <= capacity[block, r]
    return fits


def excess(load: Any, block: Any, capacity: Any) -> Any:
    """Return how far a block is above its capacity, as shares of it, added up."""
    total = 0.0
    for r in range(load.shape[1]):
        if load[block, r] > capacity[block, r]:
            total += (load[block, r] - capacity[block, r]) / max(1, capacity[block, r])
    return total


def _best(node: Any, held: Any, size: Any, capacity: Any) -> Any:
    """Return the best gain of a move of ``node`` and its block. Ties go to the emptier block."""
    block, load, _, kept, missing = held
    gain = NOWHERE
    best = -1
    for b in range(load.shape[0]):
        if b != block[node] and _fits(load, size, node, b, capacity):
            here = kept[node] - missing[node, b]
            if here > gain or (here == gain and load[b, 0] < load[best, 0]):
                gain = here
                best = b
    return gain, best


def _gain(node: Any, to: Any, held: Any, size: Any, capacity: Any) -> Any:
    """Return the gain of a move of ``node`` to a block, if it fits there."""
    block, load, _, kept, missing = held
    if block[node] == to or not _fits(load, size, node, to, capacity):
        return NOWHERE
    return kept[node] - missing[node, to]


def _hope(node: Any, held: Any, size: Any, capacity: Any) -> Any:
    """Return the best gain of a move of ``node``, as if all blocks had room where none has."""
    gain, to = _best(node, held, size, capacity)
    if to >= 0:
        return gain
    block, _, _, kept, missing = held
    for b in range(missing.shape[1]):
        if b != block[node]:
            gain = max(gain, kept[node] - missing[node, b])
    return gain


def _up(heap: Any, at: Any, key: Any, i: Any) -> Any:
    node = heap[i]
    while i > 0:
        parent = (i - 1) >> 1
        if key[heap[parent]] >= key[node]:
            break
        heap[i] = heap[parent]
        at[heap[i]] = i
        i = parent
    heap[i] = node
    at[node] = i


def _down(heap: Any, at: Any, key: Any, i: Any, n: Any) -> Any:
    node = heap[i]
    while True:
        child = 2 * i + 1
        if child >= n:
            break
        if child + 1 < n and key[heap[child + 1]] > key[heap[child]]:
            child += 1
        if key[heap[child]] <= key[node]:
            break
        heap[i] = heap[child]
        at[heap[i]] = i
        i = child
    heap[i] = node
    at[node] = i


def _place(heap: Any, at: Any, key: Any, node: Any, value: Any, n: Any) -> Any:
    """Give ``node`` a new key, in the heap or not yet. Return the number of nodes in the heap."""
    if at[node] < 0:
        key[node] = value
        heap[n] = node
        at[node] = n
        _up(heap, at, key, n)
        return n + 1
    before = key[node]
    key[node] = value
    if value > before:
        _up(heap, at, key, at[node])
    elif value < before:
        _down(heap, at, key, at[node], n)
    return n


def _remove(heap: Any, at: Any, key: Any, node: Any, n: Any) -> Any:
    """Remove ``node`` from the heap. Return the number of nodes that are left."""
    i = at[node]
    at[node] = -1
    n -= 1
    if i < n:
        heap[i] = heap[n]
        at[heap[i]] = i
        _up(heap, at, key, i)
        _down(heap, at, key, at[heap[i]], n)
    return n


def _move(nets: Any, held: Any, node: Any, to: Any) -> Any:
    """Move ``node`` and bring all gains up to date. Return the pins that were looked at."""
    begin, pin, weight, of_begin, of_net, size = nets
    block, load, pins, kept, missing = held
    work = of_begin[node + 1] - of_begin[node]
    a = block[node]
    block[node] = to
    for r in range(size.shape[1]):
        load[a, r] -= size[node, r]
        load[to, r] += size[node, r]
    kept[node] = 0
    for i in range(of_begin[node], of_begin[node + 1]):
        net = of_net[i]
        pins[net, a] -= 1
        pins[net, to] += 1
        left = pins[net, a]
        arrived = pins[net, to]
        if arrived == 1:
            kept[node] += weight[net]
        if left > 1 and arrived > 2:
            continue
        work += begin[net + 1] - begin[net]
        for j in range(begin[net], begin[net + 1]):
            other = pin[j]
            if left == 0:
                missing[other, a] += weight[net]
            elif left == 1 and block[other] == a:
                kept[other] += weight[net]
            if arrived == 1:
                missing[other, to] -= weight[net]
            elif arrived == 2 and other != node and block[other] == to:
                kept[other] -= weight[net]
    return work


@in_c("refine", "qqqqqqq*qnnq*")
def _refine(nets: Any, block: Any, capacity: Any, passes: Any, patience: Any, state: Any) -> Any:  # noqa: PLR0915
    begin, pin, weight, of_begin, of_net, size = nets
    nodes = size.shape[0]
    blocks = capacity.shape[0]
    pins = np.zeros((weight.size, blocks), np.int32)  # of each net in each block
    load = np.zeros((blocks, size.shape[1]), np.int64)
    for node in range(nodes):
        for r in range(size.shape[1]):
            load[block[node], r] += size[node, r]
    kept = np.zeros(nodes, np.int64)  # weight of nets with no other pin in the node's block
    missing = np.zeros((nodes, blocks), np.int64)  # weight of nets without a pin in a block
    touched = np.empty(blocks, np.int64)
    total = np.zeros(nodes, np.int64)
    for net in range(weight.size):
        for j in range(begin[net], begin[net + 1]):
            pins[net, block[pin[j]]] += 1
        many = 0
        for b in range(blocks):
            if pins[net, b] > 0:
                touched[many] = b
                many += 1
        for j in range(begin[net], begin[net + 1]):
            node = pin[j]
            if pins[net, block[node]] == 1:
                kept[node] += weight[net]
            total[node] += weight[net]
            for i in range(many):
                missing[node, touched[i]] -= weight[net]
    for node in range(nodes):
        missing[node] += total[node]
    held = block, load, pins, kept, missing
    _relieve(nets, held, capacity)
    key = np.zeros(nodes, np.int64)  # at least the best gain, but for room that moves made
    kept_then = np.zeros(nodes, np.int64)  # ``kept`` as the key counts it
    heap = np.empty(nodes, np.int64)
    at = np.full(nodes, -1, np.int64)
    moved = np.zeros(nodes, np.bool_)
    who = np.empty(nodes, np.int64)
    origin = np.empty(nodes, np.int64)
    waits = np.empty(MOST_WAITING, np.int64)
    for _ in range(passes):
        moved[:] = False
        at[:] = -1
        n = 0
        for node in shuffled(nodes, state):
            for i in range(of_begin[node], of_begin[node + 1]):
                net = of_net[i]
                if pins[net, block[node]] < begin[net + 1] - begin[net]:  # at a border
                    value = _hope(node, held, size, capacity)
                    kept_then[node] = kept[node]
                    n = _place(heap, at, key, node, value, n)
                    break
        done = 0
        sum_ = 0
        best = 0
        best_done = 0
        waiting = 0
        while n > 0 and done - best_done < patience and state[1] > -MOST_OVER:
            node = heap[0]
            gain, to = _best(node, held, size, capacity)
            if to < 0:  # it waits until some block has room, or a neighbour moves
                n = _remove(heap, at, key, node, n)
                if waiting < MOST_WAITING:
                    waits[waiting] = node
                    waiting += 1
                continue
            if gain < key[node]:
                kept_then[node] = kept[node]
                n = _place(heap, at, key, node, gain, n)
                continue
            n = _remove(heap, at, key, node, n)
            moved[node] = True
            who[done] = node
            origin[done] = block[node]
            done += 1
            sum_ += gain
            a = block[node]
            state[1] -= _move(nets, held, node, to)
            for i in range(of_begin[node], of_begin[node + 1]):
                net = of_net[i]
                if pins[net, a] > 1 and pins[net, to] > 2:
                    continue
                for j in range(begin[net], begin[net + 1]):
                    other = pin[j]
                    if moved[other]:
                        continue
                    if at[other] < 0:
                        value = _hope(other, held, size, capacity)
                    else:  # a move to any third block gains as much as before
                        value = key[other] + kept[other] - kept_then[other]
                        value = max(value, _gain(other, a, held, size, capacity))
                        value = max(value, _gain(other, to, held, size, capacity))
                    kept_then[other] = kept[other]
                    n = _place(heap, at, key, other, value, n)
            left = 0
            for i in range(waiting):
                other = waits[i]
                if at[other] < 0 and not moved[other]:
                    if _fits(load, size, other, a, capacity):
                        value, _to = _best(other, held, size, capacity)
                        kept_then[other] = kept[other]
                        n = _place(heap, at, key, other, value, n)
                    else:
                        waits[left] = other
                        left += 1
            waiting = left
            if sum_ > best:
                best = sum_
                best_done = done
        for i in range(done - 1, best_done - 1, -1):
            state[1] -= _move(nets, held, who[i], origin[i])
        if best == 0 or state[1] < 0:
            break


def _relieve(nets: Any, held: Any, capacity: Any) -> Any:
    """Move nodes out of blocks that are above their capacity, the cheapest first."""
    size = nets[5]
    block, load = held[0], held[1]
    for b in range(capacity.shape[0]):
        while excess(load, b, capacity) > 0:
            chosen = -1
            gain = NOWHERE
            for node in range(size.shape[0]):
                if block[node] == b:
                    value, to = _best(node, held, size, capacity)
                    if to >= 0 and value > gain:
                        gain = value
                        chosen = node
            if chosen < 0:
                break
            _, to = _best(chosen, held, size, capacity)
            _move(nets, held, chosen, to)
