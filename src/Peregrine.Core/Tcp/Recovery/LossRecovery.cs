// Loss recovery: which bytes are in flight, which are lost, what goes out again and how much may go out new (RFC 5681, 6582, 6675).
using Peregrine.Core.Memory;
using Peregrine.Core.Tcp.Congestion;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp.Recovery;

/// <summary>Loss recovery of all connections of a stack, over one pool of transmission records.</summary>
internal sealed unsafe class LossRecovery(MemoryRegion region, int recordCount, RecoverySettings? settings = null)
{
    internal RecoverySettings Settings { get; } = settings ?? new RecoverySettings();

    internal int FreeRecords { get; private set; } = recordCount;

    internal static nuint BytesFor(int recordCount) => (nuint)recordCount * 44 + 256;

    /// <summary>A connection begins, before its SYN is sent: nothing is outstanding. Cwnd is one segment until <see cref="OnEstablished"/>.</summary>
    internal void Initialize(ref Tcb c, ref TcbCold k, CongestionAlgorithm algorithm, Instant now) => _ = (region, now, algorithm);

    /// <summary>The handshake is done and Mss final. <paramref name="rtt"/> is the SYN's round trip where the caller measured it, or zero.</summary>
    internal void OnEstablished(ref Tcb c, ref TcbCold k, Duration rtt, bool synRetransmitted, Instant now) => _ = now;

    /// <summary>Bytes of new data that the congestion window lets go now; the peer's window is the caller's business.</summary>
    internal uint SendAllowance(in Tcb c, in TcbCold k) => 0;

    /// <summary>
    /// To be called for each transmission, before it is made: sequence space with SYN and FIN counted. New data must start at Snd.Max;
    /// Snd.Nxt and Snd.Max are moved here. False: no record is free, and new data must not be sent now (nothing was changed).
    /// </summary>
    internal bool OnTransmit(ref Tcb c, ref TcbCold k, SeqNumber seq, uint length, bool isRetransmission, Instant now) => false;

    /// <summary>The caller has nothing more to send although the window would let it: rate samples say so.</summary>
    internal void OnAppLimited(ref Tcb c, ref TcbCold k)
    {
    }

    /// <summary>The range to retransmit next, at most one Mss long, where recovery wants one and the window allows it. Snd.Nxt never goes back.</summary>
    internal bool TryNextRetransmission(ref Tcb c, ref TcbCold k, out SeqNumber seq, out uint length)
    {
        (seq, length) = (default, 0);
        return false;
    }

    /// <summary>Whether <see cref="TryNextRetransmission"/> may have something to say: cheap, and true too often rather than too seldom.</summary>
    internal bool HasRetransmission(in Tcb c, in TcbCold k) => false;

    /// <summary>
    /// An acceptable ACK came: moves Snd.Una to <paramref name="ack"/> (at most Snd.Max), keeps the scoreboard, takes round-trip samples,
    /// opens or closes the window. Call it for every acceptable ACK while something is outstanding.
    /// </summary>
    internal AckSample OnAck(ref Tcb c, ref TcbCold k, SeqNumber ack, in TcpOptions options, bool isDuplicateCandidate, Instant now) => default;

    /// <summary>The retransmission timer expired: RTO doubles, all that is not SACKed is to be sent again, one segment at first.</summary>
    internal void OnRetransmissionTimeout(ref Tcb c, ref TcbCold k, Instant now)
    {
    }

    /// <summary>To be called before sending when nothing is outstanding: lowers the window after idleness (RFC 5681 §4.1).</summary>
    internal void OnIdle(ref Tcb c, ref TcbCold k, Instant now)
    {
    }

    /// <summary>The path MTU shrank: lowers Mss and has what was sent in larger segments sent again, without closing the window.</summary>
    internal void OnMssReduced(ref Tcb c, ref TcbCold k, ushort newMss)
    {
    }

    /// <summary>The retransmission time-out now, doublings included.</summary>
    internal Duration Rto(in TcbCold k) => Settings.RtoInitial;

    /// <summary>RFC 6675's estimate of the bytes in the network.</summary>
    internal static uint Pipe(in Tcb c, in TcbCold k) => 0;

    /// <summary>Bytes sent and not cumulatively acknowledged (RFC 5681 §2).</summary>
    internal static uint FlightSize(in Tcb c) => c.Snd.Max.Value - c.Snd.Una.Value;

    /// <summary>The connection ends: gives all its records back.</summary>
    internal void Release(ref Tcb c, ref TcbCold k)
    {
    }

    /// <summary>Whether the scoreboard holds together: for debug builds and tests.</summary>
    internal bool Check(in Tcb c, in TcbCold k) => true;
}
