/* A program that reads spike counts, one step a line, and prints the outputs of each step. A line
   "-" begins a new sample. With an argument it prints what every population sends, and its v. */

enum { STEP, SAMPLE, END, WRONG };

/* Read a line: all counts of a step, or "-". */
static int read_line(uint8_t *in)
{
    int n = 0, value, c = getchar();
    if (c == EOF)
        return END;
    if (c == '-')
        return getchar() == '\n' ? SAMPLE : WRONG;
    for (;;) {
        while (c == ' ' || c == '\t' || c == '\r')
            c = getchar();
        if (c == '\n' || c == EOF)
            return n == NETWORK_INPUTS ? STEP : WRONG;
        if (c < '0' || c > '9' || n == NETWORK_INPUTS)
            return WRONG;
        for (value = 0; c >= '0' && c <= '9'; c = getchar()) {
            value = 10 * value + (c - '0');
            if (value > 255)
                return WRONG;
        }
        in[n++] = (uint8_t)value;
    }
}

int main(int argc, char **argv)
{
    static network s;
    static uint8_t in[NETWORK_INPUTS + 1];
    static int32_t out[NETWORK_OUTPUTS];
    long line = 1;
    int kind;
    (void)argv;
    network_reset(&s);
    for (; (kind = read_line(in)) == STEP || kind == SAMPLE; line++) {
        if (kind == SAMPLE) {
            network_reset(&s);
            printf("-");
        } else {
            network_step(&s, in, out);
            print_words(out, NETWORK_OUTPUTS);
            if (argc > 1)
                print_states(&s);
        }
        printf("\n");
    }
    if (kind == END)
        return 0;
    fprintf(stderr, "line %ld: %d counts from 0 to 255 are needed, or -\n", line, NETWORK_INPUTS);
    return 1;
}
