"""Models from a hub: once, with progress, whole or not at all, and later without a word to anybody."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.deployments import gguf_file, sources
from cluster.deployments.engine import EngineFault, Loading
from tests.support.hub import Hub, serving
from tests.support.tiny_gguf import tiny_gguf

SECRET = "hf_not_to_be_seen_anywhere"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    tiny = tiny_gguf().read_bytes()
    repositories = {
        "home/tiny": {"tiny.gguf": tiny, "README.md": b"# tiny"},
        "home/deep": {"q8/tiny-q8_0.gguf": tiny},
        "home/many": {"many-Q4_K_M.gguf": tiny, "many-Q8_0.gguf": tiny},
        "home/odd": {"a-Q2_K.gguf": tiny, "b-Q8_0.gguf": tiny},
    }
    with serving(repositories) as hub:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.url)
        template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
        monkeypatch.setenv("HF_TOKEN", SECRET)
        yield hub


def ignore(_: Loading) -> None:
    pass


def test_a_model_comes_once_and_tells_how_far_it_is(hub: Hub) -> None:
    told: list[Loading] = []
    (path,) = sources.find("hf:home/tiny", told.append)
    assert gguf_file.read(path).chat_template
    fractions = [loading.fraction for loading in told if loading.fraction is not None]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    asked = len(hub.asked)
    assert sources.find("hf:home/tiny", ignore) == (path,)
    assert len(hub.asked) == asked, "what is here already is used without asking"


def test_a_file_in_a_folder_of_the_repository_is_found_again(hub: Hub) -> None:
    found = sources.find("hf:home/deep", ignore)
    asked = len(hub.asked)
    assert sources.find("hf:home/deep", ignore) == found
    assert len(hub.asked) == asked


def test_a_download_that_breaks_off_is_never_taken_for_a_model(hub: Hub) -> None:
    hub.cut_after = 5000
    try:
        (path,) = sources.find("hf:home/tiny", ignore)
    except EngineFault:
        (path,) = sources.find("hf:home/tiny", ignore)
    assert path.read_bytes() == tiny_gguf().read_bytes()


def test_the_usual_quantisation_is_chosen_and_none_is_guessed(hub: Hub) -> None:
    (path,) = sources.find("hf:home/many", ignore)
    assert path.name == "many-Q4_K_M.gguf"
    with pytest.raises(EngineFault, match=r"a-Q2_K\.gguf, b-Q8_0\.gguf.*Name one of them"):
        sources.find("hf:home/odd", ignore)
    (named,) = sources.find("hf:home/odd:b-Q8_0.gguf", ignore)
    assert named.name == "b-Q8_0.gguf"


@pytest.mark.parametrize("source", ["hf:home/nobody", "hf:home/tiny:other.gguf"])
def test_what_is_not_there_is_said_without_the_token(hub: Hub, source: str) -> None:
    with pytest.raises(EngineFault) as refused:
        sources.find(source, ignore)
    words = str(refused.value)
    assert source in words
    assert SECRET not in words
    assert "token" in words or "name" in words
