package tool

import (
	"errors"
	"io/fs"
	"path"
	"regexp"
	"strings"

	"hygiene_exporter/probes/internal/rootfs"
)

var (
	pciAddress = regexp.MustCompile(`^[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$`)
	leg        = regexp.MustCompile(`_(rimage_\d+|mimage_\d+|tmeta|tdata)$`)
)

// names lists a directory; none if it does not exist.
func names(files *rootfs.FS, dir string) ([]string, error) {
	entries, err := files.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var all []string
	for _, entry := range entries {
		all = append(all, entry.Name())
	}
	return all, err
}

// drivers returns a function that lists the devices that these drivers drive and
// that are of interest.
func drivers(drivers []string, of func(files *rootfs.FS, device string) bool) func(*rootfs.FS) ([]string, error) {
	return func(files *rootfs.FS) (devices []string, failed error) {
		for _, driver := range drivers {
			dir := path.Join("/sys/bus/pci/drivers", driver)
			entries, err := names(files, dir)
			failed = errors.Join(failed, err)
			for _, name := range entries {
				if pciAddress.MatchString(name) && (of == nil || of(files, path.Join(dir, name))) {
					devices = append(devices, driver+" "+name)
				}
			}
		}
		return devices, failed
	}
}

// hewlett reports whether a device was made for HP or HPE.
func hewlett(files *rootfs.FS, device string) bool {
	data, err := files.ReadFile(path.Join(device, "subsystem_vendor"), 100)
	vendor := strings.TrimSpace(string(data))
	return err == nil && (vendor == "0x103c" || vendor == "0x1590")
}

func notHewlett(files *rootfs.FS, device string) bool { return !hewlett(files, device) }

// raidVolumes reports whether the kernel knows of a RAID volume of a controller
// that mostly has none, and then needs no tool.
func raidVolumes(files *rootfs.FS) bool {
	volumes, err := names(files, "/sys/class/raid_devices")
	return err != nil || len(volumes) > 0
}

// exist returns a function that lists those of some files that exist.
func exist(paths ...string) func(*rootfs.FS) ([]string, error) {
	return func(files *rootfs.FS) (found []string, failed error) {
		for _, name := range paths {
			switch _, err := files.Lstat(name); {
			case err == nil:
				found = append(found, name)
			case !errors.Is(err, fs.ErrNotExist):
				failed = errors.Join(failed, err)
			}
		}
		return found, failed
	}
}

// volumes lists the parts of LVM's RAID volumes, mirrors and thin pools.
func volumes(files *rootfs.FS) (found []string, failed error) {
	blocks, failed := names(files, "/sys/block")
	for _, block := range blocks {
		if !strings.HasPrefix(block, "dm-") {
			continue
		}
		data, err := files.ReadFile(path.Join("/sys/block", block, "dm/name"), 1000)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			failed = errors.Join(failed, err)
		}
		if name := strings.TrimSpace(string(data)); leg.MatchString(name) {
			found = append(found, name)
		}
	}
	return found, failed
}

// teams lists the teams that a daemon looks after.
func teams(files *rootfs.FS) (found []string, failed error) {
	entries, failed := names(files, "/run/teamd")
	for _, name := range entries {
		if team, is := strings.CutSuffix(name, ".pid"); is && interfaceName.MatchString(team) {
			found = append(found, team)
		}
	}
	return found, failed
}

// enclosures lists the generic devices of SAS enclosures, which are named by their
// place, and may be seen on several ways.
func enclosures(files *rootfs.FS) (found []string, failed error) {
	const class = "/sys/class/enclosure"
	places, failed := names(files, class)
	for _, place := range places {
		devices, err := names(files, path.Join(class, place, "device/scsi_generic"))
		failed = errors.Join(failed, err)
		found = append(found, devices...)
	}
	return found, failed
}

// either returns a function that lists what one or the other does.
func either(one, other func(*rootfs.FS) ([]string, error)) func(*rootfs.FS) ([]string, error) {
	return func(files *rootfs.FS) ([]string, error) {
		some, err := one(files)
		more, failed := other(files)
		return append(some, more...), errors.Join(err, failed)
	}
}
