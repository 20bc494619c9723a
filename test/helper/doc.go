// Package helper tries the root helper: started by a socket as systemd does it,
// asked by root, by users that may and users that may not, and for what it must
// not do.
package helper
