#!/bin/sh
# Starts scim2-server (PyPI, pinned), an independent SCIM 2.0 service, on a loopback port, filled by scim2-seed.py.
#   tests/idp/scim2-server.sh PORT [TOKEN]
# Prints "pid PID", then "url URL"; stop it with kill PID. Installed once under target/idp (IDP_HOME changes that).
set -eu
port=${1:?usage: scim2-server.sh PORT [TOKEN]}
token=${2:-scim-token}
here=$(cd "$(dirname "$0")" && pwd)
home=${IDP_HOME:-$here/../../target/idp}
mkdir -p "$home"
home=$(cd "$home" && pwd)
venv=$home/scim2-server-0.8.3
# One installation at a time, and never half of one: built aside, then renamed.
exec 9>"$home/scim2-server.lock"
flock 9
if [ ! -x "$venv/bin/scim2-server" ]; then
    rm -rf "$venv"
    python3 -m venv "$venv" >&2
    "$venv/bin/pip" install --quiet --disable-pip-version-check \
        'scim2-server==0.8.3' 'scim2-models==0.12.3' >&2 || { rm -rf "$venv"; exit 1; }
fi
flock -u 9
"$venv/bin/scim2-server" --hostname 127.0.0.1 --port "$port" --bearer-token "$token" \
    >"$home/scim2-server-$port.log" 2>&1 9>&- &
pid=$!
tries=0
until "$venv/bin/python" "$here/scim2-seed.py" "http://127.0.0.1:$port" "$token" 2>"$home/scim2-seed-$port.log"; do
    tries=$((tries + 1))
    if [ "$tries" -ge 600 ] || ! kill -0 "$pid" 2>/dev/null; then
        cat "$home/scim2-server-$port.log" "$home/scim2-seed-$port.log" >&2
        kill "$pid" 2>/dev/null || true
        exit 1
    fi
    sleep 0.1
done
echo "pid $pid"
echo "url http://127.0.0.1:$port"
