"""Verifies offline that an event stands in a log: verify_proof.py PROOF EVENT VERIFIER_KEY
Written from c2sp.org/tlog-proof, tlog-checkpoint and signed-note, and RFC 9162, 2.1.3.2, alone."""
import base64, hashlib, sys
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

def must(holds, why):
    if not holds:
        raise ValueError(why)

def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()

try:
    proof, event, vkey = (open(name, "rb").read() for name in sys.argv[1:4])
    name, key_id, key = vkey.strip().split(b"+", 2)
    key, key_id = base64.b64decode(key, validate=True), bytes.fromhex(key_id.decode())
    must(key[:1] == b"\1" and sha(name, b"\n", key)[:4] == key_id, "no Ed25519 verifier key")
    head, text, signatures = proof.split(b"\n\n", 2)
    lines = [line.split(b" ")[1:] for line in signatures.splitlines()]
    ours = [base64.b64decode(line[1], validate=True) for line in lines if line[0] == name]
    ours = [one[4:] for one in ours if one[:4] == key_id]
    must(ours, "this key has not signed it")
    Ed25519PublicKey.from_public_bytes(key[1:]).verify(ours[0], text + b"\n")
    (magic, index, *path), (origin, size, root) = head.splitlines(), text.splitlines()
    must(magic == b"c2sp.org/tlog-proof@v1" and origin == name, "a proof of something else")
    node, at, last = sha(b"\0", event), int(index.removeprefix(b"index ")), int(size) - 1
    must(0 <= at <= last, "the log has no such place")
    for sibling in (base64.b64decode(line, validate=True) for line in path):
        must(last > 0, "the proof is too long")
        left = at % 2 or at == last
        node = sha(b"\1", sibling, node) if left else sha(b"\1", node, sibling)
        while left and at and at % 2 == 0:
            at, last = at >> 1, last >> 1
        at, last = at >> 1, last >> 1
    must(last == 0 and node == base64.b64decode(root, validate=True), "another root follows")
except (InvalidSignature, ValueError, IndexError, OSError) as why:
    sys.exit(f"NOT VERIFIED: {str(why) or 'the signature does not hold'}")
print(f"VERIFIED: {index.decode()} of {name.decode()}, {size.decode()} events")
