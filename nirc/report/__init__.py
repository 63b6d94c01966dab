"""Reports of results, for people and for scripts."""
