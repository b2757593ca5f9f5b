#!/usr/bin/env python3
"""Writes the realms that keycloak.sh imports: python3 keycloak-realm.py FOLDER PUBLIC_URL...

"staff" is a small company; "conform" has nobody yet. Each PUBLIC_URL is where a Countersign may be, such as http://127.0.0.1:8080; from
them follow the addresses of its client.
"""
import json
import sys

FOLDER, PUBLIC = sys.argv[1], sys.argv[2:]
PASSWORD = "a-password-for-tests"

# login, given, family, department, title, kind, manager, enabled
PEOPLE = [
    ("erin", "Erin", "East", "Executive", "Director", "Employee", None, True),
    ("bob", "Bob", "Builder", "Engineering", "Engineering Manager", "Employee", "erin", True),
    ("alice", "Alice", "Archer", "Engineering", "Engineer", "Employee", "bob", True),
    ("carol", "Carol", "Clark", "Security", "Security Lead", "Employee", "erin", True),
    ("dave", "Dave", "Dole", "Engineering", "Engineer", "Contractor", "bob", True),
    ("frank", "Frank", "Former", "Sales", "Representative", "Employee", "erin", False),
    ("zoë.o'neil+x@example.org", "Zoë", "O'Neil", "R&D / \"Labs\"", "Scientist", "Employee", "bob", True),
]
# path, direct members
GROUPS = [
    ("/countersign-administrators", ["erin"]),
    ("/countersign-auditors", ["carol"]),
    ("/prod-db-readers", ["bob"]),
    ("/nobody-yet", []),
    ("/engineering", ["bob"]),
    ("/engineering/backend", ["alice"]),
    ("/engineering/backend/on-call", ["dave"]),
    ("/engineering/frontend", []),
    ("/sales", []),
    ("/sales/backend", [PEOPLE[-1][0]]),
    ("/Ünal & Söhne ~ 100%", []),
]
# More children than one page of them holds.
GROUPS += [(f"/sales/region-{n:03}", []) for n in range(120)]


def tree():
    top, nodes = [], {}
    for path, _ in GROUPS:
        parent, name = path.rsplit("/", 1)
        nodes[path] = {"name": name, "path": path, "attributes": {}, "subGroups": []}
        (nodes[parent]["subGroups"] if parent else top).append(nodes[path])
    return top


def person(number, login, given, family, department, title, kind, manager, enabled):
    attributes = {
        "department": [department],
        "jobTitle": [title],
        "employeeType": [kind],
        "employeeNumber": [str(100 + number)],
        "badges": ["one", "two"],
    }
    if manager:
        attributes["manager"] = [manager]
    return {
        "username": login,
        "firstName": given,
        "lastName": family,
        "email": login if "@" in login else f"{login}@example.org",
        "emailVerified": True,
        "enabled": enabled,
        "attributes": attributes,
        "credentials": [{"type": "password", "value": PASSWORD, "temporary": False}],
        "groups": [path for path, members in GROUPS if login in members],
    }


def service(client, secret, roles, token_lasts=3600):
    """A confidential client that acts for itself, and the user behind it."""
    record = {
        "clientId": client,
        "secret": secret,
        "publicClient": False,
        "standardFlowEnabled": False,
        "serviceAccountsEnabled": True,
        "fullScopeAllowed": True,
        "attributes": {"access.token.lifespan": str(token_lasts)},
    }
    user = {
        "username": f"service-account-{client}",
        "enabled": True,
        "serviceAccountClientId": client,
        "clientRoles": {"realm-management": roles},
    }
    return record, user


READ = ["view-users", "query-users", "query-groups"]
services = [
    service("directory", "directory-secret", READ + ["manage-users", "view-events"], token_lasts=60),
    service("reader", "reader-secret", READ),
    service("asker", "asker-secret", ["query-users", "query-groups"]),
    service("nobody", "nobody-secret", []),
    # The tests' own: it sees and changes what Countersign is held against.
    service("witness", "witness-secret", ["realm-admin"]),
]
single_sign_on = {
    "clientId": "countersign",
    "secret": "countersign-secret",
    "publicClient": False,
    "standardFlowEnabled": True,
    "directAccessGrantsEnabled": False,
    "redirectUris": [f"{url}/sign-in/callback" for url in PUBLIC],
    "attributes": {
        "pkce.code.challenge.method": "S256",
        "post.logout.redirect.uris": "##".join(f"{url}/signed-out" for url in PUBLIC),
        "backchannel.logout.url": f"{PUBLIC[0]}/sign-in/back-channel-logout" if PUBLIC else "",
        "backchannel.logout.session.required": "true",
    },
}
profile = {
    # What is no attribute of the profile is kept all the same, and only administrators write it.
    "unmanagedAttributePolicy": "ADMIN_EDIT",
    "attributes": [
        {"name": name, "permissions": {"view": ["admin", "user"], "edit": ["admin"]}, "multivalued": False}
        for name in ["username", "email", "firstName", "lastName"]
    ],
}


def write(realm, clients, users, groups):
    record = {
        "realm": realm,
        "enabled": True,
        "sslRequired": "none",
        # Tests move their clock; ID tokens last as long as access tokens.
        "accessTokenLifespan": 3600,
        "loginWithEmailAllowed": True,
        # Five thousand people are made faster without.
        "adminEventsEnabled": realm == "staff",
        "adminEventsDetailsEnabled": False,
        "clients": clients + [client for client, _ in services],
        "users": users + [user for _, user in services],
        "groups": groups,
        "components": {
            "org.keycloak.userprofile.UserProfileProvider": [
                {"providerId": "declarative-user-profile", "config": {"kc.user.profile.config": [json.dumps(profile)]}}
            ]
        },
    }
    with open(f"{FOLDER}/{realm}-realm.json", "w", encoding="utf-8") as file:
        json.dump(record, file)


write("staff", [single_sign_on], [person(number, *row) for number, row in enumerate(PEOPLE, 1)], tree())
write("conform", [], [], [])
