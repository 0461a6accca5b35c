"""The life of a vLLM gang: its folders, its start and its end."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from cluster.deployments import folders, vllm_command, vllm_faults
from cluster.deployments.engine import EngineFault
from cluster.deployments.gang import Gang, Host
from cluster.deployments.vllm_command import Place, Plan
from cluster.deployments.vllm_server import VllmServer

LOOK_S = 0.1


class VllmProcess:
    """One gang: a process on each of `hosts`, of which the first is this very host."""

    def __init__(self, hosts: Sequence[Host]) -> None:
        self._gang = Gang(tuple(dict.fromkeys(hosts)))
        self._folder: Path | None = None
        self._server: VllmServer | None = None

    @property
    def hosts(self) -> Sequence[Host]:
        return self._gang.hosts

    @property
    def server(self) -> VllmServer:
        assert self._server is not None, "start the engine first"
        return self._server

    async def start(self, plan: Plan) -> None:
        """Returns when it answers; `plan.socket` is chosen here.  Raises EngineFault with its last words."""
        folder = self._folder = folders.new()
        socket = folder / "engine.sock"
        self._server = VllmServer(socket, plan.name)
        try:
            places = await self._places(folder)
            (port,) = await self.hosts[0].free_ports(1)
            await self._gang.start(vllm_command.commands(replace(plan, socket=str(socket)), places, port))
            while not await self._server.is_loaded():
                if self._gang.has_died:
                    raise _fault(plan.model, await self._gang.died())
                await asyncio.sleep(LOOK_S)
        except OSError as fault:
            raise EngineFault(f"A rank could not be started: {fault}.", "See the log of its node.") from fault

    async def _places(self, folder: Path) -> list[Place]:
        first, *others = self.hosts
        return [
            Place(first.address, str(folder)),
            *[Place(host.address, await host.write({})) for host in others],
        ]

    async def tails(self) -> str:
        tails = [await host.tail() for host in self.hosts]
        return "\n".join(f"[node {node}]\n{tail}" for node, tail in enumerate(tails))

    async def died(self) -> str:
        return await self._gang.died()

    async def stop(self) -> None:
        """Ends all ranks and removes what they were given; in any state, and twice."""
        if self._server is not None:
            await self._server.close()
        await self._gang.stop()
        await asyncio.gather(*(host.close() for host in self.hosts))
        if self._folder is not None:
            await asyncio.to_thread(folders.remove, self._folder)


def _fault(model: str, ended: str) -> EngineFault:
    return EngineFault(
        f"vLLM could not start {model}: {vllm_faults.in_short(ended)}",
        "Check that vLLM knows this architecture, that its files are whole, and that its memory suffices.",
    )
