package telemetry

import "errors"

// maxTraces bounds how many traces Gather follows.
const maxTraces = 50

// Gather collects a trace from everywhere: fetch gives what all processes
// remember of one trace id (Recorder.Trace of each). A trace goes on in another
// one where a batch took its events, so those that link to it are fetched too.
// What fetch could not give is missing, and its errors are joined.
func Gather(id string, fetch func(id string) ([]SpanRecord, error)) ([]SpanRecord, error) {
	ids, asked, seen := []string{id}, map[string]bool{id: true}, map[string]bool{}
	var all []SpanRecord
	var failed error
	for i := 0; i < len(ids) && i < maxTraces; i++ {
		spans, err := fetch(ids[i])
		failed = errors.Join(failed, err)
		for _, s := range spans {
			if key := s.TraceID + s.SpanID; !seen[key] {
				seen[key] = true
				all = append(all, s)
			}
			if !asked[s.TraceID] {
				asked[s.TraceID] = true
				ids = append(ids, s.TraceID)
			}
		}
	}
	byStart(all)
	return all, failed
}
