"""`python -m kvstore.testing.torture.unsynced_member`: a member that believes its syncs are done.

None is: the negative control. A power cut must make it lose what it has acknowledged, and the
torture must see that.
"""

import os
import runpy


def _pretend(fd: int) -> None:
    """Whatever `fd` is, nothing of it reaches the disk now."""


if __name__ == "__main__":
    os.fsync = os.fdatasync = _pretend  # type: ignore[assignment]
    runpy.run_module("kvstore.testing.torture.small_member", run_name="__main__")
