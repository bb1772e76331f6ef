"""Uids are what every other program takes for a random UUID."""

import re
import uuid

from controlplane.uids import new_uid


def test_they_are_uuids_of_version_4() -> None:
    for _ in range(1_000):
        told = uuid.UUID(uid := new_uid())
        assert (str(told), told.version, told.variant) == (uid, 4, uuid.RFC_4122)


def test_all_other_bits_are_random() -> None:
    made = [uuid.UUID(new_uid()).int for _ in range(200)]
    always = never = (1 << 128) - 1
    for one in made:
        always &= one
        never &= ~one
    assert (always.bit_count(), never.bit_count()) == (2, 4)
    assert len(set(made)) == len(made)
    assert re.fullmatch(r"[0-9a-f-]{36}", new_uid())
