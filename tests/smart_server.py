"""An EHR with a SMART authorization server that is as strict as a good one, for launches in the tests."""

from __future__ import annotations

import base64
import hashlib
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from flask import Flask, Response, jsonify, redirect, request
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey
from markupsafe import escape

CODE_S = 60
SCOPES = frozenset({"launch", "openid", "fhirUser", "patient/Patient.r"})
USER = "Practitioner/dr1"

Json = dict[str, Any]


@dataclass
class Client:
    """An app as it is registered; without a secret it is a public one."""

    client_id: str
    redirect_uri: str
    secret: str | None = None


@dataclass(frozen=True)
class _Asked:
    """One request for authorization, from the launch that it names to the code that is given for it."""

    context: Json
    redirect_uri: str
    state: str
    nonce: str
    challenge: str
    scope: str
    at: datetime = field(repr=False)


class SmartServer:
    """Launches, asks the clinician, gives one code for one token, and lets that token read its own patient.

    What a test wants different is set: `configuration`, `context` and `claims` go over what it would say, `key` over
    the key it signs with.
    """

    def __init__(self, address: str, clock: Callable[[], datetime], patients: dict[str, Json]) -> None:
        self.address, self.fhir = address, f"{address}/fhir"
        self.clock, self.patients = clock, patients
        self.client: Client | None = None
        self.published: RSAKey | ECKey = ECKey.generate_key("P-256", {"kid": "k1", "use": "sig", "alg": "ES256"})
        self.key: Any = self.published
        self.header: Json = {"alg": "ES256", "kid": "k1"}
        self.configuration: Json = {}
        self.context: Json = {}
        self.claims: Json = {}
        self.forms: list[dict[str, str]] = []
        self.read: list[str] = []
        self._lock = threading.Lock()
        self._launches: dict[str, Json] = {}
        self._asked: dict[str, _Asked] = {}
        self._codes: dict[str, _Asked] = {}
        self._tokens: dict[str, str] = {}

    def launch(self, launch_url: str, patient_id: str, app_context: object = None) -> str:
        """The address by which this EHR opens an app for a patient, as from the link of a card."""
        launch, context = secrets.token_urlsafe(8), {"patient": patient_id, "need_patient_banner": True}
        self._launches[launch] = context | ({} if app_context is None else {"appContext": app_context})
        return f"{launch_url}?{urlencode({'iss': self.fhir, 'launch': launch})}"

    def app(self) -> Flask:
        """The WSGI app."""
        app = Flask("smart server", static_folder=None)
        app.add_url_rule("/fhir/.well-known/smart-configuration", view_func=self._configuration)
        app.add_url_rule("/authorize", view_func=self._authorize)
        app.add_url_rule("/decide", view_func=self._decide, methods=["POST"])
        app.add_url_rule("/token", view_func=self._token, methods=["POST"])
        app.add_url_rule("/keys", view_func=self._keys)
        app.add_url_rule("/fhir/Patient/<patient_id>", view_func=self._patient)
        return app

    def _configuration(self) -> Response:
        told = {
            "issuer": self.address,
            "jwks_uri": f"{self.address}/keys",
            "authorization_endpoint": f"{self.address}/authorize",
            "token_endpoint": f"{self.address}/token",
            "grant_types_supported": ["authorization_code"],
            "capabilities": ["launch-ehr", "client-public", "client-confidential-symmetric", "sso-openid-connect"],
            "code_challenge_methods_supported": ["S256"],
        }
        return jsonify({name: value for name, value in (told | self.configuration).items() if value is not None})

    def _keys(self) -> Response:
        return jsonify({"keys": [self.published.as_dict(private=False)]})

    def _authorize(self) -> Any:
        asked, client = request.args, self.client
        if client is None or (asked.get("client_id"), asked.get("redirect_uri")) != (
            client.client_id,
            client.redirect_uri,
        ):
            return "unknown client or redirect_uri", 400  # never redirect to where nobody is registered
        with self._lock:
            context = self._launches.pop(asked.get("launch", ""), None)
        problem = self._problem(asked, context)
        if problem or context is None:
            return redirect(f"{client.redirect_uri}?{urlencode({'error': problem, 'state': asked.get('state', '')})}")
        number = secrets.token_urlsafe(8)
        self._asked[number] = _Asked(
            context,
            client.redirect_uri,
            asked["state"],
            asked["nonce"],
            asked["code_challenge"],
            asked["scope"],
            self.clock(),
        )
        buttons = "".join(f'<button name="answer" value="{word}">{word}</button>' for word in ("Allow", "Deny"))
        head = '<!doctype html><html lang=en><title>EHR</title><link rel=icon href="data:,">'
        return f'{head}<form method="post" action="/decide?of={escape(number)}">{buttons}</form>'

    def _problem(self, asked: Any, context: Json | None) -> str:
        if context is None or asked.get("aud") != self.fhir or len(asked.get("state", "")) < 22:
            return "invalid_request"
        if asked.get("response_type") != "code" or not asked.get("nonce"):
            return "invalid_request"
        if asked.get("code_challenge_method") != "S256" or len(asked.get("code_challenge", "")) != 43:
            return "invalid_request"
        return "" if set(asked.get("scope", "").split()) <= SCOPES else "invalid_scope"

    def _decide(self) -> Any:
        asked = self._asked.pop(request.args["of"])
        if request.form["answer"] == "Deny":
            answer = {"error": "access_denied", "error_description": f"no: {asked.context['patient']}"}
        else:
            code = secrets.token_urlsafe(16)
            self._codes[code] = asked
            answer = {"code": code}
        return redirect(f"{asked.redirect_uri}?{urlencode({**answer, 'state': asked.state})}")

    def _token(self) -> Any:
        form = request.form.to_dict()
        with self._lock:
            self.forms.append(form)
            asked = self._codes.pop(form.get("code", ""), None)  # once, whether or not the rest is right
        client = self.client
        if client is None or not self._is_client(client, form):
            return jsonify({"error": "invalid_client"}), 401
        if asked is None or not self._is_its_own(asked, form):
            return jsonify({"error": "invalid_grant", "error_description": f"no: {form.get('code')}"}), 400
        access = secrets.token_urlsafe(16)
        self._tokens[access] = asked.context["patient"]
        answer = {
            "access_token": access,
            "token_type": "Bearer",
            "expires_in": 300,
            "scope": asked.scope,
            "id_token": self._id_token(asked, client),
            **asked.context,
        }
        return jsonify({name: value for name, value in (answer | self.context).items() if value is not None})

    def _is_client(self, client: Client, form: dict[str, str]) -> bool:
        if client.secret is None:
            return form.get("client_id") == client.client_id and request.authorization is None
        given = request.authorization
        return given is not None and (given.username, given.password) == (client.client_id, client.secret)

    def _is_its_own(self, asked: _Asked, form: dict[str, str]) -> bool:
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        is_fresh = (self.clock() - asked.at).total_seconds() <= CODE_S
        is_proved = base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == asked.challenge
        is_asked = (form.get("grant_type"), form.get("redirect_uri")) == ("authorization_code", asked.redirect_uri)
        return is_fresh and is_proved and is_asked

    def _id_token(self, asked: _Asked, client: Client) -> str:
        now = int(self.clock().timestamp())
        who = {"iss": self.address, "sub": "a-user", "aud": client.client_id, "fhirUser": f"{self.fhir}/{USER}"}
        claims = {**who, "iat": now, "exp": now + 300, "nonce": asked.nonce} | self.claims
        told = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(self.header, told, self.key, algorithms=[self.header["alg"]])

    def _patient(self, patient_id: str) -> Any:
        self.read.append(patient_id)
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or self._tokens.get(token) != patient_id or patient_id not in self.patients:
            return jsonify({"resourceType": "OperationOutcome"}), 403
        return jsonify(self.patients[patient_id])
