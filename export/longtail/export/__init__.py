"""Offline: turns a Hugging Face checkpoint into the artefact that a worker serves."""
