"""The command line is etcd's: the same flags and defaults, clear words for what is wrong."""

import os
import re
import shutil
import subprocess

import pytest

from kvstore.errors import ConfigError
from kvstore.server import command_line
from kvstore.server.config import Printout, Settings, TlsFiles, load
from kvstore.server.flags import FLAGS, Flag, Kind, Support

# etcd's help names Go's constant.
_HELP_CONSTANTS = {"math.MaxUint32": "4294967295"}


def settings(*arguments: str, **environment: str) -> Settings:
    loaded = load(arguments, environment)
    assert isinstance(loaded, Settings)
    return loaded


def flags_of_etcd() -> dict[str, str]:
    """Flag → default, out of the real `etcd --help`."""
    if shutil.which("etcd") is None:
        pytest.skip("etcd is not installed")
    shown = subprocess.run(["etcd", "--help"], capture_output=True, text=True, check=True)
    rows = re.findall(r"^  --([a-z0-9-]+) (.*)$", shown.stdout + shown.stderr, re.MULTILINE)
    defaults = {name: default.strip().strip("'") for name, default in rows}
    return {name: _HELP_CONSTANTS.get(default, default) for name, default in defaults.items()}


def test_table_has_exactly_the_flags_and_defaults_of_etcd() -> None:
    ours = {flag.name: flag.default for flag in FLAGS.values() if flag.name != "config-file"}
    assert ours == flags_of_etcd()


def test_every_flag_says_what_it_does_or_why_not() -> None:
    for flag in FLAGS.values():
        assert bool(flag.help) is (flag.support is Support.IMPLEMENTED), flag.name
        assert bool(flag.note) is (flag.support is not Support.IMPLEMENTED), flag.name


def test_every_flag_is_taken_at_etcds_default() -> None:
    given = [
        f"--{flag.name}={flag.default}"
        for flag in FLAGS.values()
        if flag.name not in ("data-dir", "initial-cluster")
    ]
    assert settings(*given).notices == ()


@pytest.mark.parametrize(
    "flag", [flag for flag in FLAGS.values() if flag.support is Support.REFUSED]
)
def test_unsupported_flag_is_refused_by_name(flag: Flag) -> None:
    other = {Kind.BOOLEAN: "true", Kind.DURATION: "7s", Kind.URLS: "http://127.0.0.1:1"}
    value = "on" if flag.name == "proxy" else other.get(flag.kind, "something")
    with pytest.raises(ConfigError, match=f"^--{flag.name} is not supported yet: .+"):
        load([f"--{flag.name}={value}"], {})
    with pytest.raises(ConfigError, match=f"^--{flag.name} is not supported yet: .+"):
        load([], {flag.variable: value})


def test_refusal_says_what_to_do_instead() -> None:
    with pytest.raises(ConfigError) as refused:
        load(["--discovery", "https://discovery.etcd.io/x"], {})
    assert str(refused.value) == (
        "--discovery is not supported yet: start the member with --initial-cluster"
    )


def test_harmless_flag_is_taken_with_a_notice() -> None:
    assert settings("--logger", "zap", "--max-wals=3").notices == (
        "--logger=zap has no effect: there is one format of log lines",
        "--max-wals=3 has no effect: WAL segments are removed once a snapshot covers them",
    )


def test_defaults_are_etcds() -> None:
    default = settings()
    assert default.name == "default"
    assert default.data_dir == "default.etcd"
    assert default.initial_cluster == {"default": ("http://localhost:2380",)}
    assert default.heartbeat_interval_seconds == 0.1
    assert default.election_timeout_seconds == 1.0
    assert default.quota_backend_bytes == 2 * 1024**3
    assert default.max_txn_operations == 128
    assert default.max_request_bytes == 1_572_864
    assert default.watch_progress_interval_seconds == 600
    assert default.auto_compaction_period_seconds is None
    assert default.auto_compaction_revisions is None
    assert default.snapshot_count is None
    assert default.client_tls is None
    assert default.peer_tls is None


