"""Inner loops in C. A wheel brings them compiled; without them the definitions in numpy run."""
