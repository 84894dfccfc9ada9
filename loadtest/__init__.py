"""Load test of a running server: an open loop with latencies from the intended start."""
