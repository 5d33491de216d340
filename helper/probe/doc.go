// Package probe is the health check of a container: one question to the application inside, asked over
// HTTP, by a TCP connection, or by a command, or none at all: --alive is for a program that can only be
// seen to run.
//
// It exits 0 when the application is well and 1 when it is not, and prints one line that says what was
// asked and what the answer was; the engine keeps that line in its health log, where people read it as
// the last probe.
//
// # The rhythm
//
// The engine waits one interval before its first probe, so a fast start wants a short interval; but each
// probe costs the engine about 50 ms of CPU, so a running application wants a long one. Both are had by
// letting the engine ask every 500 ms and, once the first probe has succeeded, sleeping the application's
// own interval inside the probe. The sleep comes first and the question after it, so an answer is never
// older than the moment it is given.
//
// A probe that follows a failed one asks five times in that interval and ends with the first good answer. So an
// application that is well again is called so within a second or so instead of six, and has requests again, at the
// price of some questions and no probe more. A bad one is not told of sooner than before: what is only busy for some
// seconds would be stopped too early else, and it gets no requests any more since its first failed probe (package
// runtime/rollout).
//
// The first success may have to last: with --settle, the probe that finds it sleeps that long, asks again,
// and only a second good answer counts. To the engine the container is starting until then. That matters
// where something irreversible follows the first success: Swarm stops the old instance of a service as soon
// as it calls the new one healthy, and a program that crashes right behind its first good answer would have
// cost the old one.
//
// That the first success has been, and that the last probe failed, is remembered where no file system, user id or living process is
// needed: as a System V shared memory segment each of the container's own IPC namespace (one byte that is
// never touched, so no page of it exists). Where the kernel has none, an empty file (--state, by default
// in /dev/shm; with "-sick" behind it for the failure) takes its place. Where neither is possible every probe is
// asked at once: more CPU, never a wrong answer.
//
// # What the engine must be told
//
// Whoever writes the service's health check must set:
//
//   - Test: CMD, "/lain/helper", "probe", ... (never CMD-SHELL: an image may have no shell);
//   - Interval: 500 ms;
//   - Timeout: more than --interval + --timeout, and than --settle + twice --timeout: EngineTimeout computes it. A shorter one would call every
//     sleeping probe a failure;
//   - StartPeriod: the time the application may take to its first success (setup time + deadline), during
//     which failures count for nothing;
//   - Retries: how many failures in a row make it unhealthy. The time from its death to that verdict is
//     at most Retries x (--interval + --timeout + 500 ms).
//
// The IPC mode of the container must be its own (the engine's default), and a container that is started
// anew gets a new namespace, so it is asked every 500 ms again.
//
// # The address
//
// The host "self" stands for the container's own first address that is not loopback. With it, an
// application that listens on 127.0.0.1 only, which no router could reach, is not called well, and the
// line says why.
package probe
