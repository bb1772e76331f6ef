"""Profiles and plug-ins of a configuration: kube-behaviour 7.8."""

import argparse
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from controlplane.flags import SettingsError
from controlplane.scheduler import process, settings
from controlplane.scheduler.arrays import Ints
from controlplane.scheduler.configuration import (
    DEFAULT_PLUGINS,
    ConfigurationError,
    configuration_of,
)
from controlplane.scheduler.framework import Plugin, View


class Quiet(Plugin):
    """Rather a node with few pods."""

    name = "Quiet"

    def score(self, view: View) -> Ints:
        return 100 - np.minimum(100, 110 - view.table.pods_free(view.rows))


def _profile(**fields: Any) -> list[tuple[str, int]]:
    found = configuration_of({"profiles": [fields]}, {"Quiet": Quiet()})
    return [(one.plugin.name, one.weight) for one in found.profiles["default-scheduler"].scores]


_DEFAULT = [(one.plugin.name, one.weight) for one in DEFAULT_PLUGINS]


def test_plugin_of_somebody_else_can_be_enabled_with_a_weight() -> None:
    """7.8: scheduler plug-ins in Python."""
    enabled = {"enabled": [{"name": "Quiet", "weight": 5}]}
    assert _profile(plugins=enabled)[-1] == ("Quiet", 5)
    assert _profile(plugins={"multiPoint": enabled})[-1] == ("Quiet", 5)


def test_default_plugin_keeps_its_place_with_another_weight() -> None:
    changed = _profile(plugins={"enabled": [{"name": "NodeAffinity", "weight": 9}]})
    assert [name for name, _ in changed] == [name for name, _ in _profile()]
    assert ("NodeAffinity", 9) in changed


def test_all_can_be_disabled_but_some() -> None:
    plugins = {"disabled": [{"name": "*"}], "enabled": [{"name": "NodeResourcesFit"}]}
    assert _profile(plugins=plugins) == [("NodeResourcesFit", 1)]


@pytest.mark.parametrize(
    ("tree", "why"),
    [
        ([], "must be a map"),
        ({"percentageOfNodesToScore": 50}, "unknown fields: percentageOfNodesToScore"),
        ({"profiles": []}, "one at least"),
        ({"profiles": [{}, {}]}, "two profiles"),
        ({"profiles": [{"schedulername": "x"}]}, "unknown fields: schedulername"),
        ({"profiles": [{"plugins": {"enabled": [{"name": "Fast"}]}}]}, "no plug-in 'Fast'"),
        (
            {"profiles": [{"plugins": {"enabled": [{"name": "NodePorts", "weight": 101}]}}]},
            "weight",
        ),
        ({"profiles": [{"plugins": {"enabled": "NodePorts"}}]}, "is no list"),
        ({"profiles": [{"pluginConfig": [{"name": "Quiet"}]}]}, "not enabled: Quiet"),
        (
            {"profiles": [{"pluginConfig": [{"name": "NodePorts", "args": {"a": 1}}]}]},
            "no settings",
        ),
        (
            {
                "profiles": [
                    {
                        "pluginConfig": [
                            {
                                "name": "NodeResourcesFit",
                                "args": {"scoringStrategy": {"type": "Best"}},
                            }
                        ]
                    }
                ]
            },
            "none of LeastAllocated",
        ),
    ],
)
def test_configuration_that_cannot_be_used_says_why(tree: object, why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        configuration_of(tree, {"Quiet": Quiet()})


def test_plugins_are_found_by_their_entry_points() -> None:
    """7.8: by entry point."""
    here = EntryPoint("Quiet", f"{__name__}:Quiet", process.PLUGINS)
    assert isinstance(process.plugins([here])["Quiet"], Quiet)
    for wrong in (f"{__name__}:Nothing", f"{__name__}:_profile", "no.such.module:X"):
        with pytest.raises(SettingsError):
            process.plugins([EntryPoint("Quiet", wrong, process.PLUGINS)])
    with pytest.raises(SettingsError, match="no plug-in of the name Loud"):
        process.plugins([EntryPoint("Loud", f"{__name__}:Quiet", process.PLUGINS)])


def _settings(*arguments: str) -> settings.Settings:
    parser = argparse.ArgumentParser()
    settings.add_flags(parser)
    return settings.settings_of(parser.parse_args(["--store-endpoints", "127.0.0.1:1", *arguments]))


def test_command_line(tmp_path: Path) -> None:
    """The file is read at once; what it names is looked for when the process begins."""
    assert _settings("--identity", "me").identity == "me"
    file = tmp_path / "scheduler.yaml"
    file.write_text("profiles: [{schedulerName: packing}]")
    found = process.configuration(_settings("--config", str(file)))
    assert list(found.profiles) == ["packing"]
    file.write_text("profiles: [{schedulerName: 5}]")
    with pytest.raises(SettingsError, match=r"scheduler.yaml: .*must be a name"):
        process.configuration(_settings("--config", str(file)))
    file.write_text("profiles: [")
    with pytest.raises(SettingsError, match="is no YAML"):
        _settings("--config", str(file))
    with pytest.raises(SettingsError, match="cannot read"):
        _settings("--config", str(tmp_path / "none"))
