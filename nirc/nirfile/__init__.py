"""A program as the nodes of a NIR file, and the bytes of the file."""
