/* Convolutions and pools of rows of numbers, for spikes and for gradients: see operators.py. All
   sums are exact, so their order does not matter. */
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "kernels.h"

enum { PIXELS = 4, TILE = 8 }; /* pixels and channels that are summed in registers */
typedef double Four __attribute__((vector_size(32), aligned(8)));

/* Along one axis: input k reaches out[e] by tap[e], for e from first[k] to first[k + 1]. By tap t it
   reaches by_tap[k * taps + t], or nothing (-1). */
typedef struct {
    const int32_t *first, *out, *tap, *by_tap;
} Axis;

/* Maps (channels, y, x). weight: (groups, taps, in, out) for forward, (groups, tiles of in, taps, out,
   TILE) for to_input, with the channels of one group. */
typedef struct {
    int64_t groups, in, out; /* channels of a group */
    int64_t in_y, in_x, out_y, out_x, taps_y, taps_x, stride_x;
    Axis y, x;
} Conv;

/* All outputs that pixel p reaches: their position and tap. */
#define REACHED(p)                                                                                 \
    for (int32_t ey = q->y.first[(p) / q->in_x]; ey < q->y.first[(p) / q->in_x + 1]; ey++)         \
        for (int32_t ex = q->x.first[(p) % q->in_x]; ex < q->x.first[(p) % q->in_x + 1]; ex++)
#define POSITION (q->y.out[ey] * q->out_x + q->x.out[ex])
#define TAP (q->y.tap[ey] * q->taps_x + q->x.tap[ex])

FAST static void add_times(double *restrict to, const double *restrict from, double by, int64_t n) {
    for (int64_t k = 0; k < n; k++) to[k] += from[k] * by;
}

static int is_count(double x, double most) {
    return x <= most && x >= -most && x == (double)(int64_t)x;
}

/* y (rows, groups * out, positions) from spikes x (rows, groups * in, pixels). memory: (positions,
   out). Returns 0 at the first x that is not an integer up to `most`, below 2^53. */
API int64_t conv_forward(const Conv *q, const double *weight, const double *x, int64_t rows,
                         double most, double *y, double *memory) {
    int64_t pixels = q->in_y * q->in_x, positions = q->out_y * q->out_x;
    int64_t taps = q->taps_y * q->taps_x;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t g = 0; g < q->groups; g++) {
            memset(memory, 0, (size_t)(positions * q->out) * sizeof *memory);
            for (int64_t i = 0; i < q->in; i++) {
                const double *map = x + ((r * q->groups + g) * q->in + i) * pixels;
                for (int64_t p = 0; p < pixels; p++) {
                    if (map[p] == 0) continue;
                    if (!is_count(map[p], most)) return 0;
                    REACHED(p)
                    add_times(memory + POSITION * q->out,
                              weight + ((g * taps + TAP) * q->in + i) * q->out, map[p], q->out);
                }
            }
            double *to = y + (r * q->groups + g) * q->out * positions;
            for (int64_t o = 0; o < q->out; o++)
                for (int64_t p = 0; p < positions; p++) to[o * positions + p] = memory[p * q->out + o];
        }
    return 1;
}

static void channels_last(const double *restrict from, double *restrict to, int64_t channels,
                          int64_t positions) {
    for (int64_t c = 0; c < channels; c++)
        for (int64_t p = 0; p < positions; p++) to[p * channels + c] = from[c * positions + p];
}

/* gradient (groups, taps, in, out) += x times delta, over all rows. delta: (rows, groups * out,
   positions). memory: (positions, out). */
