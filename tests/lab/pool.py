"""A pool over the hosts of a lab: its actors on the first one, engines wherever the router puts them."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import httpx

from cluster.config import HearthConfig
from tests.lab.driver import RUNNING
from tests.lab.hosts import HOME, Host
from tests.lab.ray_cluster import RayCluster
from tests.lab.tools import LabError

HEARTH_HOME = f"{HOME}/.hearth"
CONFIG = "/tmp/config.json"
STOP_S = 60.0
Found = TypeVar("Found")


class LabPool:
    """Use as a context manager, with Ray running on the hosts.  The gateway is reached from the head."""

    def __init__(self, cluster: RayCluster, config: HearthConfig) -> None:
        self.cluster, self.config = cluster, config
        self.head: Host = cluster.head
        self._driver: subprocess.Popen[str] | None = None

    def __enter__(self) -> LabPool:
        home = self.head.path(HEARTH_HOME)
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        (home / "node_id").write_text(self.head.name)
        self.head.path(CONFIG).write_text(self.config.model_dump_json())
        log = self.head.path("/tmp/driver.log")
        command = self.head.argv("python", "-m", "tests.lab.driver", CONFIG, env=self.cluster.driver_env)
        with log.open("w") as errors:
            pipe = subprocess.PIPE
            self._driver = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=errors, text=True)
        assert self._driver.stdout is not None
        for line in self._driver.stdout:
            if RUNNING in line:
                until(self._knows_all_hosts)
                return self
        raise LabError(f"The pool did not start: {log.read_text()[-2000:]}")

    def _knows_all_hosts(self) -> bool:
        names = {host.name for host in self.cluster.lab}
        return {node["node"] for node in self.view()["nodes"]} == names

    def __exit__(self, *_: object) -> None:
        if self._driver is not None:
            self._driver.communicate(timeout=STOP_S)

    def ask(self, method: str, path: str, body: object = None, timeout_s: float = 60.0) -> httpx.Response:
        """One HTTP request, from the head."""
        with self.head.network():
            url = f"http://127.0.0.1:{self.config.gateway.http_port}{path}"
            return httpx.request(method, url, json=body, timeout=timeout_s, trust_env=False)

    def view(self) -> dict[str, Any]:
        answer = self.ask("GET", "/api/view")
        answer.raise_for_status()
        return answer.json()

    def model(self, name: str) -> dict[str, Any]:
        return next(model for model in self.view()["models"] if model["model"] == name)

    def say(self, model: str, text: str = "Hello", max_tokens: int = 8) -> str:
        """The answer of a turn.  Raises httpx.HTTPStatusError."""
        messages = [{"role": "user", "content": text}]
        body = {"model": model, "messages": messages, "max_tokens": max_tokens, "temperature": 0}
        answer = self.ask("POST", "/v1/chat/completions", body)
        answer.raise_for_status()
        return answer.json()["choices"][0]["message"]["content"]

    def told(
        self, model: str, num_tokens: int, timeout_s: float, on_text: Callable[[], object] | None = None
    ) -> str:
        """The whole answer of a streamed turn, always to the same question.  `on_text` is called once, when
        its first words have come."""
        messages = [{"role": "user", "content": "Tell me everything"}]
        body = {"model": model, "messages": messages, "max_tokens": num_tokens, "temperature": 0}
        url = f"http://127.0.0.1:{self.config.gateway.http_port}/v1/chat/completions"
        text = ""
        with (
            self.head.network(),
            httpx.Client(trust_env=False, timeout=timeout_s) as client,
            client.stream("POST", url, json={**body, "stream": True}) as answer,
        ):
            assert answer.status_code == 200, answer.read()
            for line in answer.iter_lines():
                text += _text_of(line)
                if text and on_text is not None:
                    on_text()
                    on_text = None
        return text

    def log(self, name: str = "/tmp/driver.log") -> str:
        return Path(self.head.path(name)).read_text(errors="replace")


def _text_of(line: str) -> str:
    """What a line of server-sent events adds to the answer."""
    if not line.startswith("data: {"):
        return ""
    event = json.loads(line.removeprefix("data: "))
    assert "error" not in event, event
    return "".join(choice["delta"].get("content") or "" for choice in event["choices"])


def until(look: Callable[[], Found | None], timeout_s: float = 30.0) -> Found:
    """What `look` finds, as soon as that is something."""
    end = time.monotonic() + timeout_s
    while not (found := look()):
        assert time.monotonic() < end, f"nothing within {timeout_s} s"
        time.sleep(0.05)
    return found
