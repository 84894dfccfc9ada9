"""Client of Longtail: sync, asyncio and on the command line."""
