"""The words of `put`, `get` and `del` as operations, alone or as lines of a txn. Pure."""

import argparse
from collections.abc import Callable

from kvstore.client import SortOrder, SortTarget, operations
from kvstore.commands import DeleteRange, Put, Range
from kvstore.ctl_arguments import EXIT_BAD_ARGUMENTS, EXIT_BAD_FEATURE, CtlError
from kvstore.ctl_txn import to_bytes

_SORT_TARGETS = {
    "": SortTarget.KEY,
    "KEY": SortTarget.KEY,
    "VERSION": SortTarget.VERSION,
    "CREATE": SortTarget.CREATE,
    "MODIFY": SortTarget.MOD,
    "VALUE": SortTarget.VALUE,
}
_SORT_ORDERS = {
    "": SortOrder.NONE,
    "ASCEND": SortOrder.ASCEND,
    "DESCEND": SortOrder.DESCEND,
}


def put_operation(arguments: argparse.Namespace, read_value: Callable[[], bytes]) -> Put:
    """`put key [value]`; the value from stdin when it is not given."""
    words = [to_bytes(word) for word in arguments.positionals + arguments.rest]
    if len(words) not in (1, 2):
        raise CtlError(
            EXIT_BAD_ARGUMENTS, "put command needs 1 argument and input from stdin or 2 arguments"
        )
    value = b""
    if not arguments.ignore_value:
        value = words[1] if len(words) > 1 else read_value()
    return operations.put(
        words[0],
        value,
        lease=lease_id_of(arguments.lease, "bad lease ID ({}), expecting ID in Hex"),
        prev_kv=arguments.prev_kv,
        ignore_value=arguments.ignore_value,
        ignore_lease=arguments.ignore_lease,
    )


def get_operation(arguments: argparse.Namespace) -> Range:
    """`get key [range_end]`."""
    key, range_end = _range_words(arguments, "get")
    if arguments.consistency not in ("l", "s"):
        raise CtlError(EXIT_BAD_FEATURE, f'unknown consistency flag "{arguments.consistency}"')
    order = _SORT_ORDERS.get(arguments.order.upper())
    target = _SORT_TARGETS.get(arguments.sort_by.upper())
    if order is None:
        raise CtlError(EXIT_BAD_FEATURE, f"bad sort order {arguments.order}")
    if target is None:
        raise CtlError(EXIT_BAD_FEATURE, f"bad sort target {arguments.sort_by}")
    return operations.get(
        key,
        range_end,
        prefix=arguments.prefix,
        from_key=arguments.from_key,
        limit=arguments.limit,
        revision=arguments.rev,
        sort_order=order,
        sort_target=target,
        keys_only=arguments.keys_only,
        count_only=arguments.count_only,
    )


def delete_operation(arguments: argparse.Namespace) -> DeleteRange:
    """`del key [range_end]`."""
    key, range_end = _range_words(arguments, "del")
    return operations.delete(
        key,
        range_end,
        prefix=arguments.prefix,
        from_key=arguments.from_key,
        prev_kv=arguments.prev_kv,
    )


def _range_words(arguments: argparse.Namespace, name: str) -> tuple[bytes, bytes]:
    words = [to_bytes(word) for word in arguments.positionals + arguments.rest]
    if arguments.prefix and arguments.from_key:
        raise CtlError(
            EXIT_BAD_ARGUMENTS,
            "`--prefix` and `--from-key` cannot be set at the same time, choose one",
        )
    if len(words) not in (1, 2):
        raise CtlError(
            EXIT_BAD_ARGUMENTS,
            f"{name} command needs one argument as key and an optional argument as range_end",
        )
    if len(words) == 2 and (arguments.prefix or arguments.from_key):
        raise CtlError(
            EXIT_BAD_ARGUMENTS,
            "too many arguments, only accept one argument when `--prefix` or `--from-key` is set",
        )
    return words[0], words[1] if len(words) == 2 else b""


def parse_failure(kind: str, word: str) -> str:
    """Go's words for what is no number."""
    return f'strconv.Parse{kind}: parsing "{word}": invalid syntax'


def lease_id_of(word: str, form: str) -> int:
    """A lease id, hexadecimal as everywhere on the command line."""
    try:
        return int(word, 16)
    except ValueError:
        raise CtlError(EXIT_BAD_ARGUMENTS, form.format(parse_failure("Int", word))) from None
