"""Regular expressions as Kubernetes means them (RE2's syntax), for Python's `re`. PURE.

Source: RE2's syntax page. What differs: `$` is the very end, `\\z` is spelled `\\Z`, `[[:alpha:]]`
exists, and `\\d \\w \\s` are ASCII. What Python has beyond RE2 (look-around, back-references) is
refused, as Kubernetes refuses it.
"""

import re
from functools import lru_cache

_TOKEN = re.compile(
    r"""
    \\pN | \\pL | \\. | \[:\^?[a-z]+:\] | \[\^?\]? | \] | \$ |
    \(\?(?:P?<[A-Za-z_]\w*>|[a-zA-Z]*[:)]|.?) | .
    """,
    re.VERBOSE | re.DOTALL,
)
_CLASSES = {
    "[:alnum:]": "0-9A-Za-z",
    "[:alpha:]": "A-Za-z",
    "[:blank:]": r"\t ",
    "[:digit:]": "0-9",
    "[:lower:]": "a-z",
    "[:space:]": r"\t\n\v\f\r ",
    "[:upper:]": "A-Z",
    "[:word:]": "0-9A-Za-z_",
    "[:xdigit:]": "0-9A-Fa-f",
}
_ESCAPES = {"\\z": "\\Z"}
_GROUP = re.compile(r"\(\?(?:P<[A-Za-z_]\w*>|[ims]*:|[ims]+\))")


@lru_cache(maxsize=4096)
def compiled(pattern: str) -> re.Pattern[str]:
    """A pattern to `search` with.

    ValueError: it is none, or uses what RE2 does not have.
    """
    try:
        return re.compile(_translated(pattern), re.ASCII)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(str(error)) from None


def _translated(pattern: str) -> str:
    parts = []
    in_class = False
    for token in _TOKEN.findall(pattern):
        if in_class:
            in_class = token != "]"
            parts.append(_CLASSES.get(token, "\\[" if token == "[" else token))
        elif token.startswith("["):
            in_class = True
            parts.append(token)
        else:
            parts.append(_outside(token))
    return "".join(parts)


def _outside(token: str) -> str:
    """A token that is not in a character class."""
    if token == "$":
        return r"\Z"
    if token.startswith("(?"):
        token = token.replace("(?<", "(?P<")
        if not _GROUP.fullmatch(token):
            raise ValueError(f"invalid or unsupported Perl syntax: `{token}`")
    if len(token) == 2 and token[0] == "\\" and (token[1].isdigit() or token[1] == "Z"):
        raise ValueError(f"invalid escape sequence: `{token}`")
    return _ESCAPES.get(token, token)
