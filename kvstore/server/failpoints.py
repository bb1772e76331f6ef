"""Failpoints: named places at which a member ends, stops, waits or fails; none unless armed.

`KVSTORE_FAILPOINT="wal synced:3=kill"` lets the process end by SIGKILL when it passes the point
"wal synced" for the third time; several are separated by semicolons. Actions: `kill`, `stop`
(SIGSTOP, until somebody sends SIGCONT), `wait SECONDS`, `error` (what the disk would raise).
Without the variable nothing is wrapped and nothing is checked.
"""

VARIABLE = "KVSTORE_FAILPOINT"
