"""The services over gRPC: each call read, answered and written."""
