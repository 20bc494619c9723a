// Command enclosure is a SAS enclosure that the kernel asks: it answers SCSI
// commands that the target core hands to user space (Documentation/target/
// tcmu-design.rst), as an enclosure of SES-3 with two power supplies, three fans
// and four bays. Whatever line it reads from its input, such as "power 1 5", sets
// the status of an element: 1 is in order, 2 critical, 5 not installed.
package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"
)

// kinds are the elements: their name, their type in SES-3, and how many there are.
var kinds = []struct {
	name   string
	number byte
	count  int
}{{"bay", 0x17, 4}, {"power", 0x02, 2}, {"fan", 0x03, 3}}

func main() {
	log.SetFlags(0)
	var (
		mu     sync.Mutex
		status = map[string][]byte{}
	)
	for _, kind := range kinds {
		status[kind.name] = []byte(strings.Repeat("\x01", kind.count))
	}
	go func() {
		in := bufio.NewScanner(os.Stdin)
		for in.Scan() {
			var name string
			var element, code int
			if _, err := fmt.Sscan(in.Text(), &name, &element, &code); err != nil || element >= len(status[name]) {
				log.Fatalf("not understood: %q", in.Text())
			}
			mu.Lock()
			status[name][element] = byte(code)
			mu.Unlock()
		}
	}()
	log.Fatal(serve(os.Args[1], func(cdb []byte) ([]byte, bool) {
		mu.Lock()
		defer mu.Unlock()
		return answer(cdb, status)
	}))
}

// answer returns what a command returns, and whether it is supported.
func answer(cdb []byte, status map[string][]byte) ([]byte, bool) {
	switch cdb[0] {
	case 0x00: // TEST UNIT READY
		return nil, true
	case 0x12: // INQUIRY
		if cdb[1]&1 != 0 {
			return nil, false
		}
		data := make([]byte, 36)
		data[0], data[2], data[3], data[4] = 0x0d, 6, 2, 31
		data[6] = 0x40 // EncServ
		copy(data[8:], "EXAMPLE Enclosure       1.0 ")
		return data, true
	case 0x1c: // RECEIVE DIAGNOSTIC RESULTS
		switch cdb[2] {
		case 0:
			return page(0, []byte{0, 1, 2, 7}), true
		case 1:
			return configuration(), true
		case 2:
			return state(status), true
		case 7:
			return descriptors(), true
		}
	}
	return nil, false
}

// page adds the head of a diagnostic page without a generation.
func page(code byte, body []byte) []byte {
	head := []byte{code, 0, 0, 0}
	binary.BigEndian.PutUint16(head[2:], uint16(len(body)))
	return append(head, body...)
}

// configuration is page 1: the enclosure, the kinds of elements, and their names.
func configuration() []byte {
	body := []byte{0, 0, 0, 0} // generation
	enclosure := make([]byte, 40)
	enclosure[0], enclosure[2], enclosure[3] = 0x11, byte(len(kinds)), byte(len(enclosure)-4)
	copy(enclosure[4:], "\x50\x01\x40\x5e\x00\x00\x00\x01EXAMPLE Enclosure       1.0 ")
	body = append(body, enclosure...)
	var names []byte
	for _, kind := range kinds {
		body = append(body, kind.number, byte(kind.count), 0, byte(len(kind.name)))
		names = append(names, kind.name...)
	}
	return page(1, append(body, names...))
}

// state is page 2: a word for each kind, and one for each element.
func state(status map[string][]byte) []byte {
	body := []byte{0, 0, 0, 0}
	for _, kind := range kinds {
		body = append(body, 0, 0, 0, 0)
		for _, code := range status[kind.name] {
			body = append(body, code, 0, 0, 0)
		}
	}
	return page(2, body)
}

// descriptors is page 7: what the elements are called.
func descriptors() []byte {
	body := []byte{0, 0, 0, 0}
	for _, kind := range kinds {
		body = append(body, 0, 0, 0, 0)
		for i := range kind.count {
			name := kind.name + " " + strconv.Itoa(i)
			body = append(append(body, 0, 0, 0, byte(len(name))), name...)
		}
	}
	return page(7, body)
}

// serve answers the commands of a device of the user space of the target core,
// such as uio0, until something is wrong.
func serve(device string, answer func(cdb []byte) ([]byte, bool)) error {
	text, err := os.ReadFile(filepath.Join("/sys/class/uio", device, "maps/map0/size"))
	if err != nil {
		return err
	}
	size, err := strconv.ParseInt(strings.TrimSpace(string(text)), 0, 64)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(filepath.Join("/dev", device), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	shared, err := syscall.Mmap(int(file.Fd()), 0, int(size), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return err
	}
	log.Print("ready")
	word := func(at int) *uint32 { return (*uint32)(unsafe.Pointer(&shared[at])) }
	ring, length := int(*word(4)), *word(8)
	head, tail := word(12), word(64)
	for count := make([]byte, 4); ; {
		for *tail != atomic.LoadUint32(head) {
			at := ring + int(*tail)
			entry := shared[at:]
			op := *word(at)
			if op&7 == 1 {
				respond(shared, entry, answer)
			}
			atomic.StoreUint32(tail, (*tail+op&^7)%length)
		}
		if _, err := file.Write(make([]byte, 4)); err != nil {
			return err
		}
		if _, err := file.Read(count); err != nil {
			return err
		}
	}
}

// respond carries out one command of the ring: struct tcmu_cmd_entry of the
// kernel's target_core_user.h.
func respond(shared, entry []byte, answer func(cdb []byte) ([]byte, bool)) {
	vectors := int(binary.LittleEndian.Uint32(entry[8:]))
	data, supported := answer(shared[binary.LittleEndian.Uint64(entry[24:]):])
	for i := range vectors {
		vector := entry[48+16*i:]
		base, size := binary.LittleEndian.Uint64(vector), binary.LittleEndian.Uint64(vector[8:])
		data = data[copy(shared[base:base+size], data):]
	}
	response := entry[8 : 8+104]
	clear(response)
	if !supported {
		response[0] = 2 // CHECK CONDITION: illegal request, invalid operation code
		sense := response[8:]
		sense[0], sense[2], sense[7], sense[12] = 0x70, 5, 10, 0x20
	}
}
