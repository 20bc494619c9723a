// Command velero is a plugin of Velero in the place of a cloud. Its snapshots are of
// nothing, and it cannot make one of the volume "bad". It moves configuration maps,
// in the background, which are labelled with how that ends: well, badly or never.
package main

import (
	"errors"
	"time"

	"github.com/sirupsen/logrus"
	api "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	"github.com/vmware-tanzu/velero/pkg/plugin/framework"
	"github.com/vmware-tanzu/velero/pkg/plugin/velero"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

type snapshotter struct{}

func (snapshotter) Init(map[string]string) error { return nil }

func (snapshotter) CreateVolumeFromSnapshot(id, _, _ string, _ *int64) (string, error) {
	return "volume-of-" + id, nil
}

func (snapshotter) GetVolumeID(volume runtime.Unstructured) (string, error) {
	name, _, err := unstructured.NestedString(volume.UnstructuredContent(), "metadata", "name")
	return name, err
}

func (snapshotter) SetVolumeID(volume runtime.Unstructured, _ string) (runtime.Unstructured, error) {
	return volume, nil
}

func (snapshotter) GetVolumeInfo(string, string) (string, *int64, error) { return "nothing", nil, nil }

func (snapshotter) CreateSnapshot(id, _ string, _ map[string]string) (string, error) {
	if id == "bad" {
		return "", errors.New("the volume does not answer")
	}
	return "snapshot-of-" + id, nil
}

func (snapshotter) DeleteSnapshot(string) error { return nil }

type mover struct{}

func (mover) Name() string { return "" }

func (mover) AppliesTo() (velero.ResourceSelector, error) {
	return velero.ResourceSelector{IncludedResources: []string{"configmaps"}, LabelSelector: "move"}, nil
}

func (mover) Execute(item runtime.Unstructured, backup *api.Backup) (runtime.Unstructured, []velero.ResourceIdentifier, string, []velero.ResourceIdentifier, error) {
	how, _, err := unstructured.NestedString(item.UnstructuredContent(), "metadata", "labels", "move")
	if backup.Status.Phase != api.BackupPhaseInProgress {
		how = ""
	}
	return item, nil, how, nil, err
}

func (mover) Progress(how string, _ *api.Backup) (velero.OperationProgress, error) {
	p := velero.OperationProgress{Completed: how != "never", Started: time.Now(), Updated: time.Now()}
	if how == "badly" {
		p.Err = "the item cannot be moved"
	}
	return p, nil
}

func (mover) Cancel(string, *api.Backup) error { return nil }

func main() {
	framework.NewServer().RegisterVolumeSnapshotter("example.test/nothing", func(logrus.FieldLogger) (any, error) {
		return snapshotter{}, nil
	}).RegisterBackupItemActionV2("example.test/mover", func(logrus.FieldLogger) (any, error) {
		return mover{}, nil
	}).Serve()
}