def test_data_folder_is_named_after_the_member() -> None:
    assert settings("--name=m1").data_dir == "m1.etcd"
    assert settings("--name=m1", "--data-dir", "/var/m1").data_dir == "/var/m1"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--max-txn-ops", "7"],
        ["--max-txn-ops=7"],
        ["-max-txn-ops", "7"],
        ["-max-txn-ops=7"],
        ["--max-txn-ops=9", "--max-txn-ops=7"],
        ["--max-txn-ops=0x7", "--"],
    ],
)
def test_flags_are_written_as_in_go(arguments: list[str]) -> None:
    assert settings(*arguments).max_txn_operations == 7


@pytest.mark.parametrize(
    ("argument", "level"),
    [("--debug", "debug"), ("--debug=T", "debug"), ("--debug=false", "info"), ("-debug=0", "info")],
)
def test_booleans_are_written_as_in_go(argument: str, level: str) -> None:
    assert settings(argument).log_level == level


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--foo"], "flag --foo is not known"),
        (["--foo=1"], "flag --foo is not known"),
        (["--name"], "--name needs a value"),
        (["extra"], "'extra' is not a flag"),
        (["--debug", "false"], "'false' is not a flag (a boolean is written --flag=false)"),
        (["---name=x"], "'---name=x' is not a flag"),
        (["--", "--name"], "'--' is not a flag"),
        (["--debug=maybe"], "--debug=maybe must be a boolean"),
        (["--snapshot-count=abc"], "must be a whole number, 0 or more"),
        (["--heartbeat-interval=-5"], "must be a whole number, 0 or more"),
        (["--grpc-keepalive-timeout=5"], "must be a duration"),
        (["--log-level=loud"], "must be one of debug, info"),
        (["--initial-cluster-state=old"], "must be one of new, existing"),
    ],
)
def test_misspelled_argument_is_refused(arguments: list[str], words: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(words)):
        load(arguments, {})


def test_variable_sets_a_flag_and_the_flag_wins() -> None:
    assert settings(ETCD_MAX_TXN_OPS="5").max_txn_operations == 5
    assert settings("--max-txn-ops=6", ETCD_MAX_TXN_OPS="5").max_txn_operations == 6
    assert settings(ETCD_MAX_TXN_OPS="").max_txn_operations == 128


def test_wrong_variable_is_named() -> None:
    with pytest.raises(ConfigError, match=r"variable ETCD_SNAPSHOT_COUNT: .* whole number"):
        load([], {"ETCD_SNAPSHOT_COUNT": "abc"})


def test_unknown_variable_is_noticed_and_other_programs_are_left_alone() -> None:
    notices = settings(ETCD_SNAPSHOT_CUONT="5", ETCDCTL_API="3", PATH="/bin").notices
    assert notices == ("variable ETCD_SNAPSHOT_CUONT is not known and has no effect",)


def test_help_and_version_are_printed_instead_of_running() -> None:
    for argument in ("--help", "-h", "-help"):
        shown = load([argument], {})
        assert isinstance(shown, Printout)
        assert all(f"--{name} " in shown.text for name in FLAGS)
    shown = load(["--version"], {})
    assert isinstance(shown, Printout)
    assert shown.text.startswith("kvstore ")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("300ms", 0.3), ("1.5s", 1.5), ("1h30m", 5400), ("10m", 600), ("2µs", 2e-6)],
)
def test_durations_are_gos(text: str, seconds: float) -> None:
    assert command_line.duration_seconds(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["5", "s", "5 s", "-5s", "5sx", "x5s"])
def test_other_durations_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        command_line.duration_seconds(text)


def test_retention_is_hours_duration_or_revisions() -> None:
    def retention(text: str, mode: str = "periodic") -> tuple[float | None, int | None]:
        given = settings(f"--auto-compaction-retention={text}", f"--auto-compaction-mode={mode}")
        return given.auto_compaction_period_seconds, given.auto_compaction_revisions

    assert retention("2") == (7200, None)
    assert retention("5m") == (300, None)
    assert retention("0") == (None, None)
    assert retention("1000", "revision") == (None, 1000)
    assert retention("0", "revision") == (None, None)
    with pytest.raises(ConfigError, match="must be a number of revisions"):
        retention("5m", "revision")
    with pytest.raises(ConfigError, match="must be hours or a duration"):
        retention("x")


