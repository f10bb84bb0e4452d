// What a SYN settles: options, initial sequence numbers and windows, and the step into ESTABLISHED; shared by active, passive and
// simultaneous opens, so that a connection is set up in one way only.
using Peregrine.Core.Ip;
using Peregrine.Core.Tcp.Congestion;
using Peregrine.Core.Tcp.FastOpen;
using Peregrine.Core.Tcp.Recovery;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp;

internal static class TcpHandshake
{
    /// <summary>IP header bytes of the address's family.</summary>
    internal static int IpHeaderLength(in IpAddress address) => address.IsIPv4 ? 20 : 40;

    /// <summary>RFC 9293 MUST-15: what a peer that says nothing accepts.</summary>
    internal static ushort DefaultMss(in IpAddress address) => (ushort)(address.IsIPv4 ? 536 : 1220);

    // RFC 8200 §5: every IPv6 path carries 1,280 bytes.
    private static int MtuOf(in IpAddress local, in FlowPath path, TcpSettings settings) =>
        settings.MinimumMtu && !local.IsIPv4 ? Math.Min((int)path.Mtu, IPv6Header.MtuMin) : path.Mtu;

    /// <summary>The MSS option's value for this path (RFC 9293 MUST-67, SHLD-6: from the MTU of the path that is in force, without options).</summary>
    internal static ushort AnnouncedMss(in IpAddress local, in FlowPath path, TcpSettings settings, int overhead = 0)
    {
        var mss = MtuOf(local, path, settings) - IpHeaderLength(local) - TcpHeader.Length - overhead;
        if (settings.MaximumSegmentSize != 0) mss = Math.Min(mss, settings.MaximumSegmentSize);
        return (ushort)Math.Max(mss, 64);
    }

    /// <summary>RFC 9293 MUST-16: Eff.snd.MSS from the peer's MSS, the path's MTU and the options that every segment carries.</summary>
    internal static ushort EffectiveMss(TcpContext x, TcbRef t)
    {
        ref var c = ref t.C;
        var settings = x.SettingsOf(t);
        // RFC 9293 MUST-16: the peer's MSS does not count options, so they come off the result.
        var mtu = MtuOf(c.Local, c.Path, settings);
        var mss = Math.Min(PeerMss(x, t), (x.MtuProbing?.Limit(t, mtu) ?? mtu) - IpHeaderLength(c.Local) - TcpHeader.Length - x.Encapsulation.OverheadOf(c));
        // Nor does it count what PSP takes: it is the peer's MTU less the headers that it knows of.
        mss -= x.Psp?.OverheadOf(c) ?? 0;
        if (settings.MaximumSegmentSize != 0) mss = Math.Min(mss, settings.MaximumSegmentSize);
        mss -= OptionLength(x, t);
        if (t.K.Does(SenderMechanisms.HalfWindowMss) && c.Snd.WndMax != 0) mss = Math.Min(mss, HalfWindow(c.Snd.WndMax));
        // A hostile MSS of 1 would make a segment of every byte: 48 is what the smallest IPv4 datagram of 68 bytes leaves with options.
        return (ushort)Math.Max(mss, 48);
    }

    /// <summary>The peer's MSS as it counts.</summary>
    internal static int PeerMss(TcpContext x, TcbRef t) => Math.Max(t.K.PeerMss, x.SettingsOf(t).PeerMssMin);

    // As Linux: half of the largest window that was offered, so that two segments are in flight; a window that is small anyway, whole.
    private static int HalfWindow(uint most) => (int)Math.Min(most > 536 ? most / 2 : most, int.MaxValue);

    /// <summary>Bytes of the options that every segment carries.</summary>
    internal static int OptionLength(TcpContext x, TcbRef t) =>
        ((t.C.Flags & TcbFlags.Timestamps) != 0 ? TcpOptions.TimestampsLength : 0) + (x.Authenticator?.Of(t)?.SignatureLength ?? 0);

    /// <summary>The path's MTU may have changed: takes the new MSS, and what was sent in larger segments goes again in smaller ones, unless that has fitted all the same.</summary>
    internal static void RefreshMss(TcpContext x, TcbRef t, bool hasFitted = false)
    {
        ref var c = ref t.C;
        var mss = EffectiveMss(x, t);
        var keepsPackets = mss != c.Mss && t.K.Does(SenderMechanisms.PacketWindow);
        var packets = keepsPackets ? SegmentCount.Of(c.Cwnd, c.Mss) : 0;
        if (mss < c.Mss && !hasFitted) x.Recovery.OnMssReduced(ref c, ref t.K, mss);
        c.Mss = mss;
        // As Linux, whose window is a number of packets.
        if (keepsPackets) c.Cwnd = packets * mss;
    }

