// Identifications of packets that may be fragmented: unpredictable to others, and not soon repeated for the same pair of hosts.
using Peregrine.Wire;

namespace Peregrine.Core.Ip;

/// <summary>Makes identifications (RFC 7739 §5.3: a keyed hash of the flow plus one of many counters, RFC 6864 §4).</summary>
internal sealed class PacketIdentification
{
    private const int CounterCount = 1024;
    private readonly uint[] _counters = new uint[CounterCount];
    private readonly AddressHash _hash;

    public PacketIdentification(AddressHash hash, StackRandom random)
    {
        _hash = hash;
        for (int i = 0; i < CounterCount; i++) _counters[i] = random.NextUInt32();
    }

    /// <summary>The next identification; IPv4 uses its lower 16 bits.</summary>
    public uint Next(in IpAddress source, in IpAddress destination, byte protocol)
    {
        ulong hash = _hash.Of(source, destination, protocol);
        return (uint)hash + _counters[(int)(hash >> 32) & (CounterCount - 1)]++;
    }
}
