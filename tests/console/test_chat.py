"""What a person sees who chats in the console."""

from __future__ import annotations

import asyncio

import pytest
from playwright.async_api import expect

from tests.console.conftest import Watched
from tests.console.stand_in import Refusal, StandIn, delta, ending

pytestmark = [pytest.mark.needs_chromium, pytest.mark.asyncio(loop_scope="session")]


async def say(console: Watched, words: str) -> None:
    await console.page.get_by_label("Message").fill(words)
    await console.page.keyboard.press("Enter")


async def test_an_answer_appears_while_it_is_written(gateway: StandIn, console: Watched) -> None:
    rest = asyncio.Event()
    thought = delta(reasoning_content="They greet.")
    words = delta(content="Good **even"), rest, delta(content="ing**.")
    gateway.answers = [[thought, *words, *ending(12, 8, 3)]]
    await say(console, "Hello")

    answer = console.page.locator(".answer")
    await expect(answer.locator(".said")).to_have_text("Good **even")
    rest.set()
    await expect(answer.locator(".said")).to_have_text("Good evening.")
    await expect(answer.locator("strong")).to_have_text("evening")
    for fact in ("local", "studio", "llamacpp", "12 prompt tokens, 8 cached", "3 written"):
        await expect(answer.locator("footer")).to_contain_text(fact)
    assert console.faults == []


async def test_reasoning_stays_folded_until_asked_for(gateway: StandIn, console: Watched) -> None:
    gateway.answers = [[delta(reasoning_content="They greet."), delta(content="Hi"), *ending(1, 0, 2)]]
    await say(console, "Hello")
    thought = console.page.get_by_text("They greet.")
    await expect(console.page.get_by_text("Hi", exact=True)).to_be_visible()
    await expect(thought).to_be_hidden()
    await console.page.get_by_text("Thoughts").click()
    await expect(thought).to_be_visible()


async def test_stop_keeps_what_was_said_and_frees_the_gateway(gateway: StandIn, console: Watched) -> None:
    gateway.answers = [[delta(content="Once upon"), asyncio.Event()], ending(1, 0, 1)]
    await say(console, "A story")
    await expect(console.page.get_by_text("Once upon")).to_be_visible()
    await console.page.get_by_role("button", name="Stop").click()
    await expect(console.page.get_by_text("Stopped.")).to_be_visible()
    await asyncio.wait_for(gateway.client_gone.wait(), 5)

    await say(console, "Go on")
    await expect(console.page.get_by_role("button", name="Send")).to_be_visible()
    roles = [message["role"] for message in gateway.requests[1][1]["messages"]]
    assert roles == ["user", "assistant", "user"]
    assert console.faults == []


async def test_escape_stops_too(gateway: StandIn, console: Watched) -> None:
    gateway.answers = [[asyncio.Event()]]
    await say(console, "A story")
    await expect(console.page.get_by_role("button", name="Stop")).to_be_visible()
    await console.page.keyboard.press("Escape")
    await expect(console.page.get_by_text("Stopped.")).to_be_visible()


async def test_a_conversation_is_one_session_and_a_new_chat_another(
    gateway: StandIn, console: Watched
) -> None:
    gateway.answers = [[delta(content=text), *ending(1, 0, 1)] for text in ("One", "Two", "Three")]
    for text in ("One", "Two"):
        await say(console, "Count")
        await expect(console.page.get_by_text(text, exact=True)).to_be_visible()
        await expect(console.page.get_by_role("button", name="Send")).to_be_visible()
    await console.page.get_by_role("button", name="New chat").click()
    await expect(console.page.get_by_text("One", exact=True)).to_have_count(0)
    await say(console, "Count")
    await expect(console.page.get_by_text("Three", exact=True)).to_be_visible()

    first, second, third = (session for session, _ in gateway.requests)
    assert first == second != third
    assert [len(body["messages"]) for _, body in gateway.requests] == [1, 3, 1]


async def test_a_refusal_is_told_in_its_own_words_and_can_be_tried_again(
    gateway: StandIn, console: Watched
) -> None:
    refusal = "The pool is overloaded: the queue is full. Estimated wait: 140 s."
    gateway.answers = [Refusal(503, refusal), [delta(content="Here I am"), *ending(1, 0, 3)]]
    await say(console, "Hello")
    await expect(console.page.locator(".error")).to_contain_text(refusal)
    await console.page.get_by_role("button", name="Try again").click()
    await expect(console.page.get_by_text("Here I am")).to_be_visible()
    await expect(console.page.locator(".error")).to_have_count(0)
    assert gateway.requests[0][1]["messages"] == gateway.requests[1][1]["messages"]


async def test_an_error_inside_the_stream_is_told(gateway: StandIn, console: Watched) -> None:
    gateway.answers = [[delta(content="Well"), {"error": {"message": "The replica was lost."}}]]
    await say(console, "Hello")
    await expect(console.page.locator(".error")).to_contain_text("The replica was lost.")
    await expect(console.page.get_by_text("Well", exact=True)).to_be_visible()


async def test_what_a_model_writes_never_becomes_markup(gateway: StandIn, console: Watched) -> None:
    attack = "<img src=x onerror=alert(1)> [go](javascript:alert(1)) <script>alert(1)</script>"
    gateway.answers = [[delta(content=attack), *ending(1, 0, 9)]]
    await say(console, attack)
    await expect(console.page.locator(".said")).to_have_text(attack)
    await expect(console.page.locator(".question")).to_have_text(attack)
    assert await console.page.locator("#log .said :not(p)").count() == 0
    assert console.faults == []


async def test_markdown_of_answers(gateway: StandIn, console: Watched) -> None:
    text = (
        "# Plan\n\n1. First `a*b`\n2. Second\n\n```py\nif x < 1:\n    **y**\n```\n[docs](http://127.0.0.1/d)"
    )
    gateway.answers = [[delta(content=text), *ending(1, 0, 9)]]
    await say(console, "How?")
    said = console.page.locator(".said")
    await expect(said.locator("h3")).to_have_text("Plan")
    await expect(said.locator("ol > li")).to_have_text(["First a*b", "Second"])
    await expect(said.locator("pre")).to_have_text("if x < 1:\n    **y**")
    await expect(said.get_by_role("link", name="docs")).to_have_attribute("href", "http://127.0.0.1/d")
