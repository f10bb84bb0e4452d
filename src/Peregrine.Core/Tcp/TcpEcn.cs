// Explicit congestion notification: what SYNs agree on (RFC 3168, or its accurate form, RFC 9768), what data segments carry, and the classic
// echo of marks until the sender says that it has heard. The accurate form's counters and tests are AccurateEcn's; what feedback makes of
// the window is LossRecovery's and the congestion control's.
using Peregrine.Core.Ip;
using Peregrine.Core.Tcp.AccurateEcn;
using Peregrine.Core.Tcp.Recovery;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp;

/// <summary>tcp_ecn: who asks for explicit congestion notification (RFC 3168, RFC 9768). The numbers are Linux's.</summary>
public enum TcpEcnMode
{
    /// <summary>Not used.</summary>
    Off = 0,

    /// <summary>Classic: asked for by connections that we open, granted to those that ask.</summary>
    On = 1,

    /// <summary>Classic: granted to those that ask. The default.</summary>
    Accept = 2,

    /// <summary>Accurate, or classic where the other side knows no more: asked for by connections that we open, granted to those that ask.</summary>
    Accurate = 3,

    /// <summary>Accurate or classic: granted to those that ask.</summary>
    AcceptAccurate = 5,
}

internal static class TcpEcn
{
    /// <summary>ECT(0) in the traffic class (RFC 3168 §5); ECT(1) is left to experiments (RFC 8311 §4.2).</summary>
    internal const byte Ect0 = 2;

    private const byte Mask = 3;
    private const byte Ce = 3;
    private const TcpFlags Setup = TcpFlags.Ece | TcpFlags.Cwr;

    /// <summary>
    /// RFC 3168 §6.1.1, RFC 9768 §3.1.1: the bits of our SYN. One that is repeated asks for nothing (RFC 3168 §6.1.1.1), in the accurate
    /// form (RFC 9768 §3.1.4.1) from the second time on: a path may drop those that do.
    /// </summary>
    internal static TcpFlags SynBits(TcpSettings settings, int repeats, bool hasRoom)
    {
        if (AsksAccurate(settings)) return hasRoom && repeats < AccurateEcnHandshake.AskingSynCountMax ? AccurateEcnHandshake.Bits : TcpFlags.None;
        return Asks(settings) && repeats <= settings.EcnSynRetryCount ? Setup : TcpFlags.None;
    }

    /// <summary>RFC 8257 §3.6, RFC 8311 §4.3: SYNs of DCTCP are ECN-capable themselves, or a switch that marks early would drop them.</summary>
    internal static byte SynEcn(TcpSettings settings, TcpFlags bits) =>
        IsDctcp(settings) && (bits & AccurateEcnHandshake.Bits) != TcpFlags.None ? Ect0 : (byte)0;

    // DCTCP is nothing without ECN.
    private static bool Asks(TcpSettings settings) => settings.Ecn == TcpEcnMode.On || (settings.Ecn == TcpEcnMode.Accept && IsDctcp(settings));

    private static bool AsksAccurate(TcpSettings settings) =>
        settings.Ecn == TcpEcnMode.Accurate || (settings.Ecn == TcpEcnMode.AcceptAccurate && IsDctcp(settings));

    private static bool GrantsAccurate(TcpSettings settings) => settings.Ecn is TcpEcnMode.Accurate or TcpEcnMode.AcceptAccurate;

    private static bool IsDctcp(TcpSettings settings) => settings.CongestionControl == "dctcp";

    private static bool IsAccurate(TcbRef t) => (t.K.Recovery.Flags & RecoveryFlags.AccurateEcn) != 0;

    private static ref AccurateEcnState StateOf(TcpContext x, TcbRef t) => ref x.AccurateEcn.Of(x.Tcbs.IndexOf(t));

    private static byte FieldOf(in ReceivedPacket packet) => (byte)(packet.TrafficClass & Mask);

    /// <summary>
    /// RFC 3168 §6.1.1: what a SYN asks for and may have. One that is marked itself comes from something else, but for DCTCP
    /// (RFC 8257 §3.6) and in the accurate form, which tells its mark.
    /// </summary>
    internal static void Grant(TcpContext x, ref SynRecord record, TcpSettings settings, in SegmentArrival syn, in ReceivedPacket packet)
    {
        record.SynField = FieldOf(packet);
        if (GrantsAccurate(settings) && AccurateEcnHandshake.IsAskedFor(syn.Flags) && x.AccurateEcn.HasRoom) record.Flags |= SynFlags.AccurateEcn;
        else if (IsGranted(settings, syn.Flags, record.SynField)) record.Flags |= SynFlags.Ecn;
    }