    /// <summary>The first settings of a new TCB: sequence numbers, buffers, scale, what we offer.</summary>
    internal static void Initialize(TcpContext x, TcbRef t, SeqNumber iss, uint tsOffset, TcpSettings settings, Instant now)
    {
        ref var c = ref t.C;
        ref var k = ref t.K;
        // RFC 9293 §3.10.1: SND.UNA = ISS, SND.NXT = ISS + 1 once the SYN is sent.
        c.Snd.Iss = c.Snd.Una = c.Snd.Nxt = c.Snd.Max = iss;
        c.Snd.QueueEnd = iss + 1;
        c.TsOffset = tsOffset;
        x.Details?.OnOpened(x.Tcbs.IndexOf(t), now);
        var first = TrueSizeWindow.First(settings, AnnouncedMss(c.Local, c.Path, settings, x.Encapsulation.OverheadOf(c)));
        c.ReceiveBuffer = (uint)Math.Min(first, settings.WindowSlowStart ? ushort.MaxValue : int.MaxValue);
        c.RcvScale = settings.WindowScaling ? TcpWindow.ScaleFor(settings.ReceiveBufferBytesMax) : (byte)0;
        c.Acks.Quick = (byte)settings.QuickAckCount;
        if (settings.NoDelay) c.Flags |= TcbFlags.NoDelay;
        if (settings.WindowIsBuffer) c.Flags |= TcbFlags.WindowIsBuffer;
        if (settings.KeepAlive) c.Flags |= TcbFlags.Keepalive;
        if (settings.Timestamps && !settings.NoOptions) c.Flags |= TcbFlags.Timestamps;
        if (settings.SelectiveAcknowledgments && !settings.NoOptions) c.Flags |= TcbFlags.Sack;
        if (settings.WindowScaling && !settings.NoOptions) c.Flags |= TcbFlags.WindowScaling;
        k.SendBuffer = (uint)settings.SendBufferBytes;
        k.PeerMss = DefaultMss(c.Local);
        c.RcvMss = 536;
        c.Mss = EffectiveMss(x, t);
        x.Recovery.Initialize(ref c, ref k, now);
        c.Acks.HasHeard = !settings.HastensAcks;
        if (settings.EventLog) x.Log?.Open(t, now);
    }

    internal static CongestionAlgorithm AlgorithmOf(TcpSettings settings)
    {
        CongestionControl.TryParse(settings.CongestionControl, out var algorithm);
        return algorithm == CongestionAlgorithm.Cubic && settings.PacketSender && settings.PacketCubic ? CongestionAlgorithm.PacketCubic : algorithm;
    }

    /// <summary>A SYN-ACK that echoes what no SYN of ours said is of another connection.</summary>
    internal static bool IsOurEcho(TcpContext x, TcbRef t, in SegmentArrival s, Instant now)
    {
        if (!s.Options.HasTimestamps || s.Options.TsEcr == 0 || s.IsRst || !x.SettingsOf(t).ChecksSynAckEcho) return true;
        var age = TcpContext.TimestampNow(t.C, now) - s.Options.TsEcr;
        // RoundStart is up to a tick later than the SYN, and the clock of timestamps counts whole milliseconds.
        var sinceSyn = Duration.Max(now - t.K.RoundStart.ToInstant(now), Duration.Zero) + new Duration(1L << Deadline.Shift);
        if (age <= sinceSyn.Nanoseconds / 1_000_000 + 1) return true;
        x.Recovery.Counters.PAWSActive++;
        return false;
    }

    /// <summary>Takes the peer's SYN: its sequence number, its window and what of our offers it shares.</summary>
    internal static void TakeSyn(TcpContext x, TcbRef t, in SegmentArrival s, Instant now)
    {
        ref var c = ref t.C;
        ref var k = ref t.K;
        var options = s.Options;
        c.Rcv.Nxt = s.Seq + 1;
        // The window of our SYN was not scaled: at most 64 KiB were promised.
        c.Rcv.Edge = c.Rcv.Nxt + Math.Min(c.ReceiveBuffer, ushort.MaxValue);
        c.LastAckSent = c.Rcv.Nxt;
        c.Snd.Wnd = s.RawWindow;
        c.Snd.WndMax = s.RawWindow;
        c.Snd.Wl1 = s.Seq;
        c.Snd.Wl2 = s.Ack;
        if (!options.HasTimestamps) c.Flags &= ~TcbFlags.Timestamps;
        if (!options.SackPermitted) c.Flags &= ~TcbFlags.Sack;
        if (!options.HasWindowScale) c.Flags &= ~TcbFlags.WindowScaling;
        if ((c.Flags & TcbFlags.Timestamps) != 0)
        {
            c.TsRecent = options.TsVal;
            c.TsRecentAge = (uint)(now.Nanoseconds >> 30);
        }
        // RFC 7323 §2.2: scaling needs both; without it both scales are zero.
        if ((c.Flags & TcbFlags.WindowScaling) != 0) c.SndScale = options.WindowScale.Shift;
        else c.RcvScale = 0;
        // RFC 9293 MUST-14, MUST-15.
        k.PeerMss = options.HasMss ? options.Mss : DefaultMss(c.Local);
        var settings = x.SettingsOf(t);
        c.Mss = EffectiveMss(x, t);
        if (settings.WholeSegmentBuffer) RoundBuffers(x, t);
    }

