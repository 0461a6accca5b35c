"""What a plan says of machines and models, above all in the case that it is for."""

from __future__ import annotations

import pytest

from cluster.core.errors import InvalidField
from cluster.core.forecast.ask import Ask, LabNode, Subject
from cluster.core.forecast.forecast import Forecast, advice, changes, forecast
from cluster.core.layout import EngineKind
from cluster.core.memory.cache import KvType
from cluster.core.speed.known_models import known_model, usual_quantisation
from cluster.core.speed.machines import known_link, known_machine
from cluster.core.speed.model import Split

GIB = 2**30


def subject(name: str, quantisation: str = "") -> Subject:
    return Subject(name, known_model(name), quantisation or usual_quantisation(name))


def ask(
    model: str,
    *machines: str,
    context: int = 131_072,
    sessions: int = 4,
    link: str = "10gbe",
    kv: KvType = "f16",
) -> Ask:
    nodes = tuple(LabNode(known_machine(name)) for name in machines)
    return Ask((subject(model),), nodes, context, sessions, known_link(link), kv)


def only(asked: Ask) -> Forecast:
    (found,) = forecast(asked)
    return found


@pytest.mark.parametrize(
    ("machines", "link", "change"),
    [
        (("m3-ultra-96", "m3-ultra-96"), "tb5-rdma", "one m3-ultra-512"),
        (("rtx-3090",), "tb5-rdma", "one rtx-pro-6000"),
        (("rtx-3090",), "pcie", "one rtx-pro-6000"),
    ],
)
def test_machines_that_the_link_cannot_join_are_tried_too(
    machines: tuple[str, ...], link: str, change: str
) -> None:
    model = "gpt-oss-120b" if len(machines) == 1 else "Qwen3-235B-A22B"
    asked = ask(model, *machines, context=131_072, sessions=1, link=link)
    assert change in {each.name for each in changes(asked, asked.subjects[0])}


def test_minimax_on_two_mac_studios() -> None:
    """46.5 GiB of KV for each session of 196,608 tokens in 16 bits, half of it on each of two."""
    asked = ask("MiniMax-M2.1", "m3-ultra-256", "m3-ultra-256", context=196_608, link="tb5-rdma")
    found = only(asked)
    alone = next(each for each in found.others if each.way.split is Split.NONE)
    assert alone.session_bytes == 253_952 * 196_608 == 46.5 * GIB
    assert (alone.resident, found.best.resident) == (1, 5)
    assert (found.best.way.split, found.best.way.engine) == (Split.TENSOR, EngineKind.MLX)
    assert found.best.session_bytes == 23.25 * GIB
    assert found.best.tokens_s > alone.tokens_s


def test_what_a_plan_counts_fits_and_one_session_more_would_not() -> None:
    best = only(ask("MiniMax-M2.1", "m3-ultra-256")).best
    used = best.weights_bytes + best.buffers_bytes + best.resident * best.session_bytes
    assert used <= best.usable_bytes < used + best.session_bytes


def test_tensor_parallel_over_a_slow_link_is_advised_against_with_numbers() -> None:
    asked = ask("Llama-3.3-70B", "m3-ultra-256", "m3-ultra-256", context=32_768, link="1gbe")
    found = only(asked)
    words = advice(asked, found)
    assert found.best.way.split is Split.NONE
    assert "Tensor parallel over 2 x m3-ultra-256 by 1gbe" in words
    assert "Not worth it; by tb5-rdma it would be" in words
    fast = ask("Llama-3.3-70B", "m3-ultra-256", "m3-ultra-256", context=32_768, link="tb5-rdma")
    assert advice(fast, only(fast)) == ""


@pytest.mark.parametrize(("model", "sessions"), [("MiniMax-M2.1", 4), ("gpt-oss-120b", 16)])
def test_the_best_way_is_not_advised_against_though_it_is_slower_alone(model: str, sessions: int) -> None:
    """Tensor parallel by 1 GbE: one session is slower, all of them together are quicker."""
    asked = ask(model, "m3-ultra-256", "m3-ultra-256", context=65_536, sessions=sessions, link="1gbe")
    found = only(asked)
    plain = next(each for each in found.others if each.way.split is Split.NONE)
    assert found.best.way.split is Split.TENSOR
    assert found.best.tokens_s < plain.tokens_s
    assert found.best.turn_s < plain.turn_s
    assert advice(asked, found) == ""


def test_the_change_that_helps_most_comes_first_and_is_what_it_says() -> None:
    """Two of four sessions are computed anew each time: memory is what lacks."""
    asked = ask("MiniMax-M2.1", "m3-ultra-256")
    before = only(asked).best
    found = changes(asked, asked.subjects[0])
    assert [each.gain for each in found] == sorted((each.gain for each in found), reverse=True)
    more = next(each for each in found if each.name == "one more m3-ultra-256")
    after = only(ask("MiniMax-M2.1", "m3-ultra-256", "m3-ultra-256")).best
    assert (more.before_s, more.after_s, more.resident) == (before.turn_s, after.turn_s, after.resident)
    assert more.resident >= 4 > before.resident


