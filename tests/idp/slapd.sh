#!/usr/bin/env bash
# Starts OpenLDAP (Debian's slapd) on two loopback ports, filled with slapd-seed.ldif.
#   tests/idp/slapd.sh PORT TLSPORT OWNER
# Prints "pid PID", "url URL" (plain and StartTLS; ldaps is on TLSPORT) and "ca FILE"; stop it with kill PID. It also stops when the process
# OWNER is gone.
# Root: cn=admin,dc=example,dc=org / admin. Service account, which may write members below ou=groups and is cut off after 3 records unless it
# asks for pages: cn=svc,ou=services,dc=example,dc=org / svc-pw. One that may only read: cn=reader,... / reader-pw. One that sees no
# people: cn=blind,... / blind-pw.
set -euo pipefail
port=${1:?usage: slapd.sh PORT TLSPORT OWNER}
tls=${2:?usage: slapd.sh PORT TLSPORT OWNER}
owner=${3:?usage: slapd.sh PORT TLSPORT OWNER}
fail() { echo "slapd.sh: $*" >&2; exit 1; }
PATH=$PATH:/usr/sbin
for tool in slapd ldapadd openssl; do
  command -v "$tool" >/dev/null || fail "$tool is not installed; script/bootstrap --test does that"
done
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
home=${IDP_HOME:-$here/../../target/idp}
run=$home/slapd-$port
rm -rf "$run"
mkdir -p "$run/db"
run=$(cd "$run" && pwd)
openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj "/CN=Test authority" -keyout "$run/ca.key" -out "$run/ca.pem" 2>/dev/null
openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout "$run/tls.key" -out "$run/tls.csr" 2>/dev/null
openssl x509 -req -days 30 -in "$run/tls.csr" -CA "$run/ca.pem" -CAkey "$run/ca.key" -set_serial 2 -out "$run/tls.pem" \
  -extfile <(echo "subjectAltName=DNS:localhost,IP:127.0.0.1") 2>/dev/null
cat >"$run/slapd.conf" <<CONF
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
include /etc/ldap/schema/nis.schema
pidfile $run/slapd.pid
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload memberof
moduleload refint
moduleload ppolicy
TLSCACertificateFile $run/ca.pem
TLSCertificateFile $run/tls.pem
TLSCertificateKeyFile $run/tls.key
sizelimit unlimited
database mdb
suffix "dc=example,dc=org"
rootdn "cn=admin,dc=example,dc=org"
rootpw admin
directory $run/db
maxsize 1073741824
dbnosync
index objectClass,entryUUID,modifyTimestamp eq
index uid,cn,mail,member,memberOf eq
access to dn.subtree="ou=people,dc=example,dc=org"
  by dn.exact="cn=blind,ou=services,dc=example,dc=org" none
  by * break
access to attrs=userPassword by self write by anonymous auth by * none
access to dn.exact="cn=locked,ou=groups,dc=example,dc=org" attrs=member
  by users read by * none
access to dn.subtree="ou=groups,dc=example,dc=org" attrs=member,uniqueMember,memberUid
  by dn.exact="cn=svc,ou=services,dc=example,dc=org" write by users read by * none
access to * by users read by * none
limits dn.exact="cn=svc,ou=services,dc=example,dc=org" size.soft=3 size.hard=3 size.prtotal=unlimited
overlay memberof
memberof-group-oc groupOfNames
memberof-member-ad member
memberof-memberof-ad memberOf
memberof-dangling error
memberof-refint TRUE
overlay refint
refint_attributes member manager
refint_nothing cn=nobody,dc=example,dc=org
overlay ppolicy
CONF
slapd -f "$run/slapd.conf" -h "ldap://127.0.0.1:$port ldap://127.0.0.2:$port ldaps://127.0.0.1:$tls" -d 0 >"$run/log" 2>&1 &
pid=$!
(
  exec >/dev/null 2>&1
  while kill -0 "$owner" && kill -0 "$pid"; do sleep 1; done
  kill "$pid"
  rm -rf "$run"
) &
root=(-x -H "ldap://127.0.0.1:$port" -D cn=admin,dc=example,dc=org -w admin)
tries=0
until ldapwhoami "${root[@]}" >/dev/null 2>&1; do
  tries=$((tries + 1))
  if [ "$tries" -ge 600 ] || ! kill -0 "$pid" 2>/dev/null; then
    cat "$run/log" >&2
    kill "$pid" 2>/dev/null || true
    fail "slapd does not answer"
  fi
  sleep 0.1
done
# Through the server, not beside it: only so is memberOf kept.
ldapadd "${root[@]}" -f "$here/slapd-seed.ldif" >"$run/seed.log" 2>&1 || { cat "$run/seed.log" >&2; kill "$pid"; exit 1; }
echo "pid $pid"
echo "url ldap://127.0.0.1:$port"
echo "ca $run/ca.pem"
