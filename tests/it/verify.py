"""A second verifier of Countersign's bundles and event lists, written from docs/VERIFY.md alone: python3 verify.py PATH [KEY]."""
import base64, hashlib, io, json, os, sys, zipfile

PERSONAL = {"actor_name", "name", "email", "reason", "comment", "question", "answer", "note", "given_by", "person",
            "reference", "subject", "justification", "rationale", "error", "why", "sentence", "changes", "old", "new", "source", "filters"}

def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()

# --- Ed25519 (RFC 8032 section 5.1), slow and plain
P, L = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P

def recover(y, sign):
    x2 = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(x2, (P + 3) // 8, P)
    if (x * x - x2) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    assert not (x * x - x2) % P, "no point"
    return P - x if x % 2 != sign else x

def point(data):
    y = int.from_bytes(data, "little")
    return recover(y & (2**255 - 1), y >> 255), y & (2**255 - 1)

def add(p, q):
    t = D * p[0] * q[0] * p[1] * q[1] % P
    return ((p[0] * q[1] + p[1] * q[0]) * pow(1 + t, P - 2, P) % P, (p[1] * q[1] + p[0] * q[0]) * pow(1 - t, P - 2, P) % P)

def times(n, p):
    q = (0, 1)
    while n:
        q, p, n = add(p, q) if n & 1 else q, add(p, p), n >> 1
    return q

BASE_Y = 4 * pow(5, P - 2, P) % P
BASE = (recover(BASE_Y, 0), BASE_Y)

def signed(key, text, signature):
    r, s = signature[:32], int.from_bytes(signature[32:], "little")
    k = int.from_bytes(hashlib.sha512(r + key + text).digest(), "little") % L
    return s < L and times(s, BASE) == add(point(r), times(k, point(key)))

def note(text, key):
    name, ident, encoded = key.strip().split("+", 2)
    raw = base64.b64decode(encoded)
    assert raw[0] == 1 and sha(name.encode(), b"\n", raw)[:4].hex() == ident, "the key is none"
    text, lines = text.rsplit("\n\n", 1)
    for line in lines.splitlines():
        _, signer, data = line.split(" ")
        data = base64.b64decode(data)
        if signer == name and data[:4].hex() == ident:
            assert signed(raw[1:], text.encode() + b"\n", data[4:]), "the signature is false"
            return text.splitlines()
    raise AssertionError("not signed by this key")

def commit(value, pointer, salt, erased, personal=False):
    told = erased.get(pointer, {})
    if isinstance(value, list):
        return [commit(v, f"{pointer}/{i}", salt, erased, personal) for i, v in enumerate(value)]
    if isinstance(value, dict):
        assert not (personal and set(value) == {"commitment"}), "a hidden text"
        return {k: commit(v, pointer + "/" + k.replace("~", "~0").replace("/", "~1"), salt, erased, k in PERSONAL) for k, v in value.items()}
    if personal and isinstance(value, str):
        field = bytes.fromhex(told["salt"]) if "salt" in told else sha(salt, pointer.encode())
        return {"commitment": sha(field, value.encode()).hex()}
    return {"commitment": told["commitment"]} if personal and value is None and "commitment" in told else value

def canonical(value):
    if isinstance(value, dict):
        return "{" + ",".join(canonical(k) + ":" + canonical(v) for k, v in sorted(value.items(), key=lambda i: i[0].encode("utf-16-be"))) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, value)) + "]"
    return json.dumps(value, ensure_ascii=False)

def leaf(event):
    salt, erased = event.pop("salt", None), event.pop("erased", None) or {}
    place, stated = int(event.pop("leaf_index")), event.pop("leaf_hash")
    node = sha(b"\0", canonical(commit(event, "", bytes.fromhex(salt) if salt else b"", erased)).encode())
    assert node.hex() == stated, f"leaf {place} was changed"
    return place, node

class Tree:  # a stack of perfect subtrees
    def __init__(self):
        self.size, self.stack = 0, []

    def push(self, level, node):
        grown = 1 << level
        while self.size >> level & 1:
            node, level = sha(b"\1", self.stack.pop(), node), level + 1
        self.stack.append(node)
        self.size += grown

    def fill(self, end, nodes):
        for node in nodes:
            level = (end - self.size).bit_length() - 1
            while self.size % (1 << level):
                level -= 1
            self.push(level, bytes.fromhex(node))
        assert self.size == end, "the hashes do not fit the leaves"

    def root(self):
        node = self.stack[-1] if self.stack else sha()
        for left in reversed(self.stack[:-1]):
            node = sha(b"\1", left, node)
        return node

def events(read, key, narrowed):
    proof, log = json.load(read("proof.json")), note(read("checkpoint").read().decode(), key)
    tree, told = Tree(), 0
    tree.fill(int(proof["first"]), proof["before"])
    for line in read("events.jsonl"):
        event = json.loads(line)
        if "withheld" in event:
            assert narrowed and int(event["first"]) == tree.size, "withheld leaves stand where others belong"
            tree.fill(int(event["end"]), event["withheld"])
        else:
            place, node = leaf(event)
            assert place == tree.size, f"leaf {place} stands where {tree.size} belongs"
            tree.push(0, node)
            told += 1
    assert tree.size == int(proof["end"]), f"leaves {tree.size} to {proof['end']} are missing"
    tree.fill(int(log[1]), proof["after"])
    assert tree.root() == base64.b64decode(log[2]), "the events do not make the signed root"
    return told

def bundle(read, names, key):
    text, (says, digest) = read("manifest.json").read(), note(read("manifest.note").read().decode(), key)
    assert says == "countersign manifest v1" and sha(text).hex() == digest, "the manifest is not the one that was signed"
    files = json.loads(text)["files"]
    assert sorted(names) == sorted([f["name"] for f in files] + ["manifest.json", "manifest.note", "key"]), "a file is missing, or too many"
    for file in files:
        assert hashlib.file_digest(read(file["name"]), "sha256").hexdigest() == file["sha256"], f"{file['name']} was changed"

try:
    path, zipped = sys.argv[1], not os.path.isdir(sys.argv[1]) and zipfile.ZipFile(sys.argv[1])
    opened = lambda name: io.BufferedReader(zipped.open(name)) if zipped else open(f"{path}/{name}", "rb")
    believed = open(sys.argv[2]).read() if len(sys.argv) > 2 else opened("key").read().decode()
    found = zipped.namelist() if zipped else os.listdir(path)
    if "manifest.json" in found:
        bundle(opened, found, believed)
    print("verified", events(opened, believed, "manifest.json" in found))
except (AssertionError, ValueError, KeyError, IndexError, OSError, zipfile.BadZipFile) as error:
    sys.exit(f"not verified: {error}")
