"""Rounding of weights to integers, by the sum of a neuron's weights or by its sources' signals."""
