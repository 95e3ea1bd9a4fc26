#!/usr/bin/env python3
"""Opens a steadfast vault without any code of steadfast.

Written from the description of the file format alone, on other libraries: argon2-cffi for the key
derivation, PyNaCl (libsodium) for XChaCha20-Poly1305, the standard library for HMAC and HKDF. It
proves that the format is what it says, and it is the way to the keys should the program be lost.

    vault_open.py keys.vault                   asks for the passphrase, lists the record ids
    vault_open.py keys.vault --reveal          prints the records as well, in hexadecimal
    vault_open.py keys.vault --passphrase-fd 0 reads it from standard input instead

In place of the passphrase, the line of a machine key file or a recovery code opens its slot.

Exit code 0: opened and everything in it is authentic. 1: refused. 2: wrong use.
"""

import argparse
import getpass
import hashlib
import hmac
import os
import struct
import sys
import unicodedata

from argon2.low_level import Type, hash_secret_raw
from nacl.bindings import crypto_aead_xchacha20poly1305_ietf_decrypt as decrypt
from nacl.exceptions import CryptoError

MAGIC = b"SFVAULT\0"
VERSION = 1
KINDS = {1: "passphrase", 2: "machine", 3: "recovery", 4: "transit"}
BOUNDS = {"memory_kib": (19 * 1024, 1024 * 1024), "passes": (1, 10), "lanes": (1, 8)}


class Refused(Exception):
    """The file is not an authentic vault, or the passphrase is wrong."""


