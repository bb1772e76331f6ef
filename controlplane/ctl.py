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
from typing import NoReturn

from controlplane import ctl_commands, ctl_kubeconfig
from controlplane.ctl_client import ApiClient
from controlplane.ctl_commands import Session
from controlplane.ctl_errors import CtlError, StatusError, message_of

_EXIT_ERROR, _EXIT_INTERRUPTED = 1, 130
_COMMANDS: Mapping[str, tuple[Callable[[Session], Awaitable[None]], str]] = {
    "get": (ctl_commands.get, "print objects: get TYPE[,TYPE] [NAME …] | TYPE/NAME …"),
    "describe": (ctl_commands.describe, "all that objects say, and their events"),
    "apply": (ctl_commands.apply, "make objects what files say, as one of their managers"),
    "create": (ctl_commands.create, "create the objects of files"),
    "delete": (ctl_commands.delete, "delete objects and wait until they are gone"),
    "scale": (ctl_commands.scale, "set the number of replicas"),
}
_GLOBAL_FLAGS = (("--kubeconfig", "FILE"), ("--context", "NAME"), ("--namespace", "NAME"))


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
    position = _command_position(words)
    if position is None:
        print(_usage())
        return 0 if not words or set(words) & {"-h", "--help"} else _EXIT_ERROR
    name = words.pop(position)
    if name not in _COMMANDS:
        raise CtlError(f'error: unknown command "{name}" for "cpctl"')
    options = _parser(name).parse_intermixed_args(words)
    path = ctl_kubeconfig.path_of(options.kubeconfig, os.environ)
    return asyncio.run(_execute(name, options, ctl_kubeconfig.load(path, options.context)))


async def _execute(name: str, options: argparse.Namespace, access: ctl_kubeconfig.Access) -> int:
    async with ApiClient(access, lambda text: _complain(f"Warning: {text}")) as client:
        session = Session(client, await client.resources(), options, _say, _complain)
        await _COMMANDS[name][0](session)
    return _EXIT_ERROR if session.has_failed else 0


def _command_position(words: Sequence[str]) -> int | None:
    """Where the command stands: before it there may be flags that every command has."""
    takes_value = {name for name, _ in _GLOBAL_FLAGS} | {"-n"}
    is_value = False
    for position, word in enumerate(words):
        if is_value:
            is_value = False
        elif word in takes_value:
            is_value = True
        elif not word.startswith("-"):
            return position
    return None


def _usage() -> str:
    rows = "\n".join(f"  {name:10}{text}" for name, (_, text) in _COMMANDS.items())
    return f"{__doc__}\nCommands (each has --help):\n{rows}"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise CtlError(f"error: {message}\nSee '{self.prog} --help' for usage.")


def _parser(name: str) -> argparse.ArgumentParser:
    parser = _Parser(prog=f"cpctl {name}", description=_COMMANDS[name][1], allow_abbrev=False)
    for flag, metavar in _GLOBAL_FLAGS:
        names = ("-n", flag) if flag == "--namespace" else (flag,)
        parser.add_argument(*names, metavar=metavar)
    if name in ("apply", "create"):
        _add_files(parser, is_required=True)
        parser.add_argument("--dry-run", choices=("none", "server"), default="none")
    else:
        parser.add_argument("words", nargs="*", metavar="TYPE NAME")
    if name in _FLAGS_OF:
        _FLAGS_OF[name](parser)
    return parser


def _seconds(text: str) -> float:
    """Of `30s`, `5m` or `1h`."""
    units = {"s": 1, "m": 60, "h": 3600}
    return float(text[:-1]) * units[text[-1]] if text[-1:] in units else float(text)


def _add_files(parser: argparse.ArgumentParser, *, is_required: bool) -> None:
    parser.add_argument(
        *("-f", "--filename"),
        action="append",
        default=[],
        required=is_required,
        metavar="FILE|FOLDER|-",
    )


def _add_selectors(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-l", "--selector", default="", metavar="LABELS")
    parser.add_argument("--field-selector", default="", metavar="FIELDS")
    parser.add_argument("-A", "--all-namespaces", action="store_true")


def _add_get(parser: argparse.ArgumentParser) -> None:
    _add_selectors(parser)
    forms = ("", "wide", "yaml", "json", "name")
    parser.add_argument("-o", "--output", default="", choices=forms)
    parser.add_argument("-w", "--watch", action="store_true", help="go on with what changes")
    parser.add_argument("--no-headers", action="store_true")


def _add_delete(parser: argparse.ArgumentParser) -> None:
    _add_selectors(parser)
    _add_files(parser, is_required=False)
    parser.add_argument("--all", action="store_true", help="all objects of the type")
    parser.add_argument("--wait", choices=("true", "false"), default="true")
    parser.add_argument("--timeout", type=_seconds, default=0.0, metavar="30s", help="of waiting")
    cascades = ("background", "foreground", "orphan")
    parser.add_argument("--cascade", choices=cascades, default="background")
    parser.add_argument("--grace-period", type=int, default=-1, metavar="SECONDS")
    parser.add_argument("--ignore-not-found", action="store_true")


def _add_scale(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--replicas", type=int, required=True, metavar="COUNT")
    parser.add_argument(
        "--current-replicas", type=int, metavar="COUNT", help="only if it has so many"
    )


def _add_apply(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--force-conflicts", action="store_true", help="take fields from others")


_FLAGS_OF: Mapping[str, Callable[[argparse.ArgumentParser], None]] = {
    "get": _add_get,
    "describe": _add_selectors,
    "apply": _add_apply,
    "delete": _add_delete,
    "scale": _add_scale,
}


if __name__ == "__main__":
    sys.exit(main())
