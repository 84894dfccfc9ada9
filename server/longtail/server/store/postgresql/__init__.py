"""The store in a database that several machines share: what only PostgreSQL has or lacks."""
