"""From a command line and ETCD_* variables to one frozen `Settings`, or a ConfigError.

The syntax is that of Go's flags, the meanings and defaults are etcd's; which flags there are is
`kvstore.server.flags`. Nothing here opens a file or a socket: certificates are read by
`kvstore.server.tls`, the data folder by `kvstore.server.bootstrap`.
"""

from collections.abc import Mapping, Sequence

import msgspec

from kvstore.errors import ConfigError
from kvstore.server import command_line
from kvstore.server.command_line import Values
from kvstore.server.flags import FLAGS, Flag, Support
from kvstore.urls import (
    URL_BYTES_MAX,
    URLS_MAX,
    are_bounded,
    are_same_places,
    parse_reachable_url,
    parse_url,
    parse_urls,
    require_bindable,
)

# etcd's limits and defaults.
_ELECTION_TIMEOUT_SECONDS_MAX = 50.0
_ELECTION_HEARTBEATS_MIN = 5
_QUOTA_DEFAULT_BYTES = 2 * 1024**3
_HOUR_SECONDS = 3600.0
# gRPC's window for a message length is a signed 32-bit number; 512 KiB go to its overhead.
# A request travels between members in one frame of at most 64 MiB.
_REQUEST_BYTES_MAX = 32 * 1024 * 1024
_PATH_SUFFIXES = ("-dir", "-file")
# All members keep each member's name, in memory and in every snapshot. etcd has no limit.
_NAME_BYTES_MAX = 1024


