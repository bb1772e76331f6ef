"""Hash of the key space: equal on members with equal histories, and equal to real etcd's.

Pure. The format is that of etcd 3.4's HashKV: a CRC-32C over the bucket name `key`, then for each
version in revision order its 17-byte revision key (main and sub as 8 bytes each, `_` between; `t`
appended for a tombstone) and its encoded `mvccpb.KeyValue` (a tombstone has only its key).
"""

from struct import Struct

import google_crc32c

from kvstore.mvcc.types import KeyValue
from kvstore.pb import mvcc_pb2

_revision_key = Struct(">Qcq")

EMPTY_HASH: int = google_crc32c.value(b"key")
"""Hash of a store without any version."""


def extend(crc: int, kv: KeyValue) -> int:
    """The hash so far, with one more version."""
    revision_key = _revision_key.pack(kv.mod_revision, b"_", kv.sub)
    if kv.is_tombstone:
        row = revision_key + b"t" + mvcc_pb2.KeyValue(key=kv.key).SerializeToString()
    else:
        encoded = mvcc_pb2.KeyValue(
            key=kv.key,
            create_revision=kv.create_revision,
            mod_revision=kv.mod_revision,
            version=kv.version,
            value=kv.value,
            lease=kv.lease,
        )
        row = revision_key + encoded.SerializeToString()
    extended: int = google_crc32c.extend(crc, row)
    return extended
