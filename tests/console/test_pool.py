"""What a person sees of the pool in the console."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from urllib.parse import urlsplit

import pytest
from playwright.async_api import expect

from cluster.core.view import SessionStatus, WaitingTurn
from tests.console.conftest import Watched
from tests.console.pools import EMPTY, HOME, LOADING
from tests.console.stand_in import StandIn, delta, ending
from tests.console.test_chat import say

pytestmark = [pytest.mark.needs_chromium, pytest.mark.asyncio(loop_scope="session")]


async def test_memory_is_a_picture_with_numbers(console: Watched) -> None:
    studio = console.page.locator(".machine", has=console.page.get_by_role("heading", name="studio"))
    picture = studio.get_by_role("img", name="Memory")
    await expect(picture).to_have_attribute(
        "aria-label",
        "Memory: weights 20 GiB, KV reserved 13 GiB, KV resident 7.5 GiB, KV free 12 GiB, "
        "held by models 1.0 GiB, other programs 12 GiB, free 31 GiB",
    )
    await expect(studio.locator(".legend li").first).to_have_text("weights 20 GiB")
    await expect(studio).to_contain_text("31 GiB free of 96 GiB")
    await expect(studio.locator(".by-model")).to_have_text("qwen3-32b 53 GiB")
    boxes = [await rect.bounding_box() for rect in await picture.locator("rect").all()]
    widths = [box["width"] for box in boxes if box]
    shares = [round(width / sum(widths) * 96) for width in widths]
    assert shares == [20, 13, 8, 12, 1, 12, 31]  # GiB, rounded
    assert console.faults == []


async def test_replicas_show_slots_tokens_and_where_answers_are_computed(console: Watched) -> None:
    large = console.page.locator(".replica", has_text="qwen3-32b")
    await expect(large).to_contain_text("83,200 of 131,072 KV tokens")
    slots = large.get_by_role("img", name="3 of 8 slots running, 2 held by idle sessions")
    await expect(slots.locator(".reserved")).to_have_count(3)
    await expect(slots.locator(".resident")).to_have_count(2)
    hosted = console.page.locator(".replica", has_text="llama3.2:cloud")
    await expect(hosted.locator(".badge")).to_have_text("hosted")
    await expect(hosted).to_contain_text("about 65,536 KV tokens")


async def test_sessions_tell_where_they_live_and_the_queue_who_is_next(console: Watched) -> None:
    rows = console.page.locator("#sessions tbody tr")
    await expect(rows).to_have_count(7)
    recipes = rows.filter(has_text="recipes")
    await expect(recipes.locator("td")).to_have_text(
        ["recipes", "studio · qwen3-32b", "18,432", "idle 1 min"]
    )
    await expect(rows.filter(has_text="music")).to_contain_text("music#2")
    await expect(rows.filter(has_text="homework")).to_contain_text("running")
    first = console.page.locator("#queue tbody tr").first
    await expect(first.locator("td")).to_have_text(["1", "archive", "qwen3-32b", "38,912", "6.4 s", "9.0 s"])


async def test_the_page_follows_the_pool(gateway: StandIn, console: Watched) -> None:
    await expect(console.page.locator("#summary")).to_have_text(
        "2 machines · 3 models · 4 running · 2 waiting"
    )
    await gateway.show(LOADING)
    await expect(console.page.locator("#models .loading h3")).to_contain_text("qwen3-8bloading")
    await expect(console.page.locator("#summary")).to_have_text("1 machine · 0 of 2 models ready · 0 running")
    await expect(console.page.locator("#models")).to_contain_text("reading weights, 62 %")
    await expect(console.page.get_by_role("progressbar")).to_have_attribute("value", "0.62")
    await expect(console.page.locator("#models")).to_contain_text("broken.gguf is cut short")
    await gateway.show(EMPTY)
    await expect(console.page.locator("#models")).to_contain_text("No model yet")
    await expect(console.page.locator("#machines")).to_contain_text("No machine has reported yet.")
    await expect(console.page.locator("#queue")).to_contain_text("Nobody waits.")
    assert console.faults == []


async def test_the_picker_offers_what_can_chat_and_the_turn_goes_there(
    gateway: StandIn, console: Watched
) -> None:
    gateway.answers = [[delta(content="Hi"), *ending(1, 0, 1)]]
    picker = console.page.get_by_label("Model", exact=True)
    await expect(picker.locator("option")).to_have_text(["qwen3-32b", "qwen3-8b", "llama3.2:cloud"])
    await picker.select_option("qwen3-8b")
    await gateway.show(replace(HOME, queue=()))
    await say(console, "Hello")
    await expect(console.page.get_by_text("Hi", exact=True)).to_be_visible()
    assert gateway.requests[0][1]["model"] == "qwen3-8b"


async def test_a_waiting_chat_is_told_its_place_and_found_among_the_sessions(
    gateway: StandIn, console: Watched
) -> None:
    gateway.answers = [[asyncio.Event()]]
    await say(console, "Hello")
    await expect(console.page.get_by_role("button", name="Stop")).to_be_visible()
    await expect(console.page.get_by_text("Asking …")).to_be_visible()
    session = f"home/{gateway.requests[0][0]}#0"
    waiting = WaitingTurn("t-1", session, "qwen3-32b", 3, 1.0, 21.0, 900)
    living = SessionStatus(session, "home", "small-1", 900, False, 1.0)
    await gateway.show(replace(HOME, queue=(waiting,), sessions=(living,)))
    await expect(console.page.get_by_text("Waiting for a place: number 3, about 21 s")).to_be_visible()
    await expect(console.page.locator("#sessions tbody tr")).to_contain_text("this chat")


async def test_a_gateway_that_went_away_is_said_so(gateway: StandIn, console: Watched) -> None:
    await console.page.route("**/api/view/stream", lambda route: route.abort())
    await console.page.reload()
    await expect(console.page.get_by_role("alert")).to_contain_text("The pool does not answer")
    await console.page.unroute("**/api/view/stream")
    await expect(console.page.get_by_role("alert")).to_be_hidden()
    await expect(console.page.get_by_role("heading", name="studio")).to_be_visible()


async def test_nothing_else_is_asked_for(gateway: StandIn, console: Watched) -> None:
    gateway.answers = [[delta(content="![x](http://elsewhere.invalid/x.png)"), *ending(1, 0, 1)]]
    await say(console, "Hello")
    await expect(console.page.get_by_role("link", name="x")).to_be_visible()
    assert console.hosts == {urlsplit(console.page.url).netloc}
    assert console.faults == []


@pytest.mark.parametrize("view", ["Chat", "Pool"])
async def test_a_phone_shows_one_view_at_a_time_without_scrolling_sideways(
    gateway: StandIn, console: Watched, view: str
) -> None:
    gateway.answers = [[delta(content="word " * 80 + "\n```\n" + "x" * 300 + "\n```"), *ending(1, 0, 1)]]
    await console.page.set_viewport_size({"width": 360, "height": 740})
    await say(console, "w" * 200)
    await expect(console.page.locator(".answer pre")).to_be_visible()
    await console.page.get_by_role("button", name=view, exact=True).click()
    await expect(console.page.get_by_role("heading", name="studio")).to_be_visible(visible=view == "Pool")
    await expect(console.page.locator("#log")).to_be_visible(visible=view == "Chat")
    assert await console.page.evaluate("document.documentElement.scrollWidth") <= 360
    cut = "[...document.querySelectorAll('.scroll')].filter(box => box.scrollWidth > box.clientWidth).length"
    assert await console.page.evaluate(cut) == 0, "the last column of a table is out of view"


async def test_everything_is_reached_by_keyboard(gateway: StandIn, console: Watched) -> None:
    await expect(console.page.get_by_label("Message")).to_be_focused()
    reached = []
    for _ in range(4):
        await console.page.keyboard.press("Tab")
        reached.append(await console.page.evaluate("document.activeElement.id"))
    assert reached == ["model", "new-chat", "send", "pool"]
