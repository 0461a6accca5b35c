"""Engines that run already are found by what they say, and believed local only as far as that goes."""

import json
import socket
import subprocess
import sys
import time
from pathlib import Path
from subprocess import DEVNULL, PIPE

from cluster.inventory.engines import (
    PROBES,
    FoundEngine,
    FoundModel,
    find_engines,
    is_tunnel,
    probe_llamacpp,
    probe_lm_studio,
    probe_ollama,
    probe_unknown,
    probe_vllm,
)
from tests.cli.small_server import small_server

OLLAMA = {
    "/api/tags": {
        "models": [
            {"name": "llama3.2:latest", "size": 2019393189, "details": {"family": "llama"}},
            {"name": "gpt-oss:120b-cloud", "size": 384, "remote_host": "https://ollama.com:443"},
            {"name": "glm-4.6:cloud", "size": 366},
            {"name": "mine", "size": 400, "remote_model": "kimi-k2"},
        ]
    }
}
LM_STUDIO = {
    "/api/v0/models": {
        "object": "list",
        "data": [
            {"id": "qwen3-8b", "type": "llm", "arch": "qwen3", "max_context_length": 32768, "state": "loaded"}
        ],
    }
}
LLAMACPP = {
    "/props": {"default_generation_settings": {"n_ctx": 4096}, "total_slots": 2},
    "/v1/models": {"object": "list", "data": [{"id": "tiny.gguf", "owned_by": "llamacpp"}]},
}
VLLM = {
    "/v1/models": {"data": [{"id": "Qwen/Qwen3-8B", "owned_by": "vllm", "max_model_len": 40960}]},
}


def test_ollama_and_which_of_its_models_it_only_forwards() -> None:
    with small_server(OLLAMA) as port:
        (engine,) = find_engines({port: (probe_ollama,)})
    assert (engine.kind, engine.url) == ("ollama", f"http://127.0.0.1:{port}/v1")
    assert {model.name: model.local for model in engine.models} == {
        "llama3.2:latest": True,
        "gpt-oss:120b-cloud": False,
        "glm-4.6:cloud": False,
        "mine": False,
    }


def test_lm_studio_tells_its_windows() -> None:
    with small_server(LM_STUDIO) as port:
        (engine,) = find_engines({port: (probe_lm_studio,)})
    assert (engine.kind, engine.models) == ("lmstudio", (FoundModel("qwen3-8b", True, 32768),))


def test_llamacpp_tells_its_window_and_slots() -> None:
    with small_server(LLAMACPP) as port:
        (engine,) = find_engines({port: PROBES[8080]})
    models = (FoundModel("tiny.gguf", True, 4096),)
    assert engine == FoundEngine("llamacpp", f"http://127.0.0.1:{port}/v1", models, 2)


def test_vllm_tells_its_window() -> None:
    with small_server(VLLM) as port:
        (engine,) = find_engines({port: PROBES[8000]})
    assert (engine.kind, engine.models) == ("vllm", (FoundModel("Qwen/Qwen3-8B", True, 40960),))


def test_a_v1_that_does_not_say_what_it_is_counts_as_hosted() -> None:
    with small_server({"/v1/models": {"data": [{"id": "some-model"}]}}) as port:
        (engine,) = find_engines({port: (probe_llamacpp, probe_unknown)})
    assert engine.models == (FoundModel("some-model", False),)


def test_a_port_with_something_else_is_no_engine() -> None:
    odd = {
        "/api/tags": ["a", "list"],
        "/props": {"default_generation_settings": 3},
        "/v1/models": {"data": 1},
    }
    with small_server(odd) as port:
        every = (probe_ollama, probe_lm_studio, probe_llamacpp, probe_vllm, probe_unknown)
        assert [find_engines({port: (probe,)}) for probe in every] == [[]] * len(every)


def test_an_engine_that_accepts_and_says_nothing_costs_less_than_a_second_and_hides_no_other() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, small_server(OLLAMA) as port:
        began = time.monotonic()
        found = find_engines({silent.getsockname()[1]: (probe_vllm,), port: (probe_ollama,)})
        assert time.monotonic() - began < 1.5  # the second, and the start of an event loop on a busy machine
    assert [engine.kind for engine in found] == ["ollama"]


def test_a_port_of_this_process_is_no_tunnel() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert not is_tunnel(server.getsockname()[1])


def test_what_comes_through_a_tunnel_is_hosted(tmp_path: Path) -> None:
    ssh, answers = tmp_path / "ssh", tmp_path / "v1/models"
    ssh.symlink_to(Path(sys.executable).resolve())
    answers.parent.mkdir()
    answers.write_text(json.dumps(VLLM["/v1/models"]))
    code = (
        "import functools, http.server as h, sys;"
        "handler = functools.partial(h.SimpleHTTPRequestHandler, directory=sys.argv[1]);"
        "server = h.ThreadingHTTPServer(('127.0.0.1', 0), handler);"
        "print(server.server_port, flush=True); server.serve_forever()"
    )
    with subprocess.Popen([ssh, "-c", code, tmp_path], stdout=PIPE, stderr=DEVNULL, text=True) as tunnel:
        assert tunnel.stdout is not None
        port = int(tunnel.stdout.readline())
        assert is_tunnel(port)
        (engine,) = find_engines({port: (probe_vllm,)})
        tunnel.kill()
    assert engine.models == (FoundModel("Qwen/Qwen3-8B", False, 40960),)
