"""What engines keep of a session's tokens, to the byte."""

from dataclasses import replace

import pytest

from cluster.core.footprint import Run, rank_footprint, rank_kv_bytes
from cluster.core.layout import EngineKind, Layout, ModelWish, Variant, WeightsFormat
from cluster.core.memory.cache import (
    Keeping,
    KvType,
    Load,
    kv_token_bytes,
    rank_bytes,
    sequence_bytes,
    session_bytes,
)
from cluster.core.memory.config import shape_of_config
from cluster.core.memory.shape import ModelShape
from cluster.core.plan import plan
from tests.core.known_homes import CPU_SERVER, all_free, home
from tests.core.known_models import MIB, MODELS, delta_state

LLAMACPP, VLLM, MLX = EngineKind.LLAMACPP, EngineKind.VLLM, EngineKind.MLX


def shape(name: str) -> ModelShape:
    return shape_of_config(MODELS[name].config)


def variant(name: str, format: WeightsFormat, **more: object) -> Variant:
    told = Variant(name, format, "4bit", 10**9, 0, 131_072, shape=shape(name))
    return replace(told, **more)


@pytest.mark.parametrize("engine", [None, *EngineKind])
def test_a_session_of_minimax_takes_46_gib(engine: EngineKind | None) -> None:
    num_bytes = session_bytes(shape("MiniMax-M2.1"), Keeping(engine=engine), 196_608)
    assert num_bytes == 49_928_994_816
    assert num_bytes / 2**30 == 46.5


@pytest.mark.parametrize(
    ("kv_type", "token_bytes"), [("f32", 262_144), ("f16", 131_072), ("q8_0", 69_632), ("q4_0", 36_864)]
)
def test_a_quantised_type_pays_for_its_scales(kv_type: KvType, token_bytes: int) -> None:
    assert kv_token_bytes(shape("Llama-3.1-8B"), Keeping(kv_type, LLAMACPP)) == token_bytes


@pytest.mark.parametrize(("ranks", "heads"), [(1, 8), (2, 4), (8, 1), (16, 1)])
def test_more_ranks_than_heads_keep_copies(ranks: int, heads: int) -> None:
    keeping = Keeping(engine=VLLM, tensor_parallel=ranks)
    assert kv_token_bytes(shape("Llama-3.3-70B"), keeping) == 80 * heads * 2 * 128 * 2


def test_latent_rows_are_whole_on_every_rank() -> None:
    for name in ("DeepSeek-V3", "DeepSeek-V3.2"):
        alone, eight = (
            kv_token_bytes(shape(name), Keeping(engine=VLLM, tensor_parallel=num)) for num in (1, 8)
        )
        assert alone == eight == MODELS[name].token_bytes


def test_ranks_that_share_layers_keep_their_own_layers_alone() -> None:
    keeping = Keeping(engine=MLX, pipeline_parallel=4)
    assert kv_token_bytes(shape("Llama-3.3-70B"), keeping) == 327_680 // 4
    # 62 layers over 4 ranks: two of them have 16.
    assert kv_token_bytes(shape("MiniMax-M2.1"), keeping) == 16 * 4096
    # One layer in four attends: of 12 successive ones 3 do.
    assert kv_token_bytes(shape("Qwen3-Next-80B-A3B"), keeping) == 3 * 2048


def test_states_are_shared_by_ranks_and_counted_for_each_sequence() -> None:
    hybrid = shape("Qwen3-Next-80B-A3B")
    assert sequence_bytes(hybrid, Keeping(engine=MLX, tensor_parallel=2)) == delta_state(36, 32) // 2
    for num_slots in (1, 7):
        told = rank_bytes(hybrid, Keeping(engine=MLX), Load(1000, num_slots))
        assert told == 1000 * 24_576 + num_slots * delta_state(36, 32)


def test_llamacpp_keeps_convolutions_in_32_bits() -> None:
    more = sequence_bytes(shape("Qwen3-Next-80B-A3B"), Keeping(engine=LLAMACPP)) - delta_state(36, 32)
    assert more == 36 * 8192 * 3 * 2


@pytest.mark.parametrize("tokens", [1, 100, 128, 129, 50_000])
def test_a_window_holds_no_more_than_there_is(tokens: int) -> None:
    num_bytes = session_bytes(shape("gpt-oss-20b"), Keeping(), tokens)
    assert num_bytes == tokens * 24_576 + min(tokens, 128) * 24_576


