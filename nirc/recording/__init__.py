"""A network in its simulator, recorded: the NIR file, what the simulator answers, and what NIR
cannot say.
"""
