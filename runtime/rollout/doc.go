// Package rollout makes each wanted proc true on Docker Swarm, and says how it went and where it answers.
//
// A wish is a ProcWant; every write of one has a new attempt number. The controller turns it into one
// Swarm service and gives a verdict on each attempt, once: serving, or failed with the evidence. After
// that the verdict stays, while the instances below it are kept up to date. What to do about a failure is
// not decided here: whoever wished writes a new wish, usually the last one that served, and containers of
// that one that still run are kept, since they are known by a hash of their specification (SpecLabel).
//
// Everything is read anew at each step (package reconcile), the thinking is pure (decide, judge), and
// nothing is written while nothing changes. A service is only changed for a new attempt, or when its
// number of instances was changed by hand, so that a restart of the server rolls nothing. While the
// engine is away there is no verdict.
//
// No failing attempt costs an instance of the release before it: the engine stops an old instance only for a
// new one that it calls running, which is when its health check has let it settle (healthCheck).
//
// Endpoints are the addresses of tasks that the engine runs and wants to run, of any release: with a
// health check, "runs" means healthy. They leave the record as soon as the engine wants the task to stop,
// two to three seconds before its container is told.
//
// An instance whose last health probe failed is unwell, and no endpoint while another one is well (addresses). The
// engine tells of each probe (probes). Verdicts do not depend on it.
//
// Rollout chooses no nodes, knows no volumes, and never talks to a router.
package rollout
