"""The checker of bundles, which shares no code with the rest: one file, emitted as ``check.py``."""
