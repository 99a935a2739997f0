//go:build race

package agent_test

// raceDetector: the transpiled SQLite is twenty times slower under it.
const raceDetector = true
