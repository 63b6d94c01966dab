"""A network recorded in its simulator: the NIR file, its outputs, and what NIR cannot say."""
