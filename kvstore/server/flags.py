"""Every flag of etcd 3.4, as data: what it is, etcd's default, and what this server makes of it.

Each flag is IMPLEMENTED (etcd's meaning and default), a NO_OP (taken and without effect here, which
harms nothing: `note` says why) or REFUSED (only etcd's default is taken: `note` says what to do
instead). Data only: reading the command line is `kvstore.server.config`'s.
"""

from enum import Enum

import msgspec


class Support(Enum):
    """What the server makes of a flag."""

    IMPLEMENTED = "implemented"
    NO_OP = "no-op"
    REFUSED = "refused"


class Kind(Enum):
    """How a flag's text is read (Go's rules)."""

    TEXT = "text"
    BOOLEAN = "boolean"
    COUNT = "whole number, 0 or more"
    INTEGER = "whole number"
    DURATION = "duration like 300ms, 5s or 1h30m"
    URLS = "list of URLs"


class Flag(msgspec.Struct, frozen=True, kw_only=True):
    """One flag. `default` is etcd's, as text; `choices` are the values etcd knows."""

    name: str
    group: str
    default: str
    support: Support
    kind: Kind = Kind.TEXT
    help: str = ""
    note: str = ""
    choices: tuple[str, ...] = ()

    @property
    def variable(self) -> str:
        """The environment variable that sets the flag."""
        return "ETCD_" + self.name.upper().replace("-", "_")


def _flags(group: str, *rows: tuple[str, str, Kind, Support, str]) -> tuple[Flag, ...]:
    """Rows of (name, default, kind, support, help or note)."""
    return tuple(
        Flag(
            name=name,
            group=group,
            default=default,
            kind=kind,
            support=support,
            help=words if support is Support.IMPLEMENTED else "",
            note="" if support is Support.IMPLEMENTED else words,
            choices=_CHOICES.get(name, ()),
        )
        for name, default, kind, support, words in rows
    )


_CHOICES = {
    "initial-cluster-state": ("new", "existing"),
    "auto-compaction-mode": ("periodic", "revision"),
    "discovery-fallback": ("exit", "proxy"),
    "proxy": ("off", "readonly", "on"),
    "metrics": ("basic", "extensive"),
    "logger": ("capnslog", "zap"),
    "log-level": ("debug", "info", "warn", "error", "panic", "fatal"),
    "experimental-backend-bbolt-freelist-type": ("array", "map"),
}

_TEXT, _BOOL, _COUNT, _INT = Kind.TEXT, Kind.BOOLEAN, Kind.COUNT, Kind.INTEGER
_DURATION, _URLS = Kind.DURATION, Kind.URLS
_DONE, _NO_OP, _REFUSED = Support.IMPLEMENTED, Support.NO_OP, Support.REFUSED

_NO_BACKEND = "there is no batched backend: every batch is in the WAL before it is acknowledged"
_LEAVE_OUT = "leave it out"

_MEMBER = _flags(
    "Member",
    ("name", "default", _TEXT, _DONE, "name of this member, as in --initial-cluster"),
    ("data-dir", "${name}.etcd", _TEXT, _DONE, "folder of the WAL and the snapshots"),
    ("wal-dir", "", _TEXT, _REFUSED, "the WAL lives under --data-dir"),
    ("snapshot-count", "100000", _COUNT, _DONE,
     "entries between two snapshots; if not given, snapshots follow the size of the WAL"),
    ("heartbeat-interval", "100", _COUNT, _DONE, "milliseconds between a leader's heartbeats"),
    ("election-timeout", "1000", _COUNT, _DONE,
     "milliseconds without a leader before a member campaigns"),
    ("initial-election-tick-advance", "true", _BOOL, _DONE,
     "at the start wait for a leader for one heartbeat only, not for an election timeout"),
    ("listen-peer-urls", "http://localhost:2380", _URLS, _DONE, "where to listen for members"),
    ("listen-client-urls", "http://localhost:2379", _URLS, _DONE, "where to listen for clients"),
    ("max-snapshots", "5", _COUNT, _NO_OP, "a snapshot is removed once a newer one is durable"),
    ("max-wals", "5", _COUNT, _NO_OP, "WAL segments are removed once a snapshot covers them"),
    ("quota-backend-bytes", "0", _INT, _DONE,
     "bytes of data at which the NOSPACE alarm is raised (0: 2 GiB, negative: no quota)"),
    ("backend-batch-interval", "", _DURATION, _NO_OP, _NO_BACKEND),
    ("backend-batch-limit", "0", _INT, _NO_OP, _NO_BACKEND),
    ("max-txn-ops", "128", _COUNT, _DONE, "most operations in one txn"),
    ("max-request-bytes", "1572864", _COUNT, _DONE, "largest request of a client, in bytes"),
    ("max-concurrent-streams", "4294967295", _COUNT, _DONE,
     "most streams that one client connection may have open"),
    ("grpc-keepalive-min-time", "5s", _DURATION, _DONE,
     "shortest time between two pings of a client"),
    ("grpc-keepalive-interval", "2h", _DURATION, _DONE,
     "time between two pings to a silent client (0: none)"),
    ("grpc-keepalive-timeout", "20s", _DURATION, _DONE,
     "time that a pinged client has to answer (0: for ever)"),
)  # fmt: skip

