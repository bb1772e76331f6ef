"""The known-bad control: PySyncObj under the faults that our own store is put to.

A suite of faults that does not catch PySyncObj 0.3.17 proves nothing. Its code runs unchanged, its
file journal included. Simulated are the clock and the dice (`doors`), the disk (`program_files`),
and a transport of ours that promises what TCP does (`transport`).

What belongs here: whatever knows PySyncObj. Nothing else imports this package, which needs the
extra `dev`.
"""

try:
    from pysyncobj.version import VERSION
except ImportError as error:
    raise ImportError(
        "the known-bad control needs PySyncObj: pip install pysyncobj==0.3.17"
    ) from error

AUDITED_VERSION = "0.3.17"
if VERSION != AUDITED_VERSION:
    raise ImportError(
        f"the known-bad control knows the inside of PySyncObj {AUDITED_VERSION}, and this is"
        f" {VERSION}: pip install pysyncobj=={AUDITED_VERSION}"
    )
