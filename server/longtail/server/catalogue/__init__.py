"""What of the store is held in memory, by row, and the index over it."""
