from benchmarks import syncs

SUMMARY = """\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 97.11    0.052113         103       504           fdatasync
  2.89    0.001552          97        16         1 fsync
------ ----------- ----------- --------- --------- ----------------
100.00    0.053665         103       520         1 total
"""


def test_calls_are_read_from_the_summary() -> None:
    assert syncs.parse(SUMMARY) == {"fdatasync": 504, "fsync": 16}


def test_a_process_that_never_synced_has_no_calls() -> None:
    assert syncs.parse("") == {}
