#!/usr/bin/env python3
"""Gets the data of a snapshot out of a repository without the program that wrote it.

Written from docs/format.md alone. Needs Python 3.9, the package `cryptography` (44 or newer for
passphrases), the command `zstd`, and a copy of the repository on disk.

    recover.py REPOSITORY KEYFILE list
    recover.py REPOSITORY KEYFILE extract SNAPSHOT DIRECTORY

KEYFILE holds the recovery key (BKEY1-...) or, with a first line `passphrase:`, a passphrase.
With the package `blake3` installed, chunk ids are checked too.
"""
import hashlib, hmac, json, os, struct, subprocess, sys, tempfile
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

try:
    from blake3 import blake3
except ImportError:
    blake3 = None

HEADER, TAG, FRAME, TRAILER = 192, 16, 1 << 20, 16
PACK, INDEX, MANIFEST = 1, 2, 3
RAW, ZSTD, DELTA = 0, 1, 2


def extract(salt, key):
    return hmac.new(salt or bytes(32), key, hashlib.sha256).digest()


def expand(prk, info, length):
    out, block = b"", b""
    while len(out) < length:
        block = hmac.new(prk, block + info + bytes([len(out) // 32 + 1]), hashlib.sha256).digest()
        out += block
    return out[:length]


def public(secret):
    key = X25519PrivateKey.from_private_bytes(secret).public_key()
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def hpke_open(secret, enc, info, sealed):
    """RFC 9180, base mode, suite 0x0020 0x0001 0x0002, one message, no associated data."""
    kem, suite = b"KEM\x00\x20", b"HPKE\x00\x20\x00\x01\x00\x02"

    def l_extract(sid, salt, label, ikm):
        return extract(salt, b"HPKE-v1" + sid + label + ikm)

    def l_expand(sid, prk, label, context, length):
        return expand(prk, struct.pack(">H", length) + b"HPKE-v1" + sid + label + context, length)

    dh = X25519PrivateKey.from_private_bytes(secret).exchange(X25519PublicKey.from_public_bytes(enc))
    shared = l_expand(kem, l_extract(kem, b"", b"eae_prk", dh), b"shared_secret", enc + public(secret), 32)
    context = b"\x00" + l_extract(suite, b"", b"psk_id_hash", b"") + l_extract(suite, b"", b"info_hash", info)
    root = l_extract(suite, shared, b"secret", b"")
    key, nonce = l_expand(suite, root, b"key", context, 32), l_expand(suite, root, b"base_nonce", context, 12)
    return AESGCM(key).decrypt(nonce, sealed, b"")


def key_material(text, record):
    """The 32 bytes that a passphrase or a key file stands for."""
    if text.startswith("passphrase:\n"):
        from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
        p = record["argon2"]
        kdf = Argon2id(salt=bytes.fromhex(p["salt"]), length=32, iterations=p["passes"],
                       lanes=p["lanes"], memory_cost=p["memory_kib"])
        return kdf.derive(text.split("\n", 1)[1].removesuffix("\n").removesuffix("\r").encode())
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    compact = "".join("".join(lines).split()).replace("-", "").upper().removeprefix("BKEY1")
    digits = ["0123456789ABCDEFGHJKMNPQRSTVWXYZ".index(c) for c in
              compact.replace("O", "0").replace("I", "1").replace("L", "1")]
    bits = "".join(f"{d:05b}" for group in range(13) for d in digits[group * 5:group * 5 + 4])
    key = int(bits[:256], 2).to_bytes(32, "big")
    check = int.from_bytes(hashlib.sha256(b"backup.v1.key-file" + key).digest()[:4], "big") >> 7
    assert digits[65:] == [check >> s & 31 for s in (20, 15, 10, 5, 0)], "the key has a typo"
    return key


def zstd(data, base=None):
    """Runs stock zstd; a delta is a frame made with its base as --patch-from."""
    if base is None:
        return subprocess.run(["zstd", "-dcq", "--long=27"], input=data, stdout=subprocess.PIPE, check=True).stdout
    with tempfile.NamedTemporaryFile() as old:
        old.write(base)
        old.flush()
        return subprocess.run(["zstd", "-dcq", "--long=27", f"--patch-from={old.name}"],
                              input=data, stdout=subprocess.PIPE, check=True).stdout


class Object:
    """A sealed object: header, then frames."""

    def __init__(self, repo, kind, name, data):
        h = data[:HEADER]
        assert h[:6] == b"BKOB\x00\x01" and h[6] == kind and h[7] == 1 and h[8] == 1, "foreign header"
        assert h[16:32] == repo.id and h[32:48] == bytes.fromhex(name), "another object"
        epoch = struct.unpack(">I", h[12:16])[0]
        secret = hpke_open(repo.epochs[epoch], h[48:80], b"backup.v1.object-envelope" + h[:48], h[80:128])
        okm = expand(extract(h[128:160], secret), b"backup.v1.object-key" + h[:160], 64)
        assert hmac.compare_digest(okm[32:], h[160:192]), "key commitment"
        self.header, self.cipher = h, AESGCM(okm[:32])

    def frame(self, ordinal, last, sealed, extra=b""):
        aad = self.header + struct.pack(">QQB", ordinal, len(sealed) - TAG, last) + extra
        return self.cipher.decrypt(bytes(4) + struct.pack(">Q", ordinal), sealed, aad)


class Repository:
    def __init__(self, root, key_text):
        self.root = root
        self.epochs, self.chunks, self.places = {}, {}, {}
        for name in sorted(os.listdir(os.path.join(root, "keys"))):
            record = json.load(open(os.path.join(root, "keys", name)))
            if (record["kind"] == "passphrase") != key_text.startswith("passphrase:\n"):
                continue
            okm = expand(extract(b"", key_material(key_text, record)), b"backup.v1.key-encryption", 64)
            if public(okm[:32]).hex() == record["recipient"]:
                self.unwrap(okm[:32], record)
        assert self.epochs, "this key opens no key record"
        for name in os.listdir(os.path.join(root, "index")):
            self.load_index(name)

    def unwrap(self, secret, record):
        info = b"backup.v1.bundle-envelope" + bytes.fromhex(record["repository"]) + bytes.fromhex(record["id"])
        b = hpke_open(secret, bytes.fromhex(record["encapped"]), info, bytes.fromhex(record["sealed"]))
        assert b[:6] == b"BKKB\x01\x01", "not an owner's bundle"
        self.id, self.root_public, self.chunk_key = b[6:22], b[22:54], b[54:86]
        at = 22 + 3 * 32 + 16 + 32 + 64 + 32
        count = struct.unpack(">H", b[at:at + 2])[0]
        for place in range(at + 2, at + 2 + count * 68, 68):
            self.epochs[struct.unpack(">I", b[place:place + 4])[0]] = b[place + 36:place + 68]

    def read(self, path):
        return open(os.path.join(self.root, path), "rb").read()

    def blob(self, kind, name, data):
        sealed = Object(self, kind, name, data)
        body, plain = data[HEADER:], b""
        frames = [body[i:i + FRAME + TAG] for i in range(0, len(body), FRAME + TAG)]
        for ordinal, frame in enumerate(frames):
            plain += sealed.frame(ordinal, ordinal + 1 == len(frames), frame)
        length = struct.unpack(">Q", plain[:8])[0]
        return zstd(plain[8:8 + length])

    def load_index(self, name):
        data = self.blob(INDEX, name, self.read(f"index/{name}"))
        at = 5 + 16 * struct.unpack(">I", data[1:5])[0]
        packs = struct.unpack(">I", data[at:at + 4])[0]
        at += 4
        for _ in range(packs):
            pack, offset = data[at:at + 16].hex(), HEADER
            entries = struct.unpack(">I", data[at + 32:at + 36])[0]
            at += 36
            for ordinal in range(entries):
                chunk = data[at:at + 32]
                sealed, raw, encoding, depth = struct.unpack(">IIBB", data[at + 32:at + 42])
                at += 42
                base = None
                if encoding == DELTA:
                    base, at = data[at:at + 32], at + 32
                self.places[chunk] = (pack, ordinal, offset, sealed, raw, encoding, base)
                offset += sealed

    def chunk(self, chunk):
        pack, ordinal, offset, sealed, raw, encoding, base = self.places[chunk]
        data = self.read(f"packs/{pack[:2]}/{pack}")
        frame = Object(self, PACK, pack, data).frame(ordinal, 0, data[offset:offset + sealed])
        plain = frame if encoding == RAW else zstd(frame, self.chunk(base) if encoding == DELTA else None)
        assert len(plain) == raw, "wrong length"
        if blake3:
            assert blake3(plain, key=self.chunk_key).digest() == chunk, "wrong chunk id"
        return plain

    def manifest(self, name):
        payload = self.blob(MANIFEST, name, self.read(f"snapshots/{name}"))
        writer, certificate, signature, body = payload[:32], payload[32:96], payload[96:160], payload[160:]
        root = Ed25519PublicKey.from_public_bytes(self.root_public)
        root.verify(certificate, b"backup.v1.writer\x00" + struct.pack(">H", 0) + self.id + writer)
        domain = b"manifest"
        message = b"backup.v1.signature\x00" + struct.pack(">H", len(domain)) + domain + body
        Ed25519PublicKey.from_public_bytes(writer).verify(signature, message)
        return json.loads(body)["snapshot"]

    def part(self, part):
        data = b"".join(self.chunk(bytes.fromhex(chunk)) for chunk in part["map"])
        at = 5
        for _ in range(struct.unpack(">I", data[1:5])[0]):
            chunks = struct.unpack(">I", data[at + 8:at + 12])[0]
            at += 12
            for _ in range(chunks):
                yield self.chunk(data[at:at + 32])
                at += 36


def main(root, key, verb, snapshot=None, directory=None):
    repository = Repository(root, open(key).read())
    if verb == "list":
        for name in os.listdir(os.path.join(root, "snapshots")):
            manifest = repository.manifest(name)
            print(name, manifest["finished_at"], manifest["source"], len(manifest["parts"]), "parts")
        return
    os.makedirs(directory, exist_ok=True)
    for number, part in enumerate(repository.manifest(snapshot)["parts"]):
        with open(os.path.join(directory, f"{number:05}"), "wb") as out:
            for plain in repository.part(part):
                out.write(plain)
        print(f"{number:05}", part["name"], part["bytes"], "bytes")


if __name__ == "__main__":
    if len(sys.argv) not in (4, 6):
        sys.exit(__doc__)
    main(*sys.argv[1:])
