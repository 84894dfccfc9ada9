"""The time that ranking takes of one request."""
