// Packetisation-layer path MTU discovery (RFC 4821): the size that a path carries is found by sending larger segments of data and seeing whether
// they arrive, for paths whose routers say nothing. With Linux's settings (tcp_mtu_probing and its kin) and its search, which is binary. It exists
// once a connection searches; which losses are the probe's is recovery's to say.
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Peregrine.Core.Tcp.Recovery;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp;

/// <summary>tcp_mtu_probing: when the path's MTU is searched for.</summary>
public enum TcpMtuProbingMode : byte
{
    /// <summary>Never: reports of routers alone say it (RFC 1191, RFC 8201).</summary>
    Off,

    /// <summary>After time-outs that look like a router which drops in silence (RFC 4821 §7.7).</summary>
    BlackHole,

    /// <summary>From the beginning.</summary>
    Always,

    /// <summary>
    /// FreeBSD's pmtud_blackhole_detection: full segments that time out twice are made smaller (<see cref="TcpSettings.MtuProbeBaseMss"/>), twice more
    /// again (<see cref="TcpSettings.MtuProbeFloorMss"/>); after the sixth time-out the size was not the reason, and is as before.
    /// </summary>
    Steps,
}

/// <summary>What is to be done about a probe.</summary>
internal enum MtuProbeChoice : byte
{
    /// <summary>Nothing: data go as ever.</summary>
    None,

    /// <summary>No data until the congestion window has room for a probe.</summary>
    Wait,

    /// <summary>The next segment is a probe.</summary>
    Send,
}

internal sealed class TcpMtuProbing(TcpContext context)
{
    /// <summary>Segments of congestion window below which nothing is risked, as Linux has it.</summary>
    private const int CwndSegmentsMin = 11;

    /// <summary>With <see cref="TcpMtuProbingMode.Steps"/>: time-outs of the same data at which they are made smaller, and at which that is given up.</summary>
    private const int FirstStepCount = 2, SecondStepCount = 4, NoStepCount = 6;

    /// <summary>RFC 4821 §7.8: a raised size is on trial for some time-outs and segments; of these, a tenth that is lost is too much.</summary>
    private const int TrialTimeouts = 2, TrialSegmentsMin = 50, LossShare = 10;

    private readonly TcpContext _x = context;
    private readonly Dictionary<uint, MtuSearch> _searches = [];

    /// <summary>Where a connection's search stands (RFC 4821 §3): sizes are IP packets, in bytes.</summary>
    private struct MtuSearch
    {
        internal int Low;
        internal int High;

        /// <summary>Size of the probe in flight; 0 for none.</summary>
        internal int ProbeSize;
        internal SeqNumber ProbeStart;
        internal SeqNumber ProbeEnd;

        /// <summary>RFC 4821 §7.6.2: after a failure, when the next may be sent.</summary>
        internal Instant NotBefore;

        /// <summary>When the search last ended or was taken up again.</summary>
        internal Instant Since;

        /// <summary>RFC 4821 §7.8: the size before it was raised, while the larger one is on trial; else 0.</summary>
        internal int Verified;

        /// <summary>When the trial is over at the earliest, and what had been sent when it began.</summary>
        internal Instant TrialUntil;
        internal uint SegmentsBefore, RetransmittedBefore;
    }

    /// <summary>A connection is established: begins to search where that is asked for.</summary>
    internal static void OnEstablished(TcpContext x, TcbRef t, bool isActive, Instant now)
    {
        if (x.SettingsOf(t).MtuProbing == TcpMtuProbingMode.Always) (x.MtuProbing ??= new TcpMtuProbing(x)).Begin(t, keepsMss: x.SettingsOf(t).SearchKeepsMss && !isActive, now);
    }

    /// <summary>RFC 4821 §7.7: the same data have timed out again: from R1 on the path is taken for one that drops large packets.</summary>
    internal static void OnTimeout(TcpContext x, TcbRef t, Instant now)
    {
        x.MtuProbing?.Abandon(t);
        var mode = x.SettingsOf(t).MtuProbing;
        if (mode == TcpMtuProbingMode.Off) return;
        if (mode == TcpMtuProbingMode.Steps) OnStep(x, t, now);
        else if (RetryLimit.IsFirstLimitOver(x, t, now)) (x.MtuProbing ??= new TcpMtuProbing(x)).OnBlackHole(t, now);
    }

