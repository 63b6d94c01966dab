"""Random NIR graphs, and all that must hold of any of them. ``python -m tests.smith --help``.

``grow`` makes graphs. ``changes`` rewrites them without another meaning. ``check`` compares nirc
with slow definitions, simulators and itself. ``reduce`` looks for the smallest graph that still
fails.
"""
