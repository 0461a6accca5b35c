"""What the processes of a vLLM gang are told, without starting any."""

from dataclasses import replace
from pathlib import Path

import pytest

from cluster.config import ModelConfig
from cluster.core.ids import NodeId
from cluster.core.layout import EngineKind, Layout, Shard, Variant, WeightsFormat
from cluster.deployments import vllm_command, vllm_plan, vllm_rank
from cluster.deployments.engine import EngineFault
from cluster.deployments.vllm_command import Place, Plan, commands
from cluster.deployments.vllm_faults import in_short
from cluster.deployments.vllm_model import Model
from cluster.deployments.vllm_server import Metrics
from cluster.deployments.vllm_turn import event_tokens

ONE = Plan("/models/m", "hf:some/model", "m", "/run/s.sock", 1, 1, 1, 4096, 8, 2**23)
HERE, THERE = Place("192.0.2.1", "/tmp/here"), Place("192.0.2.2", "/tmp/there")


def options(plan: Plan, *places: Place) -> list[dict[str, str | None]]:
    """Each process's options by name; None: it has no value."""
    found = []
    for command in commands(plan, places, 1234):
        words = command.argv[3:]
        values = [*words[1:], "--"]
        pairs = zip(words, values, strict=True)
        found.append(
            {word: None if after.startswith("--") else after for word, after in pairs if word[:2] == "--"}
        )
    return found


def test_one_rank_serves_on_a_socket_and_meets_nobody() -> None:
    (told,) = options(ONE, HERE)
    assert told["--model"] == "/models/m"
    assert told["--uds"] == "/run/s.sock"
    assert told["--kv-cache-memory-bytes"] == str(2**23)
    assert (told["--max-model-len"], told["--max-num-seqs"]) == ("4096", "8")
    assert not {"--port", "--host", "--nnodes", "--master-addr", "--dtype", "--runner"} & told.keys()


def test_ranks_of_one_node_are_one_process() -> None:
    (told,) = options(replace(ONE, tensor_parallel=2, num_ranks=2), HERE)
    assert told["--tensor-parallel-size"] == "2"
    assert "--nnodes" not in told


def test_ranks_of_one_node_listen_there_alone() -> None:
    (command,) = commands(replace(ONE, tensor_parallel=2, num_ranks=2), (HERE,), 1)
    assert command.env["VLLM_HOST_IP"] == "127.0.0.1"
    assert HERE.address not in {*command.argv, *command.env.values()}


def test_nodes_meet_at_the_first_ones_address() -> None:
    first, second = options(replace(ONE, tensor_parallel=2), HERE, THERE)
    for told in (first, second):
        assert (told["--nnodes"], told["--tensor-parallel-size"]) == ("2", "2")
        assert (told["--master-addr"], told["--master-port"]) == ("192.0.2.1", "1234")
    assert ("--headless" in first, "--headless" in second) == (False, True)
    assert (first["--node-rank"], second["--node-rank"]) == ("0", "1")
    assert (first["--model"], second["--model"]) == ("/models/m", "hf:some/model")


def test_each_process_has_its_own_address_and_folder_and_calls_nobody() -> None:
    here, there = commands(replace(ONE, tensor_parallel=2), (HERE, THERE), 1)
    assert (here.env["VLLM_HOST_IP"], there.env["VLLM_HOST_IP"]) == ("192.0.2.1", "192.0.2.2")
    assert (here.env["TMPDIR"], there.env["VLLM_RPC_BASE_PATH"]) == ("/tmp/here", "/tmp/there")
    assert here.env["HF_HUB_OFFLINE"] == "1"
    assert all(one.env["VLLM_NO_USAGE_STATS"] == one.env["DO_NOT_TRACK"] == "1" for one in (here, there))


def test_cards_are_told_nothing_of_processors() -> None:
    (told,) = options(replace(ONE, on_cards=True), HERE)
    (command,) = commands(replace(ONE, on_cards=True, threads=4), (HERE,), 1)
    assert not {"--enforce-eager", "--block-size", "--max-num-batched-tokens"} & told.keys()
    assert told["--kv-cache-memory-bytes"]
    assert not any("CPU" in name or "OMP" in name or "cpu" in value for name, value in command.env.items())


def test_one_rank_on_a_processor_is_no_worker_of_its_own() -> None:
    assert vllm_command.IN_THE_CORE in commands(ONE, (HERE,), 1)[0].argv
    for other in (replace(ONE, tensor_parallel=2), replace(ONE, on_cards=True)):
        assert vllm_command.IN_THE_CORE not in commands(other, (HERE,), 1)[0].argv


def test_threads_are_told_or_left_to_the_node() -> None:
    (told,) = commands(replace(ONE, threads=3), (HERE,), 1)
    assert told.env["OMP_NUM_THREADS"] == "3"
    (left,) = commands(replace(ONE, num_ranks=2), (HERE,), 1)
    environment = dict(left.env)
    vllm_rank._prepare(environment, {"192.0.2.1": "eth7", "127.0.0.1": "lo7"})
    assert int(environment["OMP_NUM_THREADS"]) >= 1
    assert environment["GLOO_SOCKET_IFNAME"] == "lo7"


