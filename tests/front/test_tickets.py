"""Who is let in."""

from dataclasses import replace

import pytest

from cluster.core.ids import BootId, LeaseId, TurnId
from cluster.deployments.engine import Prompt
from cluster.deployments.fake import FakeEngine
from cluster.ticket import sign
from cluster.wire import (
    EmbedRequest,
    Ended,
    Failed,
    FrameDecoder,
    Started,
    TurnRequest,
    decode_embeddings,
    encode_request,
)
from tests.support.fronts import FrontClient, ask, serving


class CountingEngine(FakeEngine):
    """`num_prepared`: how often a prompt was rendered."""

    num_prepared = 0

    async def prepare(self, request: TurnRequest) -> Prompt:
        self.num_prepared += 1
        return await super().prepare(request)


async def refusal(client: FrontClient, sealed: str) -> Failed:
    (failed,) = await client.turn(ask("x"), ticket=sealed)
    assert isinstance(failed, Failed)
    assert failed.code == "stale_ticket"
    assert client.engine.running == []
    return failed


@pytest.mark.parametrize("sealed", ["none", "", "a.b", "!!!.???", "YQ==.YQ=="])
async def test_what_is_not_a_ticket_is_refused(sealed: str) -> None:
    async with serving(FakeEngine()) as client:
        await refusal(client, sealed)


async def test_a_ticket_of_another_secret_is_refused() -> None:
    async with serving(FakeEngine()) as client:
        forged = sign(b"guessed", client.ticket(ask("x")))
        assert "signed by somebody else" in (await refusal(client, forged)).message


async def test_a_ticket_for_another_boot_is_refused() -> None:
    async with serving(FakeEngine()) as client:
        ticket = replace(client.ticket(ask("x")), boot=BootId("boot-0"))
        assert "another boot" in (await refusal(client, client.sign(ticket))).message


async def test_a_ticket_of_an_older_router_is_refused() -> None:
    async with serving(FakeEngine()) as client:
        request = ask("x")
        newer = client.sign(client.ticket(request, epoch=7))
        assert isinstance((await client.turn(request, ticket=newer))[-1], Ended)
        older = client.sign(client.ticket(ask("x"), epoch=6))
        assert "newer router" in (await refusal(client, older)).message


async def test_the_epoch_that_the_router_answers_with_counts_too() -> None:
    async with serving(FakeEngine()) as client:
        await client.router.next_report()
        client.router.epoch = 9
        await client.router.next_report()
        await client.router.next_report()
        older = client.sign(client.ticket(ask("x"), epoch=8))
        assert "newer router" in (await refusal(client, older)).message


async def test_a_lease_is_presented_once() -> None:
    async with serving(FakeEngine()) as client:
        request = ask("x")
        sealed = client.sign(client.ticket(request))
        assert isinstance((await client.turn(request, ticket=sealed))[-1], Ended)
        (failed,) = await client.turn(request, ticket=sealed)
        assert isinstance(failed, Failed)
        assert "presented before" in failed.message


async def test_a_ticket_is_good_for_its_own_turn_and_session_alone() -> None:
    async with serving(FakeEngine()) as client:
        mine = client.ticket(ask("x"))
        assert "another turn" in (await refusal(client, client.sign(mine))).message
        request = ask("x", session="other")
        other = replace(client.ticket(request), session=mine.session)
        (failed,) = await client.turn(request, ticket=client.sign(other))
        assert isinstance(failed, Failed)
        assert failed.code == "stale_ticket"


async def test_a_measuring_ticket_measures_exactly_and_does_nothing_else() -> None:
    async with serving(FakeEngine()) as client:
        request = ask("how long is this?")
        measuring = replace(client.ticket(request, reserved_tokens=0), lease=LeaseId(""))
        sealed = client.sign(measuring)
        for _ in range(2):
            assert await client.measure(request, sealed) == len(b"how long is this?") + 3
        (failed,) = await client.turn(request, ticket=sealed)
        assert isinstance(failed, Failed)
        assert "measuring alone" in failed.message
        async with client.post("/measure", "none", encode_request(request)) as response:
            assert response.status == 503


async def test_a_prompt_that_was_measured_is_not_rendered_again_for_its_turn() -> None:
    engine = CountingEngine()
    async with serving(engine) as client:
        request, other = ask("how long is this?"), ask("and this?")
        measuring = replace(client.ticket(request, reserved_tokens=0), lease=LeaseId(""))
        await client.measure(request, client.sign(measuring))
        assert isinstance((await client.turn(request))[-1], Ended)
        assert engine.num_prepared == 1
        assert isinstance((await client.turn(other))[-1], Ended)
        assert engine.num_prepared == 2


async def test_a_prompt_kept_for_a_turn_is_not_taken_for_another_text() -> None:
    async with serving(FakeEngine()) as client:
        request = ask("short")
        measuring = replace(client.ticket(request, reserved_tokens=0), lease=LeaseId(""))
        await client.measure(request, client.sign(measuring))
        longer = replace(request, messages=({"role": "user", "content": "not so short"},))
        started = (await client.turn(longer))[0]
        assert isinstance(started, Started)
        assert started.prompt_tokens == len(b"not so short") + 3


async def test_embeddings_need_a_ticket_and_give_back_their_lease() -> None:
    async with serving(FakeEngine()) as client:
        request = EmbedRequest("turn-e", ask("x").session, "fake", ("one", "two", "one"))
        lease = replace(client.ticket(ask("x")), turn=TurnId("turn-e"))
        async with client.post("/embed", client.sign(lease), encode_request(request)) as response:
            assert response.status == 200
            embeddings = decode_embeddings(await response.read())
        assert embeddings.vectors[0] == embeddings.vectors[2] != embeddings.vectors[1]
        assert client.front.book.ledger.leases == {}
        async with client.post("/embed", client.sign(lease), encode_request(request)) as response:
            (failed,) = FrameDecoder().feed(await response.read())
            assert isinstance(failed, Failed)
            assert failed.code == "stale_ticket"
