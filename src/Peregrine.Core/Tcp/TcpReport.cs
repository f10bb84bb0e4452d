// Answers to questions about a connection, and the application of changed settings to one that is open.
using System.Net.Sockets;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp;

internal static class TcpReport
{
    internal static TcpStatus Status(TcpContext x, TcbRef t)
    {
        ref var c = ref t.C;
        var queued = c.SendQueue.Length;
        var canSend = (c.Flags & (TcbFlags.Finished | TcbFlags.FinQueued)) == 0;
        var writable = canSend && t.K.SendBuffer > queued ? t.K.SendBuffer - queued : 0;
        // RFC 9293 MUST-33: how much urgent data is left is known to who asks.
        var urgent = (c.Flags & TcbFlags.UrgentPending) != 0 ? Math.Max(0, t.K.RcvUp - (c.Rcv.Nxt - c.ReceiveQueue.Length)) : 0;
        return new TcpStatus(
            true, c.State, (int)c.ReceiveQueue.Length, (int)writable, (int)queued, urgent, (c.Flags & TcbFlags.FinReceived) != 0, (SocketError)t.K.Error)
        {
            IsRoomy = canSend && TcpSendRoom.IsRoomy(x, t),
            IsBelowUnsentLimit = x.SettingsOf(t).UnsentBytesMax is not (> 0 and var most) || c.Snd.QueueEnd - c.Snd.Nxt < most / 2,
        };
    }

    internal static TcpInfo Info(TcpContext x, TcbRef t, Instant now)
    {
        ref var c = ref t.C;
        ref var k = ref t.K;
        var (lost, again) = x.Recovery.Board.CountMarked(k.Recovery, c.Mss);
        return new TcpInfo
        {
            Local = c.LocalEndpoint,
            Remote = c.RemoteEndpoint,
            State = c.State,
            Timestamps = (c.Flags & TcbFlags.Timestamps) != 0,
            Sack = (c.Flags & TcbFlags.Sack) != 0,
            Ecn = (k.Recovery.Flags & Recovery.RecoveryFlags.EcnAgreed) != 0,
            AccurateEcn = (k.Recovery.Flags & Recovery.RecoveryFlags.AccurateEcn) != 0,
            FastOpened = (k.FastOpen & FastOpen.FastOpenFlags.DataTaken) != 0,
            ReorderingSeen = (k.Recovery.Flags & Recovery.RecoveryFlags.ReorderingSeen) != 0,
            SendScale = c.SndScale,
            ReceiveScale = c.RcvScale,
            Rto = x.Recovery.Rto(k),
            SmoothedRtt = Duration.FromMicroseconds(k.Rtt.Srtt >> 3),
            RttVariation = Duration.FromMicroseconds(k.Rtt.RttVar >> 2),
            MinimumRtt = Duration.FromMicroseconds(k.Rtt.MinRtt),
            SendMss = c.Mss,
            ReceiveMss = c.RcvMss,
            CongestionWindow = c.Cwnd,
            SlowStartThreshold = c.Ssthresh,
            FlightSize = (uint)(c.Snd.Nxt - c.Snd.Una),
            SendWindow = c.Snd.Wnd,
            ReceiveWindow = TrueSizeWindow.Is(x, t) ? AdaptiveAcks.Of(x, t).Offered : (uint)Math.Max(0, c.Rcv.Edge - c.Rcv.Nxt),
            SendBuffer = k.SendBuffer,
            ReceiveBuffer = TrueSizeWindow.Is(x, t) ? AdaptiveAcks.Of(x, t).WindowLimit : c.ReceiveBuffer,
            UnsentBytes = (uint)Math.Max(0, c.Snd.QueueEnd - c.Snd.Nxt),
            UnreadBytes = c.ReceiveQueue.Length,
            OutOfOrderBytes = x.OutOfOrder.BytesHeld(k.OutOfOrder),
            BytesReceived = k.BytesReceived,
            BytesAcknowledged = k.BytesAcked,
            SegmentsReceived = k.SegmentsIn,
            SegmentsSent = k.SegmentsOut,
            SegmentsRetransmitted = k.SegmentsRetransmitted,
            // RFC 9293 MUST-47: soft errors can be seen.
            SoftError = TcpErrors.SoftOf(x, t),
            Backoff = c.Backoff,
            TimeoutDoublings = c.State == TcpState.Closed ? 0 : c.State is TcpState.SynSent or TcpState.SynReceived || (c.Flags & TcbFlags.Persisting) != 0 ? c.Backoff : k.Recovery.Backoff,
            PacingBytesPerSecond = (k.Recovery.Flags & Recovery.RecoveryFlags.Paced) != 0 ? x.Recovery.PacingRate(c, k) : 0,
            CongestionControl = (c.Flags & TcbFlags.WasEstablished) != 0 ? x.Recovery.Controls.Of(k).Name : x.SettingsOf(t).CongestionControl,
            SenderState = SenderStateOf(c, k),
            SegmentsInFlight = x.Recovery.SegmentsInFlight(c, k),
            SackedBytes = k.Recovery.SackedBytes + Recovery.CountedDuplicates.Arrived(c, k),
            LostBytes = k.Recovery.LostBytes + Recovery.CountedDuplicates.Lost(c, k),
            RetransmittedBytes = k.Recovery.RetransmittedBytes,
            SegmentsLost = lost + Recovery.SegmentCount.Of(Recovery.CountedDuplicates.Lost(c, k), c.Mss),
            SegmentsInFlightAgain = again,
            Probes = c.State is TcpState.SynSent or TcpState.SynReceived ? (byte)0 : k.ProbesSent,
            ReceiveRtt = Duration.FromMicroseconds(k.RcvRttUs),
            DelayedAck = Duration.FromMilliseconds(AdaptiveAcks.Is(x, t) ? AdaptiveAcks.Of(x, t).AckDelayMs : x.SettingsOf(t).DelayedAckMs),
            PacingBytesPerSecondMax = (ulong)x.SettingsOf(t).PacingBytesPerSecondMax,
            AnnouncedMss = AnnouncedMss(x, t),
            PathMtu = c.Path.Mtu,
            AccurateEcnCounters = (k.Recovery.Flags & Recovery.RecoveryFlags.AccurateEcn) != 0 ? x.AccurateEcn.Of(x.Tcbs.IndexOf(t)).Info : null,
            Details = x.Details is null ? null : DetailsOf(ref x.Details.Of(x.Tcbs.IndexOf(t)), c, k, now),
        };
    }