@pytest.mark.parametrize(
    ("engine", "cells"),
    [
        # 4 windows of 128 and a batch of 512: one pool in multiples of 256.
        (LLAMACPP, 1024),
        # Each window may begin within a block of 32.
        (VLLM, 4 * 160 + 512),
        (MLX, 4 * 128 + 512),
    ],
)
def test_windows_are_kept_as_each_engine_does(engine: EngineKind, cells: int) -> None:
    told = rank_bytes(shape("gpt-oss-20b"), Keeping(engine=engine), Load(65_536, 4, 512))
    assert told == (65_536 + cells) * 24_576


def test_vllm_makes_the_groups_of_layers_alike() -> None:
    """10 layers attend to all; the 52 that slide are counted as 6 groups of 10."""
    told = rank_bytes(shape("Gemma-3-27B"), Keeping(engine=VLLM), Load(131_072, 1))
    assert told == 131_072 * 81_920 + 60 * (1024 + 32) * 2 * 16 * 128 * 2


def test_engines_keep_values_beside_keys_that_equal_them() -> None:
    assert kv_token_bytes(shape("Gemma-4-26B-A4B"), Keeping()) == 10_240
    for engine in (LLAMACPP, VLLM, MLX):
        assert kv_token_bytes(shape("Gemma-4-26B-A4B"), Keeping(engine=engine)) == 20_480


def test_mlx_keeps_an_index_twice_at_16_bits() -> None:
    assert kv_token_bytes(shape("DeepSeek-V3.2"), Keeping(engine=MLX)) == 61 * (576 + 2 * 128) * 2


@pytest.mark.parametrize(("engine", "block"), [(VLLM, 32), (MLX, 256), (LLAMACPP, 1)])
def test_a_session_takes_whole_blocks(engine: EngineKind, block: int) -> None:
    told = session_bytes(shape("Llama-3.1-8B"), Keeping(engine=engine), 1025)
    assert told == -(-1025 // block) * block * 131_072


def test_the_estimate_of_a_rank_counts_states_for_all_slots() -> None:
    hybrid = variant("Qwen3.5-27B", WeightsFormat.MLX)
    few, many = (rank_kv_bytes(hybrid, Run(MLX, 32_768, num_slots=num)) for num in (1, 9))
    assert few == 32_768 * 65_536 + delta_state(48, 48)
    assert many - few == 8 * delta_state(48, 48)


def test_what_llamacpp_may_go_back_to_is_counted_for_each_slot() -> None:
    """3 copies of the windows and states of each slot; what it uses is nine tenths of what it gets."""
    hybrid, plain = (variant(name, WeightsFormat.GGUF) for name in ("gpt-oss-20b", "Llama-3.1-8B"))
    one, two = (rank_footprint(hybrid, Run(LLAMACPP, 4096, num_slots=num)) for num in (1, 2))
    more_bytes = (two.num_bytes - one.num_bytes) - (two.kv_bytes - one.kv_bytes) * 10 / 9
    assert more_bytes == pytest.approx(3 * 3 * MIB * 10 / 9, abs=2)
    assert len({rank_footprint(plain, Run(LLAMACPP, 4096, num_slots=num)).num_bytes for num in (1, 9)}) == 1


def test_the_planner_gives_a_hybrid_model_more_tokens_with_fewer_slots() -> None:
    told = variant("Qwen3.5-27B", WeightsFormat.SAFETENSORS)
    nodes = home(a=replace(CPU_SERVER, models_bytes=24 * 2**30))
    layouts = [plan(ModelWish((told,), VLLM, slots=slots), nodes, all_free(nodes)) for slots in (2, 16)]
    tokens = [layout.context_tokens for layout in layouts if isinstance(layout, Layout)]
    # What 14 states take is what so many tokens would; contexts come in steps of 256.
    assert tokens[0] - tokens[1] == pytest.approx(14 * delta_state(48, 48) / 65_536, abs=256)


def test_mlx_does_not_split_a_layer_beyond_its_heads() -> None:
    split = {"tensor_parallel": (1, 2, 4, 8), "pipeline_parallel": (1,)}
    nodes = home(a=CPU_SERVER)
    wish = ModelWish((variant("Gemma-4-26B-A4B", WeightsFormat.SAFETENSORS, **split),), tensor_parallel=4)
    assert not isinstance(plan(replace(wish, engine=MLX), nodes, all_free(nodes)), Layout)
    assert isinstance(plan(replace(wish, engine=VLLM), nodes, all_free(nodes)), Layout)


def test_a_gemma_has_windows_of_200_mib() -> None:
    assert sequence_bytes(shape("Gemma-4-26B-A4B"), Keeping(engine=MLX)) == 200 * MIB