    // Smaller at the second and at the fourth time-out, and at the sixth as before: then it was not the size.
    private static void OnStep(TcpContext x, TcbRef t, Instant now)
    {
        ref var c = ref t.C;
        if (c.Backoff is FirstStepCount or SecondStepCount && c.Snd.Max - c.Snd.Una >= c.Mss) (x.MtuProbing ??= new TcpMtuProbing(x)).StepDown(t, now);
        else if (c.Backoff == NoStepCount) x.MtuProbing?.Forget(t);
        else return;
        TcpHandshake.RefreshMss(x, t);
        // RFC 5681 §3.1: the loss window is one segment of the size that goes now.
        c.Cwnd = c.Mss;
    }

    private void StepDown(TcbRef t, Instant now)
    {
        var settings = _x.SettingsOf(t);
        var mss = t.C.Mss + TcpHandshake.OptionLength(_x, t);
        var step = Math.Min(mss, mss > settings.MtuProbeBaseMss ? settings.MtuProbeBaseMss : settings.MtuProbeFloorMss);
        var size = step + TcpHandshake.IpHeaderLength(t.C.Local) + TcpHeader.Length + _x.OverheadOf(t.C);
        _searches[_x.Tcbs.IndexOf(t)] = new MtuSearch { Low = size, High = size, Since = now };
    }

    /// <summary>eff_pmtu: what the connection may send, at most what the path is believed to carry.</summary>
    internal int Limit(TcbRef t, int pathMtu)
    {
        ref var search = ref Find(t);
        return Unsafe.IsNullRef(ref search) ? pathMtu : Math.Min(search.Low, pathMtu);
    }

    internal void Forget(TcbRef t) => _searches.Remove(_x.Tcbs.IndexOf(t));

    /// <summary>Where the probe in flight begins; null without.</summary>
    internal SeqNumber? ProbeOf(TcbRef t)
    {
        ref var search = ref Find(t);
        return Unsafe.IsNullRef(ref search) || search.ProbeSize == 0 ? null : search.ProbeStart;
    }

    /// <summary>RFC 4821 §7.4: whether the next segment is to be a probe, and of how many bytes of data.</summary>
    internal MtuProbeChoice Next(TcbRef t, out uint length, Instant now)
    {
        length = 0;
        ref var search = ref Find(t);
        if (Unsafe.IsNullRef(ref search) || search.ProbeSize != 0 || now < search.NotBefore || !IsUndisturbed(t)) return MtuProbeChoice.None;
        if (_x.SettingsOf(t).MtuProbing == TcpMtuProbingMode.Steps) return MtuProbeChoice.None;
        ref var c = ref t.C;
        if (_x.Recovery.Marks.IsFirst(c, t.K)) return MtuProbeChoice.None;
        // What PSP leaves in clear text is not as large on the wire as is reckoned, and ends where what it seals begins.
        if (_x.Psp is { } psp && psp.AlikeFrom(c, c.Snd.Nxt) != uint.MaxValue) return MtuProbeChoice.None;
        // RFC 4821 §7.3.
        var size = (search.Low + search.High) / 2;
        length = (uint)Math.Max(0, size - Overhead(t));
        var settings = _x.SettingsOf(t);
        if (search.High - search.Low < settings.MtuProbeThresholdBytes || (length <= c.Mss && !settings.SearchKeepsMss))
        {
            Retry(t, ref search, now);
            return MtuProbeChoice.None;
        }
        // RFC 4821 §7.4: with segments behind it whose acknowledgments tell of its loss.
        var need = length + (4u * c.Mss);
        if (c.Snd.QueueEnd - c.Snd.Nxt < need || (c.Snd.Una + c.Snd.Wnd) - c.Snd.Nxt < need || _x.Recovery.FreeRecords == 0) return MtuProbeChoice.None;
        // The window opens by segments, and a probe is more than one.
        var flight = t.K.Does(SenderMechanisms.PacketWindow) ? 2u * c.Mss : length;
        // One that is larger than the window waits for the window to open, which it does only by data: nothing else may wait for it.
        if (flight > c.Cwnd) return MtuProbeChoice.None;
        return LossRecovery.Pipe(c, t.K) + flight > c.Cwnd ? MtuProbeChoice.Wait : MtuProbeChoice.Send;
    }

    private static bool IsUndisturbed(TcbRef t) =>
        t.K.Recovery.Phase == RecoveryPhase.Open && t.K.Recovery.SackedBytes == 0 && t.C.Cwnd >= CwndSegmentsMin * (uint)t.C.Mss
        && !t.K.OutOfOrder.HasIntervals && t.K.DsackStart == t.K.DsackEnd && (t.C.Flags & TcbFlags.FinWaiting) == 0;

