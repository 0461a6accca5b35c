"""Parts of the MLX engine that need no MLX: how ranks are wired, what they are told, text, what is kept."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cluster.config import ModelConfig
from cluster.core.facts import Locality, Speed
from cluster.core.ids import NodeId
from cluster.core.layout import EngineKind, Layout, Shard
from cluster.deployments import mlx, mlx_links, model_hash
from cluster.deployments.engine import EngineFault
from cluster.deployments.gang import LocalHost, LocalRank, RankCommand
from cluster.deployments.mlx import MlxEngine
from cluster.deployments.mlx_launch import Links, Port, Wiring, wire
from cluster.deployments.mlx_server.peers import PeersLost, follow, lead
from cluster.deployments.mlx_server.prefixes import Found, Kept, Prefixes
from cluster.deployments.text import Answer, Detokenizer

ADDRESSES = ("10.0.0.1", "10.0.0.2", "fd00::3")
ENDS = ["10.0.0.1:9001", "10.0.0.2:9002", "[fd00::3]:9003"]


def mac(number: int, *others: int, dead: Sequence[str] = ()) -> Links:
    """A Mac with a cable to each of `others`; `dead` ports offer no RDMA."""
    ports = tuple(Port(f"en{other}", f"{number}-{other}", f"{other}-{number}") for other in others)
    devices = (f"rdma_{port.interface}" for port in ports if port.interface not in dead)
    return Links(frozenset(devices), ports)


def ring(num: int) -> list[Wiring]:
    hostfile = json.dumps([[end] for end in ENDS[:num]]).encode()
    return [Wiring("ring", {"MLX_RANK": str(rank)}, {"MLX_HOSTFILE": hostfile}) for rank in range(num)]


def jaccl(*rows: Sequence[str | None]) -> list[Wiring]:
    files = {"MLX_IBV_DEVICES": json.dumps(rows).encode()}
    env = {"MLX_JACCL_COORDINATOR": ENDS[0]}
    return [Wiring("jaccl", {"MLX_RANK": str(rank), **env}, files) for rank in range(len(rows))]


WIRED = {
    "one rank needs nobody": ([Links()], [Wiring("")]),
    "two machines without RDMA": ([Links(), Links()], ring(2)),
    "three machines without RDMA": ([Links()] * 3, ring(3)),
    "two Macs with a cable": ([mac(0, 1), mac(1, 0)], jaccl([None, "rdma_en1"], ["rdma_en0", None])),
    "three Macs, each with a cable to each": (
        [mac(0, 1, 2), mac(1, 0, 2), mac(2, 0, 1)],
        jaccl([None, "rdma_en1", "rdma_en2"], ["rdma_en0", None, "rdma_en2"], ["rdma_en0", "rdma_en1", None]),
    ),
    "three Macs in a row": ([mac(0, 1), mac(1, 0, 2), mac(2, 1)], ring(3)),
    "RDMA is off on one Mac": ([mac(0, 1), mac(1, 0, dead=["en0"])], ring(2)),
    "a cable that leads elsewhere": ([mac(0, 7), mac(1, 0)], ring(2)),
    "a Mac and another machine": ([mac(0, 1), Links()], ring(2)),
}


@pytest.mark.parametrize("case", WIRED)
def test_ranks_are_wired_by_what_their_nodes_offer(case: str) -> None:
    links, wanted = WIRED[case]
    num = len(links)
    assert list(wire(ADDRESSES[:num], (9001, 9002, 9003)[:num], links)) == wanted


def test_what_a_mac_offers_is_read_from_what_its_tools_print() -> None:
    cable = {"_name": "other", "domain_uuid_key": "uuid-b"}
    buses = [
        {"domain_uuid_key": "uuid-a", "receptacle_1_tag": {"receptacle_id_key": "1"}, "_items": [cable]},
        {"domain_uuid_key": "uuid-c", "receptacle_1_tag": {"receptacle_id_key": "2"}},
        {"_name": "a hub"},
    ]
    hardware = "Hardware Port: Ethernet\nDevice: en0\n\n" + "".join(
        f"Hardware Port: Thunderbolt {number}\nDevice: en{number + 2}\nEthernet Address: 00:00\n\n"
        for number in (1, 2)
    )
    devices = "    device                 node GUID\n    ------\n    rdma_en3   8b7a\n    rdma_en4   8b7b\n"
    found = mlx_links.of_mac(devices, json.dumps({"SPThunderboltDataType": buses}), hardware)
    assert found == Links(
        frozenset({"rdma_en3", "rdma_en4"}), (Port("en3", "uuid-a", "uuid-b"), Port("en4", "uuid-c", None))
    )
    assert mlx_links.of_mac("", "nonsense", "") == Links()


async def test_a_host_is_asked_what_it_offers() -> None:
    host = LocalHost()
    try:
        assert await mlx_links.ask(host) == Links()
    finally:
        await host.close()


class BareHost(LocalHost):
    """Its Python has nothing installed."""

    async def start(self, command: RankCommand) -> LocalRank:
        python, *rest = command.argv
        env = {**command.env, "PYTHONPATH": str(Path(__file__).parents[2])}
        return await super().start(replace(command, argv=(python, "-S", *rest), env=env))


async def test_a_node_without_mlx_says_how_to_install_it(tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_text("{}")
    layout = Layout(EngineKind.MLX, str(tmp_path), (Shard(NodeId("bare"), 1),), 4096, 4096)
    engine = MlxEngine(ModelConfig(name="small", source=str(tmp_path)), layout, [BareHost()])
    try:
        with pytest.raises(EngineFault, match=r"MLX is not installed here.*make mlx"):
            await engine.start(lambda _: None)
    finally:
        await engine.stop()


def test_the_ranks_get_the_slots_of_the_layout() -> None:
    layout = Layout(EngineKind.MLX, "/m", (Shard(NodeId("n"), 1),), 4096, 4096, num_slots=3)
    assert mlx._settings(ModelConfig(name="m", source="/m"), layout, 1).num_slots == 3


@pytest.mark.parametrize("locality", Locality)
def test_an_engine_computes_where_its_model_is_said_to(locality: Locality) -> None:
    layout = Layout(EngineKind.MLX, "/m", (Shard(NodeId("n"), 1),), 4096, 4096)
    config = ModelConfig.model_validate({"name": "m", "source": "/m", "locality": locality})
    engine = MlxEngine(config, layout, [LocalHost()])
    told = {"control_tokens": [], "weights_bytes": 1, "kv_token_bytes": 1}
    engine._formats = ()
    facts = engine._take_facts(mlx._settings(config, layout, 1), told, "hash", Speed(1.0, 1.0))
    assert facts.locality is locality


def test_a_folder_is_the_same_model_whatever_lies_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEARTH_HOME", str(tmp_path / "home"))
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"weights")
    first = model_hash.of_folder(folder)
    (folder / "README.md").write_text("words")
    assert model_hash.of_folder(folder) == first
    assert first.startswith("hf:")
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    assert model_hash.of_folder(folder) != first


async def test_only_who_knows_the_secret_becomes_a_rank() -> None:
    control = f"127.0.0.1:{(await LocalHost().free_ports(1))[0]}"
    leading = asyncio.create_task(asyncio.to_thread(lead, control, "right", 1, 20.0))
    stranger = await asyncio.to_thread(follow, control, "wrong", 20.0)
    with pytest.raises(PeersLost):
        await asyncio.to_thread(stranger.receive)
    stranger.close()
    follower = await asyncio.to_thread(follow, control, "right", 20.0)
    leader = await leading
    leader.send([["drop", 1]], steps=True)
    assert await asyncio.to_thread(follower.receive) == ([["drop", 1]], True)
    leader.close()
    with pytest.raises(PeersLost):
        await asyncio.to_thread(follower.receive)
    follower.close()


async def test_an_address_that_somebody_else_answers_at_is_asked_no_longer_than_told() -> None:
    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(PeersLost, match="does not answer"):  # and no socket is left open
            await asyncio.to_thread(follow, f"127.0.0.1:{port}", "secret", 0.2)


async def test_ranks_that_never_come_are_waited_for_no_longer_than_told() -> None:
    control = f"127.0.0.1:{(await LocalHost().free_ports(1))[0]}"
    with pytest.raises(PeersLost, match="0 of 1"):
        await asyncio.to_thread(lead, control, "secret", 1, 0.05)
    with pytest.raises(PeersLost, match="does not answer"):
        await asyncio.to_thread(follow, control, "secret", 0.05)


def of_bytes(ids: Sequence[int]) -> str:
    return bytes(ids).decode(errors="replace")


def told(text: bytes, stop: Sequence[str] = (), context: bytes = b"") -> tuple[list[str], bool]:
    """The pieces of an answer whose tokens are bytes, and whether a stop text ended it."""
    answer = Answer(Detokenizer(of_bytes, context, bytewise=True), stop)
    pieces, ids = [], []
    for byte in text:
        fresh, piece = answer.add(byte)
        pieces.append(piece)
        ids += fresh
        if answer.is_stopped:
            return pieces, True
    fresh, piece = answer.end()
    assert [*ids, *fresh] == list(text)
    return [*pieces, piece], answer.is_stopped


def test_text_comes_in_whole_characters_and_is_that_of_all_ids() -> None:
    for text in ("ü🔥 and more".encode(), b"\xff\xfe bad \xf0\x9f bytes \xe2\x82", "🦊".encode() * 40):
        pieces, _ = told(text)
        assert "".join(pieces) == of_bytes(text)
    assert told("ü!".encode())[0] == ["", "ü", "!", ""]


@pytest.mark.parametrize("cut", range(1, 10))
def test_text_goes_on_in_the_middle_of_a_character(cut: int) -> None:
    whole = "a🔥ü!x".encode()
    before = Answer(Detokenizer(of_bytes, b"", bytewise=True), ())
    said = "".join(before.add(byte)[1] for byte in whole[:cut])
    assert said + "".join(told(whole[cut:], context=whole[:cut])[0]) == whole.decode()


def test_a_stop_text_ends_an_answer_and_what_may_begin_one_is_kept_back() -> None:
    pieces, is_stopped = told(b"one two END three", ["END"])
    assert ("".join(pieces), is_stopped) == ("one two ", True)
    pieces, is_stopped = told(b"EEN ENE", ["END"])
    assert ("".join(pieces), is_stopped) == ("EEN ENE", False)
    assert pieces[:3] == ["", "E", ""]
    assert told(b"aab", ["aab", "x"])[1]


def kept(number: int, session: str, ids: Sequence[int], tenant: str = "t", *, trims: bool = True) -> Kept:
    return Kept(number, tenant, session, np.array(ids, dtype=np.int32), trims)


def ids(*numbers: int) -> np.ndarray:
    return np.array(numbers, dtype=np.int32)


def test_the_longest_prefix_of_the_tenant_is_found_and_the_sessions_own_is_taken() -> None:
    prefixes = Prefixes()
    for number, (tenant, session, content) in enumerate(
        [("t", "a", [1, 2, 3]), ("t", "b", [1, 2, 3, 4, 5]), ("u", "a", [1, 2, 3, 4, 5, 6])], start=1
    ):
        assert prefixes.add(kept(number, session, content, tenant)) == []
    assert prefixes.find("t", "a", ids(1, 2, 3, 4, 5, 6)) == Found(2, 5, takes=False)
    assert prefixes.find("t", "b", ids(1, 2, 3, 4)) == Found(2, 3, takes=True)
    assert prefixes.find("t", "b", ids(1, 2, 9)) == Found(1, 2, takes=False)
    assert prefixes.find("t", "b", ids(9, 9)) is None
    assert prefixes.num_tokens == 9


def test_a_session_keeps_one_entry_and_the_longest_unused_go_first() -> None:
    prefixes = Prefixes()
    assert prefixes.add(kept(1, "a", [1, 2])) == []
    assert prefixes.add(kept(2, "b", [3, 4])) == []
    assert prefixes.add(kept(3, "a", [1, 2, 3])) == [1]
    prefixes.find("t", "other", ids(3, 4, 5))
    assert prefixes.shrink(4) == [3]
    assert prefixes.forget("t", "b") == [2]
    assert len(prefixes) == 0


def test_what_cannot_be_trimmed_is_of_use_only_as_a_whole() -> None:
    prefixes = Prefixes()
    prefixes.add(kept(1, "a", [1, 2, 3], trims=False))
    assert prefixes.find("t", "a", ids(1, 2, 9, 9)) is None
    assert prefixes.find("t", "a", ids(1, 2, 3)) is None, "one token of the prompt has to be computed"
    assert prefixes.find("t", "a", ids(1, 2, 3, 4)) == Found(1, 3, takes=True)
