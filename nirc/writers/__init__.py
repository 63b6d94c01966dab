"""Who wrote a NIR file, and by which rule their simulator steps: one file a writer."""
