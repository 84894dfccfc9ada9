"""The workers as the server sees them."""
