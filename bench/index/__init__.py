"""Measures the store and the index of the server, each figure beside its baseline."""
