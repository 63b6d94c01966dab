"""What a person or a script learns from a result."""
