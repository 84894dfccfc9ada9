"""Measures one request of the server beside the bare parts that it cannot do without."""
