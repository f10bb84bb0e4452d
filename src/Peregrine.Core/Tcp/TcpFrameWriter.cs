// The usual segment as a whole frame, in one pass: Ethernet, IPv4 without options, TCP with timestamps or without options, payload in one
// chunk or left for the link to gather, to a neighbour that is known to be there. Each layer's header is written into its place at once, and
// both checksums are made from the values. It writes byte for byte what TcpSegmentWriter, IpSender and LinkOutput would, and refuses the
// rest by saying "not me"; a test plays both ways.
using System.Runtime.CompilerServices;
using Peregrine.Core.Ip;
using Peregrine.Core.Links;
using Peregrine.Core.Memory;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp;

internal sealed unsafe class TcpFrameWriter(TcpContext context)
{
    private const int LowerLength = EthernetHeader.Length + IPv4Header.Length;
    private const ushort DontFragment = (ushort)IPv4Flags.DontFragment << 13;

    private readonly TcpContext _x = context;

    /// <summary>Writes and sends a segment; false, and nothing done, when it is not the usual one or has no room.</summary>
    internal bool TrySend(TcbRef t, in SegmentPlan plan, uint queueOffset, int payloadLength, Instant now)
    {
        ref var c = ref t.C;
        if (_x.Log is not null || _x.Ip.Errors.TunnelPort != 0 || plan.Options.SackBlockCount != 0 || (plan.Options.Flags & ~TcpOptionFlags.Timestamps) != 0) return false;
        var link = _x.Ip.Interface(c.Path.InterfaceIndex);
        var headerLength = TcpHeader.Length + (plan.Options.HasTimestamps ? TcpOptions.TimestampsLength : 0);
        var length = headerLength + payloadLength;
        if (!c.Remote.IsIPv4 || !link.IsEthernet || !link.HasRoom || payloadLength > c.Mss || IPv4Header.Length + length > c.Path.Mtu) return false;
        if (FramePool.Headroom + length > _x.Frames.Chunks.ChunkSize) return false;
        if (!_x.Ip.Neighbours.TryGetReachable(c.Path.Neighbour, now, out var neighbour) || !_x.Frames.Chunks.TryRent(out var chunk)) return false;

        var at = _x.Frames.Chunks.Address(chunk) + FramePool.Headroom - LowerLength;
        if (TcpSegmentWriter.Gathers(link.Offloads, payloadLength, isWhole: true)) return TrySendGathered(t, plan, queueOffset, payloadLength, link, neighbour, chunk);
        var isOffloaded = (link.Offloads & LinkOffloads.TransmitChecksum) != 0;
        var sum = payloadLength > 0 ? _x.SendQueue.CopyOut(ref c.SendQueue, queueOffset, new Span<byte>(at + LowerLength + headerLength, payloadLength), !isOffloaded) : 0;
        WriteHeaders(at, t, plan, link, neighbour, headerLength, length, isOffloaded, sum);
        Append(t, link, chunk, LowerLength + length, isOffloaded);
        return true;
    }