def test_quota_has_a_default_and_can_be_lifted() -> None:
    assert settings("--quota-backend-bytes=0").quota_backend_bytes == 2 * 1024**3
    assert settings("--quota-backend-bytes=5000").quota_backend_bytes == 5000
    assert settings("--quota-backend-bytes=-1").quota_backend_bytes is None


def test_snapshot_count_counts_only_when_given() -> None:
    assert settings("--snapshot-count=100").snapshot_count == 100
    assert settings("--snapshot-count=0").snapshot_count == 100_000


MEMBER = (
    "--name=m1",
    "--listen-peer-urls=http://127.0.0.1:2380",
    "--initial-advertise-peer-urls=http://127.0.0.1:2380",
)


def test_initial_cluster_is_read_with_all_addresses_of_a_member() -> None:
    cluster = "m1=http://127.0.0.1:2380,m2=http://10.0.0.2:9,m2=http://10.0.0.2:8"
    given = settings(*MEMBER, f"--initial-cluster={cluster}")
    assert given.initial_cluster == {
        "m1": ("http://127.0.0.1:2380",),
        "m2": ("http://10.0.0.2:8", "http://10.0.0.2:9"),
    }
    assert given.is_initial_cluster_given


def test_member_without_initial_cluster_is_alone() -> None:
    assert settings(*MEMBER).initial_cluster == {"m1": ("http://127.0.0.1:2380",)}


def test_localhost_and_its_address_are_one() -> None:
    given = settings(*MEMBER, "--initial-cluster=m1=http://localhost:2380")
    assert given.initial_cluster == {"m1": ("http://localhost:2380",)}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--initial-cluster=m2=http://127.0.0.1:2380"], "does not contain --name 'm1': it names"),
        (["--initial-cluster=m1=http://127.0.0.1:1"], "make them the same"),
        (
            ["--initial-cluster=m1=http://127.0.0.1:2380,m2=http://127.0.0.1:2380"],
            "http://127.0.0.1:2380 more than once",
        ),
        (["--initial-cluster=m1"], "'m1' must read NAME=PEER_URL"),
        (["--initial-cluster=m1=nonsense"], "must begin with http"),
        (["--name=a=b"], "--name must not contain"),
        (
            [f"--name={'x' * 1025}", f"--initial-cluster={'x' * 1025}=http://127.0.0.1:2380"],
            "--name is longer than 1024 bytes",
        ),
        (
            [f"--advertise-client-urls={','.join(f'http://x:{port}' for port in range(1, 18))}"],
            "more than 16 URLs",
        ),
        ([f"--initial-advertise-peer-urls=http://{'x' * 1020}:1"], "longer than 1024 bytes"),
        (
            [f"--initial-cluster={','.join(f'm1=http://x:{port}' for port in range(1, 18))}"],
            "--initial-cluster gives m1 more than 16 URLs",
        ),
        (["--initial-cluster=m1=http://127.0.0.1:0"], "must name the port"),
        (["--listen-peer-urls=http://127.0.0.1:1?"], "must be a host and a port"),
        (["--listen-peer-urls=http://127.0.0.1"], "must name a host and a port"),
        (["--listen-peer-urls=http://127.0.0.1:99999"], "cannot be read"),
        (["--listen-peer-urls=unix:///tmp/x"], "must begin with http"),
        (["--listen-peer-urls=http://127.0.0.1:1/x"], "must end after the port"),
        (["--listen-peer-urls=http://example.org:2380"], "give an IP address"),
        (
            ["--listen-peer-urls=http://127.0.0.1:1,http://127.0.0.1:1"],
            "--listen-peer-urls has an address more than once",
        ),
        (
            [
                "--listen-client-urls=http://127.0.0.1:2380",
                "--advertise-client-urls=http://127.0.0.1:2380",
            ],
            "use two ports",
        ),
        (["--listen-client-urls=http://127.0.0.1:1"], "needs --advertise-client-urls"),
        (["--election-timeout=400"], "must be at least five times --heartbeat-interval"),
        (["--election-timeout=50000"], "must be less than 50000 ms"),
        (["--heartbeat-interval=0"], "must be more than 0"),
        (["--max-txn-ops=0"], "--max-txn-ops must be 1 or more"),
        (["--max-request-bytes=99999999999"], "--max-request-bytes must be"),
        (["--max-concurrent-streams=0"], "must be 1 or more"),
        (["--experimental-watch-progress-notify-interval=0s"], "must be more than 0"),
        (["--data-dir="], "--data-dir must name a folder"),
    ],
)
def test_contradiction_is_refused_in_words(arguments: list[str], words: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(words)):
        load([*MEMBER, *arguments], {})


