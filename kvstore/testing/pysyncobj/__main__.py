"""`python -m kvstore.testing.pysyncobj`: the faults of the simulation against PySyncObj.

Exit status 0: it was caught.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable
from functools import partial

from kvstore.testing.pysyncobj import AUDITED_VERSION, hunt
from kvstore.testing.pysyncobj.scenario import Plan, Report

_TEXT_MAX = 400


def main(arguments: list[str] | None = None, say: Callable[[str], None] | None = None) -> int:
    """Run seeds, print what is found."""
    options = _parser().parse_args(arguments)
    say = say or partial(print, flush=True)
    plan = Plan(is_power_kept=options.keep_power)
    if options.until_caught:
        catch = hunt.first_caught(options.first_seed, options.seeds, plan)
        say("nothing was seen" if catch is None else f"seed {catch.seed}: {catch.text}")
        return 0 if catch else 1
    kinds: Counter[str] = Counter()
    started = time.monotonic()
    caught = 0
    for report in hunt.reports(options.first_seed, options.seeds, plan):
        kinds.update({finding.kind for finding in report.findings})
        caught += any(finding.is_safety for finding in report.findings)
        for line in _lines(report):
            say(line)
    seconds = time.monotonic() - started
    say(f"by kind: {', '.join(f'{count} {kind}' for kind, count in kinds.most_common()) or 'none'}")
    say(
        f"{caught} of {options.seeds} seeds caught PySyncObj {AUDITED_VERSION}"
        f" ({seconds:.0f} s, {options.seeds / seconds:.2f} seeds/s)"
    )
    return 0 if caught else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m kvstore.testing.pysyncobj", description=__doc__
    )
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=100, help="how many (default %(default)s)")
    parser.add_argument(
        "--until-caught", action="store_true", help="end with the first seed that catches it"
    )
    parser.add_argument(
        "--keep-power",
        action="store_true",
        help="members that crash are killed only: nothing that they wrote is lost",
    )
    return parser


def _lines(report: Report) -> list[str]:
    """Each finding, and what PySyncObj itself has complained about."""
    lines = [
        f"seed {report.seed}: {finding.kind}: {_shortened(finding.text)}"
        for finding in report.findings
    ]
    if report.findings:
        lines += [
            f"  it has logged {count} times: {_shortened(text)}"
            for text, count in report.logged.items()
        ]
    return lines


def _shortened(text: str) -> str:
    return text if len(text) <= _TEXT_MAX else f"{text[: _TEXT_MAX - 1]}…"


if __name__ == "__main__":
    sys.exit(main())
