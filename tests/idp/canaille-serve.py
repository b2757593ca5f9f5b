#!/usr/bin/env python3
"""Canaille (OpenID Connect and SCIM 2.0) for tests, with people and groups: canaille-serve.py PORT PUBLIC_URL FOLDER (see canaille.sh).

One process: what its command line would take a minute for, one start for each record.
"""
import asyncio
import shutil
import sys

from asgiref.wsgi import WsgiToAsgi
from hypercorn.asyncio import serve
from hypercorn.config import Config
from joserfc.jwk import RSAKey

from canaille import create_app

port, public, folder = int(sys.argv[1]), sys.argv[2], sys.argv[3]
# login, given, family, department, title, locked
PEOPLE = [
    ("erin", "Erin", "East", "Executive", "Director", False),
    ("bob", "Bob", "Builder", "Engineering", "Engineering Manager", False),
    ("alice", "Alice", "Archer", "Engineering", "Engineer", False),
    ("carol", "Carol", "Clark", "Security", "Security Lead", False),
    ("dave", "Dave", "Dole", "Sales", "Representative", False),
]
GROUPS = [
    ("engineers", ["bob", "alice"]),
    ("prod-db-readers", ["bob"]),
    ("countersign-administrators", ["erin"]),
    ("countersign-auditors", ["carol"]),
]
key = RSAKey.generate_key(2048, {"use": "sig", "alg": "RS256", "kid": "the-key"}, private=True)
app = create_app(
    {
        "SECRET_KEY": "for tests only",
        "SERVER_NAME": f"127.0.0.1:{port}",
        "PREFERRED_URL_SCHEME": "http",
        "CANAILLE": {
            "DATABASE": "sql",
            "ENABLE_REGISTRATION": False,
            "ENABLE_PASSWORD_RECOVERY": False,
            "ACL": {"DEFAULT": {"PERMISSIONS": ["edit_self", "use_oidc"]}},
        },
        "CANAILLE_SQL": {"DATABASE_URI": f"sqlite:///{folder}/canaille.sqlite", "PASSWORD_SCHEMES": "pbkdf2_sha512"},
        "CANAILLE_OIDC": {"ACTIVE_JWKS": [key.as_dict(private=True)]},
        "CANAILLE_SCIM": {"ENABLE_SERVER": True},
    }
)
with app.app_context():
    from canaille.app import models
    from canaille.backends import Backend

    with Backend.instance.session():
        people = {}
        for login, given, family, department, title, locked in PEOPLE:
            people[login] = models.User(
                user_name=login,
                password=f"{login}-password",
                given_name=given,
                family_name=family,
                formatted_name=f"{given} {family}",
                display_name=f"{given} {family}",
                # Its own check refuses top-level domains that are kept for tests.
                emails=[f"{login}@example.org"],
                department=department,
                title=title,
            )
            Backend.instance.save(people[login])
        for name, members in GROUPS:
            Backend.instance.save(models.Group(display_name=name, members=[people[login] for login in members]))
        client = models.Client(
            client_id="countersign",
            client_secret="countersign-secret",
            client_name="Countersign",
            client_uri=public,
            redirect_uris=[f"{public}/sign-in/callback"],
            post_logout_redirect_uris=[f"{public}/signed-out"],
            grant_types=["authorization_code"],
            response_types=["code"],
            token_endpoint_auth_method="client_secret_basic",
            scope=["openid", "profile", "email", "groups"],
            # It signs with RS512, and for nobody, unless told.
            id_token_signed_response_alg="RS256",
        )
        Backend.instance.save(client)
        client.audience = [client]
        Backend.instance.save(client)
        Backend.instance.save(
            models.Client(
                client_id="directory",
                client_secret="directory-secret",
                client_name="Directory",
                client_uri=public,
                redirect_uris=[f"{public}/none"],
                grant_types=["client_credentials"],
                response_types=["token"],
                token_endpoint_auth_method="client_secret_basic",
                scope=["openid"],
            )
        )
config = Config()
config.bind = [f"127.0.0.1:{port}"]
# Until it is told to stop.
asyncio.run(serve(WsgiToAsgi(app), config))
shutil.rmtree(folder)
