// From a received packet to the mechanism that takes it: header and checksum, demux, options. In stages over a burst, so that the memory
// that one segment needs is loading while others are worked on: first every hash, then every TCB, then what it points to, then the work.
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Peregrine.Core.Demux;
using Peregrine.Core.Ip;
using Peregrine.Core.Memory;
using Peregrine.Core.Tcp.Authentication;
using Peregrine.Core.Tcp.Recovery;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp;

internal sealed unsafe class TcpReceiver
{
    private readonly TcpContext _x;
    private readonly TcpInput _input;
    private readonly TcpPassiveOpen _passive;
    private readonly TcpTimeWaitInput _timeWaits;
    private readonly TcpReplies _replies;
    private Prefetcher _prefetcher;
    private readonly TcpHeaderPrediction _prediction;
    private TcpDemuxKeys _keys;

    internal TcpReceiver(
        TcpContext context, TcpDemuxKeys keys, TcpInput input, TcpPassiveOpen passive, TcpTimeWaitInput timeWaits, TcpReplies replies)
    {
        (_x, _keys, _input, _passive, _timeWaits, _replies) = (context, keys, input, passive, timeWaits, replies);
        _prediction = new TcpHeaderPrediction(context, input);
    }

    /// <summary>Whether expected segments take the short way. Tests turn it off to see that both ways do the same.</summary>
    internal bool UsesPrediction { get; set; } = true;

    /// <summary>First stage: the hash of the packet's tuple; the demux slot starts to load.</summary>
    internal ulong Hash(in ReceivedPacket packet)
    {
        if (packet.TransportLength < TcpHeader.Length || packet.TransportOffset + 4 > packet.Frame.HeadLength) return 0;
        var ports = (byte*)_x.Frames.Address(packet.Frame) + packet.TransportOffset;
        var hash = _x.Demux.Hash(
            packet.Destination, (ushort)((ports[2] << 8) | ports[3]), packet.Source, (ushort)((ports[0] << 8) | ports[1]));
        _x.Demux.Prefetch(hash);
        return hash;
    }

    /// <summary>Second stage: the TCB that is probably meant, or <see cref="TcbTable.None"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal uint Candidate(ulong hash) =>
        _x.Demux.TryFindCandidate(hash, out var kind, out var index) && kind == DemuxKind.Tcb ? index : TcbTable.None;

    /// <summary>Third stage: that TCB starts to load.</summary>
    internal void Prefetch(uint index)
    {
        if (index == TcbTable.None) return;
        _prefetcher.Touch(_x.Tcbs.HotAddress(index), sizeof(Tcb));
        _prefetcher.Touch(_x.Tcbs.ColdAddress(index), TcbCold.UsualBytes);
    }

    /// <summary>
    /// Fourth stage: what the TCB points to and this segment probably needs: the oldest record in flight, the note of the block whose data it is
    /// of, the timer. And the start of that block: this segment's ACK sets it free, and its text will be the first that it takes then.
    /// </summary>
    internal void PrefetchReferred(uint index)
    {
        if (index == TcbTable.None) return;
        var t = _x.Tcbs.Get(index);
        _prefetcher.Touch(_x.Wheel.AddressOf(index));
        if (t.C.SendQueue.Length == 0) return;
        _prefetcher.Touch(Unsafe.AsPointer(ref _x.Blocks.Note(t.C.SendQueue.Head)));
        _prefetcher.Touch(_x.Blocks.Address(t.C.SendQueue.Head));
        if (t.K.Recovery.Head != RecordPool.None) _prefetcher.Touch(Unsafe.AsPointer(ref _x.Recovery.Board[t.K.Recovery.Head]), sizeof(TransmissionRecord));
    }

