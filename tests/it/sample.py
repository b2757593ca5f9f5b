"""Draws a sample from a file of Countersign, written from docs/sampling.md alone: python3 sample.py FILE.csv SEED SIZE."""
import csv, hashlib, os, sys

csv.field_size_limit(1 << 30)
ID_OF = {
    "requests": ["request_id"],
    "approvals": ["request_id", "step_no", "slot_source", "assigned_to_id"],
    "grants": ["grant_id"],
    "leavers": ["person_id", "detected_at"],
    "movers": ["person_id", "attribute", "changed_at"],
    "provisioning": ["attempt_id"],
    "drift": ["first_seen_sync_id", "event_seq_first"],
    "policy_changes": ["change_id"],
}
path, seed, size = sys.argv[1], sys.argv[2], int(sys.argv[3])
cells = ID_OF[os.path.basename(path).split(".")[0]]
with open(path, encoding="utf-8", newline="") as file:
    ids = {"|".join(row[cell] for cell in cells) for row in csv.DictReader(file)}
digest = lambda id: hashlib.sha256(seed.encode() + b"\0" + id.encode()).hexdigest()
print(len(ids))
for id in sorted(ids, key=lambda id: (digest(id), id))[:size]:
    print(digest(id), id)
