"""Put a network on the cores of any many-core chip. This package knows no chip.

``partition`` cuts populations into parts and puts parts on cores. ``placement`` gives these cores a
cell of the machine. ``routing`` finds a tree of links for each multicast net. ``tables`` assigns
routing keys and builds routing tables. ``floorplan`` holds the outcome. In each folder the package
itself holds the data, and one module each algorithm.
"""
