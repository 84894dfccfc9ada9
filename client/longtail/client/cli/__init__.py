"""The `longtail` command: one file a group of commands, their options and what they print."""
