"""Attacks on a running server and worker, each beside a good caller."""
