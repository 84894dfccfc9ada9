"""The sections of the index bench, one to a module."""
