package velero

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"hygiene_exporter/probes/backup/job"
)

// A backup is what its document says.
type backup struct {
	schedule             string
	phase, reason        string
	started, expires     time.Time
	errors, warnings     int64
	attempted, completed int64 // snapshots of volumes
}

// ended reports whether Velero is done with it.
func (b backup) ended() bool {
	return slices.Contains([]string{"Completed", "PartiallyFailed", "Failed", "FailedValidation"}, b.phase)
}

// parseBackup reads velero-backup.json.
func parseBackup(text []byte) (backup, error) {
	var document struct {
		Kind     string `json:"kind"`
		Metadata struct {
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
		schedule: document.Metadata.Labels["velero.io/schedule-name"], phase: s.Phase, reason: s.Reason,
		started: s.Start, expires: s.Expires, errors: s.Errors, warnings: s.Warnings,
		attempted: s.Attempted + s.CSITried, completed: s.Completed + s.CSIDone,
	}
	if b.started.IsZero() {
		b.started = s.End
	}
	return b, nil
}

// volumes reads how the backups of volumes of pods ended, which are made file by
// file.
func volumes(text []byte) error {
	const name = "the list of volumes of pods"
	reader, err := gzip.NewReader(bytes.NewReader(text))
	if err != nil {
		return job.Flawed(job.Damaged, "%s cannot be unpacked: %v", name, err)
	}
	plain, err := io.ReadAll(io.LimitReader(reader, maxDocument))
	if err != nil {
		return job.Flawed(job.Truncated, "%s cannot be unpacked: %v", name, err)
	}
	var list []struct {
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
	if err := json.Unmarshal(plain, &list); err != nil {
		return job.Flawed(job.Damaged, "%s is no JSON: %v", name, err)
	}
	for _, volume := range list {
		if volume.Status.Phase != "Completed" {
			place := fmt.Sprintf("%s of %s/%s", volume.Spec.Volume, volume.Spec.Pod.Namespace, volume.Spec.Pod.Name)
			return job.Flawed(job.Reported, "the volume %.200s ended in the phase %.40q", place, volume.Status.Phase)
		}
	}
	return nil
}
