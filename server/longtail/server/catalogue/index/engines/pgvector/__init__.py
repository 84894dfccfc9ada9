"""PostgreSQL with pgvector as an index engine: shared by machines, on one machine itself."""
