"""Verifies a license file offline: verify_license.py LICENSE PUBLIC_KEY_PEM

Written from Keygen's documentation of license files, and from nothing else.
"""
import base64, json, sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import load_pem_public_key

with open(sys.argv[1]) as file:
    text = file.read().strip()
with open(sys.argv[2], "rb") as file:
    key = load_pem_public_key(file.read())

begin, end = "-----BEGIN LICENSE FILE-----", "-----END LICENSE FILE-----"
if not (text.startswith(begin) and text.endswith(end)):
    sys.exit("this is no license file")
envelope = json.loads(base64.b64decode(text[len(begin):-len(end)]))
if envelope["alg"] != "base64+ed25519":
    sys.exit("another algorithm: " + envelope["alg"])
try:
    key.verify(base64.b64decode(envelope["sig"]), ("license/" + envelope["enc"]).encode())
except InvalidSignature:
    sys.exit("the signature is not that of the key")
for resource in json.loads(base64.b64decode(envelope["enc"])).get("included", []):
    if resource["type"] == "entitlements":
        print(resource["attributes"]["code"])
