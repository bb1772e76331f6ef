"""Files that only their owner may read."""

import os
from pathlib import Path


def write(path: Path, data: bytes) -> None:
    """Whole or not at all, never readable for others, not for a moment, and on the disk on return:
    what is written under a key that a power cut takes back is lost. Raises OSError.
    """
    partial = path.with_name(f"{path.name}.partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
