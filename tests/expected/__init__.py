"""What becomes of random networks, as text that is kept: a change of it is seen."""
