// Names in a world: every host's, with its addresses.
using System.Net;
using Peregrine.Sockets;

namespace Peregrine.Simulation.Hosts;

internal sealed class WorldNames(SimulatedWorld world) : INameResolver
{
    public ValueTask<IPAddress[]> ResolveAsync(string host, CancellationToken cancel)
    {
        if (IPAddress.TryParse(host, out var literal)) return ValueTask.FromResult<IPAddress[]>([literal]);
        foreach (var known in world.Hosts)
        {
            if (!string.Equals(known.Name, host, StringComparison.OrdinalIgnoreCase)) continue;
            return ValueTask.FromResult(known.Addresses.Select(static a => a.Address.ToIPAddress()).ToArray());
        }
        return ValueTask.FromResult<IPAddress[]>([]);
    }
}
