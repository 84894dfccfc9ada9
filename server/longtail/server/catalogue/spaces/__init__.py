"""Vectors of items beside those of their texts, each kind in an index of its own."""
