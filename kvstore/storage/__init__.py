"""WAL, snapshots and files: the only code of the store that touches the disk."""
