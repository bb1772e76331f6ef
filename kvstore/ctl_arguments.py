"""kvctl's command line: which flags a command knows, and how words become arguments. Pure.

Flags stand anywhere, as etcdctl allows: before the command, between its arguments, `--flag value`
or `--flag=value`, `--prefix` or `--prefix=true`; after `--` nothing is a flag.
"""

import argparse
from collections.abc import Mapping, Sequence
from typing import NoReturn

import msgspec

# Exit codes, etcdctl's.
EXIT_ERROR = 1
EXIT_BAD_CONNECTION = 2
EXIT_INVALID_INPUT = 3
EXIT_BAD_FEATURE = 4
EXIT_INTERRUPTED = 5  # a watch that the server ends; a file that cannot be written
EXIT_BAD_ARGUMENTS = 128


class CtlError(Exception):
    """Ends kvctl with a message and an exit code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Flag(msgspec.Struct, frozen=True):
    """One flag; the default's type is the flag's type."""

    name: str
    default: bool | int | float | str | None
    description: str
    short: str = ""


_TRUE = {"1", "t", "T", "true", "TRUE", "True"}
_FALSE = {"0", "f", "F", "false", "FALSE", "False"}
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise CtlError(EXIT_ERROR, message)


def seconds_of(text: str) -> float:
    """`5s`, `500ms`, `1m` as seconds."""
    for unit, size in _UNITS.items():
        number = text.removesuffix(unit)
        if number != text:
            try:
                return float(number) * size
            except ValueError:
                break
    raise argparse.ArgumentTypeError(f"invalid duration {text!r}")


def parse(
    words: Sequence[str], flags: Sequence[Flag], *, description: str, environment: Mapping[str, str]
) -> argparse.Namespace:
    """The arguments of one command: `positionals`, `rest` (what stood after `--`), and its flags.

    KVCTL_* and ETCDCTL_* variables give the defaults of global flags (`environment`).
    """
    parser = _Parser(prog="kvctl", description=description, allow_abbrev=False)
    parser.add_argument("positionals", nargs="*", metavar="argument")
    for flag in flags:
        _add(parser, flag, environment)
    words, rest = _split(words)
    namespace = parser.parse_intermixed_args(_plain_switches(words, flags))
    namespace.rest = rest
    return namespace


def command_of(
    words: Sequence[str], commands: Sequence[tuple[str, ...]], flags: Sequence[Flag]
) -> tuple[tuple[str, ...], list[str]]:
    """The command that the words name, and the words without it.

    Only global flags (`flags`) can stand before it.
    """
    takes_value = {
        spelling
        for flag in flags
        if not isinstance(flag.default, bool)
        for spelling in (f"--{flag.name}", f"-{flag.short}")
    }
    found: list[int] = []
    position = 0
    while position < len(words):
        word = words[position]
        if word in takes_value:
            position += 1
        elif not word.startswith("-"):
            found.append(position)
            name = tuple(words[at] for at in found)
            if name in commands:
                return name, [w for at, w in enumerate(words) if at not in found]
            if not any(command[: len(name)] == name for command in commands):
                break
        elif word == "--":
            break
        position += 1
    return (), [words[at] for at in found]


def _split(words: Sequence[str]) -> tuple[list[str], list[str]]:
    if "--" not in words:
        return list(words), []
    at = list(words).index("--")
    return list(words[:at]), list(words[at + 1 :])


def _plain_switches(words: Sequence[str], flags: Sequence[Flag]) -> list[str]:
    """`--prefix=true` as `--prefix`, and without `--prefix=false`."""
    switches = {f"--{flag.name}" for flag in flags if isinstance(flag.default, bool)}
    plain = []
    for word in words:
        name, separator, value = word.partition("=")
        if not separator or name not in switches:
            plain.append(word)
        elif value in _TRUE:
            plain.append(name)
        elif value not in _FALSE:
            raise CtlError(
                EXIT_ERROR, f'invalid argument "{value}" for "{name}" flag: not a boolean'
            )
    return plain


def _add(parser: argparse.ArgumentParser, flag: Flag, environment: Mapping[str, str]) -> None:
    spellings = [f"--{flag.name}"] + ([f"-{flag.short}"] if flag.short else [])
    variable = flag.name.upper().replace("-", "_")
    default = environment.get(f"KVCTL_{variable}", environment.get(f"ETCDCTL_{variable}"))
    if isinstance(flag.default, bool):
        is_on = flag.default if default is None else default in _TRUE
        parser.add_argument(*spellings, action="store_true", default=is_on, help=flag.description)
        return
    kind = seconds_of if isinstance(flag.default, float) else type(flag.default)
    parser.add_argument(
        *spellings,
        type=str if flag.default is None else kind,
        default=flag.default if default is None else default,
        help=flag.description,
    )
