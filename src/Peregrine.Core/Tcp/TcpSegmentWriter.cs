// Builds a TCP segment in a frame: header, options, and payload copied out of the send queue, summed in the same pass unless the link
// finishes checksums; a link that gathers is told where a long payload lies instead. Gives the frame to IP. A transmission of several segments is
// one frame where the link cuts it and else, cut here, a frame each: one plan, one record, one look at windows and timers for all of them. Decides
// nothing about what to send.
using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Peregrine.Core.Ip;
using Peregrine.Core.Links;
using Peregrine.Core.Memory;
using Peregrine.Core.Tcp.Authentication;
using Peregrine.Core.Tcp.FastOpen;
using Peregrine.Core.Tcp.Psp;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp;

/// <summary>What a segment says, its payload apart.</summary>
internal struct SegmentPlan
{
    internal SeqNumber Seq;
    internal SeqNumber Ack;
    internal TcpFlags Flags;
    internal ushort Window;
    internal ushort UrgentPointer;

    /// <summary>The ECN bits of the IP header.</summary>
    internal byte Ecn;
    /// <summary>One segment, also above the MSS: a probe of the path's MTU.</summary>
    internal bool IsWhole;
    internal TcpOptions Options;
}

/// <summary>What the IP header of a segment says that belongs to no connection any more, or not yet.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
internal readonly record struct SegmentMarks(byte TrafficClass, byte HopLimit, uint FlowLabel)
{
    internal static SegmentMarks Of(TcpSettings settings) => new((byte)settings.TrafficClass, (byte)settings.HopLimit, (uint)settings.FlowLabel);
}

internal sealed class TcpSegmentWriter(TcpContext context)
{
    // What one connection may put into a burst at once, where others wait.
    private const int CutCountMax = 16;

    // Of a segment that need not be gathered: shorter ones are copied twice as fast as they are described.
    private const int GatheredMin = 256;

    private readonly TcpContext _x = context;
    private readonly TcpFrameWriter _frames = new(context);

    /// <summary>Whether usual segments are written in one pass. Tests turn it off to see that both ways write the same.</summary>
    internal bool UsesShortWay { get; set; } = true;

    /// <summary>How many segments a transmission of the connection may have now, 1 or more: what the link cuts, or what there is room for.</summary>
    internal int SegmentCountMax(in Tcb c)
    {
        if (IsCutByLink(c)) return Math.Max(1, (_x.Ip.SuperSegmentMax(c.Path) - TcpHeader.LengthMax - TcpHandshake.IpHeaderLength(c.Local) - 18) / c.Mss);
        var chunks = 1 + ((FramePool.Headroom + TcpHeader.LengthMax + c.Mss - 1) / _x.Frames.Chunks.ChunkSize);
        return Math.Clamp(Math.Min(_x.Ip.Room(c.Path), _x.Frames.Chunks.FreeCount / chunks), 1, CutCountMax);
    }

    /// <summary>Writes and sends a transmission of a connection; false when no frame was free.</summary>
    /// <param name="t">The connection.</param>
    /// <param name="plan">Header and options.</param>
    /// <param name="queueOffset">Where the payload starts in the send queue.</param>
    /// <param name="payloadLength">Payload bytes, at most <see cref="SegmentCountMax"/> segments.</param>
    /// <param name="now">The time.</param>
    /// <param name="cookie">The fast open cookie, where the options speak of one.</param>
    internal bool TrySend(TcbRef t, in SegmentPlan plan, uint queueOffset, int payloadLength, Instant now, in FastOpenCookie cookie = default) =>
        payloadLength > t.C.Mss && !plan.IsWhole && !IsCutByLink(t.C) ? TrySendCut(t, plan, queueOffset, payloadLength, now) : TrySendFrame(t, plan, queueOffset, payloadLength, now, cookie);

    private bool IsCutByLink(in Tcb c) => (_x.Ip.Offloads(c.Path) & (c.Local.IsIPv4 ? LinkOffloads.SegmentTcp4 : LinkOffloads.SegmentTcp6)) != 0;

    /// <summary>What a link does that cuts: CWR goes with the first segment (RFC 3168 §6.1.2), PSH and FIN with the last.</summary>
    private bool TrySendCut(TcbRef t, in SegmentPlan plan, uint queueOffset, int payloadLength, Instant now)
    {
        const TcpFlags atEnd = TcpFlags.Psh | TcpFlags.Fin;
        var part = plan;
        part.Flags &= ~atEnd;
        int mss = t.C.Mss;
        for (; payloadLength > mss; payloadLength -= mss)
        {
            if (!TrySendFrame(t, part, queueOffset, mss, now)) return false;
            part.Flags &= ~TcpFlags.Cwr;
            part.Seq += (uint)mss;
            queueOffset += (uint)mss;
        }
        part.Flags |= plan.Flags & atEnd;
        return TrySendFrame(t, part, queueOffset, payloadLength, now);
    }

