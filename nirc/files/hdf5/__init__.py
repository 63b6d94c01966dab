"""Checked HDF5 files: structure first, sizes before memory."""
