"""cpctl: a small kubectl, for machines that have none.

    cpctl --kubeconfig .cluster/kubeconfig get pods,services -A
    cpctl apply -f manifests/
    cpctl get deployments -w

Commands, flags, output and errors are kubectl's as far as they go; `apply` is server-side. This
module is the door: words in, output and exit status out (0, or 1 when something failed).
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence

from controlplane.ctl import deletion, kubeconfig, reading, streaming, writing
from controlplane.ctl.arguments import command_position, divided, parser_of
from controlplane.ctl.client import ApiClient
from controlplane.ctl.errors import CtlError, StatusError, message_of
from controlplane.ctl.session import Session

_EXIT_ERROR, _EXIT_INTERRUPTED = 1, 130
_COMMANDS: Mapping[str, tuple[Callable[[Session], Awaitable[None]], str]] = {
    "get": (reading.get, "print objects: get TYPE[,TYPE] [NAME …] | TYPE/NAME …"),
    "describe": (reading.describe, "all that objects say, and their events"),
    "apply": (writing.apply, "make objects what files say, as one of their managers"),
    "create": (writing.create, "create the objects of files"),
    "delete": (deletion.delete, "delete objects and wait until they are gone"),
    "scale": (writing.scale, "set the number of replicas"),
    "logs": (streaming.logs, "what a container has written: logs POD [-c CONTAINER]"),
    "exec": (streaming.exec_, "run a command in a container: exec POD -- COMMAND [ARGUMENT …]"),
}


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; the exit status."""
    try:
        return _run(list(sys.argv[1:] if words is None else words))
    except CtlError as error:
        _complain(str(error))
        return _EXIT_ERROR
    except StatusError as error:
        _complain(message_of(error))
        return _EXIT_ERROR
    except KeyboardInterrupt:
        return _EXIT_INTERRUPTED
    except BrokenPipeError:  # `cpctl get -w | head`
        sys.stdout = None
        return _EXIT_ERROR


def _complain(text: str) -> None:
    print(text, file=sys.stderr)


def _say(text: str) -> None:
    print(text, flush=True)


def _run(words: list[str]) -> int:
    position = command_position(words)
    if position is None:
        print(_usage())
        return 0 if not words or set(words) & {"-h", "--help"} else _EXIT_ERROR
    name = words.pop(position)
    if name not in _COMMANDS:
        raise CtlError(f'error: unknown command "{name}" for "cpctl"')
    words, command = divided(words)
    options = parser_of(name, _COMMANDS[name][1]).parse_intermixed_args(words)
    options.command = command
    path = kubeconfig.path_of(options.kubeconfig, os.environ)
    return asyncio.run(_execute(name, options, kubeconfig.load(path, options.context)))


async def _execute(name: str, options: argparse.Namespace, access: kubeconfig.Access) -> int:
    async with ApiClient(access, lambda text: _complain(f"Warning: {text}")) as client:
        session = Session(client, await client.resources(), options, _say, _complain)
        await _COMMANDS[name][0](session)
    return _EXIT_ERROR if session.has_failed else session.exit_status


def _usage() -> str:
    rows = "\n".join(f"  {name:10}{text}" for name, (_, text) in _COMMANDS.items())
    return f"{__doc__}\nCommands (each has --help):\n{rows}"


if __name__ == "__main__":
    sys.exit(main())
