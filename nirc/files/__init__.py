"""Bundles, and every reader of a file that may be hostile."""
