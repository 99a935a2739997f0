// Package simulation runs the whole system, all services as they are, in one
// testing/synctest bubble on one fake clock, against a hostile world that grows
// out of one number, the seed: a transport that fails, delays, repeats (also a
// week later) and reorders across subjects, stores and calls between services
// that are down for a while or lose their answer, an acquirer that does not
// answer, a process that dies at named points or at any moment, a clock that
// jumps by an hour and by days, clients that repeat themselves, an event that a
// handler cannot take and bytes that are no event.
//
// After the run the world is looked at: what was accepted has ended, money is
// conserved, the order of each subject was kept for every subscription, each fact
// was told once and had one effect, and nothing is silent.
//
// Every decision to hurt is a pure function of the seed and a name that does not
// depend on the order in which goroutines run: which payment of the workload and
// which event of it, how often it was tried, how long the phase has lasted. So a
// seed has the same schedule of faults each time. How Go interleaves goroutines
// that are runnable at the same fake instant cannot be replayed; since the
// transport gives each delivery a pause of its own, such instants are few. What
// is compared between two runs of a seed is the outcome: what was told about
// each aggregate, in order, and where everything ended.
//
//	make simulate SEEDS=10000          that many seeds
//	TRAMA_SIM_SEED=4711 go test -run Seeds ./tests/simulation   one of them, telling all
package simulation
