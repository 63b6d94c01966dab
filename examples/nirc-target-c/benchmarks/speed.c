/* Times network_step: reads the counts of all steps as bytes, runs them until a second has passed,
   and prints nanoseconds a step, bytes of the states, and the sum of all outputs of a round. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "network.h"

static network s;
static int32_t out[NETWORK_OUTPUTS];

int main(int argc, char **argv)
{
    long samples, steps, i, j, k, rounds = 0, sum = 0;
    size_t size;
    uint8_t *in;
    clock_t start, spent;
    if (argc != 3)
        return 1;
    samples = atol(argv[1]);
    steps = atol(argv[2]);
    size = (size_t)(samples * steps * NETWORK_INPUTS);
    in = malloc(size);
    if (in == NULL || fread(in, 1, size, stdin) != size)
        return 1;
    start = clock();
    do {
        const uint8_t *now = in;
        sum = 0;
        for (i = 0; i < samples; i++) {
            network_reset(&s);
            for (j = 0; j < steps; j++, now += NETWORK_INPUTS) {
                network_step(&s, now, out);
                for (k = 0; k < NETWORK_OUTPUTS; k++)
                    sum += out[k];
            }
        }
        rounds++;
        spent = clock() - start;
    } while (spent < CLOCKS_PER_SEC);
    printf("%.1f %lu %ld\n", 1e9 * (double)spent / CLOCKS_PER_SEC / (double)(rounds * samples * steps),
           (unsigned long)sizeof s, sum);
    free(in);
    return 0;
}
