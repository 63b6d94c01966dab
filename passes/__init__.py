"""One pass a file. `pipeline.PIPELINE` lists them."""
