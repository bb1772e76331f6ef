"""`python -m controlplane.simulation`: the whole control plane, seed by seed."""

import sys
from functools import partial

from controlplane.simulation import command


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0: every seed held."""
    return command.run(command.parser().parse_args(arguments), partial(print, flush=True))


if __name__ == "__main__":
    sys.exit(main())
