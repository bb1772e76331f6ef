"""JSON values as YAML. PURE.

Source: sigs.k8s.io/yaml (JSON to YAML: keys sorted, lists not indented); YAML 1.1 and 1.2. What one
reader of YAML would take for a number or a boolean is quoted, whichever version it follows.
"""

from typing import Any

import yaml

from controlplane.api.yaml_documents import is_text

_WIDTH = 1 << 30
"""Lines are never folded: who greps finds what stands there."""


class _Dumper(yaml.CSafeDumper):
    """Writes everything where it stands: equal parts are no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=_style(text))


def _style(text: str) -> str | None:
    """Lines as they are, where that needs no more than `|`: what keeps further line feeds leaves
    the end of the document open.
    """
    if "\n" in text:
        return '"' if text[0] in "\n " or text.endswith("\n\n") else "|"
    return None if is_text(text) else '"'


_Dumper.add_representer(str, _text)


def dump(value: Any) -> bytes:
    """A document, with a line feed at its end."""
    dumped: bytes = yaml.dump(
        value,
        Dumper=_Dumper,
        encoding="utf-8",
        allow_unicode=True,
        default_flow_style=False,
        sort_keys=True,
        width=_WIDTH,
    )
    return dumped


def item(value: Any) -> bytes:
    """A mapping, as one of a list whose parent is not indented."""
    lines = dump(value)[:-1].split(b"\n")
    return b"- " + b"\n  ".join(lines) + b"\n"
