"""Pure questions about a program."""
