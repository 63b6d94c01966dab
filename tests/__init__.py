"""The test suite; a package, so that no other `tests` on the path (lava-nc installs one) is taken
for it.
"""
