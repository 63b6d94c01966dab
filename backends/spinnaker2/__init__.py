"""SpiNNaker2: neurons in float32 on the processing elements of one chip or of a board of 48."""
