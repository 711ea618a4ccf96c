"""Whose call it is: good tokens, and every way in which one is not good enough."""

# ruff: noqa: N802 - the checklist's ids are written in capitals

from __future__ import annotations

import base64
import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from joserfc.jwk import ECKey, OctKey, RSAKey

from cds.errors import CallerKeysUnread, CallerNotTrusted, Distrust, SettingsError
from cds.trust.clients import Client, ClientTrust, VerifiedCall
from tests.cds.builders import EHR, NOW
from tests.cds.trust.callers import (
    AUDIENCE,
    EC,
    ISSUER,
    LEFT_OUT,
    RSA,
    Remembered,
    bearer,
    call,
    claims,
    client,
    header,
    keys,
    signed,
)

OTHER_EC = ECKey.generate_key("P-384", {"kid": "ec-1"})
P256 = ECKey.generate_key("P-256", {"kid": "p256"})
NOW_S = int(NOW.timestamp())


def trust(*clients: Client, seen: Remembered | None = None) -> ClientTrust:
    """Trust in these EHRs, or in the usual one."""
    return ClientTrust(clients or (client(),), seen or Remembered())


def refusal(authorization: str | None, *clients: Client, at: datetime = NOW) -> Distrust:
    """Why a call is refused; nothing is remembered of it, and its token is not repeated."""
    seen = Remembered()
    with pytest.raises(CallerNotTrusted) as caught:
        trust(*clients, seen=seen).verify(authorization, AUDIENCE, at)
    assert seen.tokens == {}
    assert str(caught.value) == f"the caller is not trusted: {caught.value.reason}"
    assert caught.value.issuer in {None, *(one.issuer for one in clients or (client(),))}
    return caught.value.reason


# Good tokens


@pytest.mark.parametrize(("key", "algorithm"), [(EC, "ES384"), (RSA, "RS384")])
def test_a_call_belongs_to_the_ehr_whose_key_signed_its_token(key: ECKey | RSAKey, algorithm: str) -> None:
    token = signed(header(alg=algorithm, kid=key.kid), claims(sub="app", tenant="north"), key, algorithm)

    verified = trust().verify(bearer(token), AUDIENCE, NOW)
    until = datetime.fromtimestamp(NOW_S + 300 + 60, UTC)
    assert verified == VerifiedCall(EHR, ISSUER, "token-1", until, "app", "north")


@pytest.mark.parametrize(
    "authorization",
    [
        call(aud=[AUDIENCE]),
        call(aud=["https://other.example", 5, AUDIENCE]),
        call(aud=f"{AUDIENCE}/"),
        call(nbf=NOW_S - 300, exp=NOW_S + 900.5),
        call(anything={"a": ["vendor", "adds"]}),
        call(jti="x" * 255),
        bearer(signed(header(typ="jwt", cty="x", vendor=1, x5t="abc"), claims())),
        bearer(signed(header(jku="https://ehr.example/" + "long/" * 200), claims())),
        f"bearer {signed(header(), claims())}",
    ],
)
def test_what_the_standard_leaves_open_is_tolerated(authorization: str) -> None:
    assert trust().verify(authorization, AUDIENCE, NOW).ehr == EHR


def test_a_slash_at_the_end_of_the_called_address_makes_no_difference() -> None:
    assert trust().verify(call(), f"{AUDIENCE}/", NOW)


@pytest.mark.parametrize(("algorithm", "key"), [("ES256", P256), ("RS256", RSA), ("PS256", RSA)])
def test_an_algorithm_is_taken_only_where_the_site_has_named_it(algorithm: str, key: ECKey | RSAKey) -> None:
    token = bearer(signed(header(alg=algorithm, kid=key.kid), claims(), key, algorithm))

    assert refusal(token, client(keys=keys(P256, RSA))) is Distrust.ALGORITHM
    assert trust(client(keys=keys(P256, RSA), algorithms=(algorithm,))).verify(token, AUDIENCE, NOW)


# What is no token


