"""The vector index: a graph that never changes once it is used, and what came after it, scanned."""
