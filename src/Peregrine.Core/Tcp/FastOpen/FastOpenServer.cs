// The server's side of RFC 7413 §4.2.2: what a SYN is worth, and the count of those that were opened by one. The connection itself is made
// by TcpPassiveOpen.
using Peregrine.Core.Ip;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp.FastOpen;

/// <summary>What becomes of a SYN.</summary>
internal enum FastOpenVerdict
{
    /// <summary>Like any other SYN.</summary>
    None,

    /// <summary>Like any other, but the SYN-ACK brings a cookie.</summary>
    Grant,

    /// <summary>A connection at once, with the SYN's data.</summary>
    Accept,

    /// <summary>The same, and the SYN-ACK brings a new cookie.</summary>
    AcceptAndGrant,
}

internal sealed class FastOpenServer(TcpContext context, FastOpenKeys keys)
{
    private readonly TcpContext _x = context;

    /// <summary>The keys of listeners that have none of their own.</summary>
    internal FastOpenKeys Keys { get; set; } = keys;

    internal FastOpenKeys KeysOf(TcpListenerEntry? entry) => entry?.FastOpenKeys ?? Keys;

    internal FastOpenVerdict Judge(in SegmentArrival s, in ReceivedPacket packet, TcpListenerEntry entry, TcpSettings settings, Instant now)
    {
        // RFC 7413 §4.2: FastOpenEnabled is off unless the application says so, and cookies are ignored then.
        if (settings.FastOpenQueueLength == 0) return FastOpenVerdict.None;
        var needsNone = settings.FastOpenWithoutCookie && s.PayloadLength > 0;
        if (!s.Options.HasFastOpen && !needsNone) return FastOpenVerdict.None;
        // RFC 7413 §4.2: over the limit it is as if there were no fast open.
        if (entry.FastOpens.IsFull(settings.FastOpenQueueLength, now))
        {
            _x.Recovery.Counters.TCPFastOpenListenOverflow++;
            return FastOpenVerdict.None;
        }
        if (needsNone) return FastOpenVerdict.Accept;
        if (s.Options.FastOpenCookieLength == 0)
        {
            _x.Recovery.Counters.TCPFastOpenCookieReqd++;
            return FastOpenVerdict.Grant;
        }
        switch (KeysOf(entry).Check(CookieOf(_x, s, packet), packet.Source, packet.Destination))
        {
            case FastOpenCookieAge.Current:
                return FastOpenVerdict.Accept;
            case FastOpenCookieAge.Previous:
                _x.Recovery.Counters.TCPFastOpenPassiveAltKey++;
                return FastOpenVerdict.AcceptAndGrant;
            default:
                _x.Recovery.Counters.TCPFastOpenPassiveFail++;
                return FastOpenVerdict.Grant;
        }
    }

    /// <summary>The cookie's bytes in the packet.</summary>
    internal static ReadOnlySpan<byte> CookieOf(TcpContext x, in SegmentArrival s, in ReceivedPacket packet) =>
        x.Frames.Head(packet.Frame).Slice(packet.TransportOffset + TcpHeader.Length + s.Options.FastOpenCookieOffset, s.Options.FastOpenCookieLength);

    /// <summary>The connection is made: it counts until its handshake is complete.</summary>
    internal void OnOpened(TcbRef t, TcpListenerEntry entry, int listener, bool hasData)
    {
        t.K.FastOpen = FastOpenFlags.Pending | (hasData ? FastOpenFlags.DataTaken : FastOpenFlags.None);
        t.K.FastOpenListener = new TcpListenerHandle(listener, entry.Generation);
        entry.FastOpens.OnOpened();
        _x.Recovery.Counters.TCPFastOpenPassive++;
    }

    /// <summary>The handshake is complete, or the connection has ended without.</summary>
    internal static void OnEnded(TcpContext x, TcbRef t, bool wasReset, Instant now)
    {
        if ((t.K.FastOpen & FastOpenFlags.Pending) == 0) return;
        t.K.FastOpen &= ~FastOpenFlags.Pending;
        var handle = t.K.FastOpenListener;
        t.K.SndUp = default;
        if (x.Listeners.Get(handle.Index) is { } entry && (ushort)entry.Generation == handle.Generation) entry.FastOpens.OnEnded(wasReset, now);
    }
}