class TlsFiles(msgspec.Struct, frozen=True, kw_only=True):
    """Where the certificates of one port are, and what is asked of the other side.

    `allowed_cn`, `allowed_hostname` and `is_san_checked` matter between members only.
    """

    cert_file: str = ""
    key_file: str = ""
    trusted_ca_file: str = ""
    is_client_cert_required: bool = False
    allowed_cn: str = ""
    allowed_hostname: str = ""
    is_san_checked: bool = True


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All that one member is told. URLs are sorted and valid, times are in seconds.

    `snapshot_count` is None unless given: then snapshots follow the size of the WAL.
    `quota_backend_bytes` is None when there is no quota. `notices` are lines to log at the start.
    """

    name: str
    data_dir: str
    listen_peer_urls: tuple[str, ...]
    listen_client_urls: tuple[str, ...]
    initial_advertise_peer_urls: tuple[str, ...]
    advertise_client_urls: tuple[str, ...]
    initial_cluster: dict[str, tuple[str, ...]]
    is_initial_cluster_given: bool
    initial_cluster_state: str
    initial_cluster_token: str
    heartbeat_interval_seconds: float
    election_timeout_seconds: float
    initial_election_tick_advance: bool
    strict_reconfig_check: bool
    snapshot_count: int | None
    quota_backend_bytes: int | None
    auto_compaction_period_seconds: float | None
    auto_compaction_revisions: int | None
    max_txn_operations: int
    max_request_bytes: int
    max_concurrent_streams: int
    grpc_keepalive_min_time_seconds: float
    grpc_keepalive_interval_seconds: float
    grpc_keepalive_timeout_seconds: float
    watch_progress_interval_seconds: float
    log_level: str
    client_tls: TlsFiles | None
    peer_tls: TlsFiles | None
    notices: tuple[str, ...] = ()


class Printout(msgspec.Struct, frozen=True):
    """What to print instead of running (`--help`, `--version`)."""

    text: str


def load(arguments: Sequence[str], environment: Mapping[str, str]) -> Settings | Printout:
    """Read the command line (without the program's name) and the environment; flags win."""
    given = command_line.parse(arguments)
    if command_line.HELP in given:
        return Printout(command_line.help_text())
    if command_line.VERSION in given:
        return Printout(command_line.version_text())
    notices = command_line.unknown_variables(environment)
    texts = command_line.from_environment(environment) | given
    for name, text in texts.items():
        _require_text(name, text)
        notices += _support_of(FLAGS[name], text)
    return _settings(Values(texts), notices)


def _require_text(name: str, text: str) -> None:
    """What is sent to others is UTF-8; paths are the operating system's and may be anything."""
    if name.endswith(_PATH_SUFFIXES):
        return
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ConfigError(f"--{name}={text!a} is not UTF-8: write it in UTF-8") from None


def _support_of(flag: Flag, text: str) -> list[str]:
    """Refuse what is not supported; say what has no effect."""
    value = command_line.read(flag, text)
    if value == command_line.read(flag, flag.default) or flag.support is Support.IMPLEMENTED:
        return []
    if flag.support is Support.REFUSED:
        raise ConfigError(f"--{flag.name} is not supported yet: {flag.note}")
    return [f"--{flag.name}={text} has no effect: {flag.note}"]


def _settings(values: Values, notices: list[str]) -> Settings:
    name = values.text("name") or "default"
    advertised_peers = parse_urls(values.text("initial-advertise-peer-urls"))
    client_tls = _tls(values, "")
    peer_tls = _tls(values, "peer-")
    settings = Settings(
        name=name,
        data_dir=values.text("data-dir") if values.is_given("data-dir") else f"{name}.etcd",
        listen_peer_urls=parse_urls(values.text("listen-peer-urls")),
        listen_client_urls=parse_urls(values.text("listen-client-urls")),
        initial_advertise_peer_urls=advertised_peers,
        advertise_client_urls=_advertised_clients(values),
        initial_cluster=_initial_cluster(values, name, advertised_peers),
        is_initial_cluster_given=values.is_given("initial-cluster"),
        initial_cluster_state=values.text("initial-cluster-state"),
        initial_cluster_token=values.text("initial-cluster-token"),
        heartbeat_interval_seconds=values.count("heartbeat-interval") / 1000,
        election_timeout_seconds=values.count("election-timeout") / 1000,
        initial_election_tick_advance=values.is_true("initial-election-tick-advance"),
        strict_reconfig_check=values.is_true("strict-reconfig-check"),
        snapshot_count=_snapshot_count(values),
        quota_backend_bytes=_quota_bytes(values.count("quota-backend-bytes")),
        auto_compaction_period_seconds=_compaction_seconds(values),
        auto_compaction_revisions=_compaction_revisions(values),
        max_txn_operations=values.count("max-txn-ops"),
        max_request_bytes=values.count("max-request-bytes"),
        max_concurrent_streams=values.count("max-concurrent-streams"),
        grpc_keepalive_min_time_seconds=values.seconds("grpc-keepalive-min-time"),
        grpc_keepalive_interval_seconds=values.seconds("grpc-keepalive-interval"),
        grpc_keepalive_timeout_seconds=values.seconds("grpc-keepalive-timeout"),
        watch_progress_interval_seconds=values.seconds(
            "experimental-watch-progress-notify-interval"
        ),
        log_level="debug" if values.is_true("debug") else values.text("log-level"),
        client_tls=client_tls,
        peer_tls=peer_tls,
    )
    _check_limits(settings)
    _check_timing(settings)
    _check_cluster(settings)
    notices += _check_schemes("client", settings.listen_client_urls, client_tls)
    notices += _check_schemes("peer", settings.listen_peer_urls, peer_tls)
    return msgspec.structs.replace(settings, notices=tuple(notices))


def _advertised_clients(values: Values) -> tuple[str, ...]:
    if values.is_given("listen-client-urls") and not values.is_given("advertise-client-urls"):
        raise ConfigError(
            "--listen-client-urls needs --advertise-client-urls as well: the addresses at which"
            " clients reach this member"
        )
    return parse_urls(values.text("advertise-client-urls"))


def _initial_cluster(
    values: Values, name: str, advertised: tuple[str, ...]
) -> dict[str, tuple[str, ...]]:
    """NAME=URL pairs; a name may come several times with an address each.

    Without the flag the member is alone (etcd's rule).
    """
    if not values.is_given("initial-cluster"):
        return {name: advertised}
    urls: dict[str, list[str]] = {}
    for pair in values.text("initial-cluster").split(","):
        member, separator, url = pair.strip().partition("=")
        if not (separator and member and url):
            raise ConfigError(f"--initial-cluster: {pair!r} must read NAME=PEER_URL")
        parse_reachable_url(url)
        urls.setdefault(member, []).append(url)
    for member, member_urls in urls.items():
        if not are_bounded(member_urls):
            raise ConfigError(
                f"--initial-cluster gives {member} more than {URLS_MAX} URLs, or one that is longer"
                f" than {URL_BYTES_MAX} bytes"
            )
    return {member: tuple(sorted(member_urls)) for member, member_urls in urls.items()}


def _snapshot_count(values: Values) -> int | None:
    if not values.is_given("snapshot-count"):
        return None
    # 0 means etcd's default there, too.
    return values.count("snapshot-count") or int(FLAGS["snapshot-count"].default)


def _quota_bytes(given: int) -> int | None:
    if given < 0:
        return None
    return given or _QUOTA_DEFAULT_BYTES


def _compaction_seconds(values: Values) -> float | None:
    retention = values.text("auto-compaction-retention")
    if values.text("auto-compaction-mode") != "periodic":
        return None
    if retention.isdecimal():
        return int(retention) * _HOUR_SECONDS or None
    try:
        return command_line.duration_seconds(retention) or None
    except ValueError:
        raise ConfigError(
            f"--auto-compaction-retention={retention} must be hours or a duration like 5m"
        ) from None


def _compaction_revisions(values: Values) -> int | None:
    retention = values.text("auto-compaction-retention")
    if values.text("auto-compaction-mode") != "revision":
        return None
    if not retention.isdecimal():
        raise ConfigError(
            f"--auto-compaction-retention={retention} must be a number of revisions, because"
            " --auto-compaction-mode is revision"
        )
    return int(retention) or None


def _tls(values: Values, prefix: str) -> TlsFiles | None:
    """The TLS flags of the client port (no prefix) or the peer port; None if there are none."""
    files = TlsFiles(
        cert_file=values.text(f"{prefix}cert-file"),
        key_file=values.text(f"{prefix}key-file"),
        trusted_ca_file=values.text(f"{prefix}trusted-ca-file"),
        # etcd asks for certificates as soon as it has a CA to judge them by.
        is_client_cert_required=values.is_true(f"{prefix}client-cert-auth")
        or bool(values.text(f"{prefix}trusted-ca-file")),
        allowed_cn=values.text("peer-cert-allowed-cn") if prefix else "",
        allowed_hostname=values.text("peer-cert-allowed-hostname") if prefix else "",
        is_san_checked=not values.is_true("experimental-peer-skip-client-san-verification"),
    )
    if files.is_client_cert_required and not files.trusted_ca_file:
        raise ConfigError(
            f"--{prefix}client-cert-auth needs --{prefix}trusted-ca-file: the CA whose"
            " certificates are taken"
        )
    if bool(files.cert_file) != bool(files.key_file):
        raise ConfigError(f"--{prefix}cert-file and --{prefix}key-file go together: give both")
    if files.allowed_cn and files.allowed_hostname:
        raise ConfigError(
            "--peer-cert-allowed-cn and --peer-cert-allowed-hostname exclude each other: give one"
        )
    is_used = files.cert_file or files.trusted_ca_file
    if (files.allowed_cn or files.allowed_hostname) and not files.trusted_ca_file:
        raise ConfigError("--peer-cert-allowed-… needs --peer-trusted-ca-file to judge by")
    return files if is_used else None


def _check_limits(settings: Settings) -> None:
    if settings.max_txn_operations < 1:
        raise ConfigError("--max-txn-ops must be 1 or more")
    if not 1 <= settings.max_request_bytes <= _REQUEST_BYTES_MAX:
        raise ConfigError(f"--max-request-bytes must be 1 to {_REQUEST_BYTES_MAX}")
    if settings.max_concurrent_streams < 1:
        raise ConfigError("--max-concurrent-streams must be 1 or more")
    if settings.watch_progress_interval_seconds <= 0:
        raise ConfigError("--experimental-watch-progress-notify-interval must be more than 0")
    if not settings.data_dir:
        raise ConfigError("--data-dir must name a folder")


def _check_timing(settings: Settings) -> None:
    heartbeat = settings.heartbeat_interval_seconds
    election = settings.election_timeout_seconds
    if heartbeat <= 0 or election <= 0:
        raise ConfigError("--heartbeat-interval and --election-timeout must be more than 0")
    if election < _ELECTION_HEARTBEATS_MIN * heartbeat:
        raise ConfigError(
            f"--election-timeout ({election * 1000:.0f} ms) must be at least five times"
            f" --heartbeat-interval ({heartbeat * 1000:.0f} ms)"
        )
    if election >= _ELECTION_TIMEOUT_SECONDS_MAX:
        raise ConfigError("--election-timeout must be less than 50000 ms")


def _check_cluster(settings: Settings) -> None:
    for url in (*settings.listen_peer_urls, *settings.listen_client_urls):
        require_bindable(url)
    if "," in settings.name or "=" in settings.name:
        raise ConfigError("--name must not contain a comma or an equals sign")
    if len(settings.name.encode()) > _NAME_BYTES_MAX:
        raise ConfigError(f"--name is longer than {_NAME_BYTES_MAX} bytes: give a shorter one")
    if settings.name not in settings.initial_cluster:
        raise ConfigError(
            f"--initial-cluster does not contain --name {settings.name!r}:"
            f" it names {', '.join(sorted(settings.initial_cluster))}"
        )
    urls = [url for of_member in settings.initial_cluster.values() for url in of_member]
    # One place by two names is refused by `bootstrap`, that knows who has run so before.
    repeated = sorted({url for url in urls if urls.count(url) > 1})
    if repeated:
        raise ConfigError(f"--initial-cluster has {', '.join(repeated)} more than once")
    own = settings.initial_cluster[settings.name]
    if not are_same_places(own, settings.initial_advertise_peer_urls):
        raise ConfigError(
            f"--initial-cluster gives {settings.name!r} the peer URLs {','.join(own)}, but"
            " --initial-advertise-peer-urls is"
            f" {','.join(settings.initial_advertise_peer_urls)}: make them the same"
        )
    _check_ports(settings)


def _check_ports(settings: Settings) -> None:
    clients = set(settings.listen_client_urls)
    both = sorted(clients.intersection(settings.listen_peer_urls))
    if both:
        raise ConfigError(f"{', '.join(both)} cannot serve members and clients: use two ports")
    for flag in ("listen_peer_urls", "listen_client_urls"):
        urls = getattr(settings, flag)
        if len(set(urls)) < len(urls):
            raise ConfigError(f"--{flag.replace('_', '-')} has an address more than once")


def _check_schemes(port: str, urls: tuple[str, ...], tls: TlsFiles | None) -> list[str]:
    """https needs certificates; certificates without https are worth a word."""
    prefix = "" if port == "client" else "peer-"
    has_certificate = tls is not None and bool(tls.cert_file)
    encrypted = [url for url in urls if parse_url(url).is_tls]
    if encrypted and not has_certificate:
        raise ConfigError(
            f"{encrypted[0]} needs a certificate: give --{prefix}cert-file and --{prefix}key-file"
        )
    if tls is not None and len(encrypted) < len(urls):
        plain = ", ".join(url for url in urls if not parse_url(url).is_tls)
        return [f"{plain} is not encrypted although --{prefix}cert-file is given"]
    return []
