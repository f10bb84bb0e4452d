// The meter "Peregrine": every counter as an observable one, tagged with its name, nstat's name where there is one, and the network's; read only when somebody collects.
using System.Diagnostics.Metrics;

namespace Peregrine;

internal sealed class PeregrineMetrics : IDisposable
{
    internal const string MeterName = "Peregrine";

    private readonly Meter _meter = new(MeterName);

    internal PeregrineMetrics(string network, CoreEngine engine)
    {
        var table = new CounterTable(engine);
        var name = new KeyValuePair<string, object?>("network", network);
        foreach (var group in table.Groups)
        {
            _meter.CreateObservableCounter(
                "peregrine." + group,
                () => table.Read(group).Select(c => new Measurement<long>(c.Value, Tags(name, group, c.Name))).ToArray(),
                "{event}",
                $"What happened so far in group {group}, by name.");
        }
        _meter.CreateObservableGauge("peregrine.connections", () => new Measurement<int>(engine.ConnectionCount, name), "{connection}", "Connections that the application holds.");
        _meter.CreateObservableGauge("peregrine.memory.pressure", () => new Measurement<int>((int)engine.Stack.Tcp.MemoryPressure, name), null,
            "0: enough blocks; 1: buffers grow no more; 2: what can wait or come again is given up; 3: the last are for who reads.");
        _meter.CreateObservableGauge("peregrine.link.up", () => new Measurement<int>(engine.LinkWatch.IsUp ? 1 : 0, name), null, "1 while the link has a carrier.");
    }

    public void Dispose() => _meter.Dispose();

    private static KeyValuePair<string, object?>[] Tags(KeyValuePair<string, object?> network, string group, string counter) =>
        NstatNames.Of(group, counter) is { } nstat ? [network, new("counter", counter), new("nstat", nstat)] : [network, new("counter", counter)];
}
