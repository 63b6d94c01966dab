"""`nirc verify`: where, by how much and why the chip's answer departs from the model's."""
