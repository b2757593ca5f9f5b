"""Fills an empty SCIM service with a few people and groups: scim2-seed.py URL TOKEN. Standard library only."""
import json
import sys
import urllib.request

URL, TOKEN = sys.argv[1:3]
USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"

# login, given, family, department, title, kind, manager, active
PEOPLE = [
    ("erin", "Erin", "East", "Executive", "Director", "Employee", None, True),
    ("bob", "Bob", "Builder", "Engineering", "Engineering Manager", "Employee", "erin", True),
    ("alice", "Alice", "Archer", "Engineering", "Engineer", "Employee", "bob", True),
    ("carol", "Carol", "Clark", "Security", "Security Lead", "Employee", "erin", True),
    ("dave", "Dave", "Dole", "Engineering", "Engineer", "Contractor", "bob", True),
    ("frank", "Frank", "Former", "Sales", "Representative", "Employee", "erin", False),
]
GROUPS = [
    ("engineers", ["bob", "alice"]),
    ("prod-db-readers", ["bob"]),
    ("countersign-administrators", ["erin"]),
    ("countersign-auditors", ["carol"]),
    ("nobody-yet", []),
]


def post(path, record):
    request = urllib.request.Request(
        URL + path,
        data=json.dumps(record).encode(),
        headers={"Authorization": "Bearer " + TOKEN, "Content-Type": "application/scim+json"},
    )
    with urllib.request.urlopen(request, timeout=5) as answer:
        return json.load(answer)["id"]


ids = {}
for number, (login, given, family, department, title, kind, manager, active) in enumerate(PEOPLE, 1):
    extension = {"department": department, "employeeNumber": str(100 + number)}
    if manager:
        extension["manager"] = {"value": ids[manager]}
    ids[login] = post("/Users", {
        "schemas": [USER, ENTERPRISE],
        "userName": login,
        "name": {"givenName": given, "familyName": family, "formatted": f"{given} {family}"},
        "displayName": f"{given} {family}",
        "title": title,
        "userType": kind,
        "active": active,
        "emails": [{"value": f"{login}@example.org", "type": "work", "primary": True}],
        ENTERPRISE: extension,
    })
for name, members in GROUPS:
    record = {"schemas": [GROUP], "displayName": name, "members": [{"value": ids[m], "type": "User"} for m in members]}
    ids["group " + name] = post("/Groups", record)
print(json.dumps(ids), file=sys.stderr)
