/* Nets and their pins: see nirc/mapping/partition/hypergraph.py and sectors.py. */
#include "mapping.h"

/* begin, pin, weight, block, blocks. Returns the cost of the partition. */
API int64_t map_cost(const Argument *a) {
    const int64_t *begin = a[0].data, *pin = a[1].data, *weight = a[2].data, *block = a[3].data;
    int64_t cost = 0;
    Room room = {0};
    int64_t *seen = take(&room, a[4].integer, 8); /* the last net of the block, from 1 */
    if (room.failed) return leave(&room, 0);
    for (int64_t net = 0; net < a[2].rows; net++) {
        int64_t many = 0;
        for (int64_t j = begin[net]; j < begin[net + 1]; j++) {
            many += seen[block[pin[j]]] != net + 1;
            seen[block[pin[j]]] = net + 1;
        }
        cost += weight[net] * most(many - 1, 0);
    }
    return leave(&room, cost);
}

/* begin, pin, of_begin (nodes + 1, out), of_net (out). */
API int64_t map_incidence(const Argument *a) {
    const int64_t *begin = a[0].data, *pin = a[1].data;
    int64_t *of_begin = a[2].data, *of_net = a[3].data, nodes = a[2].rows - 1;
    Room room = {0};
    int64_t *at = take(&room, nodes, 8);
    if (room.failed) return leave(&room, 0);
    memset(of_begin, 0, (size_t)(nodes + 1) * 8);
    for (int64_t j = 0; j < a[1].rows; j++) of_begin[pin[j] + 1]++;
    for (int64_t node = 0; node < nodes; node++) of_begin[node + 1] += of_begin[node];
    memcpy(at, of_begin, (size_t)nodes * 8);
    for (int64_t net = 0; net < a[0].rows - 1; net++)
        for (int64_t j = begin[net]; j < begin[net + 1]; j++) of_net[at[pin[j]]++] = net;
    return leave(&room, 0);
}

static int rising(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void sort(int64_t *x, int64_t n) {
    if (n > 32) {
        qsort(x, (size_t)n, sizeof *x, rising);
        return;
    }
    for (int64_t i = 1; i < n; i++) {
        int64_t kept = x[i], j = i;
        for (; j > 0 && x[j - 1] > kept; j--) x[j] = x[j - 1];
        x[j] = kept;
    }
}

/* begin, pin, weight, cluster, count, begin, pin, weight of the result (out). Returns its nets. */
API int64_t map_contract(const Argument *a) {
    const int64_t *begin = a[0].data, *pin = a[1].data, *weight = a[2].data, *cluster = a[3].data;
    int64_t *to_begin = a[5].data, *to_pin = a[6].data, *to_weight = a[7].data, kept = 0, end = 0;
    Room room = {0};
    int64_t *seen = take(&room, a[4].integer, 8);
    if (room.failed) return leave(&room, 0);
    to_begin[0] = 0;
    for (int64_t net = 0; net < a[2].rows; net++) {
        for (int64_t j = begin[net]; j < begin[net + 1]; j++) {
            int64_t here = cluster[pin[j]];
            if (seen[here] != net + 1) to_pin[end++] = here;
            seen[here] = net + 1;
        }
        if (end - to_begin[kept] < 2) {
            end = to_begin[kept];
            continue;
        }
        sort(to_pin + to_begin[kept], end - to_begin[kept]);
        to_weight[kept++] = weight[net];
        to_begin[kept] = end;
    }
    return leave(&room, kept);
}

/* begin, pin, share (nets), rounds, values (functions, nodes, in, out): see _averaged. */
API int64_t map_average(const Argument *a) {
    const int64_t *begin = a[0].data, *pin = a[1].data;
    const double *share = a[2].data;
    int64_t nets = a[2].rows, nodes = a[4].columns;
    Room room = {0};
    double *degree = take(&room, nodes, 8), *sum = take(&room, nodes, 8);
    if (room.failed) return leave(&room, 0);
    for (int64_t net = 0; net < nets; net++)
        for (int64_t j = begin[net]; j < begin[net + 1]; j++)
            degree[pin[j]] += share[net] * (double)(begin[net + 1] - begin[net]);
    for (int64_t k = 0; k < a[3].integer * a[4].rows; k++) {
        double *x = (double *)a[4].data + k % a[4].rows * nodes;
        memset(sum, 0, (size_t)nodes * 8);
        for (int64_t net = 0; net < nets; net++) {
            double total = 0;
            for (int64_t j = begin[net]; j < begin[net + 1]; j++) total += x[pin[j]];
            total *= share[net];
            for (int64_t j = begin[net]; j < begin[net + 1]; j++) sum[pin[j]] += total;
        }
        for (int64_t node = 0; node < nodes; node++)
            if (degree[node] > 0) x[node] = 0.5 * (x[node] + sum[node] / degree[node]);
    }
    return leave(&room, 0);
}
