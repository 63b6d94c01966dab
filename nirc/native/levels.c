/* Pairs of nodes, spectral layout and halves: see nirc/mapping/placement/multilevel.py. */
#include <math.h>

#include "mapping.h"

/* indptr, neighbours, weights, size, most, order, group (out). Returns the number of groups. */
API int64_t map_match(const Argument *a) {
    const int64_t *indptr = a[0].data, *weights = a[2].data, *size = a[3].data, *order = a[5].data;
    const int32_t *neighbours = a[1].data;
    int64_t largest = a[4].integer, nodes = a[3].rows, *group = a[6].data, groups = 0;
    for (int64_t node = 0; node < nodes; node++) group[node] = -1;
    for (int64_t k = 0; k < nodes; k++) {
        int64_t node = order[k], partner = -1;
        if (group[node] >= 0) continue;
        double best = 0;
        for (int64_t j = indptr[node]; j < indptr[node + 1]; j++) {
            int64_t other = neighbours[j];
            if (group[other] >= 0 || size[node] + size[other] > largest) continue;
            double rating = (double)weights[j] / (double)size[other];
            if (rating > best) {
                best = rating;
                partner = other;
            }
        }
        group[node] = groups;
        if (partner >= 0) group[partner] = groups;
        groups++;
    }
    return groups;
}

/* The longest axis of some spots. */
static int longest_axis(const int64_t *spots, const int64_t *spot, int64_t n) {
    int axis = 0;
    int64_t longest = -1;
    for (int k = 0; k < 3; k++) {
        int64_t low = spots[3 * spot[0] + k], high = low;
        for (int64_t i = 1; i < n; i++) {
            low = least(low, spots[3 * spot[i] + k]);
            high = most(high, spots[3 * spot[i] + k]);
        }
        if (high - low > longest) {
            axis = k;
            longest = high - low;
        }
    }
    return axis;
}

/* Sorts rows of (n, 3) by one column, equal ones in order. key, memory: room for all rows. */
static void sort_rows(int64_t *order, int64_t n, const int64_t *rows, int axis, int64_t *key,
                      int64_t *memory) {
    for (int64_t i = 0; i < n; i++) key[order[i]] = rows[3 * order[i] + axis];
    sort_stable(order, memory, key, n);
}

/* Where the sorted spots c0 to c1 are cut: between two coordinates, if there are two. */
static int64_t middle_of(const int64_t *key, const int64_t *spot, int64_t c0, int64_t c1) {
    int64_t middle = c0 + (c1 - c0) / 2;
    while (middle > c0 + 1 && key[spot[middle]] == key[spot[middle - 1]]) middle--;
    if (key[spot[middle]] != key[spot[middle - 1]]) return middle;
    middle = c0 + (c1 - c0) / 2;
    while (middle < c1 - 1 && key[spot[middle]] == key[spot[middle - 1]]) middle++;
    return middle;
}

/* places (nodes, 3), spots (cells, 3), picked (nodes, out). */
API int64_t map_halve(const Argument *a) {
    const int64_t *places = a[0].data, *spots = a[1].data;
    int64_t nodes = a[0].rows, count = a[1].rows, *picked = a[2].data, top = 1;
    Room room = {0};
    int64_t *node = take(&room, nodes, 8), *spot = take(&room, count, 8);
    int64_t *key = take(&room, most(nodes, count), 8), *memory = take(&room, most(nodes, count), 8);
    /* The right half is done first, so at most one range waits for each of 64 halvings. */
    int64_t(*stack)[4] = take(&room, count + 64, sizeof *stack);
    if (room.failed) return leave(&room, 0);
    for (int64_t i = 0; i < nodes; i++) node[i] = i, picked[i] = -1;
    for (int64_t i = 0; i < count; i++) spot[i] = i;
    stack[0][1] = nodes, stack[0][3] = count;
    while (top) {
        int64_t n0 = stack[--top][0], n1 = stack[top][1], c0 = stack[top][2], c1 = stack[top][3];
        if (n1 == n0) continue;
        if (c1 - c0 == 1) {
            picked[node[n0]] = spot[c0];
            continue;
        }
        int axis = longest_axis(spots, spot + c0, c1 - c0);
        sort_rows(node + n0, n1 - n0, places, axis, key, memory);
        sort_rows(spot + c0, c1 - c0, spots, axis, key, memory);
        int64_t middle = middle_of(key, spot, c0, c1);
        int64_t left = ((n1 - n0) * (middle - c0) * 2 + (c1 - c0)) / (2 * (c1 - c0));
        left = most(least(left, middle - c0), n1 - n0 - (c1 - middle));
        int64_t halves[2][4] = {{n0, n0 + left, c0, middle}, {n0 + left, n1, middle, c1}};
        memcpy(stack + top, halves, sizeof halves);
        top += 2;
    }
    return leave(&room, 0);
}

