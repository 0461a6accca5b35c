"""Takes the pictures of docs/console.md anew: `python -m tests.console.pictures`."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

from playwright.async_api import Browser, Page, ViewportSize, async_playwright

from tests.console.conftest import ARGUMENTS
from tests.console.pools import HOME, ON_ITS_WAY
from tests.console.stand_in import StandIn, delta, ending, serving
from tests.needs import find_chromium

FOLDER = Path(__file__).parents[2] / "docs" / "pictures"
DESK: ViewportSize = {"width": 1280, "height": 1500}
PHONE: ViewportSize = {"width": 390, "height": 800}
QUESTION = "Why is my turn queued?"
ANSWER = """Turns start only where prompt **and** answer fit in free KV memory. Yours waits because:

1. every replica of its model has its KV memory reserved by running turns, or
2. all of its slots are taken.

The queue at the right shows your position and an honest estimate. To see the same in a terminal:

```
hearth status
```
"""


async def take(browser: Browser, name: str, size: ViewportSize, dark: bool, view: str) -> None:
    gateway = StandIn()
    await gateway.show(replace(HOME, models=(*HOME.models, ON_ITS_WAY)))
    thought = delta(reasoning_content="They want to know why they wait.")
    gateway.answers = [[thought, delta(content=ANSWER), *ending(1_412, 1_380, 96)]]
    async with serving(gateway.app()) as url:
        page = await browser.new_page(viewport=size, color_scheme="dark" if dark else "light")
        await page.goto(url)
        await _ask(page)
        if view == "pool":
            await page.get_by_role("button", name="Pool", exact=True).click()
        await page.screenshot(path=FOLDER / name)
        await page.close()


async def _ask(page: Page) -> None:
    await page.locator(".replica").first.wait_for(state="attached")
    await page.get_by_label("Message").fill(QUESTION)
    await page.keyboard.press("Enter")
    await page.locator(".said pre").wait_for()
    await page.locator(".answer footer .badge").wait_for()


async def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=find_chromium(), args=ARGUMENTS)
        await take(browser, "console.png", DESK, dark=False, view="chat")
        await take(browser, "console-dark.png", DESK, dark=True, view="chat")
        await take(browser, "console-phone.png", PHONE, dark=False, view="pool")
        await browser.close()


if __name__ == "__main__":
    asyncio.run(main())
