"""Opens the sealed call and answer in contracts/envelope.json without anything of ours: python open_envelope.py FILE

Says what is in them and ends with 0 if both seals hold; otherwise python says what fails. So the format is no more than
JSON and JWS (RFC 7515, RFC 8037). Needs the standard library and `cryptography`.
"""
import base64
import hashlib
import json
import pathlib
import sys

from cryptography.hazmat.primitives.serialization import load_der_public_key


def from_base64url(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def lines(path):
    """The members of the file as they are written, each on a line of its own: what is signed is octets, not values."""
    text = pathlib.Path(path).read_text(encoding="utf-8")
    members = {}
    for line in text.splitlines()[1:-1]:
        name, _, value = line.strip().rstrip(",").partition(": ")
        members[json.loads(name)] = value
    assert {name: json.loads(value) for name, value in members.items()} == json.loads(text)
    return members


def opened(message, spki, typ):
    # The seal ends where its JSON ends; what follows is the body, with its octets as they are.
    head, link, tail = '{"seal":', ',"body":', "}"
    assert message.startswith(head) and message.endswith(tail)
    seal, end = json.JSONDecoder().raw_decode(message, len(head))
    assert message[end:].startswith(link) and set(seal) == {"protected", "payload", "signature"}
    body = message[end + len(link) : -len(tail)]

    header = json.loads(from_base64url(seal["protected"]))
    kid = base64.urlsafe_b64encode(hashlib.sha256(spki).digest()).decode().rstrip("=")
    assert header == {"alg": "EdDSA", "kid": kid, "typ": typ}, header
    signing_input = f"{seal['protected']}.{seal['payload']}".encode()
    load_der_public_key(spki).verify(from_base64url(seal["signature"]), signing_input)

    payload = from_base64url(seal["payload"])
    claims = json.loads(payload)
    assert claims["body"] == hashlib.sha256(body.encode()).hexdigest(), "the claims name another body"
    return claims, json.loads(body), hashlib.sha256(payload).hexdigest()


file = lines(sys.argv[1])
caller_key, answerer_key = (base64.b64decode(json.loads(file[name])) for name in ("caller_key", "answerer_key"))
call, asked, digest = opened(file["call"], caller_key, "cradle-call")
answer, told, _ = opened(file["answer"], answerer_key, "cradle-answer")
assert answer["answers"] == digest and "answers" not in call, "the answer names another call"
assert all(answer[same] == call[same] for same in ("subject", "deadline", "nonce", "mode", "epoch"))
assert (answer["from"], answer["to"]) == (call["to"], call["from"])
for claims, body in (call, asked), (answer, told):
    print(json.dumps(claims), json.dumps(body), sep="\n")
