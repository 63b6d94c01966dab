"""Inner loops in C. Without a compiler at installation the definitions in numpy run."""
