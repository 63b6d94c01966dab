"""The passes, one a file. `pipeline.PIPELINE` lists them in order."""
