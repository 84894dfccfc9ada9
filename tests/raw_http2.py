"""Frames of HTTP/2 as no library of gRPC would send them."""

import random
import socket
import struct

PREFACE, SETTINGS = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\0\0\0\4\0\0\0\0\0"
DATA, HEADERS, RST, WINDOW = 0, 1, 3, 8
END_STREAM, END_HEADERS = 1, 4
SECONDS = 0.05


def send_hostile(address: str, method: str, content: bytes, rng: random.Random) -> None:
    """Call a method over a connection of its own, with one thing that is wrong in it."""
    host, _, port = address.rpartition(":")
    wrong = rng.choice(
        ("flag", "length", "encoding", "time", "type", "path", "cut", "header", "reset", "frame")
    )
    headers = {
        ":method": "POST",
        ":scheme": "http",
        ":path": method,
        ":authority": "x",
        "content-type": "application/grpc",
        "te": "trailers",
    }
    flag, length = 0, len(content)
    match wrong:
        case "flag":
            # Compressed, it says, and by what it does not say.
            flag = rng.choice((1, 2, 255))
        case "length":
            length = rng.choice((0, len(content) + 5, 2**32 - 1))
        case "encoding":
            flag, headers["grpc-encoding"] = 1, rng.choice(("gzip", "deflate", "snappy", "", "x"))
        case "time":
            headers["grpc-timeout"] = rng.choice(
                ("", "-1S", "0n", "1", "S", "99999999999H", "1x", "\xff", "00000001n", "1.5S")
            )
        case "type":
            headers["content-type"] = rng.choice(("text/html", "", "application/grpc+json"))
        case "path":
            headers[":path"] = rng.choice(("", "/", "//", "/a", method + "/", "*", "/" + "x" * 900))
        case "header":
            name = rng.choice((":method", "te", ":scheme", "grpc-accept-encoding"))
            headers[name] = rng.choice(("GET", "", "\0", "x" * 900))
    block = b"".join(b"\0" + _literal(name) + _literal(value) for name, value in headers.items())
    message = struct.pack(">BI", flag, length & 0xFFFFFFFF) + content[:16_000]
    frames = _frame(HEADERS, END_HEADERS, block) + _frame(DATA, END_STREAM, message[:16_384])
    if wrong == "cut":
        frames = frames[: rng.randrange(len(frames))]
    if wrong == "reset":
        frames = _frame(HEADERS, END_HEADERS, block) + _frame(RST, 0, struct.pack(">I", 8))
    if wrong == "frame":
        frames += _frame(rng.randrange(256), rng.randrange(256), rng.randbytes(rng.randrange(60)))
        frames += _frame(WINDOW, 0, struct.pack(">I", rng.choice((0, 2**31 - 1))))
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.settimeout(SECONDS)
        try:
            connection.sendall(PREFACE + SETTINGS + frames)
            while connection.recv(65_536):
                pass
        except (TimeoutError, ConnectionError):
            pass


def _frame(kind: int, flags: int, content: bytes, stream: int = 1) -> bytes:
    return struct.pack(">I", len(content))[1:] + struct.pack(">BBI", kind, flags, stream) + content


def _literal(text: str) -> bytes:
    """Return a string of HPACK, without Huffman's code."""
    content = text.encode("latin-1")
    if len(content) < 127:
        return bytes([len(content)]) + content
    rest, length = len(content) - 127, bytearray([127])
    while rest > 0x7F:
        length.append(rest & 0x7F | 0x80)
        rest >>= 7
    length.append(rest)
    return bytes(length) + content
