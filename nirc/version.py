"""The version of nirc, which pyproject.toml reads too."""

__version__ = "0.1.0"
