// Echo requests of our own (ping) and what comes back: replies and errors, as events in a bounded queue.
using System.Net.Sockets;
using Peregrine.Core.Memory;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Ip;

/// <summary>What came back to an echo request.</summary>
/// <param name="Remote">Who answered, or the destination of the request that an error is about.</param>
/// <param name="Identifier">The echo's identifier.</param>
/// <param name="Sequence">The request's sequence number.</param>
/// <param name="Length">Bytes of data in the reply; 0 with an error.</param>
/// <param name="HopLimit">Hop limit of the reply as it came in.</param>
/// <param name="Error">Success for a reply, else what the error says: HostUnreachable, NetworkUnreachable, MessageSize, TimedOut, …</param>
/// <param name="At">When it came.</param>
public readonly record struct EchoEvent(
    IpAddress Remote, ushort Identifier, ushort Sequence, int Length, byte HopLimit, SocketError Error, Instant At);

/// <summary>Sends echo requests and collects what comes back.</summary>
public sealed class IcmpEcho
{
    private readonly IpLayer _ip;
    private readonly ushort[] _open;
    private readonly EchoEvent[] _events;
    private int _openCount, _first, _count;

    internal IcmpEcho(IpLayer ip, IpOptions options)
    {
        _ip = ip;
        _open = new ushort[options.EchoCountMax];
        _events = new EchoEvent[options.EchoEventCountMax];
    }

    /// <summary>Takes a free identifier; only replies with an open one are collected. False when too many are open.</summary>
    public bool TryOpen(out ushort identifier)
    {
        identifier = 0;
        if (_openCount == _open.Length) return false;
        do identifier = (ushort)_ip.Generator.NextUInt32();
        while (IsOpen(identifier));
        _open[_openCount++] = identifier;
        return true;
    }

    /// <summary>Gives an identifier back.</summary>
    public void Close(ushort identifier)
    {
        int place = _open.AsSpan(0, _openCount).IndexOf(identifier);
        if (place >= 0) _open[place] = _open[--_openCount];
    }

    /// <summary>Sends a request.</summary>
    /// <param name="remote">To whom.</param>
    /// <param name="identifier">An open identifier.</param>
    /// <param name="sequence">A number that the reply repeats.</param>
    /// <param name="data">What it carries; the reply has the same. Longer requests than the path's MTU are fragmented.</param>
    /// <param name="hopLimit">Hop limit, or 0 for the default.</param>
    /// <param name="now">The time.</param>
    /// <returns>Success, or why not: InvalidArgument, MessageSize, NoBufferSpaceAvailable, or as resolving the path says.</returns>
    public SocketError Send(in IpAddress remote, ushort identifier, ushort sequence, ReadOnlySpan<byte> data, byte hopLimit, Instant now)
    {
        if (!IsOpen(identifier)) return SocketError.InvalidArgument;
        if (data.Length > IPv4Header.TotalLengthMax - IPv4Header.Length - IcmpHeader.Length) return SocketError.MessageSize;
        IpAddress local = default;
        FlowPath path = default;
        SocketError error = _ip.Resolve(remote, ref local, ref path, now);
        if (error != SocketError.Success) return error;
        if (!TryBuild(local, remote, identifier, sequence, data, out Frame frame)) return SocketError.NoBufferSpaceAvailable;
        _ip.IcmpCounters.SentEchoRequests++;
        var how = new IpOutput
        {
            Local = local, Remote = remote, HopLimit = hopLimit, Protocol = remote.IsIPv4 ? IpProtocol.Icmpv4 : IpProtocol.Icmpv6,
        };
        _ip.Output(ref frame, how, path, now);
        return SocketError.Success;
    }

    /// <summary>Takes the oldest event.</summary>
    public bool TryNext(out EchoEvent echo)
    {
        echo = default;
        if (_count == 0) return false;
        echo = _events[_first];
        _first = (_first + 1) % _events.Length;
        _count--;
        return true;
    }

    internal bool IsOpen(ushort identifier) => _open.AsSpan(0, _openCount).Contains(identifier);

    /// <summary>Collects an event; false when the queue is full.</summary>
    internal bool TryAdd(in EchoEvent echo)
    {
        if (_count == _events.Length) return false;
        _events[(_first + _count++) % _events.Length] = echo;
        return true;
    }

    private bool TryBuild(in IpAddress local, in IpAddress remote, ushort identifier, ushort sequence, ReadOnlySpan<byte> data, out Frame frame)
    {
        if (!_ip.Frames.TryRentFor(IcmpHeader.Length + data.Length, out frame)) return false;
        Span<byte> head = _ip.Frames.Head(frame);
        ref IcmpHeader header = ref System.Runtime.InteropServices.MemoryMarshal.AsRef<IcmpHeader>(head);
        header.Type = remote.IsIPv4 ? (byte)Icmpv4Type.EchoRequest : (byte)Icmpv6Type.EchoRequest;
        header.Code = 0;
        header.Checksum = default;
        header.Rest = ((uint)identifier << 16) | sequence;
        uint pseudo = remote.IsIPv4 ? 0 : InternetChecksum.PseudoHeader(local, remote, IpProtocol.Icmpv6, frame.Length);
        uint sum = _ip.Frames.CopyInAndSum(frame, IcmpHeader.Length, data);
        InternetChecksum.Store(head[IcmpHeader.ChecksumOffset..], InternetChecksum.Sum(head[..IcmpHeader.Length], pseudo + sum));
        return true;
    }
}
