/* Checks of trees of links, and what they load: see nirc/mapping/routing. */
#include "mapping.h"

/* source, first, target, tree_first, link, link_source, link_target, routers, hops (out), fault. */
API int64_t map_walk(const Argument *a) {
    const int32_t *source = a[0].data, *target = a[2].data, *link = a[4].data;
    const int32_t *from = a[5].data, *to = a[6].data;
    const int64_t *first = a[1].data, *tree_first = a[3].data;
    int32_t *hops = a[8].data;
    int64_t *fault = a[9].data, routers = a[7].integer;
    Room room = {0};
    int64_t *seen = take(&room, routers, 8); /* the last net at the router, from 1 */
    int32_t *depth = take(&room, routers, 4);
    if (room.failed) return leave(&room, 0);
    for (int64_t net = 0; net < a[0].rows; net++) {
        seen[source[net]] = net + 1;
        depth[source[net]] = 0;
        for (int64_t i = tree_first[net]; i < tree_first[net + 1]; i++) {
            int64_t here = from[link[i]], there = to[link[i]];
            if (seen[here] != net + 1 || seen[there] == net + 1) {
                fault[0] = net;
                fault[1] = seen[here] != net + 1 ? 1 : 2;
                return leave(&room, 0);
            }
            seen[there] = net + 1;
            depth[there] = depth[here] + 1;
        }
        for (int64_t pair = first[net]; pair < first[net + 1]; pair++) {
            if (seen[target[pair]] != net + 1) {
                fault[0] = net;
                fault[1] = 3;
                return leave(&room, 0);
            }
            hops[pair] = depth[target[pair]];
        }
    }
    return leave(&room, 0);
}

/* first, link, source, target, direction, routers, follows (links, directions). */
API int64_t map_follows(const Argument *a) {
    const int64_t *first = a[0].data;
    const int32_t *link = a[1].data, *source = a[2].data, *target = a[3].data, *direction = a[4].data;
    char *follows = a[6].data;
    Room room = {0};
    int64_t *seen = take(&room, a[5].integer, 8);
    int32_t *arrived = take(&room, a[5].integer, 4);
    if (room.failed) return leave(&room, 0);
    for (int64_t net = 0; net < a[0].rows - 1; net++)
        for (int64_t i = first[net]; i < first[net + 1]; i++) {
            int64_t here = source[link[i]], there = target[link[i]];
            if (seen[here] == net + 1)
                follows[arrived[here] * a[6].columns + direction[link[i]]] = 1;
            seen[there] = net + 1;
            arrived[there] = link[i];
        }
    return leave(&room, 0);
}

/* Goes back from link to link among the waiting links, until a link repeats. Returns the length of
   the cycle, which is in `path` from its end on. */
static int64_t cycle_backwards(const char *follows, int64_t links, int64_t directions,
                               const int32_t *next, int32_t *waiting, int32_t *before, int32_t *path) {
    int64_t link = 0, count = 0;
    for (int64_t i = 0; i < links; i++) before[i] = -1;
    for (int64_t i = 0; i < links; i++)
        for (int64_t d = 0; waiting[i] > 0 && d < directions; d++)
            if (follows[i * directions + d]) before[next[i * directions + d]] = (int32_t)i;
    for (int64_t i = 1; i < links; i++)
        if (waiting[i] > waiting[link]) link = i;
    for (int64_t i = 0; i < links; i++) waiting[i] = -1; /* from here on: positions on the path */
    while (waiting[link] < 0) {
        waiting[link] = (int32_t)count;
        path[count++] = (int32_t)link;
        link = before[link];
    }
    int64_t begin = waiting[link];
    memmove(path, path + begin, (size_t)(count - begin) * sizeof *path);
    for (int64_t i = 0, j = count - begin - 1; i < j; i++, j--) {
        int32_t kept = path[i];
        path[i] = path[j];
        path[j] = kept;
    }
    return count - begin;
}