def test_kv_in_eight_bits_runs_on_an_engine_that_keeps_it_so() -> None:
    plain = only(ask("Llama-3.3-70B", "m3-ultra-256")).best
    packed = only(ask("Llama-3.3-70B", "m3-ultra-256", kv="q8_0")).best
    assert (plain.way.engine, packed.way.engine) == (EngineKind.MLX, EngineKind.LLAMACPP)
    assert packed.session_bytes == plain.session_bytes * 34 / 64


def test_kv_in_eight_bits_is_among_the_changes_where_it_lets_more_sessions_stay() -> None:
    asked = ask("gpt-oss-120b", "dgx-spark", sessions=12)
    change = next(each for each in changes(asked, asked.subjects[0]) if each.name == "KV in q8_0")
    assert change.resident > only(asked).best.resident


def test_a_model_that_fits_nowhere_is_told_with_machines_on_which_it_would() -> None:
    asked = ask("gpt-oss-120b", "rtx-3090")
    found = only(asked).best
    assert (found.holds, found.largest_tokens) == (False, 0)
    names = [each.name for each in changes(asked, asked.subjects[0])]
    assert "one dgx-spark" in names
    assert "one rtx-5090" not in names


def test_a_context_that_does_not_fit_beside_the_weights_is_told_the_longest_that_does() -> None:
    found = only(ask("Qwen3-Coder-30B-A3B", "rtx-3090")).best
    assert not found.holds
    assert 0 < found.largest_tokens < 131_072
    shorter = only(ask("Qwen3-Coder-30B-A3B", "rtx-3090", context=found.largest_tokens, sessions=1)).best
    assert shorter.resident == 1


def test_models_share_a_machine_and_the_larger_takes_its_room_first() -> None:
    node = LabNode(known_machine("dgx-spark"))
    large, small = subject("gpt-oss-120b"), subject("gpt-oss-20b")
    both = Ask((small, large), (node,), 32_768, 2, known_link("1gbe"))
    first, second = forecast(both)
    assert (first.subject, second.subject) == (small, large)
    taken = second.best.weights_bytes + second.best.buffers_bytes + 2 * second.best.session_bytes
    assert first.best.usable_bytes == node.usable_bytes - taken


def test_models_on_one_machine_are_told_that_they_share_its_time() -> None:
    nodes = tuple(LabNode(known_machine(name)) for name in ("dgx-spark", "m3-ultra-256"))
    pair = (subject("gpt-oss-20b"), subject("gpt-oss-120b"))
    together = forecast(Ask(pair, nodes[:1], 32_768, 1, known_link("1gbe")))
    assert [each.beside for each in together] == [("gpt-oss-120b",), ("gpt-oss-20b",)]
    assert all(each.shared_tokens_s == each.best.tokens_s / 2 for each in together)
    alone = forecast(Ask(pair[:1], nodes, 32_768, 1, known_link("1gbe")))
    assert alone[0].beside == ()


@pytest.mark.parametrize(("context", "num"), [(16_384, 3), (24_576, 1), (32_768, 0)])
def test_states_to_go_back_to_give_way_before_a_model_is_refused(context: int, num: int) -> None:
    """A Mac of 32 GB; each of 3 copies of Gemma-3-27B's windows is 416 MiB."""
    gemma = Subject("Gemma-3-27B", known_model("Gemma-3-27B"), "q4_k_m")
    found = only(Ask((gemma,), (LabNode(known_machine("m1-max-32")),), context, 1, known_link("1gbe"))).best
    assert (found.way.engine, found.holds, found.num_checkpoints) == (EngineKind.LLAMACPP, True, num)


def test_cards_of_one_machine_hold_together_what_one_does_not() -> None:
    one = ask("Llama-3.3-70B", "rtx-3090", context=8192, sessions=1)
    two = Ask(one.subjects, (LabNode(known_machine("rtx-3090"), 3),), 8192, 1, one.link)
    assert not only(one).best.holds
    assert only(two).best.tokens_s == pytest.approx(16.3, rel=0.25)


def test_more_context_than_a_model_reads_is_refused_with_its_window() -> None:
    with pytest.raises(InvalidField, match="Its window is 131,072 tokens") as caught:
        forecast(ask("gpt-oss-20b", "dgx-spark", context=200_000))
    assert caught.value.field == "--context"


def test_a_link_that_a_machine_does_not_have_is_refused() -> None:
    with pytest.raises(InvalidField, match="rtx-3090 has no Thunderbolt 5"):
        forecast(ask("gpt-oss-20b", "m3-ultra-256", "rtx-3090", link="tb5-rdma"))
    older = ask("gpt-oss-20b", "m2-ultra-192", "m2-ultra-192", link="1gbe")
    assert not [each for each in changes(older, older.subjects[0]) if "rdma" in each.name]


def test_nothing_asked_is_told_what_to_name() -> None:
    with pytest.raises(InvalidField, match="m3-ultra-256"):
        forecast(ask("gpt-oss-20b"))
