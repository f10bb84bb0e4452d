// Header prediction (RFC 7323 §5.6): the segment that was expected goes the short way. Expected is text that is next in sequence and lies
// within the window, of an established connection about which nothing is unusual, that acknowledges nothing new or all that is in flight.
// First every question, none of which changes anything: with one "no" the segment goes TcpReceiver's and TcpInput's long way from the
// start. Then what RFC 9293 §3.10.7.4 comes to for it. A test plays both ways.
using System.Runtime.CompilerServices;
using Peregrine.Core.Ip;
using Peregrine.Core.Tcp.Recovery;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp;

internal sealed unsafe class TcpHeaderPrediction(TcpContext context, TcpInput input)
{
    private const byte PlainLength = TcpHeader.Length << 2, TimestampedLength = (TcpHeader.Length + TcpOptions.TimestampsLength) << 2;

    private const int HeaderLengthMax = TcpHeader.Length + TcpOptions.TimestampsLength;

    private const TcbFlags Unusual =
        TcbFlags.SynPending | TcbFlags.FinQueued | TcbFlags.FinSent | TcbFlags.FinReceived | TcbFlags.FinWaiting | TcbFlags.Finished | TcbFlags.FreePending
        | TcbFlags.ReceiveShutdown | TcbFlags.Orphan | TcbFlags.UrgentPending | TcbFlags.Persisting;

    private readonly TcpContext _x = context;
    private readonly TcpInput _input = input;

    /// <summary>Takes the packet if it is the segment that was expected; false, and nothing done, if not.</summary>
    /// <param name="packet">A TCP packet, its transport checksum not yet verified unless it says so.</param>
    /// <param name="candidate">The TCB that the demux table holds first for the packet's hash, or <see cref="TcbTable.None"/>.</param>
    /// <param name="now">The time.</param>
    internal bool TryTake(in ReceivedPacket packet, uint candidate, Instant now)
    {
        if (candidate == TcbTable.None || _x.Log is not null || _x.Authenticator is not null || _x.Details is not null) return false;
        if (packet.TransportOffset + HeaderLengthMax > packet.Frame.HeadLength) return false;
        var at = _x.Frames.Address(packet.Frame) + packet.TransportOffset;
        ref readonly var header = ref Unsafe.AsRef<TcpHeader>(at);
        if ((header.Flags & ~TcpFlags.Psh) != TcpFlags.Ack) return false;
        var t = _x.Tcbs.Get(candidate);
        ref var c = ref t.C;
        if (!IsOf(c, packet, header) || !IsUsual(t, packet)) return false;
        SeqNumber seq = new(header.Seq), ack = new(header.Ack);
        var headerLength = header.DataOffsetAndReserved >> 2;
        var length = packet.TransportLength - headerLength;
        if (seq != c.Rcv.Nxt || length <= 0 || length > c.Rcv.Edge - c.Rcv.Nxt || !_x.ReceiveQueue.HasRoomFor(length)) return false;
        // RFC 7323 §5.3 R1: TS.Recent has not expired if the timestamp is not before it.
        var options = (BigEndian32*)(at + TcpHeader.Length);
        var isStamped = (c.Flags & TcbFlags.Timestamps) != 0;
        if (header.DataOffsetAndReserved != (isStamped ? TimestampedLength : PlainLength)) return false;
        if (isStamped && (options[0] != TcpOptions.AlignedTimestamps || (int)(options[1] - c.TsRecent) < 0)) return false;
        if (!packet.ChecksumGood && !TcpReceiver.IsChecksumGood(_x.Frames, packet)) return false;
        var una = c.Snd.Una;
        if (ack != una && (ack != c.Snd.Max || ack != c.Snd.Nxt || !_x.Recovery.LoneAck.TryTake(ref c, ref t.K, now))) return false;

        var segmentCount = packet.MergedCount + 1;
        t.K.SegmentsIn += (uint)segmentCount;
        TcpInput.NotePeer(t, now);
        if (isStamped) TcpInput.NoteTimestamp(ref c, seq, options[1], now);
        _input.Acks.OnPredicted(t, seq, una, header.Window, now);
        _input.Text.OnPredicted(t, packet.Frame, packet.TransportOffset + headerLength, length, segmentCount, isStamped ? options[2] : 0u, now);
        _input.Settle(t, now);
        return true;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool IsOf(in Tcb c, in ReceivedPacket packet, in TcpHeader header) =>
        c.RemotePort == header.SourcePort && c.LocalPort == header.DestinationPort && c.Remote == packet.Source && c.Local == packet.Destination;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool IsUsual(TcbRef t, in ReceivedPacket packet) =>
        t.C.State == TcpState.Established && (t.C.Flags & Unusual) == 0 && (t.K.Recovery.Flags & RecoveryFlags.EcnAgreed) == 0
        && !t.K.OutOfOrder.HasIntervals && !packet.IsGroup;
}
