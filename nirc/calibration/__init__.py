"""Parameters at which a chip's dynamics answer as the model did: chip-independent search, judged by the interpreter."""
