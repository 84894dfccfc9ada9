"""A whole store is copied to another engine, beside its use, and then served from there."""
