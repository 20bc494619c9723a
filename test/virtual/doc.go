// Package virtual runs the line from the agent to the receiver in one process
// and in virtual time: the agent's own monitor and ledger, the rule engine of
// Prometheus, and the whole notification pipeline of Alertmanager, of the
// newest release whose packages can be built. Only the network between them is
// made up.
package virtual
