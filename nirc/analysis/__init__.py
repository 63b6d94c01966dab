"""Pure functions that answer questions about a program."""