/* follows, outgoing, target, path (links, out). Returns the length of a cycle in `path`, or 0. */
API int64_t map_cycle(const Argument *a) {
    const char *follows = a[0].data;
    const int32_t *outgoing = a[1].data, *target = a[2].data;
    int64_t links = a[0].rows, directions = a[0].columns, end = 0;
    int32_t *path = a[3].data;
    Room room = {0};
    int32_t *waiting = take(&room, links, 4), *ready = take(&room, links, 4);
    int32_t *next = take(&room, links * directions, 4);
    if (room.failed) return leave(&room, 0);
    for (int64_t i = 0; i < links * directions; i++) {
        if (!follows[i]) continue;
        next[i] = outgoing[target[i / directions] * directions + i % directions];
        waiting[next[i]]++;
    }
    for (int64_t link = 0; link < links; link++)
        if (waiting[link] == 0) ready[end++] = (int32_t)link;
    for (int64_t done = 0; done < end; done++)
        for (int64_t i = ready[done] * directions; i < (ready[done] + 1) * directions; i++)
            if (follows[i] && --waiting[next[i]] == 0) ready[end++] = next[i];
    if (end == links) return leave(&room, 0);
    return leave(&room, cycle_backwards(follows, links, directions, next, waiting, ready, path));
}

/* begin, end, pool, link (out). */
API int64_t map_copy(const Argument *a) {
    const int64_t *begin = a[0].data, *end = a[1].data;
    const int32_t *pool = a[2].data;
    int32_t *link = a[3].data;
    for (int64_t net = 0; net < a[0].rows; net++)
        for (int64_t i = begin[net]; i < end[net]; i++) *link++ = pool[i];
    return 0;
}

/* begin, end, pool, weight, loads (out, zeros). */
API int64_t map_loads(const Argument *a) {
    const int64_t *begin = a[0].data, *end = a[1].data;
    const int32_t *pool = a[2].data;
    const double *weight = a[3].data;
    double *loads = a[4].data;
    for (int64_t net = 0; net < a[0].rows; net++)
        for (int64_t i = begin[net]; i < end[net]; i++) loads[pool[i]] += weight[net];
    return 0;
}

/* begin, end, pool, marked (links), uses (nets, out). */
API int64_t map_uses(const Argument *a) {
    const int64_t *begin = a[0].data, *end = a[1].data;
    const int32_t *pool = a[2].data;
    const char *marked = a[3].data;
    char *uses = a[4].data;
    for (int64_t net = 0; net < a[0].rows; net++) {
        uses[net] = 0;
        for (int64_t i = begin[net]; i < end[net]; i++) uses[net] |= marked[pool[i]];
    }
    return 0;
}

/* island (in, out), outgoing, incoming, source, target. */
API int64_t map_label(const Argument *a) {
    int32_t *island = a[0].data;
    const int32_t *outgoing = a[1].data, *incoming = a[2].data, *source = a[3].data;
    const int32_t *target = a[4].data;
    int64_t routers = a[0].rows, directions = a[1].columns, number = 0;
    Room room = {0};
    int32_t *stack = take(&room, routers, 4);
    if (room.failed) return leave(&room, 0);
    for (int64_t start = 0; start < routers; start++) {
        if (island[start] != 0) continue;
        island[start] = (int32_t)++number;
        stack[0] = (int32_t)start;
        for (int64_t top = 1; top;) {
            int64_t router = stack[--top];
            for (int64_t d = 0; d < 2 * directions; d++) {
                int64_t at = router * directions + d / 2;
                int32_t link = d & 1 ? incoming[at] : outgoing[at];
                if (link < 0) continue;
                int32_t there = d & 1 ? source[link] : target[link];
                if (island[there] != 0) continue;
                island[there] = (int32_t)number;
                stack[top++] = there;
            }
        }
    }
    return leave(&room, 0);
}
