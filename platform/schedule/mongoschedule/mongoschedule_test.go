package mongoschedule_test

import (
	"testing"

	"trama/platform/clock"
	"trama/platform/schedule"
	"trama/platform/schedule/mongoschedule"
	"trama/platform/schedule/scheduletest"
	"trama/platform/store/mongostore/mongotest"
)

func TestMongoDB(t *testing.T) {
	scheduletest.Run(t, func(t *testing.T, c clock.Clock) schedule.Ledger {
		return mongoschedule.New(mongotest.Open(t), c)
	})
}
