"""Is what clients saw possible for one copy of the data? A black-box check, without any store.

    from kvstore.testing.linearizability import Operation, check

    verdict = check([Operation(process=0, kind="put", key=b"k", value=b"1", invoked=0.0), …])
    assert verdict.kind == "ok", verdict

It needs nothing but what the clients saw, so it serves for any store that has keys and values;
revisions, where the store has them, make it faster and sharper. Whoever knows the store's own
order of writes checks against that instead (`kvstore.testing.history`), exactly.

What belongs here: operations, the model, the search, the shrinking of what it finds. All PURE: no
files (`history_file` reads them), no clocks, no dice.
"""

from kvstore.testing.linearizability.checker import STATES_MAX, Verdict, check
from kvstore.testing.linearizability.operation import MalformedHistoryError, Operation

__all__ = ["STATES_MAX", "MalformedHistoryError", "Operation", "Verdict", "check"]
