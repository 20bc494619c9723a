#!/usr/bin/env bash
# velero.sh DIR [VERSION] makes backups with the real Velero, good ones and bad ones,
# of a cluster without nodes: an API server and an etcd are all that it backs up.
# What it needs is built in DIR, within about ten minutes, unless it is there: the
# API server, kubectl, Velero, its plugin for S3, and test/velero, a plugin in the
# place of a cloud. They run as root in a namespace of processes and one of the
# network, so that nothing is reached from outside, and all ends with this script.
# etcd is that of Debian (etcd-server), the bucket versitygw (make tools).
#
# No node means no kubelet, no driver and no agent: volumes of pods are "backed up",
# snapshots of CSI "made" and "moved" by saying so, and hooks fail. At the end it
# prints where the bucket lies, as files.
set -euo pipefail
velero=${2:-v1.18.0} kubernetes=v1.34.1 aws=v1.14.3 snapshotter=github.com/kubernetes-csi/external-snapshotter/client/v8@v8.2.0
here=$(cd "$(dirname "$0")" && pwd)

build() {
	mkdir -p "$dir/bin" "$dir/cluster" "$dir/plugin" && cd "$dir"
	export GOFLAGS="-mod=mod -p=${JOBS:-1}"
	local modules
	modules=$(go env GOMODCACHE)
	if [ ! -x bin/kubectl ]; then
		cd cluster
		download "k8s.io/kubernetes@$kubernetes"
		printf 'module cluster\n' >go.mod
		go mod edit -require "k8s.io/kubernetes@$kubernetes"
		# The modules that lie within that of Kubernetes are published as v0 beside it.
		sed -n 's,.*=> ./staging/src/,,p' "$modules/k8s.io/kubernetes@$kubernetes/go.mod" | while read -r module; do
			go mod edit -replace "$module=$module@v0${kubernetes#v1}"
		done
		local set=k8s.io/component-base/version.git
		nice go build -ldflags "-s -w -X ${set}Version=$kubernetes -X ${set}Major=1 -X ${set}Minor=$(cut -d. -f2 <<<"$kubernetes")" -o ../bin/ \
			k8s.io/kubernetes/cmd/kube-apiserver k8s.io/kubernetes/cmd/kubectl
		cd ..
	fi
	# The others are built as their own go.mod says, in the cache of modules.
	export GOFLAGS="-mod=readonly -p=${JOBS:-1}"
	if [ ! -x "bin/velero-$velero" ]; then
		download "github.com/vmware-tanzu/velero@$velero"
		nice go -C "$modules/github.com/vmware-tanzu/velero@$velero" build -ldflags '-s -w' -o "$dir/bin/velero-$velero" ./cmd/velero
	fi
	if [ ! -x bin/velero-plugin-for-aws ]; then
		download "github.com/vmware-tanzu/velero-plugin-for-aws@$aws"
		nice go -C "$modules/github.com/vmware-tanzu/velero-plugin-for-aws@$aws" build -ldflags '-s -w' -o "$dir/bin/velero-plugin-for-aws" ./velero-plugin-for-aws
	fi
	[ -d crd ] || { download "$snapshotter" && cp -r "$modules/$snapshotter/config/crd" crd && chmod -R u+w crd; }
	if [ ! -x bin/velero-plugin-test ]; then
		nice go -C "$here/velero" build -ldflags '-s -w' -o "$dir/bin/velero-plugin-test" .
	fi
}

download() { (cd / && go mod download "$1"); }

