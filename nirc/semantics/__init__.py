"""The executable semantics of programs."""