API void conv_to_weight(const Conv *q, const double *x, const double *delta, int64_t rows,
                        double *gradient, double *memory) {
    int64_t pixels = q->in_y * q->in_x, positions = q->out_y * q->out_x;
    int64_t taps = q->taps_y * q->taps_x;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t g = 0; g < q->groups; g++) {
            channels_last(delta + (r * q->groups + g) * q->out * positions, memory, q->out, positions);
            for (int64_t i = 0; i < q->in; i++) {
                const double *map = x + ((r * q->groups + g) * q->in + i) * pixels;
                for (int64_t p = 0; p < pixels; p++) {
                    if (map[p] == 0) continue;
                    REACHED(p)
                    add_times(gradient + ((g * taps + TAP) * q->in + i) * q->out,
                              memory + POSITION * q->out, map[p], q->out);
                }
            }
        }
}

/* sums (PIXELS, TILE) += from[pixel] (n) times weight (n, TILE). */
FAST static void gather(double *restrict sums, const double *const *from,
                        const double *restrict weight, int64_t n) {
    Four *sum = (Four *)sums;
    Four a = sum[0], b = sum[1], c = sum[2], d = sum[3], e = sum[4], f = sum[5], g = sum[6], h = sum[7];
    for (int64_t o = 0; o < n; o++) {
        Four first = ((const Four *)weight)[2 * o], second = ((const Four *)weight)[2 * o + 1];
        a += from[0][o] * first, b += from[0][o] * second;
        c += from[1][o] * first, d += from[1][o] * second;
        e += from[2][o] * first, f += from[2][o] * second;
        g += from[3][o] * first, h += from[3][o] * second;
    }
    sum[0] = a, sum[1] = b, sum[2] = c, sum[3] = d, sum[4] = e, sum[5] = f, sum[6] = g, sum[7] = h;
}

/* The sums of one tile for the pixels (y, x), (y, x + stride), ... of a row. memory: (positions, out)
   and one more row of zeros. */
static void one_tile(const Conv *q, const double *weight, const double *memory, int64_t y,
                     const int64_t *x, int64_t pixels, double *sums) {
    const double *zeros = memory + q->out_y * q->out_x * q->out;
    memset(sums, 0, PIXELS * TILE * sizeof *sums);
    for (int32_t ey = q->y.first[y]; ey < q->y.first[y + 1]; ey++)
        for (int64_t tx = 0; tx < q->taps_x; tx++) {
            const double *from[PIXELS] = {zeros, zeros, zeros, zeros};
            int any = 0;
            for (int64_t k = 0; k < pixels; k++) {
                int32_t ox = q->x.by_tap[x[k] * q->taps_x + tx];
                if (ox < 0) continue;
                from[k] = memory + (q->y.out[ey] * q->out_x + ox) * q->out;
                any = 1;
            }
            if (any)
                gather(sums, from, weight + (q->y.tap[ey] * q->taps_x + tx) * q->out * TILE, q->out);
        }
}

/* slope (rows, groups * in, pixels) of the input from delta (rows, groups * out, positions). memory:
   (positions + 1, out). */
API void conv_to_input(const Conv *q, const double *weight, const double *delta, int64_t rows,
                       double *slope, double *memory) {
    int64_t pixels = q->in_y * q->in_x, positions = q->out_y * q->out_x;
    int64_t tiles = (q->in + TILE - 1) / TILE, size = q->taps_y * q->taps_x * q->out * TILE;
    double sums[PIXELS * TILE];
    memset(memory + positions * q->out, 0, (size_t)q->out * sizeof *memory);
    for (int64_t r = 0; r < rows * q->groups; r++) {
        channels_last(delta + r * q->out * positions, memory, q->out, positions);
        for (int64_t i = 0; i < tiles; i++) {
            int64_t count = q->in - i * TILE < TILE ? q->in - i * TILE : TILE;
            double *map = slope + (r * q->in + i * TILE) * pixels;
            for (int64_t y = 0; y < q->in_y; y++)
                for (int64_t phase = 0; phase < q->stride_x; phase++)
                    for (int64_t first = phase; first < q->in_x; first += PIXELS * q->stride_x) {
                        int64_t x[PIXELS], n = 0;
                        for (; n < PIXELS && first + n * q->stride_x < q->in_x; n++)
                            x[n] = first + n * q->stride_x;
                        one_tile(q, weight + (r % q->groups * tiles + i) * size, memory, y, x, n, sums);
                        for (int64_t k = 0; k < count; k++)
                            for (int64_t p = 0; p < n; p++)
                                map[k * pixels + y * q->in_x + x[p]] = sums[p * TILE + k];
                    }
        }
    }
}

