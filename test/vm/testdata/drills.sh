# What the machines of drills have in common. What is told begins with "@@ tell",
# without what differs from one time to the next.
plain() { sed -E 's/[0-9]+(\.[0-9]+)?(ms|µs|s)\b/TIME/g; s/TIME(TIME)+/TIME/g; s/[0-9]{4}-[0-9-]+ [0-9:]+( UTC)?/NOW/g; s/process [0-9]+/process N/; s/^ +//'"$also"; }
tell() { echo "@@ tell $*"; }
# part NAME: a section follows; "part NAME full" is false unless all is to be tried
part() { [ "$2" = full ] && [ -z "$FULL" ] && { echo "@@ skipped $1"; return 1; }; echo "@@ tell"; echo "@@ tell $1"; }
# told: what a command prints
told() { while read -r line; do tell "  $line"; done; }
drill() { hygiene_exporter drill "$@" --state.dir=/run/state --config.file=/etc/agent/config.yml; }
# run NAME FLAG...: carries out a drill, and tells what it said
run() { drill run "$@" >/tmp/run.log 2>&1; status=$?; said; }
said() { plain </tmp/run.log | told; tell "  exit status $status"; }
# begin NAME FLAG...: the same in the background; "finish" waits for its end
begin() { hygiene_exporter drill run "$@" --state.dir=/run/state --config.file=/etc/agent/config.yml >/tmp/run.log 2>&1 & drill=$!; }
finish() { wait $drill; status=$?; said; }
# evidence NAME: the last record
evidence() {
	drill list --output=evidence | grep "\"drill\":\"$1\"" | tail -n 1 >/tmp/evidence
	sed -E 's/"(at|recorded|lasted|slowest_look|looks|output_sha256)":"[^"]*",?//g; s/"seconds":[0-9.]+/"seconds":N/' /tmp/evidence | plain | told
}
# recorded: the agent has the end of every drill
recorded() { until_true "! grep -q '\"unfinished\": *true' /run/state/drill.json"; }
open_problems() { metrics | sed -nE 's/^hygiene_problem_since_timestamp_seconds\{check="([^"]*)".*object="([^"]*)".*probe="([^"]*)".*/\3 \1 \2/p'; }
problem() { until_true "open_problems | grep -q '$*'"; tell "  a problem is open: $*"; }
no_problem() { until_true "! open_problems | grep -q '$*'"; tell "  no problem is open: $*"; }
# untouched: nothing is written that a boot would read
remember() { find /etc /bin /sbin /lib /var/lib -type f -exec md5sum {} + | sort >/tmp/before; }
untouched() { find /etc /bin /sbin /lib /var/lib -type f -exec md5sum {} + | sort | diff /tmp/before - >/tmp/diff && tell "  no file that a boot reads is changed" || { cat /tmp/diff; fail "files are changed"; }; }
service() {
	hygiene_exporter serve --config.file=/etc/agent/config.yml --state.dir=/run/state --log.level=error & agent=$!
	until_true "drill list >/dev/null 2>&1"
	until_true "metrics | grep -q 'hygiene_redundancy_state{.*state=\"redundant\"} 1'"
}
