"""What one process needs of the machine: others beside it, locks, durable files."""
