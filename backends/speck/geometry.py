"""Sizes of maps and memories. deploy.py holds this module's text.

Source: sinabs 3.1.3 ``DynapcnnLayer.memory_summary``, checked against its numbers.
"""

from __future__ import annotations

Pair = tuple[int, int]  # y, x
Map = tuple[int, int, int]  # channels, y, x


def bits(n: int) -> int:
    """Return the address bits for ``n`` entries: ceil(log2 n)."""
    return (n - 1).bit_length()


def output_size(n: int, kernel: int, stride: int, padding: int) -> int:
    """Return the number of outputs along one axis of ``n`` inputs."""
    return (n + 2 * padding - kernel) // stride + 1


def kernel_words(channels_in: int, channels_out: int, kernel: Pair) -> int:
    """Return words of kernel memory. Kernels and output channels are padded to powers of two."""
    return int(channels_in << (bits(kernel[0] * kernel[1]) + bits(channels_out)))


def neuron_words(shape_out: Map) -> int:
    """Return words of neuron memory of a map before pooling. Its sides are padded likewise."""
    channels, y, x = shape_out
    return int(channels << (bits(y) + bits(x)))