@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Bearer ", "Basic dXNlcjpwYXNz", "Token abc"])
def test_a_call_without_a_bearer_token_is_refused(authorization: str | None) -> None:
    assert refusal(authorization) is Distrust.MISSING


GOOD = signed(header(), claims())
HEAD, PAYLOAD, SIGNATURE = GOOD.split(".")
NEST = base64.urlsafe_b64encode(b"[" * 3000).decode()
DEEP = (f"{NEST}.{PAYLOAD}.{SIGNATURE}", f"{HEAD}.{NEST}.{SIGNATURE}")


@pytest.mark.parametrize(
    "token",
    [
        "x",
        "a.b.c",
        "..",
        f" {GOOD}",
        f"{GOOD} {GOOD}",
        f"{GOOD}, Bearer {GOOD}",
        f"{GOOD}.x",
        "\u00e9" + GOOD,
        f"{HEAD}..{SIGNATURE}",
        signed(header(), claims(padding="x" * 9000)),
        *(signed(value, claims()) for value in (None, 5, "alg", ["alg"], ["alg", "b64"], {}, {"typ": "JWT"})),
        *(signed(header(), value) for value in (None, 5, "iss", ["iss"])),
        signed(header(b64=True), claims()),
        signed(header(b64=False, crit=["b64"]), claims()),
        signed(header(crit=["exp"], exp=5), claims()),
        *DEEP,
    ],
)
def test_what_is_no_jwt_is_refused(token: str) -> None:
    assert refusal(bearer(token)) is Distrust.NOT_A_JWT


@pytest.mark.parametrize("change", [f"{GOOD}=", GOOD[:-4], GOOD + "AAAA", f"{HEAD}.{PAYLOAD}."])
def test_a_signature_that_is_longer_shorter_or_missing_is_refused(change: str) -> None:
    assert refusal(bearer(change)) is Distrust.SIGNATURE


# Header


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"typ": LEFT_OUT}, Distrust.TYPE),
        ({"typ": "at+jwt"}, Distrust.TYPE),
        ({"typ": 5}, Distrust.TYPE),
        ({"alg": "RS384"}, Distrust.SIGNATURE),
        ({"alg": "ES256"}, Distrust.ALGORITHM),
        ({"alg": "es384"}, Distrust.ALGORITHM),
        ({"alg": ["ES384"]}, Distrust.ALGORITHM),
        ({"alg": None}, Distrust.ALGORITHM),
        ({"kid": LEFT_OUT}, Distrust.KEY_ID),
        ({"kid": ""}, Distrust.KEY_ID),
        ({"kid": 1}, Distrust.KEY_ID),
        ({"kid": ["ec-1"]}, Distrust.KEY_ID),
        ({"kid": "ec-2"}, Distrust.KEY_ID),
        ({"kid": "rsa-1"}, Distrust.SIGNATURE),
        ({"kid": "\ud800"}, Distrust.KEY_ID),
        ({"jku": 5}, Distrust.SIGNATURE),
    ],
)
def test_a_header_that_breaks_the_agreement_is_refused(changes: dict[str, Any], reason: Distrust) -> None:
    assert refusal(bearer(signed(header(**changes), claims()))) is reason


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", ""])
def test_an_unsigned_token_is_refused(algorithm: str) -> None:
    unsigned, _, signature = signed(header(alg=algorithm), claims()).rpartition(".")

    for end in ("", signature):
        assert refusal(bearer(f"{unsigned}.{end}")) is Distrust.ALGORITHM


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
@pytest.mark.parametrize("secret", [RSA.as_pem(private=False), RSA.as_der(private=False), b"secret" * 10])
@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")  # of the key, which only an attacker makes
def test_a_public_key_is_never_taken_for_a_shared_secret(algorithm: str, secret: bytes) -> None:
    key = OctKey(secret, secret)

    assert refusal(bearer(signed(header(alg=algorithm, kid="rsa-1"), claims(), key, algorithm))) is Distrust.ALGORITHM


def test_a_key_that_the_token_itself_brings_is_not_used() -> None:
    own = OTHER_EC.as_dict(private=False)

    assert refusal(bearer(signed(header(jwk=own), claims(), OTHER_EC))) is Distrust.SIGNATURE