start() {
	local snapshots=(volumesnapshotclasses.yaml volumesnapshotcontents.yaml volumesnapshots.yaml)
	ip link set lo up
	mkdir -p "$run"/{bin,plugins,log,tmp,store/cluster} && cd "$run"
	ln -s "$dir/bin/velero-$velero" bin/velero
	cp "$dir"/bin/velero-plugin-* plugins/
	export PATH=$run/bin:$dir/bin:$tools:$PATH HOME=$run TMPDIR=$run/tmp KUBECONFIG=$run/kubeconfig AWS_SHARED_CREDENTIALS_FILE=$run/credentials
	openssl genrsa -out accounts.key 2048 2>/dev/null
	printf 'sesame,admin,1,system:masters\n' >tokens
	printf '[default]\naws_access_key_id=test\naws_secret_access_key=test-secret\n' >credentials
	cat >kubeconfig <<-END
		apiVersion: v1
		kind: Config
		clusters: [{name: test, cluster: {server: "https://127.0.0.1:6443", insecure-skip-tls-verify: true}}]
		users: [{name: test, user: {token: sesame}}]
		contexts: [{name: test, context: {cluster: test, user: test, namespace: velero}}]
		current-context: test
	END
	ROOT_ACCESS_KEY=test ROOT_SECRET_KEY=test-secret versitygw --quiet --port 127.0.0.1:7070 --region us-east-1 posix "$run/store" >log/s3 2>&1 &
	etcd --data-dir etcd >log/etcd 2>&1 &
	kube-apiserver --etcd-servers=http://127.0.0.1:2379 --bind-address=127.0.0.1 --advertise-address=127.0.0.1 --secure-port=6443 --cert-dir=certificates \
		--token-auth-file=tokens --service-account-issuer=https://kubernetes.default.svc --service-account-signing-key-file=accounts.key \
		--service-account-key-file=accounts.key --service-cluster-ip-range=10.0.0.0/24 --disable-admission-plugins=ServiceAccount \
		--endpoint-reconciler-type=none >log/apiserver 2>&1 &
	await 'kubectl get --raw /readyz'
	velero install --crds-only >log/install
	kubectl apply "${snapshots[@]/#/--filename=$dir/crd/snapshot.storage.k8s.io_}" >>log/install
	kubectl wait --for=condition=Established crd --all >>log/install
	kubectl apply -f "$here/velero/cluster.yaml" >>log/install
	running web pods
	running node-agent velero
	bound
	velero server --metrics-address 127.0.0.1:8085 --plugin-dir plugins --item-operation-sync-frequency 2s --features EnableCSI >log/velero 2>&1 &
	velero backup-location create default --default --provider aws --bucket cluster --prefix production \
		--config region=us-east-1,s3ForcePathStyle=true,s3Url=http://127.0.0.1:7070 >>log/install
	velero snapshot-location create default --provider example.test/nothing >>log/install
	await 'velero backup-location get default | grep -q Available'
}

await() {
	for _ in $(seq 120); do
		eval "$1" >/dev/null 2>&1 && return
		sleep 1
	done
	echo "in vain: $1" >&2
	exit 1
}

running() { kubectl patch pod "$1" -n "$2" --subresource=status --type merge -p '{"status":{"phase":"Running"}}' >>log/install; }

bound() {
	kubectl patch pv good bad csi --subresource=status --type merge -p '{"status":{"phase":"Bound"}}' >>log/install
	kubectl patch pvc good bad -n disks --subresource=status --type merge -p '{"status":{"phase":"Bound"}}' >>log/install
	kubectl patch pvc csi -n csi --subresource=status --type merge -p '{"status":{"phase":"Bound"}}' >>log/install
}

# backup NAME OPTION... makes a backup, and waits for its end.
backup() { velero backup create "$@" --wait >>log/backups; }

# declared NAME SPEC makes one that the command line has no options for.
declared() {
	printf '{"apiVersion":"velero.io/v1","kind":"Backup","metadata":{"name":"%s","namespace":"velero"},"spec":%s}' "$1" "$2" | kubectl create -f - >>log/backups
	await "velero backup get $1 | grep -qE 'Completed|Failed'"
}

# volumes NAME PHASE plays the agent of a node.
volumes() {
	velero backup create "$1" --include-namespaces pods --default-volumes-to-fs-backup >>log/backups
	await "kubectl get podvolumebackups -n velero -l velero.io/backup-name=$1 -o name | grep ."
	kubectl patch "$(kubectl get podvolumebackups -n velero -l "velero.io/backup-name=$1" -o name)" -n velero --type merge -p "{\"status\":{\"phase\":\"$2\"}}" >>log/backups
	await "velero backup get $1 | grep -qE 'Completed|Failed'"
}

# csi NAME OPTION... plays the controller of snapshots, and the agent that moves them.
csi() {
	local name snapshot content
	velero backup create "$@" --include-namespaces csi >>log/backups
	await "kubectl get volumesnapshots -n csi -o name | grep ."
	name=$(kubectl get volumesnapshots -n csi -o 'jsonpath={.items[0].metadata.name}')
	snapshot=$(kubectl get volumesnapshot "$name" -n csi -o 'jsonpath={.metadata.uid}')
	content='{"apiVersion":"snapshot.storage.k8s.io/v1","kind":"VolumeSnapshotContent","metadata":{"name":"content-%s"},"spec":{"driver":"example.test","deletionPolicy":"Delete","volumeSnapshotClassName":"csi","source":{"volumeHandle":"v1"},"volumeSnapshotRef":{"namespace":"csi","name":"%s","uid":"%s"}}}'
	# shellcheck disable=SC2059
	printf "$content" "$name" "$name" "$snapshot" | kubectl apply -f - >>log/backups
	kubectl patch volumesnapshotcontent "content-$name" --subresource=status --type merge -p '{"status":{"snapshotHandle":"h","readyToUse":true,"restoreSize":1024}}' >>log/backups
	kubectl patch volumesnapshot "$name" -n csi --subresource=status --type merge -p "{\"status\":{\"boundVolumeSnapshotContentName\":\"content-$name\",\"readyToUse\":true,\"restoreSize\":\"1Ki\"}}" >>log/backups
	if [ "$#" -gt 1 ]; then
		await "kubectl get datauploads -n velero -o name | grep ."
		kubectl patch "$(kubectl get datauploads -n velero -o name)" -n velero --type merge -p '{"status":{"phase":"Completed","snapshotID":"s1"}}' >>log/backups
	fi
	await "velero backup get $1 | grep -qE 'Completed|Failed'"
}

