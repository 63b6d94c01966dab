"""Pictures as SVG, from plain data."""
