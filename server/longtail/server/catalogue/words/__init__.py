"""The words of the catalogue: which rows hold which."""
