"""The simulators that write NIR files: one file each, with its fingerprints and its rule of a
step.
"""
