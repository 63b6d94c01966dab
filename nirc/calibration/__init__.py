"""Calibration: a search for parameters with which a chip's dynamics answer like the model."""
