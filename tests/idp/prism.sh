#!/bin/sh
# Starts Prism (npm, pinned) before a server: requests and answers that break the OpenAPI document become errors.
#   tests/idp/prism.sh PORT DOCUMENT UPSTREAM
# Becomes Prism itself, which ends when its standard input does. Installed once under target/tools (TOOLS_HOME changes that);
# `tests/idp/prism.sh install` does no more than that.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
home=${TOOLS_HOME:-$here/../../target/tools}
mkdir -p "$home"
home=$(cd "$home" && pwd)
modules=$home/prism-5.16.0
# One installation at a time, and never half of one.
exec 9>"$home/prism.lock"
flock 9
if [ ! -f "$modules/installed" ]; then
    rm -rf "$modules"
    mkdir -p "$modules"
    echo '{"private":true}' >"$modules/package.json"
    (cd "$modules" && npm install --silent --no-audit --no-fund --ignore-scripts --save-exact @stoplight/prism-cli@5.16.0 >&2)
    # Whoever starts it holds its standard input, and takes it along when it ends, however it ends.
    echo 'process.stdin.on("end", () => process.exit(0)).resume();' >"$modules/with-parent.cjs"
    touch "$modules/installed"
fi
exec 9>&-
[ "${1:-}" != install ] || exit 0
port=${1:?usage: prism.sh PORT DOCUMENT UPSTREAM}
document=${2:?usage: prism.sh PORT DOCUMENT UPSTREAM}
upstream=${3:?usage: prism.sh PORT DOCUMENT UPSTREAM}
exec env NO_COLOR=1 node --require "$modules/with-parent.cjs" "$modules/node_modules/.bin/prism" proxy --errors \
    --host 127.0.0.1 --port "$port" "$document" "$upstream"
