// The log of what happens to chosen connections. It exists only while somebody takes it, so that without it a segment costs one look at a
// reference and a connection no byte. What it says of losses and windows it finds by comparing before and after, not by hooks in recovery.
using System.Net.Sockets;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Peregrine.Core.Tcp.Recovery;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp.Log;

internal sealed class TcpEventLog(TcpContext context, ITcpEventSink sink)
{
    private readonly TcpContext _x = context;
    private readonly ITcpEventSink _sink = sink;
    private readonly Dictionary<uint, Known> _known = [];
    private long _opened;

    /// <summary>The time of the latest event: ends are told without one.</summary>
    private Instant _now;

    /// <summary>What has been told of a connection.</summary>
    private struct Known
    {
        internal long Connection;
        internal TcpState State;
        internal TcpCongestionPhase Congestion;
        internal TcpLogMetrics Metrics;

        /// <summary>Sums of the stack, before what is being processed: their growth is this connection's.</summary>
        internal long LostBytes;
        internal long Undone;
    }

    /// <summary>The connection's events are told from now on.</summary>
    internal void Open(TcbRef t, Instant now)
    {
        ref var known = ref CollectionsMarshal.GetValueRefOrAddDefault(_known, _x.Tcbs.IndexOf(t), out var exists);
        if (exists) return;
        known = new Known { Connection = ++_opened, State = t.C.State, Metrics = MetricsOf(t) };
        Tell(known, now, new TcpLogRecord
        {
            Kind = TcpLogKind.Opened,
            Local = t.C.LocalEndpoint,
            Remote = t.C.RemoteEndpoint,
            IsActiveOpen = (t.C.Flags & TcbFlags.ActiveOpen) != 0,
            State = t.C.State,
            Metrics = known.Metrics,
        });
    }

    /// <summary>A segment came and is about to be processed.</summary>
    internal void OnReceived(TcbRef t, in SegmentArrival s, Instant now)
    {
        ref var known = ref Find(t);
        if (Unsafe.IsNullRef(ref known)) return;
        var segment = new TcpSegment
        {
            Seq = s.Seq, Ack = s.Ack, Flags = s.Flags, Window = new UnscaledWindow(s.RawWindow), PayloadLength = s.PayloadLength, Options = s.Options,
        };
        Tell(known, now, new TcpLogRecord { Kind = TcpLogKind.SegmentReceived, Segment = segment });
        Begin(ref known);
    }

    /// <summary>A timer of the connection is about to be looked at.</summary>
    internal void OnTimer(TcbRef t)
    {
        ref var known = ref Find(t);
        if (!Unsafe.IsNullRef(ref known)) Begin(ref known);
    }

    /// <summary>A segment or a timer has been processed: tells what has changed.</summary>
    internal void OnProcessed(TcbRef t, Instant now)
    {
        ref var known = ref Find(t);
        if (Unsafe.IsNullRef(ref known)) return;
        ref var c = ref t.C;
        var lost = (uint)(_x.Recovery.Counters.TCPLostBytes - known.LostBytes);
        if (lost > 0) Tell(known, now, new TcpLogRecord { Kind = TcpLogKind.Lost, Bytes = lost });
        if (UndoneSum > known.Undone) Tell(known, now, new TcpLogRecord { Kind = TcpLogKind.Spurious });
        if (c.State != known.State)
        {
            known.State = c.State;
            Tell(known, now, new TcpLogRecord { Kind = TcpLogKind.StateChanged, State = c.State });
        }
        var congestion = PhaseOf(t);
        if (congestion != known.Congestion)
        {
            known.Congestion = congestion;
            Tell(known, now, new TcpLogRecord { Kind = TcpLogKind.CongestionStateChanged, Congestion = congestion });
        }
        var metrics = MetricsOf(t);
        if (metrics == known.Metrics) return;
        known.Metrics = metrics;
        Tell(known, now, new TcpLogRecord { Kind = TcpLogKind.MetricsUpdated, Metrics = metrics });
    }

    /// <summary>A segment of the connection goes to IP; Snd.Max is still what it was.</summary>
    internal void OnSent(TcbRef t, in SegmentPlan plan, int payloadLength, Instant now)
    {
        ref var known = ref Find(t);
        if (Unsafe.IsNullRef(ref known)) return;
        var segment = new TcpSegment
        {
            Seq = plan.Seq, Ack = plan.Ack, Flags = plan.Flags, Window = new UnscaledWindow(plan.Window), PayloadLength = payloadLength, Options = plan.Options,
        };
        var takesSpace = payloadLength > 0 || (plan.Flags & (TcpFlags.Syn | TcpFlags.Fin)) != 0;
        Tell(known, now, new TcpLogRecord
        {
            Kind = TcpLogKind.SegmentSent, Segment = segment, IsRetransmission = takesSpace && plan.Seq.IsBefore(t.C.Snd.Max),
        });
    }

    /// <summary>The retransmission timer expired.</summary>
    internal void OnRetransmissionTimeout(TcbRef t, Instant now)
    {
        ref var known = ref Find(t);
        if (!Unsafe.IsNullRef(ref known)) Tell(known, now, new TcpLogRecord { Kind = TcpLogKind.RetransmissionTimeout });
    }

    /// <summary>The protocol is finished: nothing more is told.</summary>
    internal void Close(TcbRef t, SocketError error)
    {
        ref var known = ref Find(t);
        if (Unsafe.IsNullRef(ref known)) return;
        Tell(known, _now, new TcpLogRecord { Kind = TcpLogKind.Closed, State = t.C.State, Error = error });
        _known.Remove(_x.Tcbs.IndexOf(t));
    }

    private ref Known Find(TcbRef t) => ref CollectionsMarshal.GetValueRefOrNullRef(_known, _x.Tcbs.IndexOf(t));

    private void Tell(in Known known, Instant now, in TcpLogRecord record)
    {
        _now = now;
        _sink.OnEvent(record with { Connection = known.Connection, Time = now });
    }

    private void Begin(ref Known known) => (known.LostBytes, known.Undone) = (_x.Recovery.Counters.TCPLostBytes, UndoneSum);

    private long UndoneSum => _x.Recovery.Counters.TCPFullUndo + _x.Recovery.Counters.TCPPartialUndo + _x.Recovery.Counters.TCPDSACKUndo + _x.Recovery.Counters.TCPLossUndo;

    private static TcpCongestionPhase PhaseOf(TcbRef t) => t.K.Recovery.Phase switch
    {
        RecoveryPhase.Recovery => TcpCongestionPhase.Recovery,
        RecoveryPhase.Loss => TcpCongestionPhase.Loss,
        _ => t.C.Cwnd < t.C.Ssthresh ? TcpCongestionPhase.SlowStart : TcpCongestionPhase.CongestionAvoidance,
    };

    private static TcpLogMetrics MetricsOf(TcbRef t) => new(
        t.C.Cwnd, t.C.Ssthresh, LossRecovery.FlightSize(t.C), Duration.FromMicroseconds(t.K.Rtt.Srtt >> 3), Duration.FromMicroseconds(t.K.Rtt.RttVar >> 2),
        Duration.FromMicroseconds(t.K.Rtt.MinRtt));
}
