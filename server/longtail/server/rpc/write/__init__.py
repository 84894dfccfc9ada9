"""From values to messages."""
