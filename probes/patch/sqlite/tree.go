package sqlite

import (
	"encoding/binary"
	"math"
	"regexp"
	"strings"
)

// The kinds of pages of a table.
const (
	interiorPage = 5
	leafPage     = 13
)

// maxRow is more than any row that this package is for; a length beyond it is a
// damaged one.
const maxRow = 256 << 20

// A walker visits the leaves of the tree of one table, in the order of the keys.
type walker struct {
	db      *database
	columns columns
	each    func(Row) error
	budget  int64
	payload []byte // of the row at hand, reused
}

func (w *walker) tree(number uint32, depth int) error {
	if w.budget--; depth > maxDepth || w.budget < 0 {
		return malformed("page %d: a loop in the tree", number)
	}
	page, err := w.db.page(number)
	if err != nil {
		return err
	}
	header := page
	if number == 1 {
		header = page[100:]
	}
	cells := header[8:]
	switch header[0] {
	case interiorPage:
		cells = header[12:]
	case leafPage:
	default:
		return malformed("page %d is of kind %d, and not of a table", number, header[0])
	}
	count := int(binary.BigEndian.Uint16(header[3:]))
	if count*2 > len(cells) {
		return malformed("page %d has %d cells", number, count)
	}
	for i := range count {
		at := int(binary.BigEndian.Uint16(cells[2*i:]))
		if at+4 > int(w.db.usable) {
			return malformed("page %d: cell %d lies outside", number, i)
		}
		if header[0] == leafPage {
			err = w.cell(page[at:w.db.usable])
		} else {
			err = w.tree(binary.BigEndian.Uint32(page[at:]), depth+1)
		}
		if err != nil {
			return err
		}
	}
	if header[0] == leafPage {
		return nil
	}
	return w.tree(binary.BigEndian.Uint32(header[8:]), depth+1)
}

// cell reads one row: its length, its id, and what of it is on the page.
func (w *walker) cell(cell []byte) error {
	length, n := varint(cell)
	id, m := varint(cell[n:])
	if n == 0 || m == 0 || length > maxRow {
		return malformed("a row of %d bytes", length)
	}
	payload, err := w.assemble(cell[n+m:], int64(length))
	if err != nil {
		return err
	}
	values, err := record(payload)
	if err != nil {
		return err
	}
	if key := w.columns.key; key >= 0 && key < len(values) && values[key] == nil {
		values[key] = int64(id)
	}
	return w.each(Row{ID: int64(id), columns: w.columns.names, values: values})
}

// assemble returns a whole payload. A long one begins on the page and goes on in
// a chain of overflow pages.
func (w *walker) assemble(local []byte, length int64) ([]byte, error) {
	inline := length
	if limit := w.db.usable - 35; length > limit {
		least := (w.db.usable-12)*32/255 - 23
		if inline = least + (length-least)%(w.db.usable-4); inline > limit {
			inline = least
		}
	}
	if inline > int64(len(local)) {
		return nil, malformed("a row goes on beyond its page")
	}
	if inline == length {
		return local[:length], nil
	}
	if inline+4 > int64(len(local)) {
		return nil, malformed("a row goes on beyond its page")
	}
	next := binary.BigEndian.Uint32(local[inline:])
	w.payload = append(w.payload[:0], local[:inline]...)
	for int64(len(w.payload)) < length {
		if w.budget--; next == 0 || w.budget < 0 {
			return nil, malformed("a row of %d bytes ends after %d", length, len(w.payload))
		}
		page, err := w.db.page(next)
		if err != nil {
			return nil, err
		}
		next = binary.BigEndian.Uint32(page)
		w.payload = append(w.payload, page[4:min(w.db.usable, 4+length-int64(len(w.payload)))]...)
	}
	return w.payload, nil
}

// record decodes the columns of a row.
func record(payload []byte) ([]any, error) {
	headerLength, n := varint(payload)
	if n == 0 || headerLength > uint64(len(payload)) || headerLength < uint64(n) {
		return nil, malformed("the header of a row has %d bytes", headerLength)
	}
	types, body := payload[n:headerLength], payload[headerLength:]
	var values []any
	for len(types) > 0 {
		kind, n := varint(types)
		if n == 0 {
			return nil, malformed("a column of no type")
		}
		types = types[n:]
		size := sizeOf(kind)
		if size > uint64(len(body)) {
			return nil, malformed("a column of %d bytes goes on beyond its row", size)
		}
		values = append(values, value(kind, body[:size]))
		body = body[size:]
	}
	return values, nil
}

func sizeOf(kind uint64) uint64 {
	switch {
	case kind >= 12:
		return (kind - 12) / 2
	case kind >= 8:
		return 0
	default:
		return [...]uint64{0, 1, 2, 3, 4, 6, 8, 8}[kind]
	}
}

func value(kind uint64, data []byte) any {
	switch {
	case kind >= 12 && kind%2 == 0:
		return data
	case kind >= 13:
		return string(data)
	case kind == 7:
		return math.Float64frombits(binary.BigEndian.Uint64(data))
	case kind == 8, kind == 9:
		return int64(kind - 8)
	case kind >= 1 && kind <= 6:
		n := int64(int8(data[0]))
		for _, b := range data[1:] {
			n = n<<8 | int64(b)
		}
		return n
	}
	return nil
}

// varint decodes a number of one to nine bytes; the length is 0 if it is cut.
func varint(data []byte) (uint64, int) {
	var n uint64
	for i := range min(len(data), 9) {
		if i == 8 {
			return n<<8 | uint64(data[i]), 9
		}
		n = n<<7 | uint64(data[i]&0x7f)
		if data[i] < 0x80 {
			return n, i + 1
		}
	}
	return 0, 0
}

// columns are those of a table, in their order.
type columns struct {
	names []string
	key   int // the one that is stored as the id of the row; -1 if there is none
}

var (
	constraint = regexp.MustCompile(`(?i)^(CONSTRAINT|PRIMARY|UNIQUE|CHECK|FOREIGN)\b`)
	comment    = regexp.MustCompile(`(?s)/\*.*?\*/|--[^\n]*`)
	rowKey     = regexp.MustCompile(`(?i)^\S+\s+INTEGER\s+PRIMARY\s+KEY\b`)
)

// columnsOf returns the columns that a CREATE TABLE statement declares.
func columnsOf(sql string) columns {
	_, body, _ := strings.Cut(comment.ReplaceAllString(sql, " "), "(")
	found := columns{key: -1}
	depth, start := 0, 0
	add := func(end int) {
		definition := strings.TrimSpace(body[start:end])
		if definition != "" && !constraint.MatchString(definition) {
			if rowKey.MatchString(definition) {
				found.key = len(found.names)
			}
			found.names = append(found.names, strings.Trim(strings.Fields(definition)[0], "\"'`[]"))
		}
		start = end + 1
	}
	for i := range len(body) {
		switch body[i] {
		case '(':
			depth++
		case ',':
			if depth == 0 {
				add(i)
			}
		case ')':
			if depth--; depth < 0 {
				add(i)
				return found
			}
		}
	}
	return found
}
