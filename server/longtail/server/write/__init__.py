"""What changes the catalogue: encode, commit once, answer."""
