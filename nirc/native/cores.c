/* Cores of convolutional neurons that events update: see backends/speck/events.py. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "kernels.h"

typedef struct {
    /* count, first: (pixels + 1) updates of an event; position, tap: of each update. weights:
       (input channels * taps + 1, channels); the last row is the bias of a tick. */
    const int64_t *count, *first, *position, *tap;
    const int32_t *weights;
    int64_t pixels, taps, channels, positions;
    int32_t low, high, threshold, to_zero;
} Core;

FAST static int32_t update(const Core *core, const int32_t *restrict w, int32_t *restrict v) {
    int32_t fires = 0, low = core->low, high = core->high, threshold = core->threshold;
    for (int64_t c = 0; c < core->channels; c++) {
        int32_t x = v[c] + w[c];
        x = x < low ? low : x;
        x = x > high ? high : x;
        v[c] = x;
        fires |= x >= threshold;
    }
    return fires;
}

/* Runs events in order; membranes v: (samples * positions, channels). Spikes go to *time and
   *neuron, which the caller frees with core_free. Returns their number, or -1 without memory. */
API int64_t core_events(const Core *core, const int64_t *time, const int64_t *address, int64_t n,
                        int64_t roots, int64_t samples, int32_t *v, int64_t **time_out,
                        int64_t **neuron_out) {
    int64_t found = 0, room = n + 16;
    int64_t *when = malloc((size_t)room * 8), *who = malloc((size_t)room * 8);
    for (int64_t e = 0; when && who && e < n; e++) {
        int64_t channel = address[e] / (core->pixels + 1), pixel = address[e] % (core->pixels + 1);
        int64_t sample = time[e] / roots % samples;
        int64_t end = core->first[pixel] + core->count[pixel];
        for (int64_t u = core->first[pixel]; u < end; u++) {
            int64_t position = core->position[u];
            int32_t *at = v + (sample * core->positions + position) * core->channels;
            const int32_t *w = core->weights + (channel * core->taps + core->tap[u]) * core->channels;
            if (!update(core, w, at)) continue;
            for (int64_t c = 0; c < core->channels; c++) {
                if (at[c] < core->threshold) continue;
                at[c] = core->to_zero ? 0 : at[c] - core->threshold;
                if (found == room) {
                    room *= 2;
                    int64_t *more = realloc(when, (size_t)room * 8);
                    if (!more) goto failed;
                    when = more;
                    more = realloc(who, (size_t)room * 8);
                    if (!more) goto failed;
                    who = more;
                }
                when[found] = time[e];
                who[found++] = c * core->positions + position;
            }
        }
    }
    if (!when || !who) goto failed;
    *time_out = when;
    *neuron_out = who;
    return found;
failed:
    free(when), free(who);
    return -1;
}

API void core_free(int64_t *array) { free(array); }

FAST static void add(int32_t *restrict to, const int32_t *restrict w, int64_t n, int32_t count) {
    for (int64_t i = 0; i < n; i++) to[i] += w[i] * count;
}

/* Runs frames: (rows, input channels, pixels) counts of consecutive steps of one sample; all input
   of a step is added before neurons fire as often as they hold the threshold. v: (positions,
   channels). spikes, membranes: (rows, channels, positions), membranes may be null. */
API void core_frames(const Core *core, const int32_t *counts, int64_t rows, int64_t inputs,
                     int32_t *v, int32_t *spikes, int32_t *membranes) {
    int64_t channels = core->channels, positions = core->positions;
    const int32_t *bias = core->weights + inputs * core->taps * channels;
    for (int64_t r = 0; r < rows; r++) {
        const int32_t *frame = counts + r * inputs * core->pixels;
        for (int64_t p = 0; p < positions; p++) add(v + p * channels, bias, channels, 1);
        for (int64_t i = 0; i < inputs * core->pixels; i++) {
            if (!frame[i]) continue;
            int64_t channel = i / core->pixels, pixel = i % core->pixels;
            int64_t end = core->first[pixel] + core->count[pixel];
            for (int64_t u = core->first[pixel]; u < end; u++)
                add(v + core->position[u] * channels,
                    core->weights + (channel * core->taps + core->tap[u]) * channels, channels,
                    frame[i]);
        }
        int32_t *sent = spikes + r * channels * positions;
        for (int64_t p = 0; p < positions; p++) {
            int32_t *at = v + p * channels;
            for (int64_t c = 0; c < channels; c++) {
                int32_t x = at[c], fired = 0;
                if (x >= core->threshold) {
                    fired = x / core->threshold;
                    x = core->to_zero ? 0 : x - fired * core->threshold;
                }
                at[c] = x < core->low ? core->low : x;
                sent[c * positions + p] = fired;
            }
        }
        if (membranes)
            for (int64_t p = 0; p < positions; p++)
                for (int64_t c = 0; c < channels; c++)
                    membranes[(r * channels + c) * positions + p] = v[p * channels + c];
    }
}
