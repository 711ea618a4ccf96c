"""The configuration for nginx: what it lets through, and that it agrees with the service's own limits."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests

from cds.pages.attributes_page import PATH as ATTRIBUTES
from cds.pages.links import LAUNCH_PATH, PATH
from cds.pages.smart.launches import CALLBACK_PATH, PAGE_PATH
from cds.settings import ServiceSettings, read_settings
from cds.web.connections import IDLE_S, ConnectionLimits, answer
from cds.web.limits import FrontLimits
from tests.cds.https_server import self_signed
from tests.servers import CHECKOUT, free_port, left_out, running, wait_for

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

FILE = CHECKOUT / "deploy" / "nginx.conf"
TEXT = FILE.read_text(encoding="utf-8")
AROUND = """\
{user}
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log {folder}/error.log;
events {{}}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/mammotrend.conf;
}}
"""


def value(directive: str) -> str:
    """What a directive is set to; it stands there once."""
    (found,) = re.findall(rf"^ *{directive} +(.+?);", TEXT, re.MULTILINE)
    return str(found)


def number(directive: str) -> float:
    """The seconds of a time."""
    return float(value(directive).removesuffix("s"))


def test_it_calls_the_service_where_it_listens() -> None:
    service = read_settings(CHECKOUT / "deploy" / "mammotrend.toml", environment=False).service

    assert f"server {service.host}:{service.port};" in TEXT
    assert service.public_url == f"https://{value('server_name')}"
    assert ip_address(service.host) in service.trusted_proxies[0]
    assert "proxy_set_header      X-Forwarded-For $remote_addr;" in TEXT


def test_its_limits_leave_the_last_word_to_the_service() -> None:
    assert int(value("client_max_body_size").removesuffix("m")) << 20 >= FrontLimits().largest_request_bytes
    assert number("keepalive_timeout") < IDLE_S
    assert number("client_body_timeout") == ServiceSettings().slow_client_s
    assert number("proxy_read_timeout") >= ConnectionLimits().longest_end_s
    assert value("proxy_next_upstream") == "off"


@contextmanager
def nginx(folder: Path, service_port: int) -> Iterator[str]:
    """nginx with our file, but for its ports, certificates and logs; yields its address."""
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        left_out("nginx is not installed: sudo apt-get install nginx")
    certificate, key = self_signed(folder)
    port = free_port()
    ours = TEXT.replace("/etc/nginx/cds.example.org.pem", str(certificate))
    ours = ours.replace("/etc/nginx/cds.example.org.key", str(key)).replace("/var/log/nginx", str(folder))
    ours = ours.replace("127.0.0.1:8410; #", f"127.0.0.1:{service_port}; #")
    ours = ours.replace("listen 443 ssl", f"listen 127.0.0.1:{port} ssl").replace("    listen [::]:443 ssl;\n", "")
    (folder / "mammotrend.conf").write_text(ours, encoding="utf-8")
    around = folder / "nginx.conf"
    around.write_text(AROUND.format(folder=folder, user="user root;" if os.geteuid() == 0 else ""), encoding="utf-8")
    command = [program, "-e", str(folder / "error.log"), "-c", str(around)]
    subprocess.run([*command, "-t"], check=True, capture_output=True)  # noqa: S603 # our own arguments
    with running(command, folder) as process:
        wait_for(f"https://127.0.0.1:{port}/cds-services", process, folder, verify=str(certificate))
        yield f"https://127.0.0.1:{port}"


@contextmanager
def answering(app: WSGIApplication) -> Iterator[int]:
    """An application behind the service's own connections; yields its port."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as opened:
        port = opened.getsockname()[1]
        thread = threading.Thread(target=answer, args=(app, ConnectionLimits(), [opened], over.is_set))
        thread.start()
        try:
            yield port
        finally:
            over.set()
            thread.join(30)


LET_THROUGH = (
    "/cds-services",
    "/cds-services/breast-risk-patient-view",
    "/cds-services/breast-risk-patient-view/feedback",
    f"{PATH}/a-signed-link",
    LAUNCH_PATH,
    CALLBACK_PATH,
    f"{PAGE_PATH}/a-card",
    ATTRIBUTES,
    f"{ATTRIBUTES}.json",
    "/pages/style.css",
)
FOR_THE_SITE = (
    "/",
    "/metrics",
    "/operations",
    "/operations/",
    "/healthz",
    "/readyz",
)


@pytest.mark.integration
def test_it_lets_hooks_and_pages_through_and_nothing_that_is_for_the_site_alone(tmp_path: Path) -> None:
    asked: list[str] = []
    callers: set[str] = set()

    def service(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        asked.append(environ["PATH_INFO"])
        callers.add(environ.get("HTTP_X_FORWARDED_FOR", ""))
        start_response("200 OK", [("Content-Length", "2"), ("Strict-Transport-Security", "max-age=1")])
        return [b"ok"]

    certificate = str(tmp_path / "certificate.pem")
    with answering(service) as port, nginx(tmp_path, port) as front:
        asked.clear()
        for path in LET_THROUGH:
            forged = {"X-Forwarded-For": "203.0.113.7"}
            url = f"{front}{path}?a=secret-query"
            answered = requests.post(url, b"{}", headers=forged, verify=certificate, timeout=10)
            assert answered.text == "ok"
            assert answered.headers["Strict-Transport-Security"] == "max-age=31536000"
            assert answered.headers["Server"] == "nginx"
        refused = {path: requests.get(f"{front}{path}", verify=certificate, timeout=10) for path in FOR_THE_SITE}

    assert asked == list(LET_THROUGH)
    assert callers == {"127.0.0.1"}
    assert {path: told.text for path, told in refused.items() if told.text == "ok"} == {}
    logged = (tmp_path / "mammotrend.log").read_text()
    assert "breast-risk-patient-view" in logged
    assert "secret-query" not in logged
    assert "a-signed-link" not in logged
