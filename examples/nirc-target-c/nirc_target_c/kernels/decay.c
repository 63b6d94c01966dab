/* What is left of a state, cut towards 0. */
static int32_t decay(int32_t state, int32_t kept)
{
    return (int32_t)((int64_t)state * kept / DECAY_ONE);
}
