"""What a person is shown first: a model that answers here, and an entry that an agent can use as it is."""

import pytest

from cluster.cli.choice import choose_model
from cluster.cli.plan import Plan
from cluster.cli.starting import Started
from cluster.cli.welcome import openclaw_entry, welcome
from cluster.config import HearthConfig
from cluster.inventory.engines import FoundEngine, FoundModel
from cluster.pool.paths import pool_paths
from cluster.pool.state import PoolState, Stage

GUIDE = {"id": "hearth-guide", "context_window": 4096, "locality": "local", "features": ["chat"]}
OWN = {"id": "qwen3-8b", "context_window": 65536, "locality": "local", "features": ["chat"]}
HOSTED = {"id": "gpt-oss:120b-cloud", "context_window": 131072, "locality": "hosted", "features": ["chat"]}
EMBEDDER = {"id": "a-embed", "context_window": 512, "locality": "local", "features": ["embeddings"]}
LOADING = {"id": "a-big", "context_window": 0, "locality": "local", "state": "loading", "features": []}


def test_a_model_of_ones_own_answers_before_the_guide() -> None:
    assert choose_model([EMBEDDER, LOADING, HOSTED, GUIDE, OWN]) == "qwen3-8b"


def test_a_model_that_would_have_to_be_loaded_answers_before_the_guide_but_after_one_that_is() -> None:
    asleep = {**LOADING, "id": "asleep", "state": "unloaded"}
    assert choose_model([GUIDE, asleep]) == "asleep"
    assert choose_model([asleep, GUIDE, OWN]) == "qwen3-8b"


def test_the_guide_answers_before_a_hosted_model() -> None:
    assert choose_model([HOSTED, GUIDE]) == "hearth-guide"


def test_nothing_said_leaves_the_home_unasked() -> None:
    assert choose_model([HOSTED]) is None


def test_an_agent_gets_the_windows_that_are_there() -> None:
    state = PoolState(1, 1.0, 1.0, Stage.RUNNING, 8420, 8421)
    asleep = {**OWN, "id": "asleep", "state": "unloaded", "context_window": 32_768}
    vectors = {**EMBEDDER, "id": "vectors", "state": "unloaded"}
    models = (EMBEDDER, LOADING, GUIDE, OWN, asleep, vectors)
    entry = openclaw_entry(Started(pool_paths(), state, Plan(HearthConfig()), models, False, 1.0))
    provider = entry["hearth"]
    assert (provider["baseUrl"], provider["api"]) == ("http://127.0.0.1:8420/v1", "openai-completions")
    assert [(m["id"], m["contextWindow"], m["maxTokens"]) for m in provider["models"]] == [
        ("hearth-guide", 4096, 1024),
        ("qwen3-8b", 65536, 8192),
        ("asleep", 32_768, 8192),
    ]


def test_an_engine_with_one_model_is_said_to_have_one(capsys: pytest.CaptureFixture[str]) -> None:
    one = FoundEngine("ollama", "http://127.0.0.1:11434/v1", (FoundModel("llama3.2", local=True),))
    state = PoolState(1, 1.0, 1.0, Stage.RUNNING, 8420, 8421)
    welcome(Started(pool_paths(), state, Plan(HearthConfig(), (one,)), (GUIDE,), True, 1.0))
    assert "1 model, 1 of them local" in capsys.readouterr().out
