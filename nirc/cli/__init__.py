"""The command line: arguments to one call, and what a person sees of it."""
