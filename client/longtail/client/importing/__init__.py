"""From a file to the server: reading its rows, mapping its columns, sending what they say."""
