package port

import (
	"slices"
	"strings"

	"hygiene_exporter/probes/internal/listeners"
)

// A service is one that gives what it has to whoever connects, or is used to
// attack others, so that it must never be on a public address.
type service struct {
	protocol listeners.Protocol
	first    uint32
	last     uint32 // 0 means first
	name     string
	// processes lists names of programs. Where it is not empty, the port means
	// little, and the program has to be one of them.
	processes []string
}

// neverPublic lists the services by the defaults of their software.
func neverPublic() []service {
	tcp, udp := listeners.TCP, listeners.UDP
	return []service{
		// Control of the host or of a cluster.
		{tcp, 2375, 0, "Docker API without TLS", nil},
		{tcp, 2379, 2380, "etcd", nil},
		{tcp, 4001, 0, "etcd", []string{"etcd"}},
		{tcp, 10255, 0, "kubelet, read-only", nil},
		{tcp, 10248, 10249, "kubelet or kube-proxy, status", []string{"kubelet", "kube-proxy"}},
		{tcp, 8500, 0, "Consul API", []string{"consul"}},
		{tcp, 4646, 0, "Nomad API", []string{"nomad"}},
		{tcp, 2181, 0, "ZooKeeper", nil},
		{tcp, 4369, 0, "Erlang port mapper", nil},
		{tcp, 5555, 0, "Android debug bridge", []string{"adbd"}},
		// Data stores that ask for no password unless told to.
		{tcp, 6379, 0, "Redis", nil},
		{tcp, 11211, 0, "memcached", nil},
		{udp, 11211, 0, "memcached, which amplifies attacks", nil},
		{tcp, 27017, 27019, "MongoDB", nil},
		{tcp, 9200, 0, "Elasticsearch or OpenSearch", nil},
		{tcp, 9300, 0, "Elasticsearch or OpenSearch, cluster", nil},
		{tcp, 5984, 0, "CouchDB", nil},
		{tcp, 7000, 0, "Cassandra, cluster", []string{"java", "scylla"}},
		{tcp, 7199, 0, "Cassandra, JMX", nil},
		{tcp, 9042, 0, "Cassandra", nil},
		{tcp, 8086, 0, "InfluxDB", []string{"influxd"}},
		{tcp, 9092, 0, "Kafka", nil},
		{tcp, 8123, 0, "ClickHouse", []string{"clickhouse-serv", "clickhouse"}},
		{tcp, 50070, 0, "Hadoop name node", nil},
		{tcp, 8088, 0, "Hadoop YARN", []string{"java"}},
		{tcp, 9000, 0, "FastCGI of PHP", []string{"php-fpm"}},
		{tcp, 8009, 0, "AJP", []string{"java"}},
		// Doors for debuggers.
		{tcp, 5005, 0, "Java debugger", []string{"java"}},
		{tcp, 1099, 0, "Java RMI", []string{"java"}},
		{tcp, 9229, 0, "Node.js inspector", nil},
		{tcp, 5678, 0, "Python debugger", []string{"python3", "python"}},
		{tcp, 9222, 0, "Chromium debugger", []string{"chrome", "chromium", "headless_shell"}},
		// Old services without encryption, and those that amplify attacks.
		{tcp, 23, 0, "Telnet", nil},
		{tcp, 512, 514, "remote shell", []string{"inetd", "xinetd", "in.rshd", "in.rlogind", "in.rexecd"}},
		{tcp, 6000, 6063, "X11", []string{"Xorg", "X", "Xvfb", "Xwayland"}},
		{udp, 69, 0, "TFTP", nil},
		{udp, 19, 0, "chargen", nil},
		{udp, 111, 0, "port mapper, which amplifies attacks", nil},
		{tcp, 111, 0, "port mapper", nil},
		{udp, 389, 0, "CLDAP, which amplifies attacks", nil},
		{udp, 1900, 0, "SSDP, which amplifies attacks", nil},
		{tcp, 873, 0, "rsync daemon", []string{"rsync"}},
	}
}

// controlSockets lists unix sockets whose users can become root.
func controlSockets() []string {
	return []string{
		"/run/docker.sock", "/var/run/docker.sock", "/run/containerd/containerd.sock",
		"/run/crio/crio.sock", "/var/run/crio/crio.sock", "/run/podman/podman.sock", "/var/lib/lxd/unix.socket",
		"/var/snap/lxd/common/lxd/unix.socket", "/var/lib/incus/unix.socket", "/run/libvirt/libvirt-sock",
	}
}

// danger returns what must not be where this object is; empty if nothing is
// known against it. Within containers and other namespaces a wildcard reaches
// only as far as their addresses.
func (o *object) danger() string {
	if o.protocol == listeners.Unix {
		if o.exposure == everyone && slices.Contains(controlSockets(), o.port) {
			return "control socket of containers or virtual machines"
		}
		return ""
	}
	if !open(o.exposure) || !o.outside {
		return ""
	}
	for _, s := range neverPublic() {
		if s.protocol == o.protocol && s.first <= o.number && o.number <= max(s.first, s.last) && s.runs(o) {
			return s.name
		}
	}
	return ""
}

func (s service) runs(o *object) bool {
	return len(s.processes) == 0 || slices.ContainsFunc(o.sockets, func(x *socket) bool {
		return slices.ContainsFunc(s.processes, func(name string) bool {
			return x.process.Name == name || strings.HasPrefix(x.process.Name, name+":") || strings.HasPrefix(x.process.Name, name+"-")
		})
	})
}
