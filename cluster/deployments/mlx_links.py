"""`python -m cluster.deployments.mlx_links`: says in one line what this Mac offers beside its address.

Elsewhere, and where a question is not answered, it says that there is nothing.
"""

import asyncio
import contextlib
import json
import subprocess
import sys
from dataclasses import asdict
from typing import Any

from cluster.deployments.gang import Host, RankCommand
from cluster.deployments.mlx_launch import Links, Port

TIMEOUT_S = 20.0
_MARK = "HEARTH-LINKS "


async def ask(host: Host) -> Links:
    """What `host` offers; nothing where it does not answer in time."""
    rank = await host.start(RankCommand((sys.executable, "-m", "cluster.deployments.mlx_links")))
    try:
        async with asyncio.timeout(TIMEOUT_S):
            await rank.wait()
        return of_output(await rank.tail())
    except TimeoutError:
        return Links()
    finally:
        await rank.stop()


def of_output(text: str) -> Links:
    for line in text.splitlines():
        if line.startswith(_MARK):
            told = json.loads(line.removeprefix(_MARK))
            return Links(frozenset(told["rdma"]), tuple(Port(**port) for port in told["ports"]))
    return Links()


def of_mac(devices: str, thunderbolt: str, hardware: str) -> Links:
    """From what `ibv_devices`, `system_profiler SPThunderboltDataType -json` and
    `networksetup -listallhardwareports` print."""
    rdma = frozenset(word for word in devices.split() if word.startswith("rdma_"))
    interfaces = _interfaces(hardware)
    with contextlib.suppress(ValueError, KeyError, TypeError):
        found = [_port(entry, interfaces) for entry in json.loads(thunderbolt)["SPThunderboltDataType"]]
        return Links(rdma, tuple(port for port in found if port is not None))
    return Links(rdma)


def _interfaces(hardware: str) -> dict[str, str]:
    """Device names by the names of their ports."""
    pairs = [line.partition(": ") for line in hardware.splitlines()]
    names = [value for name, _, value in pairs if name == "Hardware Port"]
    devices = [value for name, _, value in pairs if name == "Device"]
    return dict(zip(names, devices, strict=False))


def _port(entry: dict[str, Any], interfaces: dict[str, str]) -> Port | None:
    link = entry.get("domain_uuid_key")
    name = f"Thunderbolt {(entry.get('receptacle_1_tag') or {}).get('receptacle_id_key')}"
    if link is None or name not in interfaces:
        return None
    peers = [item["domain_uuid_key"] for item in entry.get("_items", ()) if "domain_uuid_key" in item]
    return Port(interfaces[name], link, peers[0] if peers else None)


def _run(*argv: str) -> str:
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        return subprocess.run(argv, capture_output=True, text=True, timeout=TIMEOUT_S, check=False).stdout
    return ""


def main() -> None:
    found = Links()
    if sys.platform == "darwin":
        found = of_mac(
            _run("ibv_devices"),
            _run("system_profiler", "SPThunderboltDataType", "-json"),
            _run("networksetup", "-listallhardwareports"),
        )
    told = {"rdma": sorted(found.rdma), "ports": [asdict(port) for port in found.ports]}
    print(_MARK + json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
