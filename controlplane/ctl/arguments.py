"""What may stand behind `cpctl`: flags of all commands and of each, as kubectl spells them."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn

from controlplane.ctl.errors import CtlError

_GLOBAL_FLAGS = (("--kubeconfig", "FILE"), ("--context", "NAME"), ("--namespace", "NAME"))


def command_position(words: Sequence[str]) -> int | None:
    """Where the command stands: before it there may be flags that every command has.

    None: there is none.
    """
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


def divided(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """What is said to cpctl, and the command behind `--` that is somebody else's."""
    if "--" not in words:
        return list(words), []
    position = words.index("--")
    return list(words[:position]), list(words[position + 1 :])


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise CtlError(f"error: {message}\nSee '{self.prog} --help' for usage.")


def parser_of(name: str, description: str) -> argparse.ArgumentParser:
    """Of one command. What it does not understand it raises as CtlError."""
    parser = _Parser(prog=f"cpctl {name}", description=description, allow_abbrev=False)
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


def _add_logs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-c", "--container", default="", metavar="NAME")
    parser.add_argument("-f", "--follow", action="store_true", help="go on with what comes")
    parser.add_argument("-p", "--previous", action="store_true", help="of the attempt before")
    parser.add_argument("--timestamps", action="store_true")
    parser.add_argument("--tail", type=int, default=-1, metavar="LINES", help="the last ones only")
    parser.add_argument("--limit-bytes", type=int, default=0, metavar="BYTES")
    parser.add_argument("--since", type=_seconds, default=0.0, metavar="30s")


def _add_exec(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-c", "--container", default="", metavar="NAME")
    parser.add_argument("-i", "--stdin", action="store_true", help="pass on what comes on stdin")
    parser.add_argument("-t", "--tty", action="store_true", help="run it on a terminal")


_FLAGS_OF: Mapping[str, Callable[[argparse.ArgumentParser], None]] = {
    "get": _add_get,
    "describe": _add_selectors,
    "apply": _add_apply,
    "delete": _add_delete,
    "scale": _add_scale,
    "logs": _add_logs,
    "exec": _add_exec,
}