/* slope (rows, in) = delta (rows, out) times a matrix, as tiles of conv_to_input's weight. memory:
   (out) zeros. */
API void matrix_to_input(const Conv *q, const double *weight, const double *delta, int64_t rows,
                         double *slope, double *memory) {
    double sums[PIXELS * TILE];
    memset(memory, 0, (size_t)q->out * sizeof *memory);
    for (int64_t r = 0; r < rows; r += PIXELS)
        for (int64_t i = 0; i < q->in; i += TILE) {
            int64_t count = q->in - i < TILE ? q->in - i : TILE;
            const double *from[PIXELS];
            for (int64_t p = 0; p < PIXELS; p++)
                from[p] = r + p < rows ? delta + (r + p) * q->out : memory;
            memset(sums, 0, sizeof sums);
            gather(sums, from, weight + i * q->out, q->out);
            for (int64_t p = 0; p < PIXELS && r + p < rows; p++)
                memcpy(slope + (r + p) * q->in + i, sums + p * TILE, (size_t)count * sizeof *sums);
        }
}

/* y (maps, positions) = factor times the sums over windows of spikes x (maps, pixels). Returns 0 at
   the first x that is not an integer up to `most`. */
API int64_t pool_forward(const Conv *q, double factor, const double *x, int64_t maps, double most,
                         double *y) {
    int64_t pixels = q->in_y * q->in_x, positions = q->out_y * q->out_x;
    for (int64_t m = 0; m < maps; m++) {
        double *to = y + m * positions;
        memset(to, 0, (size_t)positions * sizeof *to);
        for (int64_t p = 0; p < pixels; p++) {
            double now = x[m * pixels + p];
            if (now == 0) continue;
            if (!is_count(now, most)) return 0;
            REACHED(p)
            to[POSITION] += now;
        }
        for (int64_t p = 0; p < positions; p++) to[p] *= factor;
    }
    return 1;
}

/* slope (maps, pixels) of the input from delta (maps, positions), taps in rising order. */
API void pool_to_input(const Conv *q, double factor, const double *delta, int64_t maps,
                       double *slope) {
    int64_t pixels = q->in_y * q->in_x, positions = q->out_y * q->out_x;
    for (int64_t m = 0; m < maps; m++)
        for (int64_t p = 0; p < pixels; p++) {
            double sum = 0;
            REACHED(p)
            sum += delta[m * positions + POSITION] * factor;
            slope[m * pixels + p] = sum;
        }
}

/* The largest magnitude of x, not finite if a value is not. *integers: 0 if a value is none. */
FAST static double largest(const double *restrict x, int64_t n, int64_t *integers) {
    int64_t most = 0, odd = 0; /* magnitudes rise with their bits */
    for (int64_t k = 0; k < n; k++) {
        int64_t bits;
        memcpy(&bits, x + k, sizeof bits);
        bits &= INT64_MAX;
        most = bits > most ? bits : most;
        odd |= x[k] != rint(x[k]);
    }
    double size;
    memcpy(&size, &most, sizeof size);
    *integers = !odd;
    return size;
}

API double largest_of(const double *x, int64_t n, int64_t *integers) {
    return largest(x, n, integers);
}

FAST static void round_all(const double *x, double *y, double step, double inverse,
                           int64_t n) {
    for (int64_t k = 0; k < n; k++) y[k] = rint(x[k] * inverse) * step;
}

/* y (or x itself) = x rounded to multiples of step, a power of two whose inverse is one, too. */
API void round_to(const double *x, double *y, double step, int64_t n) {
    round_all(x, y, step, 1 / step, n);
}