make_backups() {
	local backups=$run/store/cluster/production/backups
	backup whole --include-namespaces shop,disks --snapshot-volumes=false
	velero schedule create nightly --schedule '0 3 * * *' --include-namespaces shop >>log/backups
	backup --from-schedule nightly
	backup selected --include-namespaces shop --selector app=till
	backup namespace --include-namespaces shop --selector app=none
	backup nothing --include-namespaces shop --include-resources leases
	backup snapshots --include-namespaces disks --selector disk=good
	backup bad-snapshots --include-namespaces disks
	volumes pod-volumes Completed
	volumes bad-pod-volumes Failed
	backup moved --include-namespaces moves --selector move=well
	backup not-moved --include-namespaces moves --selector move=badly
	csi csi-good
	csi moved-data --snapshot-move-data
	backup absent --include-namespaces missing
	declared hook '{"includedNamespaces":["pods"],"hooks":{"resources":[{"name":"flush","pre":[{"exec":{"command":["true"],"onError":"Fail"}}]}]}}'
	declared failed '{"includedNamespaces":["shop"],"hooks":{"resources":[{"name":"flush","labelSelector":{"matchExpressions":[{"key":"a","operator":"Odd"}]},"pre":[{"exec":{"command":["true"]}}]}]}}'
	declared invalid '{"includedNamespaces":["shop"],"storageLocation":"elsewhere"}'
	mkdir -p "$backups/half/half.tar.gz" # an object cannot be written where a directory is
	backup half --include-namespaces shop
	rmdir "$backups/half/half.tar.gz"
	backup expired --include-namespaces shop --ttl 1s
	backup deleted --include-namespaces shop
	chattr +i "$backups/deleted/deleted.tar.gz"
	trap 'chattr -i "$run"/store/cluster/production/backups/deleted/deleted.tar.gz' EXIT
	velero backup delete deleted --confirm >>log/backups
	await "[ ! -e $backups/deleted/velero-backup.json ]"
	velero backup create waiting --include-namespaces moves --selector move=never >>log/backups
	await "velero backup get waiting | grep -q Waiting"
}

# restore_damaged tells what Velero makes of archives that were damaged since.
restore_damaged() {
	local name archive
	for name in untouched cut changed empty lost another; do
		backup "$name" --include-namespaces shop
		archive=$run/store/cluster/production/backups/$name/$name.tar.gz
		case $name in
		cut) truncate -s 700 "$archive" ;;
		changed) printf gone | dd of="$archive" bs=1 seek=900 conv=notrunc status=none ;;
		empty) : >"$archive" ;;
		lost) rm "$archive" ;;
		another) cat "$run/store/cluster/production/backups/snapshots/snapshots.tar.gz" >"$archive" ;;
		esac
		velero restore create "$name" --from-backup "$name" --namespace-mappings "shop:$name,disks:$name" --wait >>log/restores || true
		echo "restored, archive $name: $(kubectl get restore "$name" -n velero -o 'jsonpath={.status.phase}'), $(kubectl get configmaps -n "$name" -o name 2>/dev/null | wc -l) of 2 configuration maps"
	done
}

mkdir -p "$1"
dir=$(cd "$1" && pwd) run=$(cd "$1" && pwd)/run-$velero tools=${HYGIENE_TOOLS:-$here/../.build/tools}
if [ "${VELERO_INSIDE:-}" != yes ]; then
	for program in etcd openssl "$tools/versitygw"; do
		command -v "$program" >/dev/null || { echo "$program is missing" >&2; exit 1; }
	done
	[ ! -e "$run" ] || { echo "$run is there already" >&2; exit 1; }
	build
	VELERO_INSIDE=yes exec unshare --net --pid --fork --kill-child --mount-proc "$here/velero.sh" "$dir" "$velero"
fi
trap 'exit 1' INT TERM
start
make_backups
velero backup get
restore_damaged
echo "The bucket is $run/store/cluster, the prefix production."
