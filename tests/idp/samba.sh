#!/usr/bin/env bash
# Starts Samba as an Active Directory domain controller (Debian's samba-ad-dc), LDAP alone, on loopback.
#   tests/idp/samba.sh OWNER
# Prints "pid PID", "url URL" and "ca FILE"; stop it with kill PID. It also stops when the process OWNER is gone. Its ports (389, 636,
# 3268, 3269) are fixed in Samba, so it needs root, and one runs at a time: the next waits. The domain is made once, with people and
# groups, and kept under target/idp (IDP_HOME changes that); each start begins with a copy of it.
# Administrator: administrator@ad.example.org / Admin-pw-1. Service account, which may write members below OU=Groups and read the rest:
# svc@ad.example.org / Svc-pw-1. One that may only read: reader@ad.example.org / Reader-pw-1.
set -euo pipefail
owner=${1:?usage: samba.sh OWNER}
fail() { echo "samba.sh: $*" >&2; exit 1; }
[ "$(id -u)" = 0 ] || fail "Samba's ports are fixed below 1024, so this test needs root"
for tool in samba samba-tool ldbadd openssl ldapsearch; do
  command -v "$tool" >/dev/null || fail "$tool is not installed; script/bootstrap --test does that"
done
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
home=${IDP_HOME:-$here/../../target/idp}
mkdir -p "$home"
home=$(cd "$home" && pwd)
base=DC=ad,DC=example,DC=org

# The whole machine has these ports once.
exec 9>/tmp/countersign-samba.lock
flock -w 1800 9 || fail "another Samba holds the ports for half an hour"

made=$home/samba-domain-$(cat "${BASH_SOURCE[0]}" <(samba --version) | sha256sum | cut -c1-12)
people() {
  local number
  for number in $(seq 5000); do
    printf 'dn: CN=Person %04d,OU=People,%s\nobjectClass: user\nsAMAccountName: p%04d\nmail: p%04d@example.org\nuserAccountControl: 544\n\n' \
      "$number" "$base" "$number" "$number"
  done
}
group_of_all() {
  local number
  printf 'dn: CN=everybody,OU=Groups,%s\nobjectClass: group\nsAMAccountName: everybody\ngroupType: -2147483646\n' "$base"
  for number in $(seq 5000); do printf 'member: CN=Person %04d,OU=People,%s\n' "$number" "$base"; done
  echo
}
make_domain() {
  local new=$1 sam account
  samba-tool domain provision --targetdir="$new" --realm=AD.EXAMPLE.ORG --domain=ADEX --host-name=dc1 --host-ip=127.0.0.1 \
    --adminpass=Admin-pw-1 --server-role=dc --dns-backend=NONE --use-rfc2307 --option="interfaces=127.0.0.1/8" \
    --option="bind interfaces only=yes" --option="server services=ldap" --option="vfs objects=" >"$home/samba-provision.log" 2>&1 ||
    { tail -20 "$home/samba-provision.log" >&2; return 1; }
  sam=$new/private/sam.ldb
  sed "s/BASE/$base/" "$here/samba-seed.ldif" >"$new/seed.ldif"
  people >"$new/people.ldif"
  group_of_all >"$new/group.ldif"
  for account in seed people group; do
    ldbadd -H "$sam" --configfile="$new/etc/smb.conf" "$new/$account.ldif" >"$home/samba-seed.log" 2>&1 || { tail -20 "$home/samba-seed.log" >&2; return 1; }
  done
  samba-tool user create svc Svc-pw-1 --configfile="$new/etc/smb.conf" -H "$sam" >&2
  samba-tool user create reader Reader-pw-1 --configfile="$new/etc/smb.conf" -H "$sam" >&2
  local sid
  sid=$(samba-tool user show svc --attributes=objectSid --configfile="$new/etc/smb.conf" -H "$sam" | sed -n 's/^objectSid: //p')
  # The right to write `member` of groups below OU=Groups, and nothing else.
  samba-tool dsacl set --action=allow --objectdn="OU=Groups,$base" --configfile="$new/etc/smb.conf" -H "$sam" \
    --sddl="(OA;CIIO;WP;bf9679c0-0de6-11d0-a285-00aa003049e2;bf967a9c-0de6-11d0-a285-00aa003049e2;$sid)" >>"$home/samba-seed.log" 2>&1 || { tail -20 "$home/samba-seed.log" >&2; return 1; }
}
if [ ! -d "$made" ]; then
  # Beside, then renamed: never half of one.
  rm -rf "$home/samba-new"
  mkdir -p "$home/samba-new"
  make_domain "$home/samba-new" || fail "the domain could not be made"
  mv "$home/samba-new" "$made"
fi

run=$home/samba-run
rm -rf "$run"
cp -a "$made" "$run"
grep -rlF "$home/samba-new" "$run/etc" | xargs -r sed -i "s#$home/samba-new#$run#g"
# An authority and a certificate of its own: Samba's has no subjectAltName.
openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj "/CN=Test authority" -keyout "$run/ca.key" -out "$run/ca.pem" 2>/dev/null
openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout "$run/tls.key" -out "$run/tls.csr" 2>/dev/null
openssl x509 -req -days 30 -in "$run/tls.csr" -CA "$run/ca.pem" -CAkey "$run/ca.key" -set_serial 2 -out "$run/tls.pem" \
  -extfile <(echo "subjectAltName=DNS:localhost,IP:127.0.0.1") 2>/dev/null
chmod 600 "$run/tls.key"
sed -i "/^\[global\]/a tls enabled = yes\ntls keyfile = $run/tls.key\ntls certfile = $run/tls.pem\ntls cafile = $run/ca.pem" "$run/etc/smb.conf"
samba -F --no-process-group -M single -s "$run/etc/smb.conf" -d 1 >"$run/samba.log" 2>&1 &
pid=$!
(
  exec >/dev/null 2>&1 9>&-
  while kill -0 "$owner" && kill -0 "$pid"; do sleep 1; done
  kill "$pid"
) &
tries=0
until LDAPTLS_CACERT=$run/ca.pem ldapsearch -x -H ldaps://127.0.0.1 -D svc@ad.example.org -w Svc-pw-1 -b "OU=People,$base" -s base >/dev/null 2>&1; do
  tries=$((tries + 1))
  if [ "$tries" -ge 600 ] || ! kill -0 "$pid" 2>/dev/null; then
    tail -20 "$run/samba.log" >&2
    kill "$pid" 2>/dev/null || true
    fail "Samba does not answer"
  fi
  sleep 0.2
done
echo "pid $pid"
echo "url ldaps://127.0.0.1"
echo "ca $run/ca.pem"
