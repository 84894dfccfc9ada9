"""What a server can be asked: requests, the calls that carry them, and the two clients."""