    /// <summary>RFC 9768 §3.1.5: the SYN again. False: in the same handshake it asks for the classic form, and is reset.</summary>
    internal static bool OnSynAgain(ref SynRecord record, in SegmentArrival syn, in ReceivedPacket packet)
    {
        if ((record.Flags & SynFlags.AccurateEcn) == 0) return true;
        var bits = syn.Flags & AccurateEcnHandshake.Bits;
        if (bits == Setup) return false;
        record.SynField = (byte)((record.SynField & ~Mask) | FieldOf(packet));
        if (bits == TcpFlags.None) record.SynField |= SynRecord.NotCapable;
        return true;
    }

    /// <summary>RFC 3168 §6.1.1, RFC 9768 §3.1.1: the bits of a SYN-ACK, and the first of them with an option (RFC 9768 §3.2.3.2.1).</summary>
    internal static void OnSynAckPlan(ref SynRecord record, TcpSettings settings, bool isSigned, ref SegmentPlan plan)
    {
        if ((record.Flags & SynFlags.Ecn) != 0) plan.Flags |= TcpFlags.Ece;
        if ((record.Flags & SynFlags.AccurateEcn) != 0)
        {
            // RFC 9768 §3.2.3.2.2: repeated without the option, and then without anything, in case that it is this that gets lost.
            if (record.Retries >= AccurateEcnHandshake.AskingSynCountMax) record.SynField |= SynRecord.NotCapable;
            else plan.Flags |= AccurateEcnHandshake.Encode((byte)(record.SynField & Mask));
            if (record.Retries == 0 && (record.Flags & SynFlags.FastOpen) == 0 && !isSigned) plan.Options.AccurateEcn = AccurateEcnReceiver.MakeOption(AccurateEcnState.Initial);
        }
        plan.Ecn = SynEcn(settings, plan.Flags);
    }

    /// <summary>A passive open has its TCB.</summary>
    internal static void Begin(TcpContext x, TcbRef t, in SynRecord record)
    {
        if ((record.Flags & SynFlags.Ecn) != 0) t.K.Recovery.Flags |= RecoveryFlags.EcnAgreed;
        if ((record.Flags & SynFlags.AccurateEcn) == 0 || !TryBeginAccurate(x, t)) return;
        ref var state = ref StateOf(x, t);
        state.SynField = (byte)(record.SynField & Mask);
        // RFC 9768 §3.1.5: who sent or got a SYN or SYN-ACK that asks for nothing may have a client without ECN.
        if ((record.SynField & SynRecord.NotCapable) != 0) state.Flags |= AccurateEcnFlags.NotCapable;
    }

    /// <summary>The ACK that completes a passive open.</summary>
    internal static void OnFinalAck(TcpContext x, TcbRef t, in SegmentArrival s)
    {
        if (!IsAccurate(t)) return;
        AccurateEcnHandshake.OnFinalAck(ref StateOf(x, t), s, SynEcn(x.SettingsOf(t), AccurateEcnHandshake.Bits));
    }

    /// <summary>RFC 9768 §5.1: the bits of a pure ACK tell whether the SYN-ACK whose cookie it answers granted the accurate form.</summary>
    internal static void RestoreFromCookie(TcpContext x, ref SynRecord record, TcpSettings settings, in SegmentArrival s)
    {
        if (!GrantsAccurate(settings) || s.Length != 0 || (s.Flags & AccurateEcnHandshake.Bits) is TcpFlags.None or TcpFlags.Ece || !x.AccurateEcn.HasRoom) return;
        record.Flags = (record.Flags & ~SynFlags.Ecn) | SynFlags.AccurateEcn;
    }

    /// <summary>RFC 3168 §6.1.1, RFC 9768 §3.1.2: a SYN-ACK, or in a simultaneous open a SYN, for a SYN of ours.</summary>
    internal static void OnSynInSynSent(TcpContext x, TcbRef t, in SegmentArrival s, in ReceivedPacket packet, bool isSynAck)
    {
        var settings = x.SettingsOf(t);
        if (AsksAccurate(settings))
        {
            if (isSynAck ? AccurateEcnHandshake.IsGranted(s.Flags) : AccurateEcnHandshake.IsAskedFor(s.Flags))
            {
                if (!TryBeginAccurate(x, t)) return;
                ref var state = ref StateOf(x, t);
                if (isSynAck) AccurateEcnHandshake.OnSynAck(ref state, s, FieldOf(packet), SynEcn(settings, AccurateEcnHandshake.Bits));
                else state.SynField = FieldOf(packet);
            }
            else if (isSynAck && (s.Flags & AccurateEcnHandshake.Bits) == TcpFlags.Ece)
            {
                t.K.Recovery.Flags |= RecoveryFlags.EcnAgreed;
            }
            return;
        }
        // The SYN-ACK grants it by ECE alone; both bits are an echo by something that knows no ECN.
        if (isSynAck && Asks(settings) && t.C.Backoff <= settings.EcnSynRetryCount && (s.Flags & Setup) == TcpFlags.Ece) t.K.Recovery.Flags |= RecoveryFlags.EcnAgreed;
        else if (!isSynAck && IsGranted(settings, s.Flags, FieldOf(packet))) t.K.Recovery.Flags |= RecoveryFlags.EcnAgreed;
    }