def test_a_key_is_used_with_its_own_algorithm_only() -> None:
    known = client(keys=keys(RSA, alg="RS512"), algorithms=("RS384", "RS512"))

    assert refusal(bearer(signed(header(alg="RS384", kid="rsa-1"), claims(), RSA, "RS384")), known) is (
        Distrust.ALGORITHM
    )
    good = bearer(signed(header(alg="RS512", kid="rsa-1"), claims(), RSA, "RS512"))
    assert trust(known).verify(good, AUDIENCE, NOW)


def test_a_key_of_another_curve_does_not_fit_the_algorithm() -> None:
    known = client(keys=keys(P256), algorithms=("ES384", "ES256"))

    assert refusal(bearer(signed(header(kid="p256"), claims(), EC)), known) is Distrust.SIGNATURE


@pytest.mark.parametrize(
    "named", ["https://evil.example/jwks", "https://ehr.example/JWKS", "https://ehr.example/jwks/", None, 7]
)
def test_a_key_address_that_was_not_agreed_is_refused(named: object) -> None:
    known = client(key_address="https://ehr.example/jwks")

    assert refusal(bearer(signed(header(jku=named), claims())), known) is Distrust.KEY_ADDRESS
    for good in (header(), header(jku="https://ehr.example/jwks")):
        assert trust(known).verify(bearer(signed(good, claims())), AUDIENCE, NOW)


# Claims

NO_TIMES: tuple[object, ...] = (LEFT_OUT, None, True, "now", [NOW_S], NOW_S + 600, 10**400, math.nan)
NO_TEXTS: tuple[object, ...] = (5, False, ["north"], {})


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        *(({"iss": value}, Distrust.ISSUER) for value in (LEFT_OUT, "https://evil.example", f"{ISSUER}/", [ISSUER], 5)),
        *(
            ({"aud": value}, Distrust.AUDIENCE)
            for value in (
                LEFT_OUT,
                "",
                [],
                5,
                {AUDIENCE: 1},
                [[AUDIENCE]],
                f"{AUDIENCE}/feedback",
                f"{AUDIENCE}//",
                AUDIENCE.upper(),
                AUDIENCE.removesuffix("t"),
                "https://cds.example",
            )
        ),
        *(
            ({"exp": value}, Distrust.EXPIRED)
            for value in (LEFT_OUT, None, True, str(NOW_S + 300), [NOW_S + 300], 0, -(10**400), 10**400, math.inf)
        ),
        *(({"exp": value}, Distrust.LIFETIME) for value in (NOW_S + 86_400, NOW_S * 1000 // 2)),
        *(({"iat": value}, Distrust.ISSUED_AT) for value in NO_TIMES),
        *(({"nbf": value}, Distrust.NOT_BEFORE) for value in NO_TIMES[1:]),
        *(({"tenant": value}, Distrust.TENANT) for value in NO_TEXTS),
        *(({"sub": value}, Distrust.SUBJECT) for value in NO_TEXTS),
        *(({"jti": value}, Distrust.JTI) for value in (LEFT_OUT, None, "", 5, ["x"], "x" * 256)),
    ],
)
def test_claims_that_are_missing_or_wrong_are_refused(changes: dict[str, Any], reason: Distrust) -> None:
    assert refusal(call(**changes)) is reason


SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("changes", "after", "reason"),
    [
        ({"exp": NOW_S}, 59, None),
        ({"exp": NOW_S}, 60, Distrust.EXPIRED),
        ({"exp": NOW_S + 3660}, 0, None),
        ({"exp": NOW_S + 3660}, -1, Distrust.LIFETIME),
        ({"iat": NOW_S + 60}, 0, None),
        ({"iat": NOW_S + 60}, -1, Distrust.ISSUED_AT),
        ({"nbf": NOW_S + 60}, 0, None),
        ({"nbf": NOW_S + 60}, -1, Distrust.NOT_BEFORE),
    ],
)
def test_clocks_may_differ_by_the_skew_and_not_by_more(
    changes: dict[str, Any], after: int, reason: Distrust | None
) -> None:
    at = NOW + after * SECOND
    authorization = call(**{"iat": NOW_S - 300, **changes})

    if reason is None:
        assert trust().verify(authorization, AUDIENCE, at)
    else:
        assert refusal(authorization, at=at) is reason


