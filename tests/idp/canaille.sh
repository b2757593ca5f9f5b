#!/bin/sh
# Starts Canaille (PyPI, pinned), an OpenID Provider and SCIM 2.0 service whose SCIM goes its own ways, on a loopback port.
#   tests/idp/canaille.sh PORT PUBLIC_URL
# PUBLIC_URL is where Countersign is, such as http://127.0.0.1:8080; from it follow the redirect URIs.
# Prints "pid PID", then "url URL"; stop it with kill PID. Client "countersign", secret "countersign-secret", to sign in; client
# "directory", secret "directory-secret", for a SCIM token; people alice, bob, carol, dave, erin with the password LOGIN-password.
# Installed once under target/idp (IDP_HOME changes that).
set -eu
port=${1:?usage: canaille.sh PORT PUBLIC_URL}
public=${2:?usage: canaille.sh PORT PUBLIC_URL}
here=$(cd "$(dirname "$0")" && pwd)
home=${IDP_HOME:-$here/../../target/idp}
mkdir -p "$home"
home=$(cd "$home" && pwd)
venv=$home/canaille-0.3.6
exec 9>"$home/canaille.lock"
flock 9
if [ ! -f "$venv/installed" ]; then
    rm -rf "$venv"
    python3 -m venv "$venv" >&2
    # With the newest scim2-models it answers 500 to every list.
    "$venv/bin/pip" install --quiet --disable-pip-version-check \
        'canaille[front,oidc,scim,sqlite,server,otp]==0.3.6' 'scim2-models==0.9.0' 'scim2-client==0.10.0' >&2 || { rm -rf "$venv"; exit 1; }
    touch "$venv/installed"
fi
flock -u 9
folder=$(mktemp -d "$home/canaille.XXXXXX")
"$venv/bin/python" "$here/canaille-serve.py" "$port" "$public" "$folder" >"$home/canaille-$port.log" 2>&1 9>&- &
pid=$!
tries=0
until "$venv/bin/python" -c "import urllib.request as u; u.urlopen('http://127.0.0.1:$port/.well-known/openid-configuration', timeout=5)" 2>/dev/null; do
    tries=$((tries + 1))
    if [ "$tries" -ge 600 ] || ! kill -0 "$pid" 2>/dev/null; then
        cat "$home/canaille-$port.log" >&2
        kill "$pid" 2>/dev/null || true
        rm -rf "$folder"
        exit 1
    fi
    sleep 0.2
done
echo "pid $pid"
echo "url http://127.0.0.1:$port"