    private bool TrySendFrame(TcbRef t, in SegmentPlan plan, uint queueOffset, int payloadLength, Instant now, in FastOpenCookie cookie = default)
    {
        if (UsesShortWay && _frames.TrySend(t, plan, queueOffset, payloadLength, now)) return true;
        ref var c = ref t.C;
        if (!_x.Frames.TryRent(out var frame)) return false;
        var headerLength = TcpHeader.Length + plan.Options.EncodedLength;
        var room = Math.Min(_x.Frames.Chunks.ChunkSize - frame.Offset - headerLength, payloadLength) & ~1;
        if (payloadLength <= _x.Frames.Chunks.ChunkSize - frame.Offset - headerLength) room = payloadLength;
        var tunnel = _x.Encapsulation.PortOf(c.Local, c.LocalPort, c.Remote, c.RemotePort);
        var seal = _x.Psp?.SealOf(c, plan.Seq, payloadLength);
        var offloads = tunnel == 0 && seal is null ? _x.Ip.Offloads(c.Path) : LinkOffloads.None;
        var offload = (offloads & LinkOffloads.TransmitChecksum) != 0;
        var gathered = Gathers(offloads, payloadLength, isWhole: room == payloadLength) && !plan.Options.HasSignature
            ? _x.SendQueue.Gather(ref c.SendQueue, queueOffset, payloadLength, _x.Frames.PieceRoom(frame))
            : 0;
        if (gathered > 0) (room, offload) = (0, true);
        frame.HeadLength = (ushort)(headerLength + room);
        frame.Length = frame.HeadLength;
        var head = _x.Frames.Head(frame);
        var sum = room > 0 ? _x.SendQueue.CopyOut(ref c.SendQueue, queueOffset, head.Slice(headerLength, room), !offload) : 0;
        if (gathered > 0) _x.Frames.SetPieces(ref frame, gathered, payloadLength);
        else if (room < payloadLength && !TryAddChunks(ref c, ref frame, queueOffset + (uint)room, payloadLength - room, offload, ref sum))
        {
            _x.Frames.Return(frame);
            return false;
        }
        var headerSum = WriteHeader(head, plan, c.LocalPort, c.RemotePort, cookie);
        if (plan.Options.HasSignature) headerSum = Sign(_x.Authenticator!.Of(t)!, frame, headerLength, plan, headerSum);
        if (offload)
        {
            // The link sums from the transport header on; the field holds the pseudo-header's part (IP moves the start as it prepends).
            frame.Flags |= FrameFlags.ChecksumUnfinished;
            frame.ChecksumStart = 0;
            frame.ChecksumOffset = TcpHeader.ChecksumOffset;
            InternetChecksum.StorePartial(head[TcpHeader.ChecksumOffset..],
                InternetChecksum.PseudoHeader(c.Local, c.Remote, IpProtocol.Tcp, headerLength + payloadLength));
        }
        else
        {
            // RFC 9293 MUST-2.
            TcpHeader.WriteChecksum(head[..headerLength], c.Local, c.Remote, headerSum + sum, payloadLength);
        }
        if (payloadLength > c.Mss && !plan.IsWhole)
        {
            frame.SegmentKind = c.Local.IsIPv4 ? SegmentKind.Tcp4 : SegmentKind.Tcp6;
            frame.SegmentSize = c.Mss;
            frame.HeaderLength = (byte)headerLength;
        }
        _x.Log?.OnSent(t, plan, payloadLength, now);
        var isDatagram = tunnel != 0 || seal is not null;
        if (isDatagram && !TryWrap(ref frame, c.Local, c.Remote, tunnel, seal, (ushort)(c.LocalPort ^ c.RemotePort))) return false;
        t.K.SegmentsOut++;
        _x.Counters.SegmentsSent++;
        var settings = _x.SettingsOf(t);
        Describe(c.Local, c.Remote, settings.TrafficClass | plan.Ecn, settings.HopLimit, out var how);
        how.FlowLabel = (uint)settings.FlowLabel;
        if (isDatagram) how.Protocol = IpProtocol.Udp;
        _x.Ip.Output(ref frame, how, c.Path, now);
        return true;
    }

    /// <summary>Whether a payload stays where it is, for the link to gather; <paramref name="isWhole"/> if it would fit into the frame's first chunk.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static bool Gathers(LinkOffloads offloads, int payloadLength, bool isWhole) => (offloads & LinkOffloads.GatherSegments) != 0
        ? payloadLength >= GatheredMin
        : !isWhole && (offloads & (LinkOffloads.Gather | LinkOffloads.TransmitChecksum)) == (LinkOffloads.Gather | LinkOffloads.TransmitChecksum);

    /// <summary>Writes and sends a segment without payload that belongs to no TCB; false when no frame was free or no route leads there.</summary>
    internal bool TrySendBare(in IpAddress local, ushort localPort, in IpAddress remote, ushort remotePort, in SegmentPlan plan, ref FlowPath path, Instant now,
        in FastOpenCookie cookie = default, TcpAuthentication? signer = null, ushort? tunnelOf = null, SegmentMarks? marks = null)
    {
        if (signer is not null)
        {
            var signed = plan;
            signer.Reserve(ref signed.Options);
            return TrySendPlanned(local, localPort, remote, remotePort, signed, ref path, now, cookie, signer, tunnelOf, marks);
        }
        return TrySendPlanned(local, localPort, remote, remotePort, plan, ref path, now, cookie, null, tunnelOf, marks);
    }

