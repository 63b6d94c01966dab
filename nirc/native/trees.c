/* Trees of multicast nets: see nirc/mapping/routing, links.py, trees.py and route.py. */
#include "mapping.h"

typedef struct {
    int64_t width, height, depth, wraps, triangular, axes;
} Mesh;

/* Reads size (x, y, z), wraps, triangular. */
static Mesh mesh_of(const Argument *a) {
    const int64_t *size = a[0].data;
    return (Mesh){size[0], size[1], size[2], a[1].integer, a[2].integer, 0};
}

static int64_t modulo(int64_t a, int64_t n) { return (a % n + n) % n; }

static int64_t ring(int64_t delta, int64_t n) {
    delta = modulo(delta, n);
    return 2 * delta <= n ? delta : delta - n;
}

static void triangle(int64_t x, int64_t y, int64_t *steps) {
    int64_t diagonal = 0;
    if (x > 0 && y > 0) diagonal = least(x, y);
    else if (x < 0 && y < 0) diagonal = most(x, y);
    steps[0] = x - diagonal;
    steps[1] = diagonal;
    steps[2] = y - diagonal;
}

static int64_t length(const int64_t *steps) {
    return llabs(steps[0]) + llabs(steps[1]) + llabs(steps[2]);
}

/* Signed steps of a shortest route along each axis: see steps_between. */
static void steps_between(const Mesh *m, int64_t source, int64_t target, int64_t *steps) {
    int64_t width = m->width, plane = m->width * m->height;
    int64_t x = target % width - source % width;
    int64_t y = target / width % m->height - source / width % m->height;
    int64_t z = target / plane - source / plane;
    steps[0] = x, steps[1] = y, steps[2] = z;
    if (!m->wraps) {
        if (m->triangular) triangle(x, y, steps);
    } else if (!m->triangular) {
        steps[0] = ring(x, width), steps[1] = ring(y, m->height), steps[2] = ring(z, m->depth);
    } else {
        int64_t fewest = -1, other[3];
        x = modulo(x, width), y = modulo(y, m->height);
        for (int k = 0; k < 4; k++) {
            triangle(k & 2 ? x - width : x, k & 1 ? y - m->height : y, other);
            if (fewest >= 0 && length(other) >= fewest) continue;
            fewest = length(other);
            memcpy(steps, other, sizeof other);
        }
    }
}

static int64_t hops_between(const Mesh *m, int64_t source, int64_t target) {
    int64_t steps[3];
    steps_between(m, source, target, steps);
    return length(steps);
}

/* source, target, size, wraps, triangular, hops (out). */
API int64_t map_hops(const Argument *a) {
    Mesh m = mesh_of(a + 2);
    const int32_t *source = a[0].data, *target = a[1].data;
    int32_t *hops = a[5].data;
    for (int64_t i = 0; i < a[0].rows; i++)
        hops[i] = (int32_t)hops_between(&m, source[i], target[i]);
    return 0;
}

/* What trees grow on: Grid, Scratch and Pressure of trees.py. */
typedef struct {
    Mesh mesh;
    int64_t routers, directions;
    const int32_t *target, *incoming, *before, *island;
    const double *cost, *goal, *history;
    double least_cost, *route_price, *loads;
    int64_t *seen, *opened, *closed, *search, *steps;
    int32_t *next_link;
    struct Waiting *heap;
    int64_t waiting, most_waiting, failed;
} Ground;

/* Reads Grid (target, incoming, before, island, cost, least_cost, size, wraps, triangular), Scratch
   (seen, opened, closed, route_price, next_link, search, steps), Pressure (loads, goal, history). */
static Ground ground_of(const Argument *a) {
    Ground g = {.mesh = mesh_of(a + 6),
                .routers = a[1].rows,
                .directions = a[1].columns,
                .target = a[0].data,
                .incoming = a[1].data,
                .before = a[2].data,
                .island = a[3].data,
                .cost = a[4].data,
                .least_cost = a[5].real,
                .seen = a[9].data,
                .opened = a[10].data,
                .closed = a[11].data,
                .route_price = a[12].data,
                .next_link = a[13].data,
                .search = a[14].data,
                .steps = a[15].data,
                .loads = a[16].data,
                .goal = a[17].data,
                .history = a[18].data};
    g.mesh.axes = g.directions / 2;
    return g;
}

static double price(const Ground *g, int64_t link, double weight) {
    double full = (g->loads[link] + weight) / g->goal[link];
    double price = g->cost[link] * (1.0 + g->history[link]);
    return price * (1.0 + full * full * full * full);
}

