"""The evidence beside a bundle: the quantised network as NIR, and where its numbers are."""
