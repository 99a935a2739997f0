package natsbus_test
import "testing"
func places(testing.TB) map[string]func(testing.TB) *place {
	return map[string]func(testing.TB) *place{
		"running": running,
		"own":     func(t testing.TB) *place { return newPlace(t, newNode(t).url(), false) },
	}
}
