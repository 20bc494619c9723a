// Package e2e proves with the real Prometheus and Alertmanager that people are
// told of each problem at the right time, exactly as long as it lasts, whatever
// is killed or cut off meanwhile. Its tests need the build tag "live".
package e2e
