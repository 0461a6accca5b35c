"""Small models with the same weights for every engine, written once a run.

`random_*`: random weights, which is harsher: nothing smooths what an engine gets wrong.  `trained_*`: the
guide's weights.  `pipeline_*`: random, of a family that mlx-lm can also cut by layers.  `embedding_*`: random
with a mean over its tokens.  All have two heads of keys and values, so that two ranks can share them.
"""

import atexit
import shutil
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import gguf

from cluster.models import checkpoint
from cluster.models.tiny import Shape
from tests.support.tiny_gguf import tiny_gguf

RECITING = Shape(template="reciting")
"""Talks on in ASCII, and knows answers by heart that no random weights would find."""
GUIDE = Path(checkpoint.__file__).with_name("guide.gguf")
EMBEDDING = Shape(layers=2, template=None, pooling=gguf.PoolingType.MEAN)
PIPELINE = replace(RECITING, architecture="qwen2")


@cache
def _folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="checkpoints-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def random_gguf(shape: Shape = RECITING) -> Path:
    return tiny_gguf(shape)


@cache
def random_hf(shape: Shape = RECITING) -> Path:
    name = f"random-{hash(shape) & 0xFFFFFFFF:08x}"
    return checkpoint.write_hugging_face(_folder() / name, checkpoint.read(tiny_gguf(shape)))


@cache
def trained_gguf() -> Path:
    """In F32: with F16 weights llama.cpp rounds what it multiplies them by."""
    return checkpoint.write_gguf(_folder() / "trained.gguf", _guide(), GUIDE)


@cache
def trained_hf() -> Path:
    return checkpoint.write_hugging_face(_folder() / "trained", _guide())


@cache
def _guide() -> checkpoint.Checkpoint:
    return checkpoint.read(GUIDE, kv_copies=2)


def pipeline_gguf() -> Path:
    return random_gguf(PIPELINE)


def pipeline_hf() -> Path:
    return random_hf(PIPELINE)


def embedding_gguf() -> Path:
    return random_gguf(EMBEDDING)


def embedding_hf() -> Path:
    return random_hf(EMBEDDING)