    private static void RoundBuffers(TcpContext x, TcbRef t)
    {
        var whole = t.C.Mss + (uint)OptionLength(x, t);
        t.C.ReceiveBuffer = (t.C.ReceiveBuffer + whole - 1) / whole * whole;
        t.K.SendBuffer = (t.K.SendBuffer + whole - 1) / whole * whole;
    }

    /// <summary>Our SYN is acknowledged: the connection is synchronised.</summary>
    internal static void Establish(TcpContext x, TcbRef t, in SegmentArrival s, Instant now)
    {
        ref var c = ref t.C;
        ref var k = ref t.K;
        TcpStates.Move(ref c.State, TcpState.Established);
        c.Flags |= TcbFlags.WasEstablished;
        x.Details?.OnEstablished(x.Tcbs.IndexOf(t), now);
        c.Flags &= ~TcbFlags.SynPending;
        c.Snd.Una = c.Snd.Iss + 1;
        var wasOpen = (k.FastOpen & FastOpenFlags.Pending) != 0;
        FastOpenServer.OnEnded(x, t, wasReset: false, now);
        c.Snd.Nxt = SeqNumber.Max(c.Snd.Nxt, c.Snd.Una);
        // RFC 9293 §3.10.7.4: SND.WND, WL1 and WL2 from this segment; only a segment without SYN is scaled.
        c.Snd.Wnd = s.IsSyn ? s.RawWindow : (uint)s.RawWindow << c.SndScale;
        c.Snd.WndMax = k.Does(SenderMechanisms.HalfWindowMss) && !s.IsSyn ? c.Snd.Wnd : Math.Max(c.Snd.WndMax, c.Snd.Wnd);
        if (k.Does(SenderMechanisms.HalfWindowMss)) c.Mss = EffectiveMss(x, t);
        c.Snd.Wl1 = s.Seq;
        c.Snd.Wl2 = s.Ack;
        TrueSizeWindow.Begin(x, t);
        k.Retransmission = Deadline.None;
        k.UserTimeout = Deadline.None;
        var rtt = RoundTripOf(t, s, now);
        if (wasOpen) ContinueOpen(x, t, rtt, now);
        else x.Recovery.OnEstablished(ref c, ref k, AlgorithmOf(x.SettingsOf(t)), rtt, (int)Math.Max(c.Backoff, k.SegmentsRetransmitted), now);
        c.Backoff = 0;
        k.SynAgain = SynAgain.None;
        k.RoundStart = Deadline.At(now);
        TcpKeepalive.Start(x, t, now);
        TcpMtuProbing.OnEstablished(x, t, isActive: s.IsSyn, now);
    }

    // The handshake's round trip; zero where it is not known, and where our SYN or SYN-ACK has timed out (RFC 6298 §5.7).
    private static Duration RoundTripOf(TcbRef t, in SegmentArrival s, Instant now)
    {
        if (t.C.Backoff != 0 || !t.K.RoundStart.IsSet) return Duration.Zero;
        var sinceFirst = Duration.Max(now - t.K.RoundStart.ToInstant(now), Duration.FromMicroseconds(1));
        if (t.K.SynAgain != SynAgain.Sent && t.K.SegmentsRetransmitted == 0) return sinceFirst;
        // RFC 6298 §3, Karn: which of them was answered only its timestamp tells (RFC 7323 §4.1), which is not older than the first of them.
        return Recovery.AckAccount.TryTimestamp(t.C, s.Options, now, out var sample) ? Duration.Min(sample, sinceFirst) : Duration.Zero;
    }

    // A connection by fast open has a window already, and perhaps data in flight: the timer is theirs now.
    private static void ContinueOpen(TcpContext x, TcbRef t, Duration rtt, Instant now)
    {
        var repeats = Math.Max(t.C.Backoff, t.K.SegmentsRetransmitted);
        if (rtt > Duration.Zero && t.K.Rtt.Srtt == 0) x.Recovery.Memory.TakeRoundTrip(t.C, ref t.K, rtt);
        // RFC 6298 §5.7: 3 s, as data begin now to be timed.
        else if (repeats > 0 && t.K.Rtt.Srtt == 0) t.K.Recovery.Flags |= RecoveryFlags.SynTimedOut;
        // RFC 5681 §3.1.
        if (repeats > x.SettingsOf(t).ForgivenSynLosses) t.C.Cwnd = t.C.Mss;
        if (!TcpContext.HasOutstanding(t.C)) return;
        TcpLossTimer.StartTimeout(x, t, now);
    }
}
