package faults

import (
	"strings"
	"testing"

	"trama/platform/enginetest"
	"trama/tests/harness"
)

// TestSharedDatabaseKeepsServicesApart runs the school on one PostgreSQL
// database with a schema and role for each service, and tries to look over the fence.
func TestSharedDatabaseKeepsServicesApart(t *testing.T) {
	t.Parallel()
	shared := enginetest.PostgresDatabase(t)
	suffix := enginetest.Suffix()
	set := map[string]string{}
	for _, service := range []string{"payments", "academics", "notifications", "identity", "acquirersim"} {
		set["stores."+service] = harness.RoleURL(t, shared, "trama_"+service+"_"+suffix, service)
	}
	harness.Prepared(t, shared, set)
	x := start(t, false, set)
	x.client(want{})
	x.verify()
	x.stop()
	err := enginetest.PostgresTry(t, set["stores.academics"], "SELECT count(*) FROM payments.payment")
	if err == nil || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("academics reads the payments: %v", err)
	}
	err = enginetest.PostgresTry(t, set["stores.payments"], "CREATE TABLE public.spill (x int)")
	if err == nil || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("payments writes outside its schema: %v", err)
	}
}
