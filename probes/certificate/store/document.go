package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"gopkg.in/yaml.v3"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/certificate/ber"
)

// The bounds of documents: a parsed one takes much more memory than its text.
const (
	maxDocument = 1 << 20
	maxTokens   = 100_000
)

// document reads YAML, of which JSON is a part, so that what is inside gets the
// name of the keys that lead to it. It declines what is no such document, which
// is then searched as plain text; so it is with one that is damaged.
func (r *reader) document(name string, data []byte) (kind Kind, ok bool) {
	if !mayBeDocument(data) || r.depth > 2 {
		return Unknown, false
	}
	var roots []*yaml.Node
	for decoder := yaml.NewDecoder(bytes.NewReader(data)); ; {
		var root yaml.Node
		err := decoder.Decode(&root)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return Unknown, false
		}
		if len(root.Content) == 1 {
			roots = append(roots, root.Content[0])
		}
	}
	structured := false
	for _, root := range roots {
		structured = structured || root.Kind == yaml.MappingNode || root.Kind == yaml.SequenceNode
	}
	if !structured {
		return Unknown, false
	}
	r.depth++
	defer func() { r.depth-- }()
	kind = Document
	for _, root := range roots {
		w := walk{reader: r, name: name, kubeconfig: isKubeconfig(root)}
		if w.kubeconfig {
			kind = Kubeconfig
		}
		if len(roots) > 1 {
			w.name = within(name, itemName(root))
		}
		w.node("", "", root, 0)
	}
	return kind, true
}

// mayBeDocument reports whether it is worth while, and safe, to read the data as
// YAML. A file of plain PEM has its blocks at the beginning of lines, where YAML
// cannot have them.
func mayBeDocument(data []byte) bool {
	if len(data) > maxDocument || bytes.HasPrefix(data, []byte(markBegin)) || bytes.Contains(data, []byte("\n"+markBegin)) {
		return false
	}
	tokens := 0
	for _, c := range data {
		switch c {
		case ',', '[', '{', ':', '\n', '-', '?':
			tokens++
		case 0:
			return false
		}
	}
	if tokens > maxTokens || !bytes.ContainsAny(data, ":[") {
		return false
	}
	for _, hint := range []string{markBegin, markEncoded, "MI", "/u3+7", "zs7Oz", "certificate-", "tls.crt", "ca.crt"} {
		if bytes.Contains(data, []byte(hint)) {
			return true
		}
	}
	return false
}

// isKubeconfig reports whether a document is a configuration of kubectl.
func isKubeconfig(root *yaml.Node) bool {
	kind := child(root, "kind")
	return kind != nil && kind.Value == "Config" && (child(root, "clusters") != nil || child(root, "users") != nil)
}

// child returns the value of a key.
func child(node *yaml.Node, key string) *yaml.Node {
	if node.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == key {
			return node.Content[i+1]
		}
	}
	return nil
}

// itemName names an element of a list by the name that it has itself, which
// stays when the elements are reordered.
func itemName(node *yaml.Node) string {
	if meta := child(node, "metadata"); meta != nil {
		node = meta
	}
	if name := child(node, "name"); name != nil && name.Kind == yaml.ScalarNode {
		return name.Value
	}
	return ""
}

// A walk goes through one document.
type walk struct {
	*reader
	name       string // of the document
	kubeconfig bool
}

// node looks at a node and all below it. Aliases are not followed: what they
// repeat is looked at where it stands.
func (w *walk) node(path, key string, node *yaml.Node, depth int) {
	if depth > ber.MaxDepth || w.left < 0 {
		return
	}
	switch node.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			key := node.Content[i].Value
			w.node(join(path, key), key, node.Content[i+1], depth+1)
		}
	case yaml.SequenceNode:
		for i, item := range node.Content {
			name := itemName(item)
			if name == "" {
				name = fmt.Sprint(i)
			}
			w.node(path+"["+name+"]", "", item, depth+1)
		}
	case yaml.ScalarNode:
		w.scalar(path, key, node.Value)
	}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// scalar looks at one value.
func (w *walk) scalar(path, key, value string) {
	if w.kubeconfig && (key == "certificate-authority" || key == "client-certificate") && value != "" && len(w.content.References) < maxErrors {
		w.content.References = append(w.content.References, value)
		return
	}
	path = within(w.name, path)
	before := w.found()
	switch {
	case strings.Contains(value, markBegin):
		w.text(path, []byte(value))
	case len(value) >= minEncoded:
		decoded, err := decodeBase64([]byte(value))
		if err != nil {
			break
		}
		if kind := sniff(decoded); kind != Unknown || bytes.Contains(decoded, []byte(markBegin)) {
			w.read(path, decoded)
		}
	}
	if w.found() == before && claims(key) && strings.TrimSpace(value) != "" {
		w.fail(path, probes.Because(probes.Malformed, errors.New("holds no certificate")))
	}
}

// minEncoded is shorter than any certificate in base64.
const minEncoded = 64

// found counts everything found so far, errors too.
func (r *reader) found() int {
	return len(r.content.Entries) + len(r.content.CRLs) + len(r.content.Errors) + r.failed
}

// claims reports whether a key says that its value is a certificate: those of a
// kubeconfig and of a Secret of Kubernetes for TLS.
func claims(key string) bool {
	switch key {
	case "certificate-authority-data", "client-certificate-data", "tls.crt", "ca.crt":
		return true
	}
	return false
}
