"""A chip's backend: what it promises, its limits and costs, the laws it is held to, and the table
of all backends.
"""
