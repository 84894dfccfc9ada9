"""The store and the index against their baselines: exact search, bare hnswlib, the worker alone."""
