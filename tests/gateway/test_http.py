"""The gateway beside its API: health, metrics, the view, the console's files, its port."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from cluster.core.ids import GatewayId
from cluster.deployments.fake import FakeEngine
from cluster.gateway.gateway import Gateway, PortTaken
from tests.gateway.home import SETTINGS, Home, home
from tests.gateway.streams import stream


async def test_health_tells_what_is_ready_and_what_is_missing() -> None:
    async with home() as pool:
        assert await pool.get("/healthz") == (503, {"status": "starting", "router": "ready", "models": {}})
    async with home(FakeEngine()) as pool:
        status, body = await pool.get("/healthz")
        assert (status, body["status"], body["models"]) == (200, "ready", {"fake": "ready"})


async def test_metrics_count_requests_and_the_pool() -> None:
    async with home(FakeEngine()) as pool:
        await stream(pool, "Hello")
        async with pool.http.get(f"{pool.url}/metrics") as answer:
            page = await answer.text()
    lines = page.splitlines()
    wanted = 'hearth_gateway_requests_total{model="fake",route="/v1/chat/completions",status="200"} 1.0'
    assert wanted in lines
    assert "hearth_gateway_router_up 1.0" in lines


async def test_without_a_router_health_metrics_and_models_say_so() -> None:
    async with home() as pool:
        pool.switch.router, router = None, pool.switch.router
        status, body = await pool.get("/healthz")
        assert (status, body["router"]) == (503, "away")
        async with pool.http.get(f"{pool.url}/metrics") as answer:
            assert "hearth_gateway_router_up 0.0" in (await answer.text()).splitlines()
        status, body = await pool.get("/v1/models")
        assert (status, body["error"]["code"]) == (503, "overloaded")
        pool.switch.router = router


async def test_the_view_is_plain_json_and_streams() -> None:
    async with home(FakeEngine()) as pool:
        _, view = await pool.get("/api/view")
        assert view["replicas"][0]["capacity"]["kv_tokens"] == 8192
        assert view["replicas"][0]["locality"] == "local"
        assert "chat" in view["replicas"][0]["features"]
        async with pool.http.get(f"{pool.url}/api/view/stream") as answer:
            line = await answer.content.readline()
    assert json.loads(line.removeprefix(b"data: "))["epoch"] == 1


async def fetch(pool: Home, path: str) -> tuple[int, str, str]:
    """Status, type and policy of a file."""
    async with pool.http.get(f"{pool.url}{path}") as answer:
        return answer.status, answer.content_type, answer.headers.get("Content-Security-Policy", "")


async def test_the_consoles_files_are_served_and_nothing_beside_them(tmp_path: Path) -> None:
    folder = tmp_path / "console"
    folder.mkdir()
    (folder / "index.html").write_text("<p>Hearth</p>")
    (folder / "main.js").write_text("")
    (folder / "notes.py").write_text("")
    (tmp_path / "secret.json").write_text("{}")
    (folder / "link.json").symlink_to(tmp_path / "secret.json")
    async with home(settings=replace(SETTINGS, console=folder)) as pool:
        status, kind, policy = await fetch(pool, "/")
        assert (status, kind) == (200, "text/html")
        assert policy.startswith("default-src 'self'")
        assert (await fetch(pool, "/main.js"))[:2] == (200, "text/javascript")
        for path in ("/notes.py", "/absent.js", "/..%2fsecret.json", "/%2e%2e/secret.json", "/link.json"):
            assert (await fetch(pool, path))[0] == 404, path


@pytest.mark.parametrize("setting", ["http_port", "grpc_port"])
async def test_a_port_in_use_is_named_with_the_setting_that_moves_it(setting: str) -> None:
    async with home() as pool:
        taken = replace(SETTINGS, **{setting: getattr(pool.gateway, setting)})
        with pytest.raises(PortTaken, match=f"is in use.*gateway.{setting}"):
            async with Gateway(pool.switch, GatewayId("second"), taken):
                pass


@pytest.mark.parametrize(
    ("method", "path", "status", "remedy"),
    [
        ("POST", "/chat/completions", 404, "The API is under /v1"),
        ("POST", "/v1/responses", 404, "The API is under /v1"),
        ("GET", "/v1/chat/completions", 405, "It takes POST."),
        ("DELETE", "/v1/models", 405, "It takes GET, HEAD."),
    ],
)
async def test_a_wrong_path_is_404_and_a_wrong_method_is_405(
    method: str, path: str, status: int, remedy: str
) -> None:
    async with home() as pool, pool.http.request(method, f"{pool.url}{path}") as answer:
        body = await answer.json()
        assert answer.status == status, body
        assert f"{method} {path} is not served here. {remedy}" in body["error"]["message"]
