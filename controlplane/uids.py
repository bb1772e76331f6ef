"""Uids of objects: random UUIDs, as Kubernetes' are."""

import os

_IS_VERSION_4 = 0x4 << 76 | 0x2 << 62
_IS_RANDOM = (1 << 128) - 1 - (0xF << 76 | 0x3 << 62)


def new_uid() -> str:
    """A UUID of version 4 (RFC 9562, 5.4), in a quarter of the time that module uuid takes: each
    write of the API server needs several.
    """
    digits = f"{int.from_bytes(os.urandom(16), 'big') & _IS_RANDOM | _IS_VERSION_4:032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
