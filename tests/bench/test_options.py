"""What a bench's command says of files and settings that it cannot use."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.decisions.settings import DecisionsSettings
from bench.harness.command import bench_parser, run_bench
from bench.harness.options import BenchSettings, read_settings
from bench.memory.settings import MemorySettings
from bench.prefixes.settings import PrefixesSettings
from bench.routing.settings import RoutingSettings


@pytest.mark.parametrize("content", [None, "- 1\n- 2\n", "seeds: [", "some words"])
def test_a_config_that_has_no_settings_is_named(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "mine.yaml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SystemExit, match=f"^--config: {path} "):
        read_settings(BenchSettings, path)


def test_a_config_without_a_line_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("")
    assert read_settings(BenchSettings, path, {"seeds": (2,)}).seeds == (2,)


@pytest.mark.parametrize("content", [None, "", "no JSON", "[1]", "{}"])
def test_a_report_of_no_run_is_refused_by_name(
    tmp_path: Path, content: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "events.jsonl"
    if content is not None:
        path.write_text(content)
    options = bench_parser("b", "A bench.", BenchSettings).parse_args(["--report", str(path)])
    assert run_bench("b", options, lambda _: path, lambda _: {}, str) == 2
    assert capsys.readouterr().err.startswith(f"{path}: It ")


def test_an_engine_that_is_not_known_is_refused_with_those_that_are() -> None:
    with pytest.raises(SystemExit, match=r"engines.0: .*'llamacpp' or 'mlx' \(got 'lamacpp'\)"):
        read_settings(MemorySettings, None, {"engines": ("lamacpp",)})


def test_a_bench_that_reads_no_file_refuses_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parser = bench_parser("decisions", "A bench.", DecisionsSettings)
    with pytest.raises(SystemExit):
        parser.parse_args(["--data", "x"])
    assert "--data" in capsys.readouterr().err
    config = tmp_path / "mine.yaml"
    config.write_text("data: x.jsonl")
    with pytest.raises(SystemExit, match="data: "):
        read_settings(DecisionsSettings, config)


def test_help_says_what_a_bench_reads() -> None:
    assert "Mooncake" in bench_parser("prefixes", "A bench.", PrefixesSettings).format_help()


def test_the_pools_own_routing_is_compared() -> None:
    assert read_settings(RoutingSettings, None).ours == "router"
