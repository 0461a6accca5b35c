"""One browser for the folder, one page for each test, and a watch over what the page asks for."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright

from tests.console.stand_in import StandIn, serving
from tests.needs import find_chromium

ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@dataclass
class Watched:
    """A page and what went on behind it: `hosts` it asked, `faults` of its console."""

    page: Page
    hosts: set[str] = field(default_factory=set[str])
    faults: list[str] = field(default_factory=list[str])

    def __post_init__(self) -> None:
        self.page.set_default_timeout(10_000)
        self.page.on("request", lambda request: self.hosts.add(urlsplit(request.url).netloc))
        self.page.on("pageerror", lambda fault: self.faults.append(str(fault)))
        self.page.on("console", lambda said: self.faults.append(said.text) if said.type == "error" else None)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncGenerator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=find_chromium(), args=ARGUMENTS)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def gateway() -> StandIn:
    return StandIn()


@asynccontextmanager
async def opened(browser: Browser, url: str) -> AsyncGenerator[Watched]:
    """The page at `url`."""
    watched = Watched(await browser.new_page(viewport={"width": 1280, "height": 800}))
    try:
        await watched.page.goto(url)
        yield watched
    finally:
        await watched.page.close()


@pytest_asyncio.fixture(loop_scope="session")
async def console(browser: Browser, gateway: StandIn) -> AsyncGenerator[Watched]:
    """The page, open, before a stand-in of the gateway."""
    async with serving(gateway.app()) as url, opened(browser, url) as watched:
        yield watched