/* A router that waits, with the least price of a route over it, and its rank among equals. */
typedef struct Waiting {
    double price;
    int64_t rank, router;
} Waiting;

static int precedes(const Waiting *a, const Waiting *b) {
    if (a->price != b->price) return a->price < b->price;
    return a->rank != b->rank ? a->rank < b->rank : a->router < b->router;
}

static void push(Ground *g, Waiting w) {
    if (g->waiting == g->most_waiting) {
        int64_t room = 2 * g->most_waiting + 64;
        Waiting *heap = realloc(g->heap, (size_t)room * sizeof *heap);
        if (!heap) {
            g->failed = 1;
            return;
        }
        g->heap = heap;
        g->most_waiting = room;
    }
    int64_t i = g->waiting++;
    for (; i > 0 && precedes(&w, g->heap + (i - 1) / 2); i = (i - 1) / 2)
        g->heap[i] = g->heap[(i - 1) / 2];
    g->heap[i] = w;
}

static Waiting pop(Ground *g) {
    Waiting first = g->heap[0], last = g->heap[--g->waiting];
    int64_t i = 0;
    for (;;) {
        int64_t child = 2 * i + 1;
        if (child >= g->waiting) break;
        if (child + 1 < g->waiting && precedes(g->heap + child + 1, g->heap + child)) child++;
        if (!precedes(g->heap + child, &last)) break;
        g->heap[i] = g->heap[child];
        i = child;
    }
    g->heap[i] = last;
    return first;
}

/* Searches back from the target to the tree of `mark`: see cheapest_branch. Returns the end of out,
   or -1. */
static int64_t cheapest_branch(Ground *g, int64_t source, int64_t target, int64_t mark, double weight,
                               int32_t *out, int64_t end) {
    int64_t search = ++g->search[0];
    g->route_price[target] = 0;
    g->opened[target] = search;
    g->waiting = 0;
    push(g, (Waiting){0, 0, target});
    while (g->waiting && !g->failed) {
        int64_t router = pop(g).router;
        if (g->closed[router] == search) continue;
        g->closed[router] = search;
        g->steps[0]++;
        if (g->seen[router] == mark) {
            while (router != target) {
                int32_t link = g->next_link[router];
                router = g->target[link];
                g->seen[router] = mark;
                out[end++] = link;
            }
            return end;
        }
        for (int64_t d = 0; d < g->directions; d++) {
            int32_t link = g->incoming[router * g->directions + d];
            if (link < 0) continue;
            int64_t before = g->before[router * g->directions + d];
            double total = g->route_price[router] + price(g, link, weight);
            if (g->opened[before] == search && total >= g->route_price[before]) continue;
            g->opened[before] = search;
            g->route_price[before] = total;
            g->next_link[before] = link;
            int64_t hops = hops_between(&g->mesh, source, before);
            int64_t rank = hops * g->mesh.axes - d % g->mesh.axes;
            push(g, (Waiting){total + g->least_cost * (double)hops, rank, before});
        }
    }
    return -1;
}

static void reverse(int32_t *low, int32_t *high) {
    while (low < high) {
        int32_t kept = *low;
        *low++ = *high;
        *high-- = kept;
    }
}

/* Walks the ordered route from the target to the tree. Returns the end of out, or -1: broken. */
static int64_t ordered_branch(Ground *g, int64_t source, int64_t target, int64_t net, int32_t *out,
                              int64_t begin) {
    int64_t steps[3], axes = g->mesh.axes, router = target, end = begin;
    int order[3] = {2, 1, 0};
    steps_between(&g->mesh, source, target, steps);
    for (int k = 0; g->mesh.triangular && k < 3; k++) { /* sorts the axes by number of steps */
        int i = k == 1, kept = order[i];
        if (llabs(steps[order[i + 1]]) >= llabs(steps[kept])) continue;
        order[i] = order[i + 1];
        order[i + 1] = kept;
    }
    for (int k = 0; k < 3; k++) {
        int64_t axis = order[k], direction = steps[axis] > 0 ? axis : axis + axes;
        for (int64_t left = llabs(steps[axis]); left && g->seen[router] != net; left--) {
            int64_t before = g->before[router * g->directions + direction];
            if (before < 0) {
                for (int64_t i = begin; i < end; i++) g->seen[g->target[out[i]]] = -1;
                return -1;
            }
            g->seen[router] = net;
            out[end++] = g->incoming[router * g->directions + direction];
            router = before;
        }
    }
    reverse(out + begin, out + end - 1);
    return end;
}

