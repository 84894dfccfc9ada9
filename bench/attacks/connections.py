"""Attacks by connections: those that say nothing, half of something, or no more than a greeting.

Each takes what is attacked and for how many seconds, and returns what became of its connections.
"""

import asyncio
from functools import partial

from bench.attacks.target import Outcome, Target, keep_at

HALF_SENT, SILENT, GREETED = 500, 1000, 3000
# The beginning of HTTP/2, and settings that change nothing.
PREFACE, SETTINGS = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\0\0\0\4\0\0\0\0\0"


def half_sent_metrics(target: Target, seconds: float) -> Outcome:
    """Send half of a request to the metrics port, and wait."""
    return _held(target.metrics, b"GET /metrics HTTP/1.1\r\nHost: x\r\n", HALF_SENT, seconds)


def silent_connections(target: Target, seconds: float) -> Outcome:
    """Connect to the server and say nothing."""
    return _held(target.server, b"", SILENT, seconds)


def half_greetings(target: Target, seconds: float) -> Outcome:
    """Connect to the server and say half of what begins a connection."""
    return _held(target.server, PREFACE[:10], SILENT, seconds)


def many_connections(target: Target, seconds: float) -> Outcome:
    """Hold connections of HTTP/2 that ask for nothing."""
    return _held(target.server, PREFACE + SETTINGS, GREETED, seconds)


def _held(address: str, content: bytes, number: int, seconds: float) -> Outcome:
    return asyncio.run(keep_at(partial(_hold, address, content), number, seconds))


async def _hold(address: str, content: bytes) -> str:
    """Send this over a connection, and read until the other end closes it."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(content)
        while await reader.read(4096):
            pass
        return "closed"
    finally:
        writer.close()
