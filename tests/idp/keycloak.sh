#!/bin/sh
# Starts Keycloak (Maven Central, pinned) with the realms of keycloak-realm.py, in memory, on a loopback port.
#   tests/idp/keycloak.sh PORT PUBLIC_URL...
# Each PUBLIC_URL is where a Countersign may be; from them follow the addresses of its client "countersign" (secret
# "countersign-secret"). Prints "pid PID", then "url URL"; stop it with kill PID. Installed once under target/idp (IDP_HOME changes
# that) by Maven, the ordinary client of its registry; needs Java 17 or later.
#   tests/idp/keycloak.sh --install     only installs.
# With IDP_UNTIL=PID it stops by itself when that process is gone.
set -eu
port=${1:?usage: keycloak.sh PORT PUBLIC_URL... | --install}
shift
here=$(cd "$(dirname "$0")" && pwd)
home=${IDP_HOME:-$here/../../target/idp}
mkdir -p "$home"
home=$(cd "$home" && pwd)
version=26.7.3
sha256=27a6535553c3cdcd083872ba40629efafb3475e3b758e0c6f691395561dd0f1f
place=$home/keycloak-$version
# The second time it starts is what counts: nothing is worth compiling twice for so short a life.
export JAVA_OPTS_KC_HEAP="-Xms64m -Xmx384m -XX:MaxMetaspaceSize=256m -XX:ReservedCodeCacheSize=64m -XX:TieredStopAtLevel=1"
# One installation at a time, and never half of one: built aside, then renamed.
exec 9>"$home/keycloak.lock"
flock 9
if [ ! -d "$place" ]; then
    aside=$home/keycloak-aside
    rm -rf "$aside"
    mkdir -p "$aside"
    mvn -B -q org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy \
        "-Dartifact=org.keycloak:keycloak-quarkus-dist:$version:zip" "-DoutputDirectory=$aside" >&2
    echo "$sha256  $aside/keycloak-quarkus-dist-$version.zip" | sha256sum --check --quiet >&2
    python3 -m zipfile -e "$aside/keycloak-quarkus-dist-$version.zip" "$aside"
    sh "$aside/keycloak-$version/bin/kc.sh" build --db=dev-mem --health-enabled=false --metrics-enabled=false >"$home/keycloak-build.log" 2>&1 \
        || { cat "$home/keycloak-build.log" >&2; exit 1; }
    mv "$aside/keycloak-$version" "$place"
    rm -rf "$aside"
fi
flock -u 9
[ "$port" != --install ] || exit 0
realm=$(mktemp -d "$home/keycloak-realm.XXXXXX")
python3 "$here/keycloak-realm.py" "$realm" "$@"
KC_BOOTSTRAP_ADMIN_USERNAME=admin KC_BOOTSTRAP_ADMIN_PASSWORD="$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')" \
    sh "$place/bin/kc.sh" start --optimized --cache=local --http-enabled=true --http-host=127.0.0.1 --http-port="$port" \
    --hostname-strict=false "-Dkeycloak.migration.action=import" "-Dkeycloak.migration.provider=dir" \
    "-Dkeycloak.migration.dir=$realm" >"$home/keycloak-$port.log" 2>&1 9>&- &
pid=$!
tries=0
until python3 -c "import urllib.request as u; u.urlopen('http://127.0.0.1:$port/realms/conform', timeout=5)" 2>/dev/null; do
    tries=$((tries + 1))
    if [ "$tries" -ge 600 ] || ! kill -0 "$pid" 2>/dev/null; then
        cat "$home/keycloak-$port.log" >&2
        kill "$pid" 2>/dev/null || true
        rm -rf "$realm"
        exit 1
    fi
    sleep 0.2
done
rm -rf "$realm"
if [ -n "${IDP_UNTIL:-}" ]; then
    (
        while kill -0 "$IDP_UNTIL" 2>/dev/null && kill -0 "$pid" 2>/dev/null; do sleep 1; done
        kill "$pid" 2>/dev/null || true
    ) >/dev/null 2>&1 9>&- </dev/null &
fi
echo "pid $pid"
echo "url http://127.0.0.1:$port"
