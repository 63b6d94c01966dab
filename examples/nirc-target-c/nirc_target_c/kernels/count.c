/* How often a neuron above its threshold fires. */
static int32_t count(int32_t v, int32_t threshold, int32_t most)
{
    int32_t n = threshold > 0 ? v / threshold : 1;
    if (n < 1)
        return 1;
    return n > most ? most : n;
}
