"""Many compilations: the project file, sweeps, workers, gates and the summary."""
