package workload

import (
	"encoding/json"
	"regexp"
	"strings"
	"time"

	"hygiene_exporter/probes/internal/rootfs"
)

// forget is how long a name, or that there is none, is believed.
const forget = time.Minute

// Names knows the names of containers by what their engines write down. It is
// used by one goroutine at a time.
type Names struct {
	files *rootfs.FS
	known map[string]named
}

type named struct {
	pod, container string
	at             time.Time
}

// NewNames returns an empty list. It touches nothing.
func NewNames(files *rootfs.FS) *Names {
	return &Names{files: files, known: map[string]named{}}
}

// Fill gives a workload the names of its container and of its pod, where they
// can be read. IDs change with every restart; names stay.
func (n *Names) Fill(w Workload, now time.Time) Workload {
	key := w.ID + "/" + w.Pod
	if w.ID == "" && w.Pod == "" {
		return w
	}
	found, known := n.known[key]
	if !known || now.Sub(found.at) > forget {
		if len(n.known) > 10_000 {
			clear(n.known)
		}
		if w.ID != "" {
			found = n.look(w.ID)
		}
		if w.Pod != "" && found.pod == "" {
			found.pod = n.pod(w.Pod)
		}
		found.at = now
		n.known[key] = found
	}
	if found.container != "" {
		w.Container = found.container
	}
	if found.pod != "" {
		w.Pod = found.pod
	}
	return w
}

func (n *Names) look(id string) named {
	for _, look := range []func(string) named{n.docker, n.kubernetes, n.podman} {
		if found := look(id); found.container != "" {
			return found
		}
	}
	return named{}
}

// docker reads the file in which dockerd keeps a container.
func (n *Names) docker(id string) named {
	var config struct{ Name string }
	data, err := n.files.ReadFile("/var/lib/docker/containers/"+id+"/config.v2.json", 4<<20)
	if err != nil || json.Unmarshal(data, &config) != nil {
		return named{}
	}
	return named{container: strings.TrimPrefix(config.Name, "/")}
}

// kubernetes reads the names of the links that kubelet makes to the logs of
// containers: pod_namespace_container-id.log.
func (n *Names) kubernetes(id string) named {
	entries, err := n.files.ReadDir("/var/log/containers")
	if err != nil {
		return named{}
	}
	for _, entry := range entries {
		rest, ok := strings.CutSuffix(entry.Name(), "-"+id+".log")
		parts := strings.Split(rest, "_")
		if ok && len(parts) == 3 {
			return named{pod: parts[1] + "/" + lasting(parts[0]), container: parts[2]}
		}
	}
	return named{}
}

// pod reads the names of the directories in which kubelet keeps the logs of
// pods: namespace_pod_uid.
func (n *Names) pod(uid string) string {
	entries, err := n.files.ReadDir("/var/log/pods")
	if err != nil {
		return ""
	}
	for _, entry := range entries {
		if rest, ok := strings.CutSuffix(entry.Name(), "_"+uid); ok {
			namespace, pod, _ := strings.Cut(rest, "_")
			return namespace + "/" + lasting(pod)
		}
	}
	return ""
}

// suffix is what the controllers of Kubernetes append to the names of the pods
// that they make, in an alphabet without vowels.
var suffix = regexp.MustCompile(`(?:-[bcdf0-9]{6,10}|-[bcdfghjklmnpqrstvwxz2456789]{6,10})?-[bcdfghjklmnpqrstvwxz2456789]{5}$`)

// lasting returns the part of the name of a pod that stays.
func lasting(pod string) string { return suffix.ReplaceAllString(pod, "") }

// podman reads the list of the containers of root.
func (n *Names) podman(id string) named {
	var list []struct {
		ID    string   `json:"id"`
		Names []string `json:"names"`
	}
	data, err := n.files.ReadFile("/var/lib/containers/storage/overlay-containers/containers.json", 16<<20)
	if err != nil || json.Unmarshal(data, &list) != nil {
		return named{}
	}
	for _, one := range list {
		if one.ID == id && len(one.Names) > 0 {
			return named{container: one.Names[0]}
		}
	}
	return named{}
}