def test_skew_and_lifetime_are_the_sites_own() -> None:
    strict = ClientTrust([client()], Remembered(), skew=timedelta(), longest_lifetime=timedelta(seconds=299))

    with pytest.raises(CallerNotTrusted, match="lifetime"):
        strict.verify(call(), AUDIENCE, NOW)
    with pytest.raises(CallerNotTrusted, match="expired"):
        strict.verify(call(), AUDIENCE, NOW + timedelta(seconds=300))
    assert strict.verify(call(), AUDIENCE, NOW + SECOND)


@pytest.mark.parametrize("tenant", [LEFT_OUT, "south", "", ["north"], None])
def test_where_tenants_are_agreed_the_token_must_name_one(tenant: object) -> None:
    known = client(tenants=("north", "east"))

    assert refusal(call(tenant=tenant), known) is Distrust.TENANT
    assert trust(known).verify(call(tenant="east"), AUDIENCE, NOW).tenant == "east"


# One of several EHRs


def test_the_token_of_one_ehr_is_never_taken_for_anothers() -> None:
    theirs = client(ehr="ehr-2", issuer="https://other.example", keys=keys(OTHER_EC))
    both = (client(), theirs)
    claimed = claims(iss="https://other.example")

    assert refusal(bearer(signed(header(), claimed, EC)), *both) is Distrust.SIGNATURE
    assert refusal(bearer(signed(header(), claims(), OTHER_EC)), *both) is Distrust.SIGNATURE
    assert trust(*both).verify(bearer(signed(header(), claimed, OTHER_EC)), AUDIENCE, NOW).ehr == "ehr-2"


def test_an_issuer_of_two_ehrs_is_a_settings_error() -> None:
    with pytest.raises(SettingsError, match="belongs to two EHRs"):
        trust(client(), client(ehr="ehr-2"))


@pytest.mark.parametrize("algorithms", [(), ("none",), ("HS384",), ("ES384", "HS256"), ("EdDSA",), ("RSA-OAEP",)])
def test_S7_only_asymmetric_algorithms_can_be_agreed(algorithms: tuple[str, ...]) -> None:
    with pytest.raises(SettingsError, match="must be among ES256"):
        client(algorithms=algorithms)


# Once only


def taken(known: ClientTrust, authorization: str, at: datetime = NOW) -> None:
    """Have the token of a call used up."""
    known.use_up(known.verify(authorization, AUDIENCE, at), at)


def test_a_token_is_accepted_once() -> None:
    known = trust()
    taken(known, call())

    with pytest.raises(CallerNotTrusted, match="replayed"):
        taken(known, call(), NOW + SECOND)
    taken(known, call(jti="token-2"))


def test_a_token_that_is_not_used_up_is_accepted_again() -> None:
    known = trust()
    known.verify(call(), AUDIENCE, NOW)

    taken(known, call(), NOW + SECOND)


def test_two_ehrs_may_give_their_tokens_the_same_name() -> None:
    theirs = client(ehr="ehr-2", issuer="https://other.example", keys=keys(OTHER_EC))
    known = trust(client(), theirs)

    taken(known, call())
    taken(known, bearer(signed(header(), claims(iss=theirs.issuer), OTHER_EC)))


@given(before=st.integers(-3600, 59), stays=st.integers(0, 3660))
def test_a_token_is_remembered_as_long_as_it_would_be_accepted(before: int, stays: int) -> None:
    seen, expires = Remembered(), NOW - before * SECOND
    known = trust(seen=seen)
    taken(known, call(exp=NOW_S - before))
    (until,) = seen.tokens.values()
    assert until.tzinfo is UTC

    later = NOW + stays * SECOND
    still_good = later < expires + 60 * SECOND
    assert (later < until) is still_good
    with pytest.raises(CallerNotTrusted, match="replayed" if still_good else "expired"):
        taken(known, call(exp=NOW_S - before), later)


