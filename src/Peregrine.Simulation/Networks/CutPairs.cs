// Between whom nothing gets through: ordered pairs of hosts, looked at where a switch would hand a frame to a host.
using Peregrine.Wire;

namespace Peregrine.Simulation.Networks;

internal sealed class CutPairs
{
    private readonly HashSet<(ulong From, ulong To)> _pairs = [];

    public bool Contains(MacAddress from, MacAddress to) => _pairs.Count > 0 && _pairs.Contains((from.Value, to.Value));

    public void Add(MacAddress from, MacAddress to) => _pairs.Add((from.Value, to.Value));

    public void Clear() => _pairs.Clear();
}
