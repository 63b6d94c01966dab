"""Slow, obvious definitions: what the fast paths are compared with."""
