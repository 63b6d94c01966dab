"""One pass a file. `nirc.registry.PASSES` lists them."""
