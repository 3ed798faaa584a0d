"""Which 32 bytes are a point of Ed25519 that a key or a signature may be made of (RFC 8032).

Eight points of the curve have an order that divides 8. Under such a "key" one signature fits every
message, or every second or fourth, so whoever gets it trusted can sign anything. Some points can
also be written in a second way; libraries disagree about those. Neither is ever made by a key
generator, and most libraries, OpenSSL among them, take both for keys.
"""

from __future__ import annotations

PRIME = 2**255 - 19
_D = -121665 * pow(121666, -1, PRIME) % PRIME
_SQRT_MINUS_ONE = pow(2, (PRIME - 1) // 4, PRIME)
_IDENTITY = (0, 1)
_Point = tuple[int, int]


def is_sound_point(encoded: bytes) -> bool:
    """Tell whether bytes are the one way of writing a point whose order is not small."""
    point = _decoded(encoded)
    if point is None:
        return False
    # Three doublings are the multiple by 8, in which every point of small order vanishes.
    for _ in range(3):
        point = _doubled(point)
    return point != _IDENTITY


def _decoded(encoded: bytes) -> _Point | None:
    """Return the point of 32 bytes (RFC 8032, 5.1.3), None when it is none or written in another way."""
    if len(encoded) != 32:
        return None
    number = int.from_bytes(encoded, "little")
    sign, y = number >> 255, number & ((1 << 255) - 1)
    if y >= PRIME:
        return None
    square = (y * y - 1) * pow(_D * y * y + 1, -1, PRIME) % PRIME
    x = pow(square, (PRIME + 3) // 8, PRIME)
    if x * x % PRIME != square:
        x = x * _SQRT_MINUS_ONE % PRIME
    if x * x % PRIME != square or (x == 0 and sign == 1):
        return None
    return (x if x & 1 == sign else PRIME - x, y)


def _doubled(point: _Point) -> _Point:
    """Return twice a point; on this curve the denominators are never zero."""
    x, y = point
    product = _D * x * x * y * y % PRIME
    return (
        2 * x * y * pow(1 + product, -1, PRIME) % PRIME,
        (y * y + x * x) * pow(1 - product, -1, PRIME) % PRIME,
    )
