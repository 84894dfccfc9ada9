"""From a request to its answer; knows no messages."""
