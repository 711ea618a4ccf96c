"""Real servers that nobody here wrote, on loopback, each with its own temporary folder."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest
import requests

READY_S = 30.0
STOP_S = 15.0
CHECKOUT = Path(__file__).parent.parent
ORTHANC_PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")


@dataclass(frozen=True)
class OrthancServer:
    """A running Orthanc: `url` is its own REST interface, `dicomweb` the DICOMweb root."""

    url: str
    username: str = "cds"
    password: str = "cds-secret"

    @property
    def dicomweb(self) -> str:
        return f"{self.url}/dicom-web"


@dataclass(frozen=True)
class SekmetServer:
    """A running sekmet-fhir: `url` is the FHIR base, `token` the bearer token it demands."""

    url: str
    token: str = "sekmet-token"


@contextmanager
def orthanc() -> Iterator[OrthancServer]:
    """An empty Orthanc with its DICOMweb plugin and basic authentication."""
    executable = shutil.which("Orthanc", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if executable is None or not ORTHANC_PLUGIN.exists():
        left_out("Orthanc is not installed: sudo apt-get install orthanc orthanc-dicomweb")
    server = OrthancServer(f"http://127.0.0.1:{free_port()}")
    with temporary_folder() as folder:
        configuration = folder / "orthanc.json"
        configuration.write_text(json.dumps(_orthanc_configuration(server, folder)))
        with running([*unprivileged(folder), executable, str(configuration)], folder) as process:
            wait_for(f"{server.url}/system", process, folder, auth=(server.username, server.password))
            yield server


@contextmanager
def sekmet(smart_clients: Sequence[dict[str, object]] = (), token_lifetime_s: int = 300) -> Iterator[SekmetServer]:
    """An empty sekmet-fhir that demands a bearer token and starts no simulated hospital.

    Beside its own token it takes those that it gives to `smart_clients` (SMART Backend Services).
    """
    # Absolute, because the server runs in a folder of its own.
    executable = Path(os.environ.get("SEKMET", CHECKOUT / ".venv-sekmet" / "bin" / "sekmet")).absolute()
    if not executable.exists():
        install = "python3 -m venv .venv-sekmet && .venv-sekmet/bin/pip install sekmet-fhir==0.1.1"
        left_out(f"sekmet-fhir is not installed: {install}")
    server = SekmetServer(f"http://127.0.0.1:{free_port()}/fhir")
    auth = {
        "types": ["bearer", "smart"],
        "tokens": [server.token],
        "smart_clients": list(smart_clients),
        "token_lifetime": token_lifetime_s,
    }
    with temporary_folder() as folder:
        settings = folder / "settings.yaml"
        # Every JSON document is YAML, too.
        settings.write_text(json.dumps(_sekmet_settings(server, folder) | {"server_auth": auth}))
        with running([str(executable), "serve", "-c", str(settings)], folder) as process:
            wait_for(f"{server.url}/metadata", process, folder)
            yield server


def _orthanc_configuration(server: OrthancServer, folder: Path) -> dict[str, object]:
    return {
        "Name": "TEST",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "index"),
        "Plugins": [str(ORTHANC_PLUGIN)],
        "HttpServerEnabled": True,
        "HttpPort": int(server.url.rpartition(":")[2]),
        # Orthanc 1.10 listens on every interface whatever the configuration says; this is what keeps others out.
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": True,
        "RegisteredUsers": {server.username: server.password},
        "DicomServerEnabled": False,
        "StorageCompression": False,
        "OverwriteInstances": True,
        "DicomWeb": {
            "Enable": True,
            "Root": "/dicom-web/",
            "EnableWado": True,
            "StudiesMetadata": "Full",
            "SeriesMetadata": "Full",
        },
    }


def _sekmet_settings(server: SekmetServer, folder: Path) -> dict[str, object]:
    return {
        "base_url": server.url,
        "host": "127.0.0.1",
        "port": int(server.url.removesuffix("/fhir").rpartition(":")[2]),
        "data_dir": str(folder / "data"),
        "simulator": {"enabled": False},
    }


def left_out(reason: str) -> NoReturn:
    """Skip what needs a part that is not installed; fail where CI forbids left-out tests."""
    if os.environ.get("REQUIRE_INTEGRATION") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def free_port() -> int:
    """A port of loopback that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder for one server, gone with it."""
    with tempfile.TemporaryDirectory(prefix="mammotrend-") as name:
        yield Path(name)


def unprivileged(folder: Path) -> list[str]:
    """What to put before a command so that it does not run as root, with `folder` handed to that user."""
    if os.geteuid() != 0:
        return []
    shutil.chown(folder, "nobody", "nogroup")
    return ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]


@contextmanager
def running(
    command: Sequence[str], folder: Path, stop: signal.Signals = signal.SIGTERM
) -> Iterator[subprocess.Popen[bytes]]:
    """A process while the block runs, its output in `server.log`; ended by the signal `stop`."""
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)  # noqa: S603 - our own arguments
        try:
            yield process
        finally:
            _end(process, stop)


def _end(process: subprocess.Popen[bytes], stop: signal.Signals) -> None:
    process.send_signal(stop)
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def wait_for(
    url: str,
    process: subprocess.Popen[bytes],
    folder: Path,
    auth: tuple[str, str] | None = None,
    verify: bool | str = True,
) -> None:
    """Return once a server answers there; fails where it ends or takes too long."""
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if requests.get(url, auth=auth, verify=verify, timeout=2).ok:
                return
        except (requests.ConnectionError, requests.Timeout):
            pass
        time.sleep(0.05)
    pytest.fail(f"{process.args!r} did not start: {(folder / 'server.log').read_text(errors='replace')[-2000:]}")
