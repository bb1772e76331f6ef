"""kvctl: etcdctl's commands on our client library.

    kvctl put greeting hello
    kvctl get --prefix "" --keys-only
    kvctl --endpoints 127.0.0.1:2379,127.0.0.1:2381 endpoint status -w table

This module is the door: words in, output and exit code out. What a command does is in
`ctl_commands`, how results look in `ctl_output`.
"""

import argparse
import asyncio
import contextlib
import os
import sys
from collections.abc import Mapping, Sequence

from kvstore import ctl_operations
from kvstore.client import Client, SnapshotCorruptError, Tls, connect
from kvstore.commands import Operation
from kvstore.ctl_arguments import (
    EXIT_BAD_ARGUMENTS,
    EXIT_BAD_FEATURE,
    EXIT_ERROR,
    CtlError,
    Flag,
    command_of,
    parse,
)
from kvstore.ctl_commands import RUN, Session, message_of
from kvstore.ctl_output import Format, UnsupportedFormatError, render
from kvstore.errors import KvError

_EXIT_INTERRUPTED = 130

_GLOBAL_FLAGS = (
    Flag("endpoints", "127.0.0.1:2379", "where members listen for clients, with commas between"),
    Flag("cacert", None, "PEM file of the authorities that servers are verified by"),
    Flag("cert", None, "PEM file of the client's certificate"),
    Flag("key", None, "PEM file of the client's key"),
    Flag("command-timeout", 5.0, "time for a short command, all attempts together"),
    Flag("write-out", "simple", "form of output: simple, json or table", short="w"),
    Flag("hex", False, "print keys and values as hexadecimal"),
)
_RANGE_FLAGS = (
    Flag("prefix", False, "all keys that begin with the key"),
    Flag("from-key", False, "all keys that are not before the key"),
)
_PEER_URLS_FLAG = Flag("peer-urls", "", "where other members reach it, with commas between")
_CLUSTER_FLAG = Flag("cluster", False, "all endpoints of the member list")

_FLAGS: Mapping[tuple[str, ...], tuple[Flag, ...]] = {
    ("put",): (
        Flag("lease", "0", "id (hexadecimal) of the lease to attach to the key"),
        Flag("prev-kv", False, "print what was there before"),
        Flag("ignore-value", False, "keep the key's value"),
        Flag("ignore-lease", False, "keep the key's lease"),
    ),
    ("get",): (
        *_RANGE_FLAGS,
        Flag("consistency", "l", "linearizable (l) or serializable (s)"),
        Flag("order", "", "ASCEND or DESCEND"),
        Flag("sort-by", "", "CREATE, KEY, MODIFY, VALUE or VERSION"),
        Flag("limit", 0, "at most so many keys"),
        Flag("rev", 0, "at this revision"),
        Flag("keys-only", False, "without the values"),
        Flag("count-only", False, "only the number of keys"),
        Flag("print-value-only", False, "print values without their keys"),
    ),
    ("del",): (*_RANGE_FLAGS, Flag("prev-kv", False, "print what is deleted")),
    ("txn",): (Flag("interactive", False, "prompt for each part", short="i"),),
    ("watch",): (
        _RANGE_FLAGS[0],
        Flag("rev", 0, "start at this revision"),
        Flag("prev-kv", False, "print also what was there before"),
        Flag("progress-notify", False, "print progress notifications"),
    ),
    ("compact",): (Flag("physical", False, "return when the history is gone"),),
    ("compaction",): (Flag("physical", False, "return when the history is gone"),),
    ("lease", "timetolive"): (Flag("keys", False, "print the keys, too"),),
    ("lease", "keep-alive"): (Flag("once", False, "renew once only"),),
    ("member", "add"): (
        _PEER_URLS_FLAG,
        Flag("learner", False, "a learner, which does not vote until it is promoted"),
    ),
    ("member", "update"): (_PEER_URLS_FLAG,),
    ("endpoint", "health"): (_CLUSTER_FLAG,),
    ("endpoint", "status"): (_CLUSTER_FLAG,),
    ("endpoint", "hashkv"): (_CLUSTER_FLAG, Flag("rev", 0, "up to this revision")),
    ("defrag",): (_CLUSTER_FLAG,),
}


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    try:
        return _run(sys.argv[1:] if words is None else list(words))
    except CtlError as error:
        if str(error):
            _complain(f"Error: {error}")
        return error.code
    except (SnapshotCorruptError, KvError) as error:
        text = str(error) if isinstance(error, SnapshotCorruptError) else message_of(error)
        _complain(f"Error: {text}")
        return EXIT_ERROR
    except UnsupportedFormatError as error:
        _complain(f"Error: {error}")
        return EXIT_BAD_FEATURE
    except KeyboardInterrupt:
        return _EXIT_INTERRUPTED
    except BrokenPipeError:  # `kvctl watch | head`
        sys.stdout = None
        return EXIT_ERROR


