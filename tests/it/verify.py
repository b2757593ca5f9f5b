"""A second verifier of Countersign's event lists, written from docs/VERIFY.md alone: python3 verify.py FOLDER [KEY]."""
import base64, hashlib, json, sys

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
    if (x * x - x2) % P:
        raise ValueError("no point")
    return P - x if x % 2 != sign else x

def point(data):
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    x = recover(y, sign)
    return (x, y, 1, x * y % P)

def add(p, q):
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)

def times(n, p):
    q = (0, 1, 1, 0)
    while n:
        if n & 1:
            q = add(q, p)
        p, n = add(p, p), n >> 1
    return q

BASE_Y = 4 * pow(5, P - 2, P) % P
BASE = (recover(BASE_Y, 0), BASE_Y, 1, recover(BASE_Y, 0) * BASE_Y % P)

def signed(key, text, signature):
    r, s = signature[:32], int.from_bytes(signature[32:], "little")
    if s >= L:
        return False
    k = int.from_bytes(hashlib.sha512(r + key + text).digest(), "little") % L
    left, right = times(s, BASE), add(point(r), times(k, point(key)))
    return (left[0] * right[2] - right[0] * left[2]) % P == 0 and (left[1] * right[2] - right[1] * left[2]) % P == 0

def checkpoint(note, key):
    name, ident, encoded = key.strip().split("+", 2)
    raw = base64.b64decode(encoded)
    assert raw[0] == 1 and sha(name.encode(), b"\n", raw)[:4].hex() == ident, "the key is none"
    text, lines = note.rsplit("\n\n", 1)
    text += "\n"
    for line in lines.splitlines():
        _, signer, data = line.split(" ")
        data = base64.b64decode(data)
        if signer == name and data[:4].hex() == ident:
            assert signed(raw[1:], text.encode(), data[4:]), "the signature is false"
            fields = text.splitlines()
            return int(fields[1]), base64.b64decode(fields[2])
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
    event = dict(event)
    salt, erased = event.pop("salt", None), event.pop("erased", None) or {}
    event.pop("leaf_index"), event.pop("leaf_hash")
    event = commit(event, "", bytes.fromhex(salt) if salt else b"", erased)
    return sha(b"\0", canonical(event).encode())

# --- the tree: a stack of perfect subtrees
class Tree:
    def __init__(self):
        self.size, self.stack = 0, []

    def push(self, level, node):
        grown = 1 << level
        while self.size >> level & 1:
            node, level = sha(b"\1", self.stack.pop(), node), level + 1
        self.stack.append(node)
        self.size += grown

    def root(self):
        node = self.stack[-1] if self.stack else sha()
        for left in reversed(self.stack[:-1]):
            node = sha(b"\1", left, node)
        return node

def parts(start, end):
    while start < end:
        level = (end - start).bit_length() - 1
        while start % (1 << level):
            level -= 1
        yield level
        start += 1 << level

def verify(folder, key_file):
    read = lambda name: open(f"{folder}/{name}", encoding="utf-8").read()
    proof, (size, root) = json.loads(read("proof.json")), checkpoint(read("checkpoint"), open(key_file).read())
    first, end, tree = int(proof["first"]), int(proof["end"]), Tree()
    for level, node in zip(parts(0, first), proof["before"], strict=True):
        tree.push(level, bytes.fromhex(node))
    for number, line in enumerate(open(f"{folder}/events.jsonl", encoding="utf-8"), first):
        event = json.loads(line)
        node = leaf(event)
        assert int(event["leaf_index"]) == number, f"leaf {event['leaf_index']} stands where {number} belongs"
        assert node.hex() == event["leaf_hash"], f"leaf {number} was changed"
        tree.push(0, node)
    assert tree.size == end, f"leaves {tree.size} to {end} are missing"
    for level, node in zip(parts(end, size), proof["after"], strict=True):
        tree.push(level, bytes.fromhex(node))
    assert tree.root() == root, "the events do not make the signed root"
    return end - first

if __name__ == "__main__":
    try:
        print("verified", verify(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else sys.argv[1] + "/key"))
    except (AssertionError, ValueError, KeyError, IndexError) as error:
        sys.exit(f"not verified: {error}")
