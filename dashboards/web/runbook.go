package web

import (
	"bytes"
	"html/template"
	"io/fs"
	"net/http"
	"sort"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"
)

func (o Options) runbooks(w http.ResponseWriter, _ *http.Request) {
	var names []string
	err := fs.WalkDir(o.Runbooks, ".", func(path string, entry fs.DirEntry, err error) error {
		if name, ok := strings.CutSuffix(path, ".md"); ok && err == nil && !entry.IsDir() {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		plain(w, http.StatusInternalServerError, err.Error())
		return
	}
	sort.Strings(names)
	render(w, "runbooks.html", o.Now(), map[string]any{"Host": o.Host, "Names": names})
}

// runbook shows one runbook: /runbooks/<probe>-<check>. The files are part of
// the agent, so their text is trusted; raw HTML in them is not rendered even so.
func (o Options) runbook(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	if !fs.ValidPath(name) {
		plain(w, http.StatusNotFound, "no such runbook")
		return
	}
	source, err := fs.ReadFile(o.Runbooks, name+".md")
	if err != nil {
		plain(w, http.StatusNotFound, "there is no runbook of this name; /runbooks/ lists them")
		return
	}
	var body bytes.Buffer
	if err := goldmark.New(goldmark.WithExtensions(extension.Table)).Convert(source, &body); err != nil {
		plain(w, http.StatusInternalServerError, err.Error())
		return
	}
	render(w, "runbook.html", o.Now(), map[string]any{"Host": o.Host, "Name": name, "Body": template.HTML(body.String())})
}
