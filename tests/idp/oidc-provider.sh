#!/bin/sh
# Starts oidc-provider (npm, pinned), a certified OpenID Provider, on a loopback port.
#   tests/idp/oidc-provider.sh PORT PUBLIC_URL
# PUBLIC_URL is where Countersign is, such as http://127.0.0.1:8080; from it follow the redirect URIs.
# Prints "pid PID", then "issuer URL"; stop it with kill PID. Client "countersign", secret "countersign-secret"; people
# alice, bob, carol, dave, erin, frank with any password. Installed once under target/idp (IDP_HOME changes that).
# The npm package "node" brings the runtime, as distributions ship older ones.
set -eu
port=${1:?usage: oidc-provider.sh PORT PUBLIC_URL}
public=${2:?usage: oidc-provider.sh PORT PUBLIC_URL}
here=$(cd "$(dirname "$0")" && pwd)
home=${IDP_HOME:-$here/../../target/idp}
mkdir -p "$home"
home=$(cd "$home" && pwd)
modules=$home/oidc-provider-9.13.3
exec 9>"$home/oidc-provider.lock"
flock 9
if [ ! -f "$modules/installed" ]; then
    rm -rf "$modules"
    mkdir -p "$modules"
    echo '{"private":true,"type":"module"}' >"$modules/package.json"
    (cd "$modules" && npm install --silent --no-audit --no-fund --save-exact oidc-provider@9.13.3 node@22 >&2)
    touch "$modules/installed"
fi
flock -u 9
cp "$here/oidc-provider.mjs" "$modules/server.mjs"
cd "$modules"
node_modules/node/bin/node server.mjs "$port" "$public" >"$home/oidc-provider-$port.log" 2>&1 9>&- &
pid=$!
tries=0
until curl -fs -o /dev/null "http://127.0.0.1:$port/.well-known/openid-configuration"; do
    tries=$((tries + 1))
    if [ "$tries" -ge 600 ] || ! kill -0 "$pid" 2>/dev/null; then
        cat "$home/oidc-provider-$port.log" >&2
        kill "$pid" 2>/dev/null || true
        exit 1
    fi
    sleep 0.1
done
echo "pid $pid"
echo "issuer http://127.0.0.1:$port"
