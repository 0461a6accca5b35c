"""The console before a real gateway, router and fronts; the engines alone are fake."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, expect

from cluster.core.events import NodeReport, NodeUp
from cluster.core.ids import Cause, NodeId
from cluster.deployments.fake import FakeEngine, FakeSettings
from tests.console.conftest import opened
from tests.console.pools import GIB
from tests.console.test_chat import say
from tests.gateway.home import Home, home
from tests.support.living_home import living_home
from tests.support.pace import Pace

pytestmark = [pytest.mark.needs_chromium, pytest.mark.asyncio(loop_scope="session")]


async def report_memory(pool: Home) -> None:
    node, cause = NodeId("node-1"), Cause("test")
    await pool.switch.post([NodeUp(node, 16 * GIB, cause), NodeReport(node, 9 * GIB, cause)])


async def test_a_conversation_lives_on_its_node_and_the_page_shows_it(browser: Browser) -> None:
    settings = FakeSettings(
        answers={"Good evening": "Good **evening** to you.", "And now?": "Now it is late."}
    )
    async with home(FakeEngine(settings)) as pool, opened(browser, pool.url) as console:
        await report_memory(pool)
        await expect(console.page.locator("#model option")).to_have_text(["fake"])
        await say(console, "Good evening")
        await expect(console.page.locator(".said strong")).to_have_text("evening")
        first = console.page.locator(".answer footer").first
        for fact in ("local", "node-1", "fake", "prompt tokens, 0 cached", "24 written"):
            await expect(first).to_contain_text(fact)

        await say(console, "And now?")
        await expect(console.page.get_by_text("Now it is late.")).to_be_visible()
        second = console.page.locator(".answer footer").nth(1)
        await expect(second).to_contain_text("prompt tokens, 39 cached")

        row = console.page.locator("#sessions tbody tr")
        await expect(row).to_contain_text("this chat")
        await expect(row).to_contain_text("node-1 · fake")
        await expect(row).to_contain_text("idle")
        await expect(console.page.locator(".machine h3")).to_contain_text("9.0 GiB free of 16 GiB")
        assert console.faults == []
        assert len(console.hosts) == 1


async def test_stop_frees_the_slot_of_the_engine(browser: Browser) -> None:
    pace = Pace()
    engine = FakeEngine(FakeSettings(answer="once upon a time", decode_tps=10.0), pace.sleep)
    async with home(engine) as pool, opened(browser, pool.url) as console:
        await report_memory(pool)
        await expect(console.page.locator("#model option")).to_have_text(["fake"])
        await say(console, "A story")
        pace.let(4)
        await expect(console.page.locator(".said")).to_contain_text("on")
        await expect(console.page.get_by_role("img", name="1 of 4 slots running")).to_be_visible()
        await console.page.get_by_role("button", name="Stop").click()
        await expect(console.page.get_by_text("Stopped.")).to_be_visible()
        pace.free()
        await expect(console.page.get_by_role("img", name="0 of 4 slots running")).to_be_visible()
        assert engine.running == []
        assert console.faults == []


async def test_a_second_chat_waits_for_the_only_slot_and_is_told_so(browser: Browser) -> None:
    pace = Pace()
    engine = FakeEngine(FakeSettings(num_slots=1, answer="done", decode_tps=10.0), pace.sleep)
    async with (
        home(engine) as pool,
        opened(browser, pool.url) as first,
        opened(browser, pool.url) as second,
    ):
        await expect(first.page.locator("#model option")).to_have_text(["fake"])
        await say(first, "I was here before")
        await expect(second.page.get_by_role("img", name="1 of 1 slot running")).to_be_visible()
        await say(second, "Me too")
        await expect(second.page.get_by_text("Waiting for a place: number 1")).to_be_visible()
        await expect(first.page.locator("#queue tbody tr")).to_have_count(1)
        pace.free()
        for console in (first, second):
            await expect(console.page.get_by_text("done", exact=True)).to_be_visible()
            await expect(console.page.locator(".answer footer")).to_contain_text("node-1")
            assert console.faults == []


async def test_a_model_is_loaded_by_a_chat_and_unloaded_with_its_button(browser: Browser) -> None:
    async with living_home({"a": 4}, node_gib=10) as living, opened(browser, living.pool.url) as console:
        card = console.page.locator("#models .model")
        await expect(card.locator(".state")).to_have_text("unloaded")
        await expect(console.page.locator("#model option")).to_have_text(["a (unloaded)"])
        await say(console, "Hello")
        await expect(console.page.get_by_text("Loading a: 40 % (reading weights)")).to_be_visible()
        await expect(card.get_by_role("progressbar")).to_have_attribute("value", "0.4")
        living.loader.may_start.set()
        await expect(console.page.get_by_text("I am a.", exact=True)).to_be_visible()
        await expect(card.locator(".facts")).to_contain_text("fake q4 · 8,192 tokens · 4.0 GiB · on node-1")
        await card.get_by_role("button", name="Unload a").click()
        await expect(card.locator(".state")).to_have_text("unloaded")
        await card.get_by_role("button", name="Load a").click()
        await expect(card.locator(".state")).to_have_text("ready")
        assert console.faults == []


async def test_a_question_over_the_window_is_refused_with_the_numbers(browser: Browser) -> None:
    settings = FakeSettings(kv_tokens=256, window_tokens=256)
    async with home(FakeEngine(settings)) as pool, opened(browser, pool.url) as console:
        await expect(console.page.locator("#model option")).to_have_text(["fake"])
        await say(console, "word " * 400)
        await expect(console.page.locator(".error")).to_contain_text("maximum context length is 256 tokens")


async def test_a_router_that_is_away_is_said_so_until_it_is_back(browser: Browser) -> None:
    async with home(FakeEngine()) as pool, opened(browser, pool.url) as console:
        await expect(console.page.locator(".replica")).to_contain_text("fake")
        router, pool.switch.router = pool.switch.router, None
        await expect(console.page.get_by_role("alert")).to_contain_text("The pool does not answer")
        pool.switch.router = router
        await expect(console.page.get_by_role("alert")).to_be_hidden()
        assert console.faults == []
