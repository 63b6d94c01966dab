/* A sum of two numbers within STATE. It saturates there, so it never overflows. */
static int32_t add(int32_t state, int32_t more)
{
    int32_t sum = state + more;
    if (sum > STATE)
        return STATE;
    return sum < -STATE ? -STATE : sum;
}
