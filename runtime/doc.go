// Package runtime is the map of the room in which applications run; it holds no code.
//
//   - rollout makes each wanted proc true on Docker Swarm, judges whether it serves, and says where.
//   - diary keeps what happened to the instances of each application.
//   - disk says whether there is room for something new, and keeps a reserve for what runs.
//   - network keeps the fence of a node: what containers may reach, and who may reach their ports.
//
// The parts of this room do not import one another. They meet in records of the state store.
package runtime
