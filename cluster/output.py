"""What a cluster is, as tables for people. PURE."""

from collections.abc import Sequence

from cluster.statuses import ComponentStatus, MemberStatus


def tables(members: Sequence[MemberStatus], components: Sequence[ComponentStatus]) -> str:
    """The store's members, and below them the control plane where there is one."""
    found = [
        _table(
            ("MEMBER", "ROLE", "TERM", "CLIENT ADDRESS", "DATA FOLDER"),
            [
                (s.name, s.role or s.state, str(s.term or "-"), s.client_address, s.data_folder)
                for s in members
            ],
        )
    ]
    if components:
        rows = [(s.name, s.state, s.address or "-", s.log) for s in components]
        found.append(_table(("COMPONENT", "STATE", "ADDRESS", "LOG"), rows))
    return "\n\n".join(found)


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [header, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