static double dot(const double *a, const double *b, int64_t n) {
    double total = 0;
    for (int64_t v = 0; v < n; v++) total += a[v] * b[v];
    return total;
}

/* Neighbours of nodes, and memory of the solver. */
typedef struct {
    const int64_t *indptr;
    const int32_t *neighbours;
    int64_t n, steps;
    double shift, *residue, *p, *ap;
} Laplacian;

/* x with (Laplacian + shift) x = right, in x's place. */
static void solve(const Laplacian *q, double *x) {
    int64_t n = q->n;
    double *residue = q->residue, *p = q->p, *ap = q->ap;
    memcpy(residue, x, (size_t)n * 8);
    memcpy(p, x, (size_t)n * 8);
    memset(x, 0, (size_t)n * 8);
    double norm = dot(residue, residue, n), goal = 1e-16 * norm;
    for (int64_t step = 0; step < q->steps && !(norm <= goal); step++) {
        for (int64_t v = 0; v < n; v++) {
            double total = ((double)(q->indptr[v + 1] - q->indptr[v]) + q->shift) * p[v];
            for (int64_t j = q->indptr[v]; j < q->indptr[v + 1]; j++) total -= p[q->neighbours[j]];
            ap[v] = total;
        }
        double alpha = norm / dot(p, ap, n), before = norm;
        for (int64_t v = 0; v < n; v++) x[v] += alpha * p[v];
        for (int64_t v = 0; v < n; v++) residue[v] -= alpha * ap[v];
        norm = dot(residue, residue, n);
        double ratio = norm / before;
        for (int64_t v = 0; v < n; v++) p[v] = residue[v] + ratio * p[v];
    }
}

/* Takes the vectors before x out of x, and makes its length 1. */
static void normalise(double *x, const double *vectors, int64_t k, int64_t n) {
    for (int64_t i = 0; i < k; i++) {
        double product = dot(vectors + i * n, x, n);
        for (int64_t v = 0; v < n; v++) x[v] -= product * vectors[i * n + v];
    }
    double length = sqrt(dot(x, x, n)) + 1e-300;
    for (int64_t v = 0; v < n; v++) x[v] /= length;
}

/* indptr, neighbours, sweeps, steps, vectors (count, nodes, out). */
API int64_t map_smoothest(const Argument *a) {
    int64_t n = a[0].rows - 1, sweeps = a[2].integer, count = a[4].rows;
    double *vectors = a[4].data;
    Room room = {0};
    Laplacian q = {a[0].data, a[1].data, n, a[3].integer, 0, NULL, NULL, NULL};
    q.shift = 1e-4 * ((double)a[1].rows / (double)n + 1.0);
    q.residue = take(&room, n, 8);
    q.p = take(&room, n, 8);
    q.ap = take(&room, n, 8);
    if (room.failed) return leave(&room, 0);
    uint64_t state = first_state(0);
    for (int64_t k = 0; k < count * n; k++) {
        state = following(state);
        vectors[k] = (double)(state >> 40) / 16777216.0 - 0.5;
    }
    for (int64_t sweep = 0; sweep < sweeps; sweep++)
        for (int64_t k = 0; k < count; k++) {
            double *x = vectors + k * n, total = 0;
            for (int64_t v = 0; v < n; v++) total += x[v];
            total /= (double)n;
            for (int64_t v = 0; v < n; v++) x[v] -= total;
            normalise(x, vectors, k, n);
            solve(&q, x);
            normalise(x, vectors, k, n);
        }
    return leave(&room, 0);
}
