#!/usr/bin/env python3
"""Gets the data of a snapshot out of a repository without the program that wrote it.

Written from docs/format.md alone. Needs Python 3.9, the package `cryptography` (44 or newer for
passphrases), the command `zstd`, and a copy of the repository on disk.

    recover.py REPOSITORY KEYFILE list
    recover.py REPOSITORY KEYFILE extract SNAPSHOT DIRECTORY     every part as it is stored
    recover.py REPOSITORY KEYFILE files SNAPSHOT                 what a snapshot of files holds
    recover.py REPOSITORY KEYFILE file SNAPSHOT PATH OUTPUT      one file of it
    recover.py REPOSITORY KEYFILE tree SNAPSHOT DIRECTORY        all of it, as far as this user may

KEYFILE holds the recovery key (BKEY1-...) or, with a first line `passphrase:`, a passphrase.
With the packages `blake3` and `xxhash` installed, chunk ids and contents of files are checked too.
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
try:
    from xxhash import xxh3_64
except ImportError:
    xxh3_64 = None

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

    def segments(self, part):
        """Address and ids of the chunks of each segment."""
        data = b"".join(self.chunk(bytes.fromhex(chunk)) for chunk in part["map"])
        at = 5
        for _ in range(struct.unpack(">I", data[1:5])[0]):
            address, chunks = struct.unpack(">QI", data[at:at + 12])
            at += 12
            yield address, [data[at + n * 36:at + n * 36 + 32] for n in range(chunks)]
            at += chunks * 36

    def part(self, part):
        for _, chunks in self.segments(part):
            for chunk in chunks:
                yield self.chunk(chunk)


class Row:
    """Reads the fields of a segment of a list of files."""

    def __init__(self, data):
        self.data, self.at = data, 1
        assert data[0] in (1, 2), "a list of a version that is not known"

    def byte(self):
        self.at += 1
        return self.data[self.at - 1]

    def number(self):
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def signed(self):
        value = self.number()
        return -(value >> 1) - 1 if value & 1 else value >> 1

    def bytes(self, count):
        self.at += count
        return self.data[self.at - count:self.at]

    def text(self):
        return self.bytes(self.number())


MIB = 1 << 20
FILE, DIRECTORY, LINK, PIPE, CHARACTER, BLOCK = range(1, 7)


class Tree:
    """The files of a snapshot."""

    def __init__(self, repository, snapshot):
        parts = {part["name"]: part for part in repository.manifest(snapshot)["parts"]}
        assert "list" in parts, "this is no snapshot of files"
        self.repository, self.list = repository, parts["list"]
        self.data = dict(repository.segments(parts["data"])) if "data" in parts else {}
        self.opened = (None, b"")

    def segment(self, address):
        if self.opened[0] != address:
            self.opened = (address, b"".join(self.repository.chunk(c) for c in self.data[address]))
        return self.opened[1]

    def entries(self):
        for _, chunks in self.repository.segments(self.list):
            row = Row(b"".join(self.repository.chunk(chunk) for chunk in chunks))
            before = dict(path=b"", mode=0, owner=0, group=0, seconds=0, inode=0)
            bundle = None
            while row.at < len(row.data):
                head = row.byte()
                entry = dict(before, kind=head & 7)
                shared = row.number()
                entry["path"] = before["path"][:shared] + row.text()
                if not head & 64:
                    entry["mode"], entry["owner"], entry["group"] = row.number(), row.number(), row.number()
                entry["seconds"] += row.signed()
                entry["nanoseconds"] = row.number()
                if not head & 16:
                    row.signed(), row.number()
                entry["inode"] += row.signed()
                if entry["kind"] == FILE:
                    bundle = self.file(row, entry, bundle)
                elif entry["kind"] == LINK:
                    entry["target"] = row.text()
                elif entry["kind"] in (CHARACTER, BLOCK):
                    entry["device"] = row.number(), row.number()
                entry["attributes"] = [(row.text(), row.text()) for _ in range(row.number())] if head & 8 else []
                before = entry
                yield entry

    @staticmethod
    def file(row, entry, bundle):
        """Where the contents of a file are; returns where those of the next bundled one may follow."""
        entry["size"], flags = row.number(), row.byte()
        entry["name"] = row.number() if flags & 8 else None
        entry["place"], entry["holes"] = None, []
        if not entry["size"]:
            return bundle
        entry["hash"] = struct.unpack(">Q", row.bytes(8))[0]
        if flags & 1:
            entry["place"] = bundle
        elif flags & 2:
            entry["place"] = row.number(), row.number()
        else:
            entry["place"] = row.number(), None
        if flags & 4:
            end = 0
            for _ in range(row.number()):
                start = end + row.number()
                end = start + row.number()
                entry["holes"].append((start, end))
        address, offset = entry["place"]
        return bundle if offset is None else (address, offset + entry["size"])

    def contents(self, entry):
        """Yields the pieces of a file with their offsets; what is in none is a hole."""
        if entry["place"] is None:
            return
        (address, offset), size, check = entry["place"], entry["size"], xxh3_64 and xxh3_64()
        if offset is not None:
            pieces = [(0, self.segment(address)[offset:offset + size])]
        else:
            hollow = lambda n: any(a <= n * MIB and min(n * MIB + MIB, size) <= b for a, b in entry["holes"])
            numbers = (n for n in range((size + MIB - 1) // MIB) if not hollow(n))
            pieces = ((n * MIB, self.segment(address + n)) for n in numbers)
        for start, piece in pieces:
            assert len(piece) == min(size - start, MIB if offset is None else size), "wrong length"
            if check:
                check.update(piece)
            yield start, piece
        assert not check or check.intdigest() == entry["hash"], "wrong contents: " + show(entry["path"])

    def write(self, entry, path):
        with open(path, "wb") as out:
            for start, piece in self.contents(entry):
                out.seek(start)
                out.write(piece)
            out.truncate(entry["size"])

    def restore(self, directory):
        """Writes everything below a new directory; returns what this user may not set."""
        names, directories, refused = {}, [], []

        def attempt(what, path, action):
            try:
                action()
            except (OSError, NotImplementedError) as error:
                refused.append(f"{show(path)}: {what}: {error}")

        root = os.path.realpath(os.fsencode(directory))
        # Of a bucket there are keys and contents: folders are what keys need, the rest is not a file's.
        bucket = self.list["attributes"].get("order") == "keys"
        for entry in self.entries():
            if bucket and entry["path"].endswith(b"/") and not entry["size"]:
                continue
            parts = entry["path"].split(b"/") if entry["path"] else []
            assert not {b"", b".", b".."} & set(parts), "a path leads elsewhere"
            path, kind = os.path.join(root, *parts), entry["kind"]
            if bucket:
                os.makedirs(os.path.dirname(path), exist_ok=True)
                self.write(entry, path)
                continue
            assert os.path.realpath(os.path.dirname(path)) == os.path.dirname(path), "a path goes through a link"
            if kind == FILE and entry["name"] is not None and entry["name"] in names:
                os.link(names[entry["name"]], path, follow_symlinks=False)
                continue
            if kind == DIRECTORY:
                os.mkdir(path, 0o700)
                directories.append((path, entry))
            elif kind == FILE:
                self.write(entry, path)
                names[entry["name"]] = path
            elif kind == LINK:
                os.symlink(entry["target"], path)
            elif kind == PIPE:
                os.mkfifo(path)
            else:
                node = {CHARACTER: 0o020000, BLOCK: 0o060000}[kind]
                attempt("device", path, lambda: os.mknod(path, node | 0o600, os.makedev(*entry["device"])))
                if not os.path.lexists(path):
                    continue
            if kind != DIRECTORY:
                finish(path, entry, attempt)
        # What is in a directory changes its time; the innermost come last in the list.
        for path, entry in reversed(directories):
            finish(path, entry, attempt)
        return refused


def finish(path, entry, attempt):
    attempt("owner", path, lambda: os.chown(path, entry["owner"], entry["group"], follow_symlinks=False))
    for name, value in entry["attributes"]:
        attempt("attribute", path, lambda: os.setxattr(path, name, value, follow_symlinks=False))
    if entry["kind"] != LINK:
        attempt("mode", path, lambda: os.chmod(path, entry["mode"] & 0o7777))
    time = entry["seconds"] * 10**9 + entry["nanoseconds"]
    attempt("time", path, lambda: os.utime(path, ns=(time, time), follow_symlinks=False))


def show(path):
    return path.decode("utf-8", "backslashreplace")


def files(repository, verb, snapshot, *words):
    tree = Tree(repository, snapshot)
    if verb == "files":
        for entry in tree.entries():
            print("-fdlpcb"[entry["kind"]], f"{entry['mode'] & 0o7777:04o}", entry.get("size", 0), show(entry["path"]))
    elif verb == "file":
        path, output = os.fsencode(words[0]), words[1]
        found = [entry for entry in tree.entries() if entry["path"] == path and entry["kind"] == FILE]
        if not found:
            sys.exit(f"no file {words[0]} in it")
        tree.write(found[0], output)
    else:
        refused = tree.restore(words[0])
        for one in refused:
            print("not set:", one, file=sys.stderr)


def main(root, key, verb, snapshot=None, directory=None, output=None):
    repository = Repository(root, open(key).read())
    if verb in ("files", "file", "tree"):
        return files(repository, verb, snapshot, *filter(None, (directory, output)))
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
    words = {"list": 4, "extract": 6, "files": 5, "file": 7, "tree": 6}
    if len(sys.argv) != words.get((sys.argv + 4 * [""])[3]):
        sys.exit(__doc__)
    main(*sys.argv[1:])