    // What the path has turned out to carry since is no news of what we can take.
    private static ushort AnnouncedMss(TcpContext x, TcbRef t)
    {
        ref var c = ref t.C;
        var path = c.Path;
        path.Mtu = (ushort)Math.Max(path.Mtu, x.Ip.Interface(path.InterfaceIndex).MtuFor(c.Remote));
        return TcpHandshake.AnnouncedMss(c.Local, path, x.SettingsOf(t), x.Encapsulation.OverheadOf(c));
    }

    private static TcpSenderState SenderStateOf(in Tcb c, in TcbCold k) => k.Recovery.Phase switch
    {
        Recovery.RecoveryPhase.Recovery => TcpSenderState.Recovery,
        Recovery.RecoveryPhase.Loss => TcpSenderState.Loss,
        _ when Recovery.EcnResponse.IsAnswering(c, k.Recovery) => TcpSenderState.WindowReduced,
        Recovery.RecoveryPhase.Disorder => TcpSenderState.Disorder,
        _ => TcpSenderState.Open,
    };

    private static TcpInfoDetails DetailsOf(ref TcpDetails d, in Tcb c, in TcbCold k, Instant now)
    {
        TcpDetailsTable.Account(ref d, now);
        // The SYN is a segment that was delivered, and in no scoreboard.
        var syn = (c.Flags & TcbFlags.WasEstablished) != 0 ? 1u : 0;
        return new TcpInfoDetails
        {
            SinceDataReceived = now - d.LastDataReceived,
            SinceDataSent = now - d.LastDataSent,
            SinceAckReceived = now - d.LastAckReceived,
            BusyTime = d.BusyTime,
            ReceiveWindowLimited = d.ReceiveWindowLimited,
            SendBufferLimited = d.SendBufferLimited,
            NumbersAcknowledged = k.BytesAcked + ((c.Flags & (TcbFlags.ActiveOpen | TcbFlags.WasEstablished)) == (TcbFlags.ActiveOpen | TcbFlags.WasEstablished) ? 1u : 0)
                + ((c.Flags & TcbFlags.FinSent) != 0 && c.Snd.Una.IsAfter(c.Snd.QueueEnd) ? 1u : 0),
            NumbersReceived = k.BytesReceived + ((c.Flags & TcbFlags.FinReceived) != 0 ? 1u : 0),
            NumbersUnsent = (uint)Math.Max(0, c.Snd.QueueEnd - c.Snd.Nxt) + (c.IsFinUnsent ? 1u : 0),
            BytesSent = d.BytesSent,
            BytesRetransmitted = d.BytesRetransmitted,
            DataSegmentsReceived = d.DataSegmentsIn,
            OutOfOrderSegments = d.OutOfOrderSegments,
            DataSegmentsSent = d.DataSegmentsOut,
            DeliveredSegments = d.DeliveredSegments + syn,
            MarkedSegmentsDelivered = d.MarkedSegmentsDelivered,
            DuplicatesReported = d.DuplicatesReported,
            Reordering = Recovery.CountedDuplicates.Are(c, k) ? Recovery.CountedDuplicates.Threshold(c, k) : Math.Max(d.Reordering, 3),
            ReorderingEvents = d.ReorderingEvents,
            DeliveryBytesPerSecond = TcpDetailsTable.RateOf(d.RateBytes, d.RateInterval),
            IsDeliveryAppLimited = d.IsRateAppLimited,
            Timeouts = d.Timeouts,
            TimeoutEpisodes = d.TimeoutEpisodes,
            TimeoutTime = TcpDetailsTable.TimeoutTimeOf(d, now),
            EcnSeen = d.EcnSeen,
            FastOpenFailure = d.FastOpenFailure,
        };
    }

