"""Seal a value with AES-256-GCM, its place as associated data, and open it in its place and in others."""

import os
import sys
from importlib.metadata import version

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NONCE_BYTES = 12


def place(tenant: str, connection: str, field: str, key_id: str) -> bytes:
    return "|".join(("arun/cred/v1", tenant, connection, field, key_id)).encode()


def seal(key: bytes, value: bytes, where: bytes) -> bytes:
    nonce = os.urandom(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, value, where)


def opened(key: bytes, blob: bytes, where: bytes) -> str:
    try:
        return repr(AESGCM(key).decrypt(blob[:NONCE_BYTES], blob[NONCE_BYTES:], where).decode())
    except InvalidTag:
        return "InvalidTag"


keys = {name: AESGCM.generate_key(bit_length=256) for name in ("k1", "k2")}
home = place("A", "1", "access_token", "k1")
blob = seal(keys["k1"], b"token of tenant A", home)
rotated = seal(keys["k2"], b"token of tenant A", place("A", "1", "access_token", "k2"))
seen = {
    "in its own place": opened(keys["k1"], blob, home),
    "in tenant B's row": opened(keys["k1"], blob, place("B", "1", "access_token", "k1")),
    "in A's other connection": opened(keys["k1"], blob, place("A", "2", "access_token", "k1")),
    "in A's other field": opened(keys["k1"], blob, place("A", "1", "pin", "k1")),
    "an old row, by its key id, while k2 is current": opened(keys["k1"], blob, home),
    "a new row under k2": opened(keys["k2"], rotated, place("A", "1", "access_token", "k2")),
}
sys.stdout.write(f"cryptography {version('cryptography')}\n")
for where, value in seen.items():
    sys.stdout.write(f"{where}: {value}\n")
refused = [value == "InvalidTag" for value in seen.values()]
sys.exit(0 if refused == [False, True, True, True, False, False] else 1)
