"""Any executable form of a program written back as NIR, so that a simulator can evaluate or
fine-tune it.
"""
