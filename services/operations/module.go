package operations

import (
	operationsv1connect "trama/contracts/rpc/operations/v1/operationsv1connect"
	"trama/platform/bus"
	"trama/platform/module"
	"trama/services/operations/internal/app"
	"trama/services/operations/internal/rest"
)

// Name is the service's name.
const Name = "operations"

// Config is what the host tells the service; there is nothing to configure.
type Config struct {
	Services []string // that have an agent, in the order in which they are shown
	Log      bus.Bus  // whose event log is read
}

// New puts the service together; it does no I/O.
func New(cfg Config, d module.Deps) (module.Service, error) {
	handler, err := rest.New(&app.Operations{
		Services: cfg.Services, Log: cfg.Log, Clock: d.Clock, IDs: d.IDs,
		Client: func(service string) operationsv1connect.OperationsServiceClient {
			return operationsv1connect.NewOperationsServiceClient(d.Call(service))
		},
	})
	if err != nil {
		return module.Service{}, err
	}
	return module.Service{Name: Name, Modules: []module.Module{{Name: Name + ".api", REST: handler}}}, nil
}
