package pgbackrest

import (
	"bufio"
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha1" //nolint:gosec // what pgBackRest makes its keys with
	"errors"
	"io"
)

// salted begins what pgBackRest encrypts, in the way of OpenSSL.
const salted = "Salted__"

const (
	keyBytes  = 32
	saltBytes = 8
)

// errCipher says that what was encrypted does not come out: the passphrase is
// another one, or the data is damaged.
var errCipher = errors.New("it cannot be decrypted")

// decrypt returns what was encrypted with a passphrase, as AES-256 in the mode
// CBC with a key that SHA-1 makes of the passphrase and a salt.
func decrypt(r io.Reader, pass string) (io.Reader, error) {
	in := bufio.NewReaderSize(r, 64<<10)
	head := make([]byte, len(salted)+saltBytes)
	if _, err := io.ReadFull(in, head); err != nil {
		return nil, noEnd(err)
	}
	if string(head[:len(salted)]) != salted {
		return nil, errCipher
	}
	key, iv := derive([]byte(pass), head[len(salted):])
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return &decrypter{in: in, mode: cipher.NewCBCDecrypter(block, iv)}, nil
}

// derive makes a key and the start of a chain as EVP_BytesToKey(3) does.
func derive(pass, salt []byte) (key, iv []byte) {
	var made, last []byte
	for len(made) < keyBytes+aes.BlockSize {
		sum := sha1.Sum(bytes.Join([][]byte{last, pass, salt}, nil)) //nolint:gosec // see above
		last = sum[:]
		made = append(made, last...)
	}
	return made[:keyBytes], made[keyBytes : keyBytes+aes.BlockSize]
}

func noEnd(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errCipher
	}
	return err
}

// A decrypter decrypts block by block. The last block says how much of it is
// padding.
type decrypter struct {
	in     *bufio.Reader
	mode   cipher.BlockMode
	buffer []byte
	ready  []byte // of the buffer
	err    error
}

func (d *decrypter) Read(b []byte) (int, error) {
	for len(d.ready) == 0 && d.err == nil {
		d.fill()
	}
	if len(d.ready) == 0 {
		return 0, d.err
	}
	n := copy(b, d.ready)
	d.ready = d.ready[n:]
	return n, nil
}

func (d *decrypter) fill() {
	if d.buffer == nil {
		d.buffer = make([]byte, 32<<10) // whole blocks
	}
	n, err := io.ReadFull(d.in, d.buffer)
	switch {
	case errors.Is(err, io.EOF), n%aes.BlockSize != 0:
		d.err = errCipher // the padding is missing
		return
	case err != nil && !errors.Is(err, io.ErrUnexpectedEOF):
		d.err = err
		return
	}
	d.mode.CryptBlocks(d.buffer[:n], d.buffer[:n])
	d.ready = d.buffer[:n]
	if _, err := d.in.Peek(1); !errors.Is(err, io.EOF) {
		return
	}
	padding := int(d.ready[n-1])
	if padding == 0 || padding > aes.BlockSize || !bytes.Equal(d.ready[n-padding:], bytes.Repeat([]byte{byte(padding)}, padding)) {
		d.ready, d.err = nil, errCipher
		return
	}
	d.ready, d.err = d.ready[:n-padding], io.EOF
}
