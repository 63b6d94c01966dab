"""A chip's backend: its promises, limits and costs, and the registry of all backends."""