# Keys are asked for last, and "no such key" is not "could not look"


@pytest.mark.parametrize(
    "authorization",
    [call(aud="x"), call(exp=0), call(jti=""), bearer(signed(header(alg="none"), claims())), call(tenant=1)],
)
def test_S10_keys_are_asked_for_only_by_what_fits_otherwise(authorization: str) -> None:
    known = keys(EC)

    refusal(authorization, client(keys=known))
    assert known.asked == []
    trust(client(keys=known)).verify(call(), AUDIENCE, NOW)
    assert known.asked == ["ec-1"]


def test_a_call_whose_keys_cannot_be_read_is_neither_trusted_nor_called_forged() -> None:
    class Unread:
        def key(self, key_id: str) -> None:
            raise CallerKeysUnread("no")

    seen = Remembered()
    with pytest.raises(CallerKeysUnread):
        trust(client(keys=Unread()), seen=seen).verify(call(), AUDIENCE, NOW)
    assert seen.tokens == {}


# Mangled tokens

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
IN_TOKENS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."


@given(place=st.integers(0, len(GOOD) - 1), other=st.sampled_from(IN_TOKENS) | st.characters(max_codepoint=255))
def test_a_token_with_one_other_character_is_refused(place: int, other: str) -> None:
    assume(GOOD[place] != other)

    refusal(bearer(GOOD[:place] + other + GOOD[place + 1 :]))


@given(start=st.integers(0, len(GOOD)), length=st.integers(1, 40), new=st.text(IN_TOKENS, max_size=40))
def test_a_token_with_another_piece_is_refused(start: int, length: int, new: str) -> None:
    mangled = GOOD[:start] + new + GOOD[start + length :]
    assume(mangled != GOOD)

    refusal(bearer(mangled))


@given(text=st.text(st.characters(max_codepoint=255)))
@example("\u00df.\u00df.\u00df")
def test_no_header_crashes_the_reading_of_it(text: str) -> None:
    refusal(text)
    refusal(bearer(text))


@given(head=ANYTHING, payload=ANYTHING)
def test_no_json_in_the_place_of_header_or_claims_crashes(head: Any, payload: Any) -> None:
    refusal(bearer(signed(head, claims())))
    refusal(bearer(signed(header(), payload)))


@given(name=st.sampled_from(["iss", "aud", "exp", "iat", "jti"]), value=ANYTHING)
def test_a_required_claim_of_another_kind_is_refused(name: str, value: Any) -> None:
    # A number may by chance be a time that fits, a text a token's name.
    assume(not isinstance(value, str if name == "jti" else int | float) or isinstance(value, bool) or name == "aud")

    refusal(call(**{name: value}))


@given(name=st.sampled_from(["sub", "tenant", "nbf", "jti", "vendor"]), value=ANYTHING)
def test_any_other_claim_is_accepted_or_refused_and_never_crashes(name: str, value: Any) -> None:
    try:
        accepted = trust().verify(call(**{name: value}), AUDIENCE, NOW).ehr == EHR
    except CallerNotTrusted:
        accepted = False
    assert accepted or name != "vendor"


@given(name=st.sampled_from(["typ", "alg", "kid", "jku", "jwk", "x5u", "x5c", "crit", "b64"]), value=ANYTHING)
def test_any_header_member_is_accepted_or_refused_and_never_crashes(name: str, value: Any) -> None:
    try:
        trust().verify(bearer(signed(header(**{name: value}), claims())), AUDIENCE, NOW)
    except CallerNotTrusted:
        return
    assert name not in {"crit", "b64"}
    assert name in {"jku", "jwk", "x5u", "x5c"}


def test_nothing_of_a_token_is_shown() -> None:
    known = trust()
    verified = known.verify(call(sub="secret-subject", jti="secret-name"), AUDIENCE, NOW)

    assert "secret" not in repr(verified)
    assert "keys" not in repr(client())
