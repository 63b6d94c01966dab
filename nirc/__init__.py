"""nirc."""
