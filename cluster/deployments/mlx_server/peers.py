"""How rank 0 tells the other ranks what to do: a connection each, on which they wait without computing.

Whoever connects is given random bytes and has to answer with their HMAC, so that nobody else on the network
can take a rank's place.  Messages are msgpack lists, `[operations, steps]`, each behind its length (4 bytes).
"""

import hmac
import secrets
import socket
import time
from collections.abc import Sequence
from typing import Any

import msgpack

NONCE_BYTES = 32
PROOF_BYTES = 32
_RETRY_S = 0.05
_MAX_BYTES = 256 * 2**20


class PeersLost(Exception):
    """The ranks did not come together, or one of them is gone."""


class Leader:
    """Rank 0's end; without other ranks it sends nothing."""

    def __init__(self, peers: Sequence[socket.socket] = ()) -> None:
        self._peers = list(peers)

    def send(self, operations: Sequence[Any], *, steps: bool) -> None:
        if not self._peers:
            return
        body = msgpack.packb([operations, steps])
        for peer in self._peers:
            try:
                peer.sendall(len(body).to_bytes(4, "big") + body)
            except OSError as fault:
                raise PeersLost(f"a rank is gone: {fault}") from fault

    def close(self) -> None:
        for peer in self._peers:
            peer.close()


class Follower:
    """Another rank's end."""

    def __init__(self, leader: socket.socket) -> None:
        self._leader = leader

    def receive(self) -> tuple[list[Any], bool]:
        """Waits for rank 0.  Raises PeersLost when it is gone."""
        num_bytes = int.from_bytes(_read(self._leader, 4), "big")
        if num_bytes > _MAX_BYTES:
            raise PeersLost(f"a message of {num_bytes} bytes")
        operations, steps = msgpack.unpackb(_read(self._leader, num_bytes))
        return operations, steps

    def close(self) -> None:
        self._leader.close()


def lead(control: str, secret: str, num_peers: int, timeout_s: float) -> Leader:
    """Waits until `num_peers` ranks have connected to `control`.  Raises PeersLost where they do not."""
    until = time.monotonic() + timeout_s
    peers: list[socket.socket] = []
    with socket.create_server(_address(control)) as server:
        while len(peers) < num_peers:
            server.settimeout(max(until - time.monotonic(), 0.001))
            try:
                peer, _ = server.accept()
            except TimeoutError as fault:
                raise PeersLost(
                    f"{len(peers)} of {num_peers} other ranks came in {timeout_s:.0f} s"
                ) from fault
            if _is_ours(peer, secret):
                peers.append(_ready(peer))
            else:
                peer.close()
    return Leader(peers)


def follow(control: str, secret: str, timeout_s: float) -> Follower:
    """Connects to rank 0, which may start later.  Raises PeersLost where it does not answer."""
    until = time.monotonic() + timeout_s
    while True:
        leader = None
        try:
            leader = socket.create_connection(_address(control), timeout=5.0)
            leader.sendall(_proof(secret, _read(leader, NONCE_BYTES)))
            return Follower(_ready(leader))
        except (OSError, PeersLost) as fault:
            if leader is not None:
                leader.close()
            if time.monotonic() > until:
                raise PeersLost(f"rank 0 does not answer at {control}: {fault}") from fault
            time.sleep(_RETRY_S)


def _is_ours(peer: socket.socket, secret: str) -> bool:
    nonce = secrets.token_bytes(NONCE_BYTES)
    peer.settimeout(5.0)
    try:
        peer.sendall(nonce)
        return hmac.compare_digest(_read(peer, PROOF_BYTES), _proof(secret, nonce))
    except (OSError, PeersLost):
        return False


def _proof(secret: str, nonce: bytes) -> bytes:
    return hmac.digest(secret.encode(), nonce, "sha256")


def _ready(connection: socket.socket) -> socket.socket:
    connection.settimeout(None)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    return connection


def _address(control: str) -> tuple[str, int]:
    host, _, port = control.rpartition(":")
    return host, int(port)


def _read(connection: socket.socket, num_bytes: int) -> bytes:
    data = b""
    while len(data) < num_bytes:
        piece = connection.recv(num_bytes - len(data))
        if not piece:
            raise PeersLost("the connection was closed")
        data += piece
    return data