    private bool TrySendPlanned(in IpAddress local, ushort localPort, in IpAddress remote, ushort remotePort, in SegmentPlan plan, ref FlowPath path, Instant now,
        in FastOpenCookie cookie, TcpAuthentication? signer, ushort? tunnelOf, SegmentMarks? marks)
    {
        var tunnel = tunnelOf ?? _x.Encapsulation.PortOf(local, localPort, remote, remotePort);
        var source = local;
        if (!_x.Ip.IsCurrent(path) && _x.Ip.Resolve(remote, ref source, ref path, now) != System.Net.Sockets.SocketError.Success) return false;
        if (!_x.Ip.HasRoom(path) || !_x.Frames.TryRent(out var frame)) return false;
        var headerLength = TcpHeader.Length + plan.Options.EncodedLength;
        frame.HeadLength = (ushort)headerLength;
        frame.Length = headerLength;
        var head = _x.Frames.Head(frame);
        var sum = WriteHeader(head, plan, localPort, remotePort, cookie);
        if (signer is not null) sum = Sign(signer, frame, headerLength, plan, sum);
        TcpHeader.WriteChecksum(head, local, remote, sum, 0);
        var seal = _x.Psp?.SealOf(local, localPort, remote, remotePort);
        var isDatagram = tunnel != 0 || seal is not null;
        if (isDatagram && !TryWrap(ref frame, local, remote, tunnel, seal, (ushort)(localPort ^ remotePort))) return false;
        _x.Counters.SegmentsSent++;
        var say = marks ?? SegmentMarks.Of(_x.Options.Tcp);
        Describe(local, remote, say.TrafficClass | plan.Ecn, say.HopLimit, out var how);
        how.FlowLabel = say.FlowLabel;
        if (isDatagram) how.Protocol = IpProtocol.Udp;
        _x.Ip.Output(ref frame, how, path, now);
        return true;
    }

    // RFC 5925 §7.3: before the checksum is made, which then covers the code as well.
    private uint Sign(TcpAuthentication signer, in Frame frame, int headerLength, in SegmentPlan plan, uint headerSum)
    {
        var padding = plan.Options.HasMd5 ? 2 : 0;
        var length = plan.Options.SignatureLength - padding;
        var offset = plan.Options.IsSignedLast ? headerLength - length : TcpHeader.Length + padding;
        var segment = new SegmentBytes(_x.Frames, frame, 0, frame.Length, headerLength, offset, length);
        return InternetChecksum.Combine(headerSum, InternetChecksum.Sum(signer.Sign(segment, plan.Flags, plan.Seq)), false);
    }

    private bool TryWrap(ref Frame frame, in IpAddress local, in IpAddress remote, ushort port, PspAssociation? seal, ushort entropy)
    {
        if (seal is not null ? _x.Psp!.TrySeal(seal, ref frame, entropy) : _x.Encapsulation.TryWrap(ref frame, local, remote, port)) return true;
        _x.Frames.Return(frame);
        return false;
    }

    // Field by field into its place: a struct that is returned is copied in wide loads right behind the narrow stores, and waits for them.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Describe(in IpAddress local, in IpAddress remote, int trafficClass, int hopLimit, out IpOutput how)
    {
        how.Local = local;
        how.Remote = remote;
        how.Protocol = IpProtocol.Tcp;
        // RFC 9293 SHLD-22: as the application set it.
        how.TrafficClass = (byte)trafficClass;
        // RFC 9293 MUST-49: configurable.
        how.HopLimit = (byte)hopLimit;
        // RFC 1191 §3: path MTU discovery needs DF on every segment.
        how.DontFragment = true;
        how.FlowLabel = 0;
    }

    private bool TryAddChunks(ref Tcb c, ref Frame frame, uint queueOffset, int left, bool offload, ref uint sum)
    {
        var last = frame.Chunk;
        while (left > 0)
        {
            var n = Math.Min(left, _x.Frames.Chunks.ChunkSize);
            if (!_x.Frames.TryExtend(ref frame, ref last, n)) return false;
            // All parts but the last are even, so sums of parts add up.
            var part = _x.SendQueue.CopyOut(ref c.SendQueue, queueOffset, _x.Frames.ChunkSpan(last), !offload);
            sum = InternetChecksum.Combine(sum, part, false);
            queueOffset += (uint)n;
            left -= n;
        }
        return true;
    }

    private static uint WriteHeader(Span<byte> head, in SegmentPlan plan, ushort localPort, ushort remotePort, in FastOpenCookie cookie)
    {
        Span<byte> room = stackalloc byte[FastOpenCookie.LengthMax];
        var written = TcpHeader.Write(
            head, localPort, remotePort, plan.Seq, plan.Ack, plan.Flags, new UnscaledWindow(plan.Window), plan.UrgentPointer, plan.Options, out var sum,
            cookie.Length == 0 ? default : cookie.WriteTo(room));
        Debug.Assert(written <= head.Length);
        return sum;
    }
}
