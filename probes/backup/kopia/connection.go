package kopia

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"

	"hygiene_exporter/probes"
)

// A connection is how a repository is reached.
type connection struct {
	// document is the user's configuration without a cache, and read-only. It may
	// hold secrets.
	document []byte
	kind     string // of the storage
	local    string // directory, of a repository on a file system
}

const maxConfig = 1 << 20

// connection reads the configuration of the user.
func (r *repository) connection() (connection, error) {
	data, err := r.host.Files.ReadFile(r.options.ConfigFile, maxConfig)
	if errors.Is(err, fs.ErrNotExist) {
		return connection{}, probes.Because(probes.NotFound, fmt.Errorf("there is no configuration of Kopia at %s", r.options.ConfigFile))
	}
	if err != nil {
		return connection{}, err
	}
	c, err := connect(data)
	if err != nil {
		return connection{}, fmt.Errorf("%s: %w", r.options.ConfigFile, err)
	}
	return c, nil
}

// connect makes a connection of a configuration file.
func connect(data []byte) (connection, error) {
	var whole map[string]json.RawMessage
	var known struct {
		Server  json.RawMessage `json:"apiServer"`
		Storage struct {
			Type   string `json:"type"`
			Config struct {
				Path string `json:"path"`
			} `json:"config"`
		} `json:"storage"`
	}
	err := json.Unmarshal(data, &whole)
	if err == nil {
		err = json.Unmarshal(data, &known)
	}
	switch {
	case err != nil:
		// The text of the error may hold a part of the file, and so a secret.
		return connection{}, probes.Because(probes.Malformed, errors.New("it is no configuration of Kopia"))
	case known.Server != nil:
		return connection{}, probes.Because(probes.Unsupported, errors.New("it leads to a server of Kopia, which shows no packs; name one that is connected to the storage itself"))
	case known.Storage.Type == "":
		return connection{}, probes.Because(probes.Malformed, errors.New("it is no configuration of Kopia: it names no storage"))
	}
	delete(whole, "caching")
	whole["readonly"], whole["enableActions"] = json.RawMessage("true"), json.RawMessage("false")
	c := connection{kind: known.Storage.Type}
	if c.kind == "filesystem" {
		if !path.IsAbs(known.Storage.Config.Path) {
			return c, probes.Because(probes.Malformed, errors.New("its storage is a file system, and has no absolute path"))
		}
		c.local = path.Clean(known.Storage.Config.Path)
	}
	c.document, err = json.Marshal(whole)
	return c, err
}

// media is what the repository lies on.
func (c connection) media() string {
	switch {
	case c.local != "":
		return "disk"
	case slices.Contains([]string{"s3", "b2", "azureBlob", "gcs"}, c.kind):
		return "object_storage"
	}
	return "server"
}
