"""`hearth.yaml`: what a person writes down, checked before anything starts.

    models:                       # what the pool serves; the built-in guide is there without being named
      - name: qwen3-8b
        source: ~/models/qwen3-8b-q4_k_m.gguf     # a GGUF, a folder of one, or hf:owner/repo[:file]
        context_tokens: 32768                     # default: what memory allows, up to the model's window
        keep_warm: true                           # loaded at the start, never unloaded to make room
      - name: coder-30b
        source: hf:owner/repo                     # several quantisations: the largest that fits
        engine: auto                              # llamacpp, vllm, mlx, or whichever fits best (the default)
        where: {kind: rig}                        # only on nodes that have these labels
    node:
      labels: {kind: rig}         # of this machine
    upstreams:                    # engines that run already
      - name: ollama
        url: http://127.0.0.1:11434/v1
        local_models: [llama3.2]  # every other model of it counts as hosted

Unknown and wrong fields are errors that name the field.  Everything has a default: an empty file is valid.
"""

import os
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from cluster.core.errors import InvalidField

GUIDE = "hearth-guide"
"""The model id of the guide that comes along."""

HTTP_PORT = 8420
GRPC_PORT = 8421

MESSAGES = {"extra_forbidden": "there is no such field", "missing": "is missing"}
"""Our words where the checker's own say too little, by the kind of fault."""

Port = Annotated[int, Field(ge=1, le=65535)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,95}$")]

Label = Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$")]
"""As Ray wants labels of nodes and their values."""


class Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


Checked = TypeVar("Checked", bound=Strict)


class ModelConfig(Strict):
    """One model to load.  `source` is `builtin:guide`, a GGUF, a folder (of GGUFs, or one with a
    config.json and safetensors), or `hf:owner/repo[:file]`.

    `quantisation`: the one to run where the source has several; None: the largest that fits. `kv_type`:
    how keys and values are kept.  `slots`: sequences at once; `context_tokens`: KV memory in tokens,
    shared by them; None: chosen from the memory that is free.  `tensor_parallel`, `pipeline_parallel`:
    ranks to split each layer, or the layers, over; None: chosen.  `where`: labels that its nodes must
    have. `keep_warm`: loaded at the start and never unloaded to make room.  `priority`: of two idle
    models the lower goes first.  `unload_after_s`: idle for so long, it is unloaded.  `load_timeout_s`: a
    start that takes longer is given up. `locality`: `hosted` where the nodes it runs on are not at home.
    `fake`: settings of the engine `fake`, which reads no `source`.
    """

    name: Name
    source: str
    engine: Literal["auto", "llamacpp", "vllm", "mlx", "fake"] = "auto"
    quantisation: str | None = None
    tensor_parallel: Annotated[int, Field(ge=1, le=64)] | None = None
    pipeline_parallel: Annotated[int, Field(ge=1, le=64)] | None = None
    where: dict[Label, Label] = {}
    keep_warm: bool = False
    priority: Annotated[int, Field(ge=-100, le=100)] = 0
    unload_after_s: Annotated[float, Field(gt=0)] | None = None
    load_timeout_s: Annotated[float, Field(gt=0)] = 1800.0
    locality: Literal["local", "hosted"] = "local"
    context_tokens: Annotated[int, Field(ge=256)] | None = None
    slots: Annotated[int, Field(ge=1, le=256)] | None = None
    kv_type: Literal["f16", "q8_0", "q4_0", "f32"] = "f16"
    threads: Annotated[int, Field(ge=1)] | None = None
    gpu_layers: Annotated[int, Field(ge=0)] | None = None
    fake: dict[str, Any] = {}


class UpstreamConfig(Strict):
    """A `/v1` that runs already.  `models` None: all it lists.  Models are hosted unless named local.

    `api_key_env` names an environment variable, so that no key stands in a file.
    """

    name: Name
    url: Annotated[str, Field(pattern=r"^https?://")]
    api_key_env: str | None = None
    models: tuple[str, ...] | None = None
    local_models: tuple[str, ...] = ()
    max_concurrency: Annotated[int, Field(ge=1, le=1024)] = 4
    context_tokens: Annotated[int, Field(ge=256)] | None = None


class GatewayConfig(Strict):
    host: Literal["127.0.0.1", "::1"] = "127.0.0.1"
    http_port: Port = HTTP_PORT
    grpc_port: Port = GRPC_PORT
    max_body_bytes: Annotated[int, Field(ge=1024)] = 16 * 1024 * 1024
    patience_s: Annotated[float, Field(gt=0)] = 120.0


class RouterConfig(Strict):
    """`swap`: how models take turns where memory is short, `batched` by model or strictly `first-come`.
    `swap_wait_s`: the longest that a turn waits for its model's place to be cleared, where that can be kept
    (docs/models.md)."""

    queue_limit: Annotated[int, Field(ge=1)] = 512
    queue_limit_per_tenant: Annotated[int, Field(ge=1)] = 256
    swap: Literal["batched", "first-come"] = "batched"
    swap_wait_s: Annotated[float, Field(gt=0)] = 60.0


class NodeConfig(Strict):
    """This machine.  `labels`: what models can ask for with `where`.  `models_bytes`: memory that engines may
    hold here, all together; None: most of what is free."""

    labels: dict[Label, Label] = {}
    models_bytes: Annotated[int, Field(ge=0)] | None = None


class HearthConfig(Strict):
    """`home_kind` names the file in serve_configs/ that this home starts from."""

    home_kind: Annotated[str, Field(pattern=r"^[a-z0-9_]+$")] = "laptop"
    models: tuple[ModelConfig, ...] = ()
    upstreams: tuple[UpstreamConfig, ...] = ()
    guide: bool = True
    node: NodeConfig = NodeConfig()
    gateway: GatewayConfig = GatewayConfig()
    router: RouterConfig = RouterConfig()

    @field_validator("models", "upstreams")
    @classmethod
    def _names_differ(
        cls, items: tuple[ModelConfig | UpstreamConfig, ...]
    ) -> tuple[ModelConfig | UpstreamConfig, ...]:
        names = [item.name for item in items]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"the name {twice[0]!r} is used twice")
        return items


def home() -> Path:
    """The one folder of all state: `HEARTH_HOME`, else `~/.hearth`."""
    return Path(os.environ.get("HEARTH_HOME") or "~/.hearth").expanduser().absolute()


def load(path: Path) -> HearthConfig:
    """Reads a config file; a missing one is an empty one.  Raises InvalidField naming file and field."""
    if not path.exists():
        return HearthConfig()
    try:
        body = yaml.safe_load(path.read_text()) or {}
    except yaml.YAMLError as fault:
        raise InvalidField(str(path), f"is not YAML: {fault}.", "Mend the file.") from fault
    return parse(body, str(path))


def parse(body: object, where: str) -> HearthConfig:
    """Checks a config.  Raises InvalidField naming the first wrong field."""
    return checked(HearthConfig, body, where, "See docs/config.md.")


def checked(kind: type[Checked], body: object, where: str, remedy: str) -> Checked:
    """What a person wrote, as a `kind`.  Raises InvalidField naming the first wrong field."""
    try:
        return kind.model_validate(body)
    except ValidationError as fault:
        # A mistyped name is both unknown and missing: the unknown one is what its writer finds again.
        first = min(fault.errors(), key=lambda error: error["type"] != "extra_forbidden")
        path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"])
        problem = f"{MESSAGES.get(first['type'], first['msg'])} (got {first.get('input')!r:.80})."
        raise InvalidField(f"{where}:{path.lstrip('.')}", problem, remedy) from fault
