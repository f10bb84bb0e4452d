// Signatures of the UDP layer whose bodies land next.
using System.Net.Sockets;
using Peregrine.Core.Ip;
using Peregrine.Core.Memory;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Udp;

/// <summary>UDP of one stack.</summary>
public sealed class UdpLayer : ITransportErrors
{
    private UdpCounters _counters;

    internal UdpLayer(IpLayer ip, UdpOptions options, ChunkPool blocks, MemoryRegion region, UInt128 key, StackRandom random) =>
        _ = (ip, options, blocks, region, key, random);

    /// <summary>What happened so far.</summary>
    public ref UdpCounters Counters => ref _counters;

    /// <summary>Bytes of native memory that a layer takes from its region; blocks are another pool's.</summary>
    public static nuint BytesFor(UdpOptions options) => (nuint)options.SocketCountMax;

    /// <summary>Makes a socket.</summary>
    public SocketError Bind(in UdpBindOptions options, out UdpHandle socket)
    {
        socket = default;
        return SocketError.OperationNotSupported;
    }

    /// <summary>Fixes the other end.</summary>
    public SocketError Connect(UdpHandle socket, in Endpoint remote, Instant now) => SocketError.OperationNotSupported;

    /// <summary>Sends a datagram.</summary>
    public int Send(UdpHandle socket, ReadOnlySpan<byte> data, in Endpoint remote, Instant now, out SocketError error)
    {
        error = SocketError.OperationNotSupported;
        return -1;
    }

    /// <summary>Takes the oldest datagram.</summary>
    public int Receive(UdpHandle socket, Span<byte> destination, out Endpoint from, out IpAddress to, out bool truncated)
    {
        (from, to, truncated) = (default, default, false);
        return -1;
    }

    /// <summary>Takes the next event.</summary>
    public bool TryNextEvent(out UdpEvent next)
    {
        next = default;
        return false;
    }

    /// <summary>Takes a pending error.</summary>
    public bool TryTakeError(UdpHandle socket, out SocketError error)
    {
        error = SocketError.Success;
        return false;
    }

    /// <summary>Closes a socket.</summary>
    public void Close(UdpHandle socket)
    {
    }

    /// <summary>Our end.</summary>
    public Endpoint LocalEndpoint(UdpHandle socket) => default;

    /// <summary>The other end of a connected socket.</summary>
    public Endpoint RemoteEndpoint(UdpHandle socket) => default;

    /// <summary>A received packet of protocol UDP; the caller keeps its frame.</summary>
    internal void OnPacket(in ReceivedPacket packet, Instant now)
    {
    }

    /// <summary>After transmission: tells sockets that had no room. True when something waits.</summary>
    internal void OnOutputRoom()
    {
    }

    void ITransportErrors.OnIcmpError(in IcmpError error, Instant now)
    {
    }
}
