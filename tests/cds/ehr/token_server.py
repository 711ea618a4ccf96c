"""An EHR with a SMART Backend Services token endpoint that checks what it is sent, for the tests."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from flask import Flask, Response, jsonify, request
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet, RSAKey

from cds.ehr.backend_token import ASSERTION_TYPE

NOW = datetime(2026, 1, 5, 23, 30, tzinfo=UTC)
CLIENT = "mammotrend"


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        """The moment it stands at."""
        return self.now


class TokenServer:
    """Gives out `token-1`, `token-2`, ... for assertions that the standard allows, and each `jti` once only.

    `prefix` is what its tokens begin with in place of `token`.
    """

    def __init__(self, keys: Sequence[RSAKey | ECKey], clock: Callable[[], datetime] = lambda: NOW) -> None:
        self.keys = KeySet([type(key).import_key(key.as_dict(private=False)) for key in keys])
        self.clock = clock
        self.prefix = "token"
        self.expires_in: object = 300
        self.forms: list[dict[str, str]] = []
        self.headers: list[dict[str, Any]] = []
        self.claims: list[dict[str, Any]] = []
        self._lock = threading.Lock()

    def app(self, prefix: str = "") -> Flask:
        """The WSGI app: discovery below `/fhir`, the token endpoint at `/token`."""
        app = Flask("token server")
        app.add_url_rule(f"{prefix}/fhir/.well-known/smart-configuration", view_func=self.discovery)
        app.add_url_rule(f"{prefix}/token", view_func=self.token, methods=["POST"])
        return app

    def discovery(self) -> Response:
        """What SMART App Launch, section Conformance, has a server tell."""
        return jsonify({"token_endpoint": f"{request.root_url}token"})

    def token(self) -> tuple[Response, int]:
        """A token, or an error of RFC 6749, section 5.2."""
        form = request.form.to_dict()
        with self._lock:
            self.forms.append(form)
            problem = self._problem(form)
            if problem is not None:
                description = f"no: {form.get('client_assertion')}"
                return jsonify({"error": problem, "error_description": description}), 400
            number = len(self.claims)
        answer = {"access_token": f"{self.prefix}-{number}", "token_type": "Bearer", "expires_in": self.expires_in}
        return jsonify({**answer, "scope": form["scope"]}), 200

    def _problem(self, form: dict[str, str]) -> str | None:
        if form["grant_type"] != "client_credentials" or form["client_assertion_type"] != ASSERTION_TYPE:
            return "invalid_request"
        if "nothing" in form["scope"]:
            return "invalid_scope"
        try:
            assertion = jwt.decode(form["client_assertion"], self.keys, algorithms=["RS384", "ES384"])
        except (JoseError, ValueError):
            return "invalid_client"
        claims, seconds = assertion.claims, self.clock().timestamp()
        wanted = {"iss": CLIENT, "sub": CLIENT, "aud": request.base_url}
        fresh = seconds < claims["exp"] <= seconds + 300 and claims["jti"] not in [one["jti"] for one in self.claims]
        if not fresh or {name: claims.get(name) for name in wanted} != wanted:
            return "invalid_client"
        self.claims.append(claims)
        self.headers.append(assertion.header)
        return None