    /// <summary>The probe went out.</summary>
    internal void OnProbeSent(TcbRef t, uint length)
    {
        ref var search = ref Find(t);
        search.ProbeSize = (int)length + Overhead(t);
        (search.ProbeStart, search.ProbeEnd) = (t.C.Snd.Nxt - length, t.C.Snd.Nxt);
        // As Linux, to which it has the place of two.
        if (t.K.Does(SenderMechanisms.PacketWindow)) t.C.Cwnd = Math.Max(t.C.Cwnd - t.C.Mss, t.C.Mss);
    }

    /// <summary>An ACK is about to be taken. As Linux: with the probe's, a window of packets is one of as many bytes in fewer of the larger packets, before it grows.</summary>
    internal void BeforeAck(TcbRef t, SeqNumber ack)
    {
        ref var search = ref Find(t);
        if (Unsafe.IsNullRef(ref search)) return;
        _x.Recovery.Marks.ForgetFirst(t.K);
        if (search.ProbeSize == 0 || ack.IsBefore(search.ProbeEnd)) return;
        ref var c = ref t.C;
        if (t.K.Recovery.Phase >= RecoveryPhase.Recovery || !t.K.Does(SenderMechanisms.PacketWindow)) return;
        c.Cwnd = Math.Max((uint)((ulong)c.Cwnd / c.Mss * (uint)(c.Mss + Overhead(t)) / (uint)search.ProbeSize), 1) * c.Mss;
    }

    /// <summary>An ACK was taken: the probe may have arrived, or be lost by itself, or among others.</summary>
    internal void OnAck(TcbRef t, bool isProbeLost, Instant now)
    {
        ref var search = ref Find(t);
        if (Unsafe.IsNullRef(ref search)) return;
        if (search.Verified != 0 && now >= search.TrialUntil) EndTrial(t, ref search);
        if (search.ProbeSize == 0) return;
        if (isProbeLost)
        {
            // RFC 4821 §7.6.2.
            _x.Recovery.Counters.TCPMTUPFail++;
            search.High = search.ProbeSize - 1;
            var roundTrip = Duration.FromMicroseconds(Math.Max(t.K.Rtt.Srtt >> 3, 1));
            // The data go again now, so their time runs from now (RFC 6298 §5.1).
            TcpLossTimer.Reset(ref t.K);
            TcpLossTimer.StartTimeout(_x, t, now);
            if (!_x.SettingsOf(t).SearchKeepsMss) search.NotBefore = now + (roundTrip * Math.Max(1, t.C.Cwnd / t.C.Mss));
            if (t.K.Does(SenderMechanisms.PacketWindow)) t.C.Cwnd += t.C.Mss;
            End(t, ref search, now);
        }
        else if (t.K.Recovery.Phase >= RecoveryPhase.Recovery)
        {
            // RFC 4821 §7.6.4: inconclusive.
            search.ProbeSize = 0;
        }
        else if (t.C.Snd.Una.IsAfterOrEqual(search.ProbeEnd))
        {
            // RFC 4821 §7.6.1.
            _x.Recovery.Counters.TCPMTUPSuccess++;
            BeginTrial(t, ref search, now);
            search.Low = search.ProbeSize;
            End(t, ref search, now);
            TcpHandshake.RefreshMss(_x, t);
        }
    }

    // RFC 4821 §7.8: over several paths at once, some of which are narrower, a probe can arrive where every other segment of its size does not.
    private void BeginTrial(TcbRef t, ref MtuSearch search, Instant now)
    {
        if (search.Verified == 0) search.Verified = search.Low;
        search.TrialUntil = now + (_x.Recovery.Rto(t.K) * TrialTimeouts);
        (search.SegmentsBefore, search.RetransmittedBefore) = (t.K.SegmentsOut, t.K.SegmentsRetransmitted);
    }

    private void EndTrial(TcbRef t, ref MtuSearch search)
    {
        var sent = t.K.SegmentsOut - search.SegmentsBefore;
        if (sent < TrialSegmentsMin) return;
        if (t.K.SegmentsRetransmitted - search.RetransmittedBefore > sent / LossShare)
        {
            // The size is as wrong as if its probe had been lost.
            _x.Recovery.Counters.TCPMTUPFail++;
            (search.High, search.Low, search.ProbeSize) = (search.Low - 1, Math.Min(search.Verified, search.Low), 0);
            TcpHandshake.RefreshMss(_x, t);
        }
        search.Verified = 0;
    }

