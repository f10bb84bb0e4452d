// The short way out of what a server says most: all that waits in one segment, of an established connection with nothing in flight, nothing
// to retransmit and nothing unusual. It asks every question before it does anything, and then does what TcpOutput.Fill would; a test plays
// both ways.
using Peregrine.Core.Tcp.Recovery;
using Peregrine.Core.Time;

namespace Peregrine.Core.Tcp;

internal static class TcpAnswer
{
    private const TcbFlags Unusual =
        TcbFlags.SynPending | TcbFlags.FinQueued | TcbFlags.FinSent | TcbFlags.ProbeNow | TcbFlags.KeepaliveNow | TcbFlags.UrgentToSend | TcbFlags.Persisting
        | TcbFlags.FinWaiting;

    private const RecoveryFlags UnusualRecovery =
        RecoveryFlags.EcnAgreed | RecoveryFlags.Paced | RecoveryFlags.RetransmitHead | RecoveryFlags.MtuRepair | RecoveryFlags.ProbePending;

    /// <summary>Whether everything that the connection may say now is one segment with its text up to Snd.QueueEnd; if so, its length.</summary>
    internal static bool Is(TcpContext x, TcbRef t, Instant now, out uint length)
    {
        ref var c = ref t.C;
        ref var k = ref t.K;
        length = c.Snd.QueueEnd.Value - c.Snd.Nxt.Value;
        if (c.State != TcpState.Established || (c.Flags & Unusual) != 0 || c.Snd.Nxt != c.Snd.Una || c.Snd.Max != c.Snd.Una) return false;
        if (length - 1 >= c.Mss || length > c.Snd.Wnd || k.DsackStart != k.DsackEnd || k.OutOfOrder.HasIntervals) return false;
        if (k.More != MoreHints.None || x.Details is not null || x.SettingsOf(t).Cork) return false;
        ref var r = ref k.Recovery;
        if (r.Head != RecordPool.None || r.Episode != RecordPool.None || r.Phase != RecoveryPhase.Open || (r.Flags & UnusualRecovery) != 0) return false;
        if (x.Recovery.FreeRecords == 0 || !x.Ip.HasRoom(c.Path)) return false;
        x.Recovery.OnIdle(ref c, ref k, now);
        return length <= c.Cwnd;
    }
}
