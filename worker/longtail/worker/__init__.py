"""The embedding worker: turns texts into unit vectors, batching across its callers."""
