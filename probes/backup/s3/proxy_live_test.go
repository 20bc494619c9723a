//go:build live

package s3_test

import (
	"io"
	"net"
	"testing"
)

// cutting passes connections on to a server, and breaks each when the server has
// said so many bytes.
func cutting(t *testing.T, server string, after int64) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go pass(client, server, after)
		}
	}()
	return listener.Addr().String()
}

func pass(client net.Conn, server string, after int64) {
	defer client.Close()
	behind, err := net.Dial("tcp", server)
	if err != nil {
		return
	}
	defer behind.Close()
	go func() { _, _ = io.Copy(behind, client) }()
	_, _ = io.CopyN(client, behind, after)
}
