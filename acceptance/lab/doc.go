// Package lab makes Docker Swarms on one Linux machine for tests: nodes with namespaces, disks, engines and
// cables of their own, which can be killed, cut off and healed.
//
// The work is done by swarm-lab.sh; this package gives each lab a name and a network that nobody else uses.
// A lab is held by a lock on a file, which the kernel drops when the holder dies however it dies: whatever
// stands behind a lock that can be taken was left by a dead run, and is removed before anything new is made.
//
// It needs root, dockerd, docker, iproute2 and util-linux, and knows nothing of what is run in the nodes.
package lab
