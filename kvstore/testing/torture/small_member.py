"""`python -m kvstore.testing.torture.small_member`: a member as always, with small WAL segments.

With those of production (64 MiB) a run would hardly ever see a second one.
"""

import runpy

from kvstore.server.member import Member

SEGMENT_BYTES = 256 * 1024

if __name__ == "__main__":
    defaults = Member.__init__.__kwdefaults__
    assert defaults is not None
    assert "segment_bytes" in defaults
    defaults["segment_bytes"] = SEGMENT_BYTES
    runpy.run_module("kvstore", run_name="__main__")
