"""Verifies an exported log offline, event by event: verify_history.py FOLDER VERIFIER_KEY
Written from c2sp.org/tlog-tiles, tlog-checkpoint and signed-note, and RFC 6962, 2.1, alone."""
import base64, hashlib, pathlib, sys
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

def must(holds, why):
    if not holds:
        raise ValueError(why)

def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()

def checkpoint(note, vkey):
    name, key_id, key = vkey.strip().split(b"+", 2)
    key, key_id = base64.b64decode(key, validate=True), bytes.fromhex(key_id.decode())
    must(key[:1] == b"\1" and sha(name, b"\n", key)[:4] == key_id, "no Ed25519 verifier key")
    text, signatures = note.split(b"\n\n", 1)
    lines = [line.split(b" ")[1:] for line in signatures.splitlines()]
    ours = [base64.b64decode(line[1], validate=True) for line in lines if line[0] == name]
    ours = [one[4:] for one in ours if one[:4] == key_id]
    must(ours, "this key has not signed the checkpoint")
    Ed25519PublicKey.from_public_bytes(key[1:]).verify(ours[0], text + b"\n")
    origin, size, root = text.splitlines()
    must(origin == name, "a checkpoint of another log")
    return name, int(size), base64.b64decode(root, validate=True)

def folders(n):
    return folders(n // 1000) + f"x{n % 1000:03}/" if n else ""

def events(folder, size):
    for n in range((size + 255) // 256):
        width = min(256, size - n * 256)
        partial = f".p/{width}" if width < 256 else ""
        bundle = (folder / f"tile/entries/{folders(n // 1000)}{n % 1000:03}{partial}").read_bytes()
        hashes = (folder / f"tile/0/{folders(n // 1000)}{n % 1000:03}{partial}").read_bytes()
        for at in range(width):
            end = 2 + int.from_bytes(bundle[:2], "big")
            must(2 <= end <= len(bundle), f"event {n * 256 + at + 1} is missing")
            yield bundle[2:end], hashes[at * 32:at * 32 + 32]
            bundle = bundle[end:]
        must(not bundle, f"something follows event {n * 256 + width}")

try:
    (folder, vkey), subtrees = map(pathlib.Path, sys.argv[1:3]), []  # complete ones, largest first
    name, size, root = checkpoint((folder / "checkpoint").read_bytes(), vkey.read_bytes())
    for seq, (event, stored) in enumerate(events(folder, size), 1):
        height, node = 0, sha(b"\0", event)
        must(node == stored, f"event {seq} is not the one whose hash was exported")
        while subtrees and subtrees[-1][0] == height:
            height, node = height + 1, sha(b"\1", subtrees.pop()[1], node)
        subtrees.append((height, node))
    node = subtrees.pop()[1] if subtrees else sha()
    while subtrees:
        node = sha(b"\1", subtrees.pop()[1], node)
    must(node == root, "these are not the events that were signed: another root follows")
except (InvalidSignature, ValueError, IndexError, OSError) as why:
    sys.exit(f"NOT VERIFIED: {str(why) or 'the signature does not hold'}")
print(f"VERIFIED: {size} events of {name.decode()}")
