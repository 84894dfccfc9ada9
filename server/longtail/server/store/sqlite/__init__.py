"""The store in a file of its own: what only SQLite has or lacks."""
