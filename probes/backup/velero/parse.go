package velero

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"hygiene_exporter/probes/backup/job"
)

// A backup is what its document says.
type backup struct {
	name, schedule       string
	phase, reason        string
	started, expires     time.Time
	errors, warnings     int64
	attempted, completed int64     // snapshots of volumes
	items                job.Count // objects of the cluster
}

// ended reports whether Velero is done with it.
func (b backup) ended() bool {
	return slices.Contains([]string{"Completed", "PartiallyFailed", "Failed", "FailedValidation"}, b.phase)
}

// failed is the verdict of the document.
func (b backup) failed() error {
	switch {
	case b.phase != "Completed":
		return job.Flawed(job.Reported, "it ended in the phase %s", b.phase)
	case b.attempted > b.completed:
		return job.Flawed(job.Reported, "it has only %d of %d snapshots of volumes", b.completed, b.attempted)
	case b.items.Known && b.items.N == 0:
		return job.Flawed(job.Empty, "it holds no object of the cluster")
	}
	return nil
}

// parseBackup reads velero-backup.json.
func parseBackup(text []byte) (backup, error) {
	var document struct {
		Kind     string `json:"kind"`
		Metadata struct {
			Name   string            `json:"name"`
			Labels map[string]string `json:"labels"`
		} `json:"metadata"`
		Status struct {
			Phase     string    `json:"phase"`
			Reason    string    `json:"failureReason"`
			Start     time.Time `json:"startTimestamp"`
			End       time.Time `json:"completionTimestamp"`
			Expires   time.Time `json:"expiration"`
			Errors    int64     `json:"errors"`
			Warnings  int64     `json:"warnings"`
			Attempted int64     `json:"volumeSnapshotsAttempted"`
			Completed int64     `json:"volumeSnapshotsCompleted"`
			CSITried  int64     `json:"csiVolumeSnapshotsAttempted"`
			CSIDone   int64     `json:"csiVolumeSnapshotsCompleted"`
			Progress  *struct {
				Done int64 `json:"itemsBackedUp"`
			} `json:"progress"`
		} `json:"status"`
	}
	if err := json.Unmarshal(text, &document); err != nil {
		return backup{}, job.Flawed(job.Damaged, "it is no JSON: %v", err)
	}
	if document.Kind != "Backup" || document.Status.Phase == "" {
		return backup{}, job.Flawed(job.Mismatch, "it does not describe a backup and how it ended")
	}
	s := document.Status
	b := backup{
		name: document.Metadata.Name, schedule: document.Metadata.Labels["velero.io/schedule-name"], phase: s.Phase, reason: s.Reason,
		started: s.Start, expires: s.Expires, errors: s.Errors, warnings: s.Warnings,
		attempted: s.Attempted + s.CSITried, completed: s.Completed + s.CSIDone,
	}
	if s.Progress != nil {
		b.items = job.Of(s.Progress.Done)
	}
	if b.started.IsZero() {
		b.started = s.End
	}
	return b, nil
}

// unpack reads a document that is packed by gzip.
func unpack(text []byte, into any) error {
	reader, err := gzip.NewReader(bytes.NewReader(text))
	if err != nil {
		return job.Flawed(job.Damaged, "it cannot be unpacked: %v", err)
	}
	plain, err := io.ReadAll(io.LimitReader(reader, maxDocument))
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return job.Flawed(job.Truncated, "it cannot be unpacked: %v", err)
	case err != nil:
		return job.Flawed(job.Damaged, "it cannot be unpacked: %v", err)
	}
	if err := json.Unmarshal(plain, into); err != nil {
		return job.Flawed(job.Damaged, "it is no JSON of that form: %v", err)
	}
	return nil
}

// podVolumes are how the backups of volumes of pods ended, which are made file by
// file.
type podVolumes []struct {
	Spec struct {
		Volume string `json:"volume"`
		Pod    struct {
			Namespace string `json:"namespace"`
			Name      string `json:"name"`
		} `json:"pod"`
	} `json:"spec"`
	Status struct {
		Phase string `json:"phase"`
	} `json:"status"`
}

// failed returns the first that did not end well.
func (list podVolumes) failed() error {
	for _, volume := range list {
		if volume.Status.Phase != "Completed" {
			place := fmt.Sprintf("%s of %s/%s", volume.Spec.Volume, volume.Spec.Pod.Namespace, volume.Spec.Pod.Name)
			return job.Flawed(job.Reported, "the volume %.200s ended in the phase %.40q", place, volume.Status.Phase)
		}
	}
	return nil
}

// results are the errors and warnings of a backup.
type results struct {
	Errors struct {
		Velero     []string            `json:"velero"`
		Cluster    []string            `json:"cluster"`
		Namespaces map[string][]string `json:"namespaces"`
	} `json:"errors"`
}

// first returns one error. Velero writes fields as " name: /bad message: /words".
func (r results) first() string {
	list := slices.Concat(r.Errors.Velero, r.Errors.Cluster)
	for _, name := range slices.Sorted(maps.Keys(r.Errors.Namespaces)) {
		list = append(list, r.Errors.Namespaces[name]...)
	}
	if len(list) == 0 {
		return ""
	}
	return strings.TrimRight(strings.TrimSpace(strings.ReplaceAll(list[0], ": /", ": ")), ": ")
}

// volumeInfo is what became of each volume.
type volumeInfo []struct {
	Claim     string `json:"pvcName"`
	Namespace string `json:"pvcNamespace"`
	Volume    string `json:"pvName"`
	Skipped   bool   `json:"skipped"`
	Reason    string `json:"skippedReason"`
}