    // The payload stays where it is. By itself, so that what segments usually are has its registers.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private bool TrySendGathered(TcbRef t, in SegmentPlan plan, uint queueOffset, int payloadLength, IpInterface link, MacAddress neighbour, uint chunk)
    {
        var pieces = _x.SendQueue.Gather(ref t.C.SendQueue, queueOffset, payloadLength, _x.Frames.RoomOf(chunk));
        if (pieces == 0)
        {
            _x.Frames.Chunks.Return(chunk);
            return false;
        }
        var headerLength = TcpHeader.Length + (plan.Options.HasTimestamps ? TcpOptions.TimestampsLength : 0);
        WriteHeaders(_x.Frames.Chunks.Address(chunk) + FramePool.Headroom - LowerLength, t, plan, link, neighbour, headerLength, headerLength + payloadLength, isOffloaded: true, sum: 0);
        ref var frame = ref Append(t, link, chunk, LowerLength + headerLength, isOffloaded: true);
        _x.Frames.SetPieces(ref frame, pieces, payloadLength);
        return true;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private ref Frame Append(TcbRef t, IpInterface link, uint chunk, int length, bool isOffloaded)
    {
        ref var frame = ref link.Append();
        frame.Chunk = chunk;
        frame.Offset = FramePool.Headroom - LowerLength;
        frame.Length = length;
        frame.HeadLength = (ushort)length;
        if (isOffloaded) (frame.Flags, frame.ChecksumStart, frame.ChecksumOffset) = (FrameFlags.ChecksumUnfinished, LowerLength, TcpHeader.ChecksumOffset);
        t.K.SegmentsOut++;
        _x.Counters.SegmentsSent++;
        _x.Ip.Counters.Sent++;
        return ref frame;
    }

    // Into their places; the sum is the payload's, where the link does not make it.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void WriteHeaders(byte* at, TcbRef t, in SegmentPlan plan, IpInterface link, MacAddress neighbour, int headerLength, int length, bool isOffloaded, uint sum)
    {
        ref var c = ref t.C;
        ref var ethernet = ref Unsafe.AsRef<EthernetHeader>(at);
        ethernet.Destination = neighbour;
        ethernet.Source = link.Mac;
        ethernet.EtherType = EtherType.IPv4;
        WriteIPv4(at + EthernetHeader.Length, t, plan, link, length);
        var words = WriteTcp(at + LowerLength, c, plan, headerLength);
        ref var checksum = ref Unsafe.AsRef<TcpHeader>(at + LowerLength).Checksum;
        var pseudo = (ulong)(uint)length + IpProtocol.Tcp + c.Local.ToIPv4() + c.Remote.ToIPv4();
        // RFC 9293 MUST-2.
        checksum = BigEndian16.FromRaw(isOffloaded ? (ushort)InternetChecksum.FromWords(pseudo) : InternetChecksum.Finish(InternetChecksum.FromWords(pseudo + words) + sum));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void WriteIPv4(byte* at, TcbRef t, in SegmentPlan plan, IpInterface link, int length)
    {
        var settings = _x.SettingsOf(t);
        var total = (ushort)(IPv4Header.Length + length);
        var trafficClass = (byte)(settings.TrafficClass | plan.Ecn);
        var hopLimit = settings.HopLimit != 0 ? (byte)settings.HopLimit : link.HopLimit;
        var (source, destination) = (t.C.Local.ToIPv4(), t.C.Remote.ToIPv4());
        ref var header = ref Unsafe.AsRef<IPv4Header>(at);
        header.VersionAndLength = 0x45;
        header.TrafficClass = trafficClass;
        header.TotalLength = total;
        // RFC 6864 §4.1: the identification of a packet that cannot be fragmented means nothing.
        header.Identification = 0;
        header.FlagsAndFragmentOffset = DontFragment;
        header.TimeToLive = hopLimit;
        header.Protocol = IpProtocol.Tcp;
        header.Source = source;
        header.Destination = destination;
        var words = (0x4500u | trafficClass) + (ulong)total + DontFragment + ((uint)hopLimit << 8 | IpProtocol.Tcp) + source + destination;
        header.Checksum = BigEndian16.FromRaw((ushort)~InternetChecksum.FromWords(words));
    }

    // All but the checksum; gives the sum of what was written, as words.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong WriteTcp(byte* at, in Tcb c, in SegmentPlan plan, int headerLength)
    {
        ref var header = ref Unsafe.AsRef<TcpHeader>(at);
        header.SourcePort = c.LocalPort;
        header.DestinationPort = c.RemotePort;
        header.Seq = plan.Seq.Value;
        header.Ack = plan.Ack.Value;
        header.DataOffsetAndReserved = (byte)((headerLength << 2) | ((int)plan.Flags >> 8));
        header.ControlBits = (byte)plan.Flags;
        header.Window = plan.Window;
        header.UrgentPointer = plan.UrgentPointer;
        var words = ((ulong)c.LocalPort << 16 | c.RemotePort) + plan.Seq.Value + plan.Ack.Value
            + ((uint)headerLength << 26 | (uint)plan.Flags << 16 | plan.Window) + plan.UrgentPointer;
        if (headerLength == TcpHeader.Length) return words;
        // RFC 7323 appendix A.
        var options = (BigEndian32*)(at + TcpHeader.Length);
        (options[0], options[1], options[2]) = (TcpOptions.AlignedTimestamps, plan.Options.TsVal, plan.Options.TsEcr);
        return words + TcpOptions.AlignedTimestamps + plan.Options.TsVal + plan.Options.TsEcr;
    }
}
