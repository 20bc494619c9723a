// Package bench measures the agent from outside, beside the node exporter in the
// same run: times, processor and memory are compared and printed, and nothing is
// asserted, because a busy machine would make it fail.
package bench
