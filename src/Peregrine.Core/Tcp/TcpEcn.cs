// Explicit congestion notification (RFC 3168): what SYNs agree on, what data segments carry, and the echo of marks until the sender says
// that it has heard. What an echo makes of the window is LossRecovery's and the congestion control's.
using Peregrine.Core.Ip;
using Peregrine.Core.Tcp.Recovery;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp;

/// <summary>tcp_ecn: who asks for explicit congestion notification (RFC 3168).</summary>
public enum TcpEcnMode
{
    /// <summary>Not used.</summary>
    Off = 0,

    /// <summary>Asked for by connections that we open, granted to those that ask.</summary>
    On = 1,

    /// <summary>Granted to those that ask. The default.</summary>
    Accept = 2,
}

internal static class TcpEcn
{
    /// <summary>ECT(0) in the traffic class (RFC 3168 §5).</summary>
    internal const byte Ect0 = 2;

    private const byte Mask = 3;
    private const byte Ce = 3;
    private const TcpFlags Setup = TcpFlags.Ece | TcpFlags.Cwr;

    /// <summary>RFC 3168 §6.1.1: the bits of our SYN. A SYN that is repeated asks for nothing (RFC 3168 §6.1.1.1): a path may drop those that do.</summary>
    internal static TcpFlags SynBits(TcpSettings settings, bool isRepeated) => Asks(settings) && !isRepeated ? Setup : TcpFlags.None;

    /// <summary>RFC 8257 §3.6: SYNs of DCTCP are ECN-capable themselves, or a switch that marks early would drop them.</summary>
    internal static byte SynEcn(TcpSettings settings, TcpFlags bits) => IsDctcp(settings) && (bits & TcpFlags.Ece) != 0 ? Ect0 : (byte)0;

    // DCTCP is nothing without ECN.
    private static bool Asks(TcpSettings settings) => settings.Ecn == TcpEcnMode.On || (settings.Ecn == TcpEcnMode.Accept && IsDctcp(settings));

    private static bool IsDctcp(TcpSettings settings) => settings.CongestionControl == "dctcp";

    /// <summary>
    /// RFC 3168 §6.1.1: whether a SYN asks for ECN and may have it. A SYN that is marked itself comes from something else, but for DCTCP
    /// (RFC 8257 §3.6).
    /// </summary>
    internal static bool IsGranted(TcpSettings settings, in SegmentArrival syn, in ReceivedPacket packet) =>
        settings.Ecn != TcpEcnMode.Off && (syn.Flags & Setup) == Setup && ((packet.TrafficClass & Mask) == 0 || IsDctcp(settings));

    /// <summary>RFC 3168 §6.1.1: the SYN-ACK grants it by ECE alone; both bits are an echo by something that knows no ECN.</summary>
    internal static void OnSynAck(TcbRef t, TcpSettings settings, in SegmentArrival s)
    {
        if (Asks(settings) && t.C.Backoff == 0 && (s.Flags & Setup) == TcpFlags.Ece) t.K.Recovery.Flags |= RecoveryFlags.EcnAgreed;
    }

    /// <summary>RFC 3168 §6.1.3: a data segment's mark is echoed on every ACK until the sender says CWR.</summary>
    internal static void OnText(TcbRef t, in SegmentArrival s, in ReceivedPacket packet, ref TcpExtCounters counters)
    {
        ref var flags = ref t.K.Recovery.Flags;
        var isMarked = (packet.TrafficClass & Mask) == Ce;
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

    /// <summary>RFC 3168 §6.1.2, RFC 3168 §6.1.5: new data are ECN-capable, retransmissions are not; the first after a reduction says so.</summary>
    internal static void OnData(ref TcbCold k, ref SegmentPlan plan)
    {
        plan.Ecn = Ect0;
        if ((k.Recovery.Flags & RecoveryFlags.EcnReduced) != 0) plan.Flags |= TcpFlags.Cwr;
    }
}
