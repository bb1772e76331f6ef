"""Where PySyncObj can be made to die: for each I/O point of ours the moment that matches it.

It writes a journal in place through a mapping, a small file of its term, vote and commit index
("meta", as often as one of them changes, at most once a second for the last), and a dump of the
whole state. A moment is the file and what it is about to do, or has done. As it never syncs,
points around a sync are the moment behind the write: what was written may be lost there as well.
"""

JOURNAL = "journal"
DUMP = "dump"

SEND = "send"
SENT = "sent"
WRITTEN = "journal written"

MOMENT_OF = {
    "frames send": SEND,
    "frames sent": SENT,
    "wal write": "journal write",
    "wal sync": WRITTEN,
    "wal synced": WRITTEN,
    "wal open_append": "journal open",
    "wal remove": "dump renamed",  # what comes next is the rewriting of the journal
    "wal sync_folder": "meta renamed",
    "wal synced_folder": "meta renamed",
    "segment create": "meta create",
    "segment write": "meta write",
    "segment sync": "meta written",
    "segment synced": "meta written",
    "segment rename": "meta rename",
    "snapshot create": "dump create",
    "snapshot write": "dump write",
    "snapshot sync": "dump written",
    "snapshot synced": "dump written",
    "snapshot rename": "dump rename",
    "snapshot sync_folder": "dump renamed",
    "snapshot synced_folder": "dump renamed",
    "snapshot remove": "dump renamed",
    "identity create": "journal create",
    "identity write": "journal write",
    "identity sync": WRITTEN,
    "identity synced": WRITTEN,
    "identity rename": "journal open",
    "identity sync_folder": WRITTEN,
    "identity synced_folder": WRITTEN,
}
"""By the names of `kvstore.server.points`."""


def moment_of(operation: str, path: str) -> str:
    """The name of an operation of `SimulatedFiles` on one of PySyncObj's files."""
    if path == JOURNAL:
        return f"journal {operation}"
    return f"dump {operation}" if path.startswith(DUMP) else f"meta {operation}"
