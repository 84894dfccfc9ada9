"""The store: the truth about items, vectors, interactions and popularity. All SQL is in here."""
