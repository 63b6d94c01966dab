"""Programs written as NIR files."""
