"""How much a model file may ask for. Far above every published model, far below what would hurt a laptop."""

MAX_FILE_BYTES = 4 << 30
MAX_ARRAY_BYTES = 1 << 30  # one dataset, uncompressed
MAX_TOTAL_BYTES = 4 << 30  # all datasets of a file, uncompressed
MAX_NODES = 100_000
MAX_EDGES = 1_000_000
MAX_DEPTH = 32  # nested graphs
MAX_NAME = 1000  # characters
MAX_TEXT_BYTES = 1 << 16  # one text field
