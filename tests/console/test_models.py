"""What a person sees of the models in the console, and does with them."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from playwright.async_api import Dialog, Locator, expect

from tests.console.conftest import Watched
from tests.console.pools import HOME, ON_ITS_WAY, UNLOADED
from tests.console.stand_in import Refusal, StandIn, delta, ending
from tests.console.test_chat import say

pytestmark = [pytest.mark.needs_chromium, pytest.mark.asyncio(loop_scope="session")]
CODER = UNLOADED.model
WITH_CODER = replace(HOME, models=(*HOME.models, UNLOADED))
CODER_COMES = replace(HOME, models=(*HOME.models, ON_ITS_WAY))


def card(console: Watched, model: str) -> Locator:
    return console.page.locator("#models .model", has_text=model)


def answering(console: Watched, yes: bool) -> list[str]:
    """Answers every question of the page so; what was asked."""
    asked: list[str] = []

    async def answer(dialog: Dialog) -> None:
        asked.append(dialog.message)
        await (dialog.accept() if yes else dialog.dismiss())

    console.page.on("dialog", answer)
    return asked


async def test_each_model_says_where_it_is_and_how_it_runs(gateway: StandIn, console: Watched) -> None:
    await gateway.show(CODER_COMES)
    large = card(console, "qwen3-32b")
    await expect(large.locator(".state")).to_have_text("ready")
    await expect(large.locator(".facts")).to_have_text(
        "llamacpp q4_k_m · 40,960 tokens · 53 GiB · on studio · 3 turns running"
    )
    await expect(card(console, "qwen3-8b")).to_contain_text("kept warm")
    await expect(card(console, "llama3.2:cloud").get_by_role("button")).to_have_count(0)

    coder = card(console, CODER)
    await expect(coder.locator(".facts")).to_have_text(
        "mlx 4bit · TP2 · 17 GiB · on studio, laptop · 1 waiting"
    )
    await expect(coder).to_contain_text("heavily-quantised")
    await expect(coder).to_contain_text("reading weights, 45 %")
    await expect(coder.get_by_role("progressbar")).to_have_attribute("value", "0.45")
    laptop = console.page.locator(".machine", has=console.page.get_by_role("heading", name="laptop"))
    await expect(laptop.locator(".by-model")).to_have_text(f"qwen3-8b 11 GiB · {CODER} 2.0 GiB")
    assert console.faults == []


async def test_a_model_is_loaded_with_a_button_and_the_page_follows(
    gateway: StandIn, console: Watched
) -> None:
    await gateway.show(WITH_CODER)
    coder = card(console, CODER)
    await expect(coder.locator(".state")).to_have_text("unloaded")
    await coder.get_by_role("button", name=f"Load {CODER}").click()
    await expect(coder.locator(".state")).to_have_text("loading")
    assert gateway.told == [(CODER, "load")]
    await gateway.show(CODER_COMES)
    await expect(coder).to_contain_text("reading weights, 45 %")
    done = replace(ON_ITS_WAY, state="ready", stage="", fraction=None)
    await gateway.show(replace(HOME, models=(*HOME.models, done)))
    await expect(coder.locator(".state")).to_have_text("ready")
    await expect(coder.get_by_role("progressbar")).to_have_count(0)
    assert console.faults == []


async def test_an_unload_with_turns_in_flight_asks_first(gateway: StandIn, console: Watched) -> None:
    small = card(console, "qwen3-8b")
    asked = answering(console, yes=False)
    await small.get_by_role("button", name="Unload qwen3-8b").click()
    assert asked == [
        "Unload qwen3-8b? 1 turn in flight will finish first. "
        "It is to be kept warm; its next turn loads it again."
    ]
    assert gateway.told == []
    await expect(small.locator(".state")).to_have_text("ready")


async def test_a_yes_unloads_it(gateway: StandIn, console: Watched) -> None:
    answering(console, yes=True)
    large = card(console, "qwen3-32b")
    await large.get_by_role("button", name="Unload qwen3-32b").click()
    await expect(large.locator(".state")).to_have_text("unloading")
    await expect(large.get_by_role("button")).to_have_count(0)
    assert gateway.told == [("qwen3-32b", "unload")]


async def test_a_refused_load_says_why(gateway: StandIn, console: Watched) -> None:
    await gateway.show(WITH_CODER)
    gateway.refusal = Refusal(503, "The pool is overloaded: its router does not answer.")
    coder = card(console, CODER)
    await coder.get_by_role("button", name=f"Load {CODER}").click()
    await expect(coder.locator(".reason")).to_have_text("The pool is overloaded: its router does not answer.")
    await expect(coder.get_by_role("button", name=f"Load {CODER}")).to_be_enabled()


async def test_a_chat_that_waits_for_its_model_says_how_far_it_is(gateway: StandIn, console: Watched) -> None:
    rest = asyncio.Event()
    waits = {"state": "loading", "stage": "reading weights", "fraction": 0.4, "position": 1, "estimate_s": 9}
    gateway.answers = [[{**delta(content=""), "hearth": waits}, rest, delta(content="Hi"), *ending(1, 0, 1)]]
    await say(console, "Hello")
    await expect(console.page.get_by_text("Loading qwen3-32b: 40 % (reading weights)")).to_be_visible()
    rest.set()
    await expect(console.page.get_by_text("Hi", exact=True)).to_be_visible()
    await expect(console.page.get_by_text("Loading qwen3-32b")).to_have_count(0)
    assert console.faults == []
