"""Long-running work: snapshots, re-embedding, restore, and its progress."""
