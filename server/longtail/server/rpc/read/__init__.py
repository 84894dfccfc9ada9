"""From messages to validated values: every limit of the contract."""
