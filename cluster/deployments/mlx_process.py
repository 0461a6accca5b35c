"""The life of MLX's ranks: what each is told, their start, and their end."""

import asyncio
import secrets
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from cluster.deployments import folders, mlx_links
from cluster.deployments.engine import EngineFault
from cluster.deployments.engine_http import EngineHttp
from cluster.deployments.gang import Gang, Host, RankCommand
from cluster.deployments.mlx_launch import Links, Wiring, wire
from cluster.deployments.mlx_server import faults
from cluster.deployments.mlx_server.settings import SECRET_ENV, RankSettings

LOOK_S = 0.1


class MlxProcess:
    """One gang of ranks on `hosts`, rank 0 first, on this very host."""

    def __init__(self, hosts: Sequence[Host]) -> None:
        self._gang = Gang(hosts)
        self._folder: Path | None = None
        self._server: EngineHttp | None = None

    @property
    def server(self) -> EngineHttp:
        assert self._server is not None, "start the engine first"
        return self._server

    async def start(self, settings: RankSettings, folder: Path) -> None:
        """Returns when every rank is ready.  Raises EngineFault with a rank's last words.

        `folder`: where the model's files lie on this host; other hosts look for themselves.
        """
        self._folder = folders.new()
        socket = self._folder / "engine.sock"
        self._server = EngineHttp(socket)
        try:
            await self._gang.start(await self._commands(replace(settings, socket=str(socket)), folder))
        except OSError as fault:
            raise EngineFault(f"A rank could not be started: {fault}.", "See the log of its node.") from fault
        while not await self._server.is_there("/facts"):
            if self._gang.has_died:
                raise _fault(await self._gang.died())
            await asyncio.sleep(LOOK_S)

    async def _commands(self, settings: RankSettings, folder: Path) -> list[RankCommand]:
        hosts = self._gang.hosts
        secret = secrets.token_hex(32)
        ports = [(await host.free_ports(2)) for host in hosts]
        wirings = wire([host.address for host in hosts], [one[0] for one in ports], await self._links())
        control = f"{hosts[0].address}:{ports[0][1]}" if len(hosts) > 1 else ""
        settings = replace(settings, num_ranks=len(hosts), control=control, backend=wirings[0].backend)
        each = [replace(settings, rank=rank) for rank in range(len(hosts))]
        each[0] = replace(each[0], model=str(folder))
        return [
            await _command(host, told, wiring, secret)
            for host, told, wiring in zip(hosts, each, wirings, strict=True)
        ]

    async def _links(self) -> Sequence[Links]:
        hosts = self._gang.hosts
        if len(hosts) == 1 or sys.platform != "darwin":
            return [Links()] * len(hosts)
        return await asyncio.gather(*map(mlx_links.ask, hosts))

    async def tails(self) -> str:
        """The last lines of all ranks."""
        tails = [await host.tail() for host in self._gang.hosts]
        return "\n".join(f"[rank {rank}]\n{tail}" for rank, tail in enumerate(tails))

    async def died(self) -> str:
        return await self._gang.died()

    async def stop(self) -> None:
        """Ends all ranks and removes what they were given; in any state, and twice."""
        if self._server is not None:
            await self._server.close()
        await self._gang.stop()
        await asyncio.gather(*(host.close() for host in dict.fromkeys(self._gang.hosts)))
        if self._folder is not None:
            await asyncio.to_thread(folders.remove, self._folder)


async def _command(host: Host, settings: RankSettings, wiring: Wiring, secret: str) -> RankCommand:
    folder = await host.write(wiring.files) if wiring.files else ""
    files = {variable: f"{folder}/{variable}" for variable in wiring.files}
    argv = (sys.executable, "-m", "cluster.deployments.mlx_server", settings.to_argument())
    return RankCommand(argv, {**wiring.env, **files, SECRET_ENV: secret})


def _fault(ended: str) -> EngineFault:
    told = faults.read(ended)
    if told is not None:
        return EngineFault(*told)
    return EngineFault(
        f"MLX could not start: {ended}", "Check that mlx-lm knows the model and that its files are whole."
    )