def _run(words: Sequence[str]) -> int:
    name, rest = command_of(words, tuple(RUN), _GLOBAL_FLAGS)
    if not name:
        return _usage(rest, wants_help=not rest or any(w in ("-h", "--help") for w in words))
    arguments = _parse(name, rest)
    form = _form(arguments)
    endpoints = [e.strip() for e in arguments.endpoints.split(",") if e.strip()]
    tls = _tls(arguments)
    asyncio.run(_with_client(name, arguments, form, endpoints, tls))
    return 0


async def _with_client(
    name: tuple[str, ...],
    arguments: argparse.Namespace,
    form: Format,
    endpoints: Sequence[str],
    tls: Tls | None,
) -> None:
    seconds = arguments.command_timeout

    def open_client(endpoint: str) -> Client:
        return connect([endpoint], tls=tls, request_timeout_seconds=seconds)

    try:
        client = connect(endpoints, tls=tls, request_timeout_seconds=seconds)
    except ValueError as error:
        raise CtlError(EXIT_BAD_ARGUMENTS, str(error)) from None
    async with client:
        await RUN[name](
            Session(
                client=client,
                open_client=open_client,
                arguments=arguments,
                form=form,
                show=lambda record: _write(render(record, form)),
                say=lambda line: _write(line.encode(errors="surrogateescape") + b"\n"),
                complain=_complain,
                stdin=sys.stdin.buffer,
                parse_operation=_operation,
            )
        )


def _operation(words: list[str]) -> Operation:
    """An operation of a txn: the same words as the command's."""
    arguments = _parse((words[0],), words[1:])
    match words[0]:
        case "put":
            return ctl_operations.put_operation(arguments, bytes)
        case "get":
            return ctl_operations.get_operation(arguments)
        case _:
            return ctl_operations.delete_operation(arguments)


def _parse(name: tuple[str, ...], words: Sequence[str]) -> argparse.Namespace:
    flags = (*_FLAGS.get(name, ()), *_GLOBAL_FLAGS)
    description = f"{' '.join(name)}: {RUN[name].__doc__}"
    variables = {k: v for k, v in os.environ.items() if k.startswith(("KVCTL_", "ETCDCTL_"))}
    return parse(words, flags, description=description, environment=variables)


def _form(arguments: argparse.Namespace) -> Format:
    if arguments.write_out not in ("simple", "json", "table"):
        raise CtlError(EXIT_BAD_FEATURE, "unsupported output format")
    return Format(
        name=arguments.write_out,
        hex=arguments.hex,
        value_only=getattr(arguments, "print_value_only", False),
        count_only=getattr(arguments, "count_only", False),
    )


def _tls(arguments: argparse.Namespace) -> Tls | None:
    if arguments.cacert is arguments.cert is arguments.key is None:
        return None
    try:
        return Tls.from_files(arguments.cacert, arguments.cert, arguments.key)
    except OSError as error:
        raise CtlError(EXIT_BAD_ARGUMENTS, f"open {error.filename}: {error.strerror}") from None
    except ValueError as error:
        raise CtlError(EXIT_BAD_ARGUMENTS, str(error)) from None


def _usage(unknown: Sequence[str], *, wants_help: bool) -> int:
    prefix = tuple(unknown)
    known = [name for name in RUN if name[: len(prefix)] == prefix]
    if not known and not wants_help:
        raise CtlError(EXIT_ERROR, f'unknown command "{" ".join(unknown)}" for "kvctl"')
    print("kvctl: talk to a cluster that speaks etcd's v3 API\n\ncommands:")
    for name in known or RUN:
        print(f"  {' '.join(name):20}{RUN[name].__doc__}")
    print("\nglobal flags:")
    for flag in _GLOBAL_FLAGS:
        print(f"  --{flag.name:18}{flag.description} (default {flag.default})")
    return 0


def _write(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()  # a watch's reader sees each change at once


def _complain(line: str) -> None:
    with contextlib.suppress(BrokenPipeError):
        print(line, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
