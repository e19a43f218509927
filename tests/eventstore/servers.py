"""Real nats-servers for tests that need to kill them: one node, or three in a cluster."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sysconfig
import tempfile
import time
from pathlib import Path

from eventstore.connection import connect_to
from eventstore.errors import LogUnavailable
from eventstore.streams import ask

PROGRAM = Path(sysconfig.get_path("scripts")) / "nats-server"


class Node:
    """One nats-server process with a directory and ports that outlive it."""

    def __init__(self, name: str, home: Path, port: int, cluster: str = "", limits: str = "") -> None:
        self.name = name
        self.url = f"nats://127.0.0.1:{port}"
        self._port = port
        self._log = home / f"{name}.log"
        self._config = home / f"{name}.conf"
        self._config.write_text(
            f'server_name: {name}\nlisten: "127.0.0.1:{port}"\n'
            f'jetstream {{ store_dir: "{home / name}", sync_interval: always, {limits} }}\n{cluster}'
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([PROGRAM, "-c", self._config], stderr=log)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                with socket.create_connection(("127.0.0.1", self._port), timeout=1):
                    return
            except OSError:
                time.sleep(0.02)
        raise AssertionError(f"{self.name} does not start: {self._log.read_text()}")

    def kill(self) -> None:
        """As a power cut would: no goodbye."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait()


class Servers:
    """One node, or a cluster whose streams have a replica on each of its nodes."""

    def __init__(self, replicas: int) -> None:
        self.replicas = replicas
        self._home = Path(tempfile.mkdtemp(prefix="nats"))
        ports = free_ports(2 * replicas)
        routes = ", ".join(f'"nats-route://127.0.0.1:{port}"' for port in ports[replicas:])
        self.nodes = [
            Node(f"n{number}", self._home, ports[number], _cluster(ports[replicas + number], routes, replicas))
            for number in range(replicas)
        ]

    @property
    def url(self) -> str:
        return ",".join(node.url for node in self.nodes)

    def start(self) -> None:
        for node in self.nodes:
            node.start()

    def stop(self) -> None:
        for node in self.nodes:
            node.stop()
        shutil.rmtree(self._home)

    async def leader_of(self, stream: str) -> Node:
        """Waits out an election."""
        connection = await connect_to(self.url)
        try:
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline:
                try:
                    info = await ask(connection, f"STREAM.INFO.{stream}", timeout=1.0)
                except LogUnavailable:
                    continue
                leader = info.get("cluster", {}).get("leader", self.nodes[0].name)
                return next(node for node in self.nodes if node.name == leader)
            raise AssertionError(f"{stream} has no leader")
        finally:
            await connection.close()

    async def ready(self) -> None:
        """Until streams can be created."""
        connection = await connect_to(self.url)
        try:
            deadline = time.monotonic() + 30
            while time.monotonic() < deadline:
                try:
                    if "error" not in await ask(connection, "INFO", timeout=0.5):
                        return
                except LogUnavailable:
                    continue
            raise AssertionError("the cluster finds no leader")
        finally:
            await connection.close()


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _cluster(port: int, routes: str, replicas: int) -> str:
    if replicas == 1:
        return ""
    return f'cluster {{ name: c, listen: "127.0.0.1:{port}", routes: [{routes}] }}\n'