/* net, source, first, target, weight, ground, lost, tree_first, out. Grows trees from `net` on, until
   `out` might not hold the next. Returns the next net. */
API int64_t map_trees(const Argument *a) {
    int64_t net = a[0].integer, end = 0, capacity = a[26].rows;
    const int32_t *source = a[1].data, *target = a[3].data;
    const int64_t *first = a[2].data;
    const double *weight = a[4].data;
    Ground g = ground_of(a + 5);
    char *lost = a[24].data;
    int64_t *tree_first = a[25].data;
    int32_t *out = a[26].data;
    for (; net < a[1].rows && end + g.routers <= capacity && !g.failed; net++) {
        int64_t begin = end, broken = 0;
        int32_t island = g.island[source[net]];
        g.seen[source[net]] = net;
        for (int64_t pair = first[net]; pair < first[net + 1]; pair++) {
            if (island < 0 || g.island[target[pair]] != island) {
                lost[pair] = 1;
                continue;
            }
            int64_t branch = ordered_branch(&g, source[net], target[pair], net, out, end);
            broken += branch < 0;
            end = most(end, branch);
        }
        for (int64_t pair = first[net]; broken && pair < first[net + 1]; pair++) {
            if (lost[pair] || g.seen[target[pair]] == net) continue;
            int64_t branch = cheapest_branch(&g, source[net], target[pair], net, weight[net], out, end);
            lost[pair] = branch < 0;
            end = most(end, branch);
        }
        for (int64_t i = begin; i < end; i++) g.loads[out[i]] += weight[net];
        tree_first[net + 1] = tree_first[net] + end - begin;
    }
    free(g.heap);
    return g.failed ? NO_MEMORY : net;
}

/* Gives a net a cheaper tree behind `filled`, if there is one. Returns the pool's new end. */
static int64_t cheaper_tree(Ground *g, int64_t source, const int32_t *targets, int64_t count,
                            double weight, int64_t *begin, int64_t *end, int32_t *pool,
                            int64_t filled, int64_t *hops, int64_t *order, int64_t *memory) {
    double before = 0, after = 0;
    for (int64_t i = *begin; i < *end; i++) g->loads[pool[i]] -= weight;
    for (int64_t i = *begin; i < *end; i++) before += price(g, pool[i], weight);
    int64_t mark = ++g->search[0], stop = filled;
    g->seen[source] = mark;
    for (int64_t i = 0; i < count; i++) {
        hops[i] = hops_between(&g->mesh, source, targets[i]);
        order[i] = i;
    }
    sort_stable(order, memory, hops, count);
    for (int64_t i = 0; i < count; i++) {
        int64_t target = targets[order[i]];
        if (g->seen[target] != mark)
            stop = cheapest_branch(g, source, target, mark, weight, pool, stop);
    }
    for (int64_t i = filled; i < stop; i++) after += price(g, pool[i], weight);
    if (after < before * (1 - 1e-9)) {
        *begin = filled;
        *end = stop;
        filled = stop;
    }
    for (int64_t i = *begin; i < *end; i++) g->loads[pool[i]] += weight;
    return filled;
}

/* todo, source, first, target, weight, ground, begin, end, pool, filled (1, in, out), work. Returns
   the number of nets that are done. */
API int64_t map_reroute(const Argument *a) {
    const int64_t *todo = a[0].data, *first = a[2].data;
    const int32_t *source = a[1].data, *target = a[3].data;
    const double *weight = a[4].data;
    Ground g = ground_of(a + 5);
    int64_t *begin = a[24].data, *end = a[25].data, *filled = a[27].data, work = a[28].integer;
    int64_t done = 0, largest = 0;
    for (int64_t k = 0; k < a[0].rows; k++)
        largest = most(largest, first[todo[k] + 1] - first[todo[k]]);
    Room room = {0};
    int64_t *hops = take(&room, largest, 8), *order = take(&room, largest, 8);
    int64_t *memory = take(&room, largest, 8);
    if (room.failed) return leave(&room, 0);
    while (done < a[0].rows && *filled + g.routers <= a[26].rows && g.steps[0] < work && !g.failed) {
        int64_t net = todo[done++];
        *filled = cheaper_tree(&g, source[net], target + first[net], first[net + 1] - first[net],
                               weight[net], begin + net, end + net, a[26].data, *filled, hops, order,
                               memory);
    }
    free(g.heap);
    room.failed |= g.failed != 0;
    return leave(&room, done);
}