    private static bool IsGranted(TcpSettings settings, TcpFlags bits, byte field) =>
        settings.Ecn != TcpEcnMode.Off && (bits & Setup) == Setup && (field == 0 || IsDctcp(settings));

    /// <summary>RFC 9768 §3.2.2.1: a SYN-ACK for a connection in the accurate form: it comes again, for our final ACK was lost, which tells how it arrived.</summary>
    internal static void OnSynAckAgain(TcpContext x, TcbRef t, in SegmentArrival s, in ReceivedPacket packet)
    {
        if (s.IsAck && s.Ack == t.C.Snd.Iss + 1) AccurateEcnHandshake.NoteSynAck(ref StateOf(x, t), FieldOf(packet));
    }

    /// <summary>The bits of a SYN-ACK that a connection sends itself: a simultaneous open, a fast open.</summary>
    internal static TcpFlags SynAckBits(TcpContext x, TcbRef t)
    {
        if (IsAccurate(t)) return AccurateEcnHandshake.Encode(StateOf(x, t).SynField);
        return (t.K.Recovery.Flags & RecoveryFlags.EcnAgreed) != 0 ? TcpFlags.Ece : TcpFlags.None;
    }

    /// <summary>An acceptable segment of a connection in the accurate form: it is counted, and told of soon where it is marked.</summary>
    internal static void OnSegment(TcpContext x, TcbRef t, in SegmentArrival s, in ReceivedPacket packet)
    {
        var field = FieldOf(packet);
        if (field == Ce && s.PayloadLength > 0) x.Recovery.Counters.InCEPkts++;
        if (AccurateEcnReceiver.OnSegment(ref StateOf(x, t), s, field, t.C.LastAckSent != t.C.Rcv.Nxt)) t.C.Flags |= TcbFlags.AckNow;
    }

    /// <summary>What an ACK says about marks.</summary>
    /// <param name="x">The stack's TCP.</param>
    /// <param name="t">The connection, which agreed on ECN.</param>
    /// <param name="s">The ACK.</param>
    /// <param name="acked">Bytes that it acknowledges.</param>
    /// <param name="delivered">Bytes that it reports for the first time, by SACK too.</param>
    /// <param name="cwndBefore">The window before it was taken in.</param>
    /// <param name="now">Now.</param>
    internal static void OnAck(TcpContext x, TcbRef t, in SegmentArrival s, uint acked, uint delivered, uint cwndBefore, Instant now)
    {
        if (IsAccurate(t))
        {
            var marksBefore = StateOf(x, t).SentCe;
            var marked = AccurateEcnSender.OnAck(ref StateOf(x, t), s, delivered, t.C.Mss);
            OnMarked(x, t, StateOf(x, t).SentCe - marksBefore);
            EcnResponse.OnFeedback(x.Recovery, ref t.C, ref t.K, delivered, marked, marked > 0, cwndBefore, now);
            return;
        }
        var isEcho = (s.Flags & TcpFlags.Ece) != 0;
        if (isEcho) OnMarked(x, t, (delivered + t.C.Mss - 1u) / t.C.Mss);
        EcnResponse.OnFeedback(x.Recovery, ref t.C, ref t.K, acked, isEcho ? acked : 0, isEcho, cwndBefore, now);
    }

    // For tools: segments that were delivered with an echo.
    private static void OnMarked(TcpContext x, TcbRef t, uint segmentCount)
    {
        x.Recovery.Counters.TCPDeliveredCE += segmentCount;
        x.Details?.OnMarked(x.Tcbs.IndexOf(t), segmentCount);
    }

