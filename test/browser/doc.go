// Package browser looks at the pages of a running agent in a real browser.
package browser
