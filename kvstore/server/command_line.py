"""Go's flag syntax and etcd's environment variables: texts in, texts and values out.

`--flag value`, `--flag=value`, the same with one dash; a boolean is `--flag` or `--flag=false`.
What the values mean together is `kvstore.server.config`'s.
"""

import platform
import re
from collections.abc import Mapping, Sequence

from kvstore.errors import ConfigError
from kvstore.server.flags import FLAGS, Flag, Kind, Support

HELP = "help"
VERSION = "version"

_SEE = "see `kvstore --help`"
# Go's strconv.ParseBool.
_BOOLEANS = {
    **dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True),
    **dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False),
}
_DURATION = re.compile(r"(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|μs|ms|s|m|h)")
_UNIT_SECONDS = {
    "ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0,
}  # fmt: skip
_PREFIX = "ETCD_"

Value = str | bool | int | float


def parse(arguments: Sequence[str]) -> dict[str, str]:
    """Flag name → text; the last one wins. Help and version come as names of their own."""
    given: dict[str, str] = {}
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        if argument == "--" and not rest:
            break
        name, separator, text = argument.lstrip("-").partition("=")
        if not argument.startswith("-") or argument.startswith("---") or not name:
            raise ConfigError(
                f"{argument!r} is not a flag (a boolean is written --flag=false); {_SEE}"
            )
        if name in (HELP, "h", VERSION):
            given[HELP if name == "h" else name] = text
            continue
        flag = FLAGS.get(name)
        if flag is None:
            raise ConfigError(f"flag --{name} is not known; {_SEE}")
        if not separator:
            text = _following(flag, rest)
        read(flag, text)
        given[name] = text
    return given


def _following(flag: Flag, rest: list[str]) -> str:
    """The value of a flag written without `=`."""
    if flag.kind is Kind.BOOLEAN:
        return "true"
    if not rest:
        raise ConfigError(f"flag --{flag.name} needs a value: a {flag.kind.value}; {_SEE}")
    return rest.pop(0)


def from_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Flag name → text of its variable; an empty variable counts as unset (etcd's rule)."""
    given: dict[str, str] = {}
    for flag in FLAGS.values():
        text = environment.get(flag.variable, "")
        if text:
            try:
                read(flag, text)
            except ConfigError as error:
                raise ConfigError(f"variable {flag.variable}: {error}") from None
            given[flag.name] = text
    return given


def unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """A line for each ETCD_* variable that is none of ours: often a misspelled one."""
    known = {flag.variable for flag in FLAGS.values()}
    return [
        f"variable {name} is not known and has no effect"
        for name in sorted(environment)
        if name.startswith(_PREFIX) and name not in known
    ]


def read(flag: Flag, text: str) -> Value:
    """The value of a flag's text; ConfigError says what it should be."""
    if flag.choices and text not in flag.choices:
        raise ConfigError(f"--{flag.name}={text} must be one of {', '.join(flag.choices)}")
    try:
        return _read(flag.kind, text)
    except ValueError:
        raise ConfigError(f"--{flag.name}={text} must be a {flag.kind.value}") from None


def _read(kind: Kind, text: str) -> Value:
    match kind:
        case Kind.BOOLEAN:
            if text not in _BOOLEANS:
                raise ValueError(text)
            return _BOOLEANS[text]
        case Kind.COUNT | Kind.INTEGER:
            number = int(text, 0)
            if number < (0 if kind is Kind.COUNT else -(2**63)) or number >= 2**63:
                raise ValueError(text)
            return number
        case Kind.DURATION:
            return duration_seconds(text)
        case Kind.TEXT | Kind.URLS:
            return text


def duration_seconds(text: str) -> float:
    """Go's duration ("1h30m", "1.5s", "0") in seconds; ValueError if it is none."""
    if text in ("", "0"):
        return 0.0
    parts = _DURATION.findall(text)
    if "".join(parts) != text:
        raise ValueError(text)
    return float(sum(_part_seconds(part) for part in parts))


def _part_seconds(part: str) -> float:
    number = part.rstrip("nuµμmsh")
    return float(number) * _UNIT_SECONDS[part[len(number) :]]


class Values:
    """Typed access to the texts given, with etcd's defaults behind them."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = texts

    def is_given(self, name: str) -> bool:
        """Tell whether the flag or its variable was set."""
        return name in self._texts

    def text(self, name: str) -> str:
        """The flag's text or etcd's default."""
        flag = FLAGS[name]
        assert flag.support is Support.IMPLEMENTED, name
        return self._texts.get(name, flag.default)

    def is_true(self, name: str) -> bool:
        """A boolean flag."""
        return bool(read(FLAGS[name], self.text(name)))

    def count(self, name: str) -> int:
        """A numeric flag."""
        value = read(FLAGS[name], self.text(name))
        assert isinstance(value, int)
        return value

    def seconds(self, name: str) -> float:
        """A duration flag."""
        value = read(FLAGS[name], self.text(name))
        assert isinstance(value, float)
        return value


def help_text() -> str:
    """All flags by group."""
    lines = [
        "Usage: kvstore [flags]",
        "",
        "Runs one member of a replicated key-value store that speaks etcd's v3 API. The flags are",
        "etcd's; each may also be given as a variable (--data-dir as ETCD_DATA_DIR), flags win.",
    ]
    group = ""
    for flag in FLAGS.values():
        if flag.group != group:
            group = flag.group
            lines += ["", f"{group}:"]
        lines.append(f"  --{flag.name} {flag.default!r}")
        lines.append(f"      {_words(flag)}")
    lines += ["", "Other:", "  --version", "  --help"]
    return "\n".join(lines)


def _words(flag: Flag) -> str:
    match flag.support:
        case Support.IMPLEMENTED:
            return flag.help
        case Support.NO_OP:
            return f"(no effect: {flag.note})"
        case Support.REFUSED:
            return f"(not supported yet: {flag.note})"


def version_text() -> str:
    """Our version and what runs it."""
    # Here, for it is a tenth of the time that a member takes to start.
    from importlib import metadata  # noqa: PLC0415

    try:
        version = metadata.version("keelson")
    except metadata.PackageNotFoundError:
        version = "from a source tree"
    return f"kvstore {version} (Python {platform.python_version()})"
