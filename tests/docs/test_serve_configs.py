"""The files in serve_configs/ are whole, and say what the planner would choose for the home they name."""

from pathlib import Path

import pytest
import yaml
from ray.serve.schema import ServeDeploySchema

from actors.app import SERVE_CONFIGS
from actors.apps import AppArgs, build
from cluster.core.footprint import Run, rank_footprint
from cluster.core.layout import Layout
from cluster.core.plan import plan
from tests.support.serve_homes import HOMES, nodes_of, wish

FILES = sorted(SERVE_CONFIGS.glob("*.yaml"))


def applications(path: Path) -> dict[str, AppArgs]:
    schema = ServeDeploySchema.model_validate(yaml.safe_load(path.read_text()))
    assert all(app.import_path == "actors.app:build" for app in schema.applications)
    return {app.name: AppArgs.model_validate(app.args) for app in schema.applications}


def test_there_is_a_file_for_each_kind_of_home() -> None:
    assert {path.stem for path in FILES} == set(HOMES)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_ray_and_the_pool_accept_it(path: Path) -> None:
    for name, args in applications(path).items():
        assert args.model.name == name
        assert build(args) is not None


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_planner_would_choose_the_same_for_that_home(path: Path) -> None:
    nodes = nodes_of(path.stem)
    free = {node: facts.models_bytes for node, facts in nodes.items()}
    for args in applications(path).values():
        told, planned = args.layout, plan(wish(args.model), nodes, free)
        assert isinstance(planned, Layout), planned
        assert shape(told) == shape(planned)
        for shard in told.shards:
            free[shard.node] -= shard.memory_bytes
            assert free[shard.node] >= 0


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_weights_and_context_fit_the_bytes_it_names(path: Path) -> None:
    for args in applications(path).values():
        layout = args.layout
        (variant,) = wish(args.model).variants
        for shard in layout.shards:
            run = Run(
                layout.engine,
                layout.context_tokens,
                args.model.kv_type,
                layout.tensor_parallel,
                layout.pipeline_parallel,
                shard.num_ranks,
                shard.num_gpus > 0,
            )
            assert rank_footprint(variant, run).num_bytes * shard.num_ranks <= shard.memory_bytes


def shape(layout: Layout) -> object:
    """All but the numbers that follow the estimate of memory."""
    ranks = [(shard.node, shard.num_ranks, shard.num_gpus) for shard in layout.shards]
    parallel = (layout.tensor_parallel, layout.pipeline_parallel)
    return (layout.engine, layout.source, layout.quantisation, parallel, ranks, layout.flags)
