"""What models can use of this machine, where the rest of its memory is, and what would give them more."""

from dataclasses import replace

from cluster.core.memory.usable import (
    POOL_BYTES,
    AmdCard,
    AmdUnified,
    AppleGpu,
    Gpu,
    NodeMemory,
    NvidiaCard,
    Usable,
    split_bytes,
    system_reserve_bytes,
    usable,
)
from cluster.doctor.check import Check, Verdict, fail, ok, warn
from cluster.inventory.gpu import Found
from cluster.inventory.offer import MODELS_BYTES, Offer

WORTH_BYTES = 2**30
"""Less than this is not worth a person's time."""

_MIB, _GIB = 2**20, 2**30


def check_memory(memory: NodeMemory) -> Check:
    words = f"{_gib(memory.free_bytes)} of {_gib(memory.most_bytes)} GiB free"
    if memory.free_bytes >= POOL_BYTES:
        return ok("Memory", words)
    problem = f"{words}, but a pool takes {_gib(POOL_BYTES)} GiB beside its models."
    return fail("Memory", problem, "Close other programs.")


def check_gpus(found: Found) -> list[Check]:
    """One line for those that were found, and one for each that could not be understood."""
    left_out = [warn("GPU", f"Left out: {words}.", "See what its driver says.") for words in found.left_out]
    if found.gpus:
        named = ", ".join(f"{gpu.name}, {_size_bytes(gpu) / _GIB:.0f} GiB" for gpu in found.gpus)
        return [ok("GPU", named), *left_out]
    return left_out or [warn("GPU", "None found: models are computed by the CPU.")]


def _size_bytes(gpu: Gpu) -> int:
    match gpu:
        case NvidiaCard() | AmdCard():
            return gpu.total_bytes
        case AppleGpu():
            return gpu.limit_bytes
        case AmdUnified():
            return gpu.vram_bytes + gpu.gtt_bytes


def check_usable(offer: Offer, memory: NodeMemory, found: Found) -> list[Check]:
    """The parts of what models can use, then whatever else a person should know of it."""
    parts = [_check_part(part, _remedy(part, memory, found)) for part in offer.parts]
    return [*parts, *_check_told(offer), *_check_unequal(offer), *_check_unused(offer, memory, found)]


def _check_part(part: Usable, remedy: str) -> Check:
    verdict = Verdict.OK if part.usable_bytes else Verdict.WARN
    return Check("Usable", verdict, f"{part.device}: {breakdown(part)}", remedy)


def breakdown(part: Usable) -> str:
    """Where the bytes are, those of nothing left out."""
    rest = {
        "held by others": part.others_bytes,
        "out of the GPU's reach": part.barred_bytes,
        "kept in reserve": part.reserve_bytes,
    }
    words = ", ".join(f"{_gib(num_bytes)} {where}" for where, num_bytes in rest.items() if num_bytes)
    return f"{_gib(part.usable_bytes)} of {_gib(part.total_bytes)} GiB for models ({words})"


def _remedy(part: Usable, memory: NodeMemory, found: Found) -> str:
    """What gives models most."""
    remedies: dict[str, int] = {"Close other programs.": max(part.others_bytes - part.total_bytes // 2, 0)}
    if found.apple is not None:
        limit = memory.most_bytes - system_reserve_bytes(memory)
        raised = usable(replace(found.apple, wired_limit_bytes=limit), memory)
        gain = raised.usable_bytes - part.usable_bytes
        command = f"sudo sysctl iogpu.wired_limit_mb={limit // _MIB}"
        remedies[f"`{command}` gives models {_gib(gain)} GiB more, until the next boot."] = gain
    elif not found.cards and memory.limit_bytes is not None:
        free = usable(replace(memory, limit_bytes=None), memory).usable_bytes - part.usable_bytes
        remedies[f"Raise the memory limit of this container or service: {_gib(free)} GiB more are free."] = (
            free
        )
    best = max(remedies, key=lambda words: remedies[words])
    return best if remedies[best] >= WORTH_BYTES else ""


def _check_told(offer: Offer) -> list[Check]:
    if not offer.told:
        return []
    words = f"{_gib(offer.models_bytes)} GiB, as {MODELS_BYTES} or `node.models_bytes` says"
    if offer.models_bytes <= offer.usable_bytes:
        return [ok("Models may hold", words)]
    problem = f"{words}, but {_gib(offer.usable_bytes)} GiB are usable: engines may fail or be slow."
    return [
        warn("Models may hold", problem, "Close other programs, or take the number away: it is then found.")
    ]


def _check_unequal(offer: Offer) -> list[Check]:
    lost = split_bytes(offer.parts) - offer.usable_bytes
    if lost < WORTH_BYTES:
        return []
    detail = f"{_gib(lost)} GiB of the larger cards stay empty: each card holds as much as the smallest."
    return [warn("Unequal cards", detail, "Free the fullest card, or take the smallest out.")]


def _check_unused(offer: Offer, memory: NodeMemory, found: Found) -> list[Check]:
    checks: list[Check] = []
    for gpu in found.gpus:
        words = f"{gpu.name}: {breakdown(usable(gpu, memory))}, but no engine installed here computes on it."
        match gpu:
            case NvidiaCard() if not offer.num_gpus:
                checks.append(warn("Not used", words, "make cuda installs vLLM for it."))
            case AmdCard() | AmdUnified():
                checks.append(warn("Not used", words, _amd_remedy(gpu, memory)))
            case _:
                pass
    return checks


def _amd_remedy(gpu: AmdCard | AmdUnified, memory: NodeMemory) -> str:
    remedy = "Run llama-server or Ollama on it, and add that as an upstream (docs/engines.md)."
    if (
        isinstance(gpu, AmdUnified)
        and usable(gpu, memory).barred_bytes - system_reserve_bytes(memory) >= WORTH_BYTES
    ):
        pages = (memory.most_bytes - system_reserve_bytes(memory)) // 4096
        remedy += f" The kernel parameter ttm.pages_limit={pages} lets it reach all but the reserve."
    return remedy


def _gib(num_bytes: int) -> str:
    return f"{num_bytes / _GIB:.1f}"
