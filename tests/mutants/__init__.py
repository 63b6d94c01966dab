"""Mutants: small faults put into the code, one at a time, to see if a test notices."""