    /// <summary>What of changed settings takes effect at once; the rest is read where it is used.</summary>
    internal static void Apply(TcpContext x, TcbRef t, TcpSettings settings, Instant now)
    {
        ref var c = ref t.C;
        // RFC 9293 SHLD-21: traffic class and hop limit too: segments read them from the settings.
        var isPushed = settings.NoDelay && (c.Flags & TcbFlags.NoDelay) == 0 && settings.Cork;
        if (settings.NoDelay) c.Flags |= TcbFlags.NoDelay;
        else c.Flags &= ~TcbFlags.NoDelay;
        if (settings.EventLog) x.Log?.Open(t, now);
        var hadKeepalive = (c.Flags & TcbFlags.Keepalive) != 0;
        if (settings.KeepAlive) c.Flags |= TcbFlags.Keepalive;
        else c.Flags &= ~TcbFlags.Keepalive;
        if (settings.KeepAlive && (c.Flags & TcbFlags.WasEstablished) != 0) TcpKeepalive.OnSettings(x, t, hadKeepalive, now);
        x.Recovery.OnSettingsChanged(ref c, ref t.K, TcpHandshake.AlgorithmOf(settings), now);
        // Buffers only grow by themselves, and an advertised window is never taken back; a smaller limit holds from the next data on.
        c.ReceiveBuffer = (uint)Math.Clamp((int)c.ReceiveBuffer, Math.Min(settings.ReceiveBufferBytes, settings.ReceiveBufferBytesMax), settings.ReceiveBufferBytesMax);
        t.K.SendBuffer = (uint)Math.Clamp((int)t.K.SendBuffer, Math.Min(settings.SendBufferBytes, settings.SendBufferBytesMax), settings.SendBufferBytesMax);
        if (TcpContext.HasOutstanding(c) && t.K.UserTimeout.IsSet)
        {
            t.K.UserTimeout = Deadline.At(now + Duration.FromMilliseconds(settings.UserTimeoutMs));
            x.Arm(t, t.K.UserTimeout);
        }
        // A waiting small segment may go now (RFC 9293 MUST-17): without a cork any more, or, as tcp(7) has it, past the cork, what waits at the moment.
        if (isPushed && c.State >= TcpState.Established && c.Snd.QueueEnd.IsAfter(c.Snd.Nxt)) c.Flags |= TcbFlags.ProbeNow;
        if (settings.NoDelay || c.Snd.QueueEnd.IsAfter(c.Snd.Nxt)) x.MarkReady(t);
    }
}
