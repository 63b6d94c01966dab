"""Partition, place and route, independent of the chip."""