class Reader:
    """Takes bytes from the front; what is missing is refused."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        if self.at + count > len(self.data):
            raise Refused("the file is cut short")
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, code):
        return struct.unpack("<" + code, self.take(struct.calcsize("<" + code)))[0]

    def finish(self):
        if self.at != len(self.data):
            raise Refused("bytes are left over")


def hkdf(key, info):
    """HKDF-SHA256 without salt, one block of 32 bytes."""
    extracted = hmac.new(bytes(32), key, hashlib.sha256).digest()
    return hmac.new(extracted, info + b"\x01", hashlib.sha256).digest()


def parse_slot(body):
    slot = Reader(body)
    fixed = slot.take(29)  # algorithm .. salt, which the wrapped key is bound to
    algorithm, memory_kib, passes, lanes, salt = struct.unpack("<BIII16s", fixed)
    if algorithm != 1:
        raise Refused("unknown key derivation")
    for (name, (least, most)), value in zip(BOUNDS.items(), (memory_kib, passes, lanes)):
        if not least <= value <= most:
            raise Refused(f"{name} {value} is outside {least} to {most}; not run")
    nonce, wrapped = slot.take(24), slot.take(48)
    slot.finish()
    return fixed, memory_kib, passes, lanes, salt, nonce, wrapped


SECRET_WORDS = {"steadfast-machine-key-1": 2, "steadfast-recovery-1": 3}


def secret_of(text):
    """(slot kind, secret) of a machine key or recovery code, or None for a passphrase."""
    for word, kind in SECRET_WORDS.items():
        if text.startswith(word) and text[len(word) : len(word) + 1] in (" ", "-"):
            return kind, bytes.fromhex(text[len(word) :].replace("-", "").replace(" ", ""))
    return None


def unwrap_by_secret(slots, vault_id, version, kind, secret):
    bodies = [body for found, body in slots if found == kind]
    if len(bodies) != 1:
        raise Refused(f"no {KINDS[kind]} slot")
    slot = Reader(bodies[0])
    fixed, nonce, wrapped = slot.take(17), slot.take(24), slot.take(48)
    slot.finish()
    if fixed[0] != 1:
        raise Refused("unknown kind of slot secret")
    kek = hkdf(secret, b"slot" + bytes([kind]) + vault_id + fixed[1:])
    try:
        return decrypt(wrapped, b"dek" + struct.pack("<H", version) + vault_id + bytes([kind]) + fixed, nonce, kek)
    except CryptoError:
        raise Refused("wrong secret or damaged slot") from None


def unwrap_by_passphrase(slots, vault_id, version, passphrase):
    bodies = [body for kind, body in slots if kind == 1]
    if len(bodies) != 1:
        raise Refused("not exactly one passphrase slot")
    fixed, memory_kib, passes, lanes, salt, nonce, wrapped = parse_slot(bodies[0])
    normal = unicodedata.normalize("NFKC", passphrase).encode()
    kek = hash_secret_raw(normal, salt, passes, memory_kib, lanes, 32, Type.ID, version=0x13)
    try:
        return decrypt(wrapped, b"dek" + struct.pack("<H", version) + vault_id + b"\x01" + fixed, nonce, kek)
    except CryptoError:
        raise Refused("wrong passphrase or damaged slot") from None


def kdf_of(slots):
    """The cost of the passphrase slot, in words."""
    for kind, body in slots:
        if kind == 1:
            _, memory_kib, passes, lanes, *_ = parse_slot(body)
            return f"Argon2id {memory_kib} KiB, {passes} passes, {lanes} lanes"
    return "none"


def open_vault(data, passphrase):
    """Returns the facts of the header and {record id: bytes}; raises Refused."""
    file = Reader(data)
    if file.take(8) != MAGIC:
        raise Refused("not a vault")
    version = file.number("H")
    if version != VERSION:
        raise Refused(f"unknown version {version}")
    header = file.take(file.number("I"))
    covered, mac = data[: file.at], file.take(32)

    fields = Reader(header)
    vault_id, generation, created = fields.take(16), fields.number("Q"), fields.number("Q")
    slots = []
    for _ in range(fields.number("B")):
        kind, length = fields.number("B"), fields.number("H")
        if kind not in KINDS:
            raise Refused(f"unknown slot kind {kind}")
        slots.append((kind, fields.take(length)))
    index = [(fields.take(16), fields.number("I")) for _ in range(fields.number("H"))]
    fields.finish()

    secret = secret_of(passphrase)
    if secret:
        key = unwrap_by_secret(slots, vault_id, version, *secret)
    else:
        key = unwrap_by_passphrase(slots, vault_id, version, passphrase)
    if not hmac.compare_digest(hmac.new(hkdf(key, b"header"), covered, hashlib.sha256).digest(), mac):
        raise Refused("the header is not authentic")

    records = {}
    for record_id, length in index:
        nonce, found = file.take(24), file.number("I")
        if found != length:
            raise Refused("a record differs from the index")
        bound = struct.pack("<H", version) + vault_id + struct.pack("<Q", generation) + record_id
        bound += hashlib.sha256(header).digest()
        try:
            records[record_id] = decrypt(file.take(length), bound, nonce, hkdf(key, b"rec" + record_id))
        except CryptoError:
            raise Refused(f"record {record_id.hex()} is not authentic") from None
    file.finish()
    facts = {
        "vault": vault_id.hex(),
        "generation": generation,
        "created": created,
        "slots": " ".join(KINDS[kind] for kind, _ in slots),
        "kdf": kdf_of(slots),
    }
    return facts, records


def main():
    parser = argparse.ArgumentParser(description="Opens a steadfast vault independently of steadfast.")
    parser.add_argument("file")
    parser.add_argument("--reveal", action="store_true", help="print the bytes of the records, in hexadecimal")
    parser.add_argument("--passphrase-fd", type=int, metavar="N", help="read the passphrase from this descriptor")
    options = parser.parse_args()
    try:
        with open(options.file, "rb") as file:
            data = file.read()
        if options.passphrase_fd is None:
            passphrase = getpass.getpass("Passphrase: ")
        else:
            with os.fdopen(options.passphrase_fd, encoding="utf-8", newline="") as source:
                passphrase = source.readline().rstrip("\n")
        facts, records = open_vault(data, passphrase)
    except (Refused, OSError, UnicodeError) as error:
        print(f"refused: {error}", file=sys.stderr)
        return 1
    for name, value in facts.items():
        print(f"{name}: {value}")
    for record_id, plain in records.items():
        print(f"record {record_id.hex()} {len(plain)} bytes" + (f" {plain.hex()}" if options.reveal else ""))
    return 0


if __name__ == "__main__":
    sys.exit(main())
