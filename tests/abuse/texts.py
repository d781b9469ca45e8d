"""Texts of 1 byte to 8 MB that have broken programs of this kind: by length, by escape, by character."""

from __future__ import annotations

from random import Random

BYTES_MAX = 8 << 20
PIECES = (
    "a",
    "\x00",
    "\x01",
    "\x7f",
    "\\",
    '"',
    "'",
    "\n",
    "\r\n",
    "\u2028",
    "\x85",
    "ä",
    "\u20ac",
    "\U0001f47e",
    "\u202e",
    "\ufeff",
    "\ufffd",
    " ",
    "/",
    "../",
    "%2F",
    "%",
    "{}",
    "[",
    "]]>",
    "<script>",
    "${x}",
    "{{x}}",
    "'; DROP TABLE batch; --",
    "9",
    "-1",
    "1e999",
    ".",
    "*",
    ">",
    "null",
    "batch_",
    "Nats-Expected-Stream",
)
ODD = (
    "",
    "nan",
    "Infinity",
    "-0",
    "true",
    "1 Jan 99999999999999 1:1:1 GMT",
    "9" * 400,
    "evt.>",
    "\ud800".encode("utf-8", "replace").decode(),
)


def size(random: Random, bytes_max: int = BYTES_MAX) -> int:
    """As often between one byte and ten as between one megabyte and ten; and often right at a border."""
    if random.random() < 0.3:
        border = random.choice((64, 255, 256, 512, 1024, 4096, 65_536, 262_144, 1 << 20, 2 << 20, bytes_max))
        return max(1, min(bytes_max, border + random.randint(-1, 1)))
    return min(bytes_max, int(10 ** random.uniform(0, 7)))


def text(random: Random, bytes_max: int = BYTES_MAX) -> str:
    """At most so many bytes in UTF-8."""
    if random.random() < 0.1:
        return random.choice(ODD)
    wanted = size(random, bytes_max)
    piece = random.choice(PIECES)
    if random.random() < 0.2:
        piece = "".join(random.choices(PIECES, k=8))
    return (piece * (wanted // len(piece.encode()) + 1)).encode()[:wanted].decode(errors="ignore")