NO_UTF_8 = os.fsdecode(b"m\xff")


@pytest.mark.parametrize("flag", ["name", "initial-cluster", "initial-cluster-token"])
def test_what_is_not_utf_8_is_refused_in_words(flag: str) -> None:
    """Members and clients could not be told of it."""
    words = re.escape(f"--{flag}='m\\udcff' is not UTF-8")
    with pytest.raises(ConfigError, match=words):
        load([f"--{flag}={NO_UTF_8}"], {})
    with pytest.raises(ConfigError, match=words):
        load([], {FLAGS[flag].variable: NO_UTF_8})


def test_a_path_need_not_be_utf_8() -> None:
    assert settings(f"--data-dir={NO_UTF_8}").data_dir == NO_UTF_8


def test_tls_flags_become_one_record_per_port() -> None:
    given = settings(
        "--cert-file=c", "--key-file=k", "--trusted-ca-file=ca", "--client-cert-auth",
        "--listen-client-urls=https://127.0.0.1:2379",
        "--advertise-client-urls=https://127.0.0.1:2379",
        "--peer-cert-file=pc", "--peer-key-file=pk", "--peer-trusted-ca-file=pca",
        "--peer-cert-allowed-cn=member", "--listen-peer-urls=https://127.0.0.1:2380",
    )  # fmt: skip
    assert given.client_tls == TlsFiles(
        cert_file="c", key_file="k", trusted_ca_file="ca", is_client_cert_required=True
    )
    assert given.peer_tls == TlsFiles(
        cert_file="pc",
        key_file="pk",
        trusted_ca_file="pca",
        is_client_cert_required=True,
        allowed_cn="member",
    )
    assert given.notices == ()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--cert-file=c"], "--cert-file and --key-file go together"),
        (["--peer-key-file=c"], "--peer-cert-file and --peer-key-file go together"),
        (["--client-cert-auth"], "--client-cert-auth needs --trusted-ca-file"),
        (["--peer-client-cert-auth"], "needs --peer-trusted-ca-file"),
        (["--listen-peer-urls=https://127.0.0.1:1"], "give --peer-cert-file and --peer-key-file"),
        (
            [
                "--listen-client-urls=https://127.0.0.1:1",
                "--advertise-client-urls=https://127.0.0.1:1",
            ],
            "give --cert-file and --key-file",
        ),
        (["--peer-cert-allowed-cn=a"], "needs --peer-trusted-ca-file"),
        (
            [
                "--peer-trusted-ca-file=x",
                "--peer-cert-allowed-cn=a",
                "--peer-cert-allowed-hostname=b",
            ],
            "exclude each other",
        ),
    ],
)
def test_half_of_a_tls_setup_is_refused(arguments: list[str], words: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(words)):
        load(arguments, {})


def test_certificates_on_a_plain_port_are_noticed() -> None:
    notices = settings("--cert-file=c", "--key-file=k").notices
    assert notices == ("http://localhost:2379 is not encrypted although --cert-file is given",)