_CLUSTERING = _flags(
    "Clustering",
    ("initial-advertise-peer-urls", "http://localhost:2380", _URLS, _DONE,
     "where the other members reach this one"),
    ("initial-cluster", "default=http://localhost:2380", _TEXT, _DONE,
     "every first member: NAME=PEER_URL,NAME=PEER_URL…"),
    ("initial-cluster-state", "new", _TEXT, _DONE, "'new' or 'existing'"),
    ("initial-cluster-token", "etcd-cluster", _TEXT, _DONE,
     "a word that keeps clusters with equal addresses apart"),
    ("advertise-client-urls", "http://localhost:2379", _URLS, _DONE,
     "where clients reach this member"),
    ("discovery", "", _TEXT, _REFUSED, "start the member with --initial-cluster"),
    ("discovery-fallback", "proxy", _TEXT, _NO_OP, "there is no discovery to fall back from"),
    ("discovery-proxy", "", _TEXT, _REFUSED, "start the member with --initial-cluster"),
    ("discovery-srv", "", _TEXT, _REFUSED, "start the member with --initial-cluster"),
    ("discovery-srv-name", "", _TEXT, _REFUSED, "start the member with --initial-cluster"),
    ("strict-reconfig-check", "true", _BOOL, _DONE,
     "refuse changes of the membership that might cost the quorum"),
    ("pre-vote", "false", _BOOL, _NO_OP, "elections always begin with a pre-vote"),
    ("auto-compaction-retention", "0", _TEXT, _DONE,
     "history to keep: hours or a duration, or revisions (0: all of it)"),
    ("auto-compaction-mode", "periodic", _TEXT, _DONE, "'periodic' or 'revision'"),
    ("enable-v2", "false", _BOOL, _REFUSED, "use the v3 API"),
)  # fmt: skip

_SECURITY = _flags(
    "Security",
    ("cert-file", "", _TEXT, _DONE, "certificate shown to clients (PEM)"),
    ("key-file", "", _TEXT, _DONE, "its private key (PEM)"),
    ("client-cert-auth", "false", _BOOL, _DONE, "ask clients for a certificate"),
    ("client-crl-file", "", _TEXT, _REFUSED, "use a --trusted-ca-file of short-lived certificates"),
    ("client-cert-allowed-hostname", "", _TEXT, _REFUSED,
     "use a --trusted-ca-file that signs only the clients allowed"),
    ("trusted-ca-file", "", _TEXT, _DONE, "CA of the clients' certificates (PEM)"),
    ("auto-tls", "false", _BOOL, _REFUSED, "make certificates and give --cert-file and --key-file"),
    ("peer-cert-file", "", _TEXT, _DONE, "certificate shown to members (PEM)"),
    ("peer-key-file", "", _TEXT, _DONE, "its private key (PEM)"),
    ("peer-client-cert-auth", "false", _BOOL, _DONE, "ask members for a certificate"),
    ("peer-trusted-ca-file", "", _TEXT, _DONE, "CA of the members' certificates (PEM)"),
    ("peer-cert-allowed-cn", "", _TEXT, _DONE, "common name that a member's certificate must have"),
    ("peer-cert-allowed-hostname", "", _TEXT, _DONE,
     "host name that a member's certificate must be good for"),
    ("peer-auto-tls", "false", _BOOL, _REFUSED,
     "make certificates and give --peer-cert-file and --peer-key-file"),
    ("peer-crl-file", "", _TEXT, _REFUSED,
     "use a --peer-trusted-ca-file of short-lived certificates"),
    ("cipher-suites", "", _TEXT, _REFUSED, "leave it out: only TLS 1.2 and newer are spoken"),
    ("cors", "*", _TEXT, _REFUSED, "leave it out: no web pages are served"),
    ("host-whitelist", "*", _TEXT, _REFUSED, "use TLS to keep foreign pages away"),
)  # fmt: skip

