"""One folder a chip, found through the entry-point group `nirc.backends`."""