def test_ranks_of_several_nodes_listen_at_their_nodes_addresses() -> None:
    _, there = commands(replace(ONE, tensor_parallel=2), (HERE, THERE), 1)
    environment = dict(there.env)
    vllm_rank._prepare(environment, {"192.0.2.2": "eth7", "127.0.0.1": "lo7"})
    assert environment["GLOO_SOCKET_IFNAME"] == environment["NCCL_SOCKET_IFNAME"] == "eth7"


LAYOUT = Layout(EngineKind.VLLM, "/models/m", (Shard(NodeId("a"), 2**30),), 1000, 4096)
VARIANT = Variant("/models/m", WeightsFormat.SAFETENSORS, "f32", 2**20, 512, 4096)
MODEL = Model(Path("/models/m"), VARIANT, "template", (), embeds=False)


def config(**chosen: object) -> ModelConfig:
    return ModelConfig.model_validate({"name": "m", "source": "/models/m", **chosen})


def test_kv_memory_is_what_was_planned_in_whole_blocks_and_vllms_own_one() -> None:
    plan = vllm_plan.plan(config(), LAYOUT, MODEL, 1)
    assert plan.kv_bytes == (1024 + 32) * 512
    assert plan.window_tokens == 1000
    assert vllm_plan.plan(config(), replace(LAYOUT, num_slots=3), MODEL, 1).num_slots == 3
    two = replace(LAYOUT, shards=(Shard(NodeId("a"), 2**30, 2),), tensor_parallel=2)
    assert vllm_plan.plan(config(kv_type="f32"), two, MODEL, 1).kv_bytes == (1024 + 32) * 512


@pytest.mark.parametrize(
    ("shards", "num_nodes", "chosen", "words"),
    [
        ((Shard(NodeId("a"), 1, 2), Shard(NodeId("b"), 1, 1)), 2, {}, "same on every node"),
        ((Shard(NodeId("a"), 1, 2),), 2, {}, "among 2 nodes"),
        ((Shard(NodeId("a"), 1, 2),), 1, {"kv_type": "q8_0"}, "Set `kv_type` to f16"),
    ],
)
def test_what_vllm_cannot_run_says_so(
    shards: tuple[Shard, ...], num_nodes: int, chosen: dict[str, object], words: str
) -> None:
    layout = replace(LAYOUT, shards=shards, tensor_parallel=2)
    with pytest.raises(EngineFault, match=words):
        vllm_plan.plan(config(**chosen), layout, MODEL, num_nodes)


def test_capacity_is_what_vllm_tells_without_its_own_block() -> None:
    text = 'vllm:cache_config_info{block_size="32",kv_cache_size_tokens="4128"} 1.0\n'
    told = vllm_plan.capacity(Metrics(text), 2048, 4)
    assert (told.kv_tokens, told.block_tokens, told.window_tokens, told.num_slots) == (4096, 32, 2048, 4)
    assert not told.resident_holds_slot


@pytest.mark.parametrize(
    ("tail", "told"),
    [
        (
            "INFO 11-21 12:14:10 [arg_utils.py:5] Loading\n"
            "(EngineCore pid=8) ERROR 11-21 12:14:10 [core.py:1] ValueError: No memory for 4096 tokens.\n"
            "RuntimeError: Engine core initialization failed. See root cause above.\n",
            "ValueError: No memory for 4096 tokens.",
        ),
        ("rank 1 of 2 was ended by signal 9. Its last lines:\nLoading", "Its last lines:\nLoading"),
        ("  Value error, ['Alien'] are not supported: " + "x" * 999, "['Alien'] are not supported"),
    ],
)
def test_the_last_lines_say_the_fault_in_short(tail: str, told: str) -> None:
    words = in_short(tail)
    assert told in words
    assert "root cause" not in words
    assert len(words) < 300


def test_layers_are_cut_on_cards_alone() -> None:
    """On a CPU vLLM 0.32 fails at the first token."""
    shards = (Shard(NodeId("a"), 1), Shard(NodeId("b"), 1))
    layout = replace(LAYOUT, shards=shards, pipeline_parallel=2)
    with pytest.raises(EngineFault, match="Set `tensor_parallel`"):
        vllm_plan.plan(config(), layout, MODEL, 2)
    cards = replace(layout, shards=tuple(replace(shard, num_gpus=1) for shard in shards))
    assert vllm_plan.plan(config(), cards, MODEL, 2).pipeline_parallel == 2


@pytest.mark.parametrize(("decode_tps", "tokens"), [(5.0, 1), (30.0, 1), (60.0, 2), (110.0, 4), (900.0, 4)])
def test_tokens_share_an_event_where_nobody_could_read_them_one_by_one(
    decode_tps: float, tokens: int
) -> None:
    assert event_tokens(decode_tps) == tokens
