"""KV.Compact: what is forgotten, what stays readable, what is refused."""

import pytest

from tests.conformance.client import Client, end_of, op_range, refused

covers = pytest.mark.covers
COMPACTED = ("OUT_OF_RANGE", "etcdserver: mvcc: required revision has been compacted")
FUTURE = ("OUT_OF_RANGE", "etcdserver: mvcc: required revision is a future revision")


@covers("CompactionRequest.revision")
def test_compact_answers_with_the_present_revision_and_makes_none(
    client: Client, prefix: bytes
) -> None:
    revision = client.put(prefix).header.revision
    assert client.compact(revision).header.revision == revision
    assert client.revision() == revision


@covers("OUT_OF_RANGE etcdserver: mvcc: required revision has been compacted")
def test_a_revision_below_the_compaction_is_unreadable(client: Client, prefix: bytes) -> None:
    old = client.put(prefix, b"old").header.revision
    new = client.put(prefix, b"new").header.revision
    client.compact(new)
    with refused(*COMPACTED):
        client.range(prefix, revision=old)


def test_the_compact_revision_itself_stays_readable(client: Client, prefix: bytes) -> None:
    client.put(prefix, b"old")
    revision = client.put(prefix, b"v").header.revision
    client.put(prefix, b"new")
    client.compact(revision, physical=True)
    assert client.range(prefix, revision=revision).kvs[0].value == b"v"


def test_the_newest_value_survives_any_compaction(client: Client, prefix: bytes) -> None:
    created = client.put(prefix, b"v").header.revision
    client.put(prefix, b"w")
    client.compact(client.put(prefix + b"x").header.revision, physical=True)
    [kv] = client.range(prefix).kvs
    assert (kv.value, kv.version, kv.create_revision) == (b"w", 2, created)


def test_history_after_the_compaction_stays_readable(client: Client, prefix: bytes) -> None:
    compacted = client.put(prefix, b"1").header.revision
    later = client.put(prefix, b"2").header.revision
    client.put(prefix, b"3")
    client.compact(compacted, physical=True)
    assert client.range(prefix, revision=later).kvs[0].value == b"2"


def test_compacting_a_revision_again_is_refused(client: Client, prefix: bytes) -> None:
    revision = client.put(prefix).header.revision
    client.compact(revision)
    with refused(*COMPACTED):
        client.compact(revision)


def test_compacting_below_the_compaction_is_refused(client: Client, prefix: bytes) -> None:
    revision = client.put(prefix).header.revision
    client.compact(revision)
    with refused(*COMPACTED):
        client.compact(revision - 1)


def test_compacting_the_future_is_refused(client: Client) -> None:
    with refused(*FUTURE):
        client.compact(client.revision() + 1)


def test_compacting_the_present_revision_is_allowed(client: Client, prefix: bytes) -> None:
    revision = client.put(prefix, b"v").header.revision
    client.compact(revision)
    assert client.range(prefix).kvs[0].value == b"v"


@pytest.mark.parametrize("revision", [0, -1])
def test_compacting_revision_zero_or_less_is_refused(client: Client, revision: int) -> None:
    client.compact(client.put(b"compaction-floor").header.revision)
    with refused(*COMPACTED):
        client.compact(revision)


def test_compacting_revision_zero_works_once_on_a_store_never_compacted(fresh: Client) -> None:
    fresh.put(b"k")
    assert fresh.compact(0).header.revision == 2
    with refused(*COMPACTED):
        fresh.compact(0)


def test_compacting_below_zero_is_refused_on_a_store_never_compacted(fresh: Client) -> None:
    with refused(*COMPACTED):
        fresh.compact(-1)


@covers("CompactionRequest.physical")
def test_physical_compaction_is_done_when_it_answers(client: Client, prefix: bytes) -> None:
    for n in range(50):
        revision = client.put(prefix, b"%d" % n).header.revision
    client.compact(revision, physical=True)
    with refused(*COMPACTED):
        client.range(prefix, revision=revision - 1)
    assert client.range(prefix).kvs[0].version == 50


def test_a_key_deleted_before_the_compaction_is_gone(client: Client, prefix: bytes) -> None:
    client.put(prefix)
    revision = client.delete(prefix).header.revision
    client.compact(revision, physical=True)
    assert client.range(prefix, revision=revision).count == 0


def test_a_key_deleted_after_the_compaction_is_readable_at_it(
    client: Client, prefix: bytes
) -> None:
    revision = client.put(prefix, b"v").header.revision
    client.delete(prefix)
    client.compact(revision, physical=True)
    assert client.range(prefix, revision=revision).kvs[0].value == b"v"
    assert client.range(prefix).count == 0


def test_versions_go_on_after_a_compaction(client: Client, prefix: bytes) -> None:
    client.put(prefix)
    revision = client.put(prefix).header.revision
    client.compact(revision, physical=True)
    client.put(prefix)
    assert client.range(prefix).kvs[0].version == 3


def test_a_compacted_revision_in_a_txn_is_refused(client: Client, prefix: bytes) -> None:
    old = client.put(prefix).header.revision
    client.compact(client.put(prefix).header.revision)
    with refused(*COMPACTED):
        client.txn(success=[op_range(prefix, revision=old)])


def test_a_serializable_read_of_a_compacted_revision_is_refused(
    client: Client, prefix: bytes
) -> None:
    old = client.put(prefix).header.revision
    client.compact(client.put(prefix).header.revision)
    with refused(*COMPACTED):
        client.range(prefix, revision=old, serializable=True)


def test_count_at_the_compact_revision_is_that_of_then(client: Client, prefix: bytes) -> None:
    client.put(prefix + b"a")
    revision = client.put(prefix + b"b").header.revision
    client.delete(prefix + b"a")
    client.compact(revision, physical=True)
    response = client.range(prefix, end_of(prefix), revision=revision, count_only=True)
    assert response.count == 2


def test_compaction_can_go_on_step_by_step(client: Client, prefix: bytes) -> None:
    revisions = [client.put(prefix, b"%d" % n).header.revision for n in range(4)]
    for n, revision in enumerate(revisions):
        client.compact(revision, physical=True)
        assert client.range(prefix, revision=revision).kvs[0].value == b"%d" % n