    /// <summary>RFC 3168 §6.1.3: a data segment's mark is echoed on every ACK until the sender says CWR.</summary>
    internal static void OnText(TcbRef t, in SegmentArrival s, in ReceivedPacket packet, ref TcpExtCounters counters)
    {
        ref var flags = ref t.K.Recovery.Flags;
        var isMarked = FieldOf(packet) == Ce;
        if (isMarked) counters.InCEPkts++;
        if (t.K.Recovery.Algorithm == Congestion.CongestionAlgorithm.Dctcp)
        {
            // RFC 8257 §3.2: every ACK says whether the latest segment was marked; a change is told at once, so that the sender can
            // count the bytes on both sides of it.
            if (isMarked == ((flags & RecoveryFlags.EcnEchoing) != 0)) return;
            flags ^= RecoveryFlags.EcnEchoing;
            t.C.Flags |= TcbFlags.AckNow;
            return;
        }
        if ((s.Flags & TcpFlags.Cwr) != 0) flags &= ~RecoveryFlags.EcnEchoing;
        if (isMarked) flags |= RecoveryFlags.EcnEchoing;
    }

    /// <summary>Whether our data may be ECN-capable.</summary>
    internal static bool IsCapable(TcpContext x, TcbRef t) =>
        (t.K.Recovery.Flags & RecoveryFlags.EcnAgreed) != 0 && (!IsAccurate(t) || !StateOf(x, t).Has(AccurateEcnFlags.NotCapable));

    /// <summary>RFC 3168 §6.1.2, RFC 3168 §6.1.5: new data are ECN-capable, retransmissions are not; the first after a reduction says so.</summary>
    internal static void OnData(ref TcbCold k, ref SegmentPlan plan)
    {
        plan.Ecn = Ect0;
        if ((k.Recovery.Flags & RecoveryFlags.EcnReduced) != 0) plan.Flags |= TcpFlags.Cwr;
    }

    /// <summary>RFC 9768 §3.2.2: the three bits of every segment that is no SYN.</summary>
    internal static TcpFlags Count(TcpContext x, TcbRef t) => AccurateEcnReceiver.Bits(ref StateOf(x, t), isPureAck: false);

    /// <summary>RFC 9768 §3.2.2.1: a pure ACK goes before any data.</summary>
    internal static bool OwesHandshakeAck(TcpContext x, TcbRef t) => IsAccurate(t) && StateOf(x, t).Has(AccurateEcnFlags.HandshakeAckOwed);

    /// <summary>An ACK without data: how the SYN-ACK arrived where that is owed, and the option where it is due.</summary>
    internal static void OnAckPlan(TcpContext x, TcbRef t, ref SegmentPlan plan)
    {
        if (!IsAccurate(t)) return;
        ref var state = ref StateOf(x, t);
        if (plan.Options.SackBlockCount == 0)
            plan.Flags = (plan.Flags & ~AccurateEcnHandshake.Bits) | AccurateEcnReceiver.Bits(ref state, isPureAck: true);
        AccurateEcnReceiver.AddOption(ref state, ref plan.Options);
    }

    /// <summary>
    /// A segment of data: with the option where it is due, and on the first one in any case; RFC 9768 §3.2.3.2.2: on none that is repeated, and
    /// on none any more when the first was lost with it.
    /// </summary>
    internal static void OnDataPlan(TcpContext x, TcbRef t, ref SegmentPlan plan, bool isRetransmission)
    {
        if (!IsAccurate(t)) return;
        ref var state = ref StateOf(x, t);
        if (isRetransmission)
        {
            if (state.Has(AccurateEcnFlags.FirstOptionSent) && plan.Seq == state.FirstOptionSeq) state.Flags |= AccurateEcnFlags.SendsNoOption;
            return;
        }
        var isFirst = !state.Has(AccurateEcnFlags.FirstOptionSent);
        if (isFirst) state.Flags |= AccurateEcnFlags.OptionDue;
        AccurateEcnReceiver.AddOption(ref state, ref plan.Options);
        if (!isFirst || !plan.Options.HasAccurateEcn) return;
        state.Flags |= AccurateEcnFlags.FirstOptionSent;
        state.FirstOptionSeq = plan.Seq;
    }

    /// <summary>RFC 9768 §3.3.4: a link that cuts segments may clear CWR in all but the first, which is a bit of the count.</summary>
    internal static bool ForbidsSuperSegment(TcpContext x, TcbRef t) =>
        IsAccurate(t) && (AccurateEcnReceiver.ToFlags(StateOf(x, t).ReceivedCe) & TcpFlags.Cwr) != 0;

    private static bool TryBeginAccurate(TcpContext x, TcbRef t)
    {
        if (!x.AccurateEcn.TryAdd(x.Tcbs.IndexOf(t))) return false;
        t.K.Recovery.Flags |= RecoveryFlags.EcnAgreed | RecoveryFlags.AccurateEcn;
        return true;
    }
}
