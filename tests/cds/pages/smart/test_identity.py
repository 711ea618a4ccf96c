"""An id_token: the EHR's own signature, for us, for this launch, in its time; and a user whom it names."""

from __future__ import annotations

from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

from cds.errors import LaunchRefused
from cds.pages.smart.identity import Expected, fhir_user
from cds.trust.key_set import PublicKey, public_keys
from tests.cds.builders import NOW
from tests.cds.trust.callers import without, written

EC, RSA = ECKey.generate_key("P-256", {"kid": "k1"}), RSAKey.generate_key(2048, {"kid": "k2"})
KEYS: dict[str, PublicKey] = {"k1": EC, "k2": RSA}
EXPECTED = Expected("https://ehr.example", "page", "a-nonce", NOW, 60.0)
CLAIMS = {
    "iss": "https://ehr.example",
    "aud": "page",
    "nonce": "a-nonce",
    "exp": NOW.timestamp() + 300,
    "fhirUser": "https://ehr.example/r4/Practitioner/dr1",
}
UNSIGNED = "its signature is not of a key that it publishes"


def signed(alg: str = "ES256", key: Any = EC, kid: str | None = "k1", **claims: Any) -> str:
    told = {name: value for name, value in (CLAIMS | claims).items() if value is not None}
    header = {"alg": alg} | ({} if kid is None else {"kid": kid})
    return jwt.encode(header, told, key, algorithms=[alg])


def refusal(token: object, keys: dict[str, PublicKey] = KEYS) -> str:
    with pytest.raises(LaunchRefused) as caught:
        fhir_user(token, keys, EXPECTED)
    return str(caught.value)


@pytest.mark.parametrize(
    ("token", "user"),
    [
        (signed(), "Practitioner/dr1"),
        (signed("RS256", RSA, "k2"), "Practitioner/dr1"),
        (signed(fhirUser="PractitionerRole/r1"), "PractitionerRole/r1"),
        (signed(aud=["page"]), "Practitioner/dr1"),
        (signed(aud=["page", "other"], azp="page"), "Practitioner/dr1"),
        (signed(exp=NOW.timestamp() - 59), "Practitioner/dr1"),
        (signed(exp=10**400), "Practitioner/dr1"),
    ],
)
def test_a_good_one_tells_the_user(token: str, user: str) -> None:
    assert fhir_user(token, KEYS, EXPECTED) == user


def test_without_a_kid_the_only_key_is_meant() -> None:
    assert fhir_user(signed(kid=None), {"k1": EC}, EXPECTED) == "Practitioner/dr1"
    nameless = public_keys(written({"keys": [without(EC.as_dict(private=False), ["kid"])]}))
    assert fhir_user(signed(kid=None), nameless, EXPECTED) == "Practitioner/dr1"
    assert UNSIGNED in refusal(signed(kid=None))
    assert UNSIGNED in refusal(signed(), {})


@pytest.mark.parametrize(
    "token",
    [
        signed(key=ECKey.generate_key("P-256")),
        signed(kid="k3"),
        signed(kid="k2"),
        signed("HS256", OctKey.import_key(str(RSA.as_dict(private=False)["n"])), "k2"),
        signed("HS256", OctKey.import_key("page-and-as-many-characters-as-it-takes"), None),
        signed().rpartition(".")[0] + ".",
    ],
)
def test_one_that_no_published_key_has_signed_is_refused(token: str) -> None:
    assert UNSIGNED in refusal(token)


def test_a_key_that_is_for_another_algorithm_is_not_used() -> None:
    key = RSAKey.import_key(RSA.as_dict(private=False) | {"alg": "RS512"})

    assert UNSIGNED in refusal(signed("RS256", RSA, "k2"), {"k2": key})


def test_an_algorithm_that_is_not_agreed_is_refused_though_a_published_key_has_signed() -> None:
    key = ECKey.generate_key("secp256k1", {"kid": "k3"})

    assert UNSIGNED in refusal(signed("ES256K", key, "k3"), {"k3": key})


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"iss": "https://evil.example"}, "of another issuer"),
        ({"iss": None}, "of another issuer"),
        ({"aud": "another"}, "for another client"),
        ({"aud": None}, "for another client"),
        ({"aud": ["page", "other"], "azp": "other"}, "for another client"),
        ({"aud": ["page", "other"]}, "for several clients"),
        ({"nonce": "another"}, "of another launch"),
        ({"nonce": None}, "of another launch"),
        ({"exp": NOW.timestamp() - 60}, "its time is over"),
        ({"exp": None}, "its time is over"),
        ({"exp": "2030"}, "its time is over"),
        ({"exp": True}, "its time is over"),
        ({"fhirUser": None}, "did not say who is looking"),
        ({"fhirUser": "Device/1"}, "did not say who is looking"),
        ({"fhirUser": "Patient/p1"}, "did not say who is looking"),
        ({"fhirUser": ["Practitioner/1"]}, "did not say who is looking"),
    ],
)
def test_one_that_says_anything_else_than_it_should_is_refused(claims: dict[str, Any], said: str) -> None:
    assert said in refusal(signed(**claims))


@pytest.mark.parametrize("token", [None, "", 7, "a.b.c", "x" * 10_000, {"a": 1}])
def test_what_is_no_token_is_refused_and_not_repeated(token: object) -> None:
    assert "no id_token that can be read" in refusal(token)