    /// <summary>Last stage: the segment. The caller keeps the frame.</summary>
    internal void OnPacket(in ReceivedPacket packet, ulong hash, uint candidate, Instant now)
    {
        if (UsesPrediction && _prediction.TryTake(packet, candidate, now)) return;
        if (!TryParse(packet, out var s)) return;
        var isFound = _x.Demux.TryFind(hash, packet.Destination, s.LocalPort, packet.Source, s.RemotePort, ref _keys, out var kind, out var index);
        // RFC 5925 §7.3: after the checksum, before anything else looks at the segment.
        if ((_x.Authenticator is not null || s.Options.HasSignature) && !TcpAuthenticator.Takes(_x, isFound ? kind : null, index, s, packet)) return;
        if (_x.Psp is { } psp && !psp.Takes(hash, isFound ? kind : null, index, packet, s))
        {
            _x.Counters.DroppedAuthentication++;
            return;
        }
        if (!isFound)
        {
            _passive.OnSegment(ref s, packet, now);
            return;
        }
        if (_x.Ip.Errors.TunnelPort != 0 && packet.EncapsulationPort != _x.Encapsulation.PortOf(hash) && !_timeWaits.IsReopenedBy(kind, index, s, now))
        {
            _x.Counters.DroppedNoConnection++;
            _replies.ResetFor(packet, s, now, kind switch
            {
                DemuxKind.Tcb => SegmentMarks.Of(_x.SettingsOf(_x.Tcbs.Get(index))),
                DemuxKind.TimeWait => _x.TimeWaits.Get(index).Marks,
                _ => null,
            });
            return;
        }
        switch (kind)
        {
            case DemuxKind.Tcb:
                _input.OnSegment(_x.Tcbs.Get(index), ref s, packet, now);
                break;
            case DemuxKind.TimeWait:
                _timeWaits.OnSegment(index, ref s, packet, now);
                break;
            default:
                _passive.OnSynReceived(index, ref s, packet, now);
                break;
        }
    }

    private bool TryParse(in ReceivedPacket packet, out SegmentArrival s)
    {
        s = default;
        // RFC 9293 MUST-57, MUST-63: TCP is for unicast only.
        if (packet.IsGroup)
        {
            _x.Counters.DroppedNotUnicast++;
            return false;
        }
        var head = _x.Frames.Head(packet.Frame);
        var inHead = Math.Min(head.Length - packet.TransportOffset, packet.TransportLength);
        if (inHead < TcpHeader.Length || !TcpPacket.TryParse(head.Slice(packet.TransportOffset, inHead), out var tcp))
        {
            _x.Counters.DroppedMalformed++;
            return false;
        }
        // RFC 9293 MUST-3: unless the link has verified it, or it never left this machine.
        if (!packet.ChecksumGood && !IsChecksumGood(_x.Frames, packet))
        {
            _x.Counters.DroppedChecksum++;
            return false;
        }
        ref readonly var header = ref tcp.Header;
        s.RemotePort = header.SourcePort;
        s.LocalPort = header.DestinationPort;
        s.Seq = new SeqNumber(header.Seq);
        s.Ack = new SeqNumber(header.Ack);
        s.Flags = header.Flags;
        s.RawWindow = header.Window;
        s.UrgentPointer = header.UrgentPointer;
        s.PayloadOffset = packet.TransportOffset + tcp.HeaderLength;
        s.PayloadLength = packet.TransportLength - tcp.HeaderLength;
        s.WireSize = packet.Frame.SegmentSize;
        s.SegmentCount = (ushort)(packet.MergedCount + 1);
        if (s.IsSyn && s.IsFin && _x.Options.DropSynFin)
        {
            _x.Counters.DroppedSynInConnection++;
            return false;
        }
        if (TcpOptions.Parse(tcp.Options, s.IsSyn, out s.Options)) return true;
        // RFC 9293 MUST-7: an illegal option length must not harm; what cannot be understood is not acted upon.
        _x.Counters.DroppedMalformed++;
        return false;
    }

    /// <summary>Whether the checksum over pseudo-header, header and payload is right.</summary>
    internal static bool IsChecksumGood(FramePool frames, in ReceivedPacket packet)
    {
        var pseudo = InternetChecksum.PseudoHeader(packet.Source, packet.Destination, IpProtocol.Tcp, packet.TransportLength);
        // The header lies in the first chunk: it was parsed there. Looked at first, since it costs nothing beside the sum that it saves.
        if (packet.MayBeUnfinished
            && InternetChecksum.IsUnfinished(MemoryMarshal.Read<ushort>(frames.Head(packet.Frame)[(packet.TransportOffset + TcpHeader.ChecksumOffset)..]), pseudo))
            return true;
        if (!packet.Frame.IsChained)
            return InternetChecksum.IsValid(InternetChecksum.Sum(frames.Head(packet.Frame).Slice(packet.TransportOffset, packet.TransportLength), pseudo));
        return InternetChecksum.IsValid(frames.Sum(packet.Frame, packet.TransportOffset, packet.TransportLength, pseudo));
    }
}
