"""Tokens that go out with an answer and come back with a later call."""
