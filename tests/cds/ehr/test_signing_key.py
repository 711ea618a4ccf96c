"""Reading the private key that says who we are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc import jwt
from joserfc.jwk import ECKey, OKPKey, RSAKey

from cds.ehr.signing_key import read_signing_key
from cds.errors import SettingsError

RSA = RSAKey.generate_key(2048)
EC = ECKey.generate_key("P-384")
SHORT = generate_private_key(65537, 1024)  # noqa: S505 - the weak key under test


def kept(folder: Path, content: str | dict[str, Any]) -> Path:
    """A file with this key."""
    file = folder / "ehr-key"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return file


def private(key: RSAKey | ECKey | OKPKey, **more: Any) -> dict[str, Any]:
    return {**key.as_dict(private=True), **more}


@pytest.mark.parametrize(("key", "algorithm"), [(RSA, "RS384"), (EC, "ES384")])
def test_a_pem_file_is_read_and_signs_with_what_fits_the_key(
    tmp_path: Path, key: RSAKey | ECKey, algorithm: str
) -> None:
    read = read_signing_key(kept(tmp_path, key.as_pem(private=True).decode()))
    assert (read.algorithm, read.key_id) == (algorithm, key.thumbprint())
    decoded = jwt.decode(read.signed({"iss": "me"}), key, algorithms=[algorithm])
    assert decoded.header == {"alg": algorithm, "kid": read.key_id, "typ": "JWT"}
    assert decoded.claims == {"iss": "me"}


def test_a_jwk_brings_its_own_name_unless_the_settings_give_another(tmp_path: Path) -> None:
    file = kept(tmp_path, private(EC, kid="hospital-1", alg="ES384", use="sig"))
    assert read_signing_key(file).key_id == "hospital-1"
    assert read_signing_key(file, key_id="hospital-2").key_id == "hospital-2"


def test_among_several_keys_the_algorithm_or_the_name_chooses(tmp_path: Path) -> None:
    another = RSAKey.generate_key(2048)
    unusable = private(ECKey.generate_key("P-256"), kid="z")
    keys = [unusable, private(EC, kid="a"), private(RSA, kid="b"), private(another, kid="c")]
    file = kept(tmp_path, {"keys": keys})
    assert read_signing_key(file, algorithm="ES384").key_id == "a"
    assert read_signing_key(file, key_id="c").key.thumbprint() == another.thumbprint()
    for wrong in ({}, {"algorithm": "RS384"}, {"key_id": "d"}, {"key_id": "z"}):
        with pytest.raises(SettingsError, match="key_id names one"):
            read_signing_key(file, **wrong)


ENCRYPTED = EC.as_pem(private=True, password="secret").decode()
UNUSABLE: dict[str, Any] = {
    "no key at all": "hunter2 hunter2",
    "broken JSON": '{"kty": "RSA"',
    "deep JSON": "{" + '"a":{' * 3000,
    "a list of no keys": {"keys": ["RSA", 7, None]},
    "keys that are no list": {"keys": {"kty": "RSA"}},
    "a key without numbers": {"kty": "RSA", "d": "7"},
    "numbers that are none": {**private(EC), "d": "***"},
    "a type that is no text": {"kty": ["EC"], "d": "x"},
    "a shared secret": {"kty": "oct", "k": "aHVudGVyMg"},
    "a public key": EC.as_pem(private=False).decode(),
    "a public JWK": EC.as_dict(private=False),
    "another curve": private(ECKey.generate_key("P-256")),
    "another kind": private(OKPKey.generate_key("Ed25519")),
    "a short key": SHORT.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
    "a key for another algorithm": private(RSA, alg="RS256"),
    "a key for encryption": private(EC, use="enc"),
    "a password": ENCRYPTED,
    "a broken PEM": RSA.as_pem(private=True).decode()[:300],
}


@pytest.mark.parametrize("content", UNUSABLE.values(), ids=list(UNUSABLE))
def test_what_is_no_usable_private_key_is_refused_without_a_word_of_it(tmp_path: Path, content: Any) -> None:
    file = kept(tmp_path, content)
    with pytest.raises(SettingsError, match="'ehr-key' must hold one") as refusal:
        read_signing_key(file)
    assert file.read_text()[8:] not in str(refusal.value)
    assert refusal.value.__context__ is None


def test_a_key_that_cannot_sign_with_the_algorithm_of_the_settings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="must hold one key for RS384:"):
        read_signing_key(kept(tmp_path, private(EC)), algorithm="RS384")


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="'ehr-key' cannot be read"):
        read_signing_key(tmp_path / "ehr-key")


def test_a_key_never_shows_itself(tmp_path: Path) -> None:
    shown = repr(read_signing_key(kept(tmp_path, private(EC))))
    assert str(EC.as_dict(private=True)["d"]) not in shown
    assert "key=" not in shown
