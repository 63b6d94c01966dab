"""From NIR files and objects to programs."""
