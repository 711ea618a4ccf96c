"""Which keys of a JWK Set are taken, and what is no JWK Set."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import ECKey, OctKey, OKPKey

from cds.trust.key_set import public_keys
from tests.cds.trust.callers import EC, RSA, public, without, written

EC_JWK: dict[str, Any] = EC.as_dict(private=False)
RSA_JWK: dict[str, Any] = RSA.as_dict(private=False)
# A modulus of 1024 bits with the top one set; whether two primes make it, nobody asks.
SHORT = {"kty": "RSA", "kid": "short", "e": "AQAB", "n": "-" + "A" * 169 + "Q"}


def taken(*jwks: Any) -> set[str]:
    """The `kid` of what is taken beside a good key that must not suffer from it."""
    other = ECKey.generate_key("P-256", {"kid": "good"}).as_dict(private=False)
    found = set(public_keys(written({"keys": [*jwks, other]})))
    assert "good" in found
    return found - {"good"}


def test_ec_and_rsa_keys_are_taken_by_their_kid_without_a_private_half() -> None:
    found = public_keys(written(public(EC, RSA)))

    assert found.keys() == {"ec-1", "rsa-1"}
    assert not any(key.is_private for key in found.values())


@pytest.mark.parametrize(
    "more",
    [
        {"use": "sig"},
        {"key_ops": ["verify"]},
        {"use": "sig", "key_ops": ["verify", "sign"], "alg": "ES384"},
        {"x5c": "not a list", "x5u": 5, "vendor": {}},
    ],
)
def test_what_vendors_add_to_a_key_does_not_matter(more: dict[str, Any]) -> None:
    assert taken({**EC_JWK, **more}) == {"ec-1"}


@pytest.mark.parametrize(
    "jwk",
    [
        {**EC_JWK, "use": "enc"},
        {**EC_JWK, "use": None},
        {**EC_JWK, "key_ops": ["encrypt"]},
        {**EC_JWK, "key_ops": "verify"},
        {**EC_JWK, "key_ops": []},
        {**EC_JWK, "alg": 5},
        {**EC_JWK, "kid": ""},
        {**EC_JWK, "kid": 5},
        {**EC_JWK, "kid": None},
        {**EC_JWK, "kty": "oct"},
        {**EC_JWK, "kty": ["EC"]},
        {**EC_JWK, "crv": "P-999"},
        {**EC_JWK, "x": EC_JWK["y"]},
        {**EC_JWK, "x": 5},
        {**RSA_JWK, "e": "AQ"},
        {**RSA_JWK, "n": "?"},
        {**RSA_JWK, "n": "\u00e9"},
        {**RSA_JWK, "n": 5},
        {**RSA_JWK, "n": RSA_JWK["n"][:340]},
        SHORT,
        without(EC_JWK, ["kty"]),
        without(RSA_JWK, ["n"]),
        EC.as_dict(private=True),
        RSA.as_dict(private=True),
        OctKey.generate_key(256, {"kid": "shared"}).as_dict(private=True),
        OKPKey.generate_key("Ed25519", {"kid": "okp"}).as_dict(private=False),
        {},
        None,
        "key",
        [EC_JWK],
    ],
)
def test_what_no_signature_may_be_held_against_is_left_out(jwk: Any) -> None:
    assert taken(jwk) == set()


def test_a_key_without_a_name_goes_by_its_thumbprint() -> None:
    assert taken(without(EC_JWK, ["kid"])) == {EC.thumbprint()}
    assert taken(without(EC_JWK, ["kid"]), without(EC_JWK, ["kid"])) == set()


def test_a_kid_of_two_keys_is_left_out_because_either_could_be_meant() -> None:
    assert taken(EC_JWK, {**RSA_JWK, "kid": "ec-1"}) == set()
    assert taken(EC_JWK, EC_JWK) == set()
    assert taken(EC_JWK, {**RSA_JWK, "kid": "ec-1", "use": "enc"}) == {"ec-1"}


def test_a_set_without_keys_is_one() -> None:
    assert public_keys(b'{"keys": []}') == {}


@pytest.mark.parametrize(
    "content",
    [b"", b"x", b"\xff", b"[]", b"5", b"{}", b'{"keys": {}}', b'{"keys": null}', written(EC_JWK), b"[" * 100_000],
)
def test_what_is_no_key_set_is_told_from_an_empty_one(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        public_keys(content)


MEMBERS = ("kty", "kid", "use", "alg", "key_ops", "crv", "x", "y", "n", "e", "d")
VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text(), max_size=2)


@given(base=st.sampled_from([EC_JWK, RSA_JWK]), changes=st.dictionaries(st.sampled_from(MEMBERS), VALUES))
def test_no_key_crashes_the_reading_of_its_set(base: dict[str, Any], changes: dict[str, Any]) -> None:
    assert len(taken({**base, **changes})) <= 1
