"""The node's agent tells every router what the node is, and goes on when a router goes away."""

from pathlib import Path

from actors.node import NodeAgent
from cluster.core.events import NodeReport, NodeUp
from cluster.core.ids import Cause, NodeId
from cluster.core.memory.usable import NodeMemory
from cluster.inventory.node import node_id
from tests.support.routers import ListeningRouter

CAUSE = Cause("test")
UP, REPORT = NodeUp(NodeId("n"), 32, CAUSE), NodeReport(NodeId("n"), 8, CAUSE)


def _agent(router: ListeningRouter) -> NodeAgent:
    return NodeAgent(NodeId("n"), router, lambda: NodeMemory(32, 8))


async def test_the_first_report_says_that_the_node_is_there() -> None:
    router = ListeningRouter()
    agent = _agent(router)
    await agent.report(CAUSE)
    await agent.report(CAUSE)
    assert router.events == [UP, REPORT, REPORT]


async def test_a_new_router_is_told_again() -> None:
    router = ListeningRouter()
    agent = _agent(router)
    await agent.report(CAUSE)
    router.epoch, router.events = 2, []
    await agent.report(CAUSE)
    assert router.events == [REPORT, UP, REPORT]


async def test_a_router_that_was_away_is_told_when_it_is_back() -> None:
    router = ListeningRouter()
    agent = _agent(router)
    router.is_away = True
    await agent.report(CAUSE)
    assert router.events == []
    router.is_away = False
    await agent.report(CAUSE)
    assert router.events == [UP, REPORT]


def test_a_node_keeps_its_name(tmp_path: Path) -> None:
    name = node_id(tmp_path / "home")
    assert node_id(tmp_path / "home") == name
    assert node_id(tmp_path / "other") != name