    /// <summary>RFC 4821 §7.6.2: a report that was believed; the size that it gives is an upper bound.</summary>
    internal void OnPacketTooBig(TcbRef t, int mtu)
    {
        ref var search = ref Find(t);
        if (Unsafe.IsNullRef(ref search)) return;
        search.High = Math.Min(search.High, mtu);
        if (search.Low > search.High) (search.Low, search.Verified) = (search.High, 0);
        search.ProbeSize = 0;
    }

    private ref MtuSearch Find(TcbRef t) => ref CollectionsMarshal.GetValueRefOrNullRef(_searches, _x.Tcbs.IndexOf(t));

    private void Begin(TcbRef t, bool keepsMss, Instant now)
    {
        var high = Math.Min(t.C.Path.Mtu, TcpHandshake.PeerMss(_x, t) + TcpHandshake.IpHeaderLength(t.C.Local) + TcpHeader.Length);
        var low = Math.Min(_x.SettingsOf(t).MtuProbeBaseMss + Overhead(t), high);
        ref var search = ref CollectionsMarshal.GetValueRefOrAddDefault(_searches, _x.Tcbs.IndexOf(t), out _);
        search = new MtuSearch { Low = low, High = high, Since = now };
        if (keepsMss) return;
        // As Linux, which reckons before it knows the peer's options: for now the base is that of a header with all that the SYN offers.
        if (_x.SettingsOf(t).SearchKeepsMss && OffersTimestamps(t)) search.Low = Math.Min(low + TcpOptions.TimestampsLength, high);
        TcpHandshake.RefreshMss(_x, t);
        search.Low = low;
    }

    // In vain.
    private bool OffersTimestamps(TcbRef t) => _x.SettingsOf(t) is { Timestamps: true, NoOptions: false } && (t.C.Flags & TcbFlags.Timestamps) == 0;

    private void OnBlackHole(TcbRef t, Instant now)
    {
        ref var search = ref Find(t);
        if (Unsafe.IsNullRef(ref search))
        {
            Begin(t, keepsMss: false, now);
            return;
        }
        // RFC 4821 §7.7: halved with each further time-out, as Linux does from its base on.
        var settings = _x.SettingsOf(t);
        var half = Math.Min((search.Low - Overhead(t)) / 2, settings.MtuProbeBaseMss);
        var least = (t.C.Local.IsIPv4 ? 68 : 1280) - Overhead(t);
        search.Low = Math.Min(search.Low, Math.Max(Math.Max(half, settings.MtuProbeFloorMss), least) + Overhead(t));
        // What was on trial is not sent any more, and what was lost of it is not to count against what is.
        search.Verified = 0;
        TcpHandshake.RefreshMss(_x, t);
    }

    // RFC 4821 §7.6.3: a time-out says nothing of the probe alone.
    private void Abandon(TcbRef t)
    {
        ref var search = ref Find(t);
        if (!Unsafe.IsNullRef(ref search)) search.ProbeSize = 0;
    }

    private void End(TcbRef t, ref MtuSearch search, Instant now)
    {
        search.ProbeSize = 0;
        if (search.High - search.Low >= _x.SettingsOf(t).MtuProbeThresholdBytes) return;
        search.Since = now;
        // RFC 4821 §5.2: other connections to the same host need not search again. It is forgotten with age, as what routers report.
        if (search.Low < t.C.Path.Mtu - _x.SettingsOf(t).MtuProbeThresholdBytes) _x.Ip.OnPacketTooBigConfirmed(t.C.Remote, search.Low, now);
    }

    // tcp_probe_interval: the path may have become wider.
    private void Retry(TcbRef t, ref MtuSearch search, Instant now)
    {
        if (now - search.Since < Duration.FromSeconds(_x.SettingsOf(t).MtuProbeIntervalSeconds)) return;
        search.Since = now;
        search.High = Math.Min(t.C.Path.Mtu, TcpHandshake.PeerMss(_x, t) + TcpHandshake.IpHeaderLength(t.C.Local) + TcpHeader.Length);
    }

    /// <summary>Bytes of a packet that are not payload.</summary>
    private int Overhead(TcbRef t) => TcpHandshake.IpHeaderLength(t.C.Local) + TcpHeader.Length + TcpHandshake.OptionLength(_x, t) + _x.OverheadOf(t.C);
}
