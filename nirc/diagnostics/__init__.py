"""Codes, findings and how a person or a program sees them."""