_AUTH = _flags(
    "Auth",
    ("auth-token", "simple", _TEXT, _REFUSED, _LEAVE_OUT),
    ("bcrypt-cost", "10", _COUNT, _NO_OP, "there are no passwords yet"),
    ("auth-token-ttl", "300", _COUNT, _NO_OP, "there are no tokens yet"),
)

_MONITORING = _flags(
    "Profiling and monitoring",
    ("enable-pprof", "false", _BOOL, _NO_OP, "there is no Go runtime to profile"),
    ("metrics", "basic", _TEXT, _NO_OP, "all metrics there are cost next to nothing"),
    ("listen-metrics-urls", "", _URLS, _REFUSED, "probe the health service at the client URL"),
)

_LOGGING = _flags(
    "Logging",
    ("logger", "capnslog", _TEXT, _NO_OP, "there is one format of log lines"),
    ("log-outputs", "default", _TEXT, _NO_OP, "the log goes to standard error"),
    ("log-level", "info", _TEXT, _DONE, "debug, info, warn, error, panic or fatal"),
)

_PROXY = _flags(
    "v2 proxy",
    ("proxy", "off", _TEXT, _REFUSED, "let clients talk to the members"),
    ("proxy-failure-wait", "5000", _COUNT, _NO_OP, "there is no proxy"),
    ("proxy-refresh-interval", "30000", _COUNT, _NO_OP, "there is no proxy"),
    ("proxy-dial-timeout", "1000", _COUNT, _NO_OP, "there is no proxy"),
    ("proxy-write-timeout", "5000", _COUNT, _NO_OP, "there is no proxy"),
    ("proxy-read-timeout", "0", _COUNT, _NO_OP, "there is no proxy"),
)

_EXPERIMENTAL = _flags(
    "Experimental",
    ("experimental-initial-corrupt-check", "false", _BOOL, _REFUSED,
     "compare `etcdctl endpoint hashkv` of the members"),
    ("experimental-corrupt-check-time", "0s", _DURATION, _REFUSED,
     "compare `etcdctl endpoint hashkv` of the members"),
    ("experimental-enable-v2v3", "", _TEXT, _REFUSED, "use the v3 API"),
    ("experimental-backend-bbolt-freelist-type", "array", _TEXT, _NO_OP, "there is no bbolt file"),
    ("experimental-enable-lease-checkpoint", "false", _BOOL, _NO_OP,
     "how leases outlive a leader is not an option"),
    ("experimental-compaction-batch-limit", "1000", _INT, _NO_OP,
     "compaction is sliced by the time that it takes"),
    ("experimental-peer-skip-client-san-verification", "false", _BOOL, _DONE,
     "do not compare a member's certificate with its peer URLs"),
    ("experimental-watch-progress-notify-interval", "10m", _DURATION, _DONE,
     "time between two progress notifications of a silent watcher"),
    ("experimental-warning-apply-duration", "100ms", _DURATION, _NO_OP,
     "applying is sliced and never waits for a disk"),
)  # fmt: skip

_UNSAFE = _flags(
    "Unsafe",
    ("force-new-cluster", "false", _BOOL, _REFUSED, "restore a snapshot into a new data folder"),
)

_DEPRECATED = _flags(
    "Deprecated",
    ("debug", "false", _BOOL, _DONE, "the same as --log-level=debug"),
    ("log-package-levels", "", _TEXT, _NO_OP, "use --log-level"),
)

# Not in etcd's table, but on its command line; a file would replace every other flag.
_FILE = _flags("Files", ("config-file", "", _TEXT, _REFUSED, "give flags or ETCD_* variables"))

FLAGS: dict[str, Flag] = {
    flag.name: flag
    for flag in (
        *_MEMBER,
        *_CLUSTERING,
        *_SECURITY,
        *_AUTH,
        *_MONITORING,
        *_LOGGING,
        *_PROXY,
        *_EXPERIMENTAL,
        *_UNSAFE,
        *_DEPRECATED,
        *_FILE,
    )
}
