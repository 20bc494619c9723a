#!/usr/bin/env bash
# Makes testdata/stores with the real programs: OpenSSL, keytool and ssh-keygen.
# Their dates are fixed only by the day on which it runs, so that the tests read
# them from here: nothing needs to be made again.
set -euo pipefail
cd "$(dirname "$0")"
rm -rf stores && mkdir stores
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export LC_ALL=C.UTF-8
cat >"$work/ca.conf" <<END
[ca]
default_ca=x
[x]
database=$work/index.txt
crlnumber=$work/number
default_md=sha256
[leaf]
basicConstraints=critical,CA:FALSE
subjectAltName=DNS:www.example.org
END
touch "$work/index.txt" && echo 2A >"$work/number"
ec=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes)
openssl req -x509 "${ec[@]}" -keyout "$work/root.key" -out "$work/root.pem" -days 3650 -subj "/O=Example/CN=root"
openssl req "${ec[@]}" -keyout "$work/www.key" -out "$work/www.csr" -subj "/O=Example/CN=www.example.org"
openssl x509 -req -in "$work/www.csr" -CA "$work/root.pem" -CAkey "$work/root.key" -set_serial 0x1234 -days 90 -extfile "$work/ca.conf" -extensions leaf -out "$work/www.pem"
openssl ca -config "$work/ca.conf" -cert "$work/root.pem" -keyfile "$work/root.key" -gencrl -crldays 30 -out stores/list.crl
openssl crl2pkcs7 -in stores/list.crl -certfile "$work/www.pem" -certfile "$work/root.pem" -outform DER -out stores/chain.p7b
p12=(openssl pkcs12 -export -in "$work/www.pem" -inkey "$work/www.key" -certfile "$work/root.pem" -name web -passout pass:secret)
"${p12[@]}" -out stores/web.p12
"${p12[@]}" -legacy -out stores/legacy.pfx
openssl pkcs12 -export -nokeys -in "$work/root.pem" -caname root -passout pass:changeit -out "$work/none.p12"
java=(keytool -noprompt -storepass secret)
"${java[@]}" -importkeystore -srckeystore stores/web.p12 -srcstorepass secret -destkeystore stores/web.jks -deststorepass secret -deststoretype JKS
"${java[@]}" -importcert -keystore stores/web.jks -storetype JKS -alias authority -file "$work/root.pem"
"${java[@]}" -importcert -keystore stores/web.jceks -storetype JCEKS -alias authority -file "$work/root.pem"
"${java[@]}" -importcert -keystore stores/modern.jks -storetype PKCS12 -alias authority -file "$work/root.pem"
"${java[@]}" -importcert -keystore stores/empty.jks -storetype JKS -alias x -file "$work/root.pem"
"${java[@]}" -delete -keystore stores/empty.jks -alias x
"${java[@]}" -genseckey -keystore stores/secrets.jceks -storetype JCEKS -keyalg AES -keysize 128 -alias key -keypass secret
rm -f cacerts.jks
for name in one two three; do
	openssl req -x509 "${ec[@]}" -keyout "$work/$name.key" -out "$work/$name.pem" -days 3650 -subj "/O=Example/CN=$name"
	keytool -noprompt -storepass changeit -importcert -keystore cacerts.jks -storetype JKS -alias "$name" -file "$work/$name.pem"
done
head -c 700 stores/web.jks >stores/truncated.jks
base64=$(base64 -w0 <"$work/root.pem")
cat >stores/admin.conf <<END
apiVersion: v1
kind: Config
clusters:
- name: prod
  cluster: {server: "https://k8s.example.org:6443", certificate-authority-data: $base64}
users:
- name: kim
  user: {client-certificate-data: $(base64 -w0 <"$work/www.pem"), client-key: kim.key}
- name: lee
  user: {client-certificate: pki/lee.crt, client-key: lee.key}
END
mkdir stores/pki && cp "$work/www.pem" stores/pki/lee.crt
printf 'kind: Secret\ndata:\n  tls.crt: %s\n' "$(base64 -w0 <"$work/www.pem")" >stores/secret.yaml
ssh-keygen -q -t ed25519 -N "" -C "" -f "$work/authority"
for name in host forever; do
	ssh-keygen -q -t ed25519 -N "" -C "" -f "$work/$name"
	span=-5m:+52w && [ $name = forever ] && span=always:forever
	ssh-keygen -q -s "$work/authority" -I "$name.example.org" -h -n "$name.example.org,www" -z 7 -V $span "$work/$name.pub"
	cp "$work/$name-cert.pub" stores/
done
chmod 644 stores/*.*
