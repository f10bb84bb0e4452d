// Local ports for connections that do not name one: RFC 6056's algorithm 4, bounded. It knows nothing of which ports are in use; the
// caller answers that, for the whole tuple, since one local port serves many remotes.
//
// The RFC's loop goes through the whole range when it is full: 28,000 look-ups for one connect, and again for the next. Here a pick
// tries ProbesInOrder ports in the RFC's order and as many at random, and then says that there is none. Why this is good enough:
// - In order: the counter is not set back, so what was found busy is not tried again soon, and any range / 128 calls in a row have seen
//   every port: a caller who tries again finds even a single free one. With connections that end in the order in which they began,
//   the next port in order is the one that has been free for longest.
// - At random: a long run of busy ports (a thousand connections that stay) cannot fail a call, as 128 draws miss ten per cent of
//   free ports with a chance of 1.4 in a million, two per cent with 7.5 in a hundred.
// A bitmap of free ports would need one per remote endpoint, or it fails where it matters: many remotes and one of them nearly full.
using Peregrine.Wire;

namespace Peregrine.Core.Tcp;

/// <summary>Answers whether a tuple is taken.</summary>
internal interface IPortInUse
{
    /// <summary>Whether a connection (or its TIME-WAIT record) has this local port with the remote endpoint that a port is sought for.</summary>
    bool IsInUse(ushort localPort);
}

/// <summary>Picks ephemeral ports.</summary>
internal sealed class EphemeralPorts
{
    /// <summary>First port unless configured, as Linux has it.</summary>
    public const ushort DefaultMin = 32_768;

    /// <summary>Last port unless configured, as Linux has it.</summary>
    public const ushort DefaultMax = 60_999;

    /// <summary>Ports that one pick tries in the RFC's order; as many are then tried at random.</summary>
    public const int ProbesInOrder = 128;

    private const int CounterCount = 256;

    private readonly UInt128 _key;
    private readonly StackRandom _random;
    private readonly uint[] _counters = new uint[CounterCount];

    /// <summary>Makes a picker over the ports <paramref name="min"/> to <paramref name="max"/>, both included.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The range is empty or has port 0.</exception>
    public EphemeralPorts(in StackSecrets secrets, StackRandom random, ushort min = DefaultMin, ushort max = DefaultMax)
    {
        ArgumentOutOfRangeException.ThrowIfZero(min);
        ArgumentOutOfRangeException.ThrowIfLessThan(max, min);
        (_key, _random, Min, Max) = (secrets.PortKey, random, min, max);
        // RFC 6056 §3.3.4: the table starts with random values.
        for (var i = 0; i < CounterCount; i++) _counters[i] = random.Next((uint)(max - min + 1));
    }

    /// <summary>First port of the range.</summary>
    public ushort Min { get; }

    /// <summary>Last port of the range.</summary>
    public ushort Max { get; }

    /// <summary>Picks that found no port.</summary>
    public long Failed { get; private set; }

    /// <summary>Bytes of memory.</summary>
    public static nuint BytesFor() => CounterCount * sizeof(uint);

    /// <summary>Picks a free port for a connection to a remote endpoint; false when none was found (AddressNotAvailable).</summary>
    public bool TryPick<TInUse>(in IpAddress local, in IpAddress remote, ushort remotePort, ref TInUse use, out ushort port)
        where TInUse : struct, IPortInUse
    {
        // RFC 6056 §3.3.4: offset = F(...) and index = G(...): two halves of one keyed hash, of which a remote sees neither.
        var hash = SipHash.Hash24(_key, local, 0, remote, remotePort);
        // Both offset and counter are kept below the range: a sum that wraps at 2^32 would make the order jump.
        var count = (uint)(Max - Min + 1);
        var offset = (uint)hash % count;
        ref var counter = ref _counters[(int)(hash >> 32) & (CounterCount - 1)];
        var tries = Math.Min(ProbesInOrder, (int)count);
        for (var i = 0; i < tries; i++)
        {
            port = (ushort)(Min + ((offset + counter) % count));
            counter = counter + 1 == count ? 0 : counter + 1;
            if (!use.IsInUse(port)) return true;
        }
        for (var i = 0; i < tries && count > ProbesInOrder; i++)
        {
            port = (ushort)(Min + _random.Next(count));
            if (!use.IsInUse(port)) return true;
        }
        Failed++;
        port = 0;
        return false;
    }
}
